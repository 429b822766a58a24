//! What can be asked of facts.

use kernel::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    FactsError,
    bucket::Buckets,
    filter::{self, Field, Filter},
};

/// The most rows that a question may have before `limit` cuts them: what one answer holds in memory.
pub const MOST_ROWS: usize = 20_000;
/// The longest name of facts that is asked for, in characters.
const MOST_NAME: usize = 120;
/// The most labels that one question groups by.
pub const MOST_GROUPS: usize = 3;
/// So many values of a row have exact percentiles; those of more are off by [`PERCENTILE_ERROR`] at most.
pub const EXACT_VALUES: usize = 10_000;
/// How far a percentile of more than [`EXACT_VALUES`] values may be from the exact one, relative to it.
pub const PERCENTILE_ERROR: f64 = 0.01;

/// What is told of the facts of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// How many.
    Count,
    /// How many persons, exactly; facts of nobody count for none.
    Unique,
    /// The sum of their values.
    Sum,
    /// The mean of their values.
    Average,
    /// The smallest of their values.
    Min,
    /// The largest of their values.
    Max,
    /// The value that so many per cent of them (1 to 100) do not exceed, by nearest rank: exact up to 10,000 values a
    /// row, off by at most 1 per cent above.
    Percentile(#[schemars(range(min = 1, max = 100))] u8),
}

/// How long a bucket is, by the calendar of a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    /// From one full minute of the wall clock to the next.
    Minute,
    /// From one full hour of the wall clock to the next.
    Hour,
    /// A day.
    Day,
    /// From Monday on (ISO 8601).
    Week,
    /// A month.
    Month,
    /// Three months, from January, April, July or October on.
    Quarter,
    /// A year.
    Year,
}

/// What becomes of the rows of each group over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// Each row measures all facts from the first bucket to its own: of persons, those who came at all.
    Cumulative,
    /// Each row is the mean of its bucket and of those before it, so many (2 to 366) in all; one without facts is 0.
    MovingAverage(#[schemars(range(min = 2, max = 366))] u16),
}

fn utc() -> String {
    "UTC".to_owned()
}

const fn thousand() -> u32 {
    1_000
}

/// A question about the facts of a scope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// What is told.
    pub measure: Measure,
    /// Only facts of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only facts that pass all of these, 16 at the most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub filters: Vec<Filter>,
    /// Only facts from this instant on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub from: Option<Timestamp>,
    /// Only facts before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub until: Option<Timestamp>,
    /// A row for each minute, hour, day and so on; else one for all time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Bucket>,
    /// By whose calendar: an IANA time zone, `UTC` unless told.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// A row for each combination of these, names or labels, 3 at the most; facts without a label have a row of theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub group_by: Vec<Field>,
    /// Only so many groups (1 to 100), those with the largest measure over all time; what is left is one row more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub top: Option<u32>,
    /// What becomes of the rows over time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trend: Option<Trend>,
    /// The most rows: 1 to 10,000; 1,000 unless told.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1, max = 10_000))]
    pub limit: u32,
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// When its bucket begins.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub bucket: Option<Timestamp>,
    /// What was grouped by, in that order; null for facts without the label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Option<String>>,
    /// Whether it is what `top` left over.
    #[serde(default, skip_serializing_if = "is_false")]
    pub other: bool,
    /// What was measured.
    pub value: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks it so")]
const fn is_false(it: &bool) -> bool {
    !*it
}

impl Query {
    /// Measures all facts of the scope, in one row.
    pub fn new(measure: Measure) -> Self {
        let (from, until, bucket, top, trend) = (None, None, None, None, None);
        let (filters, group_by, limit) = (Vec::new(), Vec::new(), thousand());
        Self { measure, name: None, filters, from, until, bucket, time_zone: utc(), group_by, top, trend, limit }
    }

    /// The filters, that of the name among them.
    pub fn all_filters(&self) -> Vec<Filter> {
        self.name.iter().map(|name| Filter::named(name)).chain(self.filters.iter().cloned()).collect()
    }

    /// Refuses what no engine answers; else tells the buckets, if there are to be any. What every engine does first.
    pub fn checked(&self) -> Result<Option<Buckets>, FactsError> {
        let zone = Buckets::zone(&self.time_zone)?;
        if let Measure::Percentile(0 | 101..) = self.measure {
            return Err(FactsError::invalid("/measure", "expected a percentile from 1 to 100"));
        }
        if self.name.as_ref().is_some_and(|name| !(1..=MOST_NAME).contains(&name.chars().count())) {
            return Err(FactsError::invalid("/name", format!("expected 1 to {MOST_NAME} characters")));
        }
        if !(1..=10_000).contains(&self.limit) {
            return Err(FactsError::invalid("/limit", "expected 1 to 10,000"));
        }
        if self.group_by.len() > MOST_GROUPS {
            return Err(FactsError::invalid("/group_by", format!("expected at most {MOST_GROUPS} of them")));
        }
        if self.group_by.iter().any(|it| matches!(it, Field::Person | Field::Value)) {
            return Err(FactsError::invalid("/group_by", "expected `name` or `label.<key>`"));
        }
        if self.top.is_some_and(|top| !(1..=100).contains(&top) || self.group_by.is_empty()) {
            return Err(FactsError::invalid("/top", "expected 1 to 100, and something to group by"));
        }
        match self.trend {
            Some(Trend::MovingAverage(..=1 | 367..)) => {
                return Err(FactsError::invalid("/trend", "expected 2 to 366 buckets"));
            }
            Some(_) if self.bucket.is_none() => return Err(FactsError::invalid("/trend", "expected buckets")),
            _ => {}
        }
        filter::check("/filters", &self.filters)?;
        ordered(self.from, self.until)?;
        Ok(self.bucket.map(|bucket| Buckets::new(bucket, zone)))
    }
}

/// Refuses a time that ends before it begins.
pub(crate) fn ordered(from: Option<Timestamp>, until: Option<Timestamp>) -> Result<(), FactsError> {
    match (from, until) {
        (Some(from), Some(until)) if until <= from => {
            Err(FactsError::invalid("/until", "expected an instant after `from`"))
        }
        _ => Ok(()),
    }
}

/// The answer to a question whose rows would be more than [`MOST_ROWS`]. What every engine says then.
pub fn too_many_rows() -> FactsError {
    FactsError::invalid("/group_by", format!("the answer has more than {MOST_ROWS} rows: filter, or group by less"))
}
