//! Dunning: reminders, further attempts, and in the end the suspension, which is lifted as soon as all is settled.

use billing_books::{
    Dunning, Invoice,
    dunning::{DunningState, Schedule},
    invoice::InvoiceState,
};
use contracts::{
    billing::{InvoiceId, InvoiceOverdue, InvoiceSettled},
    payments::{DunningEnded, DunningExhausted, DunningReminded},
    tenants::{HoldTenant, ReleaseTenant},
};
use kernel::{Cx, Granted, Handle, List, Problem, ProblemKind, Timestamp, context::Fired, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::Payments;
use permissions as may;

/// Says when an invoice that could not be collected is tried again, and when the tenant is suspended. What is under way
/// keeps the schedule that it began with.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetSchedule {
    /// The schedule.
    schedule: Schedule,
}

use_case!(SetSchedule => Schedule, "billing.dunning.schedule.set", Platform, may::DUNNING);

impl Handle<SetSchedule> for Payments {
    async fn handle(&self, it: SetSchedule, cx: Granted<SetSchedule>) -> Result<Schedule, Problem> {
        it.schedule.check()?;
        let rule = |known: &mut Schedule| {
            known.clone_from(&it.schedule);
            Ok(())
        };
        Ok(self.store.at(&cx).upsert(&Schedule::ID.to_owned(), Schedule::default, rule).await?.into_inner())
    }
}

/// When an invoice that could not be collected is tried again, and when the tenant is suspended.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadSchedule {}

use_case!(ReadSchedule => Schedule, "billing.dunning.schedule.read", Platform, may::DUNNING, Tell);

impl Handle<ReadSchedule> for Payments {
    async fn handle(&self, _: ReadSchedule, cx: Granted<ReadSchedule>) -> Result<Schedule, Problem> {
        self.schedule(&cx).await
    }
}

/// How far dunning for an invoice is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DunningView {
    invoice: InvoiceId,
    state: DunningState,
    /// How many reminders there were.
    reminders: usize,
    /// When the next step is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    next: Option<Timestamp>,
}

/// The invoices that are to be paid and could not be collected.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListDunning {}

use_case!(ListDunning => List<DunningView>, "billing.dunning.list", Tenant, may::INVOICE_READ, Tell);

impl Handle<ListDunning> for Payments {
    async fn handle(&self, _: ListDunning, cx: Granted<ListDunning>) -> Result<List<DunningView>, Problem> {
        let mut items = Vec::new();
        for invoice in self.open_invoices(&cx).await? {
            if let Some(it) = self.store.at(&cx).try_load::<Dunning>(&invoice).await? {
                let (state, reminders, next) = (it.state(), it.reminders(), it.next());
                items.push(DunningView { invoice, state, reminders, next });
            }
        }
        Ok(List { items, next: None })
    }
}

impl Payments {
    async fn schedule(&self, platform: &Cx) -> Result<Schedule, Problem> {
        let found = self.store.at(platform).try_load::<Schedule>(&Schedule::ID.to_owned()).await?;
        Ok(found.map(store::Loaded::into_inner).unwrap_or_default())
    }

    pub(crate) async fn dun_overdue(&self, event: InvoiceOverdue, cx: Cx) -> Result<(), Problem> {
        self.dun(event.invoice, &cx).await
    }

    /// Begins, once for an invoice, unless it is settled meanwhile.
    pub(crate) async fn dun(&self, invoice: InvoiceId, cx: &Cx) -> Result<(), Problem> {
        let store = self.store.at(cx);
        let it = store.load::<Invoice>(&invoice).await?;
        // Whoever does not pay for credits has none.
        let owed = it.state() == InvoiceState::Open && !it.prepaid();
        if !owed || store.try_load::<Dunning>(&invoice).await?.is_some() {
            return Ok(());
        }
        let schedule = self.schedule(&self.services.at_platform("billing", cx)).await?;
        let (it, told) = Dunning::begin(invoice, schedule, cx.now());
        match store.create(it, told).await {
            // A decline and the day it was due came at once.
            Err(there) if there.kind() == ProblemKind::Conflict => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    pub(crate) async fn dunning_due(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let (id, now): (InvoiceId, _) = (fired.id.parse().map_err(Problem::internal)?, cx.now());
        // What was settled ends it, also where the event that says so is still on its way.
        let settled = self.store.at(&cx).load::<Invoice>(&id).await?.state() != InvoiceState::Open;
        let rule = |it: &mut Dunning| Ok(if settled { it.end() } else { it.pass(now) });
        self.store.at(&cx).change(&id, rule).await.map(drop)
    }

    pub(crate) async fn try_again(&self, event: DunningReminded, cx: Cx) -> Result<(), Problem> {
        self.collect(event.invoice, None, &[], &cx).await.map(drop)
    }

    pub(crate) async fn hold(&self, event: DunningExhausted, cx: Cx) -> Result<(), Problem> {
        // Unless it was paid since: the event may come again.
        if self.store.at(&cx).load::<Dunning>(&event.invoice).await?.state() != DunningState::Exhausted {
            return Ok(());
        }
        let reason =
            "an invoice is not paid; the link to pay it was sent by mail".parse().map_err(Problem::internal)?;
        let hold = HoldTenant { tenant: cx.tenant()?, reason };
        self.calls.call(hold, &self.services.at_platform("billing", &cx)).await
    }

    pub(crate) async fn end_dunning(&self, event: InvoiceSettled, cx: Cx) -> Result<(), Problem> {
        if self.store.at(&cx).try_load::<Dunning>(&event.invoice).await?.is_none() {
            return Ok(());
        }
        self.store.at(&cx).change(&event.invoice, |it: &mut Dunning| Ok(it.end())).await.map(drop)
    }

    /// Nothing else that is not paid keeps the tenant suspended.
    pub(crate) async fn release(&self, event: DunningEnded, cx: Cx) -> Result<(), Problem> {
        let one = Page { after: None, limit: 1, newest_first: true };
        let others = self.store.at(&cx).list::<Dunning>("exhausted", "", &one).await?;
        if !event.suspended || !others.items.is_empty() {
            return Ok(());
        }
        self.calls.call(ReleaseTenant { tenant: cx.tenant()? }, &self.services.at_platform("billing", &cx)).await
    }
}
