//! A channel of a tenant's own: a mail server, or a webhook endpoint.

use std::{str::FromStr, time::Duration};

use contracts::notifications::{ChannelDisabled, ChannelId, ChannelUpdated};
use kernel::{
    Aggregate, AnyEvent, Problem, ProblemKind, ScopeKind, Term, Timestamp,
    text::{DisplayName, TextError},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::port::Endpoint;

/// For how long an endpoint may fail before nothing more is sent to it.
const PATIENCE: Duration = Duration::from_hours(5 * 24);
/// The most secrets that sign at once.
const SECRETS: usize = 3;
/// The most patterns of one endpoint.
pub(crate) const PATTERNS: usize = 50;

/// Which events an endpoint follows: `*` for all, `identity.*` for those of a context, or one type such as
/// `identity.UserRegistered.v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Pattern(String);

impl Pattern {
    pub(crate) fn matches(&self, event: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => event.starts_with(beginning),
            None => event == self.0,
        }
    }
}

impl FromStr for Pattern {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let refused =
            TextError("expected *, a context such as identity.*, or a type such as identity.UserRegistered.v1");
        let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric());
        let fits = match text.split('.').collect::<Vec<_>>().as_slice() {
            ["*"] => true,
            [context, "*"] => word(context),
            [context, name, version] => word(context) && word(name) && word(version),
            _ => false,
        };
        if fits && text.len() <= 100 { Ok(Self(text.to_owned())) } else { Err(refused) }
    }
}

impl TryFrom<String> for Pattern {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, TextError> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(it: Pattern) -> Self {
        it.0
    }
}

/// A secret that signs, until its time is over.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Secret {
    text: String,
    until: Option<Timestamp>,
}

/// A webhook endpoint.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where it is.
    pub url: String,
    /// The events that it follows.
    pub(crate) events: Vec<Pattern>,
    secrets: Vec<Secret>,
    failing_since: Option<Timestamp>,
}

/// A mail server. The body of the aggregate is sealed under the tenant's key, the password with it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailServer {
    /// Where it is.
    pub host: String,
    /// The port.
    pub port: u16,
    pub(crate) tls: bool,
    /// With what the tenant signs in there.
    pub user: Option<String>,
    /// The password for it.
    pub password: Option<String>,
    /// The sender.
    pub from: String,
}

/// What it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Kind {
    /// A mail server.
    Smtp(MailServer),
    /// A webhook endpoint.
    Webhook(Webhook),
}

/// Whether anything is sent by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is used.
    Enabled,
    /// It is not, because someone said so.
    Paused,
    /// It is not, because it failed for days, or said that it is gone.
    Disabled,
}

/// A channel of a tenant.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Which.
    pub id: ChannelId,
    /// How it is called.
    pub name: DisplayName,
    /// What it is.
    pub kind: Kind,
    /// Whether it is used.
    pub state: State,
}

fn not_a_webhook() -> Problem {
    Problem::new(ProblemKind::Refused, "notifications.not_a_webhook", "this channel is not a webhook endpoint")
        .hint("use the id of a webhook endpoint")
}

impl Webhook {
    /// An endpoint that signs with a secret.
    pub(crate) fn new(url: String, events: Vec<Pattern>, secret: String) -> Self {
        Self { url, events, secrets: vec![Secret { text: secret, until: None }], failing_since: None }
    }

    /// Whether an event of this type goes to it.
    pub fn follows(&self, event: &str) -> bool {
        self.events.iter().any(|it| it.matches(event))
    }
}

impl Channel {
    /// A channel that is used from now on.
    pub fn new(id: ChannelId, name: DisplayName, kind: Kind) -> (Self, ChannelUpdated) {
        (Self { id, name, kind, state: State::Enabled }, ChannelUpdated { channel: id })
    }

    /// The endpoint that it is.
    pub fn webhook(&self) -> Result<&Webhook, Problem> {
        match &self.kind {
            Kind::Webhook(webhook) => Ok(webhook),
            Kind::Smtp(_) => Err(not_a_webhook()),
        }
    }

    pub(crate) fn webhook_mut(&mut self) -> Result<&mut Webhook, Problem> {
        match &mut self.kind {
            Kind::Webhook(webhook) => Ok(webhook),
            Kind::Smtp(_) => Err(not_a_webhook()),
        }
    }

    /// Where its messages go, with the secrets that are valid now.
    pub fn endpoint(&self, now: Timestamp) -> Option<Endpoint> {
        let webhook = self.webhook().ok().filter(|_| self.state == State::Enabled)?;
        let valid = |it: &&Secret| it.until.is_none_or(|until| until > now);
        let secrets = webhook.secrets.iter().filter(valid).map(|it| it.text.clone()).collect();
        Some(Endpoint { name: self.id.to_string(), url: webhook.url.clone(), secrets })
    }

    /// Signs with a new secret too; the others stay valid until an instant, so that the receiver has time to change.
    pub(crate) fn rotate(&mut self, secret: String, until: Timestamp) -> Result<ChannelUpdated, Problem> {
        let channel = self.id;
        let secrets = &mut self.webhook_mut()?.secrets;
        for old in secrets.iter_mut() {
            old.until = Some(old.until.map_or(until, |earlier| earlier.min(until)));
        }
        secrets.insert(0, Secret { text: secret, until: None });
        secrets.truncate(SECRETS);
        Ok(ChannelUpdated { channel })
    }

    /// Switches it. One that failed begins anew.
    pub fn switch(&mut self, state: State) -> Vec<AnyEvent> {
        if self.state == state {
            return Vec::new();
        }
        self.state = state;
        if let Kind::Webhook(webhook) = &mut self.kind {
            webhook.failing_since = None;
        }
        vec![ChannelUpdated { channel: self.id }.into()]
    }

    /// An attempt ended: in success, or not for the first time, or for good.
    pub fn attempted(&mut self, delivered: bool, gone: bool, now: Timestamp) -> Vec<AnyEvent> {
        let (channel, enabled) = (self.id, self.state == State::Enabled);
        let Ok(webhook) = self.webhook_mut() else { return Vec::new() };
        if delivered {
            webhook.failing_since = None;
            return Vec::new();
        }
        let since = *webhook.failing_since.get_or_insert(now);
        let over = gone || since.checked_add(PATIENCE).is_ok_and(|end| end <= now);
        if !over || !enabled {
            return Vec::new();
        }
        self.state = State::Disabled;
        vec![ChannelDisabled { channel }.into()]
    }
}

impl Aggregate for Channel {
    type Id = ChannelId;
    const KIND: &'static str = "notifications.channel";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> ChannelId {
        self.id
    }

    fn terms(&self) -> Vec<Term> {
        let kind = match self.kind {
            Kind::Smtp(_) => "smtp",
            Kind::Webhook(_) => "webhook",
        };
        vec![Term::new("all", ""), Term::new("kind", kind)]
    }
}

#[cfg(test)]
mod tests {
    use kernel::{Event, Id};

    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3_600).unwrap()
    }

    fn webhook() -> Channel {
        let events = vec!["identity.*".parse().unwrap()];
        let kind = Kind::Webhook(Webhook::new("https://example.com/".to_owned(), events, "whsec_1".to_owned()));
        Channel::new(Id::from_uuid(uuid::Uuid::from_u128(1)), "CRM".parse().unwrap(), kind).0
    }

    #[test]
    fn patterns_cover_all_a_context_or_one_type() {
        let matches = |pattern: &str, event: &str| pattern.parse::<Pattern>().unwrap().matches(event);
        assert!(matches("*", "identity.UserRegistered.v1") && matches("identity.*", "identity.UserRegistered.v1"));
        assert!(!matches("identity.*", "identityx.UserRegistered.v1"));
        assert!(!matches("identity.UserRegistered.v1", "identity.UserRegistered.v10"));
        for refused in ["", "**", "identity", "identity.*.v1", "a b.*", "identity.User*"] {
            assert!(refused.parse::<Pattern>().is_err(), "{refused}");
        }
    }

    #[test]
    fn secrets_overlap_while_they_rotate() {
        let mut it = webhook();
        it.rotate("whsec_2".to_owned(), at(24)).unwrap();
        assert_eq!(it.endpoint(at(1)).unwrap().secrets, ["whsec_2", "whsec_1"]);
        assert_eq!(it.endpoint(at(24)).unwrap().secrets, ["whsec_2"]);
        it.rotate("whsec_3".to_owned(), at(12)).unwrap();
        it.rotate("whsec_4".to_owned(), at(13)).unwrap();
        assert_eq!(it.endpoint(at(1)).unwrap().secrets, ["whsec_4", "whsec_3", "whsec_2"]);
    }

    #[test]
    fn an_endpoint_that_fails_for_days_is_disabled_and_one_success_forgives() {
        let mut it = webhook();
        let fine = it.clone();
        assert!(it.attempted(true, false, at(0)).is_empty() && it == fine, "success is not worth a write");
        assert!(it.attempted(false, false, at(0)).is_empty());
        assert!(it.attempted(true, false, at(100)).is_empty());
        assert!(it.attempted(false, false, at(119)).is_empty(), "the days are counted from the first failure in a row");
        assert!(it.attempted(false, false, at(238)).is_empty());
        let events = it.attempted(false, false, at(239));
        assert_eq!(events.iter().map(|event| event.r#type).collect::<Vec<_>>(), [ChannelDisabled::TYPE]);
        assert!(it.endpoint(at(240)).is_none() && it.attempted(false, false, at(241)).is_empty());
        assert_eq!(it.switch(State::Enabled).len(), 1);
        assert!(it.endpoint(at(242)).is_some() && it.attempted(false, false, at(242)).is_empty());
        assert_eq!(it.attempted(false, true, at(242)).len(), 1, "one that says that it is gone is disabled at once");
    }
}
