//! A tenant's trial, in its own scope, so that it runs on the tenant's clock.

use std::time::Duration;

use contracts::tenants::{TrialEnded, TrialEnding};
use kernel::{Aggregate, AnyEvent, Happened, ScopeKind, TenantId, Timer, Timestamp};
use serde::{Deserialize, Serialize};

/// So long before the end it is told that it comes.
const NOTICE: Duration = Duration::from_hours(3 * 24);

/// When it ends, and what was told of that.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Trial {
    tenant: TenantId,
    /// `None` once it is over, or the tenant became active before.
    ends: Option<Timestamp>,
    announced: bool,
}

impl Trial {
    pub(crate) const ID: &'static str = "trial";

    pub(crate) fn new(tenant: TenantId, ends: Timestamp) -> Self {
        Self { tenant, ends: Some(ends), announced: false }
    }

    /// What is due by `now`.
    pub(crate) fn pass(&mut self, now: Timestamp) -> Vec<AnyEvent> {
        let Some(ends) = self.ends else { return Vec::new() };
        if now >= ends {
            self.ends = None;
            return TrialEnded { tenant: self.tenant }.events();
        }
        if !self.announced && now + NOTICE >= ends {
            self.announced = true;
            return TrialEnding { tenant: self.tenant, ends }.events();
        }
        Vec::new()
    }

    /// The tenant became active.
    pub(crate) fn settle(&mut self) {
        self.ends = None;
    }
}

impl Aggregate for Trial {
    type Id = String;
    const KIND: &'static str = "tenants.trial";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }

    fn timers(&self) -> Vec<Timer> {
        let Some(ends) = self.ends else { return Vec::new() };
        let announce = ends.checked_sub(NOTICE).unwrap_or(Timestamp::MIN);
        let announce = (!self.announced).then_some(Timer { name: "ending", due: announce });
        announce.into_iter().chain([Timer { name: "ended", due: ends }]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_announced_and_comes_once() {
        let day = Duration::from_hours(24);
        let start = Timestamp::UNIX_EPOCH;
        let mut it = Trial::new(kernel::Id::from_uuid(uuid::Uuid::from_u128(1)), start + day * 14);
        assert!(it.pass(start).is_empty());
        let told = |events: Vec<AnyEvent>| events.iter().map(|it| it.r#type).collect::<Vec<_>>();
        assert_eq!(told(it.pass(start + day * 11)), ["tenants.TrialEnding.v1"]);
        assert!(it.pass(start + day * 12).is_empty(), "a timer may fire twice");
        assert_eq!(told(it.pass(start + day * 14)), ["tenants.TrialEnded.v1"]);
        assert!(it.pass(start + day * 15).is_empty() && it.timers().is_empty());
    }
}
