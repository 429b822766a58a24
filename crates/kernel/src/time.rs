//! Time as a port: nothing reads the machine's clock but through a [`Clock`].

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

pub use jiff::Timestamp;

use crate::id::TenantId;

/// Tells the time. Real in production; set by hand in tests, in the simulation and for a sandbox tenant's test clock.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The machine's clock, in UTC.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the port's one real implementation")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Stands at `start`.
    pub fn at(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.as_millisecond()))
    }

    /// Moves forward.
    pub fn advance(&self, by: std::time::Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }
}

/// The test clocks of sandbox tenants, as this process knows them. A tenant without one lives in real time.
#[derive(Debug, Default)]
pub struct TestClocks {
    instants: RwLock<HashMap<TenantId, Timestamp>>,
    /// How many there are, so that whoever has none pays for one load.
    count: AtomicUsize,
}

impl TestClocks {
    /// What a tenant's test clock shows, if it has one.
    pub fn of(&self, tenant: TenantId) -> Option<Timestamp> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.instants.read().unwrap_or_else(PoisonError::into_inner).get(&tenant).copied()
    }

    /// Sets a tenant's test clock.
    pub fn set(&self, tenant: TenantId, at: Timestamp) {
        let mut instants = self.instants.write().unwrap_or_else(PoisonError::into_inner);
        instants.insert(tenant, at);
        self.count.store(instants.len(), Ordering::Release);
    }
}

/// Whose time a timer goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeDomain {
    /// The tenant's: its test clock, where it has one. Trials, periods, reminders.
    Tenant,
    /// Real time, always: retries, leases, reservations, the end of what security hangs on.
    Real,
}
