//! A metric: a measure with a name, told day by day; and watched, where somebody wants that.

use contracts::analytics::{AnomalyDetected, MetricId};
use facts::{Measure, Row};
use jiff::{ToSpan, civil::Date, tz::TimeZone};
use kernel::{
    Aggregate, Cx, Granted, Handle, List, Problem, ScopeKind, Term, Timer, Timestamp, UserId, context::Fired,
    text::DisplayName, use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{
    Analytics, permissions as may,
    question::{Definition, Period},
    settings::Settings,
    watch::{self, Unusual},
};

/// A metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Metric {
    id: MetricId,
    pub(crate) name: DisplayName,
    pub(crate) definition: Definition,
    by: Option<UserId>,
    watch: Option<Watch>,
}

/// How a metric is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Watch {
    next: Timestamp,
    /// The last day that was judged.
    judged: Option<Date>,
    /// Whether that was unusual: then another unusual one is no news.
    unusual: bool,
}

/// An hour after midnight of the next day: late events of yesterday are in by then.
fn next_look(zone: &TimeZone, now: Timestamp) -> Timestamp {
    let tomorrow = zone.to_datetime(now).date().saturating_add(1.day());
    zone.to_timestamp(tomorrow.at(1, 0, 0, 0)).unwrap_or(Timestamp::MAX)
}

impl Metric {
    fn new(
        id: MetricId,
        by: Option<UserId>,
        it: CreateMetric,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let mut metric = Self { id, name: it.name.clone(), definition: it.definition.clone(), by, watch: None };
        metric.define(it.name, it.definition, it.watched, zone, now)?;
        Ok(metric)
    }

    fn define(
        &mut self,
        name: DisplayName,
        definition: Definition,
        watched: bool,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Result<(), Problem> {
        definition.check()?;
        // What was judged of another measure says nothing about this one.
        let same = self.definition == definition;
        let fresh = || Watch { next: next_look(zone, now), judged: None, unusual: false };
        self.watch = watched.then(|| self.watch.take().filter(|_| same).unwrap_or_else(fresh));
        (self.name, self.definition) = (name, definition);
        Ok(())
    }

    fn due(&self, now: Timestamp) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.next <= now)
    }

    /// Takes the judgement on a day: news only where the day before was as usual.
    fn judged(&mut self, day: Date, value: f64, unusual: Option<Unusual>, next: Timestamp) -> Option<AnomalyDetected> {
        let watch = self.watch.as_mut()?;
        watch.next = next;
        if watch.judged.is_some_and(|judged| judged >= day) {
            return None;
        }
        let known = watch.unusual && watch.judged == day.yesterday().ok();
        (watch.judged, watch.unusual) = (Some(day), unusual.is_some());
        let Unusual { expected, low, high, deviations } = unusual.filter(|_| !known)?;
        Some(AnomalyDetected { metric: self.id, day: day.to_string(), value, expected, low, high, deviations })
    }
}

impl Aggregate for Metric {
    type Id = MetricId;
    const KIND: &'static str = "analytics.metric";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> MetricId {
        self.id
    }
    fn owner(&self) -> Option<UserId> {
        self.by
    }
    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }
    fn timers(&self) -> Vec<Timer> {
        self.watch.iter().map(|watch| Timer { name: "watch", due: watch.next }).collect()
    }
}

/// Makes a metric.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateMetric {
    /// What people call it.
    name: DisplayName,
    /// What is measured.
    definition: Definition,
    /// Whether unusual days are told (`analytics.AnomalyDetected.v1`).
    #[serde(default)]
    watched: bool,
}

/// Says anew what a metric is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateMetric {
    /// Which.
    metric: MetricId,
    /// What people call it.
    name: DisplayName,
    /// What is measured.
    definition: Definition,
    /// Whether unusual days are told.
    #[serde(default)]
    watched: bool,
}

/// Deletes a metric; tiles that show it are empty from then on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteMetric {
    /// Which.
    metric: MetricId,
}

/// Tells what a metric is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadMetric {
    /// Which.
    metric: MetricId,
}

/// The metrics of the tenant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListMetrics {
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200; 50 unless told.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

/// Tells a metric day by day, by the tenant's calendar; days without facts are left out.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeasureMetric {
    /// Which.
    metric: MetricId,
    /// So many days up to and with today, 1 to 3,660; 30 unless told.
    #[schemars(range(min = 1, max = 3660))]
    days: Option<u32>,
}

/// A metric.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MetricView {
    /// Its id.
    pub(crate) id: MetricId,
    /// What people call it.
    pub(crate) name: DisplayName,
    /// What is measured.
    definition: Definition,
    /// Whether unusual days are told.
    watched: bool,
    /// Whether the last day that was judged was unusual.
    unusual: bool,
}

impl From<&Metric> for MetricView {
    fn from(it: &Metric) -> Self {
        let unusual = it.watch.as_ref().is_some_and(|watch| watch.unusual);
        let (name, definition) = (it.name.clone(), it.definition.clone());
        Self { id: it.id, name, definition, watched: it.watch.is_some(), unusual }
    }
}

use_case!(CreateMetric => MetricView, "analytics.metrics.create", Tenant, may::UPDATE);
use_case!(UpdateMetric => MetricView, "analytics.metrics.update", Tenant, may::UPDATE, |it| one(it.metric));
use_case!(DeleteMetric => (), "analytics.metrics.delete", Tenant, may::UPDATE, |it| one(it.metric));
use_case!(ReadMetric => MetricView, "analytics.metrics.read", Tenant, may::READ, Tell, |it| one(it.metric));
use_case!(ListMetrics => List<MetricView>, "analytics.metrics.list", Tenant, may::READ, Tell);
use_case!(MeasureMetric => Vec<Row>, "analytics.metrics.measure", Tenant, may::READ, Tell, |it| one(it.metric));

fn one(metric: MetricId) -> kernel::Resource {
    kernel::Resource::one("metric", metric)
}

impl Handle<CreateMetric> for Analytics {
    async fn handle(&self, it: CreateMetric, cx: Granted<CreateMetric>) -> Result<MetricView, Problem> {
        self.room::<Metric>(&cx).await?;
        let zone = self.settings(&cx).await?.zone();
        let metric = Metric::new(cx.new_id(), cx.caller().user(), it, &zone, cx.now())?;
        cx.permit(&metric)?;
        Ok((&*self.store.at(&cx).create(metric, ()).await?).into())
    }
}

impl Handle<UpdateMetric> for Analytics {
    async fn handle(&self, it: UpdateMetric, cx: Granted<UpdateMetric>) -> Result<MetricView, Problem> {
        let (zone, now) = (self.settings(&cx).await?.zone(), cx.now());
        let define = |metric: &mut Metric| {
            cx.permit(metric)?;
            metric.define(it.name.clone(), it.definition.clone(), it.watched, &zone, now)
        };
        Ok((&*self.store.at(&cx).change(&it.metric, define).await?).into())
    }
}

impl Handle<DeleteMetric> for Analytics {
    async fn handle(&self, it: DeleteMetric, cx: Granted<DeleteMetric>) -> Result<(), Problem> {
        let metric = self.store.at(&cx).load::<Metric>(&it.metric).await?;
        cx.permit(&*metric)?;
        self.store.at(&cx).delete(metric, ()).await
    }
}

impl Handle<ReadMetric> for Analytics {
    async fn handle(&self, it: ReadMetric, cx: Granted<ReadMetric>) -> Result<MetricView, Problem> {
        Ok((&*self.store.at(&cx).load::<Metric>(&it.metric).await?).into())
    }
}

impl Handle<ListMetrics> for Analytics {
    async fn handle(&self, it: ListMetrics, cx: Granted<ListMetrics>) -> Result<List<MetricView>, Problem> {
        let page = Page { after: it.after, limit: it.limit.map_or(0, |limit| limit as usize), newest_first: false };
        let listed = self.store.at(&cx).list::<Metric>("all", "", &page).await?;
        Ok(List { items: listed.items.iter().map(|it| (&**it).into()).collect(), next: listed.next })
    }
}

impl Handle<MeasureMetric> for Analytics {
    async fn handle(&self, it: MeasureMetric, cx: Granted<MeasureMetric>) -> Result<Vec<Row>, Problem> {
        let metric = self.store.at(&cx).load::<Metric>(&it.metric).await?;
        let settings = self.settings(&cx).await?;
        let span = Period::of_days(it.days).span(&settings, cx.now())?;
        Ok(self.facts.query(cx.scope(), metric.definition.daily(&settings, span)).await?)
    }
}

impl Analytics {
    /// Judges yesterday.
    pub(crate) async fn look(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let (id, now): (MetricId, _) = (fired.id.parse().map_err(Problem::internal)?, cx.now());
        let store = self.store.at(&cx);
        let Some(metric) = store.try_load::<Metric>(&id).await?.filter(|metric| metric.due(now)) else { return Ok(()) };
        let settings = self.settings(&cx).await?;
        let (zone, days) = (settings.zone(), self.days(&metric, &settings, &cx).await?);
        let next = next_look(&zone, now);
        let judge = |metric: &mut Metric| {
            let Some(((day, value), before)) = days.split_last() else { return Ok(Vec::new()) };
            let before: Vec<f64> = before.iter().map(|(_, value)| *value).collect();
            let found = metric.judged(*day, *value, watch::judge(&before, *value), next);
            Ok(found.into_iter().map(Into::into).collect())
        };
        store.change(&id, judge).await.map(drop)
    }

    /// The values of the days up to yesterday; those without facts are 0.
    async fn days(&self, metric: &Metric, settings: &Settings, cx: &Cx) -> Result<Vec<(Date, f64)>, Problem> {
        let zone = settings.zone();
        let today = zone.to_datetime(cx.now()).date();
        let back = i64::try_from(watch::DAYS + 1).unwrap_or(i64::MAX);
        let first = today.saturating_sub(back.days());
        let begins = |date: Date| zone.to_timestamp(date.at(0, 0, 0, 0)).map_err(Problem::internal);
        let query = metric.definition.daily(settings, (begins(first)?, Some(begins(today)?)));
        // An average of nothing is no average of 0: such days are left out.
        let counted = matches!(metric.definition.measure, Measure::Count | Measure::Unique | Measure::Sum);
        let rows = self.facts.query(cx.scope(), query).await?;
        let value = |date: Date| {
            let row = rows.iter().find(|row| row.bucket.is_some_and(|at| zone.to_datetime(at).date() == date));
            row.map(|row| row.value).or(counted.then_some(0.0)).map(|value| (date, value))
        };
        let days = first.series(1.day()).take_while(|day| *day < today);
        let days: Vec<(Date, f64)> = days.filter_map(value).collect();
        // Yesterday is judged, or nothing.
        Ok(if days.last().map(|(day, _)| *day) == today.yesterday().ok() { days } else { Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(watched: bool) -> Metric {
        let definition = Definition { measure: Measure::Count, name: None, filters: Vec::new() };
        let it = CreateMetric { name: "Visits".parse().unwrap(), definition, watched };
        let id = MetricId::from_uuid(uuid::Uuid::from_u128(1));
        Metric::new(id, None, it, &TimeZone::UTC, "2026-11-24T12:00:00Z".parse().unwrap()).unwrap()
    }

    fn day(day: i8) -> Date {
        Date::new(2026, 11, day).unwrap()
    }

    #[test]
    fn an_anomaly_is_told_once_until_all_is_as_usual_again() {
        let unusual = Some(Unusual { expected: 10.0, low: 5.0, high: 15.0, deviations: 4.0 });
        let mut it = metric(true);
        let mut told = |of, unusual| it.judged(day(of), 50.0, unusual, Timestamp::UNIX_EPOCH).is_some();
        assert!(told(1, unusual), "the first is told");
        assert!(!told(1, unusual), "a day is judged once");
        assert!(!told(2, unusual), "it goes on, and that is no news");
        assert!(!told(3, None));
        assert!(told(4, unusual), "it was as usual in between");
        assert!(metric(false).judged(day(1), 50.0, unusual, Timestamp::UNIX_EPOCH).is_none());
    }

    #[test]
    fn a_watched_metric_is_looked_at_after_midnight_and_forgets_when_it_is_another() {
        let (now, mut it) = ("2026-11-24T12:00:00Z".parse().unwrap(), metric(true));
        assert_eq!(it.timers()[0].due, "2026-11-25T01:00:00Z".parse().unwrap());
        assert!(metric(false).timers().is_empty());
        let unusual = Some(Unusual { expected: 10.0, low: 5.0, high: 15.0, deviations: 4.0 });
        it.judged(day(1), 50.0, unusual, Timestamp::UNIX_EPOCH);
        let (name, mut definition) = (it.name.clone(), it.definition.clone());
        it.define(name.clone(), definition.clone(), true, &TimeZone::UTC, now).unwrap();
        assert!(MetricView::from(&it).unusual, "a new name changes nothing");
        definition.measure = Measure::Unique;
        it.define(name, definition, true, &TimeZone::UTC, now).unwrap();
        assert!(!MetricView::from(&it).unusual);
    }
}
