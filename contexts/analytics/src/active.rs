//! How many people are active.

use bytes::Bytes;
use facts::{Bucket, Buckets, Field, Filter, Measure, Query, Row, Test};
use http::{Request, Response};
use jiff::{ToSpan, civil::Date, tz::TimeZone};
use kernel::{Cx, Granted, Handle, Problem, Timestamp, context::Body, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Analytics, permissions as may, sheet, track::VISITOR};

/// The most days of one answer.
const MOST_DAYS: i32 = 366;
/// How many days are told where no first day is named.
const USUAL_DAYS: i64 = 30;

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
    /// Whose days: an IANA time zone; the tenant's unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
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

use_case!(ActivePeople => Vec<ActiveDay>, "analytics.active_people", Tenant, may::READ, Tell);

impl ActivePeople {
    fn query(&self, (name, zone): (&str, &TimeZone), now: Timestamp) -> Result<Query, Problem> {
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
            time_zone: name.to_owned(),
            // A visitor is another one every day, and no person of the tenant.
            filters: vec![Filter { field: Field::label(VISITOR), test: Test::Present, not: true }],
            ..Query::new(Measure::Unique)
        })
    }
}

impl Handle<ActivePeople> for Analytics {
    async fn handle(&self, it: ActivePeople, cx: Granted<ActivePeople>) -> Result<Vec<ActiveDay>, Problem> {
        let settings = self.settings(&cx).await?;
        let name = it.time_zone.as_deref().unwrap_or_else(|| settings.zone_name());
        let zone = Buckets::zone(name)?;
        let rows = self.facts.query(cx.scope(), it.query((name, &zone), cx.now())?).await?;
        let day = |row: Row| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of people")]
            let people = row.value as u64;
            row.bucket.map(|at| ActiveDay { day: zone.to_datetime(at).date(), people })
        };
        Ok(rows.into_iter().filter_map(day).filter(|day| day.people > 0).collect())
    }
}

impl Analytics {
    /// The same as a sheet.
    pub(crate) async fn active_people_sheet(
        &self,
        request: &Request<Bytes>,
        cx: &Cx,
    ) -> Result<Response<Body>, Problem> {
        let days = self.handle(sheet::query::<ActivePeople>(request)?, cx.authorize()?).await?;
        let lines = days.iter().map(|day| format!("{},{}\r\n", day.day, day.people));
        sheet::response("active-people", std::iter::once("day,people\r\n".to_owned()).chain(lines).collect())
    }
}
