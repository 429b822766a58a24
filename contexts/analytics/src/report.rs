//! What analytics tell.

use bytes::Bytes;
use facts::{Bucket, Buckets, Measure, Query, Row};
use http::{Request, Response, header};
use jiff::{ToSpan, civil::Date, tz::TimeZone};
use kernel::{Cx, Effect, Granted, Handle, Permission, Problem, ScopeKind, Timestamp, UseCase, context::Body};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Analytics, permissions};

/// The most days of one answer.
const MOST_DAYS: i32 = 366;
/// How many days are told where no first day is named.
const USUAL_DAYS: i64 = 30;

fn utc() -> String {
    "UTC".to_owned()
}

/// Tells how many people did anything, for each day on which someone did.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActivePeople {
    /// The first day, such as `2026-11-01`; 30 days before `until` unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date"))]
    from: Option<Date>,
    /// The day after the last, at most 366 after the first; tomorrow unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date"))]
    until: Option<Date>,
    /// Whose days: an IANA time zone, `UTC` unless told.
    #[serde(default = "utc")]
    time_zone: String,
}

/// A day on which people did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ActiveDay {
    /// The day.
    #[schemars(with = "String", extend("format" = "date"))]
    day: Date,
    /// How many.
    people: u64,
}

impl UseCase for ActivePeople {
    type Output = Vec<ActiveDay>;
    const NAME: &'static str = "analytics.active_people";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const NEEDS: Permission = permissions::READ;
    const EFFECT: Effect = Effect::Tell;
}

impl ActivePeople {
    fn query(&self, zone: &TimeZone, now: Timestamp) -> Result<Query, Problem> {
        let begins = |field: &str, date: Date| {
            let instant = zone.to_timestamp(date.at(0, 0, 0, 0));
            instant.map_err(|_| Problem::invalid_field(field, "expected a day that a calendar has"))
        };
        let until = self.until.unwrap_or_else(|| zone.to_datetime(now).date().saturating_add(1.day()));
        let from = self.from.unwrap_or_else(|| until.saturating_sub(USUAL_DAYS.days()));
        if from >= until || from.saturating_add(MOST_DAYS.days()) < until {
            return Err(Problem::invalid_field("/until", format!("expected 1 to {MOST_DAYS} days after `from`")));
        }
        Ok(Query {
            from: Some(begins("/from", from)?),
            until: Some(begins("/until", until)?),
            bucket: Some(Bucket::Day),
            time_zone: self.time_zone.clone(),
            ..Query::new(Measure::Unique)
        })
    }
}

impl Handle<ActivePeople> for Analytics {
    async fn handle(&self, it: ActivePeople, cx: Granted<ActivePeople>) -> Result<Vec<ActiveDay>, Problem> {
        let zone = Buckets::zone(&it.time_zone)?;
        let rows = self.facts.query(cx.scope(), it.query(&zone, cx.now())?).await?;
        let day = |row: Row| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of people")]
            let people = row.value as u64;
            row.bucket.map(|at| ActiveDay { day: zone.to_datetime(at).date(), people })
        };
        Ok(rows.into_iter().filter_map(day).filter(|day| day.people > 0).collect())
    }
}

impl Analytics {
    /// The same as a sheet (RFC 4180).
    pub(crate) async fn active_people_csv(&self, request: &Request<Bytes>, cx: &Cx) -> Result<Response<Body>, Problem> {
        let mut fields = Map::new();
        for (name, text) in form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
            if fields.insert(name.to_string(), Value::String(text.into_owned())).is_some() {
                return Err(Problem::invalid_field(format!("/{name}"), "given twice"));
            }
        }
        let asked: ActivePeople = serde_json::from_value(Value::Object(fields))
            .map_err(|error| Problem::invalid_field("", error.to_string()))?;
        let days = self.handle(asked, cx.authorize()?).await?;
        let lines = days.iter().map(|day| format!("{},{}\r\n", day.day, day.people));
        let sheet: String = std::iter::once("day,people\r\n".to_owned()).chain(lines).collect();
        Response::builder()
            .header(header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present")
            .header(header::CONTENT_DISPOSITION, "attachment; filename=\"active-people.csv\"")
            .body(sheet.into())
            .map_err(Problem::internal)
    }
}

/// Measures the facts of the tenant: any measure, filter, bucket and grouping.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct RunReport(Query);

impl UseCase for RunReport {
    type Output = Vec<Row>;
    const NAME: &'static str = "analytics.report";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const NEEDS: Permission = permissions::READ;
    const EFFECT: Effect = Effect::Tell;
}

impl Handle<RunReport> for Analytics {
    async fn handle(&self, it: RunReport, cx: Granted<RunReport>) -> Result<Vec<Row>, Problem> {
        Ok(self.facts.query(cx.scope(), it.0).await?)
    }
}
