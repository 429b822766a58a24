//! Tenants and people, made through the API as anybody would make them.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    server::{Server, until},
    wire::{Ask, Reply},
};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// A tenant with its owner, and a key for programs.
#[derive(Clone)]
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) cookie: String,
    pub(crate) owner: String,
    pub(crate) key: String,
}

impl Tenant {
    /// A request of the owner's browser.
    pub(crate) fn owner(&self, ask: Ask) -> Ask {
        ask.with(format!("Cookie: {}", self.cookie))
    }

    /// A request of a program.
    pub(crate) fn program(&self, ask: Ask) -> Ask {
        ask.with(format!("Authorization: Bearer {}", self.key))
    }
}

fn installation(server: &Server) -> String {
    format!("localhost:{}", server.port)
}

/// Asks to be a customer.
pub(crate) fn sign_up(host: &str, slug: &str) -> Ask {
    let asked = json!({ "company": slug, "slug": slug, "name": "Ada Lovelace", "email": address(slug) });
    Ask::send("POST", host, "/v1/sign-up", &asked)
}

fn address(slug: &str) -> String {
    format!("ada@{slug}.example")
}

/// Whoever claims the installation.
pub(crate) async fn operator(server: &Server) -> Result<String> {
    let claim = server.find(|line| line.split_once("/claim?token=").map(|(_, token)| token.trim().to_owned()));
    let token = claim.context("the installation shows no claim link")?;
    let fields = [("token", token.as_str()), ("name", "Olga"), ("email", "olga@ops.example"), ("password", PASSWORD)];
    server.ask(&Ask::form(&installation(server), "/claim", &fields)).await?.cookie()
}

/// Signs a company up, follows the link in the mail, makes a key.
pub(crate) async fn tenant(server: &Server, slug: &str) -> Result<Tenant> {
    let made = server.ask(&sign_up(&installation(server), slug)).await?.json()?;
    let id = text(&made, "id")?;
    let ticket = until("the mail of a sign-up", async || server.ticket(&address(slug))).await?;
    let host = format!("{slug}.localhost:{}", server.port);
    let fields = [("ticket", ticket.as_str()), ("for", "verify"), ("password", PASSWORD)];
    let cookie = server.ask(&Ask::form(&host, "/welcome", &fields)).await?.cookie()?;
    let mut tenant = Tenant { id, host, cookie, owner: String::new(), key: String::new() };
    let me = until("the owner's profile", async || {
        server.ask(&tenant.owner(Ask::get(&tenant.host, "/v1/me"))).await.ok()?.json().ok()
    })
    .await?;
    tenant.owner = text(&me, "id")?;
    let permissions = ["users.profile.read", "tenants.feature.read"];
    let asked = json!({ "name": "bench", "permissions": permissions, "days": 30 });
    tenant.key = text(&does(server, &tenant, "POST", "/v1/api-keys", &asked).await?, "key")?;
    Ok(tenant)
}

/// The owner does something.
pub(crate) async fn does(
    server: &Server,
    tenant: &Tenant,
    method: &'static str,
    path: &str,
    body: &Value,
) -> Result<Value> {
    let ask = match body {
        Value::Null => Ask { method, ..Ask::get(&tenant.host, path) },
        body => Ask::send(method, &tenant.host, path, body),
    };
    server.ask(&tenant.owner(ask)).await?.json()
}

/// The operator lets a tenant have so many people.
pub(crate) async fn seats(server: &Server, operator: &str, tenant: &Tenant, limit: u64) -> Result<()> {
    let path = format!("/v1/tenants/{}/quotas/seats", tenant.id);
    let ask = Ask::send("PUT", &installation(server), path, &json!({ "limit": limit }));
    server.ask(&ask.with(format!("Cookie: {operator}"))).await?.json().map(drop)
}

pub(crate) fn invitation(number: u64) -> Value {
    json!({ "email": format!("person{number}@people.example"), "name": format!("Person {number}"), "role": "member" })
}

/// Invites people, so many that a list has a full page.
pub(crate) async fn people(server: &Server, tenant: &Tenant, count: u64) -> Result<()> {
    for number in 0..count {
        does(server, tenant, "POST", "/v1/invitations", &invitation(number)).await?;
    }
    let path = "/v1/users?limit=50";
    until("the people's profiles", async || {
        let list = &server.ask(&tenant.owner(Ask::get(&tenant.host, path))).await.ok()?.json().ok()?;
        (list["items"].as_array()?.len() == 50).then_some(())
    })
    .await
}

/// A program's authorization of itself, or by the owner: the answer of the token endpoint, after PKCE (RFC 7636).
pub(crate) async fn code_flow(server: &Server, tenant: &Tenant, client: &str, secret: Option<&str>) -> Result<Value> {
    let verifier = "a-verifier-of-at-least-forty-three-characters";
    let digest = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
    let challenge = data_encoding::BASE64URL_NOPAD.encode(digest.as_ref());
    let back = "https://app.example/callback";
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("client_id", client), ("redirect_uri", back), ("response_type", "code")])
        .extend_pairs([("scope", "openid profile email offline_access"), ("code_challenge", &challenge)])
        .extend_pairs([("code_challenge_method", "S256"), ("state", "s"), ("nonce", "n")])
        .finish();
    let asked = tenant.owner(Ask::get(&tenant.host, format!("/oauth/authorize?{query}")));
    let answer = server.ask(&asked).await?;
    let code = code_of(&answer)?;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", back),
        ("client_id", client),
        ("code_verifier", verifier),
    ];
    server.ask(&token(tenant, client, secret, &fields)).await?.json()
}

fn code_of(answer: &Reply) -> Result<String> {
    let location = answer.header("location").unwrap_or_default();
    let query = location.split_once('?').map(|(_, query)| query.as_bytes()).unwrap_or_default();
    let code = form_urlencoded::parse(query).find(|(name, _)| name == "code").map(|(_, code)| code.into_owned());
    code.with_context(|| format!("no code was given: {} {location}", answer.status))
}

/// A request to the token endpoint; a program with a secret shows it.
pub(crate) fn token(tenant: &Tenant, client: &str, secret: Option<&str>, fields: &[(&str, &str)]) -> Ask {
    let ask = Ask::form(&tenant.host, "/oauth/token", fields);
    match secret {
        Some(secret) => ask.with(basic(client, secret)),
        None => ask,
    }
}

pub(crate) fn basic(client: &str, secret: &str) -> String {
    format!("Authorization: Basic {}", data_encoding::BASE64.encode(format!("{client}:{secret}").as_bytes()))
}

pub(crate) fn text(value: &Value, name: &str) -> Result<String> {
    let found = value[name].as_str();
    ensure!(found.is_some(), "no {name} in {value}");
    Ok(found.unwrap_or_default().to_owned())
}
