//! The OpenID provider of a tenant, an endpoint a file. OpenID Connect Core 1.0, Discovery 1.0 and RP-Initiated Logout 1.0;
//! RFC 6749, 7009, 7523, 7636, 7662, 8414, 9068, 9207, 9700.

mod authorize;
mod discovery;
mod introspect;
mod logout;
mod program;
mod tokens;
mod userinfo;

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use bytes::Bytes;
use cache::{Cache, IN_FORCE};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use kernel::{ClientId, Problem, ScopeKind, TenantId, context::Body};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

pub(crate) use tokens::{ACCESS_TYPE, Claims};

use crate::{
    Identity, Table, access,
    client::Client,
    http_forms::{form, query},
    jose::Algorithm,
    permissions,
    rotation::Issuer,
};

pub(crate) type Answer = Result<Response<Body>, Problem>;

/// What is used again for as long as a decision about a credential may be (0.9 s): so a token costs a signature, and no
/// look into the store.
pub(crate) struct Recent {
    pub(crate) issuers: Cache<(TenantId, Algorithm), Issuer>,
    pub(crate) clients: Cache<(TenantId, ClientId), Option<Arc<Client>>>,
    /// What tokens say that this tenant has signed, by type and hash of the token; short, since what stands on it is used again.
    pub(crate) signed: Cache<(TenantId, &'static str, String), Option<Arc<Value>>>,
    /// One at a time makes an RSA key.
    pub(crate) making: Arc<Semaphore>,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            issuers: Cache::new(10_000, IN_FORCE),
            clients: Cache::new(10_000, IN_FORCE),
            signed: Cache::new(10_000, access::FRESH),
            making: Arc::new(Semaphore::new(1)),
        }
    }
}

/// A refusal as RFC 6749, section 5.2, puts it; or a problem.
enum Failure {
    Refused { error: &'static str, description: &'static str },
    Problem(Problem),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

const fn refused(error: &'static str, description: &'static str) -> Failure {
    Failure::Refused { error, description }
}

fn json_answer(status: StatusCode, value: &Value) -> Answer {
    let answer = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    answer.header(header::CACHE_CONTROL, "no-store").body(value.to_string().into()).map_err(Problem::internal)
}

/// The answer of an endpoint for programs.
fn answered(outcome: Result<Value, Failure>) -> Answer {
    match outcome {
        Ok(value) => json_answer(StatusCode::OK, &value),
        Err(Failure::Problem(problem)) => Err(problem),
        Err(Failure::Refused { error, description }) => {
            let unknown = error == "invalid_client";
            let status = if unknown { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
            let mut answer = json_answer(status, &json!({ "error": error, "error_description": description }))?;
            if unknown {
                let basic = HeaderValue::from_static("Basic realm=\"oauth\"");
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
            }
            Ok(answer)
        }
    }
}

fn with_query(uri: &str, pairs: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let joint = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{joint}{query}")
}

type Sent = HashMap<String, String>;

fn get<'a>(sent: &'a Sent, name: &str) -> &'a str {
    sent.get(name).map(String::as_str).unwrap_or_default()
}

/// What was sent, in the query or in the form.
fn sent(request: &Request<Bytes>) -> Result<Sent, Problem> {
    if request.method() == Method::POST { form(request) } else { Ok(query(request)) }
}

/// Asks a person something, or tells it.
#[derive(Template, Default)]
#[template(path = "ask.html")]
struct Ask<'a> {
    title: &'a str,
    text: &'a str,
    items: Vec<String>,
    note: &'a str,
    action: &'a str,
    hidden: Vec<(&'a str, &'a str)>,
    answers: &'a [(&'a str, &'a str)],
}

impl Ask<'_> {
    fn page(&self) -> Answer {
        look::content(StatusCode::OK, self.title, self)
    }
}

/// The endpoints.
pub(crate) fn mount(table: Table) -> Table {
    let tenant = (ScopeKind::Tenant, permissions::SIGN_IN);
    let person = (ScopeKind::Tenant, permissions::USERINFO);
    let get = |path| (Method::GET, path);
    let post = |path| (Method::POST, path);
    let describes = "Describes the OpenID provider";
    let told = "Tells who the token's person is, as far as its scopes go";
    let out = "Signs out, and goes on where the program registered it";
    table
        .at(get("/.well-known/openid-configuration"), "identity.oidc.discovery", describes, tenant, Identity::discovery)
        .at(
            get("/.well-known/oauth-authorization-server"),
            "identity.oauth.discovery",
            describes,
            tenant,
            Identity::discovery,
        )
        .at(get("/oauth/jwks"), "identity.oidc.jwks", "The keys that sign", tenant, Identity::jwks)
        .at(
            get("/oauth/authorize"),
            "identity.oidc.authorize",
            "Begins a sign-in for a program",
            tenant,
            Identity::authorize,
        )
        .at(
            post("/oauth/authorize"),
            "identity.oidc.consent",
            "The same by a form, and a person's answer to what a program asks for",
            tenant,
            Identity::authorize,
        )
        .at(
            post("/oauth/token"),
            "identity.oidc.token",
            "Gives tokens for a code, a refresh token, or a program's own credentials",
            tenant,
            Identity::token,
        )
        .at(get("/oauth/userinfo"), "identity.oidc.userinfo", told, person, Identity::userinfo)
        .at(post("/oauth/userinfo"), "identity.oidc.userinfo_by_post", told, person, Identity::userinfo)
        .at(
            post("/oauth/introspect"),
            "identity.oauth.introspect",
            "Tells a program what a token is good for",
            tenant,
            Identity::introspect,
        )
        .at(post("/oauth/revoke"), "identity.oidc.revoke", "Ends what came of a grant", tenant, Identity::revoke)
        .at(get("/oauth/logout"), "identity.oidc.logout", out, tenant, Identity::logout)
        .at(post("/oauth/logout"), "identity.oidc.logged_out", out, tenant, Identity::logout)
}
