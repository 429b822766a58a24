//! What people ask of facts, at once or again and again; and what they are told.

use facts::{Bucket, Field, Filter, Funnel, Measure, Query, Reached, Row, Step, Test, Trend};
use jiff::ToSpan;
use kernel::{Problem, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::Settings;

/// How many days are looked at where a question does not say.
const USUAL_DAYS: u32 = 30;
/// The most days that a question looks back.
const MOST_DAYS: u32 = 3_660;

const fn thousand() -> u32 {
    1_000
}

/// Which time a question is about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Period {
    /// So many days up to and with today, 1 to 3,660; 30 unless anything is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3660))]
    pub(crate) days: Option<u32>,
    /// From this instant on, in place of days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    from: Option<Timestamp>,
    /// Before this instant; with `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    until: Option<Timestamp>,
}

impl Period {
    pub(crate) fn of_days(days: Option<u32>) -> Self {
        Self { days, from: None, until: None }
    }

    /// The instants of it, by the tenant's calendar.
    pub(crate) fn span(&self, settings: &Settings, now: Timestamp) -> Result<(Timestamp, Option<Timestamp>), Problem> {
        if let Some(from) = self.from {
            if self.days.is_some() {
                return Err(Problem::invalid_field("/period", "expected `days`, or `from` and `until`"));
            }
            return Ok((from, self.until));
        }
        if self.until.is_some() {
            return Err(Problem::invalid_field("/period/from", "expected where `until` is told"));
        }
        let days = self.days.unwrap_or(USUAL_DAYS);
        if !(1..=MOST_DAYS).contains(&days) {
            return Err(Problem::invalid_field("/period/days", "expected 1 to 3,660"));
        }
        let zone = settings.zone();
        let first = zone.to_datetime(now).date().saturating_sub((i64::from(days) - 1).days());
        let from = zone.to_timestamp(first.at(0, 0, 0, 0)).map_err(Problem::internal)?;
        Ok((from.max(Timestamp::UNIX_EPOCH), None))
    }
}

/// A measure of facts. Who did something can be told by nobody: persons are counted, never named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Definition {
    /// What is told.
    pub(crate) measure: Measure,
    /// Only facts of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 120))]
    pub(crate) name: Option<String>,
    /// Only facts that pass all of these, 16 at the most; of `person` only whether there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub(crate) filters: Vec<Filter>,
}

impl Definition {
    pub(crate) fn check(&self) -> Result<(), Problem> {
        figures_only(&self.filters)?;
        self.query().checked()?;
        Ok(())
    }

    fn query(&self) -> Query {
        Query { name: self.name.clone(), filters: self.filters.clone(), ..Query::new(self.measure) }
    }

    /// A row for each day of a time.
    pub(crate) fn daily(&self, settings: &Settings, (from, until): (Timestamp, Option<Timestamp>)) -> Query {
        let time_zone = settings.zone_name().to_owned();
        Query { from: Some(from), until, bucket: Some(Bucket::Day), time_zone, limit: 10_000, ..self.query() }
    }
}

/// Persons are counted: a filter that picks one out is refused.
fn figures_only(filters: &[Filter]) -> Result<(), Problem> {
    let picks = |filter: &Filter| filter.field == Field::Person && filter.test != Test::Present;
    match filters.iter().position(picks) {
        Some(place) => Err(Problem::invalid_field(
            format!("/filters/{place}"),
            "of a person only whether there is one can be told",
        )),
        None => Ok(()),
    }
}

/// Measures facts: any measure, filter, bucket and grouping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// What is told.
    measure: Measure,
    /// Only facts of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 120))]
    name: Option<String>,
    /// Only facts that pass all of these, 16 at the most; of `person` only whether there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    filters: Vec<Filter>,
    /// Which time it is about: the last 30 days unless told.
    #[serde(default)]
    period: Period,
    /// A row for each minute, hour, day and so on; else one for the whole time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bucket: Option<Bucket>,
    /// By whose calendar: an IANA time zone; the tenant's unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    /// A row for each combination of these: `name` or `label.<key>`, 3 at the most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    group_by: Vec<Field>,
    /// Only so many groups, 1 to 100, those with the largest measure; what is left is one row more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    top: Option<u32>,
    /// What becomes of the rows over time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trend: Option<Trend>,
    /// The most rows: 1 to 10,000; 1,000 unless told.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1, max = 10_000))]
    limit: u32,
}

impl Question {
    pub(crate) fn query(&self, settings: &Settings, now: Timestamp) -> Result<Query, Problem> {
        figures_only(&self.filters)?;
        let (from, until) = self.period.span(settings, now)?;
        let query = Query {
            measure: self.measure,
            name: self.name.clone(),
            filters: self.filters.clone(),
            from: Some(from),
            until,
            bucket: self.bucket,
            time_zone: self.time_zone.clone().unwrap_or_else(|| settings.zone_name().to_owned()),
            group_by: self.group_by.clone(),
            top: self.top,
            trend: self.trend,
            limit: self.limit,
        };
        query.checked()?;
        Ok(query)
    }
}

/// Tells how many persons came how far on a way of several steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Way {
    /// The steps in their order: 2 to 10.
    #[schemars(length(min = 2, max = 10))]
    steps: Vec<Step>,
    /// In how many seconds all of it must happen: 1 to 31,622,400 (366 days).
    #[schemars(range(min = 1, max = 31_622_400))]
    within: u32,
    /// Which time it is about: the last 30 days unless told.
    #[serde(default)]
    period: Period,
}

impl Way {
    pub(crate) fn funnel(&self, settings: &Settings, now: Timestamp) -> Result<Funnel, Problem> {
        self.steps.iter().try_for_each(|step| figures_only(&step.filters))?;
        let (from, until) = self.period.span(settings, now)?;
        let funnel = Funnel { steps: self.steps.clone(), within: self.within, from: Some(from), until };
        funnel.check()?;
        Ok(funnel)
    }

    pub(crate) fn told(&self, reached: &[Reached]) -> Vec<StepView> {
        let first = reached.first().map_or(0, |first| first.people);
        let before = std::iter::once(first).chain(reached.iter().map(|it| it.people));
        let view = |((step, reached), before): ((&Step, &Reached), u64)| StepView {
            name: step.name.clone(),
            people: reached.people,
            of_first: share(reached.people, first),
            of_previous: share(reached.people, before),
            median_seconds: reached.median_seconds,
        };
        self.steps.iter().zip(reached).zip(before).map(view).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "people are fewer than 2^53")]
fn share(people: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { people as f64 / of as f64 }
}

/// What a report asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    /// Rows of a measure.
    Question(Question),
    /// How far people come.
    Funnel(Way),
}

impl Ask {
    pub(crate) fn check(&self, settings: &Settings, now: Timestamp) -> Result<(), Problem> {
        match self {
            Self::Question(question) => question.query(settings, now).map(drop),
            Self::Funnel(way) => way.funnel(settings, now).map(drop),
        }
    }
}

/// A step, and who came to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StepView {
    /// The name of its facts.
    pub(crate) name: String,
    /// How many persons came to it.
    pub(crate) people: u64,
    /// Their share of those who took the first step.
    pub(crate) of_first: f64,
    /// Their share of those who came to the step before.
    pub(crate) of_previous: f64,
    /// The median of the seconds it took from the first step to here.
    pub(crate) median_seconds: Option<f64>,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Rows of a measure.
    Rows(Vec<Row>),
    /// How far people came.
    Steps(Vec<StepView>),
}

impl Answer {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.len(),
            Self::Steps(steps) => steps.len(),
        }
    }
}
