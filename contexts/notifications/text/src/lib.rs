//! Small texts of this context that were checked when they were made.

use std::{borrow::Cow, fmt, str::FromStr};

use kernel::text::TextError;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A language tag (BCP 47), of which letters' case is not told apart: `en`, `pt-BR`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Locale(String);

impl Locale {
    /// What is spoken where nothing else is known.
    pub fn english() -> Self {
        Self("en".to_owned())
    }

    /// The language alone.
    fn language(&self) -> Self {
        Self(self.0.split('-').next().unwrap_or_default().to_owned())
    }

    /// The tags to look for, in this order, for someone who prefers `wanted` in a tenant that speaks `default`.
    pub fn chain(wanted: Option<&Self>, default: &Self) -> Vec<Self> {
        let preferred = wanted.into_iter().chain([default]).flat_map(|it| [it.clone(), it.language()]);
        preferred.chain([Self::english()]).collect()
    }
}

impl FromStr for Locale {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let mut parts = text.split('-');
        let letters = |part: &str| (2..=3).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphabetic());
        let part = |part: &str| (2..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric());
        if text.len() <= 35 && parts.next().is_some_and(letters) && parts.all(part) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(TextError("expected a language tag such as en or pt-BR"))
        }
    }
}

/// The id that a program gives to what it asks for, so that asking twice takes effect once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(String);

impl FromStr for RequestId {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        if (1..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TextError("expected 1 to 128 visible ASCII characters"))
        }
    }
}

macro_rules! conversions {
    ($name:ident, $pattern:literal) => {
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
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                concat!("Notification", stringify!($name)).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

conversions!(Locale, "^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$");
conversions!(RequestId, "^[!-~]{1,128}$");

/// At most so many bytes of a text, cut between characters.
pub fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// A text as one line: control characters become spaces, and what is too long is cut.
pub fn line(text: &str, most: usize) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() || is_separator(c) { ' ' } else { c }).collect();
    cut(flat.trim(), most).to_owned()
}

/// Line and paragraph separators, which some mail readers break lines at.
const fn is_separator(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locale(text: &str) -> Locale {
        text.parse().unwrap()
    }

    #[test]
    fn a_language_is_looked_for_from_the_near_to_the_far() {
        let chain = Locale::chain(Some(&locale("pt-BR")), &locale("de-AT"));
        assert_eq!(chain.iter().map(Locale::to_string).collect::<Vec<_>>(), ["pt-br", "pt", "de-at", "de", "en"]);
        for refused in ["", "e", "en_US", "en-", "english", "en-a", "e\u{e9}"] {
            assert!(refused.parse::<Locale>().is_err(), "{refused:?}");
        }
    }

    #[test]
    fn a_line_has_no_breaks_and_ends_between_characters() {
        assert_eq!(line("Hi\r\nBcc: eve@example.com\u{2028}x", 200), "Hi  Bcc: eve@example.com x");
        assert_eq!(line("ää", 3), "ä");
    }
}
