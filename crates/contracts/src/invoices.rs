//! Invoices, their numbers, credits and the ledger: emitted by the context `billing`.

use kernel::{Event, TenantId, Timestamp};
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    billing::{InvoiceId, SubscriptionId},
    payments::RefundId,
};

/// One invoice's number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NumberAssigned {
    /// Whose invoice.
    pub tenant: TenantId,
    /// Which.
    pub invoice: InvoiceId,
    /// Its number.
    pub number: String,
    /// Its date.
    #[schemars(with = "String")]
    pub date: Timestamp,
}

/// An invoice is made, and has no number yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceDrafted {
    /// Which.
    pub invoice: InvoiceId,
    /// What is to be paid, tax included.
    pub total: Money,
}

impl Event for InvoiceDrafted {
    const TYPE: &'static str = "billing.InvoiceDrafted.v1";
}

/// The seller's series gave out numbers, which makes invoices final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoicesNumbered {
    /// The series: `live`, or the tenant whose test clock it goes by.
    pub series: String,
    /// Who got which.
    pub assigned: Vec<NumberAssigned>,
}

impl Event for InvoicesNumbered {
    const TYPE: &'static str = "billing.InvoicesNumbered.v1";
}

/// An invoice is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceGenerated {
    /// Which.
    pub invoice: InvoiceId,
    /// Its number.
    pub number: String,
    /// Its date.
    #[schemars(with = "String")]
    pub date: Timestamp,
    /// The sum of its lines.
    pub net: Money,
    /// The tax upon it.
    pub tax: Money,
    /// Both together.
    pub total: Money,
    /// What of it was paid by credits.
    pub credits: Money,
    /// When the rest is to be paid.
    #[schemars(with = "String")]
    pub due: Timestamp,
    /// Whether credits are bought by it: nothing is sold yet.
    #[serde(default)]
    pub prepaid: bool,
}

impl Event for InvoiceGenerated {
    const TYPE: &'static str = "billing.InvoiceGenerated.v1";
}

/// A payment came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentProcessed {
    /// For which invoice.
    pub invoice: InvoiceId,
    /// Its name among the payments of that invoice.
    pub payment: String,
    /// How much.
    pub amount: Money,
    /// What is still to be paid.
    pub open: Money,
}

impl Event for PaymentProcessed {
    const TYPE: &'static str = "billing.PaymentProcessed.v1";
}

/// An invoice was not paid in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceOverdue {
    /// Which.
    pub invoice: InvoiceId,
    /// For what.
    pub subscription: SubscriptionId,
}

impl Event for InvoiceOverdue {
    const TYPE: &'static str = "billing.InvoiceOverdue.v1";
}

/// An invoice is paid, or given up, so that nothing is overdue of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceSettled {
    /// Which.
    pub invoice: InvoiceId,
    /// For what.
    pub subscription: SubscriptionId,
}

impl Event for InvoiceSettled {
    const TYPE: &'static str = "billing.InvoiceSettled.v1";
}

/// A part of an invoice, or all of it, is to be taken back by a credit note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreditNoteRequested {
    /// The credit note that it becomes.
    pub credit_note: InvoiceId,
    /// Of which invoice.
    pub invoice: InvoiceId,
    /// How much of its lines: less than nothing.
    pub net: Money,
    /// How much of the tax upon them: at most nothing.
    pub tax: Money,
    /// Why.
    pub reason: String,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

impl Event for CreditNoteRequested {
    const TYPE: &'static str = "billing.CreditNoteRequested.v1";
}

/// A credit note is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreditNoteIssued {
    /// Which.
    pub credit_note: InvoiceId,
    /// Its number.
    pub number: String,
    /// Of which invoice.
    pub invoice: InvoiceId,
    /// How much, tax included.
    pub total: Money,
}

impl Event for CreditNoteIssued {
    const TYPE: &'static str = "billing.CreditNoteIssued.v1";
}

/// So much less is to be paid of an invoice, because of a credit note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceCredited {
    /// Which invoice.
    pub invoice: InvoiceId,
    /// By which credit note.
    pub credit_note: InvoiceId,
    /// How much of it.
    pub amount: Money,
    /// What is still to be paid.
    pub open: Money,
}

impl Event for InvoiceCredited {
    const TYPE: &'static str = "billing.InvoiceCredited.v1";
}

/// An invoice was declared void, or what was open of one that credits are bought by: it keeps its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceVoided {
    /// Which.
    pub invoice: InvoiceId,
    /// The sum of its lines.
    pub net: Money,
    /// The tax upon it.
    pub tax: Money,
    /// What was still to be paid.
    pub open: Money,
    /// What of it had been paid by credits.
    pub credits: Money,
    /// Why.
    pub reason: String,
    /// Whether credits were to be bought by it.
    #[serde(default)]
    pub prepaid: bool,
}

impl Event for InvoiceVoided {
    const TYPE: &'static str = "billing.InvoiceVoided.v1";
}

/// What is still to be paid of an invoice was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceWrittenOff {
    /// Which.
    pub invoice: InvoiceId,
    /// How much.
    pub amount: Money,
}

impl Event for InvoiceWrittenOff {
    const TYPE: &'static str = "billing.InvoiceWrittenOff.v1";
}

/// Where credits come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CreditSource {
    /// The seller gives them.
    #[default]
    Given,
    /// Money came in that no invoice waits for, or that was paid in advance.
    Paid,
    /// An invoice was paid by which they were bought.
    Bought,
    /// A credit note takes back more than was still to be paid.
    CreditNote,
}

/// A tenant was given credits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreditsGranted {
    /// Which grant.
    pub grant: String,
    /// How much.
    pub amount: Money,
    /// Where they come from.
    #[serde(default)]
    pub source: CreditSource,
}

impl Event for CreditsGranted {
    const TYPE: &'static str = "billing.CreditsGranted.v1";
}

/// Credits pay for an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreditsDrawn {
    /// For which.
    pub invoice: InvoiceId,
    /// How much.
    pub amount: Money,
}

impl Event for CreditsDrawn {
    const TYPE: &'static str = "billing.CreditsDrawn.v1";
}

/// Credits came back from an invoice that was declared void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreditsReturned {
    /// From which.
    pub invoice: InvoiceId,
    /// How much.
    pub amount: Money,
}

impl Event for CreditsReturned {
    const TYPE: &'static str = "billing.CreditsReturned.v1";
}

/// Credits go back as money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreditsWithdrawn {
    /// By which refund.
    pub refund: RefundId,
    /// How much.
    pub amount: Money,
}

impl Event for CreditsWithdrawn {
    const TYPE: &'static str = "billing.CreditsWithdrawn.v1";
}

/// A refund failed, and its credits came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreditsRestored {
    /// Which refund.
    pub refund: RefundId,
    /// How much.
    pub amount: Money,
}

impl Event for CreditsRestored {
    const TYPE: &'static str = "billing.CreditsRestored.v1";
}

/// Credits were not used in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreditsExpired {
    /// Which grant.
    pub grant: String,
    /// How much was left of it.
    pub amount: Money,
}

impl Event for CreditsExpired {
    const TYPE: &'static str = "billing.CreditsExpired.v1";
}

/// A transaction stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TransactionPosted {
    /// Its name.
    pub transaction: String,
}

impl Event for TransactionPosted {
    const TYPE: &'static str = "billing.TransactionPosted.v1";
}
