//! What has to be done now and then: ephemeral cores end, what a crash left half done is finished, the log is trimmed.

use std::{sync::Arc, time::Duration};

use store::Upkeep;

use crate::{Log, Services};

const EVERY: Duration = Duration::from_secs(10);
const BATCH: usize = 500;
/// Younger attempts are left to their writers.
const GRACE: Duration = Duration::from_mins(1);

/// Keeps store and log in order.
pub struct Housekeeping {
    upkeep: Arc<dyn Upkeep>,
    log: Arc<dyn Log>,
    services: Services,
    /// For how long events are kept. A view that is older is rebuilt from cores.
    retention: Duration,
}

impl Housekeeping {
    /// Housekeeping of a store and a log whose events are kept for `retention`.
    pub fn new(upkeep: Arc<dyn Upkeep>, log: Arc<dyn Log>, services: Services, retention: Duration) -> Self {
        Self { upkeep, log, services, retention }
    }

    /// Does it for ever; drop the future to stop.
    pub async fn follow(self) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.turn().await;
        }
    }

    /// Does it once. What fails is tried again the next time.
    pub async fn turn(&self) {
        let now = self.services.ambient().clock.now();
        let swept = self.upkeep.sweep(now, BATCH).await;
        let repaired = self.upkeep.repair(now, GRACE).await;
        if let Err(error) = swept.and(repaired) {
            tracing::warn!(%error, "upkeep did not finish");
        }
        let before = now.checked_sub(self.retention).unwrap_or(kernel::Timestamp::MIN);
        if let Err(error) = self.log.trim(before).await {
            tracing::warn!(%error, "the log was not trimmed");
        }
    }
}
