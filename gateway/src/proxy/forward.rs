//! One request on its way to an upstream and back.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request as HttpRequest, StatusCode, Uri, header, request::Parts, uri::PathAndQuery};
use http_body::{Body as _, Frame, SizeHint};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use kernel::{Caller, Cx, Problem, ProblemKind};
use routes::{
    path,
    route::{Access, IDENTITY, Identity, Mode},
    table::{Compiled, Target},
    upstream::{Running, Server, choose},
};
use tokio::time::Instant;
use web::{Body, Edge, Request, Response, Served};

use super::{fields, upgrade::Tunnel};
use crate::{
    Gateway, edge,
    visit::{Admitted, Visit},
};

/// A body that counts its server as busy until it has ended.
struct Counted {
    inner: Incoming,
    _running: Running,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A request that has been let through a route.
struct Passage<'a> {
    route: &'a Compiled,
    target: &'a Target,
    admitted: Arc<Admitted>,
    cx: Cx,
    path: String,
}

fn idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

/// Why no answer came. What the client itself broke off says nothing of the server.
fn unanswered(error: &hyper_util::client::legacy::Error) -> Problem {
    let causes = || std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source());
    if causes().any(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>) {
        return too_large();
    }
    if causes().any(<dyn std::error::Error>::is::<web::TooSlow>) {
        return Problem::new(ProblemKind::Invalid, "body_too_slow", "nothing came of the body for too long")
            .hint("send the body without pauses");
    }
    if causes().filter_map(|error| error.downcast_ref::<hyper::Error>()).any(hyper::Error::is_user) {
        return Problem::new(ProblemKind::Invalid, "body_cut_short", "the body ended early")
            .hint("send the request again");
    }
    Problem::new(ProblemKind::Unavailable, "upstream_unavailable", "the service behind this path did not answer")
        .hint("send the request again in a moment")
        .retry_after(1)
}

fn late() -> Problem {
    Problem::new(ProblemKind::Timeout, "upstream_timeout", "the service behind this path took too long to answer")
        .hint("send the request again later")
}

fn too_large() -> Problem {
    Problem::new(ProblemKind::TooLarge, "body_too_large", "the body is larger than this path takes")
        .hint("send less at once")
}

impl Gateway {
    /// Answers what no context serves: by an upstream, where a route leads to one.
    pub(crate) async fn forward(&self, request: Request) -> Response {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::of(&parts);
        let found = match path::plain(parts.uri.path()) {
            _ if self.proxy.table.is_empty() => None,
            Ok(path) if self.ground.own_paths.hold(&path) => None,
            Ok(path) => Some(path.into_owned()),
            Err(ambiguous) => return edge::problem(&ambiguous, &visit),
        };
        let Some(path) = found else { return web::nothing_here(&parts.extensions) };
        let [platform, tenant] = self.proxy.table.find(&path, &crate::tenant::host(&parts.headers), &parts);
        if platform.is_none() && tenant.is_none() {
            return web::nothing_here(&parts.extensions);
        }
        let cx = match self.admit(&parts).await {
            Ok(cx) => cx,
            Err(problem) => return edge::problem(&problem, &visit),
        };
        let route = if cx.scope().tenant().is_some() { tenant } else { platform };
        let (Some(route), Some(admitted)) = (route, visit.admitted.get()) else {
            return web::nothing_here(&parts.extensions);
        };
        if let Err(refused) = may_pass(&route, &cx, admitted) {
            return sign_in(&parts, &cx, &refused).unwrap_or_else(|| edge::problem(&refused, &visit));
        }
        let subject = match cx.caller() {
            Caller::Visitor => visit.address.to_string(),
            caller => caller.to_string(),
        };
        let Some(target) = route.target(&subject) else { return web::nothing_here(&parts.extensions) };
        let path = route.rewritten(&path);
        let passage = Passage { route: &route, target, admitted: Arc::clone(admitted), cx, path };
        let passed = self.pass_on(&passage, &mut parts, body, &visit).await;
        let mut response = passed.unwrap_or_else(|problem| edge::problem(&problem, &visit));
        response.extensions_mut().insert(Served(Arc::clone(&route.operation)));
        response
    }

    async fn pass_on(
        &self,
        passage: &Passage<'_>,
        parts: &mut Parts,
        body: Body,
        visit: &Visit,
    ) -> Result<Response, Problem> {
        let route = passage.route;
        if body.size_hint().lower() > route.route.body_limit {
            return Err(too_large());
        }
        let body = self.checked(passage, parts, body).await?;
        let body = if body.is_end_stream() {
            body
        } else {
            let most = usize::try_from(route.route.body_limit).unwrap_or(usize::MAX);
            Body::new(http_body_util::Limited::new(body, most))
        };
        let (scheme, credentials) = (self.settings.scheme.as_str(), route.route.credentials);
        let mut outgoing = parts.clone();
        outgoing.extensions = http::Extensions::new();
        outgoing.version = http::Version::HTTP_11;
        outgoing.headers = fields::outgoing(parts, credentials, scheme, visit, passage.cx.random());
        route.budget.request();
        let (response, running) = self.ask(passage, outgoing, body).await?;
        self.answered(passage, parts, response, running)
    }

    /// Holds a request to the document of its route.
    async fn checked(&self, passage: &Passage<'_>, parts: &Parts, body: Body) -> Result<Body, Problem> {
        let (Some(checks), Some(document)) = (&passage.route.checks, &passage.route.route.document) else {
            return Ok(body);
        };
        let operation = checks.find(&parts.method, &passage.path);
        let (body, bytes) = match &operation {
            Ok(operation) if operation.wants_body() => {
                let most = usize::try_from(passage.route.route.body_limit).unwrap_or(usize::MAX).min(web::MAX_BODY);
                let bytes = web::read_up_to(body, most).await?;
                (Body::from(bytes.clone()), bytes)
            }
            _ => (body, Bytes::new()),
        };
        let Err(problem) = operation.and_then(|operation| operation.check(&passage.path, parts, &bytes)) else {
            return Ok(body);
        };
        self.ground.metrics.invalid_request();
        match document.mode {
            Mode::Enforce => Err(problem),
            Mode::Report => {
                // Names of fields and what was expected of them; the problem holds no value that was sent.
                let (operation, fields) = (&passage.route.operation, problem.document(None).errors);
                tracing::info!(%operation, ?fields, "a request is not what its document describes");
                Ok(body)
            }
        }
    }

    /// Asks one server, and where that may help another.
    async fn ask(&self, passage: &Passage<'_>, mut parts: Parts, body: Body) -> Result<(Answer, Running), Problem> {
        let route = passage.route;
        let ends = Instant::now() + Duration::from_millis(u64::from(route.route.timeout_ms));
        let mut again = if idempotent(&parts.method) && body.is_end_stream() { route.route.retries } else { 0 };
        let (mut body, mut failed) = (Some(body), None);
        loop {
            let random = u64::from_ne_bytes(passage.cx.random());
            let now = self.proxy.servers.now();
            let server = choose(&passage.target.servers, failed.as_ref(), now, random)
                .ok_or_else(|| Problem::internal("a route without a server"))?;
            self.address(passage, server, &mut parts)?;
            let running = server.run();
            let request = HttpRequest::from_parts(parts.clone(), body.take().unwrap_or_else(Body::empty));
            let problem = match tokio::time::timeout_at(ends, self.proxy.client.request(request)).await {
                Ok(Ok(response)) => {
                    self.learn(server, is_well(response.status()));
                    return Ok((response, running));
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, operation = %route.operation, "an upstream did not answer");
                    unanswered(&error).cause(error)
                }
                Err(_) => late(),
            };
            if problem.kind() == ProblemKind::Invalid || problem.kind() == ProblemKind::TooLarge {
                return Err(problem);
            }
            self.learn(server, false);
            if again == 0 || problem.kind() == ProblemKind::Timeout || !route.budget.try_again() {
                return Err(problem);
            }
            again -= 1;
            self.ground.metrics.upstream_retry();
            failed = Some(Arc::clone(server));
        }
    }

    /// Remembers how a server did.
    fn learn(&self, server: &Server, well: bool) {
        if well {
            return server.succeeded();
        }
        self.ground.metrics.upstream_error();
        if server.failed(self.proxy.servers.now()) {
            self.ground.metrics.upstream_ejection();
            tracing::warn!(server = %server.authority, "a server fails and is left alone for a while");
        }
    }

    /// Directs a request to a server, with what that server is told of the caller.
    fn address(&self, passage: &Passage<'_>, server: &Server, parts: &mut Parts) -> Result<(), Problem> {
        let path = match parts.uri.query() {
            Some(query) => PathAndQuery::try_from(format!("{}?{query}", passage.path)),
            None => PathAndQuery::try_from(passage.path.as_str()),
        };
        let uri = Uri::builder().scheme(server.scheme.clone()).authority(server.authority.clone());
        parts.uri = uri.path_and_query(path.map_err(Problem::internal)?).build().map_err(Problem::internal)?;
        let host = HeaderValue::from_str(server.authority.as_str()).map_err(Problem::internal)?;
        parts.headers.insert(header::HOST, host);
        if passage.route.route.identity == Identity::Token {
            let address = format!("{}://{}{}", server.scheme, server.authority, passage.path);
            let what = (passage.target.name.as_str(), &parts.method, address.as_str());
            let token = self.ground.identities.token(&passage.cx, &passage.admitted, passage.route, what)?;
            parts.headers.insert(IDENTITY, token);
        }
        Ok(())
    }

    fn answered(
        &self,
        passage: &Passage<'_>,
        parts: &mut Parts,
        mut response: Answer,
        running: Running,
    ) -> Result<Response, Problem> {
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let upgrade = response.extensions_mut().remove::<OnUpgrade>();
        fields::incoming(response.headers_mut());
        if !switches {
            return Ok(response.map(|inner| Body::new(Counted { inner, _running: running })));
        }
        let client = parts.extensions.remove::<OnUpgrade>().filter(|_| fields::wants_websocket(&parts.headers));
        let (Some(client), Some(upstream), Some(gateway)) = (client, upgrade, self.me.upgrade()) else {
            let unasked = "the service behind this path changed the protocol without being asked";
            return Err(Problem::new(ProblemKind::Unavailable, "upstream_unavailable", unasked));
        };
        let idle = Duration::from_millis(u64::from(passage.route.route.idle_ms));
        let held = (running, parts.extensions.get().cloned());
        let tunnel = Tunnel { client, upstream, idle, admitted: Arc::clone(&passage.admitted), held };
        tokio::spawn(tunnel.run(gateway));
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        Ok(response.map(|_| Body::empty()))
    }
}

type Answer = http::Response<Incoming>;

/// What a proxy or an overloaded server answers; any other answer is the service's own business.
fn is_well(status: StatusCode) -> bool {
    !matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

/// Whether the caller may pass. What the right to pass hangs on is looked at again for as long as an answer lasts.
fn may_pass(route: &Compiled, cx: &Cx, admitted: &Admitted) -> Result<(), Problem> {
    match &route.route.access {
        Access::Anyone => Ok(()),
        Access::SignedIn if !matches!(cx.caller(), Caller::Visitor) => Ok(()),
        Access::SignedIn => Err(cx.refusal("signed_in")),
        Access::Permission(name) => {
            let needs = route.needs.filter(|needs| cx.grants().of(*needs).is_some());
            let needs = needs.ok_or_else(|| cx.refusal(name.as_str()))?;
            admitted.needs.get_or_init(|| needs);
            Ok(())
        }
    }
}

/// A person at a browser is led to the page for signing in, and back from there.
fn sign_in(parts: &Parts, cx: &Cx, refused: &Problem) -> Option<Response> {
    let accepts = parts.headers.get(header::ACCEPT)?.to_str().ok()?;
    let page = parts.method == Method::GET && accepts.contains("text/html") && cx.scope().tenant().is_some();
    if !page || refused.kind() != ProblemKind::Unauthenticated {
        return None;
    }
    let back = parts.uri.path_and_query()?.as_str();
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("return_to", back).finish();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let location = HeaderValue::try_from(format!("/sign-in?{query}")).ok()?;
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}
