//! How many persons come how far on a way of several steps.

use kernel::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    FactsError,
    filter::{self, Filter},
    query::ordered,
};

/// The most steps.
pub const MOST_STEPS: usize = 10;

/// One step of a way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// A fact of this name.
    pub name: String,
    /// That passes all of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub filters: Vec<Filter>,
}

/// A question about persons. Whoever has a fact for the first step, one for the second later than that, and so on, has
/// come to the last of these, if it lies within so many seconds of the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Funnel {
    /// The steps in their order: 2 to 10.
    #[schemars(length(min = 2, max = 10))]
    pub steps: Vec<Step>,
    /// In how many seconds all of it must happen: 1 to 31,622,400 (366 days).
    #[schemars(range(min = 1, max = 31_622_400))]
    pub within: u32,
    /// Only facts from this instant on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub from: Option<Timestamp>,
    /// Only facts before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub until: Option<Timestamp>,
}

/// Who came to a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reached {
    /// How many persons.
    pub people: u64,
    /// The median of the seconds that it took them, when they first came here, since the last first step that leads
    /// here; none for the first step, and where nobody came.
    pub median_seconds: Option<f64>,
}

impl Step {
    /// The filters, that of the name among them.
    pub fn all_filters(&self) -> Vec<Filter> {
        std::iter::once(Filter::named(&self.name)).chain(self.filters.iter().cloned()).collect()
    }
}

impl Funnel {
    /// Refuses what no engine answers. What every engine does first.
    pub fn check(&self) -> Result<(), FactsError> {
        if !(2..=MOST_STEPS).contains(&self.steps.len()) {
            return Err(FactsError::invalid("/steps", format!("expected 2 to {MOST_STEPS} steps")));
        }
        if !(1..=31_622_400).contains(&self.within) {
            return Err(FactsError::invalid("/within", "expected 1 to 31,622,400 seconds"));
        }
        self.steps.iter().try_for_each(|step| filter::check("/steps", &step.filters))?;
        ordered(self.from, self.until)
    }

    /// The window in microseconds.
    pub fn window(&self) -> i64 {
        i64::from(self.within) * 1_000_000
    }
}

impl Reached {
    /// Of persons who each took so many microseconds; the lower middle one is the median.
    pub fn new(people: u64, mut took: Vec<i64>) -> Self {
        let middle = took.len().saturating_sub(1) / 2;
        #[expect(clippy::cast_precision_loss, reason = "a year of microseconds is less than 2^53")]
        let seconds = |micros: i64| micros as f64 / 1_000_000.0;
        let median = (!took.is_empty()).then(|| seconds(*took.select_nth_unstable(middle).1));
        Self { people, median_seconds: median }
    }
}
