//! How long it takes until what was acknowledged can be proved by the audit log, at rest and while many write.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    load::{self, Load},
    report::Report,
    server::{self, Server, until},
    wire::Ask,
    world::{self, Tenant, does, text},
};

/// How many changes are waited for at rest.
const CHANGES: usize = 40;
const WRITERS: usize = 64;

/// On an installation of its own.
pub(crate) async fn run(binary: &Path, seconds: u64, report: &mut Report) -> Result<()> {
    let (_folder, data) = server::folder()?;
    let server = Server::start(binary, &data, crate::UNLIMITED)?;
    world::operator(&server).await?;
    let tenant = world::tenant(&server, "acme").await?;
    let mut times = Vec::new();
    for number in 0..CHANGES {
        times.push(proved(&server, &tenant, &format!("rest{number}")).await?.1);
    }
    times.sort_unstable();
    let (half, most) = (times.get(CHANGES / 2).copied().unwrap_or_default(), times.last().copied().unwrap_or_default());
    figure(report, "audit: proof there after the answer, at rest: half of them; all", &[half, most]);

    let (first, _) = proved(&server, &tenant, "before").await?;
    let template = tenant.owner(Ask::send("PUT", &tenant.host, "/v1/features/", &json!({})));
    let writes = Load::of(move |number, made, _| {
        let mut ask = template.clone();
        ask.path.extend([format!("written{number}")]);
        ask.body = json!({ "enabled": true, "percentage": made % 100 }).to_string();
        ask.bytes()
    });
    let begun = Instant::now();
    let lasts = Duration::from_secs(seconds);
    load::run(&server, &Load { lasts, ..writes.connections(WRITERS) }).await?;
    let (last, after) = proved(&server, &tenant, "after").await?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = (last - first) as f64 / begun.elapsed().as_secs_f64();
    let name = "audit: entries a second, provable, as fast as 64 write them (no more were written)";
    report.figure(name, &format!("{rate:.0}/s"), "", None);
    figure(report, "audit: proof there after the answer, right after that load", &[after]);
    Ok(())
}

fn figure(report: &mut Report, name: &str, times: &[Duration]) {
    let told: Vec<String> = times.iter().map(|time| format!("{} ms", time.as_millis())).collect();
    let met = times.iter().all(|time| *time <= Duration::from_secs(1));
    report.figure(name, &told.join("; "), "<= 1,000 ms", Some(met));
}

/// Changes a feature and waits until the log proves it: the place of its entry, and how long that took.
async fn proved(server: &Server, tenant: &Tenant, feature: &str) -> Result<(u64, Duration)> {
    let on = json!({ "enabled": true, "percentage": 50 });
    does(server, tenant, "PUT", &format!("/v1/features/{feature}"), &on).await?;
    let begun = Instant::now();
    let words = format!("{feature}\"");
    let place = until("an entry of the audit log", async || {
        let listed = does(server, tenant, "GET", "/v1/audit/entries?limit=20", &Value::Null).await.ok()?;
        let entry = listed.get("items")?.as_array()?.iter().find(|it| it.to_string().contains(&words))?;
        let path = format!("/v1/audit/entries/{}", text(entry, "id").ok()?);
        let proof = does(server, tenant, "GET", &path, &Value::Null).await.ok()?;
        proof.as_object().filter(|it| !it.is_empty())?;
        entry.get("index")?.as_u64()
    })
    .await
    .with_context(|| format!("the change of {feature}"))?;
    Ok((place, begun.elapsed()))
}
