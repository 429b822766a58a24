//! Where mail goes: to the configured server, or to the console while there is none.

use std::sync::Arc;

use async_trait::async_trait;
use notifications::{Carrier, Message, Outcome, Smtp, SmtpError, SmtpSettings, Target};

use crate::config::Config;

/// Shows mail to whoever watches the console; for the first minutes, before a mail server is set.
struct Console;

#[async_trait]
impl Carrier for Console {
    async fn deliver(&self, message: &Message) -> Outcome {
        if let Target::Mail(address) = &message.to {
            // Not a log line: what is logged is kept, and a link is as good as a password.
            println!("\n--- mail to {address} ---\n{}\n\n{}\n---", message.content.subject, message.content.text);
        }
        Ok(()).into()
    }
}

pub(crate) fn carrier(config: &Config) -> Result<Arc<dyn Carrier>, SmtpError> {
    let smtp = &config.smtp;
    let Some(host) = smtp.host.clone() else { return Ok(Arc::new(Console)) };
    let (user, password) = (smtp.user.clone(), smtp.password.clone());
    let settings = SmtpSettings { host, port: smtp.port, tls: smtp.tls, user, password, from: smtp.from.clone() };
    Ok(Arc::new(Smtp::parse(&settings)?))
}
