//! A notification: what a person is to be told, and how often that was tried.

use std::time::Duration;

use contracts::notifications::{NotificationId, NotificationRequested, NotificationSent};
use kernel::{Aggregate, AnyEvent, ScopeKind, Term, Timer, Timestamp, UserId, text::EmailAddress};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    channel::{DeliveryError, Message},
    mail::Mail,
};

/// The most attempts at one delivery.
const ATTEMPTS: u32 = 8;
/// The pause after the first attempt; each further pause is twice as long.
const PAUSE: Duration = Duration::from_secs(5);

/// By what a person is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Means {
    /// E-mail.
    Mail,
}

impl Means {
    const fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
        }
    }
}

/// Where a notification is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum Status {
    /// To be delivered, not before `next`.
    Requested { next: Timestamp },
    /// The channel took it.
    Sent,
    /// Given up.
    Failed,
}

/// Something that one person is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notification {
    pub(crate) id: NotificationId,
    pub(crate) user: UserId,
    pub(crate) channel: Means,
    pub(crate) address: EmailAddress,
    pub(crate) subject_line: String,
    text: String,
    html: String,
    pub(crate) status: Status,
    pub(crate) attempts: u32,
    pub(crate) created: Timestamp,
}

impl Notification {
    /// A mail to a person, due at once.
    pub(crate) fn request(
        id: NotificationId,
        user: UserId,
        address: EmailAddress,
        mail: Mail,
        now: Timestamp,
    ) -> (Self, NotificationRequested) {
        let channel = Means::Mail;
        let (Mail { subject, text, html }, status) = (mail, Status::Requested { next: now });
        let subject_line = subject.to_owned();
        let it = Self { id, user, channel, address, subject_line, text, html, status, attempts: 0, created: now };
        (it, NotificationRequested { notification: id, user, channel: channel.name().to_owned() })
    }

    /// The message, if it is due now.
    pub(crate) fn due(&self, now: Timestamp) -> Option<Message> {
        matches!(self.status, Status::Requested { next } if next <= now).then(|| Message {
            id: self.id,
            address: self.address.clone(),
            subject: self.subject_line.clone(),
            text: self.text.clone(),
            html: self.html.clone(),
        })
    }

    /// Records how an attempt ended that began after `before` others. Where two ran at once, a delivery counts whichever
    /// ends first, and a failure only once.
    pub(crate) fn attempted(
        &mut self,
        before: u32,
        outcome: &Result<(), DeliveryError>,
        now: Timestamp,
    ) -> Vec<AnyEvent> {
        let waiting = matches!(self.status, Status::Requested { .. });
        if !waiting || (outcome.is_err() && self.attempts != before) {
            return Vec::new();
        }
        self.attempts += 1;
        match outcome {
            Ok(()) => {
                self.end(Status::Sent);
                vec![NotificationSent { notification: self.id, attempts: self.attempts }.into()]
            }
            Err(DeliveryError::Transient(_)) if self.attempts < ATTEMPTS => {
                let pause = PAUSE * 2_u32.pow(before);
                self.status = Status::Requested { next: now.checked_add(pause).unwrap_or(Timestamp::MAX) };
                Vec::new()
            }
            Err(_) => {
                self.end(Status::Failed);
                Vec::new()
            }
        }
    }

    /// A link in a mail is a credential: nothing keeps it once it cannot be delivered any more.
    fn end(&mut self, status: Status) {
        self.status = status;
        self.text.clear();
        self.html.clear();
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
        vec![Term::by_time("of", self.user.to_string(), self.created)]
    }

    fn timers(&self) -> Vec<Timer> {
        match self.status {
            Status::Requested { next } => vec![Timer { name: "deliver", due: next }],
            Status::Sent | Status::Failed => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use contracts::identity::LinkPurpose;
    use kernel::{Event, Id};

    use super::*;
    use crate::mail::with_link;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn requested() -> Notification {
        let (id, user) = (Id::from_uuid(uuid::Uuid::from_u128(1)), Id::from_uuid(uuid::Uuid::from_u128(2)));
        let mail = with_link(LinkPurpose::Verify, "Ada", "https://acme.example.com/verify");
        Notification::request(id, user, "ada@example.com".parse().unwrap(), mail, at(0)).0
    }

    fn transient() -> Result<(), DeliveryError> {
        Err(DeliveryError::Transient("busy".to_owned()))
    }

    fn bodies(it: &Notification) -> (bool, bool) {
        (!it.text.is_empty(), !it.html.is_empty())
    }

    #[test]
    fn pauses_double_until_it_is_given_up() {
        let (mut it, mut now) = (requested(), 0);
        for pause in [5, 10, 20, 40, 80, 160, 320] {
            assert!(it.due(at(now)).is_some() && bodies(&it) == (true, true));
            assert!(it.attempted(it.attempts, &transient(), at(now)).is_empty());
            assert_eq!(it.timers(), [Timer { name: "deliver", due: at(now + pause) }]);
            now += pause;
            assert_eq!(it.due(at(now - 1)), None);
        }
        assert!(it.attempted(it.attempts, &transient(), at(now)).is_empty());
        assert_eq!((it.status, it.attempts, bodies(&it)), (Status::Failed, 8, (false, false)));
        assert!(it.timers().is_empty() && it.due(at(now + 10_000)).is_none());
    }

    #[test]
    fn a_delivery_ends_it_and_clears_what_it_said() {
        let mut it = requested();
        let happened = it.attempted(0, &Ok(()), at(0));
        assert_eq!(happened.iter().map(|event| event.r#type).collect::<Vec<_>>(), [NotificationSent::TYPE]);
        assert_eq!((it.status, it.attempts, bodies(&it)), (Status::Sent, 1, (false, false)));
        assert!(it.timers().is_empty() && it.due(at(1)).is_none());
    }

    #[test]
    fn what_cannot_succeed_is_not_tried_again() {
        let mut it = requested();
        assert!(it.attempted(0, &Err(DeliveryError::Permanent("unknown".to_owned())), at(0)).is_empty());
        assert_eq!((it.status, it.attempts, it.timers().len()), (Status::Failed, 1, 0));
    }

    #[test]
    fn of_two_attempts_at_once_a_failure_counts_once_and_a_delivery_always() {
        let mut it = requested();
        it.attempted(0, &transient(), at(0));
        let after_first = it.clone();
        it.attempted(0, &transient(), at(1));
        assert_eq!(it, after_first);
        assert_eq!(it.attempted(0, &Ok(()), at(1)).len(), 1);
        let sent = it.clone();
        assert!(it.attempted(0, &Ok(()), at(2)).is_empty() && it.attempted(2, &transient(), at(2)).is_empty());
        assert_eq!(it, sent);
    }
}
