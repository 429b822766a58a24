//! A notification: what one recipient is to be told, by what, and what came of it.

pub(crate) mod backoff;
pub(crate) mod commands;
pub(crate) mod deliver;
pub(crate) mod queries;
pub(crate) mod request;

use std::{collections::BTreeMap, time::Duration};

use channels::port::{Content, DeliveryError, Outcome};
use contracts::notifications::{
    ChannelId, DeliveryConfirmed, DeliveryFailed, NotificationId, NotificationRequested, NotificationSent,
};
use kernel::{
    Aggregate, AnyEvent, Cx, Event, Problem, ProblemKind, ScopeKind, Term, Timer, Timestamp, UserId,
    text::{EmailAddress, Key},
};
use recipients::{means::Means, plan::Because, settings::Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most attempts that are told of; the oldest goes first.
const TOLD: usize = 12;

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Recipient {
    /// A person of the tenant.
    User(UserId),
    /// Whoever reads mail at this address.
    Address(EmailAddress),
    /// A webhook endpoint of the tenant.
    Channel(ChannelId),
}

/// Where a delivery is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum Status {
    /// To be delivered, not before `next`.
    Waiting { next: Timestamp },
    /// Whoever carries it on took it.
    Sent,
    /// The recipient has it.
    Delivered,
    /// The address takes nothing any more.
    Bounced,
    /// Given up.
    Failed,
    /// Not to be delivered.
    Suppressed,
}

/// An attempt at a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Attempt {
    /// When it ended.
    #[schemars(with = "String")]
    at: Timestamp,
    /// How long it took.
    millis: u64,
    /// What the receiver answered, as a number of its protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The beginning of what the receiver answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response: Option<String>,
}

/// A delivery by one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) because: Because,
    pub(crate) status: Status,
    pub(crate) count: u32,
    pub(crate) attempts: Vec<Attempt>,
}

/// What a person did with it in the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) read: Option<Timestamp>,
    pub(crate) archived: bool,
}

/// What a notification is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Draft {
    pub(crate) to: Recipient,
    /// The mail address at which the recipient is reached.
    pub(crate) address: Option<EmailAddress>,
    /// The template, or the type of the event that is told of.
    pub(crate) template: String,
    pub(crate) category: Key,
    pub(crate) content: Said,
    /// What was asked for, as a digest: the same id cannot be used for something else.
    pub(crate) asked: String,
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: Option<String>,
    /// Where it leads, in the inbox.
    pub(crate) link: Option<String>,
    /// The address that opts out.
    pub(crate) unsubscribe: Option<String>,
    /// Whether it holds a credential, which nothing keeps once it cannot be delivered any more.
    pub(crate) secret: bool,
}

/// Something that one recipient is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notification {
    pub(crate) id: NotificationId,
    pub(crate) draft: Draft,
    pub(crate) deliveries: BTreeMap<Means, Delivery>,
    pub(crate) seen: Seen,
    pub(crate) created: Timestamp,
    pub(crate) ends: Timestamp,
}

/// The instants of a new notification.
#[derive(Debug, Clone, Copy)]
pub(crate) struct When {
    /// When it was asked for, in the tenant's time.
    pub(crate) created: Timestamp,
    /// When it is due, in real time.
    pub(crate) due: Timestamp,
    /// When it is removed.
    pub(crate) ends: Timestamp,
}

impl When {
    /// Now.
    pub(crate) fn now(cx: &Cx, settings: &Settings) -> Self {
        Self { created: cx.now(), due: cx.real_now(), ends: settings.removal(cx.real_now().max(cx.now())) }
    }
}

/// How an attempt ended.
pub(crate) struct Ended {
    /// How many attempts there were before it.
    pub(crate) before: u32,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
    pub(crate) random: u8,
    pub(crate) now: Timestamp,
}

impl Notification {
    /// A notification that is due at once by whatever was decided on; the inbox has it already.
    pub(crate) fn request(
        id: NotificationId,
        draft: Draft,
        decided: BTreeMap<Means, Because>,
        when: When,
    ) -> (Self, Vec<AnyEvent>) {
        let When { created, due, ends } = when;
        let delivery = |(means, because): (Means, Because)| {
            let status = match (because.goes(), means) {
                (false, _) => Status::Suppressed,
                (true, Means::Inbox) => Status::Sent,
                (true, Means::Mail | Means::Webhook) => Status::Waiting { next: due },
            };
            (means, Delivery { because, status, count: 0, attempts: Vec::new() })
        };
        let deliveries = decided.into_iter().map(delivery).collect();
        let mut it = Self { id, draft, deliveries, seen: Seen::default(), created, ends };
        it.tidy();
        let going = it.deliveries.iter().filter(|(_, delivery)| delivery.because.goes());
        let requested = NotificationRequested {
            notification: id,
            user: it.user(),
            template: it.draft.template.clone(),
            category: it.draft.category.to_string(),
            channels: going.map(|(means, _)| means.name().to_owned()).collect(),
        };
        let mut events = it.told(requested);
        if it.is_in(Means::Inbox, |status| status == Status::Sent) {
            events.extend(it.told(NotificationSent { notification: id, channel: "inbox".to_owned(), attempts: 1 }));
        }
        (it, events)
    }

    /// An event, unless this notification itself tells an endpoint of one: what reports events is not reported.
    fn told(&self, event: impl Event) -> Vec<AnyEvent> {
        let reports = self.deliveries.values().any(|it| it.because == Because::Subscribed);
        if reports { Vec::new() } else { vec![event.into()] }
    }

    pub(crate) fn user(&self) -> Option<UserId> {
        match self.draft.to {
            Recipient::User(user) => Some(user),
            Recipient::Address(_) | Recipient::Channel(_) => None,
        }
    }

    fn is_in(&self, means: Means, status: impl Fn(Status) -> bool) -> bool {
        self.deliveries.get(&means).is_some_and(|it| status(it.status))
    }

    pub(crate) fn in_inbox(&self) -> bool {
        self.is_in(Means::Inbox, |status| matches!(status, Status::Sent | Status::Delivered))
    }

    fn has_failed(&self) -> bool {
        self.deliveries.values().any(|it| matches!(it.status, Status::Failed | Status::Bounced))
    }

    /// After how many attempts a delivery is due now, if it is.
    pub(crate) fn due(&self, means: Means, now: Timestamp) -> Option<u32> {
        let it = self.deliveries.get(&means)?;
        matches!(it.status, Status::Waiting { next } if next <= now).then_some(it.count)
    }

    /// What a carrier is to bring.
    pub(crate) fn content(&self) -> Content {
        let Said { subject, text, html, unsubscribe, .. } = self.draft.content.clone();
        Content { subject, text, html, unsubscribe, ..Content::default() }
    }

    /// Records how an attempt ended. Where two ran at once, a delivery counts whichever ends first, and a failure once.
    pub(crate) fn attempted(&mut self, means: Means, ended: Ended) -> Vec<AnyEvent> {
        let Ended { before, outcome, took, random, now } = ended;
        let (notification, channel) = (self.id, means.name().to_owned());
        let Some(it) = self.deliveries.get_mut(&means) else { return Vec::new() };
        let waiting = matches!(it.status, Status::Waiting { .. });
        if !waiting || (outcome.result.is_err() && it.count != before) {
            return Vec::new();
        }
        let later = |pause| Status::Waiting { next: now.checked_add(pause).unwrap_or(Timestamp::MAX) };
        if outcome.result == Err(DeliveryError::Busy) {
            it.status = later(backoff::turn(random));
            return Vec::new();
        }
        it.count += 1;
        let (status, response, error) = (outcome.status, outcome.response, outcome.result.as_ref().err());
        let error = error.map(ToString::to_string);
        it.attempts.push(Attempt {
            at: now,
            millis: u64::try_from(took.as_millis()).unwrap_or(0),
            status,
            error,
            response,
        });
        if it.attempts.len() > TOLD {
            it.attempts.remove(0);
        }
        let attempts = it.count;
        let next = backoff::pause(it.count, random).map(|pause| pause.max(outcome.pause.unwrap_or_default()));
        it.status = match (&outcome.result, next) {
            (Ok(()), _) if means == Means::Webhook => Status::Delivered,
            (Ok(()), _) => Status::Sent,
            (Err(DeliveryError::Transient(_)), Some(pause)) => later(pause),
            (Err(DeliveryError::Bounced(_)), _) => Status::Bounced,
            (Err(_), _) => Status::Failed,
        };
        let status = it.status;
        self.tidy();
        match status {
            Status::Sent => self.told(NotificationSent { notification, channel, attempts }),
            Status::Delivered => {
                let sent = NotificationSent { notification, channel: channel.clone(), attempts };
                [self.told(sent), self.told(DeliveryConfirmed { notification, channel })].concat()
            }
            Status::Bounced => self.told(DeliveryFailed { notification, channel, bounced: true }),
            Status::Failed => self.told(DeliveryFailed { notification, channel, bounced: false }),
            Status::Waiting { .. } | Status::Suppressed => Vec::new(),
        }
    }

    /// Keeps no more of what it said than is still of use: what waits, failed or is shown in the inbox, and what went
    /// to an endpoint, which may ask for it again. A credential is kept only while it waits.
    fn tidy(&mut self) {
        let waits = self.deliveries.values().any(|it| matches!(it.status, Status::Waiting { .. }));
        let of_use = self.has_failed() || self.in_inbox() || self.deliveries.contains_key(&Means::Webhook);
        if !waits && (self.draft.content.secret || !of_use) {
            let subject = std::mem::take(&mut self.draft.content.subject);
            self.draft.content = Said { subject, ..Said::default() };
        }
    }

    /// Delivers once more what failed, or what an endpoint asks for again.
    pub(crate) fn replay(&mut self, now: Timestamp) -> Result<(), Problem> {
        let kept = !self.draft.content.text.is_empty();
        let mut replayed = 0;
        for (means, it) in &mut self.deliveries {
            let again = matches!(it.status, Status::Failed | Status::Bounced)
                || (*means == Means::Webhook && it.status == Status::Delivered);
            if kept && again {
                (it.status, it.count) = (Status::Waiting { next: now }, 0);
                replayed += 1;
            }
        }
        if replayed > 0 {
            return Ok(());
        }
        let detail = "there is nothing in it that can be delivered once more";
        Err(Problem::new(ProblemKind::Conflict, "notifications.nothing_to_replay", detail)
            .hint("what failed can be replayed, unless it held a link that is a credential: ask for a new one"))
    }

    /// The person has read it, or not yet.
    pub(crate) fn mark(&mut self, read: bool, now: Timestamp) -> Vec<AnyEvent> {
        if read == self.seen.read.is_some() || !self.in_inbox() {
            return Vec::new();
        }
        self.seen.read = read.then_some(now);
        let Some(it) = self.deliveries.get_mut(&Means::Inbox).filter(|it| it.status == Status::Sent) else {
            return Vec::new();
        };
        it.status = Status::Delivered;
        self.told(DeliveryConfirmed { notification: self.id, channel: "inbox".to_owned() })
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
        self.user()
    }

    fn subject(&self) -> Option<UserId> {
        self.user()
    }

    fn terms(&self) -> Vec<Term> {
        let term = |index, value: &str| Term::by_time(index, value, self.created);
        let mut terms = vec![term("all", "")];
        if let Some(user) = self.user().map(|it| it.to_string()) {
            terms.push(term("of", &user));
            if self.in_inbox() {
                terms.push(term(if self.seen.archived { "archived" } else { "inbox" }, &user));
            }
            if self.in_inbox() && self.seen.read.is_none() && !self.seen.archived {
                terms.push(term("unread", &user));
            }
        }
        if self.has_failed() {
            terms.push(term("dead", ""));
        }
        if let Recipient::Channel(channel) = &self.draft.to {
            let channel = channel.to_string();
            terms.push(term("via", &channel));
            if self.has_failed() {
                terms.push(term("dead", &channel));
            }
        }
        terms
    }

    fn timers(&self) -> Vec<Timer> {
        let timer = |(means, it): (&Means, &Delivery)| match it.status {
            Status::Waiting { next } => Some(Timer { name: means.name(), due: next }),
            _ => None,
        };
        self.deliveries.iter().filter_map(timer).collect()
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(self.ends)
    }
}

#[cfg(test)]
mod tests;
