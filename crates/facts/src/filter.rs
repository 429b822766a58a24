//! Which facts a question is about.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::FactsError;

/// The most filters of one question, or of one step.
pub const MOST_FILTERS: usize = 16;
/// The most texts that one filter may name.
const MOST_TEXTS: usize = 100;

/// A part of a fact: `name`, `person`, `value`, or `label.<key>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// What sort of fact.
    Name,
    /// Who.
    Person,
    /// How much.
    Value,
    /// A label.
    Label(String),
}

impl Field {
    /// The label of a key.
    pub fn label(key: &str) -> Self {
        Self::Label(key.to_owned())
    }
}

impl FromStr for Field {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match (text, text.strip_prefix("label.")) {
            ("name", _) => Ok(Self::Name),
            ("person", _) => Ok(Self::Person),
            ("value", _) => Ok(Self::Value),
            (_, Some(key)) if (1..=64).contains(&key.len()) => Ok(Self::Label(key.to_owned())),
            _ => Err("expected `name`, `person`, `value` or `label.<key>` with a key of 1 to 64 bytes"),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("name"),
            Self::Person => f.write_str("person"),
            Self::Value => f.write_str("value"),
            Self::Label(key) => write!(f, "label.{key}"),
        }
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Field {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Field".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(name|person|value|label\\..{1,64})$" })
    }
}

/// What must be so of a field. A label or person that is missing passes none of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// It is this text.
    Is(String),
    /// It is one of these texts, 100 at the most.
    AnyOf(#[schemars(length(max = 100))] Vec<String>),
    /// It begins so.
    Prefix(String),
    /// It is a number, `at_least` the one and `below` the other.
    Between {
        /// The smallest that passes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<f64>,
        /// The smallest that is too large.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        below: Option<f64>,
    },
    /// It is there.
    Present,
}

/// A condition on one field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Which field.
    pub field: Field,
    /// What must be so of it.
    pub test: Test,
    /// Whether the contrary must be so.
    #[serde(default)]
    pub not: bool,
}

impl Filter {
    /// A field that is a text.
    pub fn is(field: Field, text: &str) -> Self {
        Self { field, test: Test::Is(text.to_owned()), not: false }
    }

    /// Facts of a name.
    pub fn named(name: &str) -> Self {
        Self::is(Field::Name, name)
    }

    /// Whether a text passes, or that there is none.
    pub fn passes_text(&self, text: Option<&str>) -> bool {
        let passes = text.is_some_and(|text| match &self.test {
            Test::Is(wanted) => text == wanted,
            Test::AnyOf(wanted) => wanted.iter().any(|it| it == text),
            Test::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Test::Present => true,
            Test::Between { .. } => false,
        });
        passes != self.not
    }

    /// Whether a number passes.
    pub fn passes_value(&self, value: f64) -> bool {
        let passes = match self.test {
            Test::Between { at_least, below } => {
                at_least.is_none_or(|least| value >= least) && below.is_none_or(|below| value < below)
            }
            _ => self.test == Test::Present,
        };
        passes != self.not
    }
}

/// Refuses filters that mean nothing.
pub(crate) fn check(place: &'static str, filters: &[Filter]) -> Result<(), FactsError> {
    if filters.len() > MOST_FILTERS {
        return Err(FactsError::invalid(place, format!("expected at most {MOST_FILTERS} filters")));
    }
    for filter in filters {
        let refused = |detail: &str| Err(FactsError::invalid(place, format!("{}: {detail}", filter.field)));
        match (&filter.field, &filter.test) {
            (Field::Value, Test::Between { at_least, below })
                if [at_least, below].into_iter().flatten().any(|bound| !bound.is_finite()) =>
            {
                return refused("expected finite numbers");
            }
            (Field::Value, Test::Between { .. }) | (_, Test::Present) => {}
            (Field::Value, _) => return refused("a number has a test of `between`"),
            (_, Test::Between { .. }) => return refused("only a value has a test of `between`"),
            (Field::Person, Test::Prefix(_)) => return refused("how a pseudonym begins says nothing"),
            (_, Test::AnyOf(texts)) if !(1..=MOST_TEXTS).contains(&texts.len()) => {
                return refused("expected 1 to 100 texts");
            }
            _ => {}
        }
    }
    Ok(())
}
