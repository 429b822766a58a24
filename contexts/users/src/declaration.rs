//! Which preferences there are: what each means, which values it takes, and which one holds for whoever chose none. The
//! platform declares a few; a tenant declares its own, and may declare the platform's anew.

use std::collections::BTreeMap;

use contracts::users::{PreferenceDeclared, PreferenceWithdrawn};
use kernel::{
    Aggregate, AnyEvent, Problem, ProblemKind, ScopeKind,
    text::{DisplayName, Key},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::preference::Value;

/// The most that a tenant declares.
const MOST: usize = 100;
/// The most values to choose from.
const MOST_OPTIONS: usize = 50;
/// The longest text, and the longest value to choose from, in characters.
const LONGEST: u16 = 1000;

/// Which values a preference takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Takes {
    /// True or false.
    Flag {},
    /// A number, within bounds where there are any.
    Number {
        /// The least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        least: Option<f64>,
        /// The most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        most: Option<f64>,
    },
    /// A text.
    Text {
        /// The most characters, up to 1,000.
        #[schemars(range(max = 1000))]
        longest: u16,
    },
    /// One of a few texts.
    Choice {
        /// Which ones.
        #[schemars(length(min = 1, max = 50))]
        of: Vec<String>,
    },
}

impl Takes {
    /// Why it does not take a value, if it does not.
    pub(crate) fn refusal(&self, value: &Value) -> Option<String> {
        match (self, value) {
            (Self::Flag {}, Value::Flag(_)) => None,
            (Self::Flag {}, _) => Some("expected true or false".to_owned()),
            (Self::Number { least, most }, Value::Number(number)) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                let fits = least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most);
                let bound =
                    |word: &str, bound: &Option<f64>| bound.map(|it| format!(" {word} {it}")).unwrap_or_default();
                (!fits).then(|| format!("expected a number{}{}", bound("from", least), bound("to", most)))
            }
            (Self::Number { .. }, _) => Some("expected a number".to_owned()),
            (Self::Text { longest }, Value::Text(text)) if text.chars().count() <= usize::from(*longest) => None,
            (Self::Text { longest }, _) => Some(format!("expected a text of at most {longest} characters")),
            (Self::Choice { of }, Value::Text(text)) if of.contains(text) => None,
            (Self::Choice { of }, _) => Some(format!("expected one of: {}", of.join(", "))),
        }
    }

    fn check(&self) -> Result<(), Problem> {
        match self {
            Self::Number { least: Some(least), most: Some(most) } if least > most => {
                Err(Problem::invalid_field("/takes/most", "expected no less than the least"))
            }
            Self::Text { longest } if !(1..=LONGEST).contains(longest) => {
                Err(Problem::invalid_field("/takes/longest", "expected 1 to 1,000"))
            }
            Self::Choice { of } if !(1..=MOST_OPTIONS).contains(&of.len()) => {
                Err(Problem::invalid_field("/takes/of", "expected 1 to 50 values"))
            }
            Self::Choice { of } => match of.iter().position(|it| it.is_empty() || it.chars().count() > 100) {
                Some(place) => {
                    Err(Problem::invalid_field(format!("/takes/of/{place}"), "expected 1 to 100 characters"))
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// A preference that there is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Declaration {
    /// What it is about, for people.
    pub(crate) meaning: DisplayName,
    /// Which values it takes.
    pub(crate) takes: Takes,
    /// What holds for whoever chose none.
    pub(crate) default: Value,
}

/// The declarations of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Declarations(pub(crate) BTreeMap<Key, Declaration>);

impl Declarations {
    /// There is one of it in a tenant.
    pub(crate) const ID: &'static str = "preferences";

    /// Declares one, in place of what was declared under that key.
    pub(crate) fn declare(&mut self, key: Key, declaration: Declaration) -> Result<Vec<AnyEvent>, Problem> {
        declaration.takes.check()?;
        if let Some(why) = declaration.takes.refusal(&declaration.default) {
            return Err(Problem::invalid_field("/default", why));
        }
        if self.0.get(&key) == Some(&declaration) {
            return Ok(Vec::new());
        }
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            return Err(Problem::new(
                ProblemKind::Refused,
                "users.too_many_declarations",
                "a tenant declares at most 100 preferences",
            )
            .hint("withdraw one that nobody uses"));
        }
        let declared = PreferenceDeclared { key: key.to_string() };
        self.0.insert(key, declaration);
        Ok(vec![declared.into()])
    }

    /// Declares one no more.
    pub(crate) fn withdraw(&mut self, key: &Key) -> Result<PreferenceWithdrawn, Problem> {
        self.0.remove(key).ok_or_else(|| Problem::not_found("declaration"))?;
        Ok(PreferenceWithdrawn { key: key.to_string() })
    }
}

/// What the platform declares: what its own pages go by.
pub(crate) fn platform() -> BTreeMap<Key, Declaration> {
    let declared = [
        ("theme", "Light or dark", ["system", "light", "dark"].as_slice()),
        ("time-format", "How the time of day is written", &["24h", "12h"]),
        ("week-start", "On which day a week begins", &["monday", "saturday", "sunday"]),
    ];
    let declare = |(key, meaning, of): (&str, &str, &[&str])| {
        let takes = Takes::Choice { of: of.iter().map(|it| (*it).to_owned()).collect() };
        let default = Value::Text((*of.first()?).to_owned());
        Some((key.parse().ok()?, Declaration { meaning: meaning.parse().ok()?, takes, default }))
    };
    declared.into_iter().filter_map(declare).collect()
}

impl Aggregate for Declarations {
    type Id = String;
    const KIND: &'static str = "users.preference_declarations";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(value: serde_json::Value) -> Value {
        serde_json::from_value(value).unwrap()
    }

    fn declaration(takes: &serde_json::Value, default: &serde_json::Value) -> Declaration {
        serde_json::from_value(json!({ "meaning": "x", "takes": takes, "default": default })).unwrap()
    }

    #[test]
    fn a_value_is_of_the_declared_type_and_within_its_bounds() {
        for (takes, good, bad) in [
            (json!({ "type": "flag" }), json!(true), json!("true")),
            (json!({ "type": "number", "least": 1, "most": 9.5 }), json!(9.5), json!(0)),
            (json!({ "type": "number" }), json!(-3), json!(false)),
            (json!({ "type": "text", "longest": 2 }), json!("äö"), json!("äöü")),
            (json!({ "type": "choice", "of": ["a", "b"] }), json!("b"), json!("c")),
        ] {
            let takes: Takes = serde_json::from_value(takes).unwrap();
            assert_eq!(takes.refusal(&value(good)), None);
            assert!(takes.refusal(&value(bad.clone())).is_some(), "{takes:?} {bad}");
        }
    }

    #[test]
    fn what_cannot_hold_is_not_declared() {
        for (takes, default, pointer) in [
            (json!({ "type": "number", "least": 2, "most": 1 }), json!(1), "/takes/most"),
            (json!({ "type": "text", "longest": 1001 }), json!(""), "/takes/longest"),
            (json!({ "type": "choice", "of": [] }), json!("a"), "/takes/of"),
            (json!({ "type": "choice", "of": ["a", ""] }), json!("a"), "/takes/of/1"),
            (json!({ "type": "choice", "of": ["a"] }), json!("b"), "/default"),
        ] {
            let refused =
                Declarations::default().declare("k".parse().unwrap(), declaration(&takes, &default)).unwrap_err();
            assert_eq!(refused.document(None).errors[0].pointer, pointer);
        }
        let mut it = Declarations::default();
        let flag = || declaration(&json!({ "type": "flag" }), &json!(false));
        for number in 0..MOST {
            assert_eq!(it.declare(format!("k{number}").parse().unwrap(), flag()).unwrap().len(), 1);
        }
        assert!(it.declare("k0".parse().unwrap(), flag()).unwrap().is_empty());
        assert_eq!(it.declare("one-more".parse().unwrap(), flag()).unwrap_err().code(), "users.too_many_declarations");
        it.withdraw(&"k0".parse().unwrap()).unwrap();
        assert!(it.withdraw(&"k0".parse().unwrap()).is_err());
    }

    #[test]
    fn what_the_platform_declares_holds() {
        let mut it = Declarations::default();
        let platform = platform();
        assert_eq!(platform.len(), 3);
        for (key, declaration) in platform {
            it.declare(key, declaration).unwrap();
        }
    }
}
