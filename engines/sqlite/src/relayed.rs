//! The outbox of all files that have no log, as one: partitions go across files. One process holds the data (it has
//! locked the folder), so a lease is kept in its memory and ends with it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rusqlite::Connection;
use store::{Epoch, Outbox, OutboxEvent, Space, StoreError};

use crate::{home::Home, outbox, shards::Shards, unavailable};

/// The most of one scope while others wait.
const SHARE: usize = 32;

#[derive(Clone)]
struct Lease {
    holder: String,
    epoch: Epoch,
    until: Instant,
}

/// Who relays which partition.
#[derive(Default)]
pub(crate) struct Leases(Mutex<BTreeMap<u16, Lease>>);

impl Leases {
    fn take(&self, partition: u16, holder: &str, lasting: Duration) -> Option<Epoch> {
        let (mut leases, now) = (self.0.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        let before = leases.get(&partition);
        let epoch = match before {
            Some(lease) if lease.until > now && lease.holder != holder => return None,
            Some(lease) if lease.until > now => lease.epoch,
            Some(lease) => lease.epoch + 1,
            None => 1,
        };
        leases.insert(partition, Lease { holder: holder.to_owned(), epoch, until: now + lasting });
        Some(epoch)
    }

    fn holds(&self, partition: u16, epoch: Epoch) -> bool {
        let leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        leases.get(&partition).is_some_and(|lease| lease.epoch == epoch && lease.until > Instant::now())
    }
}

impl Shards {
    async fn pending_of(&self, home: &Arc<Home>, partition: u16, limit: usize) -> Result<Vec<OutboxEvent>, StoreError> {
        let place = self.enter(home).await?;
        let Some(engine) = place.engine() else { return Ok(Vec::new()) };
        home.known.forget_waiting(partition);
        let space = home.space.clone();
        let pending = engine.reads.many(move |db| outbox::pending(db, &space, partition, limit)).await;
        if pending.as_ref().map_or(true, |pending| !pending.is_empty()) {
            home.known.still_waits(partition);
        }
        pending
    }

    async fn forget(&self, space: &Space, partition: u16, events: Vec<OutboxEvent>) -> Result<(), StoreError> {
        let Some(home) = self.home(space) else { return Ok(()) };
        let forgotten = async {
            let place = self.enter(&home).await?;
            let Some(engine) = place.engine() else { return Ok(()) };
            let forget =
                move |db: &Connection| outbox::forget(db, partition, &events).map_err(|error| unavailable(&error));
            engine.writer.run("relay", forget).await
        };
        forgotten.await.inspect_err(|error| home.troubled(error))
    }
}

#[async_trait]
impl Outbox for Shards {
    async fn lease(&self, partition: u16, holder: &str, lasting: Duration) -> Result<Option<Epoch>, StoreError> {
        Ok(self.leases.take(partition, holder, lasting))
    }

    /// A file that cannot be read holds up no other: its events wait until it can.
    async fn pending(&self, partition: u16, limit: usize) -> Result<Vec<OutboxEvent>, StoreError> {
        let mut homes = self.homes(|home| home.known.waits(partition));
        if homes.is_empty() {
            return Ok(Vec::new());
        }
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % homes.len();
        homes.sort_by(|left, right| left.space.cmp(&right.space));
        homes.rotate_left(first);
        let share = if homes.len() == 1 { limit } else { SHARE };
        let mut pending = Vec::new();
        for home in homes {
            let room = limit.saturating_sub(pending.len()).min(share);
            if room == 0 {
                break;
            }
            match self.pending_of(&home, partition, room).await {
                Ok(events) => pending.extend(events),
                Err(error) => home.troubled(&error),
            }
        }
        Ok(pending)
    }

    /// What a file does not forget is relayed again, and left out by the log: no reason to hold up the others.
    async fn relayed(&self, partition: u16, epoch: Epoch, events: &[OutboxEvent]) -> Result<(), StoreError> {
        if !self.leases.holds(partition, epoch) {
            return Err(StoreError::Conflict);
        }
        let mut of_each: BTreeMap<Space, Vec<OutboxEvent>> = BTreeMap::new();
        for event in events {
            of_each.entry(event.key.space.clone()).or_default().push(event.clone());
        }
        for (space, events) in of_each {
            drop(self.forget(&space, partition, events).await);
        }
        Ok(())
    }
}
