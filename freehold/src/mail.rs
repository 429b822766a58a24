//! Where mail goes: to the configured server, or to the console while there is none.

use std::sync::Arc;

use async_trait::async_trait;
use notifications::{Channel, DeliveryError, Message, Smtp, SmtpError, SmtpSettings};

use crate::config::Config;

/// Shows mail to whoever watches the console; for the first minutes, before a mail server is set.
struct Console;

#[async_trait]
impl Channel for Console {
    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        // Not a log line: what is logged is kept, and a link is as good as a password.
        println!("\n--- mail to {} ---\n{}\n\n{}---", message.address, message.subject, message.text);
        Ok(())
    }
}

pub(crate) fn channel(config: &Config) -> Result<Arc<dyn Channel>, SmtpError> {
    let smtp = &config.smtp;
    let Some(host) = smtp.host.clone() else { return Ok(Arc::new(Console)) };
    let (user, password) = (smtp.user.clone(), smtp.password.clone());
    let settings = SmtpSettings { host, port: smtp.port, tls: smtp.tls, user, password, from: smtp.from.clone() };
    Ok(Arc::new(Smtp::parse(&settings)?))
}
