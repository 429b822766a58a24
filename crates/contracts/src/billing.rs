//! Billing: emitted by the context `billing`.

use std::collections::BTreeMap;

use kernel::{Event, Money, TenantId, Timestamp, id_kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// What a coupon takes off.
    Discount,
    /// What is carried from the invoice before, or to the next.
    Carried,
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

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
            impl Event for $name {
                const TYPE: &'static str = concat!("billing.", stringify!($name), ".v1");
            }
        )*
    };
}

events! {
    /// A version of a plan can be subscribed to.
    PlanPublished {
        /// Which plan.
        plan: String,
        /// Which version.
        version: u32,
    }

    /// A coupon was made, or changed.
    CouponDefined {
        /// Its code.
        coupon: String,
    }

    /// A tenant used a coupon.
    CouponRedeemed {
        /// Its code.
        coupon: String,
        /// Who.
        tenant: TenantId,
    }

    /// The rates of tax were set.
    TaxRatesUpdated {
        /// The country of the seller.
        seller: String,
    }

    /// A tenant said to whom its invoices go.
    BillingProfileUpdated {
        /// The country that it is in.
        country: String,
    }

    /// A tenant uses a plan.
    SubscriptionCreated {
        /// Which subscription.
        subscription: SubscriptionId,
        /// Which plan.
        plan: String,
        /// Which version of it.
        version: u32,
        /// On trial, or active.
        state: SubscriptionState,
    }

    /// A subscription is in another state.
    SubscriptionStateChanged {
        /// Which.
        subscription: SubscriptionId,
        /// Before.
        from: SubscriptionState,
        /// From now on.
        to: SubscriptionState,
    }

    /// A subscription moved to a plan that costs as much or more.
    PlanUpgraded {
        /// Which subscription.
        subscription: SubscriptionId,
        /// The plan before, such as `team v1`.
        from: String,
        /// The plan from now on.
        to: String,
    }

    /// A subscription moved to a plan that costs less.
    PlanDowngraded {
        /// Which subscription.
        subscription: SubscriptionId,
        /// The plan before, such as `team v1`.
        from: String,
        /// The plan from now on.
        to: String,
    }

    /// A subscription has more or fewer of an item, such as seats.
    QuantitiesChanged {
        /// Which subscription.
        subscription: SubscriptionId,
        /// Item to how many, from now on.
        quantities: BTreeMap<String, u32>,
    }

    /// A change of a subscription waits for the end of its period, or was taken back.
    ChangeScheduled {
        /// Which subscription.
        subscription: SubscriptionId,
        /// The plan that it will have; nothing where the change was taken back, or keeps the plan.
        plan: Option<String>,
    }

    /// A subscription ended, and more had been paid for it than it cost.
    CreditLeft {
        /// Which.
        subscription: SubscriptionId,
        /// How much more.
        amount: Money,
    }

    /// Use was reported and counted: what one report had of one meter and one hour.
    UsageRecorded {
        /// Which meter.
        meter: String,
        /// The beginning of that hour, or of the part of it within the period.
        #[schemars(with = "String")]
        from: Timestamp,
        /// How many events were new.
        events: u32,
        /// The sum of their values.
        quantity: String,
    }

    /// Whoever runs the installation corrected what was counted.
    UsageCorrected {
        /// Which meter.
        meter: String,
        /// When the use was.
        #[schemars(with = "String")]
        at: Timestamp,
        /// By how much; less than nothing where too much had been counted.
        quantity: String,
        /// Why.
        reason: String,
    }

    /// Use has reached a threshold that the plan names.
    UsageThresholdReached {
        /// Which meter.
        meter: String,
        /// The threshold.
        threshold: String,
        /// How much is used.
        used: String,
    }

    /// An invoice is made, and has no number yet.
    InvoiceDrafted {
        /// Which.
        invoice: InvoiceId,
        /// What is to be paid, tax included.
        total: Money,
    }

    /// The seller's series gave out numbers, which makes invoices final.
    InvoicesNumbered {
        /// The series: `live`, or the tenant whose test clock it goes by.
        series: String,
        /// Who got which.
        assigned: Vec<NumberAssigned>,
    }

    /// An invoice is final.
    InvoiceGenerated {
        /// Which.
        invoice: InvoiceId,
        /// Its number.
        number: String,
        /// Its date.
        #[schemars(with = "String")]
        date: Timestamp,
        /// The sum of its lines.
        net: Money,
        /// The tax upon it.
        tax: Money,
        /// Both together.
        total: Money,
        /// What of it was paid by credits.
        credits: Money,
        /// When the rest is to be paid.
        #[schemars(with = "String")]
        due: Timestamp,
    }

    /// A payment came in.
    PaymentProcessed {
        /// For which invoice.
        invoice: InvoiceId,
        /// Its name among the payments of that invoice.
        payment: String,
        /// How much.
        amount: Money,
        /// What is still to be paid.
        open: Money,
    }

    /// An invoice was not paid in time.
    InvoiceOverdue {
        /// Which.
        invoice: InvoiceId,
        /// For what.
        subscription: SubscriptionId,
    }

    /// An invoice is paid, or given up, so that nothing is overdue of it.
    InvoiceSettled {
        /// Which.
        invoice: InvoiceId,
        /// For what.
        subscription: SubscriptionId,
    }

    /// An invoice was declared void: it keeps its number.
    InvoiceVoided {
        /// Which.
        invoice: InvoiceId,
        /// The sum of its lines.
        net: Money,
        /// The tax upon it.
        tax: Money,
        /// What was still to be paid.
        open: Money,
        /// What of it had been paid by credits.
        credits: Money,
        /// Why.
        reason: String,
    }

    /// What is still to be paid of an invoice was given up.
    InvoiceWrittenOff {
        /// Which.
        invoice: InvoiceId,
        /// How much.
        amount: Money,
    }

    /// A tenant was given credits.
    CreditsGranted {
        /// Which grant.
        grant: String,
        /// How much.
        amount: Money,
    }

    /// Credits pay for an invoice.
    CreditsDrawn {
        /// For which.
        invoice: InvoiceId,
        /// How much.
        amount: Money,
    }

    /// Credits came back from an invoice that was declared void.
    CreditsReturned {
        /// From which.
        invoice: InvoiceId,
        /// How much.
        amount: Money,
    }

    /// Credits were not used in time.
    CreditsExpired {
        /// Which grant.
        grant: String,
        /// How much was left of it.
        amount: Money,
    }

    /// A transaction stands in the ledger.
    TransactionPosted {
        /// Its name.
        transaction: String,
    }
}

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
