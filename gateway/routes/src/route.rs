//! A proxy route: which requests it takes, where they go, who may come, and what the upstream is told. Rules only.

use std::{collections::BTreeMap, fmt};

use http::{HeaderName, Method, Uri};
use kernel::{Aggregate, Catalogue, Problem, ScopeKind, Term, text::Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::validate::Checks;

/// Who may come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Whoever asks.
    Anyone,
    /// Whoever has shown a credential.
    #[default]
    SignedIn,
    /// Whoever holds this permission.
    Permission(Key),
}

/// Whether the upstream is told who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// By a signed token in `X-Freehold-Identity`.
    #[default]
    Token,
    /// It is told nothing.
    None,
}

/// What becomes of the caller's own credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Credentials {
    /// `Authorization` and the session's cookie stay here.
    #[default]
    Kept,
    /// They are passed on: the upstream can then act as the caller.
    Passed,
}

/// What is done about a request that a document does not describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It is refused.
    #[default]
    Enforce,
    /// It is logged, counted and passed on.
    Report,
}

/// An OpenAPI document (3.0 or 3.1) of the upstream, and how strictly it is held to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The document, as JSON text of at most 262,144 bytes. Its paths are those that the upstream sees.
    #[schemars(length(max = 262_144))]
    pub text: String,
    /// What is done about a request that it does not describe.
    #[serde(default)]
    pub mode: Mode,
}

/// A version of a service, on one or several servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// What it is called: the audience of the tokens that it gets.
    pub name: Key,
    /// Its servers: `http://` or `https://`, host and port, no path. The less busy of two is taken.
    #[schemars(length(min = 1, max = 16))]
    pub servers: Vec<String>,
    /// Its share, in proportion to the other weights. One caller always gets the same version.
    #[serde(default = "one")]
    #[schemars(range(max = 1_000))]
    pub weight: u32,
}

const fn one() -> u32 {
    1
}

const fn tenants() -> ScopeKind {
    ScopeKind::Tenant
}

const fn thirty_seconds() -> u32 {
    30_000
}

const fn five_minutes() -> u32 {
    300_000
}

const fn ten_mebibytes() -> u64 {
    10 << 20
}

/// What a route is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The beginning of the path, by whole segments: `/shop` takes `/shop` and all below it, `/shops/{id}/cart` any id.
    /// Of several routes that fit, the longest counts. Paths of the platform's own are never proxied.
    #[schemars(length(min = 1, max = 512))]
    pub path: String,
    /// At tenants' addresses, or at the platform's own.
    #[serde(default = "tenants")]
    pub scope: ScopeKind,
    /// Only at this host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub host: Option<String>,
    /// Only these methods; none are all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub methods: Vec<String>,
    /// Only with these header fields, each with this value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Where to.
    #[schemars(length(min = 1, max = 16))]
    pub upstreams: Vec<Upstream>,
    /// What takes the place of `path`; without it the path stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub rewrite: Option<String>,
    /// Who may come.
    #[serde(default)]
    pub access: Access,
    /// Whether the upstream is told who asks.
    #[serde(default)]
    pub identity: Identity,
    /// Permissions of which the upstream is told whether the caller holds them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub permissions: Vec<Key>,
    /// What becomes of the caller's own credentials.
    #[serde(default)]
    pub credentials: Credentials,
    /// How long the upstream may take until it begins to answer, in milliseconds, tries again included.
    #[serde(default = "thirty_seconds")]
    #[schemars(range(min = 1, max = 300_000))]
    pub timeout_ms: u32,
    /// How long a WebSocket may be silent, in milliseconds.
    #[serde(default = "five_minutes")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub idle_ms: u32,
    /// The largest body of a request, in bytes.
    #[serde(default = "ten_mebibytes")]
    #[schemars(range(max = 10_737_418_240_u64))]
    pub body_limit: u64,
    /// How often a request without a body is sent again to another server, where its method is idempotent and no answer
    /// began; a fifth of the requests at most.
    #[serde(default = "retries")]
    #[schemars(range(max = 3))]
    pub retries: u8,
    /// What requests must look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
}

const fn retries() -> u8 {
    1
}

/// A route under its name, as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProxyRoute {
    /// How it is called.
    pub name: Key,
    /// What it is.
    pub route: Route,
}

impl Aggregate for ProxyRoute {
    type Id = Key;
    const KIND: &'static str = "gateway.proxy_route";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> Key {
        self.name.clone()
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }
}

/// Field names that the gateway writes itself.
pub const IDENTITY: HeaderName = HeaderName::from_static("x-freehold-identity");

fn refused(field: impl fmt::Display, why: &'static str) -> Problem {
    Problem::invalid_field(format!("/route/{field}"), why)
}

/// The segments of a path, as matching compares them.
pub fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

fn path(field: &str, path: &str) -> Result<(), Problem> {
    let plain = |segment: &str| {
        let inner = segment.strip_prefix('{').and_then(|it| it.strip_suffix('}')).unwrap_or(segment);
        !inner.is_empty()
            && inner != "."
            && inner != ".."
            && inner.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte))
    };
    let rest =
        path.strip_prefix('/').filter(|rest| path.len() <= 512 && (rest.is_empty() || rest.split('/').all(plain)));
    rest.map(drop)
        .ok_or_else(|| refused(field, "expected a path such as /shop or /shops/{id}, without a slash at its end"))
}

impl Upstream {
    fn check(&self, place: usize) -> Result<(), Problem> {
        let origin = |text: &String| {
            let uri: Uri = text.parse().ok()?;
            let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
            let authority = uri.authority().filter(|it| !it.as_str().contains('@') && it.as_str().len() <= 253)?;
            (text.trim_end_matches('/') == format!("{scheme}://{authority}")).then_some(())
        };
        if !(1..=16).contains(&self.servers.len()) || !self.servers.iter().all(|text| origin(text).is_some()) {
            let why = "expected 1 to 16 origins, such as http://10.0.0.7:9000";
            return Err(refused(format!("upstreams/{place}/servers"), why));
        }
        if self.weight > 1_000 {
            return Err(refused(format!("upstreams/{place}/weight"), "expected at most 1,000"));
        }
        Ok(())
    }
}

impl Route {
    fn check_shape(&self) -> Result<(), Problem> {
        let method = |text: &String| {
            let own = matches!(text.as_str(), "CONNECT" | "TRACE");
            !own && text.len() <= 20 && !text.is_empty() && text.bytes().all(|it| it.is_ascii_uppercase() || it == b'-')
        };
        if self.methods.len() > 16 || !self.methods.iter().all(|it| method(it) && it.parse::<Method>().is_ok()) {
            return Err(refused("methods", "expected at most 16 methods in capital letters"));
        }
        let field = |(name, value): (&String, &String)| name.parse::<HeaderName>().is_ok() && value.len() <= 256;
        if self.headers.len() > 8 || !self.headers.iter().all(field) {
            return Err(refused("headers", "expected at most 8 field names with values"));
        }
        let host =
            |host: &String| host.len() <= 253 && *host == host.to_ascii_lowercase() && !host.contains([':', '/']);
        if !self.host.iter().all(host) {
            return Err(refused("host", "expected a host name in lower case, without a port"));
        }
        for (name, value, most) in [("timeout_ms", self.timeout_ms, 300_000), ("idle_ms", self.idle_ms, 3_600_000)] {
            if !(1..=most).contains(&value) {
                return Err(refused(name, "expected at least 1, and no more than the document of this field says"));
            }
        }
        if self.body_limit > 10 << 30 || self.retries > 3 || self.permissions.len() > 64 {
            return Err(refused("", "body_limit, retries or permissions is larger than allowed"));
        }
        Ok(())
    }

    /// Whether it can be put in force: every bound holds, every permission is declared, the document can be read.
    pub fn check(&self, catalogue: &Catalogue) -> Result<(), Problem> {
        path("path", &self.path)?;
        if let Some(rewrite) = &self.rewrite {
            path("rewrite", rewrite)?;
            if rewrite.contains('{') {
                return Err(refused("rewrite", "what was matched cannot be named here"));
            }
        }
        self.check_shape()?;
        if !(1..=16).contains(&self.upstreams.len()) || self.upstreams.iter().all(|it| it.weight == 0) {
            return Err(refused("upstreams", "expected 1 to 16, one of them with a weight"));
        }
        self.upstreams.iter().enumerate().try_for_each(|(place, upstream)| upstream.check(place))?;
        let declared = |name: &Key| catalogue.declarations().iter().any(|it| it.permission.name() == name.as_str());
        if let Access::Permission(name) = &self.access
            && !declared(name)
        {
            return Err(refused("access", "no permission of this installation has that name"));
        }
        if !self.permissions.iter().all(declared) {
            return Err(refused("permissions", "a name is no permission of this installation"));
        }
        match &self.document {
            Some(document) => {
                Checks::of(&document.text).map(drop).map_err(|why| Problem::invalid_field("/route/document/text", why))
            }
            None => Ok(()),
        }
    }

    /// How narrow it is: the longer, the more literal, the more conditions, the sooner it is asked.
    pub(crate) fn rank(&self) -> (usize, usize, usize) {
        let literal = segments(&self.path).filter(|segment| !segment.starts_with('{')).count();
        let conditions = usize::from(self.host.is_some()) + usize::from(!self.methods.is_empty()) + self.headers.len();
        (segments(&self.path).count(), literal, conditions)
    }
}

/// A route as the operator sees it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RouteView {
    /// Its name.
    pub name: Key,
    /// Counts its changes.
    pub version: u64,
    /// What it is; the text of its document is left out of lists.
    pub route: Route,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::{Value, json};

    pub(crate) fn route(fields: &Value) -> Route {
        let mut route =
            json!({ "path": "/shop", "upstreams": [{ "name": "shop", "servers": ["http://127.0.0.1:9"] }] });
        for (name, value) in fields.as_object().unwrap() {
            route[name] = value.clone();
        }
        serde_json::from_value(route).unwrap()
    }

    #[test]
    fn what_cannot_be_put_in_force_is_refused_by_name() {
        let catalogue = Catalogue::default();
        assert!(route(&json!({})).check(&catalogue).is_ok());
        for (field, value) in [
            ("path", json!("shop")),
            ("path", json!("/shop/")),
            ("path", json!("/a/../b")),
            ("path", json!("/a%2f")),
            ("rewrite", json!("/{id}")),
            ("methods", json!(["get"])),
            ("methods", json!(["CONNECT"])),
            ("headers", json!({ "a b": "c" })),
            ("host", json!("Shop.example.com")),
            ("timeout_ms", json!(0)),
            ("upstreams", json!([])),
            ("upstreams", json!([{ "name": "a", "servers": ["http://a"], "weight": 0 }])),
            ("upstreams", json!([{ "name": "a", "servers": [] }])),
            ("upstreams", json!([{ "name": "a", "servers": ["ftp://a"] }])),
            ("upstreams", json!([{ "name": "a", "servers": ["http://a/b"] }])),
            ("upstreams", json!([{ "name": "a", "servers": ["http://u@a"] }])),
            ("access", json!({ "permission": "nobody.knows.it" })),
            ("permissions", json!(["nobody.knows.it"])),
            ("document", json!({ "text": "{}" })),
        ] {
            let refused = route(&json!({ field: value })).check(&catalogue).unwrap_err();
            let pointer = refused.document(None).errors[0].pointer.clone();
            assert!(pointer.starts_with(&format!("/route/{field}")), "{field} {value}: {pointer}");
        }
    }
}
