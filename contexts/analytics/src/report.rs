//! What is asked about reports, and what reports tell.

use bytes::Bytes;
use contracts::analytics::{ReportId, ResultId};
use facts::Row;
use http::{Request, Response};
use kernel::{
    Aggregate, Cx, Granted, Handle, List, Problem, ProblemKind, Timestamp, context::Body, context::Fired,
    text::DisplayName, use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{
    Analytics, permissions as may,
    question::{Answer, Ask, Question, StepView, Way},
    saved::{Generated, Report, Schedule},
    sheet,
};

/// The most of a kind (metrics, reports, dashboards) that a tenant has.
const MOST: usize = 200;

/// Makes a report.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateReport {
    /// Its title.
    title: DisplayName,
    /// What it asks.
    ask: Ask,
    /// When it is run by itself; never unless told.
    #[serde(default)]
    schedule: Option<Schedule>,
}

/// Says anew what a report asks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateReport {
    /// Which.
    report: ReportId,
    /// Its title.
    title: DisplayName,
    /// What it asks.
    ask: Ask,
    /// When it is run by itself; never unless told.
    #[serde(default)]
    schedule: Option<Schedule>,
}

/// Deletes a report; its results stay as long as they would have.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteReport {
    /// Which.
    report: ReportId,
}

/// Tells what a report asks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadReport {
    /// Which.
    report: ReportId,
}

/// Runs a report now and tells what it says; nothing is kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerReport {
    /// Which.
    report: ReportId,
}

/// Runs a report now and keeps what it says, the first 1,000 rows, for 400 days.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GenerateReport {
    /// Which.
    report: ReportId,
}

/// The reports of the tenant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListReports {
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200; 50 unless told.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

/// What was kept of a report, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListResults {
    /// Which report.
    report: ReportId,
    /// Go on after this cursor.
    after: Option<String>,
}

/// Tells what a report said when it was generated.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadResult {
    /// Which result.
    result: ResultId,
}

/// A report.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ReportView {
    /// Its id.
    pub(crate) id: ReportId,
    /// Its title.
    pub(crate) title: DisplayName,
    /// What it asks.
    ask: Ask,
    /// When it is run by itself.
    schedule: Option<Schedule>,
}

/// That a report was generated.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ResultView {
    /// Its id.
    id: ResultId,
    /// Of which report.
    report: ReportId,
    /// What that was called.
    title: DisplayName,
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: Timestamp,
    /// How many rows it has.
    rows: u64,
}

/// What a report said.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WholeResult {
    /// Which result.
    result: ResultView,
    /// What it said.
    answer: Answer,
}

impl From<&Report> for ReportView {
    fn from(it: &Report) -> Self {
        Self { id: it.id(), title: it.title.clone(), ask: it.ask.clone(), schedule: it.schedule }
    }
}

impl From<&Generated> for ResultView {
    fn from(it: &Generated) -> Self {
        let rows = it.answer.len() as u64;
        Self { id: it.id(), report: it.report, title: it.title.clone(), at: it.at, rows }
    }
}

use_case!(Question => Vec<Row>, "analytics.report", Tenant, may::READ, Tell);
use_case!(Way => Vec<StepView>, "analytics.funnel", Tenant, may::READ, Tell);
use_case!(CreateReport => ReportView, "analytics.reports.create", Tenant, may::UPDATE);
use_case!(UpdateReport => ReportView, "analytics.reports.update", Tenant, may::UPDATE, |it| one(it.report));
use_case!(DeleteReport => (), "analytics.reports.delete", Tenant, may::UPDATE, |it| one(it.report));
use_case!(ReadReport => ReportView, "analytics.reports.read", Tenant, may::READ, Tell, |it| one(it.report));
use_case!(AnswerReport => Answer, "analytics.reports.answer", Tenant, may::READ, Tell, |it| one(it.report));
use_case!(GenerateReport => ResultView, "analytics.reports.generate", Tenant, may::UPDATE, |it| one(it.report));
use_case!(ListReports => List<ReportView>, "analytics.reports.list", Tenant, may::READ, Tell);
use_case!(ListResults => List<ResultView>, "analytics.results.list", Tenant, may::READ, Tell, |it| one(it.report));
use_case!(ReadResult => WholeResult, "analytics.results.read", Tenant, may::READ, Tell);

fn one(report: ReportId) -> kernel::Resource {
    kernel::Resource::one("report", report)
}

impl Analytics {
    /// Refuses another of a kind where there are too many.
    pub(crate) async fn room<A: Aggregate>(&self, cx: &Cx) -> Result<(), Problem> {
        let page = Page { limit: MOST, ..Page::default() };
        if self.store.at(cx).list::<A>("all", "", &page).await?.items.len() < MOST {
            return Ok(());
        }
        let all = format!("there are {MOST} of them already");
        Err(Problem::new(ProblemKind::Refused, "analytics.too_many", all).hint("delete one that nobody needs"))
    }

    async fn told(&self, ask: &Ask, cx: &Cx) -> Result<Answer, Problem> {
        let settings = self.settings(cx).await?;
        Ok(match ask {
            Ask::Question(question) => {
                Answer::Rows(self.facts.query(cx.scope(), question.query(&settings, cx.now())?).await?)
            }
            Ask::Funnel(way) => {
                let reached = self.facts.funnel(cx.scope(), way.funnel(&settings, cx.now())?).await?;
                Answer::Steps(way.told(&reached))
            }
        })
    }

    /// Runs a report that is due, keeps what it says under an id that is the same for the same run, and sets the next.
    pub(crate) async fn run_due(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let (id, now): (ReportId, _) = (fired.id.parse().map_err(Problem::internal)?, cx.now());
        let store = self.store.at(&cx);
        let Some(report) = store.try_load::<Report>(&id).await? else { return Ok(()) };
        let Some(due) = report.due(now) else { return Ok(()) };
        let result = ResultId::from_words(&[&id.to_string(), &due.to_string()]);
        if store.try_load::<Generated>(&result).await?.is_none() {
            let (kept, generated) = Generated::new(result, &report, self.told(&report.ask, &cx).await?, now);
            store.create(kept, generated).await?;
        }
        let zone = self.settings(&cx).await?.zone();
        let next = |report: &mut Report| {
            if report.due(now) == Some(due) {
                report.run_on(report.schedule, &zone, now);
            }
            Ok(())
        };
        store.change(&id, next).await.map(drop)
    }

    /// Removes a result whose time is over.
    pub(crate) async fn end_result(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let id: ResultId = fired.id.parse().map_err(Problem::internal)?;
        match self.store.at(&cx).try_load::<Generated>(&id).await? {
            Some(result) if result.ends() <= cx.now() => self.store.at(&cx).delete(result, ()).await,
            _ => Ok(()),
        }
    }

    pub(crate) async fn question_sheet(&self, request: &Request<Bytes>, cx: &Cx) -> Result<Response<Body>, Problem> {
        let rows = self.handle(sheet::body::<Question>(request)?, cx.authorize()?).await?;
        sheet::response("report", sheet::of(&Answer::Rows(rows)))
    }

    pub(crate) async fn funnel_sheet(&self, request: &Request<Bytes>, cx: &Cx) -> Result<Response<Body>, Problem> {
        let steps = self.handle(sheet::body::<Way>(request)?, cx.authorize()?).await?;
        sheet::response("funnel", sheet::of(&Answer::Steps(steps)))
    }

    pub(crate) async fn report_sheet(&self, request: &Request<Bytes>, cx: &Cx) -> Result<Response<Body>, Problem> {
        let report = sheet::in_path(request, 3, "report")?;
        let answer = self.handle(AnswerReport { report }, cx.authorize()?).await?;
        sheet::response("report", sheet::of(&answer))
    }

    pub(crate) async fn result_sheet(&self, request: &Request<Bytes>, cx: &Cx) -> Result<Response<Body>, Problem> {
        let result = sheet::in_path(request, 3, "result")?;
        let whole = self.handle(ReadResult { result }, cx.authorize()?).await?;
        sheet::response("result", sheet::of(&whole.answer))
    }
}

impl Handle<Question> for Analytics {
    async fn handle(&self, it: Question, cx: Granted<Question>) -> Result<Vec<Row>, Problem> {
        let settings = self.settings(&cx).await?;
        Ok(self.facts.query(cx.scope(), it.query(&settings, cx.now())?).await?)
    }
}

impl Handle<Way> for Analytics {
    async fn handle(&self, it: Way, cx: Granted<Way>) -> Result<Vec<StepView>, Problem> {
        let settings = self.settings(&cx).await?;
        let reached = self.facts.funnel(cx.scope(), it.funnel(&settings, cx.now())?).await?;
        Ok(it.told(&reached))
    }
}

impl Handle<CreateReport> for Analytics {
    async fn handle(&self, it: CreateReport, cx: Granted<CreateReport>) -> Result<ReportView, Problem> {
        self.room::<Report>(&cx).await?;
        let settings = self.settings(&cx).await?;
        it.ask.check(&settings, cx.now())?;
        let mut report = Report::new(cx.new_id(), cx.caller().user(), it.title, it.ask);
        cx.permit(&report)?;
        report.run_on(it.schedule, &settings.zone(), cx.now());
        Ok((&*self.store.at(&cx).create(report, ()).await?).into())
    }
}

impl Handle<UpdateReport> for Analytics {
    async fn handle(&self, it: UpdateReport, cx: Granted<UpdateReport>) -> Result<ReportView, Problem> {
        let (settings, now) = (self.settings(&cx).await?, cx.now());
        it.ask.check(&settings, now)?;
        let define = |report: &mut Report| {
            cx.permit(report)?;
            report.define(it.title.clone(), it.ask.clone());
            report.run_on(it.schedule, &settings.zone(), now);
            Ok(())
        };
        Ok((&*self.store.at(&cx).change(&it.report, define).await?).into())
    }
}

impl Handle<DeleteReport> for Analytics {
    async fn handle(&self, it: DeleteReport, cx: Granted<DeleteReport>) -> Result<(), Problem> {
        let report = self.store.at(&cx).load::<Report>(&it.report).await?;
        cx.permit(&*report)?;
        self.store.at(&cx).delete(report, ()).await
    }
}

impl Handle<ReadReport> for Analytics {
    async fn handle(&self, it: ReadReport, cx: Granted<ReadReport>) -> Result<ReportView, Problem> {
        Ok((&*self.store.at(&cx).load::<Report>(&it.report).await?).into())
    }
}

impl Handle<AnswerReport> for Analytics {
    async fn handle(&self, it: AnswerReport, cx: Granted<AnswerReport>) -> Result<Answer, Problem> {
        let report = self.store.at(&cx).load::<Report>(&it.report).await?;
        self.told(&report.ask, &cx).await
    }
}

impl Handle<GenerateReport> for Analytics {
    async fn handle(&self, it: GenerateReport, cx: Granted<GenerateReport>) -> Result<ResultView, Problem> {
        let report = self.store.at(&cx).load::<Report>(&it.report).await?;
        cx.permit(&*report)?;
        let answer = self.told(&report.ask, &cx).await?;
        let (kept, generated) = Generated::new(cx.new_id(), &report, answer, cx.now());
        Ok((&*self.store.at(&cx).create(kept, generated).await?).into())
    }
}

impl Handle<ListReports> for Analytics {
    async fn handle(&self, it: ListReports, cx: Granted<ListReports>) -> Result<List<ReportView>, Problem> {
        let page = Page { after: it.after, limit: it.limit.map_or(0, |limit| limit as usize), newest_first: false };
        let listed = self.store.at(&cx).list::<Report>("all", "", &page).await?;
        Ok(List { items: listed.items.iter().map(|it| (&**it).into()).collect(), next: listed.next })
    }
}

impl Handle<ListResults> for Analytics {
    async fn handle(&self, it: ListResults, cx: Granted<ListResults>) -> Result<List<ResultView>, Problem> {
        self.store.at(&cx).load::<Report>(&it.report).await?;
        let page = Page { after: it.after, limit: 50, newest_first: true };
        let listed = self.store.at(&cx).list::<Generated>("report", &it.report.to_string(), &page).await?;
        Ok(List { items: listed.items.iter().map(|it| (&**it).into()).collect(), next: listed.next })
    }
}

impl Handle<ReadResult> for Analytics {
    async fn handle(&self, it: ReadResult, cx: Granted<ReadResult>) -> Result<WholeResult, Problem> {
        let generated = self.store.at(&cx).load::<Generated>(&it.result).await?.into_inner();
        Ok(WholeResult { result: (&generated).into(), answer: generated.answer })
    }
}
