//! The pages: the dashboards of a tenant, and one of them drawn.

use std::sync::Arc;

use askama::Template;
use bytes::Bytes;
use contracts::analytics::DashboardId;
use facts::Buckets;
use http::{Request, Response, StatusCode, header};
use jiff::tz::TimeZone;
use kernel::{Caller, Cx, Handle, Problem};
use look::{Answer, Brand};

use crate::{
    Analytics,
    chart::{self, Chart, Table},
    sheet,
    show::{DashboardView, ListDashboards, TileView, ViewDashboard},
};

const STYLE: &str = include_str!("../templates/style.css");

static POLICY: look::Policy = look::Policy::of(|| look::policy(&[look::TOKENS, STYLE]));

#[derive(Template)]
#[template(path = "dashboards.html")]
struct Dashboards {
    brand: Brand,
    dashboards: Vec<DashboardView>,
}

struct Tile {
    title: String,
    chart: Option<Chart>,
    table: Option<Table>,
}

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Dashboard {
    brand: Brand,
    title: String,
    time_zone: String,
    days: u32,
    choices: [u32; 4],
    tiles: Vec<Tile>,
}

/// Whoever has not signed in does so first, and comes back.
fn sign_in(request: &Request<Bytes>) -> Answer {
    let back: String = form_urlencoded::byte_serialize(request.uri().path().as_bytes()).collect();
    let answer = Response::builder().status(StatusCode::SEE_OTHER);
    let answer = answer.header(header::LOCATION, format!("/sign-in?return_to={back}"));
    answer.body(Bytes::new().into()).map_err(Problem::internal)
}

impl Tile {
    fn of(tile: TileView, zone: &TimeZone) -> Self {
        let title = tile.title.map_or_else(|| "Deleted".to_owned(), |title| title.to_string());
        let (chart, table) = tile.answer.map(|it| (chart::of(&it, zone), chart::table(&it, zone))).unzip();
        Self { title, chart, table }
    }
}

impl Analytics {
    pub(crate) async fn dashboards_page(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        if matches!(cx.caller(), Caller::Visitor) {
            return sign_in(&request);
        }
        let listed = self.handle(ListDashboards { after: None, limit: Some(200) }, cx.authorize()?).await?;
        let brand = Brand::of(&self.calls, &cx).await;
        look::page(StatusCode::OK, &Dashboards { brand, dashboards: listed.items }, &POLICY)
    }

    pub(crate) async fn dashboard_page(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        if matches!(cx.caller(), Caller::Visitor) {
            return sign_in(&request);
        }
        let dashboard: DashboardId = sheet::in_path(&request, 1, "dashboard")?;
        let sent = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
        let days = sent.into_owned().find(|(name, _)| name == "days").and_then(|(_, days)| days.parse().ok());
        let days = days.filter(|days| (1..=366).contains(days)).unwrap_or(30);
        let figures = self.handle(ViewDashboard { dashboard, days: Some(days) }, cx.authorize()?).await?;
        let zone = Buckets::zone(&figures.time_zone)?;
        let tiles = figures.tiles.into_iter().map(|tile| Tile::of(tile, &zone)).collect();
        let (title, time_zone) = (figures.title.to_string(), figures.time_zone);
        let brand = Brand::of(&self.calls, &cx).await;
        let page = Dashboard { brand, title, time_zone, days, choices: [7, 30, 90, 365], tiles };
        look::page(StatusCode::OK, &page, &POLICY)
    }
}
