//! Events stand in the partition of their core until they are in the log; which cores have some stands in `waiting`.
//!
//! A lease and a core are two partitions, so the epoch is checked before events are forgotten, and not in the same
//! step. That is enough: a relay forgets only what the log, which checks the epoch itself, has taken.

use std::time::Duration;

use async_trait::async_trait;
use store::{CoreKey, Epoch, Outbox, OutboxEvent, Space, StoreError};

use crate::{
    ScyllaEngine,
    cql::{Columns, big, int, text},
    state::of,
};

/// Ordered as text by version, then place.
pub(crate) fn event_row(version: u64, place: usize) -> String {
    format!("{version:020}-{place:05}")
}

fn event(key: &CoreKey, row: &Columns) -> Result<OutboxEvent, StoreError> {
    let name = row.text(0);
    let corrupt = || StoreError::Corrupt(format!("{key} holds an event named {name:?}"));
    let (version, place) = name.split_once('-').ok_or_else(corrupt)?;
    let (version, place) = (version.parse().map_err(|_| corrupt())?, place.parse().map_err(|_| corrupt())?);
    Ok(OutboxEvent { key: key.clone(), version, place, envelope: row.blob(1) })
}

const FORGET: &str = "DELETE FROM cores WHERE space=? AND kind=? AND id=? AND rt='e' AND rk=? IF EXISTS";

impl ScyllaEngine {
    async fn events(&self, key: &CoreKey) -> Result<Vec<OutboxEvent>, StoreError> {
        let sql = "SELECT rk, v FROM cores WHERE space=? AND kind=? AND id=? AND rt='e'";
        self.cql.settled(sql, of(key)).await?.iter().map(|row| event(key, row)).collect()
    }

    async fn no_longer_waits(&self, partition: u16, key: &CoreKey, ts: i64) -> Result<(), StoreError> {
        let sql = "DELETE FROM waiting USING TIMESTAMP ? WHERE part=? AND space=? AND kind=? AND id=?";
        self.cql.write(sql, [vec![big(ts), int(i32::from(partition))], of(key)].concat()).await
    }

    async fn holds_lease(&self, partition: u16, epoch: Epoch) -> Result<bool, StoreError> {
        let sql = "SELECT epoch, until FROM leases WHERE part=?";
        let rows = self.cql.settled(sql, vec![int(i32::from(partition))]).await?;
        let now = self.clock.now().as_microsecond();
        let holds =
            |row: &Columns| row.big(0) == i64::try_from(epoch).ok() && row.big(1).is_some_and(|until| until > now);
        Ok(rows.first().is_some_and(holds))
    }
}

#[async_trait]
impl Outbox for ScyllaEngine {
    async fn lease(&self, partition: u16, holder: &str, lasting: Duration) -> Result<Option<Epoch>, StoreError> {
        let part = int(i32::from(partition));
        let rows = self.cql.settled("SELECT holder, epoch, until FROM leases WHERE part=?", vec![part.clone()]).await?;
        let now = self.clock.now().as_microsecond();
        let until = now.saturating_add(i64::try_from(lasting.as_micros()).unwrap_or(i64::MAX));
        let Some(row) = rows.first().filter(|row| row.big(1).is_some()) else {
            let sql = "INSERT INTO leases (part, holder, epoch, until) VALUES (?, ?, 1, ?) IF NOT EXISTS";
            let taken = self.cql.on_condition(sql, vec![part, text(holder), big(until)]).await?;
            return Ok(taken.then_some(1));
        };
        let runs = row.big(2).is_some_and(|until| until > now);
        let own = row.text(0) == holder;
        if runs && !own {
            return Ok(None);
        }
        let epoch = row.big(1).unwrap_or_default() + i64::from(!(runs && own));
        let sql = "UPDATE leases SET holder=?, epoch=?, until=? WHERE part=? IF epoch=? AND until=?";
        let with = vec![text(holder), big(epoch), big(until), part, row.raw(1), row.raw(2)];
        let taken = self.cql.on_condition(sql, with).await?;
        Ok(u64::try_from(epoch).ok().filter(|_| taken))
    }

    async fn pending(&self, partition: u16, limit: usize) -> Result<Vec<OutboxEvent>, StoreError> {
        let mut pending = Vec::new();
        let sql = "SELECT space, kind, id, ts FROM waiting WHERE part=?";
        for row in self.cql.read(sql, vec![int(i32::from(partition))]).await? {
            let Some(space) = Space::parse(&row.text(0)) else { continue };
            let key = CoreKey { space, kind: row.text(1), id: row.text(2) };
            let events = self.events(&key).await?;
            if events.is_empty() {
                // By the timestamp that was read before the core: an entry of a later commit stays.
                self.no_longer_waits(partition, &key, row.big(3).unwrap_or_default()).await?;
            }
            pending.extend(events);
            if pending.len() >= limit {
                pending.truncate(limit);
                break;
            }
        }
        Ok(pending)
    }

    async fn relayed(&self, partition: u16, epoch: Epoch, events: &[OutboxEvent]) -> Result<(), StoreError> {
        if !self.holds_lease(partition, epoch).await? {
            return Err(StoreError::Conflict);
        }
        for of_one in events.chunk_by(|left, right| left.key == right.key) {
            let place = |event: &OutboxEvent| usize::try_from(event.place).unwrap_or(usize::MAX);
            let forget = |event: &OutboxEvent| {
                (FORGET, [of(&event.key), vec![text(&event_row(event.version, place(event)))]].concat())
            };
            if self.cql.all_or_nothing(&of_one.iter().map(forget).collect()).await? {
                continue;
            }
            // Some of them were forgotten before.
            for event in of_one {
                self.cql.all_or_nothing(&vec![forget(event)]).await?;
            }
        }
        Ok(())
    }
}
