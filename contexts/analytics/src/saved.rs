//! A report: a question with a title, run when somebody asks, and on a schedule.

use contracts::analytics::{ReportGenerated, ReportId, ResultId};
use jiff::{ToSpan, civil::Weekday, tz::TimeZone};
use kernel::{Aggregate, ScopeKind, Term, Timer, Timestamp, UserId, text::DisplayName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::question::{Answer, Ask};

/// When a report is run by itself, at six in the morning of the tenant's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Schedule {
    /// Every day.
    Daily,
    /// Every Monday.
    Weekly,
    /// On the first of every month.
    Monthly,
}

impl Schedule {
    /// The first time after an instant.
    fn after(self, zone: &TimeZone, now: Timestamp) -> Timestamp {
        let today = zone.to_datetime(now).date();
        let runs = |date: jiff::civil::Date| match self {
            Self::Daily => true,
            Self::Weekly => date.weekday() == Weekday::Monday,
            Self::Monthly => date.day() == 1,
        };
        let instant = |date: jiff::civil::Date| zone.to_timestamp(date.at(6, 0, 0, 0)).unwrap_or(Timestamp::MAX);
        let days = today.series(1.day()).take(40);
        days.filter(|date| runs(*date)).map(instant).find(|at| *at > now).unwrap_or(Timestamp::MAX)
    }
}

/// A report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    id: ReportId,
    pub(crate) title: DisplayName,
    pub(crate) ask: Ask,
    by: Option<UserId>,
    pub(crate) schedule: Option<Schedule>,
    next: Option<Timestamp>,
}

impl Report {
    pub(crate) fn new(id: ReportId, by: Option<UserId>, title: DisplayName, ask: Ask) -> Self {
        Self { id, title, ask, by, schedule: None, next: None }
    }

    pub(crate) fn define(&mut self, title: DisplayName, ask: Ask) {
        (self.title, self.ask) = (title, ask);
    }

    pub(crate) fn run_on(&mut self, schedule: Option<Schedule>, zone: &TimeZone, now: Timestamp) {
        (self.schedule, self.next) = (schedule, schedule.map(|schedule| schedule.after(zone, now)));
    }

    /// When the run that is due now was due.
    pub(crate) fn due(&self, now: Timestamp) -> Option<Timestamp> {
        self.next.filter(|next| *next <= now)
    }
}

impl Aggregate for Report {
    type Id = ReportId;
    const KIND: &'static str = "analytics.report";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> ReportId {
        self.id
    }
    fn owner(&self) -> Option<UserId> {
        self.by
    }
    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }
    fn timers(&self) -> Vec<Timer> {
        self.next.map(|due| Timer { name: "run", due }).into_iter().collect()
    }
}

/// The most rows of a result that are kept.
const KEPT_ROWS: usize = 1_000;
/// For how many days a result is kept.
pub(crate) const KEPT_DAYS: i64 = 400;

/// What a report told when it was generated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Generated {
    id: ResultId,
    pub(crate) report: ReportId,
    pub(crate) title: DisplayName,
    pub(crate) at: Timestamp,
    pub(crate) answer: Answer,
}

impl Generated {
    /// Keeps the first thousand rows.
    pub(crate) fn new(id: ResultId, report: &Report, mut answer: Answer, at: Timestamp) -> (Self, ReportGenerated) {
        if let Answer::Rows(rows) = &mut answer {
            rows.truncate(KEPT_ROWS);
        }
        let generated = ReportGenerated { report: report.id, result: id, rows: answer.len() as u64 };
        (Self { id, report: report.id, title: report.title.clone(), at, answer }, generated)
    }

    pub(crate) fn ends(&self) -> Timestamp {
        self.at.checked_add((KEPT_DAYS * 24).hours()).unwrap_or(Timestamp::MAX)
    }
}

impl Aggregate for Generated {
    type Id = ResultId;
    const KIND: &'static str = "analytics.result";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> ResultId {
        self.id
    }
    fn terms(&self) -> Vec<Term> {
        vec![Term::by_time("report", self.report.to_string(), self.at)]
    }
    fn timers(&self) -> Vec<Timer> {
        vec![Timer { name: "end", due: self.ends() }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_follow_the_calendar_of_the_tenant() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let cases = [
            (Schedule::Daily, "2026-11-24T04:59:59Z", "2026-11-24T05:00:00Z"),
            (Schedule::Daily, "2026-11-24T05:00:00Z", "2026-11-25T05:00:00Z"),
            // Clocks go forward in between.
            (Schedule::Daily, "2026-03-28T12:00:00Z", "2026-03-29T04:00:00Z"),
            (Schedule::Weekly, "2026-11-24T12:00:00Z", "2026-11-30T05:00:00Z"),
            (Schedule::Monthly, "2026-11-24T12:00:00Z", "2026-12-01T05:00:00Z"),
            (Schedule::Monthly, "2026-12-01T05:00:00Z", "2027-01-01T05:00:00Z"),
        ];
        for (schedule, now, next) in cases {
            assert_eq!(schedule.after(&zone, at(now)), at(next), "{schedule:?} after {now}");
        }
    }
}
