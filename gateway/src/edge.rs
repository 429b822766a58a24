//! The way of a request, outermost first. What costs the least is asked first, so that a flood is turned away cheaply.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use kernel::{Problem, ProblemKind, cx::TraceId};
use tower_service::Service;
use web::{Body, Request, Response, Router, Served};

use crate::{
    Gateway, cors,
    live::live,
    visit::{self, Visit},
};

/// Pages for signing in, and for what is proven by it: they stand at the tenant's canonical origin alone, where its session,
/// its passkeys and its issuer are.
const SIGN_IN: [&str; 7] =
    ["/sign-in", "/welcome", "/recover", "/change-address", "/account", "/oauth/authorize", "/oauth/logout"];

/// A problem with the trace of its visit.
pub(crate) fn problem(problem: &Problem, visit: &Visit) -> Response {
    web::problem_response(problem, Some(&visit.trace.to_string()))
}

/// What no request may look like (RFC 9112, sections 3.2 and 3.3). One host name, the same wherever it stands; the two
/// versions then look alike to all that follows.
fn well_formed(request: &mut Request) -> Result<(), Problem> {
    let refused = |why| Err(Problem::new(ProblemKind::Invalid, "request_malformed", why).hint("use another client"));
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Problem::new(
            ProblemKind::MethodNotAllowed,
            "method_not_allowed",
            "this method is not served here",
        )
        .hint("the methods of each path are listed at /openapi.json"));
    }
    let authority = request.uri().authority().map(|it| it.as_str().to_owned());
    if authority.as_deref().is_some_and(|it| it.contains('@')) {
        return refused("the address names a user");
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next(), authority) {
        (Some(_), Some(_), _) => refused("the host is named twice"),
        (Some(host), None, Some(authority)) if !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => {
            refused("the address and the Host header name different hosts")
        }
        (None, None, Some(authority)) => {
            let host = HeaderValue::try_from(authority).map_err(Problem::internal)?;
            request.headers_mut().insert(header::HOST, host);
            Ok(())
        }
        (None, _, None) if request.version() >= Version::HTTP_11 => refused("no host is named"),
        _ => Ok(()),
    }
}

/// The same page at the tenant's origin. What was sent to this one is not sent on: it is typed where it belongs.
fn moved(origin: &str, request: &Request) -> Option<Response> {
    let rest = request.uri().path_and_query()?.as_str();
    let asks = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = if asks { StatusCode::TEMPORARY_REDIRECT } else { StatusCode::SEE_OTHER };
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::try_from(format!("{origin}{rest}")).ok()?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}

impl Gateway {
    /// Serves one request that came over a connection from `peer`.
    pub async fn pass(self: &Arc<Self>, peer: IpAddr, request: Request, router: &Router) -> Response {
        let address = self.settings.proxies.visitor(peer, request.headers());
        let trace = visit::trace(request.headers()).unwrap_or_else(|| {
            let mut fresh = [0; 16];
            self.ground.ambient.entropy.fill(&mut fresh);
            TraceId(fresh)
        });
        let visit = Arc::new(Visit::new(address, trace));
        let request_id = visit::request_id(request.headers(), trace);
        let method = request.method().clone();
        let mut response = self.answer(request, router, &visit).await;
        if let Some(request_id) = request_id {
            response.headers_mut().insert("x-request-id", request_id);
        }
        self.mark(response.headers_mut(), &visit);
        self.count(&method, &response, &visit);
        live(self, response, &visit)
    }

    async fn answer(self: &Arc<Self>, mut request: Request, router: &Router, visit: &Arc<Visit>) -> Response {
        if let Err(malformed) = well_formed(&mut request) {
            return closing(problem(&malformed, visit));
        }
        let Some(_place) = self.place() else {
            self.ground.metrics.shed();
            let busy = "more requests run than this installation takes at once";
            let busy = Problem::new(ProblemKind::Unavailable, "overloaded", busy).retry_after(1);
            return problem(&busy.hint("send it again in a moment"), visit);
        };
        if let Err(refused) = visit.judged(self.gate.address(visit.address)) {
            return refused.response(visit.trace);
        }
        let (parts, body) = request.into_parts();
        if let Some(preflight) = self.preflight(&parts, visit).await {
            return preflight;
        }
        let mut request = Request::from_parts(parts, body);
        if SIGN_IN.contains(&request.uri().path())
            && matches!(*request.method(), Method::GET | Method::HEAD | Method::POST)
            && let Some(origin) = self.canonical(&crate::tenant::host(request.headers())).await
            && let Some(moved) = moved(&origin, &request)
        {
            return moved;
        }
        let extensions = request.extensions_mut();
        extensions.insert(visit.trace);
        // For whoever wants to know where a visitor is; the port is of no meaning behind a proxy.
        extensions.insert(std::net::SocketAddr::new(visit.address, 0));
        extensions.insert(Arc::clone(visit));
        match router.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// A place among the requests that run, if one is left. What a stream sends later needs none.
    fn place(self: &Arc<Self>) -> Option<Place> {
        let before = self.ground.metrics.begins();
        let place = Place(Arc::clone(self));
        (before < self.settings.http.in_flight).then_some(place)
    }

    /// What every answer tells.
    fn mark(&self, headers: &mut HeaderMap, visit: &Visit) {
        if let Ok(trace) = HeaderValue::try_from(visit.trace.to_string()) {
            headers.insert(HeaderName::from_static("x-trace-id"), trace);
        }
        let nosniff = HeaderValue::from_static("nosniff");
        headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(nosniff);
        if self.settings.scheme == "https" {
            let year = HeaderValue::from_static("max-age=31536000");
            headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(year);
        }
        if let Some(verdict) = visit.verdict() {
            verdict.announce(headers);
        }
        cors::mark(headers, visit);
    }

    fn count(&self, method: &Method, response: &Response, visit: &Visit) {
        let operation = response.extensions().get::<Served>().map_or("none", |served| &served.0);
        let (status, took) = (response.status(), visit.begun.elapsed());
        self.ground.metrics.answered(operation, status, took);
        if let Some(verdict) = visit.verdict().filter(super::limits::Verdict::refuses) {
            self.ground.metrics.limited(verdict.class);
        }
        // Field names of the Elastic Common Schema. No path and no address: both can tell of a person.
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let tenant = visit.admitted.get().and_then(|it| it.scope.tenant()).map(tracing::field::display);
        tracing::event!(
            target: "access",
            tracing::Level::INFO,
            http.request.method = method.as_str(),
            http.response.status_code = status.as_u16(),
            event.action = operation,
            event.duration = nanoseconds,
            trace.id = %visit.trace,
            organization.id = tenant,
            "answered"
        );
    }
}

struct Place(Arc<Gateway>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.ground.metrics.ends();
    }
}

/// The last answer on its connection: what follows on it cannot be trusted to be a request.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_the_same_wherever_it_stands() {
        let of = |uri: &str, hosts: &[&str]| {
            let builder = hosts.iter().fold(http::Request::builder().uri(uri), |it, host| it.header("host", *host));
            let mut request = builder.body(Body::empty()).unwrap();
            well_formed(&mut request).map(|()| request.headers().get("host").cloned())
        };
        assert_eq!(of("/a", &["acme.test"]).unwrap().unwrap(), "acme.test");
        assert_eq!(of("http://acme.test/a", &[]).unwrap().unwrap(), "acme.test", "as HTTP/2 has it");
        assert!(of("http://acme.test:80/a", &["ACME.test:80"]).is_ok());
        for (uri, hosts) in [
            ("/a", &[][..]),
            ("/a", &["acme.test", "globex.test"]),
            ("/a", &["acme.test", "acme.test"]),
            ("http://globex.test/a", &["acme.test"]),
            ("http://ada@acme.test/a", &[]),
        ] {
            assert!(of(uri, hosts).is_err(), "{uri} {hosts:?}");
        }
    }
}
