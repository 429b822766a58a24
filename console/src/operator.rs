//! The operator's pages: all tenants, and one.

use std::sync::Arc;

use askama::Template;
use bytes::Bytes;
use http::Request;
use kernel::{Caller, Cx, Problem, ProblemKind};
use serde_json::{Map, Value, json};

use crate::{
    Console,
    answers::{Answer, Sent, form, get, holds, html, is_told, items, next_page, query, redirect, segment, text},
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
    tenants: Vec<Tenant>,
    next: String,
}

#[derive(Template)]
#[template(path = "tenant.html")]
struct TenantPage {
    frame: Frame,
    it: Tenant,
    archives: bool,
}

impl Console {
    pub(crate) async fn operator(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        if !matches!(cx.caller(), Caller::Operator { .. }) {
            return redirect("/operator/sign-in");
        }
        let sent = query(&request);
        let find = get(&sent, "find").to_owned();
        let listed = if find.is_empty() {
            let mut asked = Map::from_iter([("limit".to_owned(), json!(50))]);
            if !get(&sent, "after").is_empty() {
                asked.insert("after".to_owned(), json!(get(&sent, "after")));
            }
            self.calls.ask("tenants.list", Value::Object(asked), &cx).await?
        } else {
            let found = self.see("tenants.resolve", json!({ "name": find }), &cx).await?;
            json!({ "items": found.into_iter().collect::<Vec<_>>() })
        };
        let page = All {
            frame: Frame::of_operator(&sent, None),
            tenants: items(&listed).iter().map(Tenant::from).collect(),
            next: next_page("/operator", &listed, &[]),
            find,
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
        let found = self.calls.ask("tenants.resolve", json!({ "name": tenant }), cx).await?;
        let frame = Frame::of_operator(sent, refused);
        html(&TenantPage { frame, it: (&found).into(), archives: holds(cx, "tenants.tenant.archive") }, refused)
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
                self.calls.ask("tenants.quota.update", input, &cx).await.map(|_| "saved")
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
        let found = self.calls.ask("tenants.resolve", json!({ "name": tenant }), cx).await?;
        if text(&found, "slug") != confirm {
            return Err(Problem::new(ProblemKind::Refused, "console.not_confirmed", "nothing was erased")
                .hint("type the subdomain of this company to erase it"));
        }
        self.calls.ask("tenants.erase", json!({ "tenant": tenant }), cx).await.map(drop)
    }
}
