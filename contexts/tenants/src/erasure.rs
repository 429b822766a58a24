//! The saga that destroys a tenant: a cursor over everything that holds its data. Each step can be done again, and the
//! cursor moves after it, so that a crash between any two of them repeats one and leaves out none.

use std::time::Duration;

use contracts::tenants::TenantErased;
use kernel::{Aggregate, AnyEvent, Happened, ScopeKind, TenantId, Timer, Timestamp, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Before all others: what is left anywhere cannot be read after it, and then what the keys had sealed.
pub(crate) const STORE: &str = "keys and store";
/// The domains that led to it.
pub(crate) const DOMAINS: &str = "domains";
/// After all others: without it, what the platform's own log says of the tenant cannot be read.
pub(crate) const NAMES: &str = "names in the platform's log";

/// After so long nothing is under way any more that began before the keys were destroyed.
const UNDER_WAY: Duration = Duration::from_mins(5);
/// The timer that removes once more what was written meanwhile. Nobody can read it.
pub(crate) const SWEEP: &str = "sweep";

/// What was destroyed, and what is left.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Erasure {
    tenant: TenantId,
    /// Whose key in the platform's scope seals what its events say of the tenant.
    owner: UserId,
    /// What is to be destroyed, in order.
    steps: Vec<String>,
    /// When each was; the next step is the first without.
    done: Vec<Timestamp>,
    since: Timestamp,
    /// What was under way when the keys went, and was written after it, is removed as well.
    #[serde(default)]
    swept: bool,
}

/// The saga as an operator sees it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ErasureView {
    /// Each step.
    pub(crate) steps: Vec<crate::provisioning::StepView>,
    /// Since when.
    #[schemars(with = "String")]
    pub(crate) since: Timestamp,
}

impl Erasure {
    pub(crate) fn new(tenant: TenantId, owner: UserId, parts: &[&str], now: Timestamp) -> Self {
        let steps = [STORE, DOMAINS].into_iter().chain(parts.iter().copied()).chain([NAMES]);
        Self { tenant, owner, steps: steps.map(str::to_owned).collect(), done: Vec::new(), since: now, swept: false }
    }

    pub(crate) fn owner_id(&self) -> UserId {
        self.owner
    }

    /// The step that is due, with its place.
    pub(crate) fn step(&self) -> Option<(usize, &str)> {
        let place = self.done.len();
        self.steps.get(place).map(|step| (place, step.as_str()))
    }

    /// The step at `place` was done; told again, or by two at once, it counts once.
    pub(crate) fn advance(&mut self, place: usize, now: Timestamp) -> Vec<AnyEvent> {
        if self.done.len() != place || self.step().is_none() {
            return Vec::new();
        }
        self.done.push(now);
        if self.step().is_some() { Vec::new() } else { TenantErased { tenant: self.tenant }.events() }
    }

    /// What is to be removed once more, after all steps.
    pub(crate) fn to_sweep(&self) -> impl Iterator<Item = &str> {
        let all_done = self.step().is_none() && !self.swept;
        self.steps.iter().map(String::as_str).filter(move |step| all_done && ![DOMAINS, NAMES].contains(step))
    }

    pub(crate) fn sweep(&mut self) {
        self.swept = self.step().is_none();
    }

    pub(crate) fn view(&self) -> ErasureView {
        let step = |(place, step): (usize, &String)| crate::provisioning::StepView {
            step: step.clone(),
            done: self.done.get(place).copied(),
        };
        ErasureView { steps: self.steps.iter().enumerate().map(step).collect(), since: self.since }
    }
}

impl Aggregate for Erasure {
    type Id = TenantId;
    const KIND: &'static str = "tenants.erasure";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> TenantId {
        self.tenant
    }

    fn timers(&self) -> Vec<Timer> {
        let step = self.step().map(|_| Timer { name: "step", due: self.since });
        let last = self.done.last().filter(|_| self.step().is_none() && !self.swept);
        let sweep = last.map(|last| Timer { name: SWEEP, due: *last + UNDER_WAY });
        step.into_iter().chain(sweep).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Id;

    #[test]
    fn each_step_counts_once_and_the_last_tells() {
        let id = |bits| uuid::Uuid::from_u128(bits);
        let now = Timestamp::UNIX_EPOCH;
        let mut it = Erasure::new(Id::from_uuid(id(1)), Id::from_uuid(id(2)), &["log"], now);
        let mut seen = Vec::new();
        while let Some((place, step)) = it.step().map(|(place, step)| (place, step.to_owned())) {
            assert_eq!(it.timers().len(), 1, "as long as something is left it comes again");
            let told = it.advance(place, now);
            assert!(it.advance(place, now).is_empty(), "done twice is done once");
            seen.push((step, told.len()));
        }
        let expected = [(STORE, 0), (DOMAINS, 0), ("log", 0), (NAMES, 1)];
        assert_eq!(seen, expected.map(|(step, told)| (step.to_owned(), told)));
        assert_eq!(it.timers().iter().map(|timer| timer.name).collect::<Vec<_>>(), [SWEEP]);
        assert_eq!(it.to_sweep().collect::<Vec<_>>(), [STORE, "log"]);
        it.sweep();
        assert!(it.timers().is_empty() && it.to_sweep().next().is_none());
    }
}
