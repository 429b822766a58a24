//! The pages.

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use kernel::{Caller, Cx, Problem, ProblemKind, context::Body};
use serde_json::{Value, json};

use crate::Console;

type Answer = Result<Response<Body>, Problem>;

struct TenantRow {
    id: String,
    name: String,
    slug: String,
    status: String,
    reason: String,
}

#[derive(Template)]
#[template(path = "operator.html")]
struct Operator {
    tenants: Vec<TenantRow>,
}

struct Bar {
    label: String,
    people: u64,
    height: u64,
}

struct SessionRow {
    id: String,
    began: String,
    current: bool,
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    name: String,
    email: String,
    roles: String,
    seats: String,
    people: Option<Vec<(String, String)>>,
    sessions: Vec<SessionRow>,
    chart: Option<Vec<Bar>>,
}

fn redirect(to: &str) -> Answer {
    let answer = Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, to);
    answer.body(Bytes::new().into()).map_err(Problem::internal)
}

fn html(page: &impl Template) -> Answer {
    let answer = Response::builder().header(header::CONTENT_TYPE, "text/html; charset=utf-8");
    answer.body(page.render().map_err(Problem::internal)?.into()).map_err(Problem::internal)
}

fn text(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn items(value: &Value) -> &[Value] {
    value.get("items").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn form(request: &Request<Bytes>) -> HashMap<String, String> {
    form_urlencoded::parse(request.body()).into_owned().collect()
}

/// `None` where the caller may not see it, or no context here serves it.
fn shown(answer: Result<Value, Problem>) -> Result<Option<Value>, Problem> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(problem) if matches!(problem.kind(), ProblemKind::Denied | ProblemKind::NotFound) => Ok(None),
        Err(problem) if problem.code() == "context_not_served" => Ok(None),
        Err(problem) => Err(problem),
    }
}

fn bars(value: &Value) -> Vec<Bar> {
    let days = value.as_array().into_iter().flatten();
    let days: Vec<(String, u64)> =
        days.map(|day| (text(day, "day"), day.get("people").and_then(Value::as_u64).unwrap_or(0))).collect();
    let most = days.iter().map(|day| day.1).max().unwrap_or(0).max(1);
    let label = |day: &str| day.get(5..).unwrap_or_default().to_owned();
    days.iter().map(|(day, people)| Bar { label: label(day), people: *people, height: people * 80 / most }).collect()
}

impl Console {
    pub(crate) async fn operator(self: Arc<Self>, _: Request<Bytes>, cx: Cx) -> Answer {
        if !matches!(cx.caller(), Caller::Operator { .. }) {
            return redirect("/operator/sign-in");
        }
        let listed = self.calls.ask("tenants.list", json!({ "limit": 200 }), &cx).await?;
        let row = |it: &Value| TenantRow {
            id: text(it, "id"),
            name: text(it, "name"),
            slug: text(it, "slug"),
            status: text(it, "status"),
            reason: text(it, "reason"),
        };
        html(&Operator { tenants: items(&listed).iter().map(row).collect() })
    }

    pub(crate) async fn suspend(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request);
        let input = json!({ "tenant": sent.get("tenant"), "reason": sent.get("reason") });
        self.calls.ask("tenants.suspend", input, &cx).await?;
        redirect("/operator")
    }

    pub(crate) async fn resume(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        self.calls.ask("tenants.resume", json!({ "tenant": form(&request).get("tenant") }), &cx).await?;
        redirect("/operator")
    }

    pub(crate) async fn end_session(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        self.calls.ask("identity.sessions.revoke", json!({ "session": form(&request).get("session") }), &cx).await?;
        redirect("/home")
    }

    pub(crate) async fn home(self: Arc<Self>, _: Request<Bytes>, cx: Cx) -> Answer {
        let Caller::User { id, .. } = cx.caller() else { return redirect("/sign-in?return_to=/home") };
        let ask = async |name: &str, input: Value| shown(self.calls.ask(name, input, &cx).await);
        let (me, roles) = (ask("users.me", json!({})).await?, ask("identity.roles.read", json!({ "user": id })).await?);
        let (people, seats) =
            (ask("users.list", json!({ "limit": 100 })).await?, ask("tenants.seats.read", json!({})).await?);
        let (sessions, active) =
            (ask("identity.sessions.list", json!({})).await?, ask("analytics.active_people", json!({})).await?);
        let (me, roles) = (me.unwrap_or_default(), roles.unwrap_or_default());
        let names = roles.get("roles").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let people =
            people.map(|listed| items(&listed).iter().map(|it| (text(it, "name"), text(it, "email"))).collect());
        let number = |seats: &Value, field: &str| seats.get(field).and_then(Value::as_u64).unwrap_or(0);
        let session = |it: &Value| SessionRow {
            id: text(it, "id"),
            began: text(it, "began").get(..16).unwrap_or_default().replace('T', " "),
            current: it.get("current").and_then(Value::as_bool).unwrap_or_default(),
        };
        html(&Home {
            name: text(&me, "name"),
            email: text(&me, "email"),
            roles: names.collect::<Vec<_>>().join(", "),
            seats: seats
                .map(|it| format!("{} of {} seats", number(&it, "used"), number(&it, "limit")))
                .unwrap_or_default(),
            people,
            sessions: sessions.iter().flat_map(items).map(session).collect(),
            chart: active.as_ref().map(bars),
        })
    }
}
