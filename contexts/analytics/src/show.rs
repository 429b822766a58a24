//! What is asked about dashboards.

use std::collections::BTreeMap;

use contracts::analytics::DashboardId;
use facts::{Funnel, Query};
use kernel::{Aggregate, Cx, Granted, Handle, List, Problem, UserId, text::DisplayName, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{
    Analytics,
    dashboard::{Attention, Dashboard, Shows},
    metric::Metric,
    permissions as may,
    question::{Answer, Ask, Period, Way},
    saved::Report,
    settings::Settings,
};

/// Makes a dashboard.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateDashboard {
    /// Its title.
    title: DisplayName,
    /// What it shows, in this order: 20 tiles at the most.
    #[serde(default)]
    #[schemars(length(max = 20))]
    tiles: Vec<Shows>,
}

/// Says anew what a dashboard shows.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateDashboard {
    /// Which.
    dashboard: DashboardId,
    /// Its title.
    title: DisplayName,
    /// What it shows, in this order: 20 tiles at the most.
    #[schemars(length(max = 20))]
    tiles: Vec<Shows>,
}

/// Deletes a dashboard; metrics and reports stay.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteDashboard {
    /// Which.
    dashboard: DashboardId,
}

/// Tells what a dashboard shows, without figures.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadDashboard {
    /// Which.
    dashboard: DashboardId,
}

/// Tells all figures of a dashboard, as of one instant. That somebody looked is told by an event, once an hour.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViewDashboard {
    /// Which.
    pub(crate) dashboard: DashboardId,
    /// For how many days metrics are told, 1 to 366; 30 unless told.
    #[schemars(range(min = 1, max = 366))]
    pub(crate) days: Option<u32>,
}

/// The dashboards of the tenant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListDashboards {
    /// Go on after this cursor.
    pub(crate) after: Option<String>,
    /// At most so many, up to 200; 50 unless told.
    #[schemars(range(min = 1, max = 200))]
    pub(crate) limit: Option<u32>,
}

/// A dashboard.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DashboardView {
    /// Its id.
    pub(crate) id: DashboardId,
    /// Its title.
    pub(crate) title: DisplayName,
    /// What it shows.
    tiles: Vec<Shows>,
}

/// A tile with its figures.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TileView {
    /// What it shows.
    shows: Shows,
    /// The name of the metric, or the title of the report; missing where that was deleted.
    pub(crate) title: Option<DisplayName>,
    /// The figures; missing where what it shows was deleted.
    pub(crate) answer: Option<Answer>,
}

/// A dashboard with its figures.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Figures {
    /// Its title.
    pub(crate) title: DisplayName,
    /// By whose calendar days are told.
    pub(crate) time_zone: String,
    /// Its tiles, in their order.
    pub(crate) tiles: Vec<TileView>,
}

impl From<&Dashboard> for DashboardView {
    fn from(it: &Dashboard) -> Self {
        Self { id: it.id(), title: it.title.clone(), tiles: it.tiles.clone() }
    }
}

use_case!(CreateDashboard => DashboardView, "analytics.dashboards.create", Tenant, may::UPDATE);
use_case!(UpdateDashboard => DashboardView, "analytics.dashboards.update", Tenant, may::UPDATE, |it| one(it.dashboard));
use_case!(DeleteDashboard => (), "analytics.dashboards.delete", Tenant, may::UPDATE, |it| one(it.dashboard));
use_case!(ReadDashboard => DashboardView, "analytics.dashboards.read", Tenant, may::READ, Tell, |it| one(it.dashboard));
use_case!(ViewDashboard => Figures, "analytics.dashboards.view", Tenant, may::READ, Tell, |it| one(it.dashboard));
use_case!(ListDashboards => List<DashboardView>, "analytics.dashboards.list", Tenant, may::READ, Tell);

fn one(dashboard: DashboardId) -> kernel::Resource {
    kernel::Resource::one("dashboard", dashboard)
}

/// What a tile asks.
enum Asked {
    Rows(Query),
    Steps(Way, Funnel),
}

impl Analytics {
    /// Reads what the tiles show, each thing once.
    async fn asked(
        &self,
        tiles: &[Shows],
        days: Option<u32>,
        settings: &Settings,
        cx: &Cx,
    ) -> Result<BTreeMap<String, (DisplayName, Asked)>, Problem> {
        let (store, now, mut asked) = (self.store.at(cx), cx.now(), BTreeMap::new());
        let span = Period::of_days(days).span(settings, now)?;
        for tile in tiles {
            let found = match tile {
                Shows::Metric(id) => store.try_load::<Metric>(id).await?.map(|metric| {
                    (id.to_string(), metric.name.clone(), Asked::Rows(metric.definition.daily(settings, span)))
                }),
                Shows::Report(id) => match store.try_load::<Report>(id).await? {
                    None => None,
                    Some(report) => {
                        let ask = match &report.ask {
                            Ask::Question(question) => Asked::Rows(question.query(settings, now)?),
                            Ask::Funnel(way) => Asked::Steps(way.clone(), way.funnel(settings, now)?),
                        };
                        Some((id.to_string(), report.title.clone(), ask))
                    }
                },
            };
            asked.extend(found.map(|(id, title, ask)| (id, (title, ask))));
        }
        Ok(asked)
    }

    /// Answers all that is asked: rows in one look at the facts, funnels one by one.
    async fn figures(
        &self,
        asked: BTreeMap<String, (DisplayName, Asked)>,
        cx: &Cx,
    ) -> Result<BTreeMap<String, (DisplayName, Answer)>, Problem> {
        let (mut answers, mut names, mut queries) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (id, (title, ask)) in asked {
            match ask {
                Asked::Rows(query) => {
                    names.push((id, title));
                    queries.push(query);
                }
                Asked::Steps(way, funnel) => {
                    let reached = self.facts.funnel(cx.scope(), funnel).await?;
                    answers.insert(id, (title, Answer::Steps(way.told(&reached))));
                }
            }
        }
        let told = self.facts.answer(cx.scope(), queries).await?;
        let rows = names.into_iter().zip(told).map(|((id, title), rows)| (id, (title, Answer::Rows(rows))));
        answers.extend(rows);
        Ok(answers)
    }

    async fn viewed(&self, dashboard: DashboardId, user: UserId, cx: &Cx) -> Result<(), Problem> {
        let now = cx.now();
        self.attend(user, cx, |it| it.view(dashboard, now)).await.map(drop)
    }

    /// Changes what is remembered of a person, if there is anything to tell.
    pub(crate) async fn attend<E: kernel::Event>(
        &self,
        user: UserId,
        cx: &Cx,
        rule: impl Fn(&mut Attention) -> Option<E> + Send + Sync,
    ) -> Result<(), Problem> {
        let store = self.store.at(cx);
        let known = store.try_load::<Attention>(&user).await?;
        let mut tried = known.as_ref().map_or_else(|| Attention::of(user), |known| Attention::clone(known));
        let Some(event) = rule(&mut tried) else { return Ok(()) };
        let told = |event: Option<E>| event.map(Into::into).into_iter().collect::<Vec<kernel::AnyEvent>>();
        if known.is_some() {
            return store.change(&user, |it: &mut Attention| Ok(told(rule(it)))).await.map(drop);
        }
        match store.create(tried, told(Some(event))).await {
            // Somebody else was faster, and told the same or what comes before it.
            Err(problem) if problem.kind() == kernel::ProblemKind::Conflict => {
                store.change(&user, |it: &mut Attention| Ok(told(rule(it)))).await.map(drop)
            }
            outcome => outcome.map(drop),
        }
    }
}

impl Handle<CreateDashboard> for Analytics {
    async fn handle(&self, it: CreateDashboard, cx: Granted<CreateDashboard>) -> Result<DashboardView, Problem> {
        self.room::<Dashboard>(&cx).await?;
        let dashboard = Dashboard::new(cx.new_id(), cx.caller().user(), it.title, it.tiles)?;
        cx.permit(&dashboard)?;
        Ok((&*self.store.at(&cx).create(dashboard, ()).await?).into())
    }
}

impl Handle<UpdateDashboard> for Analytics {
    async fn handle(&self, it: UpdateDashboard, cx: Granted<UpdateDashboard>) -> Result<DashboardView, Problem> {
        let define = |dashboard: &mut Dashboard| {
            cx.permit(dashboard)?;
            dashboard.define(it.title.clone(), it.tiles.clone())
        };
        Ok((&*self.store.at(&cx).change(&it.dashboard, define).await?).into())
    }
}

impl Handle<DeleteDashboard> for Analytics {
    async fn handle(&self, it: DeleteDashboard, cx: Granted<DeleteDashboard>) -> Result<(), Problem> {
        let dashboard = self.store.at(&cx).load::<Dashboard>(&it.dashboard).await?;
        cx.permit(&*dashboard)?;
        self.store.at(&cx).delete(dashboard, ()).await
    }
}

impl Handle<ReadDashboard> for Analytics {
    async fn handle(&self, it: ReadDashboard, cx: Granted<ReadDashboard>) -> Result<DashboardView, Problem> {
        Ok((&*self.store.at(&cx).load::<Dashboard>(&it.dashboard).await?).into())
    }
}

impl Handle<ListDashboards> for Analytics {
    async fn handle(&self, it: ListDashboards, cx: Granted<ListDashboards>) -> Result<List<DashboardView>, Problem> {
        let page = Page { after: it.after, limit: it.limit.map_or(0, |limit| limit as usize), newest_first: false };
        let listed = self.store.at(&cx).list::<Dashboard>("all", "", &page).await?;
        Ok(List { items: listed.items.iter().map(|it| (&**it).into()).collect(), next: listed.next })
    }
}

impl Handle<ViewDashboard> for Analytics {
    async fn handle(&self, it: ViewDashboard, cx: Granted<ViewDashboard>) -> Result<Figures, Problem> {
        if it.days.is_some_and(|days| !(1..=366).contains(&days)) {
            return Err(Problem::invalid_field("/days", "expected 1 to 366"));
        }
        let dashboard = self.store.at(&cx).load::<Dashboard>(&it.dashboard).await?;
        let settings = self.settings(&cx).await?;
        let asked = self.asked(&dashboard.tiles, it.days, &settings, &cx).await?;
        let answers = self.figures(asked, &cx).await?;
        let tile = |shows: &Shows| {
            let id = match shows {
                Shows::Metric(id) => id.to_string(),
                Shows::Report(id) => id.to_string(),
            };
            let found = answers.get(&id).cloned();
            let (title, answer) = found.map_or((None, None), |(title, answer)| (Some(title), Some(answer)));
            TileView { shows: *shows, title, answer }
        };
        let tiles = dashboard.tiles.iter().map(tile).collect();
        if let Some(user) = cx.caller().user() {
            self.viewed(it.dashboard, user, &cx).await?;
        }
        Ok(Figures { title: dashboard.title.clone(), time_zone: settings.zone_name().to_owned(), tiles })
    }
}
