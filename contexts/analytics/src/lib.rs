//! Analytics: how a tenant's people use the product, as figures.
//!
//! A **fact** is something that was done: told by the product (`track`), or a domain event, each of which is a fact of
//! its type. Who did it stands there as a **pseudonym**: the same for a person throughout a tenant, another in each, and
//! made with the person's own key, so that nobody traces it back once that key is destroyed. A person is **active** on a
//! day on which they did anything. A **metric** is a measure with a name; **watched**, its unusual days are told. A
//! **report** is a question with a title, run when asked and on a schedule; a **result** is what it said. A
//! **dashboard** shows metrics and reports beside one another.

mod active;
mod chart;
mod dashboard;
mod metric;
mod pages;
mod permissions;
mod person;
mod question;
mod report;
mod saved;
mod settings;
mod sheet;
mod show;
mod track;
mod watch;

use std::sync::Arc;

use active::ActivePeople;
use bytes::Bytes;
use contracts::users::UserErasureRequested;
use facts::Facts;
use http::{Method, Request, Response};
use kernel::{Aggregate, Calls, Context, Cx, Endpoint, Permission, Problem, ScopeKind, context::Body, context::Fired};
use store::Store;

use metric::{CreateMetric, DeleteMetric, ListMetrics, MeasureMetric, Metric, ReadMetric, UpdateMetric};
use person::ExportPerson;
use question::{Question, Way};
use report::{
    AnswerReport, CreateReport, DeleteReport, GenerateReport, ListReports, ListResults, ReadReport, ReadResult,
    UpdateReport,
};
use saved::{Generated, Report};
use settings::{ReadSettings, Settings, UpdateSettings};
use show::{CreateDashboard, DeleteDashboard, ListDashboards, ReadDashboard, UpdateDashboard, ViewDashboard};
use track::TrackEvents;

/// All permissions that this context declares.
pub const PERMISSIONS: &[kernel::PermissionDecl] = permissions::ALL;

/// The context.
pub(crate) struct Analytics {
    store: Store,
    calls: Calls,
    facts: Arc<dyn Facts>,
}

/// The table while it is put together.
struct Table(Context, Arc<Analytics>);

impl Table {
    fn endpoint<F, R>(
        self,
        (method, path): (Method, &'static str),
        what: [&'static str; 3],
        needs: Permission,
        serve: F,
    ) -> Self
    where
        F: Fn(Arc<Analytics>, Request<Bytes>, Cx) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
    {
        let ([name, summary, media], it) = (what, Arc::clone(&self.1));
        let serve = move |request, cx| serve(Arc::clone(&it), request, cx);
        let endpoint = Endpoint::new(name, summary, ScopeKind::Tenant, needs, serve).produces(media);
        Self(self.0.endpoint(method, path, endpoint), self.1)
    }

    fn timer<F, R>(self, kind: &'static str, act: F) -> Self
    where
        F: Fn(Arc<Analytics>, Fired, Cx) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        let it = Arc::clone(&self.1);
        Self(self.0.timer(kind, move |fired, cx| act(Arc::clone(&it), fired, cx)), self.1)
    }
}

fn use_cases(it: &Arc<Analytics>) -> Context {
    const METRIC: &str = "/v1/analytics/metrics/{metric}";
    const REPORT: &str = "/v1/analytics/reports/{report}";
    const DASHBOARD: &str = "/v1/analytics/dashboards/{dashboard}";
    Context::new("analytics", PERMISSIONS)
        .about("How a tenant's people use the product, as figures.")
        .route::<TrackEvents, _>(Method::POST, "/v1/events", it)
        .route::<ReadSettings, _>(Method::GET, "/v1/analytics/settings", it)
        .route::<UpdateSettings, _>(Method::PUT, "/v1/analytics/settings", it)
        .route::<ActivePeople, _>(Method::GET, "/v1/analytics/active-people", it)
        .route::<Question, _>(Method::POST, "/v1/analytics/reports/query", it)
        .route::<Way, _>(Method::POST, "/v1/analytics/funnels/query", it)
        .route::<CreateMetric, _>(Method::POST, "/v1/analytics/metrics", it)
        .route::<ListMetrics, _>(Method::GET, "/v1/analytics/metrics", it)
        .route::<ReadMetric, _>(Method::GET, METRIC, it)
        .route::<UpdateMetric, _>(Method::PUT, METRIC, it)
        .route::<DeleteMetric, _>(Method::DELETE, METRIC, it)
        .route::<MeasureMetric, _>(Method::GET, "/v1/analytics/metrics/{metric}/days", it)
        .route::<CreateReport, _>(Method::POST, "/v1/analytics/reports", it)
        .route::<ListReports, _>(Method::GET, "/v1/analytics/reports", it)
        .route::<ReadReport, _>(Method::GET, REPORT, it)
        .route::<UpdateReport, _>(Method::PUT, REPORT, it)
        .route::<DeleteReport, _>(Method::DELETE, REPORT, it)
        .route::<AnswerReport, _>(Method::GET, "/v1/analytics/reports/{report}/answer", it)
        .route::<GenerateReport, _>(Method::POST, "/v1/analytics/reports/{report}/results", it)
        .route::<ListResults, _>(Method::GET, "/v1/analytics/reports/{report}/results", it)
        .route::<ReadResult, _>(Method::GET, "/v1/analytics/results/{result}", it)
        .route::<CreateDashboard, _>(Method::POST, "/v1/analytics/dashboards", it)
        .route::<ListDashboards, _>(Method::GET, "/v1/analytics/dashboards", it)
        .route::<ReadDashboard, _>(Method::GET, DASHBOARD, it)
        .route::<UpdateDashboard, _>(Method::PUT, DASHBOARD, it)
        .route::<DeleteDashboard, _>(Method::DELETE, DASHBOARD, it)
        .route::<ViewDashboard, _>(Method::GET, "/v1/analytics/dashboards/{dashboard}/figures", it)
        .internal::<ExportPerson, _>(it)
}

fn sheets(table: Table) -> Table {
    const READ: Permission = permissions::READ;
    let sheet = |name, summary| [name, summary, "text/csv"];
    table
        .endpoint(
            (Method::GET, "/v1/analytics/active-people.csv"),
            sheet("analytics.active_people.csv", "People who did anything, per day, as comma-separated values"),
            READ,
            |it, request, cx| async move { it.active_people_sheet(&request, &cx).await },
        )
        .endpoint(
            (Method::POST, "/v1/analytics/reports/query.csv"),
            sheet("analytics.report.csv", "Measures facts, as comma-separated values"),
            READ,
            |it, request, cx| async move { it.question_sheet(&request, &cx).await },
        )
        .endpoint(
            (Method::POST, "/v1/analytics/funnels/query.csv"),
            sheet("analytics.funnel.csv", "How far people come, as comma-separated values"),
            READ,
            |it, request, cx| async move { it.funnel_sheet(&request, &cx).await },
        )
        .endpoint(
            (Method::GET, "/v1/analytics/reports/{report}/answer.csv"),
            sheet("analytics.reports.answer.csv", "What a report says now, as comma-separated values"),
            READ,
            |it, request, cx| async move { it.report_sheet(&request, &cx).await },
        )
        .endpoint(
            (Method::GET, "/v1/analytics/results/{result}/sheet.csv"),
            sheet("analytics.results.csv", "What a report said, as comma-separated values"),
            READ,
            |it, request, cx| async move { it.result_sheet(&request, &cx).await },
        )
}

fn pages(table: Table) -> Table {
    const OPEN: Permission = permissions::OPEN;
    table
        .endpoint(
            (Method::GET, "/analytics"),
            ["analytics.pages.dashboards", "The dashboards", "text/html"],
            OPEN,
            Analytics::dashboards_page,
        )
        .endpoint(
            (Method::GET, "/analytics/{dashboard}"),
            ["analytics.pages.dashboard", "A dashboard, drawn", "text/html"],
            OPEN,
            Analytics::dashboard_page,
        )
        .endpoint(
            (Method::POST, "/v1/events/visits"),
            ["analytics.visit", "Records what someone did who has not signed in", "application/json"],
            permissions::VISIT,
            |it, request, cx| async move { it.visit(&request, &cx).await },
        )
}

/// The context, with its table.
pub fn context(store: Store, calls: Calls, facts: Arc<dyn Facts>) -> Context {
    let it = Arc::new(Analytics { store, calls, facts });
    let (follower, eraser) = (Arc::clone(&it), Arc::clone(&it));
    let table = pages(sheets(Table(use_cases(&it), it)))
        .timer(Settings::KIND, |it, fired, cx| async move { it.prune(fired, cx).await })
        .timer(Metric::KIND, |it, fired, cx| async move { it.look(fired, cx).await })
        .timer(Report::KIND, |it, fired, cx| async move { it.run_due(fired, cx).await })
        .timer(Generated::KIND, |it, fired, cx| async move { it.end_result(fired, cx).await });
    table
        .0
        .on_any("facts", "*", move |event, cx| {
            let it = Arc::clone(&follower);
            async move { it.follow(event, cx).await }
        })
        .on("erase_person", move |event: UserErasureRequested, cx| {
            let it = Arc::clone(&eraser);
            async move { it.erase_person(event, cx).await }
        })
}
