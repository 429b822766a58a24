//! What people remember of what they were told: the oracle.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::client::{Client, Told};

/// The values that something may have. One writer alone changes it, and never writes a value twice.
#[derive(Debug, Clone)]
pub(crate) struct Possible(Vec<Value>);

impl Default for Possible {
    fn default() -> Self {
        Self(vec![Value::Null])
    }
}

impl Possible {
    /// A value was written, and this came of it.
    pub(crate) fn wrote(&mut self, value: Value, told: &Told) {
        match told {
            Told::Done(_) => self.0 = vec![value],
            Told::Unknown => self.0.push(value),
            Told::Refused(_) => {}
        }
    }

    /// Whether it may be this.
    pub(crate) fn may_be(&self, value: &Value) -> bool {
        self.0.contains(value)
    }
}

/// How many there must be, and how many more there may be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) sure: u64,
    pub(crate) perhaps: u64,
}

impl Count {
    /// So many more were sent, and this came of it.
    pub(crate) fn sent(&mut self, count: u64, told: &Told) {
        match told {
            Told::Done(_) => self.sure += count,
            Told::Unknown => self.perhaps += count,
            // Whoever is erased meanwhile is not told what was done before.
            Told::Refused(code) if code == "erased" => self.perhaps += count,
            Told::Refused(_) => {}
        }
    }

    /// Whether it may be this many.
    pub(crate) fn may_be(self, count: u64) -> bool {
        (self.sure..=self.sure + self.perhaps).contains(&count)
    }
}

/// Somebody who works at a tenant.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) email: String,
    /// Words that are in nobody else's profile.
    pub(crate) words: String,
    pub(crate) client: Client,
    pub(crate) preferences: BTreeMap<String, Possible>,
    pub(crate) title: Possible,
    pub(crate) tracked: Count,
    pub(crate) erased: bool,
}

/// A tenant, as its people know it.
pub(crate) struct Company {
    pub(crate) id: String,
    pub(crate) place: usize,
    pub(crate) owner: Person,
    pub(crate) people: Vec<Person>,
    /// Invited, and not come.
    pub(crate) invited: u64,
    pub(crate) seats: u64,
    pub(crate) features: BTreeMap<String, Possible>,
    pub(crate) held: u64,
    pub(crate) spent: u64,
    /// What was reported as used, and how often credits were bought.
    pub(crate) used: Count,
    pub(crate) topped_up: Count,
    /// Who was told what: the person's place, the words, and whether it is sure.
    pub(crate) told: Vec<(usize, String, bool)>,
    pub(crate) erased: bool,
}
