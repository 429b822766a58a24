//! Attempts as an operator and an owner see them, and money that goes back.

use billing_books::{
    Attempt, Wallet,
    attempt::{AttemptState, Refund},
};
use billing_rules::Refusal;
use contracts::{
    billing::InvoiceId,
    payments::{AttemptId, RefundId},
};
use kernel::{Aggregate, Granted, Handle, List, Problem, TenantId, Timestamp, text::Key, use_case};
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::Payments;
use permissions as may;

/// An attempt to be paid.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AttemptView {
    id: AttemptId,
    invoice: InvoiceId,
    amount: Money,
    state: AttemptState,
    gateway: String,
    #[schemars(with = "String")]
    begun: Timestamp,
    /// What the gateway calls the payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// Where whoever pays confirms it.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    /// Why no money came, in the gateway's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    refunds: Vec<Refund>,
}

pub(crate) fn view(it: &Attempt) -> AttemptView {
    AttemptView {
        id: it.id(),
        invoice: it.invoice(),
        amount: it.amount(),
        state: it.state(),
        gateway: it.by().gateway.clone(),
        begun: it.begun(),
        reference: it.reference().map(str::to_owned),
        action: it.action().map(str::to_owned),
        code: it.code().map(str::to_owned),
        refunds: it.refunds().to_vec(),
    }
}

/// The tenant's payments through gateways, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListPayments {
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListPayments => List<AttemptView>, "billing.payments.list", Tenant, may::INVOICE_READ, Tell);

impl Handle<ListPayments> for Payments {
    async fn handle(&self, it: ListPayments, cx: Granted<ListPayments>) -> Result<List<AttemptView>, Problem> {
        let listed = self.store.at(&cx).list::<Attempt>("all", "", &Page::newest(it.after, it.limit)).await?;
        listed.shown(|it| Ok(view(it)))
    }
}

/// A tenant's payments through gateways, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListTenantPayments {
    /// Whose.
    tenant: TenantId,
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListTenantPayments => List<AttemptView>, "billing.payments.list_of", Platform, may::INVOICE_MANAGE, Tell, |it| it.tenant.into());

impl Handle<ListTenantPayments> for Payments {
    async fn handle(
        &self,
        it: ListTenantPayments,
        cx: Granted<ListTenantPayments>,
    ) -> Result<List<AttemptView>, Problem> {
        let inside = self.inside(it.tenant, &cx).await?;
        let listed = self.store.at(&inside).list::<Attempt>("all", "", &Page::newest(it.after, it.limit)).await?;
        listed.shown(|it| Ok(view(it)))
    }
}

/// Sends money back that came in beyond what was owed, out of the tenant's credits. Once under its name. What an invoice
/// said does not change: for that there are credit notes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundPayment {
    /// To whom.
    tenant: TenantId,
    /// Of which payment.
    attempt: AttemptId,
    /// Names the refund.
    refund: Key,
    /// How much: at most what came in by this payment, and what the tenant has of credits.
    amount: Money,
}

use_case!(RefundPayment => AttemptView, "billing.payments.refund", Platform, may::REFUND, |it| it.tenant.into());

impl Handle<RefundPayment> for Payments {
    async fn handle(&self, it: RefundPayment, cx: Granted<RefundPayment>) -> Result<AttemptView, Problem> {
        let inside = self.inside(it.tenant, &cx).await?;
        let id = RefundId::from_words(&["refund", &it.attempt.to_string(), it.refund.as_str()]);
        let store = self.store.at(&inside);
        let (now, real) = (inside.now(), inside.real_now());
        // Told at once, where there is too little. It is taken when the money goes.
        if let Some(mut wallet) = store.try_load::<Wallet>(&Wallet::ID.to_owned()).await? {
            wallet.withdraw(id, it.amount, now)?;
        } else {
            return Err(Refusal::TooFewCredits.into());
        }
        let asked = store.change(&it.attempt, |attempt: &mut Attempt| Ok(attempt.refund(id, it.amount, real)?)).await?;
        Ok(view(&asked))
    }
}
