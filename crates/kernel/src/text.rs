//! Texts that were checked when they were made.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TextError(pub &'static str);

/// Gives a parsed text type its conversions.
macro_rules! parsed_text {
    ($name:ident, $schema:expr) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

/// An e-mail address, in lower case: a name, an `@`, and a domain. That it is delivered to is only known once mail arrives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress(String);

impl FromStr for EmailAddress {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let refused = TextError("expected an e-mail address such as ada@example.com, of at most 254 characters");
        let (local, domain) = text.rsplit_once('@').ok_or(refused)?;
        let local_fits = |c: char| c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let fits = text.len() <= 254
            && (1..=64).contains(&local.len())
            && local.chars().all(local_fits)
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && domain.split('.').count() >= 2
            && domain.split('.').all(label);
        if fits { Ok(Self(text.to_ascii_lowercase())) } else { Err(refused) }
    }
}
parsed_text!(
    EmailAddress,
    json_schema!({ "type": "string", "format": "email", "maxLength": 254, "examples": ["ada@example.com"] })
);

/// A tenant's short name: part of its address, so a DNS label (RFC 1035, section 2.3.1) of 3 to 40 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(String);

impl Slug {
    /// Names that the platform keeps for itself.
    const RESERVED: [&str; 12] =
        ["www", "api", "app", "admin", "auth", "console", "docs", "mail", "platform", "static", "status", "support"];
}

impl FromStr for Slug {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let shaped = (3..=40).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && !text.contains("--")
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !shaped {
            return Err(TextError(
                "expected 3 to 40 lower-case letters, digits or single hyphens, beginning with a letter",
            ));
        }
        if Self::RESERVED.contains(&text) {
            return Err(TextError("this name is kept for the platform"));
        }
        Ok(Self(text.to_owned()))
    }
}
parsed_text!(
    Slug,
    json_schema!({ "type": "string", "pattern": "^[a-z](?:[a-z0-9]|-(?=[a-z0-9])){2,39}$", "examples": ["acme"] })
);

/// What people call something: 1 to 120 characters, trimmed, without control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DisplayName(String);

impl FromStr for DisplayName {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > 120 || text.chars().any(char::is_control) {
            return Err(TextError("expected 1 to 120 characters without line breaks"));
        }
        Ok(Self(text.to_owned()))
    }
}
parsed_text!(
    DisplayName,
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 120,
        "pattern": "^[^\\u0000-\\u001f]*\\S[^\\u0000-\\u001f]*$", "examples": ["Ada Lovelace"],
    })
);

/// A word that a program chose: 1 to 64 lower-case letters, digits, `.`, `_` or `-`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl FromStr for Key {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let fits = (1..=64).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(TextError("expected 1 to 64 lower-case letters, digits, '.', '_' or '-', beginning with a letter"))
        }
    }
}
parsed_text!(Key, json_schema!({ "type": "string", "pattern": "^[a-z][a-z0-9._-]{0,63}$", "examples": ["search"] }));

/// Free text of at most 2,000 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Note(String);

impl FromStr for Note {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > 2000 || text.contains('\0') {
            return Err(TextError("expected 1 to 2,000 characters"));
        }
        Ok(Self(text.to_owned()))
    }
}
parsed_text!(
    Note,
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 2000, "pattern": "^[^\\u0000]*\\S[^\\u0000]*$" })
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e_mail_addresses() {
        assert_eq!("Ada@Example.com".parse::<EmailAddress>().map(|it| it.to_string()), Ok("ada@example.com".into()));
        for refused in ["", "ada", "@x.y", "ada@x", "a b@x.y", "a@-x.y", "a@x..y", "a\n@x.y", "a..b@x.y"] {
            assert!(refused.parse::<EmailAddress>().is_err(), "{refused:?}");
        }
    }

    #[test]
    fn slugs() {
        assert!("acme-2".parse::<Slug>().is_ok());
        for refused in ["", "ab", "Acme", "-acme", "acme-", "a--b", "admin", "äcme", "1acme"] {
            assert!(refused.parse::<Slug>().is_err(), "{refused:?}");
        }
    }
}
