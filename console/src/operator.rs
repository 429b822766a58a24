//! The operator's pages: all tenants, and one.

use std::sync::Arc;

use askama::Template;
use bytes::Bytes;
use http::Request;
use jiff::tz::TimeZone;
use kernel::{Caller, Cx, Problem, ProblemKind};
use serde_json::{Map, Value, json};

use crate::{
    Console,
    answers::{Answer, Sent, form, get, html, instant, is_told, items, next_page, query, redirect, segment, text},
    frame::Frame,
};

struct Tenant {
    id: String,
    name: String,
    slug: String,
    status: String,
    reason: String,
    /// How its status looks.
    mood: &'static str,
}

impl From<&Value> for Tenant {
    fn from(it: &Value) -> Self {
        let status = text(it, "status");
        let mood = match status.as_str() {
            "active" | "trial" => "good",
            "suspended" | "erased" => "bad",
            _ => "",
        };
        Self {
            id: text(it, "id"),
            name: text(it, "name"),
            slug: text(it, "slug"),
            reason: text(it, "reason"),
            status,
            mood,
        }
    }
}

#[derive(Template)]
#[template(path = "operator.html")]
struct All {
    frame: Frame,
    find: String,
    status: String,
    states: [&'static str; 6],
    tenants: Vec<Tenant>,
    next: String,
}

#[derive(Template)]
#[template(path = "tenant.html")]
struct TenantPage {
    frame: Frame,
    it: Tenant,
    /// What else is known: label and words.
    facts: Vec<(&'static str, String)>,
    /// What the tenant may use, and why.
    features: Vec<(String, String, String)>,
    /// How far it is set up or destroyed.
    steps: Vec<(String, String)>,
}

impl Console {
    pub(crate) async fn operator(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        if !matches!(cx.caller(), Caller::Operator { .. }) {
            return redirect("/operator/sign-in");
        }
        let sent = query(&request);
        let mut asked = Map::from_iter([("limit".to_owned(), json!(50))]);
        for name in ["search", "status", "after"] {
            if !get(&sent, name).is_empty() {
                asked.insert(name.to_owned(), json!(get(&sent, name)));
            }
        }
        let listed = self.calls.ask("tenants.list", Value::Object(asked), &cx).await?;
        let (find, status) = (get(&sent, "search").to_owned(), get(&sent, "status").to_owned());
        let page = All {
            frame: Frame::of_operator(&sent, None),
            states: ["provisioning", "trial", "active", "suspended", "archived", "erased"],
            tenants: items(&listed).iter().map(Tenant::from).collect(),
            next: next_page("/operator", &listed, &[("search", &find), ("status", &status)]),
            find,
            status,
        };
        html(&page, None)
    }

    pub(crate) async fn tenant_page(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        if !matches!(cx.caller(), Caller::Operator { .. }) {
            return redirect("/operator/sign-in");
        }
        self.one_tenant(&segment(&request, 2), &query(&request), None, &cx).await
    }

    async fn one_tenant(&self, tenant: &str, sent: &Sent, refused: Option<&Problem>, cx: &Cx) -> Answer {
        let of = json!({ "tenant": tenant });
        let found = self.calls.ask("tenants.read", of.clone(), cx).await?;
        let given = self.see("tenants.entitlements.read", of, cx).await?.unwrap_or_default();
        let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let listed = |of: &Value, field: &str| of.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
        let feature =
            |it: &Value| (text(it, "feature"), it.get("value").map(word).unwrap_or_default(), text(it, "explanation"));
        let going_on = ["erasure", "provisioning"].into_iter().find_map(|saga| found.get(saga));
        let steps = going_on.map(|saga| listed(saga, "steps")).unwrap_or_default();
        let step = |it: &Value| {
            let done = instant(&text(it, "done"), &TimeZone::UTC);
            (text(it, "step"), if done.is_empty() { "to be done".to_owned() } else { done })
        };
        let trial = instant(&text(&found, "trial_ends"), &TimeZone::UTC);
        let facts = [("Address", text(&found, "origin")), ("Trial until", trial)];
        let page = TenantPage {
            frame: Frame::of_operator(sent, refused),
            it: (&found).into(),
            facts: facts.into_iter().filter(|(_, words)| !words.is_empty()).collect(),
            features: listed(&given, "features").iter().map(feature).collect(),
            steps: steps.iter().map(step).collect(),
        };
        html(&page, refused)
    }

    pub(crate) async fn tenant_act(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let (tenant, sent) = (segment(&request, 2), form(&request));
        let (of, why) = (json!({ "tenant": tenant }), json!({ "tenant": tenant, "reason": get(&sent, "reason") }));
        let done = match segment(&request, 3).as_str() {
            "suspend" => self.calls.ask("tenants.suspend", why, &cx).await.map(|_| "suspended"),
            "archive" => self.calls.ask("tenants.archive", why, &cx).await.map(|_| "archived"),
            "resume" => self.calls.ask("tenants.resume", of, &cx).await.map(|_| "resumed"),
            "restore" => self.calls.ask("tenants.restore", of, &cx).await.map(|_| "resumed"),
            "seats" => {
                let limit = get(&sent, "limit").parse::<u64>().unwrap_or(u64::MAX);
                let input = json!({ "tenant": tenant, "resource": "seats", "limit": limit });
                self.calls.ask("tenants.quotas.update", input, &cx).await.map(|_| "saved")
            }
            "erase" => self.erase_tenant(&tenant, get(&sent, "confirm"), &cx).await.map(|()| "erased"),
            _ => Err(Problem::not_found("page")),
        };
        match done {
            Ok(said) => redirect(&format!("/operator/tenants/{tenant}?said={said}")),
            Err(problem) if is_told(&problem) => self.one_tenant(&tenant, &Sent::new(), Some(&problem), &cx).await,
            Err(problem) => Err(problem),
        }
    }

    async fn erase_tenant(&self, tenant: &str, confirm: &str, cx: &Cx) -> Result<(), Problem> {
        let found = self.calls.ask("tenants.read", json!({ "tenant": tenant }), cx).await?;
        if text(&found, "slug") != confirm {
            return Err(Problem::new(ProblemKind::Refused, "console.not_confirmed", "nothing was erased")
                .hint("type the subdomain of this company to erase it"));
        }
        self.calls.ask("tenants.erase", json!({ "tenant": tenant }), cx).await.map(drop)
    }
}
