//! Why a rule refuses something.

use contracts::billing::SubscriptionState;
use kernel::{Problem, ProblemKind, text::Key};
use money::{Currency, MoneyError};

/// Why a rule refuses something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A number is larger than can be kept.
    #[error("the number is too large")]
    Overflow,
    /// Two currencies cannot be added.
    #[error("{0} and {1} are different currencies")]
    Mismatch(Currency, Currency),
    /// It has no price in this currency.
    #[error("this is not sold in {0}")]
    Currency(Currency),
    /// What a plan or a coupon says means nothing.
    #[error("{0}")]
    Terms(&'static str),
    /// Nobody uses less than nothing.
    #[error("use is not less than nothing")]
    NegativeUsage,
    /// A meter has more in an hour than can be told apart, or charged.
    #[error("an hour of a meter takes 20,000 reports, and a sum of 10,000,000,000")]
    TooManyReports,
    /// The plan has no such meter.
    #[error("the plan has no meter {0}")]
    UnknownMeter(Key),
    /// It lies before the period before the present one.
    #[error("use is reported in its period, or in the one after it")]
    TooLate,
    /// It lies in the future.
    #[error("use is reported after it was")]
    TooEarly,
    /// The plan has no such item to have more or less of.
    #[error("the plan has no item {0} of which there can be more or less")]
    UnknownItem(Key),
    /// More or less than the plan allows.
    #[error("the plan allows {least} to {most} of {item}")]
    Quantity {
        /// Of what.
        item: Key,
        /// At least.
        least: u32,
        /// At most.
        most: u32,
    },
    /// The tenant has used this coupon.
    #[error("this coupon was used before")]
    CouponTwice,
    /// It was used by as many as it is for, or its time is over.
    #[error("this coupon can be used no more")]
    CouponOver,
    /// What is asked does not follow upon the present state.
    #[error("a subscription that is {0:?} does not allow this")]
    State(SubscriptionState),
    /// Periods of another length begin when the present one ends.
    #[error("a plan with periods of another length begins when the present period ends")]
    CadenceNow,
    /// The period has had too many changes.
    #[error("a period has at most 50 changes")]
    TooManyChanges,
    /// What an invoice's state does not allow.
    #[error("an invoice that is {0} does not allow this")]
    Invoice(&'static str),
    /// A payment that does not fit what is open.
    #[error("a payment is more than nothing, and at most what is still to be paid")]
    Payment,
    /// A transaction whose legs do not cancel.
    #[error("the legs of a transaction sum to zero in each currency")]
    NotBalanced,
    /// A grant of credits that means nothing, or too many of them.
    #[error("credits are more than nothing, end in the future, and there are at most 200 grants")]
    Credits,
    /// More is to be taken back than an invoice has.
    #[error("a credit note takes back more than nothing, and at most what the invoice has left")]
    CreditNote,
    /// More is to go back than the tenant has.
    #[error("the tenant has not as much of credits")]
    TooFewCredits,
    /// More is to go back than came in.
    #[error("of what came in, more cannot go back, nor less than nothing")]
    Refund,
    /// As many ways to pay as can be kept.
    #[error("a tenant keeps at most 20 ways to pay")]
    Methods,
    /// No way to pay has this id.
    #[error("the tenant has no such way to pay")]
    UnknownMethod,
}

impl From<MoneyError> for Refusal {
    fn from(error: MoneyError) -> Self {
        match error {
            MoneyError::Overflow => Self::Overflow,
            MoneyError::Mismatch(left, right) => Self::Mismatch(left, right),
            MoneyError::NoParts => Self::Terms("there is nothing to divide by"),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        use ProblemKind::{Conflict, Refused};
        let detail = refusal.to_string();
        match refusal {
            Refusal::Overflow => Self::new(Refused, "billing.overflow", detail).hint("send smaller numbers"),
            Refusal::Mismatch(..) | Refusal::Currency(_) => Self::new(Refused, "billing.currency", detail)
                .hint("use a currency in which the plan is sold; a subscription keeps its currency"),
            Refusal::Terms(_) => {
                Self::new(Refused, "billing.terms", detail).hint("correct what the plan, coupon or rate says")
            }
            Refusal::NegativeUsage => Self::new(Refused, "billing.negative_usage", detail)
                .hint("whoever runs the installation can correct what was counted"),
            Refusal::TooManyReports => {
                Self::new(Refused, "billing.too_many_reports", detail).hint("count in the product, and report sums")
            }
            Refusal::UnknownMeter(_) => {
                Self::new(Refused, "billing.unknown_meter", detail).hint("ask for the meters with GET /v1/subscription")
            }
            Refusal::TooLate => Self::new(Refused, "billing.usage_too_late", detail)
                .hint("ask whoever runs the installation to correct the present period"),
            Refusal::TooEarly => Self::new(Refused, "billing.usage_too_early", detail)
                .hint("set the clock of the sender, or leave `at` out"),
            Refusal::UnknownItem(_) | Refusal::Quantity { .. } => {
                Self::new(Refused, "billing.quantity", detail).hint("choose a number that the plan allows")
            }
            Refusal::CouponTwice => {
                Self::new(Conflict, "billing.coupon_twice", detail).hint("leave the coupon out, or use another")
            }
            Refusal::CouponOver => {
                Self::new(Refused, "billing.coupon_over", detail).hint("leave the coupon out, or use another")
            }
            Refusal::State(_) => Self::new(Conflict, "billing.subscription_state", detail)
                .hint("see its state with GET /v1/subscription"),
            Refusal::CadenceNow => {
                Self::new(Refused, "billing.cadence_now", detail).hint("ask for it with `when`: `period_end`")
            }
            Refusal::TooManyChanges => Self::new(Refused, "billing.too_many_changes", detail)
                .hint("ask for it with `when`: `period_end`, or in the next period"),
            Refusal::Invoice(_) => {
                Self::new(Conflict, "billing.invoice_state", detail).hint("read the invoice again before it is changed")
            }
            Refusal::Payment => {
                Self::new(Refused, "billing.payment", detail).hint("read what is open, in the invoice's currency")
            }
            Refusal::NotBalanced => Self::internal("a transaction does not sum to zero"),
            Refusal::Credits => {
                Self::new(Refused, "billing.credits", detail).hint("give an amount above nothing and an end to come")
            }
            Refusal::CreditNote => Self::new(Refused, "billing.credit_note", detail)
                .hint("read the invoice: `credited` says what was taken back before"),
            Refusal::TooFewCredits => Self::new(Refused, "billing.too_few_credits", detail)
                .hint("money goes back out of credits: issue a credit note first"),
            Refusal::Refund => Self::new(Refused, "billing.refund", detail)
                .hint("read what came in and went back with GET /v1/tenants/{tenant}/payments"),
            Refusal::Methods => Self::new(Conflict, "billing.methods", detail).hint("remove one first"),
            Refusal::UnknownMethod => Self::not_found("payment method"),
        }
    }
}
