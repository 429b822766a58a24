//! A template: what is said in a kind of message. Drafted, published as a version, rolled back to an earlier one.

use contracts::notifications::TemplateUpdated;
use kernel::{Aggregate, Problem, ProblemKind, ScopeKind, Term, Timestamp, text::Key};
use serde::{Deserialize, Serialize};

use crate::wording::Wording;

/// The most versions that are kept; the oldest goes first, but never the one in force.
const KEPT: usize = 10;

/// A published wording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Counted from 1.
    pub number: u32,
    /// When it was published.
    pub published: Timestamp,
    /// What it says.
    pub wording: Wording,
}

/// A tenant's template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Template {
    /// How it is called.
    pub key: Key,
    /// What is being written.
    pub draft: Option<Wording>,
    /// The version in force; 0 before the first.
    pub current: u32,
    /// All that were published, the oldest first.
    pub versions: Vec<Version>,
}

/// Why a template cannot be published or rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is nothing to publish.
    #[error("there is no draft to publish")]
    NoDraft,
    /// There is no such version.
    #[error("there is no such version of this template, or not any more")]
    NoVersion,
}

impl From<TemplateError> for Problem {
    fn from(error: TemplateError) -> Self {
        match error {
            TemplateError::NoDraft => Self::new(ProblemKind::Conflict, "notifications.no_draft", error.to_string())
                .hint("save the template first"),
            TemplateError::NoVersion => Self::invalid_field("/version", error.to_string()),
        }
    }
}

impl Template {
    /// Nothing said yet.
    pub fn new(key: Key) -> Self {
        Self { key, draft: None, current: 0, versions: Vec::new() }
    }

    /// Publishes the draft.
    pub fn publish(&mut self, now: Timestamp) -> Result<TemplateUpdated, TemplateError> {
        let wording = self.draft.take().ok_or(TemplateError::NoDraft)?;
        let number = self.versions.iter().map(|it| it.number).max().unwrap_or(0) + 1;
        self.versions.push(Version { number, published: now, wording });
        if self.versions.len() > KEPT {
            self.versions.remove(0);
        }
        Ok(self.in_force(number))
    }

    /// Puts an earlier version in force again.
    pub fn roll_back(&mut self, number: u32) -> Result<TemplateUpdated, TemplateError> {
        let place = self.versions.iter().position(|it| it.number == number).ok_or(TemplateError::NoVersion)?;
        // The last is the one that is kept longest.
        let version = self.versions.remove(place);
        self.versions.push(version);
        Ok(self.in_force(number))
    }

    fn in_force(&mut self, number: u32) -> TemplateUpdated {
        self.current = number;
        TemplateUpdated { template: self.key.to_string(), version: Some(number) }
    }

    /// The version in force.
    pub fn published(&self) -> Option<&Version> {
        self.versions.iter().find(|it| it.number == self.current)
    }
}

impl Aggregate for Template {
    type Id = Key;
    const KIND: &'static str = "notifications.template";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> Key {
        self.key.clone()
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn wording(category: &str) -> Wording {
        Wording { category: category.parse().unwrap(), variables: BTreeMap::new(), locales: BTreeMap::new() }
    }

    fn said(it: &Template) -> &str {
        it.published().unwrap().wording.category.as_str()
    }

    #[test]
    fn versions_are_published_rolled_back_and_bounded() {
        let mut it = Template::new("order.shipped".parse().unwrap());
        assert_eq!(it.publish(Timestamp::UNIX_EPOCH).unwrap_err(), TemplateError::NoDraft);
        for number in 1..=12 {
            it.draft = Some(wording(&format!("c{number}")));
            assert_eq!(it.publish(Timestamp::UNIX_EPOCH).unwrap().version, Some(number));
            assert_eq!(said(&it), format!("c{number}"));
        }
        assert_eq!(it.versions.len(), KEPT);
        assert_eq!(it.roll_back(2).unwrap_err(), TemplateError::NoVersion);
        it.roll_back(3).unwrap();
        assert_eq!(said(&it), "c3");
        it.draft = Some(wording("c13"));
        assert_eq!(it.publish(Timestamp::UNIX_EPOCH).unwrap().version, Some(13));
        it.roll_back(3).unwrap();
        assert_eq!(said(&it), "c3", "what was in force is kept longest");
    }
}
