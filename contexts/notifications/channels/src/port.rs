//! The way a message leaves the platform: a port, because it ends at somebody else's server.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use contracts::notifications::NotificationId;
use kernel::text::EmailAddress;

/// Where a message goes. What is reached by other means is another variant, with a carrier of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// A mailbox.
    Mail(EmailAddress),
    /// A webhook endpoint.
    Webhook(Endpoint),
}

/// A webhook endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What it is called: attempts at one endpoint share a bound.
    pub name: String,
    /// Its address.
    pub url: String,
    /// The secrets that sign, the newest first. Each receiver knows one of them.
    pub secrets: Vec<String>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.name)
    }
}

/// What a message says, in the forms that channels need.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// The subject line.
    pub subject: String,
    /// The message as plain text; for a webhook, the JSON document that is sent.
    pub text: String,
    /// The same as HTML.
    pub html: Option<String>,
    /// The address that opts the recipient out by one POST (RFC 8058).
    pub unsubscribe: Option<String>,
    /// The name that a mail comes from, where it is not the server's own.
    pub sender: Option<String>,
    /// Where an answer to a mail goes, where that is somewhere else.
    pub reply_to: Option<EmailAddress>,
}

/// A message that is ready to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which notification it is; the same on each attempt, so that a receiver can know a repetition.
    pub id: NotificationId,
    /// Where to.
    pub to: Target,
    /// What it says.
    pub content: Content,
}

/// Why a message was not delivered. The reasons name no person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// As many attempts at this receiver run as are allowed at once: this one did not begin.
    #[error("the receiver is busy")]
    Busy,
    /// Another attempt may succeed.
    #[error("not delivered this time: {0}")]
    Transient(String),
    /// No attempt will succeed.
    #[error("cannot be delivered: {0}")]
    Permanent(String),
    /// Nothing at all can be delivered to this address any more.
    #[error("the address takes no messages: {0}")]
    Bounced(String),
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it was delivered.
    pub result: Result<(), DeliveryError>,
    /// What the receiver answered, as a number of its protocol.
    pub status: Option<u16>,
    /// The beginning of what it answered.
    pub response: Option<String>,
    /// How long it wants to be left alone.
    pub pause: Option<Duration>,
}

impl From<Result<(), DeliveryError>> for Outcome {
    fn from(result: Result<(), DeliveryError>) -> Self {
        Self { result, status: None, response: None, pause: None }
    }
}

/// Delivers messages. At least once: a crash between a delivery and its record repeats it, with the same id. Several may
/// be asked for at once.
#[async_trait]
pub trait Carrier: Send + Sync + 'static {
    /// Hands the message to whoever carries it on, within a bounded time.
    async fn deliver(&self, message: &Message) -> Outcome;
}
