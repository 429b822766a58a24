//! Billing: emitted by the context `billing`. What happens to invoices, credits and the ledger is in [`crate::invoices`].

use std::collections::BTreeMap;

use kernel::{Event, TenantId, Timestamp, id_kind};
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::invoices::*;

id_kind!(
    /// A tenant's use of a plan.
    SubscriptionId, SubscriptionKind, "sub"
);
id_kind!(
    /// An invoice.
    InvoiceId, InvoiceKind, "inv"
);

/// Where a subscription is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionState {
    /// In force, and nothing is charged until the trial ends.
    Trial,
    /// In force.
    Active,
    /// In force, and an invoice is overdue.
    PastDue,
    /// Not in force, and nothing is charged, until it is resumed.
    Paused,
    /// In force until the period ends, and then no more.
    Cancelled,
    /// Over for good.
    Ended,
}

/// What a line of an invoice is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// A price that comes back with each period, ahead of it.
    Recurring,
    /// What a change within a period adds, or gives back.
    Proration,
    /// What was used in the period that is over.
    Usage,
    /// What came to be known of the period before that one.
    LateUsage,
    /// What is missing to the least that is charged for use.
    Minimum,
    /// What a coupon takes off, or a credit note takes back.
    Discount,
    /// What is carried from the invoice before, or to the next.
    Carried,
    /// Credits that are bought.
    Credits,
}

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// What it is for.
    pub kind: LineKind,
    /// The item of the plan, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// What people read.
    pub text: String,
    /// From when.
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// Until when.
    #[schemars(with = "String")]
    pub until: Timestamp,
    /// How many, or how much was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// How much.
    pub amount: Money,
    /// How the amount comes about, step by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explanation: Vec<String>,
    /// Of use: the root over the trees of all hours that it was counted from, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// What is to be charged for: an invoice is made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceRequested {
    /// The invoice that it becomes.
    pub invoice: InvoiceId,
    /// For what.
    pub subscription: SubscriptionId,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The lines, in order.
    pub lines: Vec<Line>,
    /// Their sum.
    pub net: Money,
    /// Within how many days it is to be paid.
    pub due_days: u16,
}

impl Event for InvoiceRequested {
    const TYPE: &'static str = "billing.InvoiceRequested.v1";
}

/// A version of a plan can be subscribed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanPublished {
    /// Which plan.
    pub plan: String,
    /// Which version.
    pub version: u32,
}

impl Event for PlanPublished {
    const TYPE: &'static str = "billing.PlanPublished.v1";
}

/// A coupon was made, or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CouponDefined {
    /// Its code.
    pub coupon: String,
}

impl Event for CouponDefined {
    const TYPE: &'static str = "billing.CouponDefined.v1";
}

/// A tenant used a coupon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CouponRedeemed {
    /// Its code.
    pub coupon: String,
    /// Who.
    pub tenant: TenantId,
}

impl Event for CouponRedeemed {
    const TYPE: &'static str = "billing.CouponRedeemed.v1";
}

/// The rates of tax were set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaxRatesUpdated {
    /// The country of the seller.
    pub seller: String,
}

impl Event for TaxRatesUpdated {
    const TYPE: &'static str = "billing.TaxRatesUpdated.v1";
}

/// Whoever runs the installation said who sells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SellerUpdated {
    /// The country that it is in.
    pub country: String,
}

impl Event for SellerUpdated {
    const TYPE: &'static str = "billing.SellerUpdated.v1";
}

/// A tenant said to whom its invoices go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BillingProfileUpdated {
    /// The country that it is in.
    pub country: String,
}

impl Event for BillingProfileUpdated {
    const TYPE: &'static str = "billing.BillingProfileUpdated.v1";
}

/// A tenant uses a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionCreated {
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// Which plan.
    pub plan: String,
    /// Which version of it.
    pub version: u32,
    /// On trial, or active.
    pub state: SubscriptionState,
}

impl Event for SubscriptionCreated {
    const TYPE: &'static str = "billing.SubscriptionCreated.v1";
}

/// A subscription is in another state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionStateChanged {
    /// Which.
    pub subscription: SubscriptionId,
    /// Before.
    pub from: SubscriptionState,
    /// From now on.
    pub to: SubscriptionState,
}

impl Event for SubscriptionStateChanged {
    const TYPE: &'static str = "billing.SubscriptionStateChanged.v1";
}

/// A subscription moved to a plan that costs as much or more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanUpgraded {
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// The plan before, such as `team v1`.
    pub from: String,
    /// The plan from now on.
    pub to: String,
}

impl Event for PlanUpgraded {
    const TYPE: &'static str = "billing.PlanUpgraded.v1";
}

/// A subscription moved to a plan that costs less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanDowngraded {
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// The plan before, such as `team v1`.
    pub from: String,
    /// The plan from now on.
    pub to: String,
}

impl Event for PlanDowngraded {
    const TYPE: &'static str = "billing.PlanDowngraded.v1";
}

/// A subscription has more or fewer of an item, such as seats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuantitiesChanged {
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// Item to how many, from now on.
    pub quantities: BTreeMap<String, u32>,
}

impl Event for QuantitiesChanged {
    const TYPE: &'static str = "billing.QuantitiesChanged.v1";
}

/// A change of a subscription waits for the end of its period, or was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeScheduled {
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// The plan that it will have; nothing where the change was taken back, or keeps the plan.
    pub plan: Option<String>,
}

impl Event for ChangeScheduled {
    const TYPE: &'static str = "billing.ChangeScheduled.v1";
}

/// A subscription ended, and more had been paid for it than it cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreditLeft {
    /// Which.
    pub subscription: SubscriptionId,
    /// How much more.
    pub amount: Money,
}

impl Event for CreditLeft {
    const TYPE: &'static str = "billing.CreditLeft.v1";
}

/// Use was reported and counted: what one report had of one meter and one hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageRecorded {
    /// Which meter.
    pub meter: String,
    /// The beginning of that hour, or of the part of it within the period.
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// How many events were new.
    pub events: u32,
    /// The sum of their values.
    pub quantity: String,
    /// How many leaves the tree of that hour has now: its events in the order in which they came, and corrections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The root of that tree (RFC 9162), in hexadecimal: the audit log, which has this event, so proves each of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
}

impl Event for UsageRecorded {
    const TYPE: &'static str = "billing.UsageRecorded.v1";
}

/// Whoever runs the installation corrected what was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageCorrected {
    /// Which meter.
    pub meter: String,
    /// When the use was.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// By how much; less than nothing where too much had been counted.
    pub quantity: String,
    /// Why.
    pub reason: String,
    /// How many leaves the tree of that hour has now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The root of that tree, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
}

impl Event for UsageCorrected {
    const TYPE: &'static str = "billing.UsageCorrected.v1";
}

/// Use has reached a threshold that the plan names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageThresholdReached {
    /// Which meter.
    pub meter: String,
    /// The threshold.
    pub threshold: String,
    /// How much is used.
    pub used: String,
}

impl Event for UsageThresholdReached {
    const TYPE: &'static str = "billing.UsageThresholdReached.v1";
}

/// What a tenant pays a month changed: it is new, pays more or less, or left. Told in the scope of the installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecurringRevenueChanged {
    /// Which tenant.
    pub tenant: TenantId,
    /// Before; nothing where it is new.
    pub from: Money,
    /// From now on; nothing where it left.
    pub to: Money,
}

impl Event for RecurringRevenueChanged {
    const TYPE: &'static str = "billing.RecurringRevenueChanged.v1";
}
