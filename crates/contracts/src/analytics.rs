//! Analytics: emitted by the context `analytics`.

use kernel::{Event, Timestamp, UserId, id_kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

id_kind!(
    /// A metric.
    MetricId, MetricKind, "met"
);
id_kind!(
    /// A report.
    ReportId, ReportKind, "rep"
);
id_kind!(
    /// What a report told when it was generated.
    ResultId, ResultKind, "res"
);
id_kind!(
    /// A dashboard.
    DashboardId, DashboardKind, "dsh"
);

/// A person did something in the product, as the product told: the first time on a day (of the tenant's time zone).
/// What else they did that day is in the facts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserActivityRecorded {
    /// Who.
    pub user: UserId,
    /// The day, such as `2026-11-24`.
    pub day: String,
}

impl Event for UserActivityRecorded {
    const TYPE: &'static str = "analytics.UserActivityRecorded.v1";
}

/// A report was run and its answer kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ReportGenerated {
    /// Which report.
    pub report: ReportId,
    /// The kept answer.
    pub result: ResultId,
    /// How many rows it has.
    pub rows: u64,
}

impl Event for ReportGenerated {
    const TYPE: &'static str = "analytics.ReportGenerated.v1";
}

/// A watched metric left what is usual for it on a day. Not told again before it was as usual for a day.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AnomalyDetected {
    /// Which metric.
    pub metric: MetricId,
    /// The day, such as `2026-11-24`.
    pub day: String,
    /// What was measured.
    pub value: f64,
    /// What is usual on that day of the week: the median of the weeks before.
    pub expected: f64,
    /// What would have been usual: not less than this.
    pub low: f64,
    /// What would have been usual: not more than this.
    pub high: f64,
    /// How many usual deviations it is away from what is expected.
    pub deviations: f64,
}

impl Event for AnomalyDetected {
    const TYPE: &'static str = "analytics.AnomalyDetected.v1";
}

/// A person looked at a dashboard: told once an hour at most.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DashboardViewed {
    /// Which dashboard.
    pub dashboard: DashboardId,
    /// Who.
    pub user: UserId,
    /// In the hour that began then.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub hour: Timestamp,
}

impl Event for DashboardViewed {
    const TYPE: &'static str = "analytics.DashboardViewed.v1";
}
