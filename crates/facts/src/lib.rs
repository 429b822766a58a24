//! Facts: time-stamped rows that are appended and aggregated, never changed one by one. Analytics and metering stand on
//! this port; what an engine promises is its documentation here and, as checks, the [`contract`] suite.

mod bucket;
pub mod contract;
mod filter;
mod funnel;
pub mod model;
mod query;

use std::collections::BTreeMap;

use async_trait::async_trait;
use kernel::{Problem, ProblemKind, Scope, Timestamp};
use serde::{Deserialize, Serialize};

pub use bucket::{Buckets, Span};
pub use filter::{Field, Filter, MOST_FILTERS, Test};
pub use funnel::{Funnel, MOST_STEPS, Reached, Step};
pub use query::{
    Bucket, EXACT_VALUES, MOST_GROUPS, MOST_ROWS, Measure, PERCENTILE_ERROR, Query, Row, Trend, too_many_rows,
};

/// The most labels of one fact.
pub const MOST_LABELS: usize = 16;
/// The most facts that one append takes.
pub const MOST_FACTS: usize = 10_000;
/// The most questions of one look.
pub const MOST_QUERIES: usize = 32;
/// Among at least so many facts of a scope, those that came last, an id is known again.
pub const KNOWN_IDS: u64 = 1 << 22;

/// Something that was so at an instant. Nothing in it may name a person but `person`, a pseudonym.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// Unique within the scope: the same id again, however often and with whatever else, counts once, as long as no more
    /// than [`KNOWN_IDS`] facts came in between. 1 to 200 bytes.
    pub id: String,
    /// Whose it is.
    pub scope: Scope,
    /// What sort of fact, such as `report.opened`. 1 to 120 bytes.
    pub name: String,
    /// When, between the years 1970 and 2199; kept to the microsecond.
    pub at: Timestamp,
    /// Who, as a pseudonym of the scope; 1 to 120 bytes.
    pub person: Option<String>,
    /// How much; finite. What is only counted has 1.
    pub value: f64,
    /// What it can be filtered and grouped by: at most 16, names of 1 to 64 bytes, values of at most 256.
    pub labels: BTreeMap<String, String>,
}

/// Why facts cannot be taken or asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// Unknown or not done: send the same again.
    #[error("facts cannot be reached: {0}")]
    Unavailable(String),
    /// It can never be answered or taken as it is; nothing of it was.
    #[error("{field}: {detail}")]
    Invalid {
        /// Which field of the fact or query: a JSON pointer (RFC 6901).
        field: &'static str,
        /// What is wrong with it.
        detail: String,
    },
}

impl FactsError {
    /// A field that is wrong.
    pub fn invalid(field: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid { field, detail: detail.into() }
    }
}

impl From<FactsError> for Problem {
    fn from(error: FactsError) -> Self {
        match error {
            FactsError::Invalid { field, detail } => Problem::invalid_field(field, detail),
            FactsError::Unavailable(_) => {
                Problem::new(ProblemKind::Unavailable, "facts_unavailable", "the facts did not answer")
                    .hint("send the request again")
                    .cause(error)
            }
        }
    }
}

impl Fact {
    /// Refuses what no engine takes.
    pub fn check(&self) -> Result<(), FactsError> {
        let text = |field, text: &str, bytes: std::ops::RangeInclusive<usize>| {
            if bytes.contains(&text.len()) && !text.contains('\0') {
                return Ok(());
            }
            let detail = format!("expected {} to {} bytes without NUL", bytes.start(), bytes.end());
            Err(FactsError::invalid(field, detail))
        };
        text("/id", &self.id, 1..=200)?;
        text("/name", &self.name, 1..=120)?;
        self.person.as_deref().map_or(Ok(()), |person| text("/person", person, 1..=120))?;
        if self.labels.len() > MOST_LABELS {
            return Err(FactsError::invalid("/labels", format!("expected at most {MOST_LABELS} labels")));
        }
        for (key, value) in &self.labels {
            text("/labels", key, 1..=64)?;
            text("/labels", value, 0..=256)?;
        }
        if !self.value.is_finite() {
            return Err(FactsError::invalid("/value", "expected a finite number"));
        }
        // 2200-01-01T00:00:00Z: far enough from the last instant that no bucket ends beyond it.
        if !(0..7_258_118_400).contains(&self.at.as_second()) || self.at < Timestamp::UNIX_EPOCH {
            return Err(FactsError::invalid("/at", "expected an instant between the years 1970 and 2199"));
        }
        Ok(())
    }
}

/// Refuses a batch that is too large or holds a fact that no engine takes. What every engine does first.
pub fn check(facts: &[Fact]) -> Result<(), FactsError> {
    if facts.len() > MOST_FACTS {
        return Err(FactsError::invalid("", format!("expected at most {MOST_FACTS} facts at a time")));
    }
    facts.iter().try_for_each(Fact::check)
}

/// Refuses too many questions at a time, or one that means nothing; else tells the buckets of each. What every engine
/// does first.
pub fn checked(queries: &[Query]) -> Result<Vec<Option<Buckets>>, FactsError> {
    if queries.len() > MOST_QUERIES {
        return Err(FactsError::invalid("", format!("expected at most {MOST_QUERIES} questions at a time")));
    }
    queries.iter().map(Query::checked).collect()
}

/// Keeps facts, and aggregates those of one scope.
#[async_trait]
pub trait Facts: Send + Sync + 'static {
    /// Adds facts, all or none, durably; those whose id is known in their scope are ignored. At most [`MOST_FACTS`].
    async fn append(&self, facts: Vec<Fact>) -> Result<(), FactsError>;

    /// Answers questions, at most [`MOST_QUERIES`], all as of one instant, over everything whose append was answered
    /// before. Of each: a row for every bucket and group that has facts, in the order of bucket, then groups (none
    /// first, what `top` left over last); the first `limit` of them.
    async fn answer(&self, scope: Scope, queries: Vec<Query>) -> Result<Vec<Vec<Row>>, FactsError>;

    /// Tells how far persons came: for each step, in order.
    async fn funnel(&self, scope: Scope, funnel: Funnel) -> Result<Vec<Reached>, FactsError>;

    /// Removes the facts of a scope that lie before an instant. Repeatable; send it again if it fails.
    async fn prune(&self, scope: Scope, before: Timestamp) -> Result<(), FactsError>;

    /// Removes all facts of a scope, with their ids. Repeatable; send it again if it fails.
    async fn erase(&self, scope: Scope) -> Result<(), FactsError>;

    /// Takes a person out of their facts: these stay and count, and nothing says whose they were, nor that they were
    /// one person's. Repeatable; send it again if it fails.
    async fn forget(&self, scope: Scope, person: &str) -> Result<(), FactsError>;

    /// Answers one question.
    async fn query(&self, scope: Scope, query: Query) -> Result<Vec<Row>, FactsError> {
        Ok(self.answer(scope, vec![query]).await?.pop().unwrap_or_default())
    }
}
