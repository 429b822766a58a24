//! Payments through gateways, saved methods, disputes, and what follows upon a bill that is not paid: emitted by the
//! context `billing`.

use kernel::{Event, Timestamp, id_kind};
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::billing::InvoiceId;

id_kind!(
    /// An attempt to be paid for an invoice.
    AttemptId, AttemptKind, "pay"
);
id_kind!(
    /// A way to pay that a tenant saved.
    MethodId, MethodKind, "pmt"
);
id_kind!(
    /// Money that goes back.
    RefundId, RefundKind, "rfd"
);

/// A tenant saved a way to pay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentMethodAdded {
    /// Which.
    pub method: MethodId,
    /// At which gateway.
    pub gateway: String,
}

impl Event for PaymentMethodAdded {
    const TYPE: &'static str = "billing.PaymentMethodAdded.v1";
}

/// A tenant prefers another of its ways to pay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentMethodPreferred {
    /// Which.
    pub method: MethodId,
}

impl Event for PaymentMethodPreferred {
    const TYPE: &'static str = "billing.PaymentMethodPreferred.v1";
}

/// A way to pay is no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentMethodRemoved {
    /// Which.
    pub method: MethodId,
    /// At which gateway.
    pub gateway: String,
}

impl Event for PaymentMethodRemoved {
    const TYPE: &'static str = "billing.PaymentMethodRemoved.v1";
}

/// A gateway is to be asked for the money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentAttempted {
    /// Which attempt.
    pub attempt: AttemptId,
    /// For which invoice.
    pub invoice: InvoiceId,
    /// How much.
    pub amount: Money,
    /// By which gateway.
    pub gateway: String,
}

impl Event for PaymentAttempted {
    const TYPE: &'static str = "billing.PaymentAttempted.v1";
}

/// The gateway has the money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentSucceeded {
    /// Which attempt.
    pub attempt: AttemptId,
    /// For which invoice.
    pub invoice: InvoiceId,
    /// How much.
    pub amount: Money,
    /// Which gateway.
    pub gateway: String,
    /// What the gateway calls it.
    pub reference: String,
}

impl Event for PaymentSucceeded {
    const TYPE: &'static str = "billing.PaymentSucceeded.v1";
}

/// An attempt is over, and no money moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentDeclined {
    /// Which attempt.
    pub attempt: AttemptId,
    /// For which invoice.
    pub invoice: InvoiceId,
    /// How much it was to be.
    pub amount: Money,
    /// Which gateway.
    pub gateway: String,
    /// Why, in the gateway's words: `card_declined`, `insufficient_funds`, …
    pub code: String,
    /// Whether the same method may well succeed another day.
    pub retryable: bool,
}

impl Event for PaymentDeclined {
    const TYPE: &'static str = "billing.PaymentDeclined.v1";
}

/// Whoever pays has to confirm it first, such as with their bank (strong customer authentication).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentActionRequired {
    /// Which attempt.
    pub attempt: AttemptId,
    /// For which invoice.
    pub invoice: InvoiceId,
    /// Which gateway.
    pub gateway: String,
}

impl Event for PaymentActionRequired {
    const TYPE: &'static str = "billing.PaymentActionRequired.v1";
}

/// Money is to go back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefundRequested {
    /// Which refund.
    pub refund: RefundId,
    /// Of which attempt.
    pub attempt: AttemptId,
    /// How much.
    pub amount: Money,
}

impl Event for RefundRequested {
    const TYPE: &'static str = "billing.RefundRequested.v1";
}

/// Money went back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentRefunded {
    /// Which refund.
    pub refund: RefundId,
    /// Of which attempt.
    pub attempt: AttemptId,
    /// For which invoice that had been.
    pub invoice: InvoiceId,
    /// How much.
    pub amount: Money,
}

impl Event for PaymentRefunded {
    const TYPE: &'static str = "billing.PaymentRefunded.v1";
}

/// A refund was refused for good: the money is where it was, and is the tenant's to use as credits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefundFailed {
    /// Which refund.
    pub refund: RefundId,
    /// Of which attempt.
    pub attempt: AttemptId,
    /// How much.
    pub amount: Money,
    /// Why, in the gateway's words.
    pub code: String,
}

impl Event for RefundFailed {
    const TYPE: &'static str = "billing.RefundFailed.v1";
}

/// Whoever paid disputes it with their bank, which took the money back for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisputeOpened {
    /// Which attempt.
    pub attempt: AttemptId,
    /// For which invoice it was.
    pub invoice: InvoiceId,
    /// What the gateway calls the dispute.
    pub dispute: String,
    /// How much.
    pub amount: Money,
    /// Why, in the gateway's words.
    pub reason: String,
}

impl Event for DisputeOpened {
    const TYPE: &'static str = "billing.DisputeOpened.v1";
}

/// A dispute was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisputeClosed {
    /// Which attempt.
    pub attempt: AttemptId,
    /// For which invoice it was.
    pub invoice: InvoiceId,
    /// What the gateway calls the dispute.
    pub dispute: String,
    /// How much.
    pub amount: Money,
    /// Whether the money came back.
    pub won: bool,
}

impl Event for DisputeClosed {
    const TYPE: &'static str = "billing.DisputeClosed.v1";
}

/// An invoice could not be collected: it is tried again on a schedule, and whoever pays is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DunningBegun {
    /// Which invoice.
    pub invoice: InvoiceId,
    /// When nothing is tried any more, and the tenant is suspended.
    #[schemars(with = "String")]
    pub ends: Timestamp,
}

impl Event for DunningBegun {
    const TYPE: &'static str = "billing.DunningBegun.v1";
}

/// Whoever pays is reminded of an invoice, and it is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DunningReminded {
    /// Which invoice.
    pub invoice: InvoiceId,
    /// The how many-th time.
    pub step: u32,
}

impl Event for DunningReminded {
    const TYPE: &'static str = "billing.DunningReminded.v1";
}

/// All was tried in vain: the tenant is suspended until the invoice is settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DunningExhausted {
    /// Which invoice.
    pub invoice: InvoiceId,
}

impl Event for DunningExhausted {
    const TYPE: &'static str = "billing.DunningExhausted.v1";
}

/// The invoice is settled: nothing is to be tried any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DunningEnded {
    /// Which invoice.
    pub invoice: InvoiceId,
    /// Whether the tenant had been suspended for it.
    pub suspended: bool,
}

impl Event for DunningEnded {
    const TYPE: &'static str = "billing.DunningEnded.v1";
}

/// What a gateway knows was compared with what is known here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PaymentsReconciled {
    /// Which gateway.
    pub gateway: String,
    /// Payments that it told of.
    pub seen: u32,
    /// Those of them of which something was not known here.
    pub repaired: u32,
    /// Those whose attempt is not known here.
    pub unknown: u32,
}

impl Event for PaymentsReconciled {
    const TYPE: &'static str = "billing.PaymentsReconciled.v1";
}
