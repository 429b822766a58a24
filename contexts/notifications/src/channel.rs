//! The way a message leaves the platform: a port, because it ends at somebody else's server.

use async_trait::async_trait;
use contracts::notifications::NotificationId;
use kernel::text::EmailAddress;

/// A message that is ready to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which notification it is; the same on each attempt, so that a receiver can know a repetition.
    pub id: NotificationId,
    /// Where to.
    pub address: EmailAddress,
    /// The subject line.
    pub subject: String,
    /// The message as plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// Why a message was not delivered. The reasons are logged: they name no person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Another attempt may succeed.
    #[error("not delivered this time: {0}")]
    Transient(String),
    /// No attempt will succeed.
    #[error("cannot be delivered: {0}")]
    Permanent(String),
}

/// Delivers messages. At least once: a crash between a delivery and its record repeats it, with the same id.
#[async_trait]
pub trait Channel: Send + Sync + 'static {
    /// Hands the message to whoever carries it on.
    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError>;
}
