//! Payment gateways, as a port. An adapter for each of them stands in a crate of its own.
//!
//! Whoever asks a gateway for money may never learn what became of it: the answer is lost, the process ends, the gateway
//! answers an hour later. So a charge has two steps. [`Gateway::prepare`] makes what the gateway calls a payment and moves no
//! money; its name is written down. [`Gateway::confirm`] then moves the money, **at most once for that name**, however
//! often it is called; and [`Gateway::look`] tells what became of it. So what is not known can be found out, and what was
//! not written down has moved nothing.
//!
//! A gateway's notices (webhooks) are hints: their signature is checked, and then the gateway is asked. So they may come
//! twice, late, and in any order.

pub mod contract;
pub mod model;

use async_trait::async_trait;
use contracts::payments::{AttemptId, RefundId};
use http::HeaderMap;
use kernel::{TenantId, Timestamp, text::TextError};
use money::{Currency, Money};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A gateway's name of something: up to 255 letters, digits, `_`, `-` and `.`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[A-Za-z0-9_.-]{1,255}$"))]
pub struct Reference(String);

impl Reference {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Reference {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        let fits = |it: u8| it.is_ascii_alphanumeric() || b"_.-".contains(&it);
        if (1..=255).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text));
        }
        Err(TextError("expected the gateway's name of it, such as pm_1Nxyz"))
    }
}

impl From<Reference> for String {
    fn from(it: Reference) -> Self {
        it.0
    }
}

/// Why a gateway did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing was done: it could not be reached, or is busy. Trying again may help.
    #[error("nothing was done: {0}")]
    Later(String),
    /// Nothing was done, and nothing will be, however often it is asked.
    #[error("refused: {code}: {detail}")]
    Refused {
        /// In the gateway's words.
        code: String,
        /// For whoever runs the installation.
        detail: String,
    },
    /// It may have been done, or not, or may yet be.
    #[error("it is not known whether it was done: {0}")]
    Unknown(String),
}

impl Failure {
    /// A refusal.
    pub fn refused(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Refused { code: code.into(), detail: detail.into() }
    }
}

/// Where a payment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is there, and no money was asked for.
    Prepared,
    /// It is under way; it will be known later, in some days for debits from a bank account.
    Processing,
    /// Whoever pays has to confirm it first.
    Action {
        /// Where they do that, as far as the gateway has a page for it.
        url: Option<String>,
    },
    /// The money came in.
    Succeeded,
    /// It did not, and will not by this payment.
    Declined {
        /// Why, in the gateway's words.
        code: String,
        /// Whether the same method may well succeed another day.
        retryable: bool,
    },
}

/// A dispute, as the gateway tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// What the gateway calls it.
    pub id: String,
    /// How much.
    pub amount: Money,
    /// Why, in the gateway's words.
    pub reason: String,
    /// Whether the money came back, once that was decided.
    pub won: Option<bool>,
}

/// A payment, as the gateway tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// What the gateway calls it.
    pub reference: String,
    /// The attempt that it was made for; none where others made it.
    pub attempt: Option<(TenantId, AttemptId)>,
    /// How much.
    pub amount: Money,
    /// Where it is.
    pub standing: Standing,
}

/// What is to be charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// For which attempt: the gateway keeps it with the payment.
    pub attempt: AttemptId,
    /// Whose.
    pub tenant: TenantId,
    /// How much.
    pub amount: Money,
    /// The gateway's name of the tenant.
    pub customer: String,
    /// The gateway's name of the method.
    pub method: String,
    /// What it is of, in the gateway's words: `card`, `sepa_debit`, …
    pub kind: String,
    /// What it is for, as whoever pays reads it.
    pub about: String,
}

/// Whether somebody is there to confirm a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Nobody is.
    Away,
    /// Somebody is, and comes back to this address.
    Here {
        /// The address.
        back: String,
    },
}

/// A way to pay, as the gateway tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Method {
    /// The gateway's name of it.
    pub token: String,
    /// What it is of: `card`, `sepa_debit`, …
    pub kind: String,
    /// What people know it by, such as `visa •••• 4242`.
    pub label: String,
    /// The last month in which it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<(u16, u8)>,
}

/// Whose method is to be saved, for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Whose.
    pub tenant: TenantId,
    /// The gateway's name of the tenant.
    pub customer: String,
    /// The currency that is to be paid.
    pub currency: Currency,
    /// Where whoever saved it comes back to.
    pub back: String,
}

/// A page of the gateway's on which a method is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupPage {
    /// Where it is.
    pub url: String,
    /// What the gateway calls what happens there.
    pub reference: String,
}

/// Money that goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// The same for the same refund: the gateway keeps it with it.
    pub refund: RefundId,
    /// Of which payment.
    pub reference: String,
    /// How much.
    pub amount: Money,
}

/// What became of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returned {
    /// The gateway sends the money back, or has sent it.
    Done,
    /// It will be known later.
    Pending,
}

/// What a notice is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A payment: ask for it.
    Payment(String),
    /// A dispute about a payment. What it says stands, since its signature does.
    Dispute(String, Dispute),
    /// A method was saved on the gateway's page: ask for it.
    Setup {
        /// What the gateway calls it.
        reference: String,
        /// Whose it is.
        tenant: TenantId,
    },
    /// Nothing that matters here.
    Other,
}

/// Why a notice is not believed. It tells nothing to whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// It is not signed as the gateway signs.
    #[error("the signature is not the gateway's")]
    Signature,
    /// It was signed too long ago, or in the future.
    #[error("the notice is not of this time")]
    Time,
    /// It cannot be read.
    #[error("the notice cannot be read")]
    Form,
}

/// Payments of some time, a page of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Payments {
    /// Those.
    pub payments: Vec<Payment>,
    /// Where to go on.
    pub next: Option<String>,
}

/// See the crate.
#[async_trait]
pub trait Gateway: Send + Sync + 'static {
    /// What it is called: `stripe`, …
    fn name(&self) -> &'static str;

    /// Makes the gateway know a tenant. Asked again, it may be known twice, which harms nothing.
    async fn customer(&self, tenant: TenantId) -> Result<String, Failure>;

    /// Keeps a method of which whoever pays has told the gateway themselves, so that their card is known to it alone.
    async fn attach(&self, customer: &str, token: &str) -> Result<Method, Failure>;

    /// Forgets a method. One that is not known any more is forgotten.
    async fn detach(&self, customer: &str, token: &str) -> Result<(), Failure>;

    /// A page of the gateway's on which a method for a currency is saved, from which whoever saved it comes back.
    async fn setup(&self, to: &Setup) -> Result<SetupPage, Failure>;

    /// The method that was saved on such a page, once it was.
    async fn saved(&self, customer: &str, reference: &str) -> Result<Option<Method>, Failure>;

    /// Makes a payment that moves no money, and tells its name. Asked again, there may be another, which moves none either.
    async fn prepare(&self, charge: &Charge) -> Result<String, Failure>;

    /// Moves the money, at most once for a name. Where it is refused, this request moved none; the name can still be confirmed.
    async fn confirm(&self, charge: &Charge, reference: &str, presence: &Presence) -> Result<Payment, Failure>;

    /// Tells what became of a payment.
    async fn look(&self, reference: &str) -> Result<Payment, Failure>;

    /// Ends a payment that is not under way, so that it can move no money any more. Tells where it is then.
    async fn cancel(&self, reference: &str) -> Result<Payment, Failure>;

    /// Sends money back, once for a refund's id.
    async fn refund(&self, it: &Return) -> Result<Returned, Failure>;

    /// The payments that were made since an instant, the newest first.
    async fn since(&self, from: Timestamp, after: Option<&str>) -> Result<Payments, Failure>;

    /// What a notice is about, if it is the gateway's.
    fn notice(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Notice, NoticeError>;
}
