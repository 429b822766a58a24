//! How a message reaches a person: a port, and mail over SMTP.

use async_trait::async_trait;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message as Mail, Tokio1Executor,
    message::{Mailbox, MultiPart},
    transport::smtp::{authentication::Credentials, client::Tls},
};
use secrecy::{ExposeSecret, SecretString};

/// A message, complete.
#[derive(Debug, Clone)]
pub struct Message {
    /// Where to.
    pub address: String,
    /// The subject line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// It may be taken later.
    #[error("not taken now: {0}")]
    Transient(String),
    /// It never will be.
    #[error("refused: {0}")]
    Permanent(String),
}

/// Delivers messages, at least once.
#[async_trait]
pub trait Channel: Send + Sync + 'static {
    /// Hands a message over.
    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError>;
}

/// Where mail is handed over.
pub struct SmtpSettings {
    /// The host name of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the connection is secured by TLS (STARTTLS, or from the start at port 465).
    pub tls: bool,
    /// Who signs in there, with the password.
    pub account: Option<(String, SecretString)>,
    /// The sender: `Name <address>`.
    pub from: String,
}

/// Mail over SMTP.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Smtp {
    /// A pool of connections to a server; nothing is connected yet.
    pub fn new(settings: SmtpSettings) -> Result<Self, DeliveryError> {
        let wrong = |error: String| DeliveryError::Permanent(error);
        type Transport = AsyncSmtpTransport<Tokio1Executor>;
        let host = settings.host.as_str();
        let builder = match (settings.tls, settings.port) {
            (false, _) => Ok(Transport::builder_dangerous(host).tls(Tls::None)),
            (true, 465) => Transport::relay(host),
            (true, _) => Transport::starttls_relay(host),
        };
        let mut builder = builder.map_err(|error| wrong(error.to_string()))?.port(settings.port);
        if let Some((user, password)) = settings.account {
            builder = builder.credentials(Credentials::new(user, password.expose_secret().to_owned()));
        }
        let from = settings.from.parse().map_err(|error: lettre::address::AddressError| wrong(error.to_string()))?;
        Ok(Self { transport: builder.build(), from })
    }
}

#[async_trait]
impl Channel for Smtp {
    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        let permanent = |error: String| DeliveryError::Permanent(error);
        let to = message.address.parse::<lettre::Address>().map_err(|error| permanent(error.to_string()))?;
        let mail = Mail::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(&message.subject)
            .multipart(MultiPart::alternative_plain_html(message.text.clone(), message.html.clone()))
            .map_err(|error| permanent(error.to_string()))?;
        let sent = self.transport.send(mail).await;
        sent.map(drop).map_err(|error| {
            if error.is_permanent() {
                permanent(error.to_string())
            } else {
                DeliveryError::Transient(error.to_string())
            }
        })
    }
}
