//! Every page there is, as a browser sees it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

use std::{
    collections::BTreeSet,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use reqwest::Url;
use serde_json::{Value, json};

use crate::site::{PASSWORD, Person, Site, code, step, unique, until};

/// What a page may weigh with all that it loads: one that stands by itself, one of the console.
const HOSTED: u32 = 30 * 1024;
const CONSOLE: u32 = 150 * 1024;

/// Pages that are looked at, under the operations that serve them.
pub(crate) struct Album<'a> {
    site: &'a Site,
    pages: Vec<Value>,
    seen: BTreeSet<String>,
}

fn path_of(link: &str) -> String {
    let link = Url::parse(link).unwrap();
    format!("{}?{}", link.path(), link.query().unwrap())
}

impl<'a> Album<'a> {
    pub(crate) fn new(site: &'a Site) -> Self {
        Self { site, pages: Vec::new(), seen: BTreeSet::new() }
    }

    fn page(&mut self, operation: &str, person: &Person<'_>, path: &str, more: &Value) {
        let number = self.pages.iter().filter(|it| it["operation"] == operation).count();
        let name =
            format!("{}{}", operation.replace('.', "-"), if number == 0 { String::new() } else { number.to_string() });
        let mut page = json!({ "operation": operation, "name": name, "url": self.site.at(&person.host, path),
            "cookie": person.cookie(), "bytes": CONSOLE });
        page.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.seen.insert(operation.to_owned());
        self.pages.push(page);
    }

    pub(crate) fn hosted(&mut self, operation: &str, person: &Person<'_>, path: &str) {
        self.page(operation, person, path, &json!({ "bytes": HOSTED }));
    }

    /// The answer to a form.
    fn sent(&mut self, operation: &str, person: &Person<'_>, path: &str, form: &[(&str, &str)], more: &Value) {
        let form = Url::parse_with_params("http://x/", form).unwrap().query().unwrap().to_owned();
        let mut more = more.clone();
        more["form"] = form.into();
        self.page(operation, person, path, &more);
    }

    pub(crate) async fn of_visitors(&mut self, owner: &Person<'_>, operator: &Person<'_>) {
        let hosted = json!({ "bytes": HOSTED });
        let visitor = self.site.visitor(&owner.host);
        self.hosted("identity.pages.sign_in", &visitor, "/sign-in");
        self.hosted("identity.pages.recover", &visitor, "/recover");
        let nobody = [("email", "nobody@mail.example")];
        self.sent("identity.pages.recovered", &visitor, "/recover", &nobody, &hosted);
        let wrong = [("email", "nobody@mail.example"), ("password", "wrong")];
        let refused = json!({ "bytes": HOSTED, "status": 422 });
        self.sent("identity.pages.signed_in", &visitor, "/sign-in", &wrong, &refused);
        let gone = json!({ "bytes": HOSTED, "status": 404 });
        self.page("identity.oidc.authorize", &visitor, "/oauth/authorize?client_id=none", &gone);
        self.hosted("identity.oidc.logout", &visitor, "/oauth/logout");
        self.hosted("identity.pages.operator", operator, "/operator/sign-in");
        self.hosted("identity.pages.sign_up", operator, "/sign-up");
        let bad = [("company", ""), ("slug", "A"), ("name", ""), ("email", "x")];
        self.sent("identity.pages.signed_up", operator, "/sign-up", &bad, &refused);

        let email = unique("augusta");
        let asked = json!({ "email": email, "name": "Augusta", "role": "member" });
        owner.does("POST", "/v1/invitations", asked).await;
        self.hosted("identity.pages.welcome", &visitor, &path_of(&self.site.link_for(&email).await));
        self.hosted("notifications.pages.unsubscribe", &visitor, &self.unsubscribe(owner).await);
        let token = "/unsubscribe?token=x";
        self.page("notifications.pages.unsubscribe", &visitor, token, &json!({ "bytes": HOSTED, "status": 400 }));
    }

    /// Mails news to somebody; the path of the link by which they want no more.
    async fn unsubscribe(&self, owner: &Person<'_>) -> String {
        let texts = json!({ "subject": "News", "text": "{{ unsubscribe }}" });
        let news = json!({ "category": "product", "variables": {}, "locales": { "en": texts } });
        owner.does("PUT", "/v1/templates/news", json!({ "wording": news })).await;
        owner.does("POST", "/v1/templates/news/publish", json!({})).await;
        let reader = unique("reader");
        let asked = json!({ "template": "news", "to": { "address": reader } });
        owner.does("POST", "/v1/notifications", asked).await;
        path_of(&self.site.link_for(&reader).await)
    }

    /// Somebody who moves to another address and has a second factor.
    pub(crate) async fn of_members(&mut self, owner: &Person<'_>) {
        let email = unique("betty");
        let asked = json!({ "email": email, "name": "Betty Holberton", "role": "member" });
        owner.does("POST", "/v1/invitations", asked).await;
        let visitor = self.site.visitor(&owner.host);
        let member = visitor.follows(&self.site.link_for(&email).await, PASSWORD).await;
        let moved = unique("betty.new");
        member.does("PUT", "/v1/me/email", json!({ "email": moved })).await;
        self.hosted("identity.pages.change_address", &visitor, &path_of(&self.site.link_for(&moved).await));
        self.hosted("identity.pages.account", &member, "/account");
        let secret = member.does("POST", "/v1/me/totp", json!({})).await["secret"].as_str().unwrap().to_owned();
        member.does("POST", "/v1/me/totp/confirm", json!({ "code": code(&secret, step()) })).await;
        self.hosted("identity.pages.account", &member, "/account");
        let right = [("email", email.as_str()), ("password", PASSWORD)];
        self.sent("identity.pages.signed_in", &visitor, "/sign-in", &right, &json!({ "bytes": HOSTED }));

        let callback = "https://app.example/callback";
        let client = json!({ "name": "Difference <i>Engine</i>", "redirect_uris": [callback] });
        let client = owner.does("POST", "/v1/clients", client).await;
        let query = [
            ("client_id", client["client_id"].as_str().unwrap()),
            ("redirect_uri", callback),
            ("response_type", "code"),
            ("scope", "openid email profile"),
            ("code_challenge", "a-challenge-of-just-43-characters-in-length"),
            ("code_challenge_method", "S256"),
        ];
        let query = Url::parse_with_params("http://x/", query).unwrap().query().unwrap().to_owned();
        self.hosted("identity.oidc.authorize", &member, &format!("/oauth/authorize?{query}"));
        self.hosted("identity.oidc.logout", &member, "/oauth/logout");
        self.page("console.home", &member, "/home", &json!({}));
    }

    pub(crate) async fn of_owners(&mut self, owner: &Person<'_>) {
        let people = owner.does("GET", "/v1/users?search=grace", Value::Null).await;
        let grace = format!("/people/{}", people["items"][0]["id"].as_str().unwrap());
        let all = json!({});
        self.page("console.branding", owner, "/branding", &all);
        owner.request("PUT", "/v1/branding/logo").body(LOGO).send().await.unwrap().error_for_status().unwrap();
        self.page("console.home", owner, "/home?said=saved", &all);
        self.page("console.people", owner, "/people", &all);
        self.page("console.people", owner, "/people?search=zz", &all);
        self.page("console.person", owner, &grace, &all);
        self.page("console.settings", owner, "/settings", &all);
        self.page("console.branding", owner, "/branding?said=saved", &all);
        let preview = [("name", "Night & Day"), ("coloured", "on"), ("accent", "#101010"), ("support", "a@b.example")];
        self.sent("console.branding.act", owner, "/branding/preview", &preview, &all);
        self.page("analytics.pages.dashboards", owner, "/analytics", &all);
        let metric = json!({ "name": "Reports", "definition": { "measure": "count", "name": "report.opened" } });
        let metric = owner.does("POST", "/v1/analytics/metrics", metric).await["id"].clone();
        let board = json!({ "title": "Week", "tiles": [{ "metric": metric }] });
        let board = owner.does("POST", "/v1/analytics/dashboards", board).await["id"].as_str().unwrap().to_owned();
        self.page("analytics.pages.dashboards", owner, "/analytics", &all);
        self.page("analytics.pages.dashboard", owner, &format!("/analytics/{board}"), &all);
    }

    /// A company that pays: its plan, its invoices, and the page that whoever pays gets a link to.
    pub(crate) async fn of_payers(&mut self, owner: &Person<'_>, operator: &Person<'_>) {
        let all = json!({});
        self.page("console.billing", owner, "/billing", &all);
        let seats = json!({ "key": "seats", "name": "Seats", "charge": { "for": "quantity", "least": 1, "most": 50 },
            "prices": { "EUR": { "model": "per_unit", "unit": "12" } } });
        let calls = json!({ "key": "calls", "name": "API calls",
            "charge": { "for": "usage", "meter": "api_calls", "aggregation": "sum" },
            "prices": { "EUR": { "model": "per_unit", "unit": "0.01" } } });
        for (plan, name) in [("team", "Team"), ("solo", "Solo <b>")] {
            let terms = json!({ "name": name, "cadence": { "every": 1, "unit": "month" }, "items": [seats, calls] });
            operator.does("PUT", &format!("/v1/plans/{plan}"), json!({ "terms": terms })).await;
        }
        let account = json!({ "holder": "Seller GmbH", "iban": "AT611904300234573201" });
        let seller =
            json!({ "name": "Seller GmbH", "address": "Ring 1, Wien", "country": "AT", "bank_account": account });
        operator.does("PUT", "/v1/seller", json!({ "seller": seller })).await;
        self.page("console.billing", owner, "/billing", &all);
        owner.does("POST", "/v1/subscription", json!({ "plan": "team", "currency": "EUR" })).await;
        owner.does("POST", "/v1/usage", json!({ "events": [{ "id": "a", "meter": "api_calls", "value": "7" }] })).await;
        let invoice = until("an invoice", async || {
            let listed = owner.does("GET", "/v1/invoices", Value::Null).await;
            listed["items"][0]["number"].as_str()?;
            listed["items"][0]["id"].as_str().map(str::to_owned)
        })
        .await;
        self.page("console.billing", owner, "/billing?said=saved", &all);
        let preview = [("plan", "solo"), ("seats", "3"), ("when", "now")];
        self.sent("console.billing.act", owner, "/billing/preview", &preview, &all);
        let link = owner.does("GET", &format!("/v1/invoices/{invoice}/link"), Value::Null).await;
        let path = Url::parse(link["url"].as_str().unwrap()).unwrap().path().to_owned();
        let visitor = self.site.visitor("localhost");
        self.hosted("billing.pages.invoice", &visitor, &path);
        self.page("billing.pages.invoice", &visitor, "/pay/none", &json!({ "bytes": HOSTED, "status": 404 }));
        self.page("console.sales", operator, "/operator/sales", &all);
        self.page("console.audit", owner, "/audit", &all);
        self.page("console.audit", owner, "/audit?action=nothing", &all);
        for (person, list, page, name) in [
            (owner, "/v1/audit/entries", "/audit", "console.audit.proof"),
            (operator, "/v1/audit/logs/platform/entries", "/operator/audit/platform", "console.audit_of.proof"),
        ] {
            let entries = person.does("GET", list, Value::Null).await;
            self.page(name, person, &format!("{page}/{}", entries["items"][0]["id"].as_str().unwrap()), &all);
        }
        self.page("console.audit_of", operator, "/operator/audit", &all);
    }

    pub(crate) async fn of_operators(&mut self, operator: &Person<'_>) {
        let tenants = operator.does("GET", "/v1/tenants", Value::Null).await;
        let tenant = tenants["items"][0]["id"].as_str().unwrap().to_owned();
        let colleague = json!({ "email": "oskar@ops.example", "name": "Oskar", "proof": PASSWORD });
        let invited = operator.does("POST", "/v1/operators", colleague).await;
        let visitor = self.site.visitor("localhost");
        self.hosted("identity.pages.operator_welcome", &visitor, &path_of(invited["link"].as_str().unwrap()));
        self.hosted("identity.pages.operator_account", operator, "/operator/account");
        self.page("console.operator", operator, "/operator", &json!({}));
        self.page("console.operator", operator, "/operator?search=zz", &json!({}));
        self.page("console.tenant", operator, &format!("/operator/tenants/{tenant}"), &json!({}));
    }

    /// A browser looks at what was put in, and finds nothing.
    pub(crate) async fn looked_at(&mut self, modules: &str) {
        let (modules, count) = (modules.to_owned(), self.pages.len());
        let asked = json!({ "pages": std::mem::take(&mut self.pages) });
        let run = move || {
            let mut command = Command::new("node");
            command.arg(Path::new(&modules).join("check.mjs")).current_dir(&modules);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
            child.wait_with_output().unwrap()
        };
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        assert!(output.status.success());
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["found"], json!([]), "{told:#}");
        assert_eq!(told["looked"], 4 * count);
    }

    /// No page was left out.
    pub(crate) async fn has_all(&self) {
        let document = self.site.visitor("localhost").does("GET", "/openapi.json", Value::Null).await;
        let all = document["paths"].as_object().unwrap().values().filter_map(|item| item.get("get"));
        let pages = all.filter(|it| it["responses"]["200"]["content"].get("text/html").is_some());
        let names: BTreeSet<_> = pages.map(|it| it["operationId"].as_str().unwrap().to_owned()).collect();
        let left_out: Vec<_> = names.difference(&self.seen).collect();
        assert!(names.len() > 15 && left_out.is_empty(), "nobody looks at {left_out:?}: put them into the album");
    }
}

/// A logo as a tenant would have it.
const LOGO: &[u8] = include_bytes!("../../../e2e/pages/logo.png");
