//! The saga that sets a tenant up: it waits for the contexts that have something to set up, asks them again, and gives up
//! in time.

use std::{collections::BTreeMap, time::Duration};

use contracts::tenants::{PROVISIONERS, ProvisioningCompleted, ProvisioningFailed, TenantProvisioned};
use kernel::{
    Aggregate, AnyEvent, Happened, Personal, ScopeKind, TenantId, Timer, Timestamp, UserId,
    text::{DisplayName, EmailAddress, Slug},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asked again after so long, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// Given up after so long.
pub(crate) const PATIENCE: Duration = Duration::from_hours(1);

/// What is sent to those who set up, as long as someone has not answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    slug: Slug,
    name: DisplayName,
    owner_email: EmailAddress,
    owner_name: DisplayName,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Progress {
    /// Someone has not answered yet.
    Waiting,
    /// All is set up.
    Done,
    /// Given up, and taken back.
    Failed,
}

/// Sealed under the owner's key in the platform's scope, which goes with the tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Provisioning {
    tenant: TenantId,
    owner: UserId,
    /// Kept until it is finished.
    order: Option<Order>,
    /// Who has answered, and when.
    answered: BTreeMap<String, Timestamp>,
    /// How often was asked.
    asked: u32,
    next: Timestamp,
    deadline: Timestamp,
    progress: Progress,
}

/// A step as an operator sees it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StepView {
    /// Whose.
    pub(crate) step: String,
    /// When it was done; missing while it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) done: Option<Timestamp>,
}

/// The saga as an operator sees it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ProvisioningView {
    /// How far it has come.
    pub(crate) progress: Progress,
    /// Each step.
    pub(crate) steps: Vec<StepView>,
    /// How often those who set up were asked.
    pub(crate) asked: u32,
    /// When it is given up.
    #[schemars(with = "String")]
    pub(crate) deadline: Timestamp,
}

impl Provisioning {
    pub(crate) fn new(tenant: TenantId, owner: UserId, now: Timestamp) -> Self {
        Self {
            tenant,
            owner,
            order: None,
            answered: BTreeMap::new(),
            asked: 1,
            next: now + FIRST_PAUSE,
            deadline: now + PATIENCE,
            progress: Progress::Waiting,
        }
    }

    /// What was asked for becomes known; those who set up may have answered before.
    pub(crate) fn begin(&mut self, it: TenantProvisioned) -> Vec<AnyEvent> {
        let known = (it.slug.known(), it.name.known(), it.owner_email.known(), it.owner_name.known());
        if let (Some(slug), Some(name), Some(owner_email), Some(owner_name)) = known
            && self.progress == Progress::Waiting
        {
            self.order = Some(Order { slug, name, owner_email, owner_name });
        }
        Vec::new()
    }

    /// A context has answered.
    pub(crate) fn confirm(&mut self, context: &str, now: Timestamp) -> Vec<AnyEvent> {
        if self.progress != Progress::Waiting {
            return Vec::new();
        }
        self.answered.entry(context.to_owned()).or_insert(now);
        if !self.waiting().is_empty() {
            return Vec::new();
        }
        (self.progress, self.order) = (Progress::Done, None);
        ProvisioningCompleted { tenant: self.tenant }.events()
    }

    /// Asks again, when it is time.
    pub(crate) fn retry(&mut self, now: Timestamp) -> Vec<AnyEvent> {
        let Some(order) = self.order.clone().filter(|_| self.progress == Progress::Waiting && now >= self.next) else {
            return Vec::new();
        };
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(self.asked.min(8));
        self.asked += 1;
        self.next = now + pause.min(LONGEST_PAUSE);
        TenantProvisioned {
            tenant: self.tenant,
            slug: Personal::Known(order.slug),
            name: Personal::Known(order.name),
            owner: self.owner,
            owner_email: Personal::Known(order.owner_email),
            owner_name: Personal::Known(order.owner_name),
        }
        .events()
    }

    /// Gives up, when it is time.
    pub(crate) fn give_up(&mut self, now: Timestamp) -> Vec<AnyEvent> {
        if self.progress != Progress::Waiting || now < self.deadline {
            return Vec::new();
        }
        let waiting = self.waiting();
        (self.progress, self.order) = (Progress::Failed, None);
        ProvisioningFailed { tenant: self.tenant, waiting }.events()
    }

    fn waiting(&self) -> Vec<String> {
        PROVISIONERS.iter().filter(|it| !self.answered.contains_key(**it)).map(ToString::to_string).collect()
    }

    pub(crate) fn view(&self) -> ProvisioningView {
        let step = |step: &&str| StepView { step: (*step).to_owned(), done: self.answered.get(*step).copied() };
        let steps = PROVISIONERS.iter().map(step).collect();
        ProvisioningView { progress: self.progress, steps, asked: self.asked, deadline: self.deadline }
    }
}

impl Aggregate for Provisioning {
    type Id = TenantId;
    const KIND: &'static str = "tenants.provisioning";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> TenantId {
        self.tenant
    }

    fn subject(&self) -> Option<UserId> {
        Some(self.owner)
    }

    fn timers(&self) -> Vec<Timer> {
        if self.progress != Progress::Waiting {
            return Vec::new();
        }
        let retry = self.order.is_some().then_some(Timer { name: "retry", due: self.next });
        retry.into_iter().chain([Timer { name: "give_up", due: self.deadline }]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Id;

    fn order(it: &Provisioning) -> TenantProvisioned {
        TenantProvisioned {
            tenant: it.tenant,
            slug: Personal::Known("acme".parse().unwrap()),
            name: Personal::Known("Acme".parse().unwrap()),
            owner: it.owner,
            owner_email: Personal::Known("ada@example.com".parse().unwrap()),
            owner_name: Personal::Known("Ada".parse().unwrap()),
        }
    }

    fn fresh() -> Provisioning {
        let id = |bits| uuid::Uuid::from_u128(bits);
        Provisioning::new(Id::from_uuid(id(1)), Id::from_uuid(id(2)), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn asks_again_ever_more_slowly_and_gives_up_in_time() {
        let mut it = fresh();
        it.begin(order(&it));
        let (mut now, mut asked) = (Timestamp::UNIX_EPOCH, 0);
        assert!(it.retry(now).is_empty(), "not yet");
        while let Some(due) = it.timers().iter().filter(|it| it.name == "retry").map(|it| it.due).next() {
            if due > it.deadline {
                break;
            }
            assert!(due > now && due - now <= LONGEST_PAUSE.try_into().unwrap());
            now = due;
            assert_eq!(it.retry(now).len(), 1);
            assert!(it.retry(now).is_empty(), "a timer may fire twice");
            asked += 1;
        }
        assert!((5..=12).contains(&asked), "{asked}");
        assert!(it.give_up(now).is_empty());
        assert_eq!(it.give_up(it.deadline).len(), 1);
        assert!(it.confirm("identity", now).is_empty() && it.progress == Progress::Failed, "too late");
        assert!(it.timers().is_empty() && it.order.is_none());
    }

    #[test]
    fn an_answer_may_come_before_the_question_is_known() {
        let mut it = fresh();
        assert!(it.confirm("someone else", Timestamp::UNIX_EPOCH).is_empty());
        assert_eq!(it.confirm("identity", Timestamp::UNIX_EPOCH).len(), 1);
        it.begin(order(&it));
        assert!(it.order.is_none() && it.timers().is_empty(), "nothing personal is kept once it is finished");
        assert!(it.confirm("identity", Timestamp::UNIX_EPOCH).is_empty(), "told once");
    }
}
