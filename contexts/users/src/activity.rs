//! What a person did and what happened to them, entry by entry, as a view that a reaction keeps. Entries are sealed under
//! the person's key, tell in words, and go after [`LASTS`], or once there are more than [`KEPT`].

use std::time::Duration;

use kernel::{Aggregate, Envelope, Life, ScopeKind, Term, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many entries of a person are kept, somewhat more for a while.
pub(crate) const KEPT: usize = 500;
/// For how long an entry is kept.
pub(crate) const LASTS: Duration = Duration::from_hours(400 * 24);
/// The longest detail of an entry, in characters.
const LONGEST: usize = 200;

/// What is no news to a person: what the platform does of itself, and what would never end.
const NO_NEWS: [&str; 11] = [
    "notifications.Notification",
    "notifications.Delivery",
    "notifications.ChannelDisabled.",
    "analytics.",
    "billing.UsageRecorded.",
    "tenants.QuotaWarning.",
    "tenants.EntitlementsGranted.",
    "users.ProfileCreated.",
    "users.UserErasureDelayed.",
    "users.UserErased.",
    "tenants.TenantProvisioned.",
];

/// The fields of events that an entry may tell: words of programs and of the platform, nothing personal.
const DETAILS: [&str; 6] = ["roles", "fields", "key", "feature", "resource", "method"];

/// What is said of an event: of who did it, then of whom it happened to. `{}` stands for the detail.
const WORDS: [(&str, &str, &str); 24] = [
    ("identity.UserRegistered", "invited a colleague", "was registered"),
    ("identity.LinkRequested", "", "was mailed a link"),
    ("identity.UserActivated", "joined", "joined"),
    ("identity.UserAuthenticated", "signed in", "signed in"),
    ("identity.RoleAssigned", "gave a colleague the roles: {}", "was given the roles: {}"),
    ("identity.MFAEnabled", "set up a second factor", "set up a second factor"),
    ("identity.MFADisabled", "gave up the second factor of an account", "has no second factor any more"),
    ("identity.EmailChanged", "changed an e-mail address", "is reached at another e-mail address"),
    ("identity.InvitationRevoked", "took an invitation back", ""),
    ("users.ProfileUpdated", "changed a profile: {}", "had their profile changed: {}"),
    ("users.PreferenceChanged", "changed the preference {}", "had the preference {} changed"),
    ("users.UserDeactivated", "deactivated a colleague", "was deactivated"),
    ("users.UserReactivated", "reactivated a colleague", "was reactivated"),
    ("users.UserErasureRequested", "had a person erased", "is being erased"),
    ("users.UserErasureCancelled", "called an erasure off", "is not erased after all"),
    ("users.ProfileFieldsDefined", "changed which fields profiles have", ""),
    ("users.PreferenceDeclared", "declared the preference {}", ""),
    ("users.PreferenceWithdrawn", "withdrew the preference {}", ""),
    ("identity.PermissionGranted", "changed what a role may", ""),
    ("identity.RoleDeleted", "deleted a role", ""),
    ("notifications.TemplateUpdated", "changed a template of messages: {}", ""),
    ("notifications.ChannelUpdated", "changed a channel for messages", ""),
    ("tenants.FeatureEnabled", "switched the feature {}", ""),
    ("tenants.ResourceQuotaUpdated", "changed the limit of {}", ""),
];

/// Which part a person had in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Did,
    Underwent,
}

/// One thing that a person did, or that happened to them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ActivityEntry {
    pub(crate) person: UserId,
    pub(crate) at: Timestamp,
    /// Who did it, as a caller's text.
    pub(crate) by: String,
    /// The event it tells of, which is told once to each person.
    event: String,
    r#type: String,
    part: Part,
    detail: String,
    /// Whether it is the one entry that the tenant's activity shows of this event.
    leading: bool,
}

impl ActivityEntry {
    /// The entries of an event: one for who did it, one for whom it happened to, one where that is the same person.
    pub(crate) fn of(event: &Envelope) -> Vec<Self> {
        if event.scope.tenant().is_none() || NO_NEWS.iter().any(|no_news| event.r#type.starts_with(no_news)) {
            return Vec::new();
        }
        let actor: Option<UserId> = event.actor.parse().ok();
        let named = event.data.get("user").and_then(Value::as_str).and_then(|user| user.parse().ok());
        let subject = named.or(event.person).filter(|subject| Some(*subject) != actor);
        let of = |person, part, leading| Self {
            person,
            at: event.time,
            by: event.actor.clone(),
            event: event.id.clone(),
            r#type: event.r#type.clone(),
            part,
            detail: detail(&event.data),
            leading,
        };
        let did = actor.map(|person| of(person, Part::Did, true));
        let underwent = subject.map(|person| of(person, Part::Underwent, actor.is_none()));
        did.into_iter().chain(underwent).filter(|entry| !entry.words().is_empty()).collect()
    }

    /// What is shown.
    pub(crate) fn words(&self) -> String {
        let name = self.r#type.rsplit_once(".v").map_or(self.r#type.as_str(), |(name, _)| name);
        match WORDS.iter().find(|(of, ..)| *of == name) {
            Some((_, did, underwent)) => {
                let words = if self.part == Part::Did { did } else { underwent };
                words.replace("{}", &self.detail).trim_end_matches([':', ' ']).to_owned()
            }
            None => plain(name.rsplit('.').next().unwrap_or_default()),
        }
    }

    /// One insertion in so many looks whether too many are kept.
    pub(crate) fn trims(&self) -> bool {
        self.event.ends_with('0')
    }
}

fn detail(data: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")),
        _ => None,
    };
    let found = DETAILS.iter().find_map(|field| data.get(field).and_then(text));
    found.unwrap_or_default().chars().take(LONGEST).collect()
}

/// `ApiKeyCreated` as `api key created`.
fn plain(name: &str) -> String {
    let mut words = String::new();
    let mut before = 'A';
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !before.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
        before = letter;
    }
    words
}

impl Aggregate for ActivityEntry {
    type Id = String;
    const KIND: &'static str = "users.activity";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const LIFE: Life = Life::Ephemeral;

    fn id(&self) -> String {
        format!("{}.{}", self.person, self.event)
    }

    fn owner(&self) -> Option<UserId> {
        Some(self.person)
    }

    fn subject(&self) -> Option<UserId> {
        Some(self.person)
    }

    fn terms(&self) -> Vec<Term> {
        let mut terms = vec![Term::by_time("person", self.person.to_string(), self.at)];
        if self.leading {
            terms.push(Term::by_time("all", "", self.at));
        }
        terms
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(self.at + LASTS)
    }
}

#[cfg(test)]
mod tests {
    use kernel::{Id, Scope};
    use serde_json::json;

    use super::*;

    fn event(r#type: &str, actor: &str, data: Value) -> Envelope {
        Envelope {
            specversion: "1.0".to_owned(),
            id: "e1".to_owned(),
            source: "freehold/x".to_owned(),
            r#type: r#type.to_owned(),
            subject: "x.y/z".to_owned(),
            time: Timestamp::UNIX_EPOCH,
            scope: Scope::Tenant(Id::from_uuid(uuid(9))),
            sequence: 1,
            traceparent: String::new(),
            correlationid: String::new(),
            causationid: None,
            actor: actor.to_owned(),
            action: None,
            recordedtime: None,
            person: None,
            data,
        }
    }

    fn uuid(number: u128) -> uuid::Uuid {
        uuid::Uuid::from_u128(number)
    }

    fn user(number: u128) -> UserId {
        Id::from_uuid(uuid(number))
    }

    fn told(event: &Envelope) -> Vec<(UserId, String)> {
        ActivityEntry::of(event).iter().map(|entry| (entry.person, entry.words())).collect()
    }

    #[test]
    fn both_the_one_who_did_it_and_the_one_it_happened_to_are_told() {
        let data = json!({ "user": user(2), "roles": ["member", "admin"] });
        let event = event("identity.RoleAssigned.v1", &user(1).to_string(), data);
        let expected = [
            (user(1), "gave a colleague the roles: member, admin".to_owned()),
            (user(2), "was given the roles: member, admin".to_owned()),
        ];
        assert_eq!(told(&event), expected);
        let leading: Vec<_> = ActivityEntry::of(&event).iter().map(|entry| entry.leading).collect();
        assert_eq!(leading, [true, false], "the tenant's activity shows it once");
    }

    #[test]
    fn what_one_does_to_oneself_is_one_entry() {
        let data = json!({ "user": user(1), "key": "theme" });
        let event = event("users.PreferenceChanged.v1", &user(1).to_string(), data);
        assert_eq!(told(&event), [(user(1), "changed the preference theme".to_owned())]);
    }

    #[test]
    fn an_event_without_words_of_its_own_is_told_by_its_name() {
        let made = event("identity.ApiKeyCreated.v1", &user(1).to_string(), json!({}));
        assert_eq!(told(&made), [(user(1), "api key created".to_owned())]);
        let mail = event("notifications.NotificationSent.v1", "service:notifications", json!({ "user": user(1) }));
        assert_eq!(told(&mail), []);
        let nobody = event("tenants.FeatureEnabled.v1", "service:x", json!({ "feature": "x" }));
        assert_eq!(told(&nobody), []);
    }
}
