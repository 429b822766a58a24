//! The profile of a person.

use kernel::{
    Aggregate, ScopeKind, Term, UserId,
    text::{DisplayName, EmailAddress},
};
use serde::{Deserialize, Serialize};

/// The longest beginning of a word that is searched by.
const SEARCHED: usize = 12;

/// A profile. Its body is sealed under the person's own key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UserProfile {
    pub(crate) user: UserId,
    pub(crate) email: EmailAddress,
    pub(crate) name: DisplayName,
    pub(crate) title: Option<DisplayName>,
    pub(crate) locale: Option<String>,
    pub(crate) time_zone: Option<String>,
}

impl UserProfile {
    pub(crate) fn new(user: UserId, email: EmailAddress, name: DisplayName) -> Self {
        Self { user, email, name, title: None, locale: None, time_zone: None }
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
        let mut terms = vec![Term::new("all", "")];
        terms.extend(Term::prefixes("search", self.name.as_str(), SEARCHED));
        terms.extend(Term::prefixes("search", self.email.as_str(), SEARCHED));
        terms.sort();
        terms.dedup();
        terms
    }
}
