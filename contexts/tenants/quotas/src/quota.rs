//! How much of a resource a tenant uses. Amounts are reserved under an id, then confirmed; a reservation that nobody
//! confirms ends by itself. How much there is, the entitlements say.

use std::{collections::BTreeMap, time::Duration};

use contracts::{
    entitlements::{Period, QuotaView, QuotaWarning},
    tenants::SeatsView,
};
use features::Allowance;
use kernel::{Aggregate, AnyEvent, Happened, Problem, ProblemKind, ScopeKind, Timer, Timestamp, text::Key};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long a reservation lasts where nothing is said.
pub(crate) const RESERVED: Duration = Duration::from_mins(15);
/// The most ids of one resource: the body has to fit into a megabyte.
const MOST_IDS: usize = 15_000;
const WARNED: [u8; 2] = [100, 80];

/// An amount under an id, and until when if it is not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold(u64, Option<Timestamp>);

/// A resource and who uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ResourceQuota {
    resource: Key,
    /// The period that is counted, where the amount comes back.
    period: Option<String>,
    /// Used up in this period.
    spent: u64,
    /// Ids whose amount was used up, as long as their confirmation may come again; and of those who left, as long as word
    /// of their coming may still be on its way.
    settled: BTreeMap<String, Timestamp>,
    held: BTreeMap<String, Hold>,
    /// Of how many of a hundred was told.
    warned: u8,
}

pub(crate) fn begun(per: Period, now: Timestamp) -> String {
    let form = match per {
        Period::Hour => "%Y-%m-%dT%H",
        Period::Day => "%Y-%m-%d",
        Period::Month => "%Y-%m",
    };
    now.strftime(form).to_string()
}

impl ResourceQuota {
    pub(crate) fn new(resource: Key) -> Self {
        let (settled, held) = (BTreeMap::new(), BTreeMap::new());
        Self { resource, period: None, spent: 0, settled, held, warned: 0 }
    }

    pub(crate) fn used(&self) -> u64 {
        self.held.values().fold(self.spent, |used, hold| used.saturating_add(hold.0))
    }

    pub(crate) fn view(&self, allowance: Allowance) -> QuotaView {
        let Allowance { limit, soft, per } = allowance;
        QuotaView { resource: self.resource.clone(), limit, used: self.used(), soft, per }
    }

    pub(crate) fn seats(&self, allowance: Allowance) -> SeatsView {
        SeatsView { limit: allowance.limit, used: self.used() }
    }

    /// Lets go of what has ended: reservations in real time, a period in the tenant's.
    pub(crate) fn pass(&mut self, allowance: Allowance, real: Timestamp, now: Timestamp) {
        self.expire(real);
        let period = allowance.per.map(|per| begun(per, now));
        if self.period != period {
            (self.period, self.spent, self.warned) = (period, 0, 0);
        }
    }

    pub(crate) fn expire(&mut self, now: Timestamp) {
        self.held.retain(|_, hold| hold.1.is_none_or(|until| until > now));
        self.settled.retain(|_, until| *until > now);
    }

    fn take(&self, amount: u64, allowance: Allowance) -> Result<(), Problem> {
        if allowance.soft || self.used().saturating_add(amount) <= allowance.limit {
            return Ok(());
        }
        let all = format!("all {} {} are taken", allowance.limit, self.resource);
        let left = format!(
            "{} of {} {} are left",
            allowance.limit.saturating_sub(self.used()),
            allowance.limit,
            self.resource
        );
        let told = if self.used() >= allowance.limit { all } else { left };
        Err(Problem::new(ProblemKind::Limited, "tenants.quota_exhausted", told)
            .hint("free some, or ask whoever runs this installation for more"))
    }

    /// Reserves an amount until `until`; the same id again keeps what it has, for as long as either asked for.
    pub(crate) fn reserve(
        &mut self,
        id: &str,
        amount: u64,
        until: Timestamp,
        allowance: Allowance,
    ) -> Result<Vec<AnyEvent>, Problem> {
        if self.settled.contains_key(id) {
            return Ok(Vec::new());
        }
        if let Some(hold) = self.held.get_mut(id) {
            if hold.0 != amount {
                return Err(Problem::new(
                    ProblemKind::Conflict,
                    "tenants.reserved_otherwise",
                    "another amount is reserved under this id",
                )
                .hint("release it first, or choose another id"));
            }
            hold.1 = hold.1.map(|before| before.max(until));
            return Ok(Vec::new());
        }
        self.take(amount, allowance)?;
        if self.held.len() + self.settled.len() >= MOST_IDS {
            return Err(Problem::new(
                ProblemKind::Limited,
                "tenants.too_many_reservations",
                "15,000 ids of this resource are in use",
            )
            .hint("release some, or reserve more under fewer ids"));
        }
        self.held.insert(id.to_owned(), Hold(amount, Some(until)));
        Ok(self.warn(allowance))
    }

    /// Keeps what is reserved under an id: held until it is released, or used up for this period.
    pub(crate) fn confirm(&mut self, id: &str, allowance: Allowance) -> Result<Vec<AnyEvent>, Problem> {
        if self.settled.contains_key(id) {
            return Ok(Vec::new());
        }
        let Some(hold) = self.held.get_mut(id) else {
            return Err(Problem::new(
                ProblemKind::NotFound,
                "tenants.not_reserved",
                "nothing is reserved under this id (any more)",
            )
            .hint("reserve it again"));
        };
        if let (Some(_), Some(until)) = (allowance.per, hold.1) {
            self.spent = self.spent.saturating_add(hold.0);
            self.held.remove(id);
            self.settled.insert(id.to_owned(), until);
        } else {
            hold.1 = None;
        }
        Ok(Vec::new())
    }

    /// Counts one under an id, even over the limit: who is there is counted. Not who has left by now.
    pub(crate) fn count(&mut self, id: &str, allowance: Allowance) -> Vec<AnyEvent> {
        if self.settled.contains_key(id) {
            return Vec::new();
        }
        self.held.insert(id.to_owned(), Hold(1, None));
        self.warn(allowance)
    }

    /// Counts one who had left.
    pub(crate) fn count_again(&mut self, id: &str, allowance: Allowance) -> Vec<AnyEvent> {
        self.settled.remove(id);
        self.count(id, allowance)
    }

    /// Gives back what an id holds, and what it is still to be counted for until `until`: what two aggregates tell of one
    /// person can come in any order.
    pub(crate) fn leave(&mut self, id: &str, until: Timestamp, allowance: Allowance) {
        self.release(id, allowance);
        self.settled.insert(id.to_owned(), until);
    }

    /// Gives back what an id holds.
    pub(crate) fn release(&mut self, id: &str, allowance: Allowance) {
        self.held.remove(id);
        self.warn(allowance);
    }

    /// Uses up of this period: all of `most` if there is so much, and never less than `least`. Returns how much.
    pub(crate) fn spend(
        &mut self,
        least: u64,
        most: u64,
        allowance: Allowance,
    ) -> Result<(u64, Vec<AnyEvent>), Problem> {
        self.take(least, allowance)?;
        let left = if allowance.soft { most } else { allowance.limit.saturating_sub(self.used()) };
        let taken = most.min(left).max(least);
        self.spent = self.spent.saturating_add(taken);
        Ok((taken, self.warn(allowance)))
    }

    /// Tells once of each threshold, and again after less was used meanwhile.
    fn warn(&mut self, allowance: Allowance) -> Vec<AnyEvent> {
        let (used, limit) = (self.used(), allowance.limit);
        let reached = |percent: &u8| u128::from(used) * 100 >= u128::from(limit) * u128::from(*percent) && used > 0;
        let percent = WARNED.into_iter().find(reached).unwrap_or(0);
        let before = std::mem::replace(&mut self.warned, percent);
        if percent <= before {
            return Vec::new();
        }
        QuotaWarning { resource: self.resource.to_string(), percent, used, limit }.events()
    }
}

impl Aggregate for ResourceQuota {
    type Id = Key;
    const KIND: &'static str = "tenants.resource_quota";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const VERSION: u16 = 2;

    fn id(&self) -> Key {
        self.resource.clone()
    }

    fn timers(&self) -> Vec<Timer> {
        let ends = self.held.values().filter_map(|hold| hold.1).min();
        ends.map(|due| Timer { name: "expire", due }).into_iter().collect()
    }

    /// The first version held seats only, and knew the limit itself.
    fn upcast(version: u16, body: Value) -> Value {
        if version != 1 {
            return body;
        }
        let held = body.get("held").and_then(Value::as_object).cloned().unwrap_or_default();
        let held: serde_json::Map<_, _> = held.into_iter().map(|(id, until)| (id, json!([1, until]))).collect();
        json!({ "resource": body.get("resource"), "period": null, "spent": 0, "settled": {}, "held": held, "warned": 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quota() -> ResourceQuota {
        ResourceQuota::new("projects".parse().unwrap())
    }

    fn hard(limit: u64) -> Allowance {
        Allowance { limit, soft: false, per: None }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[derive(Debug, Clone)]
    enum Act {
        Reserve(u8, u64),
        Confirm(u8),
        Release(u8),
        Spend(u64, u64),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            (0_u8..6, 1_u64..5).prop_map(|(id, amount)| Act::Reserve(id, amount)),
            (0_u8..6).prop_map(Act::Confirm),
            (0_u8..6).prop_map(Act::Release),
            (1_u64..5, 1_u64..9).prop_map(|(least, most)| Act::Spend(least, most)),
        ]
    }

    proptest! {
        /// Whatever comes in whatever order: never more than the limit, and what was given stays until it ends.
        #[test]
        fn never_more_than_the_limit(limit in 0_u64..12, monthly: bool, acts in prop::collection::vec((act(), 0_i64..400), 0..60)) {
            let allowance = Allowance { limit, soft: false, per: monthly.then_some(Period::Month) };
            let mut it = quota();
            let mut now = 0;
            for (act, step) in acts {
                now += step;
                it.pass(allowance, at(now), at(now));
                let before = it.used();
                match act {
                    Act::Reserve(id, amount) => {
                        let known = it.held.contains_key(&id.to_string()) || it.settled.contains_key(&id.to_string());
                        let given = it.reserve(&id.to_string(), amount, at(now + 900), allowance).is_ok();
                        prop_assert!(known || given == (before + amount <= limit));
                        prop_assert_eq!(it.used(), if given && !known { before + amount } else { before });
                    }
                    Act::Confirm(id) => {
                        let first = it.confirm(&id.to_string(), allowance).is_ok();
                        prop_assert_eq!(first, it.confirm(&id.to_string(), allowance).is_ok());
                        prop_assert_eq!(it.used(), before, "what was reserved is counted already, and once");
                    }
                    Act::Release(id) => {
                        it.release(&id.to_string(), allowance);
                        prop_assert!(it.used() <= before);
                    }
                    Act::Spend(least, most) => {
                        let most = most.max(least);
                        match it.spend(least, most, allowance) {
                            Ok((taken, _)) => prop_assert!(taken >= least && taken <= most && it.used() == before + taken),
                            Err(_) => prop_assert!(before + least > limit && it.used() == before),
                        }
                    }
                }
                prop_assert!(it.used() <= limit);
            }
        }
    }

    #[test]
    fn a_reservation_that_nobody_confirms_ends() {
        let mut it = quota();
        it.reserve("a", 1, at(900), hard(1)).unwrap();
        assert!(it.reserve("b", 1, at(900), hard(1)).is_err());
        assert!(it.reserve("a", 2, at(900), hard(9)).is_err(), "another amount under the same id");
        assert_eq!(it.timers().len(), 1);
        it.reserve("a", 1, at(2_000), hard(1)).unwrap();
        it.pass(hard(1), at(1_000), at(1_000));
        assert_eq!(it.used(), 1, "asked for longer, it lasts longer");
        it.pass(hard(1), at(2_000), at(2_000));
        it.reserve("b", 1, at(3_000), hard(1)).unwrap();
        it.confirm("b", hard(1)).unwrap();
        assert!(it.timers().is_empty(), "what is confirmed stays");
        assert!(it.confirm("a", hard(1)).is_err());
    }

    #[test]
    fn who_has_left_is_not_counted_by_late_word_of_their_coming() {
        let mut it = quota();
        it.reserve("a", 1, at(900), hard(1)).unwrap();
        it.leave("a", at(5_000), hard(1));
        it.pass(hard(1), at(4_000), at(4_000));
        it.count("a", hard(1));
        assert_eq!(it.used(), 0);
        it.count_again("a", hard(1));
        assert_eq!(it.used(), 1, "who comes back is counted");
    }

    #[test]
    fn warnings_are_told_once_and_again_after_less_was_used() {
        let soft = Allowance { limit: 10, soft: true, per: None };
        let mut it = quota();
        let told = |it: &mut ResourceQuota, id: &str, amount| {
            let events = it.reserve(id, amount, at(900), soft).unwrap();
            events.first().map(|event| event.data["percent"].as_u64().unwrap())
        };
        assert_eq!(told(&mut it, "a", 7), None);
        assert_eq!(told(&mut it, "b", 1), Some(80));
        assert_eq!(told(&mut it, "c", 1), None);
        assert_eq!(told(&mut it, "d", 4), Some(100), "a soft limit lets it be");
        it.release("a", soft);
        assert_eq!(told(&mut it, "e", 3), Some(80));
        assert!(told(&mut quota(), "a", 12) == Some(100), "the higher alone");
    }

    #[test]
    fn a_period_that_is_over_gives_back() {
        let daily = Allowance { limit: 3, soft: false, per: Some(Period::Day) };
        let mut it = quota();
        it.pass(daily, at(0), at(0));
        it.spend(1, 2, daily).unwrap();
        it.reserve("a", 1, at(86_300), daily).unwrap();
        it.confirm("a", daily).unwrap();
        it.release("a", daily);
        assert!(it.spend(1, 1, daily).is_err(), "used up is used up");
        it.pass(daily, at(86_399), at(86_399));
        assert_eq!(it.used(), 3);
        it.pass(daily, at(86_400), at(86_400));
        assert_eq!(it.used(), 0);
    }

    #[test]
    fn the_first_version_is_still_read() {
        let body = json!({ "resource": "seats", "limit": 5, "held": { "a": null, "b": "1970-01-01T00:15:00Z" } });
        let it: ResourceQuota = serde_json::from_value(ResourceQuota::upcast(1, body)).unwrap();
        assert_eq!((it.used(), it.timers().len()), (2, 1));
    }
}
