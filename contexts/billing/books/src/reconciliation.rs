//! What a gateway knows is compared with what is known here, each day: a notice may be lost, and a backup may be restored
//! that is older than a payment.

use std::time::Duration;

use contracts::payments::PaymentsReconciled;
use kernel::{Aggregate, ScopeKind, Term, Timer, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often, and how far back beyond the last time: a debit from a bank account takes days.
const EACH: Duration = Duration::from_hours(24);
const OVERLAP: Duration = Duration::from_hours(24 * 14);

/// What came of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    /// Payments that the gateway told of.
    pub seen: u32,
    /// Those of them of which something was not known here.
    pub repaired: u32,
    /// Those whose attempt is not known here, and whose money became the tenant's credits.
    pub unknown: u32,
}

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reconciliation {
    gateway: String,
    /// Up to when was compared.
    upto: Timestamp,
    next: Timestamp,
    last: Option<Found>,
}

impl Reconciliation {
    /// From now on.
    pub fn begin(gateway: &str, now: Timestamp) -> Self {
        Self { gateway: gateway.to_owned(), upto: now, next: now + EACH, last: None }
    }

    /// From when on is compared.
    pub fn from(&self) -> Timestamp {
        self.upto.checked_sub(OVERLAP).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// It was compared, beginning at an instant.
    pub fn done(&mut self, began: Timestamp, found: Found) -> PaymentsReconciled {
        self.upto = self.upto.max(began);
        (self.next, self.last) = (began + EACH, Some(found));
        let (seen, repaired, unknown) = (found.seen, found.repaired, found.unknown);
        PaymentsReconciled { gateway: self.gateway.clone(), seen, repaired, unknown }
    }

    /// It could not be compared: another day.
    pub fn postpone(&mut self, now: Timestamp) {
        self.next = now + EACH;
    }

    /// Up to when was compared.
    pub const fn upto(&self) -> Timestamp {
        self.upto
    }

    /// When it is compared next.
    pub const fn next(&self) -> Timestamp {
        self.next
    }

    /// What came of it the last time.
    pub const fn last(&self) -> Option<Found> {
        self.last
    }
}

impl Aggregate for Reconciliation {
    type Id = String;
    const KIND: &'static str = "billing.reconciliation";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> String {
        self.gateway.clone()
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }

    fn timers(&self) -> Vec<Timer> {
        vec![Timer { name: "next", due: self.next }]
    }
}
