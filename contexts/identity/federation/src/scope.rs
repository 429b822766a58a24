//! What a program is given of a person's rights: the scopes of OpenID Connect for who the person is, and for all else the
//! names of permissions. A token carries nothing that no scope names.

use std::{collections::BTreeSet, fmt};

use accounts::permissions as may;
use kernel::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Federation;

/// Lets a program keep what it was given after the person's session (OpenID Connect Core 1.0, section 11).
pub(crate) const OFFLINE: &str = "offline_access";
pub(crate) const OPENID: &str = "openid";

/// The scopes that a standard defines, and what each tells a person who is asked for it.
pub(crate) const STANDARD: [(&str, &str); 4] = [
    (OPENID, "know that it is you"),
    ("profile", "see your name"),
    ("email", "see your e-mail address"),
    (OFFLINE, "go on after you have signed out"),
];

/// The most scopes that are looked at in one request, and that one program may have.
pub(crate) const MOST: usize = 50;

/// A set of scopes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Scopes(#[schemars(length(max = 50))] BTreeSet<String>);

impl Scopes {
    /// Those of a text that separates them by spaces (RFC 6749, section 3.3).
    pub(crate) fn parse(text: &str) -> Self {
        text.split(' ').filter(|scope| !scope.is_empty()).take(MOST).map(str::to_owned).collect()
    }

    /// Those that a program has without asking for more.
    pub fn usual() -> Self {
        STANDARD.iter().map(|(scope, _)| (*scope).to_owned()).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    /// What is in both.
    pub(crate) fn within(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    pub(crate) fn with(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        other.0.is_subset(&self.0)
    }

    /// Whether they let a permission through, if its holder has it.
    pub(crate) fn permit(&self, permission: &str) -> bool {
        let scope = match permission {
            _ if permission == may::USERINFO.name() => OPENID,
            _ if permission == may::USERINFO_NAME.name() => "profile",
            _ if permission == may::USERINFO_EMAIL.name() => "email",
            other => other,
        };
        self.has(scope)
    }
}

impl FromIterator<String> for Scopes {
    fn from_iter<I: IntoIterator<Item = String>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().enumerate().try_for_each(|(place, scope)| {
            let gap = if place == 0 { "" } else { " " };
            write!(f, "{gap}{scope}")
        })
    }
}

impl Federation {
    /// The first that no program can be given: neither a standard's, nor a permission that a person of a tenant can hold.
    pub(crate) async fn unknown_scope<'a>(&self, scopes: &'a Scopes) -> Result<Option<&'a str>, Problem> {
        let holdable = self.access.owner_grants().await?;
        let known = |scope: &str| {
            STANDARD.iter().any(|(known, _)| *known == scope)
                || (may::for_programs(scope) && holdable.iter().any(|(permission, _)| permission == scope))
        };
        Ok(scopes.iter().find(|scope| !known(scope)))
    }

    /// What scopes let a program do, for the person who is asked.
    pub(crate) async fn meanings(&self, scopes: impl Iterator<Item = &str>) -> Result<Vec<String>, Problem> {
        let product = self.access.product().await?;
        let meaning = |scope: &str| {
            let standard = STANDARD.iter().find(|(known, _)| *known == scope).map(|(_, meaning)| *meaning);
            let built_in = || self.catalogue.declarations().iter().find(|it| it.permission.name() == scope);
            let declared = || product.iter().find(|it| it.name.as_str() == scope);
            let meaning = standard.or_else(|| built_in().map(|it| it.meaning));
            meaning.or_else(|| declared().map(|it| it.meaning.as_str())).unwrap_or(scope).to_owned()
        };
        Ok(scopes.map(meaning).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_to_sign_in_with_is_good_for_nothing_else() {
        let scopes = Scopes::parse("openid email");
        assert!(scopes.permit(may::USERINFO.name()) && scopes.permit(may::USERINFO_EMAIL.name()));
        for more in [may::USERINFO_NAME, may::OWN, may::SIGN_IN, may::ROLES_UPDATE] {
            assert!(!scopes.permit(more.name()), "{more}");
        }
        // The name of the permission is not the scope that stands for it.
        assert!(!Scopes::parse(may::USERINFO_EMAIL.name()).permit(may::USERINFO_EMAIL.name()));
    }

    proptest! {
        #[test]
        fn what_is_given_is_never_more_than_either_side(asked in "[a-d ]{0,12}", may in "[a-d ]{0,12}") {
            let (asked, may) = (Scopes::parse(&asked), Scopes::parse(&may));
            let given = asked.within(&may);
            prop_assert!(asked.covers(&given) && may.covers(&given));
            prop_assert_eq!(Scopes::parse(&given.to_string()), given);
        }
    }
}
