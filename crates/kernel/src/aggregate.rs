//! What is stored: an aggregate, the names it claims, the terms it is found by, the timers it has set.

use std::{fmt::Display, str::FromStr};

use serde::{Serialize, de::DeserializeOwned};

use crate::{id::UserId, scope::ScopeKind, time::Timestamp};

/// How long it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Until it is deleted.
    Durable,
    /// Until the instant that [`Aggregate::expires`] tells; it emits no events.
    Ephemeral,
}

/// A name that only one aggregate of its kind and scope can hold at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Which name it is, such as `email`.
    pub index: &'static str,
    /// The name, normalised; stored only as a keyed hash.
    pub value: String,
}

impl Claim {
    /// A claim on `value`.
    pub fn new(index: &'static str, value: impl Into<String>) -> Self {
        Self { index, value: value.into() }
    }
}

/// What lists find an aggregate by. Hits of one term come in the order of `sort`, then of the id, which is that of creation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term {
    /// Which index, such as `status`.
    pub index: &'static str,
    /// The value that must be equal; stored only as a keyed hash.
    pub value: String,
    /// A text that the hits are sorted by, stored as it is: never personal data.
    pub sort: String,
}

impl Term {
    /// Found by equality, in the order of creation.
    pub fn new(index: &'static str, value: impl Into<String>) -> Self {
        Self { index, value: value.into(), sort: String::new() }
    }

    /// Found by equality, in the order of an instant.
    pub fn by_time(index: &'static str, value: impl Into<String>, at: Timestamp) -> Self {
        Self { index, value: value.into(), sort: sortable(at) }
    }

    /// One term for each prefix of each word up to `longest` characters, so that sealed text can be searched by how it begins.
    pub fn prefixes(index: &'static str, text: &str, longest: usize) -> Vec<Self> {
        let lowered = text.to_lowercase();
        let mut terms: Vec<Self> = std::iter::once(lowered.as_str())
            .chain(lowered.split_whitespace().skip(1))
            .flat_map(|word| word.char_indices().take(longest).map(move |(at, letter)| (word, at + letter.len_utf8())))
            .filter_map(|(word, end)| word.get(..end).map(|prefix| Self::new(index, prefix)))
            .collect();
        terms.sort();
        terms.dedup();
        terms
    }
}

/// An instant as a text that sorts in time.
pub fn sortable(at: Timestamp) -> String {
    format!("{:016}", at.as_microsecond().max(0))
}

/// An instant at which the aggregate wants to be looked at again. May fire twice; the aggregate checks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    /// Which timer of this aggregate.
    pub name: &'static str,
    /// When.
    pub due: Timestamp,
}

/// The unit of consistency: changed by rules that decide and do no I/O, stored in one atomic commit.
pub trait Aggregate: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// How it is named within its scope.
    type Id: Display + FromStr + Clone + Send + Sync + 'static;
    /// `context.noun`.
    const KIND: &'static str;
    /// The scope it lives in; the store refuses any other.
    const SCOPE: ScopeKind;
    /// Whether it lives in every scope instead: what each has one of, such as a log of its own.
    const EVERYWHERE: bool = false;
    /// The version of the body; raise it with a step in [`Self::upcast`].
    const VERSION: u16 = 1;
    /// How long it stays.
    const LIFE: Life = Life::Durable;

    /// Its id.
    fn id(&self) -> Self::Id;

    /// Whose it is, for permissions that cover only one's own.
    fn owner(&self) -> Option<UserId> {
        None
    }

    /// The person it is about: the body is then sealed under that person's key, and erased with it.
    fn subject(&self) -> Option<UserId> {
        None
    }

    /// The names it holds.
    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }

    /// What it is found by.
    fn terms(&self) -> Vec<Term> {
        Vec::new()
    }

    /// The timers that are set.
    fn timers(&self) -> Vec<Timer> {
        Vec::new()
    }

    /// When an ephemeral one ends.
    fn expires(&self) -> Option<Timestamp> {
        None
    }

    /// Brings a body written by an older release up to date, one version at a time.
    fn upcast(_version: u16, body: serde_json::Value) -> serde_json::Value {
        body
    }
}
