//! What is known of a person, apart from how they sign in.

use std::str::FromStr;

use contracts::users::{ProfileCreated, ProfileUpdated, UserDeactivated, UserReactivated};
use kernel::{
    Aggregate, AnyEvent, Problem, ScopeKind, Term, UserId,
    text::{DisplayName, EmailAddress, TextError},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fields::{Values, apply};

/// The longest prefix that a search finds by itself, in characters.
pub(crate) const LONGEST: usize = 12;

/// A language tag (BCP 47), such as `de-AT`. Only its form is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", "maxLength" = 35))]
pub(crate) struct Locale(String);

impl FromStr for Locale {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let mut parts = text.split('-');
        let language = parts.next().unwrap_or_default();
        let fits = text.len() <= 35
            && (2..=8).contains(&language.len())
            && language.chars().all(|c| c.is_ascii_alphabetic())
            && parts.all(|part| (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric()));
        if fits { Ok(Self(text.to_owned())) } else { Err(TextError("expected a language tag such as en or de-AT")) }
    }
}

/// The name of a time zone (IANA), such as `Europe/Vienna`. Whether there is such a zone is checked when it is set, not
/// when it is read: zones are renamed, and a profile must still open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[A-Za-z][A-Za-z0-9_+/-]{0,63}$"))]
pub(crate) struct ZoneName(String);

impl ZoneName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ZoneName {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let fits = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "_+/-".contains(c));
        if fits { Ok(Self(text.to_owned())) } else { Err(TextError("expected a time zone such as Europe/Vienna")) }
    }
}

macro_rules! text_conversions {
    ($($name:ident)*) => {$(
        impl TryFrom<String> for $name {
            type Error = TextError;
            fn try_from(text: String) -> Result<Self, TextError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(it: $name) -> Self {
                it.0
            }
        }
    )*};
}
text_conversions!(Locale ZoneName);

/// A person of a tenant, as the others see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UserProfile {
    pub(crate) user: UserId,
    pub(crate) email: EmailAddress,
    pub(crate) name: DisplayName,
    pub(crate) locale: Option<Locale>,
    pub(crate) time_zone: Option<ZoneName>,
    pub(crate) title: Option<DisplayName>,
    pub(crate) deactivated: bool,
    /// The fields that the tenant defined.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub(crate) fields: Values,
}

/// Whether a person works here, as lists are asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// They do.
    Active,
    /// They do no more.
    Deactivated,
}

impl Status {
    /// The name as stored and asked for.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deactivated => "deactivated",
        }
    }
}

/// What is to change: `None` leaves a field, `Some(None)` empties it.
#[derive(Debug, Clone, Default)]
#[expect(clippy::option_option, reason = "leaving a field, emptying it and setting it are three things")]
pub(crate) struct Changes {
    pub(crate) name: Option<DisplayName>,
    pub(crate) locale: Option<Option<Locale>>,
    pub(crate) time_zone: Option<Option<ZoneName>>,
    pub(crate) title: Option<Option<DisplayName>>,
    /// Fields that the tenant defined and has admitted; `null` empties one.
    pub(crate) fields: Values,
}

impl UserProfile {
    pub(crate) fn create(user: UserId, email: EmailAddress, name: DisplayName) -> (Self, ProfileCreated) {
        let (locale, time_zone, title, deactivated, fields) = (None, None, None, false, Values::new());
        let it = Self { user, email, name, locale, time_zone, title, deactivated, fields };
        (it, ProfileCreated { user })
    }

    /// Changes what differs; where nothing does, nothing happened.
    pub(crate) fn update(&mut self, to: Changes) -> Result<Vec<AnyEvent>, Problem> {
        let changed = [
            ("name", set(&mut self.name, to.name)),
            ("locale", set(&mut self.locale, to.locale)),
            ("time_zone", set(&mut self.time_zone, to.time_zone)),
            ("title", set(&mut self.title, to.title)),
        ];
        let mut fields: Vec<String> =
            changed.iter().filter(|(_, did)| *did).map(|(name, _)| (*name).to_owned()).collect();
        fields.extend(apply(&mut self.fields, to.fields)?);
        Ok(if fields.is_empty() { Vec::new() } else { vec![ProfileUpdated { user: self.user, fields }.into()] })
    }

    /// They are reached at another address.
    pub(crate) fn reached_at(&mut self, email: EmailAddress) -> Vec<AnyEvent> {
        if !set(&mut self.email, Some(email)) {
            return Vec::new();
        }
        vec![ProfileUpdated { user: self.user, fields: vec!["email".to_owned()] }.into()]
    }

    /// They work here no more.
    pub(crate) fn deactivate(&mut self) -> Vec<AnyEvent> {
        if std::mem::replace(&mut self.deactivated, true) {
            return Vec::new();
        }
        vec![UserDeactivated { user: self.user }.into()]
    }

    /// They work here again.
    pub(crate) fn reactivate(&mut self) -> Vec<AnyEvent> {
        if std::mem::replace(&mut self.deactivated, false) {
            return vec![UserReactivated { user: self.user }.into()];
        }
        Vec::new()
    }

    pub(crate) fn status(&self) -> Status {
        if self.deactivated { Status::Deactivated } else { Status::Active }
    }

    /// Whether the name, a word of it, or the address begins with a text in lower case.
    pub(crate) fn matches(&self, search: &str) -> bool {
        let (name, email) = (self.name.as_str().to_lowercase(), self.email.as_str());
        name.starts_with(search)
            || email.starts_with(search)
            || name.split_whitespace().any(|word| word.starts_with(search))
    }
}

fn set<T: PartialEq>(field: &mut T, to: Option<T>) -> bool {
    match to {
        Some(to) if *field != to => {
            *field = to;
            true
        }
        _ => false,
    }
}

impl Aggregate for UserProfile {
    type Id = UserId;
    const KIND: &'static str = "users.profile";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> UserId {
        self.user
    }

    fn owner(&self) -> Option<UserId> {
        Some(self.user)
    }

    fn subject(&self) -> Option<UserId> {
        Some(self.user)
    }

    fn terms(&self) -> Vec<Term> {
        let mut terms = vec![Term::new("all", ""), Term::new("status", self.status().name())];
        terms.extend(Term::prefixes("search", self.name.as_str(), LONGEST));
        terms.extend(Term::prefixes("search", self.email.as_str(), LONGEST));
        // A name and an address that begin alike give the same term twice.
        terms.sort();
        terms.dedup();
        terms
    }
}

#[cfg(test)]
mod tests {
    use kernel::Id;

    use super::*;

    fn ada() -> UserProfile {
        let user = Id::from_uuid("01890000-0000-7000-8000-000000000001".parse().unwrap());
        UserProfile::create(user, "ada@example.com".parse().unwrap(), "Ada Lovelace".parse().unwrap()).0
    }

    #[test]
    fn an_update_tells_what_differs_and_no_more() {
        let mut it = ada();
        let name = Some("Ada Lovelace".parse().unwrap());
        let happened =
            it.update(Changes { name, title: Some(Some("Countess".parse().unwrap())), ..Changes::default() }).unwrap();
        assert_eq!(happened.len(), 1);
        assert_eq!(happened[0].data["fields"], serde_json::json!(["title"]));
        assert!(it.update(Changes { locale: Some(None), ..Changes::default() }).unwrap().is_empty());
        it.update(Changes { title: Some(None), ..Changes::default() }).unwrap();
        assert_eq!(it, ada());
    }

    #[test]
    fn each_prefix_is_one_term_and_is_matched() {
        let it = ada();
        let searches: Vec<String> =
            it.terms().into_iter().filter(|term| term.index == "search").map(|term| term.value).collect();
        for found in ["a", "ada", "ada love", "ada@example.", "lov", "lovelace"] {
            assert_eq!(searches.iter().filter(|term| *term == found).count(), 1, "{found}");
        }
        assert!(searches.iter().all(|term| term.chars().count() <= LONGEST && it.matches(term)));
        assert!(!it.matches("example"));
    }

    #[test]
    fn tags_and_zones() {
        for good in ["en", "de-AT", "zh-Hant-TW"] {
            assert!(good.parse::<Locale>().is_ok(), "{good}");
        }
        for bad in ["", "e", "de_AT", "de-", "-de", "1e", "en-toolongsubtag"] {
            assert!(bad.parse::<Locale>().is_err(), "{bad}");
        }
        assert!("Etc/GMT+1".parse::<ZoneName>().is_ok());
        assert!("../etc/passwd".parse::<ZoneName>().is_err());
    }
}
