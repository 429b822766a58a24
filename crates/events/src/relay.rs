//! Moves events from the outbox into the log: one holder a partition, in order, at least once (the log knows ids).

use std::{sync::Arc, time::Duration};

use kernel::Envelope;
use store::{Outbox, OutboxEvent, StoreError, port::OUTBOX_PARTITIONS};
use tokio::sync::Notify;

use crate::{Entry, Log, LogError};

const LEASE: Duration = Duration::from_secs(5);
const BATCH: usize = 256;
/// Between two looks at an outbox in which nothing waited.
const LOOK: Duration = Duration::from_millis(50);

/// One relay of an engine.
pub struct Relay {
    outbox: Arc<dyn Outbox>,
    log: Arc<dyn Log>,
    holder: String,
    appended: Arc<Notify>,
}

fn entry(event: &OutboxEvent) -> Option<Entry> {
    let envelope: Envelope = serde_json::from_slice(&event.envelope).ok()?;
    Some(Entry { id: envelope.id, scope: envelope.scope, envelope: event.envelope.clone() })
}

fn store_failed(error: LogError) -> StoreError {
    StoreError::Unavailable(error.0)
}

impl Relay {
    /// A relay that calls itself `holder`; `appended` wakes the readers of the log.
    pub fn new(outbox: Arc<dyn Outbox>, log: Arc<dyn Log>, holder: String, appended: Arc<Notify>) -> Self {
        Self { outbox, log, holder, appended }
    }

    /// Moves for ever; drop the future to stop.
    pub async fn follow(self) {
        loop {
            match self.turn().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => tracing::warn!(%error, "what waits in the outbox was not moved"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Moves what waits in all partitions that are free. Returns how many events.
    pub async fn turn(&self) -> Result<usize, StoreError> {
        let mut moved = 0;
        for partition in 0..OUTBOX_PARTITIONS {
            loop {
                let pending = self.outbox.pending(partition, BATCH).await?;
                if pending.is_empty() {
                    break;
                }
                let Some(epoch) = self.outbox.lease(partition, &self.holder, LEASE).await? else { break };
                // Read again under the lease: what was seen before may be another relay's by now.
                let pending = self.outbox.pending(partition, BATCH).await?;
                self.log.append(pending.iter().filter_map(entry).collect()).await.map_err(store_failed)?;
                self.outbox.relayed(partition, epoch, &pending).await?;
                moved += pending.len();
                self.appended.notify_waiters();
                if pending.len() < BATCH {
                    break;
                }
            }
        }
        Ok(moved)
    }
}
