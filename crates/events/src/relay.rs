//! Moves events from the outbox into the log: one holder a partition, in order, at least once (the log knows ids).

use std::{sync::Arc, time::Duration};

use kernel::Envelope;
use store::{Outbox, OutboxEvent, StoreError, port::OUTBOX_PARTITIONS};
use tokio::sync::Notify;

use crate::{Entry, Log, LogError, timers::scope_of};

const LEASE: Duration = Duration::from_secs(5);
const BATCH: usize = 256;
/// Between two looks at an outbox, as not every one tells when something waits: this long after something was there, and
/// twice as long each time that nothing was, up to the longest.
const LOOK: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// One relay of an engine.
pub struct Relay {
    outbox: Arc<dyn Outbox>,
    log: Arc<dyn Log>,
    holder: String,
    appended: Arc<Notify>,
}

/// What cannot be read goes into the log as well: its readers put it aside, where an operator sees it.
fn entry(event: &OutboxEvent) -> Option<Entry> {
    let scope = scope_of(&event.key.space)?;
    let known = serde_json::from_slice::<Envelope>(&event.envelope).map(|envelope| envelope.id);
    let id = known.unwrap_or_else(|_| format!("{}/{}/{}", event.key, event.version, event.place));
    Some(Entry { id, scope, envelope: event.envelope.clone() })
}

fn store_failed(error: LogError) -> StoreError {
    StoreError::Unavailable(error.0)
}

impl Relay {
    /// A relay that calls itself `holder`; `appended` wakes the readers of the log.
    pub fn new(outbox: Arc<dyn Outbox>, log: Arc<dyn Log>, holder: String, appended: Arc<Notify>) -> Self {
        Self { outbox, log, holder, appended }
    }

    /// Moves for ever; `waiting` wakes it. Drop the future to stop.
    pub async fn follow(&self, waiting: &Notify) {
        let mut pause = LOOK;
        loop {
            match self.turn().await {
                Ok(0) => {
                    let woken = tokio::time::timeout(pause, waiting.notified()).await.is_ok();
                    pause = if woken { LOOK } else { (pause * 2).min(LONGEST) };
                }
                Ok(_) => pause = LOOK,
                Err(error) => {
                    tracing::warn!(%error, "events cannot be moved into the log");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST);
                }
            }
        }
    }

    /// Moves what waits in all partitions that are free. Returns how many events. One that fails holds up no other.
    pub async fn turn(&self) -> Result<usize, StoreError> {
        let (mut moved, mut failed) = (0, None);
        for partition in 0..OUTBOX_PARTITIONS {
            match self.partition(partition).await {
                Ok(count) => moved += count,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(moved), Err)
    }

    async fn partition(&self, partition: u16) -> Result<usize, StoreError> {
        let mut moved = 0;
        while !self.outbox.pending(partition, 1).await?.is_empty() {
            let Some(epoch) = self.outbox.lease(partition, &self.holder, LEASE).await? else { break };
            // Read under the lease: what was seen before may be another relay's by now.
            let pending = self.outbox.pending(partition, BATCH).await?;
            self.log.append(pending.iter().filter_map(entry).collect()).await.map_err(store_failed)?;
            self.appended.notify_waiters();
            self.outbox.relayed(partition, epoch, &pending).await?;
            moved += pending.len();
            if pending.len() < BATCH {
                break;
            }
        }
        Ok(moved)
    }
}
