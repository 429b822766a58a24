//! Work on many notifications that goes on where it was when the process ended: a batch to many recipients, or a replay of
//! what failed. A step at a time, each step repeatable.

use std::{collections::BTreeSet, time::Duration};

use channels::channel::Channel;
use contracts::notifications::ChannelId;
use kernel::{
    Aggregate, Cx, Granted, Handle, Id, Problem, ProblemKind, ScopeKind, Timer, Timestamp, context::Fired, id_kind,
    text::Key, use_case,
};
use permissions as may;
use recipients::means::Means;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;
use templates::variable::Values;
use text::{Locale, RequestId};

use crate::{
    Notifications,
    notification::{Notification, Recipient, request::Ask},
};

id_kind!(
    /// A batch of notifications.
    FanoutId, FanoutKind, "ntb"
);

/// The most recipients of a batch.
const MOST: usize = 100;
/// Notifications of one step.
const STEP: usize = 20;
/// For how long one can ask how it went.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// One recipient of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Addressee {
    /// Who is told.
    to: Recipient,
    /// What the template is told.
    #[serde(default)]
    variables: Values,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
enum Work {
    Send {
        template: Key,
        category: Option<Key>,
        locale: Option<Locale>,
        means: Option<BTreeSet<Means>>,
        addressees: Vec<Addressee>,
    },
    Replay {
        channel: ChannelId,
        since: Timestamp,
        after: Option<String>,
    },
}

/// A recipient that could not be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Refusal {
    /// Which, counted from 0.
    index: usize,
    /// Why, as the code of a problem.
    code: String,
    /// The same in words.
    detail: String,
}

/// Work that goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fanout {
    id: FanoutId,
    work: Work,
    total: Option<usize>,
    done: usize,
    refused: Vec<Refusal>,
    /// When the next step is due; none once it is finished.
    next: Option<Timestamp>,
    ends: Timestamp,
}

impl Fanout {
    fn new(id: FanoutId, work: Work, now: Timestamp) -> Self {
        let total = match &work {
            Work::Send { addressees, .. } => Some(addressees.len()),
            Work::Replay { .. } => None,
        };
        let ends = now.checked_add(KEPT).unwrap_or(Timestamp::MAX);
        Self { id, work, total, done: 0, refused: Vec::new(), next: Some(now), ends }
    }

    /// A step was done, that began after `before` notifications.
    fn stepped(&mut self, before: usize, step: Step, now: Timestamp) {
        if self.next.is_none() || self.done != before {
            return;
        }
        self.done += step.done;
        self.refused.extend(step.refused);
        if let Work::Replay { after, .. } = &mut self.work {
            *after = step.after;
        }
        // Later than the last, or the step after would be taken for a repetition of this one.
        let last = self.next.unwrap_or(now);
        let later = now.max(last.checked_add(Duration::from_millis(1)).unwrap_or(Timestamp::MAX));
        self.next = (!step.last).then_some(later);
        if let (None, Work::Send { addressees, .. }) = (self.next, &mut self.work) {
            addressees.clear();
        }
    }
}

/// What a step did.
#[derive(Debug, Clone, Default)]
struct Step {
    done: usize,
    refused: Vec<Refusal>,
    after: Option<String>,
    last: bool,
}

impl Aggregate for Fanout {
    type Id = FanoutId;
    const KIND: &'static str = "notifications.fanout";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> FanoutId {
        self.id
    }

    fn timers(&self) -> Vec<Timer> {
        self.next.iter().map(|due| Timer { name: "step", due: *due }).collect()
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(self.ends)
    }
}

/// How far a batch is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BatchView {
    /// Its id.
    id: FanoutId,
    /// How many notifications it is about, where that is known beforehand.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
    /// How many are done, those that were refused included.
    done: usize,
    /// Those that were refused.
    refused: Vec<Refusal>,
    /// Whether all are done.
    finished: bool,
}

impl From<&Fanout> for BatchView {
    fn from(it: &Fanout) -> Self {
        Self { id: it.id, total: it.total, done: it.done, refused: it.refused.clone(), finished: it.next.is_none() }
    }
}

/// Tells up to 100 recipients something by the same template, each with variables of their own. What has begun goes on,
/// also when the process ends in between, and reaches each recipient once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendBatch {
    /// The sender's own id for it: sent again with the same, it takes effect once.
    id: Option<RequestId>,
    /// What is said, as the key of a published template.
    template: Key,
    /// The category; that of the template unless told.
    category: Option<Key>,
    /// The language; each recipient's unless told.
    locale: Option<Locale>,
    /// By what people are told at most.
    channels: Option<BTreeSet<Means>>,
    /// Who is told, 1 to 100.
    #[schemars(length(min = 1, max = 100))]
    recipients: Vec<Addressee>,
}

use_case!(SendBatch => BatchView, "notifications.send_batch", Tenant, may::SEND);

impl Handle<SendBatch> for Notifications {
    async fn handle(&self, it: SendBatch, cx: Granted<SendBatch>) -> Result<BatchView, Problem> {
        if !(1..=MOST).contains(&it.recipients.len()) {
            return Err(Problem::invalid_field("/recipients", format!("expected 1 to {MOST} recipients")));
        }
        if self.known.template(&self.store, &cx, &it.template).await?.is_none() {
            return Err(Problem::invalid_field("/template", "no template of this key is published"));
        }
        let SendBatch { id, template, category, locale, channels: means, recipients: addressees } = it;
        let id = id.map_or_else(
            || cx.new_id(),
            |id| kernel::Id::from_words(&["batch", &cx.scope().to_string(), &id.to_string()]),
        );
        let work = Work::Send { template, category, locale, means, addressees };
        self.begin(Fanout::new(id, work, cx.real_now()), &cx).await
    }
}

/// Delivers once more what failed at an endpoint since an instant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayChannel {
    /// Which endpoint.
    channel: ChannelId,
    /// Since when.
    #[schemars(with = "String")]
    since: Timestamp,
}

use_case!(ReplayChannel => BatchView, "notifications.channels.replay", Tenant, may::SEND);

impl Handle<ReplayChannel> for Notifications {
    async fn handle(&self, it: ReplayChannel, cx: Granted<ReplayChannel>) -> Result<BatchView, Problem> {
        self.store.at(&cx).load::<Channel>(&it.channel).await?.webhook()?;
        let work = Work::Replay { channel: it.channel, since: it.since, after: None };
        self.begin(Fanout::new(cx.new_id(), work, cx.real_now()), &cx).await
    }
}

/// How far a batch, or a replay, is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetBatch {
    /// Which.
    batch: Id<FanoutKind>,
}

use_case!(GetBatch => BatchView, "notifications.batches.get", Tenant, may::SEND, Tell);

impl Handle<GetBatch> for Notifications {
    async fn handle(&self, it: GetBatch, cx: Granted<GetBatch>) -> Result<BatchView, Problem> {
        let found = self.store.at(&cx).try_load::<Fanout>(&it.batch).await?;
        found.map(|it| (&*it).into()).ok_or_else(|| Problem::not_found("batch"))
    }
}

impl Notifications {
    async fn begin(&self, it: Fanout, cx: &Cx) -> Result<BatchView, Problem> {
        let (store, id) = (self.store.at(cx), it.id);
        if let Some(there) = store.try_load::<Fanout>(&id).await? {
            return Ok((&*there).into());
        }
        Ok((&*store.create(it, ()).await?).into())
    }

    /// A step is due.
    pub(crate) async fn step(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let id: FanoutId = fired.id.parse().map_err(Problem::internal)?;
        let store = self.store.at(&cx);
        let Some(it) = store.try_load::<Fanout>(&id).await? else { return Ok(()) };
        if it.next.is_none_or(|next| next > cx.real_now()) {
            return Ok(());
        }
        let (before, step) = (
            it.done,
            match &it.work {
                Work::Send { .. } => self.send_step(&it, &cx).await?,
                Work::Replay { channel, since, after } => self.replay_step(channel, *since, after.clone(), &cx).await?,
            },
        );
        let now = cx.real_now();
        let rule = |it: &mut Fanout| {
            it.stepped(before, step.clone(), now);
            Ok(())
        };
        store.change(&id, rule).await.map(drop)
    }

    async fn send_step(&self, it: &Fanout, cx: &Cx) -> Result<Step, Problem> {
        let Work::Send { template, category, locale, means, addressees } = &it.work else { return Ok(Step::default()) };
        let mut step = Step::default();
        for (index, addressee) in addressees.iter().enumerate().skip(it.done).take(STEP) {
            let ask = Ask {
                // The same however often the step is repeated.
                id: kernel::Id::from_words(&["of", &cx.scope().to_string(), &it.id.to_string(), &index.to_string()]),
                to: addressee.to.clone(),
                template: template.clone(),
                variables: addressee.variables.clone(),
                category: category.clone(),
                locale: locale.clone(),
                means: means.clone(),
                known: None,
            };
            match self.request(ask, cx).await {
                Ok(_) => {}
                Err(problem) if problem.kind().retryable() || problem.kind() == ProblemKind::Internal => {
                    return Err(problem);
                }
                Err(problem) => {
                    let document = problem.document(None);
                    let fields = document.errors.iter().map(|it| format!("; {}: {}", it.pointer, it.detail));
                    let detail = document.detail.clone() + &fields.collect::<String>();
                    step.refused.push(Refusal { index, code: document.code, detail });
                }
            }
            step.done += 1;
        }
        step.last = it.done + step.done >= addressees.len();
        Ok(step)
    }

    async fn replay_step(
        &self,
        channel: &ChannelId,
        since: Timestamp,
        after: Option<String>,
        cx: &Cx,
    ) -> Result<Step, Problem> {
        let (store, now) = (self.store.at(cx), cx.real_now());
        let page = Page { after, limit: STEP, newest_first: true };
        let listed = store.list::<Notification>("dead", &channel.to_string(), &page).await?;
        let mut step = Step { after: listed.next, ..Step::default() };
        step.last = step.after.is_none();
        for it in &listed.items {
            if it.created < since {
                step.last = true;
                break;
            }
            // Someone else may have replayed it meanwhile.
            match store.change(&it.id, |it: &mut Notification| it.replay(now)).await {
                Ok(_) => step.done += 1,
                Err(problem) if problem.kind() == ProblemKind::Conflict || problem.kind() == ProblemKind::NotFound => {}
                Err(problem) => return Err(problem),
            }
        }
        Ok(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
    }

    #[test]
    fn a_step_counts_once_and_the_next_is_due_later() {
        let addressee =
            Addressee { to: Recipient::Address("ada@example.com".parse().unwrap()), variables: Values::default() };
        let work = Work::Send {
            template: "a".parse().unwrap(),
            category: None,
            locale: None,
            means: None,
            addressees: vec![addressee; 30],
        };
        let mut it = Fanout::new(Id::from_uuid(uuid::Uuid::from_u128(1)), work, at(0));
        let step = Step { done: 20, ..Step::default() };
        it.stepped(0, step.clone(), at(0));
        it.stepped(0, step, at(0));
        assert_eq!((it.done, it.next), (20, Some(at(1))));
        it.stepped(20, Step { done: 10, last: true, ..Step::default() }, at(5));
        assert!(it.timers().is_empty() && matches!(&it.work, Work::Send { addressees, .. } if addressees.is_empty()));
    }
}
