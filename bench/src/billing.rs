//! What billing costs: use as it is reported, and an invoice as PDF.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    load::Load,
    paths::Stage,
    report::{Report, Row},
    server::{self, Server, until},
    wire::Ask,
    world::{self, Tenant, does, text},
};

/// The hours that use is spread over.
const HOURS: u64 = 600;

/// On an installation of its own.
pub(crate) async fn run(binary: &Path, seconds: u64, report: &mut Report) -> Result<()> {
    let (_folder, data) = server::folder()?;
    let server = Server::start(binary, &data, crate::UNLIMITED)?;
    let operator = world::operator(&server).await?;
    let tenant = world::tenant(&server, "acme").await?;
    let stage = Stage { server: &server, tenant: &tenant, seconds };
    let invoice = sold(&server, &operator, &tenant).await;
    let pdf = invoice.map(|invoice| {
        let ask = Ask::get(&tenant.host, format!("/v1/invoices/{invoice}/pdf"));
        Load::same(tenant.owner(ask).bytes())
    });
    stage.row(report, Row::cpu("invoice as PDF, with UBL in it", 20_000.0), pdf).await;
    let raw = report.raw_batches;
    stage.row(report, Row::batch("use in batches of 100", raw, 0.5), Ok(usage(&tenant))).await;
    Ok(())
}

/// A plan that is sold to a tenant which lives in March 2031, at the end of its first period; the first invoice.
async fn sold(server: &Server, operator: &str, tenant: &Tenant) -> Result<String> {
    let host = format!("localhost:{}", server.port);
    let operates = async |method: &'static str, path: String, body: Value| {
        let ask = Ask::send(method, &host, path, &body);
        server.ask(&ask.with(format!("Cookie: {operator}"))).await?.json()
    };
    let price = |unit: &str| json!({ "EUR": { "model": "per_unit", "unit": unit } });
    let terms = json!({ "name": "Team", "cadence": { "every": 1, "unit": "month" }, "items": [
        { "key": "seats", "name": "Seats", "charge": { "for": "quantity", "least": 1, "most": 50 }, "prices": price("12") },
        { "key": "calls", "name": "API calls", "charge": { "for": "usage", "meter": "calls", "aggregation": "sum" },
          "prices": price("0.0001") },
    ] });
    operates("PUT", "/v1/plans/team".to_owned(), json!({ "terms": terms })).await?;
    let seller = json!({ "name": "Seller GmbH", "address": "Ring 1, Wien", "country": "AT", "registration": "FN 1a" });
    operates("PUT", "/v1/seller".to_owned(), json!({ "seller": seller })).await?;
    let clock = format!("/v1/tenants/{}/test-clock", tenant.id);
    operates("PUT", clock.clone(), json!({ "at": "2031-03-01T00:00:00Z" })).await?;
    let buyer = json!({ "buyer": { "name": "Acme GmbH", "address": "Ring 2, Wien", "country": "AT" } });
    does(server, tenant, "PUT", "/v1/billing-profile", &buyer).await?;
    does(server, tenant, "POST", "/v1/subscription", &json!({ "plan": "team", "currency": "EUR" })).await?;
    operates("POST", format!("{clock}/advance"), json!({ "to": "2031-03-31T00:00:00Z" })).await?;
    until("an invoice", async || {
        let listed = does(server, tenant, "GET", "/v1/invoices", &Value::Null).await.ok()?;
        let invoice = listed.pointer("/items/0")?;
        invoice.get("number")?;
        text(invoice, "id").ok()
    })
    .await
}

/// Batches of 100 events with ids of their own, each of one hour.
fn usage(tenant: &Tenant) -> Load {
    let template = tenant.owner(Ask::send("POST", &tenant.host, "/v1/usage", &json!({})));
    let batches = AtomicU64::new(0);
    Load::of(move |_, _, _| {
        let batch = batches.fetch_add(1, Ordering::Relaxed);
        let hour = batch % HOURS;
        let at = format!("2031-03-{:02}T{:02}:30:00Z", 1 + hour / 24, hour % 24);
        let event = |place: u32| json!({ "id": format!("{batch}-{place}"), "meter": "calls", "at": at, "value": "1" });
        let mut ask = template.clone();
        ask.body = json!({ "events": (0..100).map(event).collect::<Vec<_>>() }).to_string();
        ask.bytes()
    })
}
