//! What an owner does about the subscription, and what it would cost.

use std::collections::BTreeMap;

use billing_rules::{Change, Start, Subscription};
use contracts::{
    billing::{Line, SubscriptionState},
    tenants::ReadSettings,
};
use kernel::{AnyEvent, Cx, Granted, Handle, Problem, ProblemKind, text::Key, use_case};
use money::{Currency, Money};
use permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{
    Billing,
    subscription::{SubscriptionView, view},
};

/// When a change takes effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    /// At once.
    #[default]
    Now,
    /// When the present period, or the trial, ends.
    PeriodEnd,
}

/// Subscribes to the newest version of a plan. Who has had none before is on trial first, where the plan has one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscribe {
    /// Which plan.
    plan: Key,
    /// The currency of all its invoices.
    currency: Currency,
    /// Item to how many; of what is not named, the least.
    #[serde(default)]
    quantities: BTreeMap<Key, u32>,
    /// A coupon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    coupon: Option<Key>,
}

use_case!(Subscribe => SubscriptionView, "billing.subscribe", Tenant, may::SUBSCRIPTION_MANAGE);

impl Handle<Subscribe> for Billing {
    async fn handle(&self, it: Subscribe, cx: Granted<Subscribe>) -> Result<SubscriptionView, Problem> {
        let subscribed = || {
            Problem::new(ProblemKind::Conflict, "billing.subscribed", "the tenant has a subscription")
                .hint("change it with POST /v1/subscription/changes, or cancel it first")
        };
        if self.live(&cx).await?.is_some() {
            return Err(subscribed());
        }
        let (id, invoice) = (cx.new_id(), cx.new_id());
        let mut offer = self.offer(&it.plan, &cx).await?;
        if self.latest(&cx).await?.is_some() {
            offer.terms.trial = None;
        }
        let zone = self.calls.call(ReadSettings {}, &cx).await?.time_zone;
        let (currency, quantities, discount) = (it.currency, it.quantities, None);
        let mut start = Start { id, offer, currency, zone, quantities, discount, invoice };
        // What is refused uses up no coupon.
        Subscription::start(start.clone(), cx.now())?;
        if let Some(code) = &it.coupon {
            start.discount = Some(self.redeem(code, id, &cx).await?);
        }
        let (subscription, events) = Subscription::start(start, cx.now())?;
        let created = self.store.at(&cx).create(subscription, events).await;
        view(&*created.map_err(|problem| if problem.code() == "already_taken" { subscribed() } else { problem })?)
    }
}

/// The tenant's subscription: the present one, else the last.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadSubscription {}

use_case!(ReadSubscription => SubscriptionView, "billing.subscription.read", Tenant, may::SUBSCRIPTION_READ, Tell);

impl Handle<ReadSubscription> for Billing {
    async fn handle(&self, _: ReadSubscription, cx: Granted<ReadSubscription>) -> Result<SubscriptionView, Problem> {
        match self.latest(&cx).await? {
            Some(latest) => view(&latest),
            None => view(&*self.current(&cx).await?),
        }
    }
}

/// Changes plan or quantities: at once, with what is left of the period given back and charged anew on the next invoice,
/// or when the period ends. A later plan for the period's end takes the place of the former; one with nothing in it takes
/// it back.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeSubscription {
    /// Another plan, in its newest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plan: Option<Key>,
    /// How many of the items that are named.
    #[serde(default)]
    quantities: BTreeMap<Key, u32>,
    /// When.
    #[serde(default)]
    when: When,
}

use_case!(ChangeSubscription => SubscriptionView, "billing.subscription.change", Tenant, may::SUBSCRIPTION_MANAGE);

impl Billing {
    async fn latest(&self, cx: &Cx) -> Result<Option<Subscription>, Problem> {
        let newest = Page { after: None, limit: 1, newest_first: true };
        let listed = self.store.at(cx).list::<Subscription>("all", "", &newest).await?;
        Ok(listed.items.into_iter().next().map(store::Loaded::into_inner))
    }

    /// What is asked for, and whether anything is.
    async fn asked(&self, it: &ChangeSubscription, cx: &Cx) -> Result<Option<Change>, Problem> {
        let offer = match &it.plan {
            Some(plan) => Some(self.offer(plan, cx).await?),
            None => None,
        };
        let change = Change { offer, quantities: it.quantities.clone() };
        Ok((change != Change::default()).then_some(change))
    }

    /// Changes the present subscription.
    async fn alter(
        &self,
        cx: &Cx,
        mut rule: impl FnMut(&mut Subscription) -> Result<Vec<AnyEvent>, Problem> + Send,
    ) -> Result<SubscriptionView, Problem> {
        let id = self.current(cx).await?.subscription();
        view(&*self.store.at(cx).change(&id, |it: &mut Subscription| rule(it)).await?)
    }
}

fn apply(
    it: &mut Subscription,
    change: Option<&Change>,
    when: When,
    now: kernel::Timestamp,
) -> Result<Vec<AnyEvent>, Problem> {
    match (when, change) {
        (When::PeriodEnd, change) => Ok(it.plan_change(change.cloned(), now)?),
        (When::Now, Some(change)) => Ok(it.change(change, now)?),
        (When::Now, None) => Err(Problem::invalid_field("/plan", "expected another plan, or other quantities")),
    }
}

impl Handle<ChangeSubscription> for Billing {
    async fn handle(
        &self,
        it: ChangeSubscription,
        cx: Granted<ChangeSubscription>,
    ) -> Result<SubscriptionView, Problem> {
        let (change, now) = (self.asked(&it, &cx).await?, cx.now());
        self.alter(&cx, |subscription| apply(subscription, change.as_ref(), it.when, now)).await
    }
}

/// Tells what a change would cost, line by line, and changes nothing.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewChange {
    /// Another plan, in its newest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plan: Option<Key>,
    /// How many of the items that are named.
    #[serde(default)]
    quantities: BTreeMap<Key, u32>,
    /// When.
    #[serde(default)]
    when: When,
}

/// What the next invoice would have, from what is known by now.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Upcoming {
    lines: Vec<Line>,
    /// Their sum, before tax.
    net: Money,
    /// The subscription as it would be.
    subscription: SubscriptionView,
}

use_case!(PreviewChange => Upcoming, "billing.subscription.preview", Tenant, may::SUBSCRIPTION_READ, Tell);

impl Handle<PreviewChange> for Billing {
    async fn handle(&self, it: PreviewChange, cx: Granted<PreviewChange>) -> Result<Upcoming, Problem> {
        let (mut subscription, now) = (self.current(&cx).await?.into_inner(), cx.now());
        let it = ChangeSubscription { plan: it.plan, quantities: it.quantities, when: it.when };
        if let Some(change) = self.asked(&it, &cx).await? {
            apply(&mut subscription, Some(&change), it.when, now)?;
        }
        let counted = self.counted(&subscription, Some(subscription.period()), &cx).await?;
        let late = self.counted(&subscription, subscription.before(), &cx).await?;
        let lines = subscription.upcoming(&counted, &late, cx.new_id())?;
        let net = Money::sum(subscription.currency(), lines.iter().map(|line| line.amount));
        let net = net.map_err(billing_rules::Refusal::from)?;
        Ok(Upcoming { lines, net, subscription: view(&subscription)? })
    }
}

macro_rules! moves {
    ($($(#[$doc:meta])* $name:ident $operation:literal |$it:ident, $now:ident| $rule:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {}

        use_case!($name => SubscriptionView, $operation, Tenant, may::SUBSCRIPTION_MANAGE);

        impl Handle<$name> for Billing {
            async fn handle(&self, _: $name, cx: Granted<$name>) -> Result<SubscriptionView, Problem> {
                let $now = cx.now();
                self.alter(&cx, |$it| Ok($rule?)).await
            }
        }
    )* };
}

moves! {
    /// Agrees to pay when the trial ends, for a plan whose trials otherwise end the subscription.
    AgreeToPay "billing.subscription.agree" |it, _now| it.agree().map(|()| Vec::new());
    /// Keeps a subscription that was to end.
    KeepSubscription "billing.subscription.keep" |it, now| it.keep(now);
    /// Pauses the subscription: from now on it is neither in force nor charged.
    PauseSubscription "billing.subscription.pause" |it, now| it.pause(now);
    /// Resumes the subscription.
    ResumeSubscription "billing.subscription.resume" |it, now| it.resume(now);
}

/// Ends the subscription: when the period or the trial ends, or at once, with what is left given back.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelSubscription {
    /// When.
    #[serde(default = "at_the_end")]
    when: When,
}

const fn at_the_end() -> When {
    When::PeriodEnd
}

use_case!(CancelSubscription => SubscriptionView, "billing.subscription.cancel", Tenant, may::SUBSCRIPTION_MANAGE);

impl Handle<CancelSubscription> for Billing {
    async fn handle(
        &self,
        it: CancelSubscription,
        cx: Granted<CancelSubscription>,
    ) -> Result<SubscriptionView, Problem> {
        if it.when == When::PeriodEnd {
            return self.alter(&cx, |it| Ok(it.cancel()?)).await;
        }
        let (now, invoice, read) = (cx.now(), cx.new_id(), self.current(&cx).await?);
        let counted = self.counted(&read, Some(read.period()), &cx).await?;
        let late = self.counted(&read, read.before(), &cx).await?;
        let rule = |it: &mut Subscription| {
            if (it.period(), it.state()) != (read.period(), read.state()) || it.state() == SubscriptionState::Ended {
                return Err(Problem::new(ProblemKind::Conflict, "billing.period_passed", "a period ended meanwhile")
                    .hint("send the request again"));
            }
            Ok(it.end(now, &counted, &late, invoice)?)
        };
        self.alter(&cx, rule).await
    }
}
