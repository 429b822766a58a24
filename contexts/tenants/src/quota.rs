//! How much of a resource a tenant may use. Amounts are reserved under an id, then confirmed; a reservation that nobody
//! confirms ends by itself.

use std::{collections::BTreeMap, time::Duration};

use contracts::tenants::{ResourceQuotaUpdated, SeatsView};
use kernel::{Aggregate, Problem, ProblemKind, ScopeKind, Timer, Timestamp};
use serde::{Deserialize, Serialize};

/// The seats of people.
pub(crate) const SEATS: &str = "seats";
/// What a tenant has before anybody decides otherwise.
pub(crate) const FREE_SEATS: u64 = 5;
const RESERVED: Duration = Duration::from_mins(15);
/// The longest that anything is reserved without being confirmed.
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// A quota and who uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ResourceQuota {
    resource: String,
    limit: u64,
    /// Who holds one, and until when if it is not confirmed.
    held: BTreeMap<String, Option<Timestamp>>,
}

impl ResourceQuota {
    pub(crate) fn new(resource: &str, limit: u64) -> Self {
        Self { resource: resource.to_owned(), limit, held: BTreeMap::new() }
    }

    pub(crate) fn view(&self) -> SeatsView {
        SeatsView { limit: self.limit, used: self.held.len() as u64 }
    }

    pub(crate) fn expire(&mut self, now: Timestamp) {
        self.held.retain(|_, until| until.is_none_or(|until| until > now));
    }

    /// Until the instant that is asked for; a reservation that is held already lasts until the later of the two.
    pub(crate) fn reserve(&mut self, holder: &str, until: Option<Timestamp>, now: Timestamp) -> Result<(), Problem> {
        self.expire(now);
        let until = until.unwrap_or(now + RESERVED).min(now + LONGEST);
        if let Some(held) = self.held.get_mut(holder) {
            *held = held.map(|before| before.max(until));
            return Ok(());
        }
        if self.held.len() as u64 >= self.limit {
            let all = format!("all {} {} are taken", self.limit, self.resource);
            return Err(Problem::new(ProblemKind::Limited, "tenants.quota_exhausted", all)
                .hint("free one, or ask whoever runs this installation for more"));
        }
        self.held.insert(holder.to_owned(), Some(until));
        Ok(())
    }

    /// Gives back what is reserved; what is confirmed stays.
    pub(crate) fn release(&mut self, holder: &str) {
        self.held.retain(|held, until| held != holder || until.is_none());
    }

    /// Also for one whose reservation ended meanwhile: who is there is counted.
    pub(crate) fn confirm(&mut self, holder: &str) {
        self.held.insert(holder.to_owned(), None);
    }

    pub(crate) fn update(&mut self, limit: u64) -> ResourceQuotaUpdated {
        self.limit = limit;
        ResourceQuotaUpdated { resource: self.resource.clone(), limit }
    }
}

impl Aggregate for ResourceQuota {
    type Id = String;
    const KIND: &'static str = "tenants.resource_quota";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        self.resource.clone()
    }

    fn timers(&self) -> Vec<Timer> {
        self.held.values().flatten().min().map(|due| Timer { name: "expire", due: *due }).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_the_limit_is_reserved(limit in 0_u64..6, asks in prop::collection::vec((0_u8..9, 0_i64..3_000, any::<bool>()), 0..60)) {
            let mut quota = ResourceQuota::new(SEATS, limit);
            let mut now = 0;
            for (who, step, confirms) in asks {
                now += step;
                let at = Timestamp::from_second(now).unwrap();
                let holder = who.to_string();
                let before = { let mut fresh = quota.clone(); fresh.expire(at); fresh };
                let given = quota.reserve(&holder, None, at).is_ok();
                let free = before.held.contains_key(&holder) || (before.held.len() as u64) < limit;
                prop_assert_eq!(given, free);
                if given && confirms {
                    quota.confirm(&holder);
                }
                prop_assert!(quota.view().used <= limit);
            }
        }
    }

    #[test]
    fn a_reservation_that_nobody_confirms_ends() {
        let mut quota = ResourceQuota::new(SEATS, 1);
        let start = Timestamp::UNIX_EPOCH;
        quota.reserve("a", None, start).unwrap();
        assert!(quota.reserve("b", None, start).is_err());
        assert_eq!(quota.timers().len(), 1);
        quota.reserve("b", None, start + RESERVED).unwrap();
        quota.confirm("b");
        assert!(quota.timers().is_empty(), "what is confirmed stays");
    }

    #[test]
    fn a_reservation_lasts_as_long_as_it_was_asked_for_and_can_be_given_back() {
        let mut quota = ResourceQuota::new(SEATS, 1);
        let start = Timestamp::UNIX_EPOCH;
        quota.reserve("a", Some(start + LONGEST * 2), start).unwrap();
        quota.reserve("a", None, start).unwrap();
        assert!(quota.reserve("b", None, start + LONGEST - RESERVED).is_err(), "asking again makes it no shorter");
        quota.release("a");
        quota.reserve("b", Some(start + LONGEST * 2), start).unwrap();
        quota.reserve("a", None, start + LONGEST).unwrap();
        quota.confirm("a");
        quota.release("a");
        assert_eq!(quota.view().used, 1, "a seat that is taken is not given back like this");
    }
}
