//! What a person prefers: values that the product and the console keep for them.

use std::collections::{BTreeMap, btree_map::Entry};

use contracts::users::PreferenceChanged;
use kernel::{Aggregate, AnyEvent, Problem, ProblemKind, ScopeKind, UserId, text::Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most preferences of one person.
const MOST: usize = 100;
/// The longest value, in characters.
const LONGEST: usize = 1000;

/// A value: a text of at most 1,000 characters, a number, or true or false.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Value {
    /// True or false.
    Flag(bool),
    /// A number.
    Number(serde_json::Number),
    /// A text.
    Text(#[schemars(length(max = 1000))] String),
}

/// Why a preference is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PreferenceError {
    #[error("a value has at most {LONGEST} characters")]
    TooLong,
    #[error("a person has at most {MOST} preferences")]
    TooMany,
}

impl From<PreferenceError> for Problem {
    fn from(error: PreferenceError) -> Self {
        match error {
            PreferenceError::TooLong => Self::invalid_field("/value", error.to_string()),
            PreferenceError::TooMany => {
                Self::new(ProblemKind::Refused, "users.too_many_preferences", error.to_string())
                    .hint("keep several values in one preference, as a text")
            }
        }
    }
}

/// All the preferences of one person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Preference {
    user: UserId,
    values: BTreeMap<Key, Value>,
}

impl Preference {
    /// None yet.
    pub(crate) fn none_of(user: UserId) -> Self {
        Self { user, values: BTreeMap::new() }
    }

    /// Sets one; where it has that value already, nothing happened.
    pub(crate) fn set(&mut self, key: Key, value: Value) -> Result<Vec<AnyEvent>, PreferenceError> {
        if matches!(&value, Value::Text(text) if text.chars().count() > LONGEST) {
            return Err(PreferenceError::TooLong);
        }
        let full = self.values.len() >= MOST;
        let changed = PreferenceChanged { user: self.user, key: key.to_string() };
        match self.values.entry(key) {
            Entry::Occupied(held) if *held.get() == value => return Ok(Vec::new()),
            Entry::Occupied(mut held) => drop(held.insert(value)),
            Entry::Vacant(_) if full => return Err(PreferenceError::TooMany),
            Entry::Vacant(free) => drop(free.insert(value)),
        }
        Ok(vec![changed.into()])
    }

    /// Goes back to what holds by default; where nothing was set, nothing happened.
    pub(crate) fn reset(&mut self, key: &Key) -> Vec<AnyEvent> {
        let changed = PreferenceChanged { user: self.user, key: key.to_string() };
        if self.values.remove(key).is_some() { vec![changed.into()] } else { Vec::new() }
    }

    pub(crate) fn values(&self) -> &BTreeMap<Key, Value> {
        &self.values
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
    use kernel::Id;

    use super::*;

    fn key(number: usize) -> Key {
        format!("key-{number}").parse().unwrap()
    }

    #[test]
    fn a_preference_is_bounded_in_number_and_length() {
        let mut it = Preference::none_of(Id::from_uuid("01890000-0000-7000-8000-000000000001".parse().unwrap()));
        for number in 0..MOST {
            assert_eq!(it.set(key(number), Value::Flag(true)).unwrap().len(), 1);
        }
        assert_eq!(it.set(key(MOST), Value::Flag(true)), Err(PreferenceError::TooMany));
        // One that is there already can still change, and setting it to what it is changes nothing.
        assert_eq!(it.set(key(0), Value::Text("ä".repeat(LONGEST))).unwrap().len(), 1);
        assert!(it.set(key(0), Value::Text("ä".repeat(LONGEST))).unwrap().is_empty());
        assert_eq!(it.set(key(0), Value::Text("x".repeat(LONGEST + 1))), Err(PreferenceError::TooLong));
        assert_eq!(it.values()[&key(0)], Value::Text("ä".repeat(LONGEST)));
        assert_eq!((it.reset(&key(0)).len(), it.reset(&key(0)).len()), (1, 0), "there is nothing to reset twice");
        assert_eq!(it.set(key(MOST), Value::Flag(true)).unwrap().len(), 1, "and room for another");
    }
}
