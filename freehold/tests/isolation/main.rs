//! Two companies on one installation, and every way from the one to the other: every entry of the router, with every kind
//! of credential, by host name, by header, by a key of repetition, by a stream, and by a service of one's own behind the
//! proxy. What is new and has no case here fails.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where something is not as it must be"
)]

mod entries;
#[path = "../foreign/mod.rs"]
mod foreign;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../oauth/program.rs"]
mod program;
mod proxied;
#[path = "../site/mod.rs"]
mod site;
mod streams;

use program::{Company, Program, access, found};
use serde_json::{Value, json};
use site::{Person, Site, mailpit};

/// A company, and what its people and programs show of themselves.
pub(crate) struct Side<'a> {
    pub(crate) company: &'a Company<'a>,
    /// By kind. The first is a cookie, which a visitor may have; the others are shown on purpose.
    pub(crate) credentials: Vec<(&'static str, Person<'a>)>,
}

impl Side<'_> {
    /// What would tell that an answer is about this company.
    pub(crate) fn marks(&self) -> [&str; 2] {
        [&self.company.id, &self.company.email]
    }
}

async fn side<'a>(company: &'a Company<'a>) -> Side<'a> {
    let owner = &company.owner;
    let key = json!({ "name": "CI", "permissions": ["users.profile.read"], "days": 2 });
    let key = owner.does("POST", "/v1/api-keys", key).await;
    let scopes = json!(["openid", "email", "users.profile.read"]);
    let app = Program::registered(company, json!({ "first_party": true, "scopes": scopes })).await;
    let token = access(owner, &app.granted(owner, "openid email users.profile.read").await);
    let own = json!({ "permissions": ["users.profile.read"], "token_endpoint_auth_method": "client_secret_basic" });
    let (status, own) = Program::registered(company, own).await.itself().await;
    assert!(status.is_success(), "{own}");
    let credentials = vec![
        ("cookie", owner.clone()),
        ("person's token", token),
        ("program's token", access(owner, &own)),
        ("API key", company.visitor.clone().with_token(key["key"].as_str().unwrap())),
    ];
    for (kind, person) in &credentials {
        assert!(person.send("GET", "/v1/users", Value::Null).await.0.is_success(), "the {kind} is good at home");
    }
    Side { company, credentials }
}

/// The same key of repetition, with the same request: each company's is its own.
async fn keys(left: &Side<'_>, right: &Side<'_>) {
    let asks = async |side: &Side<'_>| {
        let request = side.company.owner.request("POST", "/v1/analytics/dashboards").header("idempotency-key", "k-1");
        let answer = request.json(&json!({ "title": "All", "tiles": [] })).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (ours, theirs) = (asks(left).await, asks(right).await);
    assert_ne!(ours, theirs, "an answer that was given to another company");
    assert_eq!((asks(left).await, asks(right).await), (ours, theirs));
}

#[tokio::test(flavor = "multi_thread")]
async fn companies_do_not_meet() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    // Nobody guesses here: who is refused is refused for what is shown.
    let patient = [("FREEHOLD_LIMITS__FAILURES", "{per_second=10000,burst=100000}")];
    let site = Site::start_with(&folder.path().join("data"), None, mail, &patient).await;
    let operator = site.operator().await;
    let (acme, globex) = tokio::join!(found(&site, "acme"), found(&site, "globex"));
    let (left, right) = (side(&acme).await, side(&globex).await);
    let document = site.visitor("localhost").does("GET", "/openapi.json", Value::Null).await;
    keys(&left, &right).await;
    streams::apart(&left, &right, &document).await;
    proxied::apart(&left, &right, &operator).await;
    entries::apart(&left, &right, &document).await;
    entries::beside(&left, &right).await;
    let item = json!({ "key": "base", "name": "Base", "charge": { "for": "flat" },
        "prices": { "EUR": { "model": "per_unit", "unit": "10" } } });
    let solo = json!({ "name": "Solo", "cadence": { "every": 1, "unit": "month" }, "items": [item] });
    operator.does("PUT", "/v1/plans/solo", json!({ "terms": solo })).await;
    foreign::ids(&acme.owner, &globex.owner, &acme.email, &document).await;
    let listed = globex.owner.does("GET", "/v1/users", Value::Null).await.to_string();
    assert!(listed.contains(&globex.email) && !listed.contains(&acme.email));
}
