//! What an operator does about events and time: sees what was put aside and has it digested again, and moves the test
//! clocks of sandbox tenants.

mod dead_letters;
mod test_clock;

use std::sync::{Arc, OnceLock};

use http::Method;
use kernel::{Condition, Context, DefaultRole, Permission, PermissionDecl, Problem, Scope};
use keys::Keys;
use store::Store;
use tokio::sync::Notify;

use crate::{Log, Relay, Services, Timers, digest::Digest};
use dead_letters::{ListDeadLetters, ReplayDeadLetter};
use test_clock::{AdvanceTestClock, ReadTestClock, StartTestClock, TestClock};

const EVENTS: Permission = Permission::new("operations.event.replay");
const CLOCK: Permission = Permission::new("operations.test_clock.update");

/// What this context declares.
pub const PERMISSIONS: &[PermissionDecl] = &[
    PermissionDecl {
        permission: EVENTS,
        meaning: "see events that could not be digested, and have them digested again",
        held_by: &[(DefaultRole::Operator, Condition::Always)],
    },
    PermissionDecl {
        permission: CLOCK,
        meaning: "give a sandbox tenant a test clock, and move it",
        held_by: &[(DefaultRole::Operator, Condition::Always)],
    },
];

/// The parts that exist only once all contexts do.
struct Running {
    digests: Vec<Digest>,
    timers: Arc<Timers>,
    relay: Arc<Relay>,
}

/// The context.
pub struct Operations {
    store: Store,
    log: Arc<dyn Log>,
    appended: Arc<Notify>,
    running: OnceLock<Running>,
}

impl Operations {
    /// Operations on a store and its log, and what wakes the readers of it.
    pub fn new(store: Store, log: Arc<dyn Log>, appended: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { store, log, appended, running: OnceLock::new() })
    }

    /// The context, with its table.
    pub fn context(self: &Arc<Self>) -> Context {
        Context::new("operations", PERMISSIONS)
            .route::<ListDeadLetters, _>(Method::GET, "/v1/operations/dead-letters", self)
            .route::<ReplayDeadLetter, _>(Method::POST, "/v1/operations/dead-letters/replay", self)
            .route::<ReadTestClock, _>(Method::GET, "/v1/tenants/{tenant}/test-clock", self)
            .route::<StartTestClock, _>(Method::PUT, "/v1/tenants/{tenant}/test-clock", self)
            .route::<AdvanceTestClock, _>(Method::POST, "/v1/tenants/{tenant}/test-clock/advance", self)
    }

    /// Learns of all contexts and their timers, and of the test clocks that were started before. Once, before anything
    /// is served.
    pub async fn begin(
        &self,
        contexts: &[Context],
        (timers, relay): (Arc<Timers>, Arc<Relay>),
        keys: &Keys,
        services: &Services,
    ) -> Result<(), Problem> {
        let digests = contexts.iter().map(|context| Digest::of(context, keys.clone(), services.clone())).collect();
        // A second beginning would be a fault of the composition; what is there stays.
        drop(self.running.set(Running { digests, timers, relay }));
        TestClock::recall(&self.store, &services.cx("operations", Scope::Platform)).await
    }

    fn running(&self) -> Result<&Running, Problem> {
        self.running.get().ok_or_else(|| Problem::internal("operations have not begun"))
    }

    /// Waits until nothing more follows in a scope from what stands in the log now, or until `until`; whether it did.
    async fn settled(&self, scope: Scope, until: tokio::time::Instant) -> Result<bool, Problem> {
        let names: Vec<&str> = self.running()?.digests.iter().filter(|it| it.follows()).map(|it| it.context).collect();
        self.running()?.relay.turn().await.map_err(Problem::internal)?;
        let mut from = self.log.head().await.map_err(Problem::internal)?;
        loop {
            // Readers write their places down when they are woken for nothing.
            self.appended.notify_waiters();
            let mut lowest = u64::MAX;
            for name in &names {
                let common = self.log.position(name).await.map_err(Problem::internal)?;
                let own = self.log.position(&format!("{name}@{scope}")).await.map_err(Problem::internal)?;
                lowest = lowest.min(if own == 0 { common } else { own.min(common) });
            }
            // What they have committed may wait on its way into the log.
            self.running()?.relay.turn().await.map_err(Problem::internal)?;
            let more = self.log.read_of(scope, from, 1).await.map_err(Problem::internal)?;
            match more.first() {
                None if lowest >= from => return Ok(true),
                None => {}
                Some(event) => from = event.position,
            }
            if tokio::time::Instant::now() >= until {
                return Ok(false);
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}
