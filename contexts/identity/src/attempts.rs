//! What failed proofs lead to, for whoever signs in: people and operators alike.

use std::time::Duration;

use kernel::Timestamp;
use serde::{Deserialize, Serialize};

/// Failed attempts before a pause.
const FAILURES: u32 = 5;

/// The failures since the last success.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Attempts {
    failures: u32,
    locked_until: Option<Timestamp>,
}

impl Attempts {
    pub(crate) fn paused(&self, now: Timestamp) -> bool {
        self.locked_until.is_some_and(|until| now < until)
    }

    /// A wrong password or code: after five there is a pause, twice as long each time, up to an hour.
    pub(crate) fn failed(&mut self, now: Timestamp) {
        // A pause is not made longer by whoever keeps trying: its owner could be kept out for ever.
        if self.paused(now) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            let doubled = 30_u64 << (self.failures - FAILURES).min(7);
            self.locked_until = Some(now + Duration::from_secs(doubled.min(3_600)));
        }
    }

    /// A proof that was right makes up for all before.
    pub(crate) fn forgiven(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_failures_pauses_and_a_pause_is_not_prolonged_by_it() {
        let (mut it, start) = (Attempts::default(), Timestamp::UNIX_EPOCH);
        for _ in 0..FAILURES {
            assert!(!it.paused(start));
            it.failed(start);
        }
        assert!(it.paused(start));
        it.failed(start + Duration::from_secs(29));
        assert!(!it.paused(start + Duration::from_secs(30)));
        it.failed(start + Duration::from_secs(30));
        assert!(it.paused(start + Duration::from_secs(89)), "the next pause is twice as long");
        for _ in 0..30 {
            let now = it.locked_until.unwrap();
            it.failed(now);
            assert!(!it.paused(now + Duration::from_hours(1)), "and none is longer than an hour");
        }
        it.forgiven();
        it.failed(start);
        assert!(!it.paused(start));
    }
}
