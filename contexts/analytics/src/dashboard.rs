//! A dashboard: metrics and reports beside one another.

use contracts::analytics::{DashboardId, DashboardViewed, MetricId, ReportId};
use jiff::{TimestampRound, Unit};
use kernel::{Aggregate, Problem, ScopeKind, Term, Timestamp, UserId, text::DisplayName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most tiles: so many that one look at the facts answers all of them.
pub(crate) const MOST_TILES: usize = 20;

/// What a tile shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shows {
    /// A metric day by day.
    Metric(MetricId),
    /// What a report says now.
    Report(ReportId),
}

/// A dashboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dashboard {
    id: DashboardId,
    pub(crate) title: DisplayName,
    pub(crate) tiles: Vec<Shows>,
    by: Option<UserId>,
}

impl Dashboard {
    pub(crate) fn new(
        id: DashboardId,
        by: Option<UserId>,
        title: DisplayName,
        tiles: Vec<Shows>,
    ) -> Result<Self, Problem> {
        let mut it = Self { id, title: title.clone(), tiles: Vec::new(), by };
        it.define(title, tiles)?;
        Ok(it)
    }

    pub(crate) fn define(&mut self, title: DisplayName, tiles: Vec<Shows>) -> Result<(), Problem> {
        if tiles.len() > MOST_TILES {
            return Err(Problem::invalid_field("/tiles", format!("expected at most {MOST_TILES} tiles")));
        }
        (self.title, self.tiles) = (title, tiles);
        Ok(())
    }
}

impl Aggregate for Dashboard {
    type Id = DashboardId;
    const KIND: &'static str = "analytics.dashboard";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> DashboardId {
        self.id
    }
    fn owner(&self) -> Option<UserId> {
        self.by
    }
    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }
}

/// What a person has done with analytics of late: what is told of it once is not told again. Goes with the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attention {
    user: UserId,
    /// The last day on which the person did something in the product.
    active: Option<String>,
    /// Dashboards that were looked at, and in which hour; the latest last.
    viewed: Vec<(DashboardId, Timestamp)>,
}

/// The most dashboards whose last look is remembered.
const REMEMBERED: usize = 50;

impl Attention {
    pub(crate) fn of(user: UserId) -> Self {
        Self { user, active: None, viewed: Vec::new() }
    }

    /// Whether the person was known to be active on a day.
    pub(crate) fn was_active(&self, day: &str) -> bool {
        self.active.as_deref().is_some_and(|active| active >= day)
    }

    pub(crate) fn act(&mut self, day: &str) -> Option<contracts::analytics::UserActivityRecorded> {
        if self.was_active(day) {
            return None;
        }
        self.active = Some(day.to_owned());
        Some(contracts::analytics::UserActivityRecorded { user: self.user, day: day.to_owned() })
    }

    /// Looks at a dashboard: news once an hour.
    pub(crate) fn view(&mut self, dashboard: DashboardId, now: Timestamp) -> Option<DashboardViewed> {
        let hour = now.round(TimestampRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Trunc)).unwrap_or(now);
        if self.viewed.contains(&(dashboard, hour)) {
            return None;
        }
        self.viewed.retain(|(known, _)| *known != dashboard);
        self.viewed.push((dashboard, hour));
        let over = self.viewed.len().saturating_sub(REMEMBERED);
        self.viewed.drain(..over);
        Some(DashboardViewed { dashboard, user: self.user, hour })
    }
}

impl Aggregate for Attention {
    type Id = UserId;
    const KIND: &'static str = "analytics.attention";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> UserId {
        self.user
    }
    fn owner(&self) -> Option<UserId> {
        Some(self.user)
    }
    fn subject(&self) -> Option<UserId> {
        Some(self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_is_news_once_an_hour_and_being_active_once_a_day() {
        let id = |bits| uuid::Uuid::from_u128(bits);
        let (user, one, other) =
            (UserId::from_uuid(id(1)), DashboardId::from_uuid(id(2)), DashboardId::from_uuid(id(3)));
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut it = Attention::of(user);
        assert_eq!(it.view(one, at("2026-11-24T10:59:59Z")).unwrap().hour, at("2026-11-24T10:00:00Z"));
        assert!(it.view(one, at("2026-11-24T10:00:00Z")).is_none());
        assert!(it.view(other, at("2026-11-24T10:00:00Z")).is_some());
        assert!(it.view(one, at("2026-11-24T11:00:00Z")).is_some());
        assert!(it.act("2026-11-24").is_some() && it.act("2026-11-24").is_none());
        assert!(it.act("2026-11-23").is_none(), "what comes late is no news");
        assert!(it.act("2026-11-25").is_some());
        for bits in 10..200 {
            it.view(DashboardId::from_uuid(id(bits)), at("2026-11-24T12:00:00Z"));
        }
        assert_eq!(it.viewed.len(), REMEMBERED);
    }
}
