//! The paths that are measured on one tenant, each with what has to be there first. What cannot be prepared is told as
//! skipped, with the reason.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    limits::GROUP,
    load::{self, Load},
    report::{Report, Row},
    server::Server,
    wire::Ask,
    world::{self, Tenant, does, text},
};

/// What the paths are asked of.
pub(crate) struct Stage<'a> {
    pub(crate) server: &'a Server,
    pub(crate) tenant: &'a Tenant,
    pub(crate) seconds: u64,
}

impl Stage<'_> {
    fn program(&self, path: &str) -> Vec<u8> {
        self.tenant.program(Ask::get(&self.tenant.host, path)).bytes()
    }

    fn owner(&self, path: &str) -> Vec<u8> {
        self.tenant.owner(Ask::get(&self.tenant.host, path)).bytes()
    }

    async fn does(&self, method: &'static str, path: &str, body: &Value) -> Result<Value> {
        does(self.server, self.tenant, method, path, body).await
    }

    /// Measures a load, or tells why it could not be.
    pub(crate) async fn row(&self, report: &mut Report, row: Row, load: Result<Load>) {
        let lasts = std::time::Duration::from_secs(self.seconds);
        let measured = match load {
            Ok(load) => load::run(self.server, &Load { lasts, ..load }).await,
            Err(error) => Err(error),
        };
        report.measured(row, measured);
    }
}

/// All of them.
pub(crate) async fn run(stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    let constant = Load::same(Ask::get(&stage.tenant.host, "/livez").bytes());
    stage.row(report, Row::new("the limit: a constant answer of the same stack"), Ok(constant)).await;
    reading(stage, report).await?;
    tokens(stage, report).await;
    features(stage, report).await?;
    writing(stage, report).await
}

/// What is asked of one aggregate, by a program; the same before and after the growth.
pub(crate) fn bearer(tenant: &Tenant) -> Vec<u8> {
    tenant.program(Ask::get(&tenant.host, format!("/v1/users/{}", tenant.owner))).bytes()
}

async fn reading(stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    stage.row(report, Row::cpu("bearer request, one aggregate", 50.0), Ok(Load::same(bearer(stage.tenant)))).await;
    let session = Load::same(stage.owner("/v1/me"));
    stage.row(report, Row::new("session cookie, one aggregate"), Ok(session)).await;
    world::people(stage.server, stage.tenant, 60).await?;
    let list = Load::same(stage.program("/v1/users?limit=50"));
    stage.row(report, Row::new("list of 50 people"), Ok(list)).await;
    Ok(())
}

/// A program that has a secret, as far as programs can have one.
async fn confidential(stage: &Stage<'_>) -> Result<(String, String)> {
    let asked = json!({
        "name": "Bench", "redirect_uris": ["https://app.example/callback"], "permissions": ["users.profile.read"],
        "token_endpoint_auth_method": "client_secret_basic", "first_party": true,
        "scopes": ["openid", "profile", "email", "offline_access"],
    });
    let made = stage.does("POST", "/v1/clients", &asked).await?;
    Ok((text(&made, "client_id")?, text(&made, "client_secret")?))
}

async fn tokens(stage: &Stage<'_>, report: &mut Report) {
    let client = confidential(stage).await;
    let asked = |fields: &[(&str, &str)]| match &client {
        Ok((id, secret)) => Ok(world::token(stage.tenant, id, Some(secret), fields)),
        Err(error) => Err(anyhow::anyhow!("no program with a secret can be registered: {error:#}")),
    };
    let credentials = asked(&[("grant_type", "client_credentials")]).map(|ask| Load::same(ask.bytes()));
    stage.row(report, Row::cpu("client-credentials token", 60.0), credentials).await;

    stage.row(report, Row::cpu("refresh with rotation", 90.0), refresh(stage, client.as_ref().ok()).await).await;

    let own = async {
        let (id, secret) = client.as_ref().ok().context("no program with a secret can be registered")?;
        let fields = [("grant_type", "client_credentials")];
        let token = stage.server.ask(&world::token(stage.tenant, id, Some(secret), &fields)).await?.json()?;
        let ask = Ask::form(&stage.tenant.host, "/oauth/introspect", &[("token", &text(&token, "access_token")?)]);
        Ok(Load::same(ask.with(world::basic(id, secret)).bytes()))
    };
    stage.row(report, Row::cpu("introspection", 30.0), own.await).await;

    let userinfo = async {
        let (id, secret) = public_or(stage, client.as_ref().ok()).await?;
        let token = world::code_flow(stage.server, stage.tenant, &id, secret.as_deref()).await?;
        let ask = Ask::get(&stage.tenant.host, "/oauth/userinfo");
        Ok(Load::same(ask.with(format!("Authorization: Bearer {}", text(&token, "access_token")?)).bytes()))
    };
    stage.row(report, Row::cpu("userinfo", 40.0), userinfo.await).await;
}

/// The program with the secret, or one without.
async fn public_or(stage: &Stage<'_>, client: Option<&(String, String)>) -> Result<(String, Option<String>)> {
    if let Some((id, secret)) = client {
        return Ok((id.clone(), Some(secret.clone())));
    }
    let asked = json!({ "name": "Bench", "redirect_uris": ["https://app.example/callback"] });
    let made = stage.does("POST", "/v1/clients", &asked).await?;
    Ok((text(&made, "client_id")?, None))
}

/// Each connection has a grant of its own, and goes on with the refresh token that it was given last.
async fn refresh(stage: &Stage<'_>, client: Option<&(String, String)>) -> Result<Load> {
    const CONNECTIONS: usize = 16;
    let (id, secret) = public_or(stage, client).await?;
    let mut first = Vec::new();
    for _ in 0..CONNECTIONS {
        let token = world::code_flow(stage.server, stage.tenant, &id, secret.as_deref()).await?;
        first.push(Mutex::new(text(&token, "refresh_token")?));
    }
    let (host, mut headers) = (stage.tenant.host.clone(), Vec::new());
    headers.extend(secret.as_ref().map(|secret| world::basic(&id, secret)));
    let load = Load::of(move |number, _, last| {
        let given = serde_json::from_slice::<Value>(last).ok().and_then(|it| text(&it, "refresh_token").ok());
        // What was given last stays known between the warm-up and the measured run.
        let kept = first.get(number).map(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner));
        let token = kept.map(|mut kept| {
            if let Some(given) = given {
                *kept = given;
            }
            kept.clone()
        });
        let (token, id) = (token.unwrap_or_default(), id.as_str());
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("client_id", id)];
        headers.iter().fold(Ask::form(&host, "/oauth/token", &fields), Ask::with).bytes()
    });
    Ok(load.connections(CONNECTIONS))
}

async fn features(stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    for number in 0..50 {
        let half = json!({ "enabled": true, "percentage": 50 });
        stage.does("PUT", &format!("/v1/features/feature{number}"), &half).await?;
    }
    for (path, row) in [
        ("/ofrep/v1/evaluate/flags/feature7", Row::cpu("OFREP, one feature", 20.0)),
        ("/ofrep/v1/evaluate/flags", Row::cpu("OFREP, all of 50", 40.0)),
    ] {
        let asked = json!({ "context": { "targetingKey": "somebody" } });
        let ask = Ask::send("POST", &stage.tenant.host, path, &asked);
        stage.row(report, row, Ok(Load::same(stage.tenant.program(ask).bytes()))).await;
    }
    Ok(())
}

async fn writing(stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    let write = |method: &'static str, path: String, body: &Value| {
        let ask = Ask::send(method, &stage.tenant.host, path, body);
        stage.tenant.owner(ask)
    };
    let template = write("PUT", "/v1/features/".to_owned(), &json!({}));
    let commits = Load::of(move |number, made, _| {
        let mut ask = template.clone();
        ask.path.extend([format!("feature{}", 100 + number)]);
        ask.body = json!({ "enabled": true, "percentage": made % 100 }).to_string();
        ask.bytes()
    });
    let commits = commits.connections(usize::try_from(GROUP)?);
    stage.row(report, Row::share("durable commits, 64 writers", report.raw_commits, 0.5), Ok(commits)).await;

    let template = write("POST", "/v1/invitations".to_owned(), &json!({}));
    let counter = AtomicU64::new(1_000);
    let invite = Load::of(move |_, _, _| {
        let mut ask = template.clone();
        ask.body = world::invitation(counter.fetch_add(1, Ordering::Relaxed)).to_string();
        ask.bytes()
    });
    stage.row(report, Row::new("invitation of a person"), Ok(invite)).await;

    let sent = Arc::new(AtomicU64::new(0));
    stage.row(report, Row::batch("events in batches of 100", report.raw_batches, 0.5), Ok(events(stage, &sent))).await;
    let facts = sent.load(Ordering::Relaxed) * 100;
    let asked = json!({ "measure": "count", "name": "report.opened" });
    let count = Load::same(write("POST", "/v1/analytics/reports/query".to_owned(), &asked).bytes()).connections(1);
    stage.row(report, Row::new(&format!("report: how often, over {facts} facts")), Ok(count)).await;
    let unique = Load::same(stage.owner("/v1/analytics/active-people")).connections(1);
    stage.row(report, Row::new(&format!("report: people of each day, over {facts} facts")), Ok(unique)).await;
    Ok(())
}

/// Batches of 100 events with ids of their own.
fn events(stage: &Stage<'_>, sent: &Arc<AtomicU64>) -> Load {
    let template = stage.tenant.owner(Ask::send("POST", &stage.tenant.host, "/v1/events", &json!({})));
    let batches = Arc::clone(sent);
    Load::of(move |_, _, _| {
        let batch = batches.fetch_add(1, Ordering::Relaxed);
        let events = (0..100).map(|place| json!({ "id": format!("e-{batch}-{place}"), "name": "report.opened" }));
        let mut ask = template.clone();
        ask.body = json!({ "events": events.collect::<Vec<_>>() }).to_string();
        ask.bytes()
    })
}
