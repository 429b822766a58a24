//! Mail by SMTP (RFC 5321), to a relay that carries it on.

use std::{fmt, net::IpAddr, time::Duration};

use async_trait::async_trait;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error, PoolConfig,
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::port::{Carrier, DeliveryError, Message, Outcome, Target};

/// How long one command of the protocol may take, and a whole attempt.
const TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPT: Duration = Duration::from_secs(20);
/// Mails on their way to one relay at once, each on a connection of its own, which stays open for the next.
const AT_ONCE: usize = 16;
const IDLE: u32 = 4;
/// The port where TLS begins before the protocol does (RFC 8314, section 3.3).
const IMPLICIT_TLS: u16 = 465;

/// Where mail is handed over.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpSettings {
    /// The relay's name.
    pub host: String,
    /// Its port: 465 for TLS from the start, any other begins in the clear (587 by convention).
    pub port: u16,
    /// Whether TLS is required; on ports other than 465 by STARTTLS. Without it nothing is encrypted, which only a server
    /// on the same machine justifies.
    pub tls: bool,
    /// Who signs in to the relay; given together with the password, or not at all.
    #[serde(default)]
    pub user: Option<SecretString>,
    /// The password.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// The sender, such as `Freehold <no-reply@example.com>`.
    pub from: String,
}

/// Why mail cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    /// The sender is not a mailbox.
    #[error("smtp.from is not a mailbox such as \"Freehold <no-reply@example.com>\": {0}")]
    From(#[from] lettre::address::AddressError),
    /// A user without a password, or a password without a user.
    #[error("smtp.user and smtp.password go together")]
    HalfCredentials,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up for the SMTP host: {0}")]
    Tls(#[source] Error),
}

/// Delivers by SMTP, keeping connections open for a while.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    running: Semaphore,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Smtp(from {})", self.from)
    }
}

impl Smtp {
    /// Checks the settings and connects to nothing yet. Must run inside a Tokio runtime, where the pool lives.
    pub fn parse(settings: &SmtpSettings) -> Result<Self, SmtpError> {
        Self::at(settings, None)
    }

    /// The same, connecting to an address that was checked, whatever the name resolves to the next moment.
    pub fn at(settings: &SmtpSettings, checked: Option<IpAddr>) -> Result<Self, SmtpError> {
        let from = settings.from.parse()?;
        let tls = match (settings.tls, settings.port) {
            (false, _) => Tls::None,
            (true, IMPLICIT_TLS) => Tls::Wrapper(Self::tls(&settings.host)?),
            (true, _) => Tls::Required(Self::tls(&settings.host)?),
        };
        let connect = checked.map_or_else(|| settings.host.clone(), |ip| ip.to_string());
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(connect);
        let pool = PoolConfig::new().max_size(IDLE);
        let builder = builder.port(settings.port).tls(tls).timeout(Some(TIMEOUT)).pool_config(pool);
        let builder = match (&settings.user, &settings.password) {
            (None, None) => builder,
            (Some(user), Some(password)) => builder
                .credentials(Credentials::new(user.expose_secret().to_owned(), password.expose_secret().to_owned())),
            _ => return Err(SmtpError::HalfCredentials),
        };
        Ok(Self { transport: builder.build(), from, running: Semaphore::new(AT_ONCE) })
    }

    fn tls(host: &str) -> Result<TlsParameters, SmtpError> {
        TlsParameters::new(host.to_owned()).map_err(SmtpError::Tls)
    }

    fn mail(&self, message: &Message) -> Result<lettre::Message, DeliveryError> {
        let malformed = |error: &dyn fmt::Display| DeliveryError::Permanent(format!("not a mail: {error}"));
        let Target::Mail(address) = &message.to else { return Err(malformed(&"it goes elsewhere")) };
        let address = address.as_str().parse().map_err(|error| malformed(&error))?;
        let content = &message.content;
        let name = content.sender.clone().or_else(|| self.from.name.clone());
        let mut builder = lettre::Message::builder()
            .from(Mailbox::new(name, self.from.email.clone()))
            .to(Mailbox::new(None, address))
            .subject(&content.subject)
            // The same on each attempt: a receiver that got it twice can tell.
            .message_id(Some(format!("<{}@{}>", message.id, self.from.email.domain())));
        if let Some(reply_to) = &content.reply_to {
            let reply_to = reply_to.as_str().parse().map_err(|error| malformed(&error))?;
            builder = builder.reply_to(Mailbox::new(None, reply_to));
        }
        // RFC 8058, section 3: one POST to this address, without signing in, is enough.
        if let Some(link) = &content.unsubscribe {
            builder = builder
                .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("List-Unsubscribe"), format!("<{link}>")))
                .raw_header(HeaderValue::new(
                    HeaderName::new_from_ascii_str("List-Unsubscribe-Post"),
                    "List-Unsubscribe=One-Click".to_owned(),
                ));
        }
        let built = match &content.html {
            Some(html) => builder.multipart(MultiPart::alternative_plain_html(content.text.clone(), html.clone())),
            None => builder.singlepart(SinglePart::plain(content.text.clone())),
        };
        built.map_err(|error| malformed(&error))
    }
}

#[async_trait]
impl Carrier for Smtp {
    async fn deliver(&self, message: &Message) -> Outcome {
        let mail = match self.mail(message) {
            Ok(mail) => mail,
            Err(error) => return Err(error).into(),
        };
        let Ok(_permit) = self.running.try_acquire() else { return Err(DeliveryError::Busy).into() };
        match tokio::time::timeout(ATTEMPT, self.transport.send(mail)).await {
            Ok(Ok(_)) => Ok(()).into(),
            Ok(Err(error)) => refusal(&error),
            Err(_) => Err(DeliveryError::Transient("the relay took too long".to_owned())).into(),
        }
    }
}

/// Tells the code of an answer only: its text may repeat the address.
fn refusal(error: &Error) -> Outcome {
    let status = error.status().map(u16::from);
    let reason = status.map_or_else(|| error.to_string(), |code| format!("the relay answered {code}"));
    // That we may not sign in (RFC 4954, section 6) is about our settings: once they are mended the mail can go.
    let ours = matches!(status, Some(530 | 534 | 535 | 538));
    let failed = match status {
        Some(550 | 551 | 553) if about_the_mailbox(&error.to_string()) => DeliveryError::Bounced(reason),
        _ if error.is_permanent() && !ours => DeliveryError::Permanent(reason),
        _ => DeliveryError::Transient(reason),
    };
    Outcome { status, ..Outcome::from(Err(failed)) }
}

/// Whether a refusal is about the mailbox and not about what was sent, by its enhanced code (RFC 3463, section 3.2); one
/// without such a code is, too.
fn about_the_mailbox(text: &str) -> bool {
    let enhanced = text.split([' ', '(', ')']).find(|word| word.starts_with("5.") && word.matches('.').count() == 2);
    enhanced.is_none_or(|code| ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"].contains(&code))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use kernel::Id;
    use tokio::{
        io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
        net::TcpListener,
    };

    use super::*;
    use crate::port::Content;

    /// A relay that answers recipients as told and notes what it is sent.
    async fn relay(listener: &TcpListener, recipients: &str, sent: &Mutex<String>) {
        let (connection, _) = listener.accept().await.unwrap();
        let mut connection = BufReader::new(connection);
        let mut answer = "220 relay".to_owned();
        loop {
            connection.get_mut().write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
            let mut line = String::new();
            connection.read_line(&mut line).await.unwrap();
            sent.lock().unwrap().push_str(&line);
            answer = match line.get(..4) {
                Some("RCPT") => recipients.to_owned(),
                Some("DATA") => {
                    connection.get_mut().write_all(b"354 go on\r\n").await.unwrap();
                    while !line.ends_with("\r\n.\r\n") {
                        connection.read_line(&mut line).await.unwrap();
                    }
                    sent.lock().unwrap().push_str(&line);
                    "250 taken".to_owned()
                }
                _ => "250 fine".to_owned(),
            };
        }
    }

    fn settings(port: u16) -> SmtpSettings {
        let (host, from) = ("127.0.0.1".to_owned(), "Freehold <no-reply@example.com>".to_owned());
        SmtpSettings { host, port, tls: false, user: None, password: None, from }
    }

    fn message() -> Message {
        let content = Content {
            subject: "Greetings".to_owned(),
            text: "in words".to_owned(),
            html: Some("<p>in colour</p>".to_owned()),
            unsubscribe: Some("https://acme.example.com/unsubscribe?token=t".to_owned()),
            sender: Some("Acme, \"Rockets\"".to_owned()),
            reply_to: Some("help@acme.example".parse().unwrap()),
        };
        let to = Target::Mail("ada@example.com".parse().unwrap());
        Message { id: Id::from_uuid(uuid::Uuid::from_u128(7)), to, content }
    }

    async fn deliver(recipients: &str) -> (Result<(), DeliveryError>, String) {
        deliver_this(recipients, message()).await
    }

    async fn deliver_this(recipients: &str, message: Message) -> (Result<(), DeliveryError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let smtp = Smtp::parse(&settings(listener.local_addr().unwrap().port())).unwrap();
        let sent = Mutex::default();
        let outcome = tokio::select! {
            outcome = smtp.deliver(&message) => outcome.result,
            () = relay(&listener, recipients, &sent) => unreachable!("the relay waits for more"),
        };
        (outcome, sent.into_inner().unwrap())
    }

    #[tokio::test]
    async fn a_mail_carries_both_forms_and_the_id_of_its_notification() {
        let (outcome, sent) = deliver("250 fine").await;
        assert_eq!(outcome, Ok(()));
        let id = kernel::Id::<contracts::notifications::NotificationKind>::from_uuid(uuid::Uuid::from_u128(7));
        for part in [
            "MAIL FROM:<no-reply@example.com>",
            "RCPT TO:<ada@example.com>",
            "From: =?utf-8?b?QWNtZSwgIlJvY2tldHMi?= <no-reply@example.com>\r\n",
            "Reply-To: help@acme.example\r\n",
            "Subject: Greetings\r\n",
            "List-Unsubscribe: <https://acme.example.com/unsubscribe?token=t>\r\n",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
            &format!("Message-ID: <{id}@example.com>\r\n"),
            "multipart/alternative",
            "in words",
            "<p>in colour</p>",
        ] {
            assert!(sent.contains(part), "{part} is missing in {sent}");
        }
    }

    #[tokio::test]
    async fn what_stands_in_a_mail_adds_no_field_and_no_command() {
        let mut message = message();
        message.content.subject = "Hello\r\nBcc: eve@evil.example\r\n\r\nand a body".to_owned();
        message.content.text =
            "first\r\n.\r\nMAIL FROM:<eve@evil.example>\r\nRCPT TO:<eve@evil.example>\r\n".to_owned();
        message.content.html = None;
        let (outcome, sent) = deliver_this("250 fine", message).await;
        assert_eq!(outcome, Ok(()));
        let head = sent.split("\r\n\r\n").next().unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc") || line.starts_with("and a body")), "{sent}");
        assert_eq!(sent.lines().filter(|line| *line == ".").count(), 1, "the mail ends once: {sent}");
        assert!(sent.trim_end().ends_with('.') || sent.trim_end().ends_with("QUIT"), "{sent}");
    }

    #[tokio::test]
    async fn the_code_of_a_refusal_decides_whether_to_try_again() {
        let (busy, _) = deliver("450 ada@example.com is busy").await;
        assert_eq!(busy, Err(DeliveryError::Transient("the relay answered 450".to_owned())));
        let (strangers, _) = deliver("530 sign in first").await;
        assert_eq!(strangers, Err(DeliveryError::Transient("the relay answered 530".to_owned())));
        let (unknown, _) = deliver("550 ada@example.com is unknown").await;
        assert_eq!(unknown, Err(DeliveryError::Bounced("the relay answered 550".to_owned())));
        let (no_user, _) = deliver("550 5.1.1 no such user").await;
        assert_eq!(no_user, Err(DeliveryError::Bounced("the relay answered 550".to_owned())));
        let (spam, _) = deliver("550 5.7.1 looks like spam").await;
        assert_eq!(spam, Err(DeliveryError::Permanent("the relay answered 550".to_owned())));
    }

    #[tokio::test]
    async fn a_relay_that_is_down_is_tried_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let smtp = Smtp::parse(&settings(listener.local_addr().unwrap().port())).unwrap();
        drop(listener);
        assert!(matches!(smtp.deliver(&message()).await.result, Err(DeliveryError::Transient(_))));
    }

    #[tokio::test]
    async fn settings_that_cannot_work_are_refused() {
        let nobody = SmtpSettings { from: "nobody".to_owned(), ..settings(25) };
        assert!(matches!(Smtp::parse(&nobody), Err(SmtpError::From(_))));
        let half = SmtpSettings { user: Some("mailer".to_owned().into()), ..settings(25) };
        assert!(matches!(Smtp::parse(&half), Err(SmtpError::HalfCredentials)));
        assert!(Smtp::parse(&SmtpSettings { tls: true, host: "mail.example.com".to_owned(), ..settings(465) }).is_ok());
    }
}
