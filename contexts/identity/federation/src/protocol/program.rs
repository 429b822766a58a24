//! Which program asks, and how it shows that it is itself (RFC 6749, section 2.3; RFC 7523; OpenID Connect Core 1.0, section 9).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use kernel::{Aggregate, ClientId, Cx, Life, Problem, ScopeKind, Timestamp};
use proofs::secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use signing::jose::Unverified;

use super::{Failure, Sent, get, refused};
use crate::{
    Federation,
    client::{Authentication, Client, Proof},
};

/// The longest that an assertion may be good.
const ASSERTION: Duration = Duration::from_mins(10);
const BY_JWT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A program that has shown that it is itself, or is public.
pub(super) struct Program {
    pub(super) client: Arc<Client>,
    pub(super) proof: Proof,
}

/// An assertion that was used: it is good once.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Spent {
    id: String,
    ends: Timestamp,
}

impl Aggregate for Spent {
    type Id = String;
    const KIND: &'static str = "identity.spent_assertion";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const LIFE: Life = Life::Ephemeral;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(self.ends)
    }
}

/// What was sent in the Authorization header: id and secret, each encoded as in a form.
fn basic(request: &Request<Bytes>) -> Result<Option<(String, String)>, Failure> {
    let Some(sent) = request.headers().get(header::AUTHORIZATION) else { return Ok(None) };
    let malformed = || refused("invalid_client", "the Authorization header is not Basic with id and secret");
    let (scheme, pair) = sent.to_str().ok().and_then(|sent| sent.split_once(' ')).ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed());
    }
    let decoded = data_encoding::BASE64.decode(pair.trim().as_bytes()).map_err(|_| malformed())?;
    let decoded = String::from_utf8(decoded).map_err(|_| malformed())?;
    let (id, secret) = decoded.split_once(':').ok_or_else(malformed)?;
    let plain = |text: &str| form_urlencoded::parse(text.as_bytes()).next().map(|(text, _)| text.into_owned());
    Ok(Some((plain(id).unwrap_or_default(), plain(secret).unwrap_or_default())))
}

fn unknown() -> Failure {
    refused("invalid_client", "no such program, or it has not shown that it is itself")
}

impl Federation {
    /// A program, as new as a credential is.
    pub(super) async fn client(&self, id: ClientId, cx: &Cx) -> Result<Option<Arc<Client>>, Problem> {
        let read = async {
            let found = self.store.at(cx).try_load::<Client>(&id).await?;
            Ok::<_, Problem>(found.map(|found| Arc::new(found.into_inner())))
        };
        Ok(self.clients.get_or((cx.tenant()?, id), read).await?.as_ref().as_ref().map(Arc::clone))
    }

    /// The program of a request to an endpoint for programs.
    pub(super) async fn program(&self, request: &Request<Bytes>, sent: &Sent, cx: &Cx) -> Result<Program, Failure> {
        let basic = basic(request)?;
        let (posted, assertion) = (get(sent, "client_secret"), get(sent, "client_assertion"));
        let ways = [basic.is_some(), !posted.is_empty(), !assertion.is_empty()];
        if ways.iter().filter(|way| **way).count() > 1 {
            return Err(refused("invalid_request", "a program authenticates in one way at a time"));
        }
        let asserted = Unverified::read(assertion);
        let named = basic.as_ref().map(|(id, _)| id.as_str()).or_else(|| asserted.as_ref()?.hint("sub"));
        let named = named.unwrap_or_else(|| get(sent, "client_id"));
        if !get(sent, "client_id").is_empty() && get(sent, "client_id") != named {
            return Err(refused("invalid_request", "client_id names another program than the credential"));
        }
        let id: ClientId = named.parse().map_err(|_| unknown())?;
        let client = self.client(id, cx).await?.filter(|client| client.enabled).ok_or_else(unknown)?;
        let secret = basic.as_ref().map_or(posted, |(_, secret)| secret);
        let proof = match client.authentication {
            Authentication::None if ways == [false; 3] => Some(Proof::None),
            Authentication::ClientSecretBasic | Authentication::ClientSecretPost => {
                client.proof_of(secret, cx.real_now())
            }
            Authentication::PrivateKeyJwt if get(sent, "client_assertion_type") == BY_JWT => match asserted {
                Some(asserted) => self.by_assertion(&client, asserted, cx).await?,
                None => None,
            },
            Authentication::None | Authentication::PrivateKeyJwt => None,
        };
        Ok(Program { proof: proof.ok_or_else(unknown)?, client })
    }

    async fn by_assertion(&self, client: &Client, asserted: Unverified<'_>, cx: &Cx) -> Result<Option<Proof>, Problem> {
        let Some((claims, kid)) = asserted.verified_by_any(&client.keys) else { return Ok(None) };
        let origin = self.accounts.realm(cx).await?.origin.clone();
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let (id, now) = (client.id.to_string(), cx.real_now());
        let for_us = |audience: &Value| {
            let audience = audience.as_str().unwrap_or_default();
            audience == origin || audience.strip_prefix(&origin) == Some("/oauth/token")
        };
        let addressed = match claims.get("aud") {
            Some(Value::Array(all)) => all.iter().any(for_us),
            Some(one) => for_us(one),
            None => false,
        };
        let seconds = claims.get("exp").and_then(Value::as_i64);
        let ends = seconds.and_then(|exp| Timestamp::from_second(exp).ok());
        let Some(ends) = ends.filter(|ends| *ends > now && *ends <= now + ASSERTION) else { return Ok(None) };
        let once = text("jti");
        if text("iss") != id || text("sub") != id || !addressed || !(1..=256).contains(&once.len()) {
            return Ok(None);
        }
        let spent = Spent { id: secret::hash(&format!("{id}|{once}")), ends };
        match self.store.at(cx).create(spent, ()).await {
            Ok(_) => Ok(Some(Proof::Key(kid))),
            Err(problem) if problem.code() == "changed_meanwhile" => Ok(None),
            Err(other) => Err(other),
        }
    }
}
