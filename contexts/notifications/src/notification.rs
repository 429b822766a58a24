//! A notification: what is told to whom, and how far it has come.

use std::time::Duration;

use contracts::notifications::{NotificationId, NotificationRequested, NotificationSent};
use kernel::{Aggregate, ScopeKind, Term, Timer, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::channel::{DeliveryError, Message};

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// To be delivered.
    Requested,
    /// The channel took it.
    Sent,
    /// Given up.
    Failed,
}

/// The first pause; each is twice the one before.
const PAUSE: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 8;

/// A notification.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Notification {
    pub(crate) id: NotificationId,
    pub(crate) user: UserId,
    pub(crate) subject: String,
    address: String,
    text: String,
    html: String,
    pub(crate) status: Status,
    attempts: u32,
    pub(crate) asked: Timestamp,
    next: Option<Timestamp>,
}

impl Notification {
    pub(crate) fn request(
        id: NotificationId,
        user: UserId,
        message: Message,
        now: Timestamp,
    ) -> (Self, NotificationRequested) {
        let Message { address, subject, text, html } = message;
        let (status, next) = (Status::Requested, Some(now));
        let it = Self { id, user, subject, address, text, html, status, attempts: 0, asked: now, next };
        (it, NotificationRequested { notification: id, user, channel: "mail".to_owned() })
    }

    /// What is to be handed over now, if anything is.
    pub(crate) fn message(&self) -> Option<Message> {
        let (address, subject) = (self.address.clone(), self.subject.clone());
        let (text, html) = (self.text.clone(), self.html.clone());
        (self.status == Status::Requested).then_some(Message { address, subject, text, html })
    }

    /// What came of an attempt. What was handed over is not kept: a link in it is as good as a password.
    pub(crate) fn attempted(
        &mut self,
        outcome: &Result<(), DeliveryError>,
        now: Timestamp,
    ) -> Option<NotificationSent> {
        if self.status != Status::Requested {
            return None;
        }
        self.attempts += 1;
        self.next = None;
        match outcome {
            Ok(()) => self.status = Status::Sent,
            Err(DeliveryError::Transient(_)) if self.attempts < ATTEMPTS => {
                self.next = Some(now + PAUSE * (1 << (self.attempts - 1)));
                return None;
            }
            Err(_) => self.status = Status::Failed,
        }
        self.text.clear();
        self.html.clear();
        (self.status == Status::Sent).then_some(NotificationSent { notification: self.id, attempts: self.attempts })
    }
}

impl Aggregate for Notification {
    type Id = NotificationId;
    const KIND: &'static str = "notifications.notification";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> NotificationId {
        self.id
    }

    fn owner(&self) -> Option<UserId> {
        Some(self.user)
    }

    fn subject(&self) -> Option<UserId> {
        Some(self.user)
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::by_time("of", self.user.to_string(), self.asked)]
    }

    fn timers(&self) -> Vec<Timer> {
        self.next.map(|due| Timer { name: "deliver", due }).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Id;

    #[test]
    fn pauses_double_and_end() {
        let id = uuid::Uuid::max();
        let message =
            Message { address: "a@b.example".into(), subject: "s".into(), text: "t".into(), html: "h".into() };
        let now = Timestamp::UNIX_EPOCH;
        let (mut it, _) = Notification::request(Id::from_uuid(id), Id::from_uuid(id), message, now);
        let down = Err(DeliveryError::Transient("down".to_owned()));
        let mut pauses = Vec::new();
        while let Some(timer) = {
            assert!(it.attempted(&down, now).is_none());
            it.timers().first().cloned()
        } {
            pauses.push(timer.due.as_second());
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320]);
        assert!(it.status == Status::Failed && it.message().is_none());
        assert!(it.attempted(&Ok(()), now).is_none(), "what was given up stays so");
    }
}
