//! What a subscription looks like from outside, and what follows from time and events.

use std::collections::BTreeMap;

use billing_books::{Invoice, invoice::InvoiceState};
use billing_rules::{Change, PlanRef, Subscription, Terms, coupon::Discount, period::Period};
use contracts::{
    billing::{InvoiceOverdue, InvoiceSettled, SubscriptionCreated, SubscriptionId, SubscriptionState},
    entitlements::GrantEntitlements,
    tenants::ActivateTenant,
};
use kernel::{Cx, Envelope, Problem, ProblemKind, context::Fired, text::Key};
use money::{Currency, Money};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Billing;

/// A subscription.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SubscriptionView {
    id: SubscriptionId,
    state: SubscriptionState,
    plan: PlanRef,
    /// What the plan says.
    terms: Terms,
    currency: Currency,
    /// The time zone by whose calendar its periods go.
    time_zone: String,
    /// How many of each item.
    quantities: BTreeMap<Key, u32>,
    /// The present period; number 0 is a trial.
    period: Period,
    /// The plan from the next period on, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    planned: Option<PlanRef>,
    /// The quantities from the next period on, where that was asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    planned_quantities: BTreeMap<Key, u32>,
    discounts: Vec<Discount>,
    /// What is carried to the next invoice.
    carried: Money,
}

pub(crate) fn view(it: &Subscription) -> Result<SubscriptionView, Problem> {
    let stand = it.now().ok_or_else(|| Problem::internal("a subscription to nothing"))?;
    let planned: Change = it.planned().cloned().unwrap_or_default();
    Ok(SubscriptionView {
        id: it.subscription(),
        state: it.state(),
        plan: stand.plan.clone(),
        terms: stand.terms.clone(),
        currency: it.currency(),
        time_zone: it.zone().to_owned(),
        quantities: stand.quantities.clone(),
        period: it.period(),
        planned: planned.offer.map(|offer| offer.plan),
        planned_quantities: planned.quantities,
        discounts: it.discounts().to_vec(),
        carried: it.carried(),
    })
}

impl Billing {
    /// A trial or a period is over. What was counted is read first; it counts for the period that was read.
    pub(crate) async fn period_ends(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let id: SubscriptionId = fired.id.parse().map_err(Problem::internal)?;
        let (now, invoice) = (cx.now(), cx.new_id());
        let it = self.store.at(&cx).load::<Subscription>(&id).await?;
        let (seen, counted) = (it.period(), self.counted(&it, Some(it.period()), &cx).await?);
        let late = self.counted(&it, it.before(), &cx).await?;
        let rule = |it: &mut Subscription| {
            if it.period() != seen {
                return Ok(Vec::new());
            }
            Ok(it.pass(now, &counted, &late, invoice)?)
        };
        self.store.at(&cx).change(&id, rule).await.map(drop)
    }

    /// What the plan contains is what the tenant is entitled to, in the one model for all such questions.
    pub(crate) async fn entitle(&self, event: Envelope, cx: Cx) -> Result<(), Problem> {
        let live = match self.live(&cx).await? {
            Some(live) => Some(live),
            None => match event.data.get("subscription").and_then(|it| it.as_str()).map(str::parse) {
                Some(Ok(id)) => self.store.at(&cx).try_load::<Subscription>(&id).await?,
                _ => None,
            },
        };
        let Some(live) = live else { return Ok(()) };
        let (source, features) = live.entitles();
        let slot: Key = "plan".parse().map_err(Problem::internal)?;
        let source = source.parse().map_err(Problem::internal)?;
        let grant = GrantEntitlements { tenant: cx.tenant()?, slot, source, features };
        self.calls.call(grant, &self.at_platform(&cx)).await
    }

    /// Whoever has subscribed is on no trial of the platform's any more. One that an operator has put away stays so.
    pub(crate) async fn activate(&self, _: SubscriptionCreated, cx: Cx) -> Result<(), Problem> {
        let activate = ActivateTenant { tenant: cx.tenant()? };
        match self.calls.call(activate, &self.at_platform(&cx)).await {
            Err(refused) if matches!(refused.kind(), ProblemKind::Refused | ProblemKind::Conflict) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Unless it was paid since: the event may come again.
    pub(crate) async fn falls_behind(&self, event: InvoiceOverdue, cx: Cx) -> Result<(), Problem> {
        if self.store.at(&cx).load::<Invoice>(&event.invoice).await?.state() != InvoiceState::Open {
            return Ok(());
        }
        let rule = |it: &mut Subscription| Ok(it.fall_behind(event.invoice)?);
        self.store.at(&cx).change(&event.subscription, rule).await.map(drop)
    }

    pub(crate) async fn catches_up(&self, event: InvoiceSettled, cx: Cx) -> Result<(), Problem> {
        let rule = |it: &mut Subscription| Ok(it.catch_up(event.invoice)?);
        self.store.at(&cx).change(&event.subscription, rule).await.map(drop)
    }
}
