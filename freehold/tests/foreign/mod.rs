//! What one company owns, tried by another: every route of the interface that names a thing, with a foreign one.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;

use audit::tlog::{Algorithm, Signer};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::site::{Person, until};

/// Names that people choose, the same in every company: what is behind them is one's own.
const CHOSEN: [&str; 3] = ["template", "resource", "feature"];

/// A thing of each sort that a path can name, made by the owner of a company. The plan `solo` is sold.
async fn things(owner: &Person<'_>) -> BTreeMap<&'static str, String> {
    let text = |answer: &Value, pointer: &str| answer.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    let first = async |path: &str| text(&owner.does("GET", path, Value::Null).await, "/items/0/id");
    let made = async |path: &str, asked: Value, pointer: &str| text(&owner.does("POST", path, asked).await, pointer);
    let user = first("/v1/users").await;
    let session = first("/v1/me/sessions").await;
    let key = json!({ "name": "CI", "permissions": ["users.profile.read"], "days": 1 });
    let webhook = json!({ "name": "CRM", "url": "https://crm.example.com/" });
    let batch = json!({ "template": "link.verify", "recipients": [{ "to": { "address": "x@mail.example" } }] });
    let domain = owner.does("POST", "/v1/domains", json!({ "name": "app.acme.example" })).await;
    let metric = json!({ "name": "Visits", "definition": { "measure": "count", "name": "page.seen" } });
    let report = json!({ "title": "Visits", "ask": { "question": { "measure": "count" } } });
    let report = made("/v1/analytics/reports", report, "/id").await;
    let solo = json!({ "plan": "solo", "currency": "EUR" });
    owner.does("POST", "/v1/subscription", solo).await;
    let invoice = until("an invoice", async || {
        let listed = owner.does("GET", "/v1/invoices", Value::Null).await;
        listed["items"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    let result = made(&format!("/v1/analytics/reports/{report}/results"), json!({}), "/id").await;
    let client = json!({ "name": "App", "redirect_uris": ["https://app.example/"] });
    let witness = Signer::new("witness.example", &[7; 32]).unwrap().verifier(Algorithm::Cosignature).written();
    BTreeMap::from([
        ("entry", first("/v1/audit/entries").await),
        ("witness", made("/v1/audit/witnesses", json!({ "key": witness }), "/name").await),
        // The index of a tile is one's own too: that nobody else's is told follows from the scope.
        ("level", "0".to_owned()),
        ("client", made("/v1/clients", client, "/client_id").await),
        ("role", made("/v1/roles", json!({ "name": "Theirs" }), "/role").await),
        ("user", user),
        ("session", session),
        // What no page of one's own can do either.
        ("act", "nothing".to_owned()),
        ("key", made("/v1/api-keys", key, "/id").await),
        ("channel", made("/v1/channels/webhooks", webhook, "/channel/id").await),
        ("batch", made("/v1/notification-batches", batch, "/id").await),
        ("notification", first("/v1/notifications").await),
        ("domain", text(&domain, "/id")),
        ("metric", made("/v1/analytics/metrics", metric, "/id").await),
        ("report", report),
        ("result", result),
        ("invoice", invoice),
        // No gateway is connected here that could save one: one that nobody has.
        ("method", "pmt_00000000000000000000000001".to_owned()),
        ("dashboard", made("/v1/analytics/dashboards", json!({ "title": "All", "tiles": [] }), "/id").await),
    ])
}

/// A body that the operation would take for a thing of one's own.
fn body(operation: &str, email: &str) -> Value {
    match operation {
        "notifications.channels.update_webhook" => json!({ "url": "https://crm.example.com/", "events": [] }),
        "notifications.channels.switch" => json!({ "enabled": false }),
        "notifications.channels.replay" => json!({ "since": "2026-01-01T00:00:00Z" }),
        "analytics.metrics.update" => json!({ "name": "Visits", "definition": { "measure": "count" } }),
        "analytics.reports.update" => json!({ "title": "x", "ask": { "question": { "measure": "count" } } }),
        "analytics.dashboards.update" => json!({ "title": "x", "tiles": [] }),
        "identity.roles.update" => json!({ "name": "Ours" }),
        "users.erase" => json!({ "confirm": email }),
        _ => json!({ "roles": ["member"] }),
    }
}

/// Every route that names a thing in its path, asked by `right` for a thing of `left`, whose address is `email`: there is none.
pub(crate) async fn ids(left: &Person<'_>, right: &Person<'_>, email: &str, document: &Value) {
    let things = things(left).await;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(_, it)| it["x-scope"] == "tenant") {
            let name = operation["operationId"].as_str().unwrap();
            let Some(named) = path.split('{').nth(1).and_then(|part| part.split('}').next()) else { continue };
            // A preference and a flag are known by names too.
            let chosen = CHOSEN.contains(&named) || named == "key" && name != "identity.api_keys.revoke";
            if chosen {
                continue;
            }
            let Some(id) = things.get(named) else { panic!("{name}: say here what a foreign {named} is") };
            let path = path.replace(&format!("{{{named}}}"), id).replace("{number}", "1");
            let (mut status, mut answer) = right.send(method, &path, body(name, email)).await;
            if status == StatusCode::BAD_REQUEST {
                (status, answer) = right.send(method, &path, Value::Null).await;
            }
            // A page sends whoever may not see it away, or says that there is none.
            assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}: {answer}");
        }
    }
    left.does("DELETE", &format!("/v1/api-keys/{}", things["key"]), Value::Null).await;
}
