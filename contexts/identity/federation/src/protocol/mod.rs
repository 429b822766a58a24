//! The OpenID provider of a tenant, an endpoint a file. OpenID Connect Core 1.0, Discovery 1.0 and RP-Initiated Logout 1.0;
//! RFC 6749, 7009, 7523, 7636, 7662, 8414, 9068, 9207, 9700.

mod authorize;
mod discovery;
mod introspect;
mod logout;
mod program;
mod tokens;
mod userinfo;

use std::collections::HashMap;

use askama::Template;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use kernel::{Problem, ScopeKind};
use serde_json::{Value, json};

pub(crate) use tokens::{ACCESS_TYPE, Claims};

use crate::Federation;
use accounts::permissions;
use forms::{
    Answer, Table, get,
    http_forms::{form, query},
};

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
pub(crate) fn mount(table: Table<Federation>) -> Table<Federation> {
    let tenant = (ScopeKind::Tenant, permissions::SIGN_IN);
    let person = (ScopeKind::Tenant, permissions::USERINFO);
    let get = |path| (Method::GET, path);
    let post = |path| (Method::POST, path);
    let describes = "Describes the OpenID provider";
    let told = "Tells who the token's person is, as far as its scopes go";
    let out = "Signs out, and goes on where the program registered it";
    table
        .at(
            get("/.well-known/openid-configuration"),
            "identity.oidc.discovery",
            describes,
            tenant,
            Federation::discovery,
        )
        .at(
            get("/.well-known/oauth-authorization-server"),
            "identity.oauth.discovery",
            describes,
            tenant,
            Federation::discovery,
        )
        .at(get("/oauth/jwks"), "identity.oidc.jwks", "The keys that sign", tenant, Federation::jwks)
        .at(
            get("/oauth/authorize"),
            "identity.oidc.authorize",
            "Begins a sign-in for a program",
            tenant,
            Federation::authorize,
        )
        .at(
            post("/oauth/authorize"),
            "identity.oidc.consent",
            "The same by a form, and a person's answer to what a program asks for",
            tenant,
            Federation::authorize,
        )
        .at(
            post("/oauth/token"),
            "identity.oidc.token",
            "Gives tokens for a code, a refresh token, or a program's own credentials",
            tenant,
            Federation::token,
        )
        .at(get("/oauth/userinfo"), "identity.oidc.userinfo", told, person, Federation::userinfo)
        .at(post("/oauth/userinfo"), "identity.oidc.userinfo_by_post", told, person, Federation::userinfo)
        .at(
            post("/oauth/introspect"),
            "identity.oauth.introspect",
            "Tells a program what a token is good for",
            tenant,
            Federation::introspect,
        )
        .at(post("/oauth/revoke"), "identity.oidc.revoke", "Ends what came of a grant", tenant, Federation::revoke)
        .at(get("/oauth/logout"), "identity.oidc.logout", out, tenant, Federation::logout)
        .at(post("/oauth/logout"), "identity.oidc.logged_out", out, tenant, Federation::logout)
}
