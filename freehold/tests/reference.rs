//! What explains the program to others is true of it: the document, the pages of `/docs`, a page for each problem, and the
//! schemas of the events that it really writes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod site;

use std::{collections::BTreeSet, path::Path};

use events::Log;
use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use site::{PASSWORD, Site, mailpit, unique, until};
use sqlite::SqliteEngine;

/// The code's page says the same as the problem did, to programs and to people.
async fn explained(site: &Site, asked: reqwest::RequestBuilder, code: &str) {
    let problem: Value = asked.send().await.unwrap().json().await.unwrap();
    assert_eq!(problem["code"], code, "{problem}");
    let path = problem["type"].as_str().unwrap();
    let page = site.visitor("localhost").does("GET", path, Value::Null).await;
    for field in ["code", "kind", "status", "title"] {
        assert_eq!(page[field], problem[field], "{page}");
    }
    assert!(problem["hint"].is_string() && page["remedies"][0].is_string(), "{page} {problem}");
    let html = site.visitor("localhost").request("GET", path).header("accept", "text/html").send().await.unwrap();
    assert_eq!(html.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(html.text().await.unwrap().contains(code));
}

async fn problems(site: &Site) {
    let visitor = site.visitor("localhost");
    let ask = |method: &str, path: &str| visitor.request(method, path);
    explained(site, ask("GET", "/v1/tenants"), "sign_in_required").await;
    explained(site, ask("GET", "/v1/nothing"), "not_found").await;
    explained(site, ask("DELETE", "/v1/tenants"), "method_not_allowed").await;
    explained(site, ask("GET", "/v1/me"), "tenant_required").await;
    explained(site, ask("POST", "/v1/sign-up").body("{}"), "media_type_unsupported").await;
    explained(site, ask("POST", "/v1/sign-up").json(&json!({})), "invalid_request").await;
    explained(site, ask("GET", "/v1/tenants").bearer_auth("nobody"), "credential_refused").await;
    visitor.refused("GET", "/problems/nothing.such", Value::Null, "not_found").await;
    let all = visitor.does("GET", "/problems", Value::Null).await;
    let checked_in = include_str!("../../crates/web/src/problems.json");
    assert_eq!(all, serde_json::from_str::<Value>(checked_in).unwrap());
}

async fn pages(site: &Site) {
    let visitor = site.visitor("localhost");
    let document = visitor.request("GET", "/openapi.json").send().await.unwrap();
    let tag = document.headers()[header::ETAG].clone();
    let document: Value = document.json().await.unwrap();
    let checked_in: Value = serde_json::from_str(include_str!("../../openapi/freehold.json")).unwrap();
    assert_eq!(document["paths"], checked_in["paths"], "run `cargo xtask generate`");
    let again = visitor.request("GET", "/openapi.json").header(header::IF_NONE_MATCH, tag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);

    let page = visitor.request("GET", "/docs").send().await.unwrap();
    let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
    let page = page.text().await.unwrap();
    assert!(!page.contains("://"), "nothing comes from another host: {page}");
    let files: Vec<_> = page.split('"').filter(|part| part.starts_with("/docs/")).collect();
    assert_eq!(files.len(), 4);
    for file in files {
        let served = visitor.request("GET", file).send().await.unwrap();
        assert_eq!(served.status(), StatusCode::OK, "{file}");
        assert!(served.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    }
    visitor.refused("GET", "/docs/0/docs.js", Value::Null, "not_found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_interface_explains_itself() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(&folder.path().join("data"), None, mail).await;
    problems(&site).await;
    pages(&site).await;
}

/// Makes the program write these events.
async fn make_events(site: &Site) {
    let operator = site.operator().await;
    let (tenant, owner) = site.company("acme", "Ada Lovelace", &unique("acme")).await;
    owner.does("PATCH", "/v1/me", json!({ "name": "Ada King" })).await;
    owner.does("PUT", "/v1/me/preferences/theme", json!({ "value": "dark" })).await;
    owner.does("PUT", "/v1/features/search", json!({ "enabled": true, "percentage": 50 })).await;
    let email = unique("charles");
    let invited = json!({ "email": email, "name": "Charles", "role": "member" });
    owner.does("POST", "/v1/invitations", invited).await;
    site.visitor("acme.localhost").follows(&site.link_for(&email).await, PASSWORD).await;
    let colleague = until("the colleague's profile", async || {
        let people = owner.does("GET", "/v1/users?search=char", Value::Null).await;
        people["items"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    owner.does("PUT", &format!("/v1/users/{colleague}/roles"), json!({ "roles": ["admin"] })).await;
    operator.does("PUT", &format!("/v1/tenants/{tenant}/quotas/seats"), json!({ "limit": 9 })).await;
    operator.does("POST", &format!("/v1/tenants/{tenant}/suspend"), json!({ "reason": "unpaid" })).await;
    operator.does("POST", &format!("/v1/tenants/{tenant}/resume"), json!({})).await;
    let (globex, _) = site.company("globex", "Ada Lovelace", &unique("globex")).await;
    operator.does("POST", &format!("/v1/tenants/{globex}/erase"), json!({})).await;
}

/// The events of a log that nobody writes to any more.
async fn logged(data: &Path) -> Vec<Value> {
    let log = SqliteEngine::open(&data.join("store.sqlite")).unwrap();
    let entries = log.read(0, 10_000).await.unwrap();
    entries.iter().map(|entry| serde_json::from_slice(&entry.envelope).unwrap()).collect()
}

/// Each field that was written stands in the schema, and each that must be there was written.
fn fits(schema: &Value, written: &Value, what: &str) {
    let fields = schema["fields"].as_array().unwrap();
    let known: BTreeSet<_> = fields.iter().map(|field| field["name"].as_str().unwrap()).collect();
    let written = written.as_object().unwrap();
    for name in written.keys() {
        assert!(known.contains(name.as_str()), "{what}: the schema lacks {name}");
    }
    for field in fields.iter().filter(|field| field.get("default").is_none()) {
        assert!(written.contains_key(field["name"].as_str().unwrap()), "{what}: {field} was not written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_written_as_their_schemas_say() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let site = Site::start(&data, None, mail).await;
    make_events(&site).await;
    let expected = BTreeSet::from([
        "identity.LinkRequested.v1",
        "identity.RoleAssigned.v1",
        "identity.UserActivated.v1",
        "identity.UserAuthenticated.v1",
        "identity.UserRegistered.v1",
        "notifications.NotificationRequested.v1",
        "notifications.NotificationSent.v1",
        "tenants.FeatureEnabled.v1",
        "tenants.ResourceQuotaUpdated.v1",
        "tenants.TenantErased.v1",
        "tenants.TenantProvisioned.v1",
        "tenants.TenantResumed.v1",
        "tenants.TenantSuspended.v1",
        "users.PreferenceChanged.v1",
        "users.ProfileCreated.v1",
        "users.ProfileUpdated.v1",
    ]);
    let events = until("all of these events", async || {
        let events = logged(&data).await;
        let types: BTreeSet<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        expected.is_subset(&types).then(|| events.clone())
    })
    .await;
    drop(site);
    let schemas = Path::new("../schemas");
    let schema = |file: &str| {
        let text = std::fs::read_to_string(schemas.join(file)).unwrap_or_else(|_| panic!("no schema {file}"));
        serde_json::from_str::<Value>(&text).unwrap()
    };
    for event in events {
        let r#type = event["type"].as_str().unwrap();
        fits(&schema("Envelope.avsc"), &event, r#type);
        if r#type == kernel::event::CHANGED {
            // A note for the audit log: no public event, it has no schema.
            assert_eq!(event["data"].as_object().unwrap().keys().collect::<Vec<_>>(), ["change"]);
            continue;
        }
        fits(&schema(&format!("{}.avsc", r#type.replacen('.', "/", 1))), &event["data"], r#type);
    }
}
