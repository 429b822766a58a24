//! What an upstream is told of a caller: a short-lived token (RFC 7519) signed with Ed25519 (RFC 8037), good for one
//! audience, one method and one address, as a DPoP proof is (RFC 9449, section 4.2).

use cache::{Cache, IN_FORCE};
use http::{HeaderValue, Method};
use kernel::{Caller, Condition, Cx, Permission, Problem, Scope};
use ring::signature::{Ed25519KeyPair, KeyPair};
use routes::table::Compiled;
use serde::Serialize;
use serde_json::{Value, json};

use crate::visit::Admitted;

/// How long a token is good, in seconds.
const GOOD: i64 = 30;

fn url(bytes: &[u8]) -> String {
    data_encoding::BASE64URL_NOPAD.encode(bytes)
}

/// Signs what upstreams are told.
pub struct Identities {
    key: Ed25519KeyPair,
    header: String,
    issuer: String,
    /// Tokens of callers who ask the same again. None outlives what is known of its caller: see [`Admitted::number`].
    signed: Cache<(u64, Scope, Method, String), HeaderValue>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
    htm: &'a str,
    htu: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    permissions: Vec<&'a str>,
    own_permissions: Vec<&'a str>,
}

impl Identities {
    /// Signs with the key of this seed, as `issuer`.
    pub fn new(seed: &[u8; 32], issuer: String) -> Result<Self, Problem> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| Problem::internal("no key from this seed"))?;
        let kid = thumbprint(&url(key.public_key().as_ref()));
        let header = url(json!({ "alg": "EdDSA", "typ": "JWT", "kid": kid }).to_string().as_bytes());
        Ok(Self { key, header, issuer, signed: Cache::new(50_000, IN_FORCE) })
    }

    /// The key that verifies (RFC 7517), named by its thumbprint (RFC 7638).
    pub(crate) fn keys(&self) -> Value {
        let x = url(self.key.public_key().as_ref());
        let kid = thumbprint(&x);
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA" }] })
    }

    /// The token for one request.
    pub(super) fn token(
        &self,
        cx: &Cx,
        admitted: &Admitted,
        route: &Compiled,
        (audience, method, address): (&str, &Method, &str),
    ) -> Result<HeaderValue, Problem> {
        let asked = format!("{} {audience} {address}", route.operation);
        let key = (admitted.number, cx.scope(), method.clone(), asked);
        if let Some(signed) = self.signed.get(&key) {
            return Ok(HeaderValue::clone(&signed));
        }
        let held = |condition| {
            let held = move |it: &&Permission| cx.grants().of(**it) == Some(condition);
            route.tells.iter().filter(held).map(|it| it.name()).collect()
        };
        let now = cx.real_now().as_second();
        let (sub, sid) = match cx.caller() {
            Caller::Visitor => (None, None),
            Caller::User { id, session } => (Some(id.to_string()), session.map(|it| it.to_string())),
            caller => (Some(caller.to_string()), None),
        };
        let claims = Claims {
            iss: &self.issuer,
            aud: audience,
            iat: now,
            exp: now + GOOD,
            jti: url(&cx.random::<16>()),
            htm: method.as_str(),
            htu: address,
            tenant: cx.scope().tenant().map(|it| it.to_string()),
            sub,
            sid,
            permissions: held(Condition::Always),
            own_permissions: held(Condition::Own),
        };
        let claims = serde_json::to_vec(&claims).map_err(Problem::internal)?;
        let text = format!("{}.{}", self.header, url(&claims));
        let signature = url(self.key.sign(text.as_bytes()).as_ref());
        let token = HeaderValue::try_from(format!("{text}.{signature}")).map_err(Problem::internal)?;
        self.signed.keep(key, token.clone());
        Ok(token)
    }
}

fn thumbprint(x: &str) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    url(ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes()).as_ref())
}
