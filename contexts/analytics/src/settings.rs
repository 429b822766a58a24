//! How a tenant wants its facts to be kept and counted.

use facts::Buckets;
use jiff::{ToSpan, tz::TimeZone};
use kernel::{Aggregate, Cx, Granted, Handle, Problem, ScopeKind, Timer, Timestamp, context::Fired, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Analytics, permissions as may};

/// The settings of a tenant; one that never decided has those of [`Settings::usual`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    time_zone: String,
    pub(crate) retention_days: Option<u32>,
    pub(crate) visitors: bool,
    /// When facts are next looked at for their age.
    next: Option<Timestamp>,
}

impl Settings {
    pub(crate) const ID: &'static str = "settings";

    pub(crate) fn usual() -> Self {
        Self { time_zone: "UTC".to_owned(), retention_days: None, visitors: false, next: None }
    }

    pub(crate) fn zone_name(&self) -> &str {
        &self.time_zone
    }

    pub(crate) fn zone(&self) -> TimeZone {
        Buckets::zone(&self.time_zone).unwrap_or(TimeZone::UTC)
    }

    fn decide(&mut self, it: &UpdateSettings, now: Timestamp) -> Result<(), Problem> {
        Buckets::zone(&it.time_zone)?;
        if it.retention_days.is_some_and(|days| !(1..=3_660).contains(&days)) {
            return Err(Problem::invalid_field("/retention_days", "expected 1 to 3,660 days"));
        }
        self.time_zone.clone_from(&it.time_zone);
        (self.retention_days, self.visitors) = (it.retention_days, it.visitors);
        self.next = it.retention_days.map(|_| now);
        Ok(())
    }

    /// The instant before which facts are too old, if that is to be seen to now.
    fn due(&self, now: Timestamp) -> Option<Timestamp> {
        let days = self.retention_days.filter(|_| self.next.is_some_and(|next| next <= now))?;
        now.checked_sub((i64::from(days) * 24).hours()).ok()
    }

    fn pruned(&mut self, now: Timestamp) {
        self.next = self.retention_days.and_then(|_| now.checked_add(24.hours()).ok());
    }
}

impl Aggregate for Settings {
    type Id = String;
    const KIND: &'static str = "analytics.settings";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }

    fn timers(&self) -> Vec<Timer> {
        self.next.map(|due| Timer { name: "prune", due }).into_iter().collect()
    }
}

/// Decides how facts are kept and counted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateSettings {
    /// By whose calendar days, weeks and months are told where a question does not say: an IANA time zone.
    time_zone: String,
    /// For how many days facts are kept, 1 to 3,660; as long as the tenant is there unless told. What is older is
    /// removed within a day, and cannot be brought back.
    #[serde(default)]
    #[schemars(range(min = 1, max = 3660))]
    retention_days: Option<u32>,
    /// Whether visitors who have not signed in are counted: by a pseudonym of one day, without a cookie.
    #[serde(default)]
    visitors: bool,
}

/// Tells how facts are kept and counted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadSettings {}

/// How facts are kept and counted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SettingsView {
    /// By whose calendar.
    time_zone: String,
    /// For how many days.
    retention_days: Option<u32>,
    /// Whether visitors are counted.
    visitors: bool,
}

impl From<&Settings> for SettingsView {
    fn from(it: &Settings) -> Self {
        Self { time_zone: it.time_zone.clone(), retention_days: it.retention_days, visitors: it.visitors }
    }
}

use_case!(UpdateSettings => SettingsView, "analytics.settings.update", Tenant, may::SETTINGS);
use_case!(ReadSettings => SettingsView, "analytics.settings.read", Tenant, may::READ, Tell);

impl Analytics {
    pub(crate) async fn settings(&self, cx: &Cx) -> Result<Settings, Problem> {
        let found = self.store.at(cx).try_load::<Settings>(&Settings::ID.to_owned()).await?;
        Ok(found.map_or_else(Settings::usual, store::Loaded::into_inner))
    }

    /// Removes facts that are too old; looks again in a day.
    pub(crate) async fn prune(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let now = cx.now();
        let Some(before) = self.settings(&cx).await?.due(now) else { return Ok(()) };
        self.facts.prune(cx.scope(), before).await?;
        let pruned = |it: &mut Settings| {
            it.pruned(now);
            Ok(())
        };
        self.store.at(&cx).change(&fired.id, pruned).await.map(drop)
    }
}

impl Handle<UpdateSettings> for Analytics {
    async fn handle(&self, it: UpdateSettings, cx: Granted<UpdateSettings>) -> Result<SettingsView, Problem> {
        let (store, id, now) = (self.store.at(&cx), Settings::ID.to_owned(), cx.now());
        if store.try_load::<Settings>(&id).await?.is_some() {
            return Ok((&*store.change(&id, |settings: &mut Settings| settings.decide(&it, now)).await?).into());
        }
        let mut settings = Settings::usual();
        settings.decide(&it, now)?;
        Ok((&*store.create(settings, ()).await?).into())
    }
}

impl Handle<ReadSettings> for Analytics {
    async fn handle(&self, _: ReadSettings, cx: Granted<ReadSettings>) -> Result<SettingsView, Problem> {
        Ok((&self.settings(&cx).await?).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_looked_at_once_a_day_while_there_is_a_limit() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let asked =
            |retention_days| UpdateSettings { time_zone: "Europe/Berlin".into(), retention_days, visitors: false };
        let mut it = Settings::usual();
        assert!(it.decide(&asked(Some(0)), start).is_err());
        it.decide(&asked(Some(30)), start).unwrap();
        assert_eq!(it.due(start), Some(start - 720.hours()));
        it.pruned(start);
        assert_eq!((it.due(start), it.timers().len()), (None, 1));
        assert!(it.due(start + 24.hours()).is_some());
        it.decide(&asked(None), start).unwrap();
        assert!(it.timers().is_empty() && it.due(start + 48.hours()).is_none());
    }
}
