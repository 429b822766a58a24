//! What can be asked of facts.

use std::collections::BTreeMap;

use kernel::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{FactsError, bucket::Buckets};

/// What is told of the facts of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// How many.
    Count,
    /// How many persons; facts of nobody count for none.
    Unique,
    /// The sum of their values.
    Sum,
    /// The mean of their values.
    Average,
    /// The value that so many per cent of them (1 to 100) do not exceed, by nearest rank.
    Percentile(#[schemars(range(min = 1, max = 100))] u8),
}

/// How long a bucket is, by the calendar of a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    /// From one full hour of the wall clock to the next.
    Hour,
    /// A day.
    Day,
    /// From Monday on (ISO 8601).
    Week,
    /// A month.
    Month,
}

fn utc() -> String {
    "UTC".to_owned()
}

const fn thousand() -> u32 {
    1_000
}

/// A question about the facts of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// What is told.
    pub measure: Measure,
    /// Only facts of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only facts that carry each of these labels with this value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Only facts from this instant on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub from: Option<Timestamp>,
    /// Only facts before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub until: Option<Timestamp>,
    /// A row for each hour, day, week or month; else one for all time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Bucket>,
    /// By whose calendar: an IANA time zone, `UTC` unless told.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// A row for each value of this label, and one for facts without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
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
    /// The value of the label that was grouped by.
    pub group: Option<String>,
    /// What was measured.
    pub value: f64,
}

impl Query {
    /// Measures all facts of the scope, in one row.
    pub fn new(measure: Measure) -> Self {
        let (name, labels, time_zone, limit) = (None, BTreeMap::new(), utc(), thousand());
        Self { measure, name, labels, from: None, until: None, bucket: None, time_zone, group_by: None, limit }
    }

    /// Refuses what no engine answers; else tells the buckets, if there are to be any. What every engine does first.
    pub fn checked(&self) -> Result<Option<Buckets>, FactsError> {
        if let Measure::Percentile(0 | 101..) = self.measure {
            return Err(FactsError::invalid("/measure", "expected a percentile from 1 to 100"));
        }
        if !(1..=10_000).contains(&self.limit) {
            return Err(FactsError::invalid("/limit", "expected 1 to 10,000"));
        }
        if self.labels.len() > crate::MOST_LABELS {
            return Err(FactsError::invalid("/labels", "expected at most 16 labels"));
        }
        if matches!((self.from, self.until), (Some(from), Some(until)) if until <= from) {
            return Err(FactsError::invalid("/until", "expected an instant after `from`"));
        }
        let zone = Buckets::zone(&self.time_zone)?;
        Ok(self.bucket.map(|bucket| Buckets::new(bucket, zone)))
    }
}
