//! Due timers and the store's upkeep.

use std::{sync::Arc, time::Duration};

use kernel::{
    Scope,
    context::{Context, Fired},
};
use store::{DueTimer, StoreError, Upkeep};

use crate::Services;

const BATCH: usize = 200;
const LOOK: Duration = Duration::from_millis(250);
/// Looks at timers between two rounds of upkeep.
const ROUNDS: u32 = 40;
/// Younger attempts are left to their writers.
const GRACE: Duration = Duration::from_mins(1);

/// Acts on the timers of all contexts, on real time.
pub struct Timers {
    contexts: Arc<Vec<Context>>,
    upkeep: Arc<dyn Upkeep>,
    services: Services,
}

impl Timers {
    /// The timers of these contexts.
    pub fn new(contexts: Arc<Vec<Context>>, upkeep: Arc<dyn Upkeep>, services: Services) -> Self {
        Self { contexts, upkeep, services }
    }

    /// Looks for ever; drop the future to stop.
    pub async fn follow(self) {
        let mut round: u32 = 0;
        loop {
            if let Err(error) = self.turn().await {
                tracing::warn!(%error, "timers cannot be read");
            }
            round = round.wrapping_add(1);
            if round.is_multiple_of(ROUNDS) {
                let now = self.services.cx("store", Scope::Platform).now();
                let swept = self.upkeep.sweep(now, BATCH).await;
                let repaired = self.upkeep.repair(now, GRACE).await;
                if let Err(error) = swept.and(repaired) {
                    tracing::warn!(%error, "upkeep did not finish");
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Acts on what is due now. Returns how many timers.
    pub async fn turn(&self) -> Result<usize, StoreError> {
        let now = self.services.cx("store", Scope::Platform).now();
        let due = self.upkeep.due(None, now, BATCH).await?;
        for timer in &due {
            self.act(timer).await;
        }
        Ok(due.len())
    }

    async fn act(&self, due: &DueTimer) {
        let acting = self.contexts.iter().find_map(|context| {
            let found = context.timers.iter().find(|(kind, _)| *kind == due.key.kind);
            found.map(|(_, act)| (context.name, Arc::clone(act)))
        });
        let Some((name, act)) = acting else { return };
        let scope = match due.key.space.as_str() {
            "platform" => Some(Scope::Platform),
            tenant => tenant.parse().ok().map(Scope::Tenant),
        };
        let Some(scope) = scope else { return };
        let fired = Fired { id: due.key.id.clone(), timer: due.timer.name.clone(), due: due.timer.due };
        let key = format!("timer/{}/{}/{}", due.key, fired.timer, fired.due);
        let cx = self.services.cx(name, scope).repeatable(&key);
        if let Err(problem) = act(fired, cx).await {
            tracing::warn!(timer = %due.key, code = problem.code(), cause = problem.source_text(), "a timer's act failed");
        }
    }
}
