//! What a gateway knows, compared with what is known here: each day, and whenever an operator asks.

use billing_books::{Reconciliation, reconciliation::Found};
use contracts::payments::PaymentAttempted;
use kernel::{Aggregate, Cx, Granted, Handle, List, Problem, Scope, Timestamp, context::Fired, text::Key, use_case};
use permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{Payments, gateways::problem, notices::Learned};

/// The most pages that are read at once: some hundred thousand payments.
const PAGES: usize = 5_000;

/// What is known of the comparisons with a gateway.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ReconciliationView {
    gateway: String,
    /// Up to when was compared.
    #[schemars(with = "String")]
    upto: Timestamp,
    /// When it is compared next.
    #[schemars(with = "String")]
    next: Timestamp,
    /// What came of it the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Found>,
}

fn view(it: &Reconciliation) -> ReconciliationView {
    ReconciliationView { gateway: it.id(), upto: it.upto(), next: it.next(), last: it.last() }
}

/// The comparisons with each gateway.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListReconciliations {}

use_case!(ListReconciliations => List<ReconciliationView>, "billing.reconciliations.list", Platform, may::RECONCILE, Tell);

impl Handle<ListReconciliations> for Payments {
    async fn handle(
        &self,
        _: ListReconciliations,
        cx: Granted<ListReconciliations>,
    ) -> Result<List<ReconciliationView>, Problem> {
        let page = Page { after: None, limit: 200, newest_first: false };
        self.store.at(&cx).list::<Reconciliation>("all", "", &page).await?.shown(|it| Ok(view(it)))
    }
}

/// Compares now: asks a gateway for the payments of the last two weeks, takes down what was not known, and makes credits of
/// money that came in for an attempt that is not known here.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reconcile {
    /// With which gateway.
    gateway: Key,
}

use_case!(Reconcile => ReconciliationView, "billing.reconcile", Platform, may::RECONCILE);

impl Handle<Reconcile> for Payments {
    async fn handle(&self, it: Reconcile, cx: Granted<Reconcile>) -> Result<ReconciliationView, Problem> {
        self.compare(it.gateway.as_str(), &cx).await
    }
}

impl Payments {
    /// Who was asked for money once is compared with from then on.
    pub(crate) async fn begin_comparing(&self, event: PaymentAttempted, cx: Cx) -> Result<(), Problem> {
        let platform = self.services.cx("billing", Scope::Platform);
        let (store, now) = (self.store.at(&platform), cx.real_now());
        if store.try_load::<Reconciliation>(&event.gateway).await?.is_none() {
            let fresh = || Reconciliation::begin(&event.gateway, now);
            store.upsert(&event.gateway, fresh, |_| Ok(())).await?;
        }
        Ok(())
    }

    pub(crate) async fn compare_due(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        if self.gateways.get(&fired.id).is_none() {
            // It was disconnected: there is nobody to ask until it is connected again.
            tracing::error!(gateway = fired.id, "a payment gateway that is not connected cannot be compared with");
            let (store, now) = (self.store.at(&cx), cx.real_now());
            let rule = |it: &mut Reconciliation| {
                it.postpone(now);
                Ok(())
            };
            return store.change(&fired.id, rule).await.map(drop);
        }
        self.compare(&fired.id, &cx).await.map(drop)
    }

    async fn compare(&self, name: &str, cx: &Cx) -> Result<ReconciliationView, Problem> {
        let (gateway, began, id) = (self.gateways.named(name)?, cx.real_now(), name.to_owned());
        let platform = self.services.cx("billing", Scope::Platform).traced(cx.trace());
        let known = self.store.at(&platform).try_load::<Reconciliation>(&id).await?;
        let from = known.map_or_else(|| Reconciliation::begin(name, began), store::Loaded::into_inner).from();
        let (mut found, mut after) = (Found { seen: 0, repaired: 0, unknown: 0 }, None::<String>);
        for _ in 0..PAGES {
            let listed = gateway.since(from, after.as_deref()).await.map_err(problem)?;
            for payment in &listed.payments {
                found.seen += 1;
                match self.learn_of(gateway, payment).await? {
                    Learned::Nothing => {}
                    Learned::Something => found.repaired += 1,
                    Learned::Stray => found.unknown += 1,
                }
            }
            after = listed.next;
            if after.is_none() {
                break;
            }
        }
        if after.is_some() {
            tracing::error!(
                gateway = name,
                "a payment gateway lists more payments than are compared: some were left out"
            );
        }
        let fresh = || Reconciliation::begin(name, began);
        let done = self.store.at(&platform).upsert(&id, fresh, |it| Ok(it.done(began, found))).await?;
        Ok(view(&done))
    }
}
