//! What a person prefers: a few named values.

use std::collections::BTreeMap;

use contracts::users::PreferenceChanged;
use kernel::{Aggregate, Problem, ProblemKind, ScopeKind, UserId, text::Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MOST: usize = 100;
const LONGEST: usize = 1_000;

/// A value: text, a number, or a truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Value {
    /// Yes or no.
    Truth(bool),
    /// A number.
    Number(f64),
    /// Text of at most 1,000 characters.
    Text(String),
}

/// All preferences of one person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Preference {
    user: UserId,
    pub(crate) values: BTreeMap<String, Value>,
}

impl Preference {
    pub(crate) fn new(user: UserId) -> Self {
        Self { user, values: BTreeMap::new() }
    }

    pub(crate) fn set(&mut self, key: &Key, value: Value) -> Result<PreferenceChanged, Problem> {
        if matches!(&value, Value::Text(text) if text.chars().count() > LONGEST) {
            return Err(Problem::invalid_field("/value", "expected at most 1,000 characters"));
        }
        if self.values.len() >= MOST && !self.values.contains_key(key.as_str()) {
            return Err(Problem::new(
                ProblemKind::Refused,
                "users.too_many_preferences",
                "there are 100 preferences already",
            )
            .hint("change one that exists"));
        }
        self.values.insert(key.to_string(), value);
        Ok(PreferenceChanged { user: self.user, key: key.to_string() })
    }
}

impl Aggregate for Preference {
    type Id = UserId;
    const KIND: &'static str = "users.preference";
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_bounded() {
        let mut it = Preference::new(kernel::Id::from_uuid(uuid::Uuid::max()));
        for number in 0..MOST {
            it.set(&format!("k{number}").parse().unwrap(), Value::Truth(true)).unwrap();
        }
        assert!(it.set(&"one.more".parse().unwrap(), Value::Truth(true)).is_err());
        it.set(&"k1".parse().unwrap(), Value::Text("x".repeat(LONGEST))).unwrap();
        assert!(it.set(&"k1".parse().unwrap(), Value::Text("x".repeat(LONGEST + 1))).is_err());
    }
}
