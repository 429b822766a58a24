//! Credits that are bought: by an invoice of their own, which is paid as others are, and lapses where it is not.

use billing_books::{Invoice, Seller};
use billing_rules::{Refusal, Subscription};
use contracts::billing::InvoiceId;
use kernel::{Aggregate, Claim, Granted, Handle, Problem, use_case};
use money::Money;
use permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Payments;

/// Buys credits, which pay for the invoices to come. They can be used once they are paid: by the preferred way to pay, which
/// is charged at once, or on the page of the invoice. What is not paid within 14 days is not bought.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopUp {
    /// How much, in the currency of the subscription.
    amount: Money,
}

/// The invoice by which credits are bought.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TopUpView {
    invoice: InvoiceId,
    /// Its page, which works without signing in.
    url: String,
}

use_case!(TopUp => TopUpView, "billing.credits.top_up", Tenant, may::CREDIT_BUY);

impl Handle<TopUp> for Payments {
    async fn handle(&self, it: TopUp, cx: Granted<TopUp>) -> Result<TopUpView, Problem> {
        let store = self.store.at(&cx);
        let subscription = store.find::<Subscription>(&Claim::new("subscription", "")).await?.ok_or_else(|| {
            Problem::not_found("subscription")
                .hint("credits pay for a subscription: begin one with POST /v1/subscription")
        })?;
        if subscription.currency() != it.amount.currency() {
            return Err(Refusal::Mismatch(subscription.currency(), it.amount.currency()).into());
        }
        let platform = self.services.at_platform("billing", &cx);
        let seller = self.store.at(&platform).try_load::<Seller>(&Seller::ID.to_owned()).await?;
        let parties = (seller.map(store::Loaded::into_inner), self.profile(&cx).await?.buyer);
        let (invoice, told) =
            Invoice::top_up((cx.new_id(), subscription.subscription()), it.amount, parties, cx.now())?;
        let id = invoice.id();
        store.create(invoice, told).await?;
        Ok(TopUpView { invoice: id, url: self.link(cx.tenant()?, id) })
    }
}
