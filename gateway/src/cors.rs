//! Which other sites' pages may read answers (the Fetch standard, section 3.2): those of the origins that a tenant names.
//! They act with tokens. Cookies are never taken from them, so no answer allows credentials.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use kernel::{Problem, Scope, TenantId};
use web::{Body, Response};

use crate::{Gateway, context::ReadOrigins, visit::Visit};

/// The origin of a page on another site; none where the page is of the host that is asked.
fn foreign(headers: &HeaderMap) -> Option<&str> {
    let origin = headers.get(header::ORIGIN)?.to_str().ok()?;
    let (_, host) = origin.split_once("://")?;
    (headers.get(header::HOST)?.to_str().ok()? != host).then_some(origin)
}

impl Gateway {
    /// Whether a tenant names an origin as one whose pages may read answers.
    async fn names(&self, tenant: TenantId, origin: &str) -> bool {
        let read = async {
            let view = self.ground.calls.call(ReadOrigins {}, &self.own(Scope::Tenant(tenant))).await?;
            Ok::<_, Problem>(view.origins)
        };
        match self.found.origins.get_or(tenant, read).await {
            Ok(origins) => origins.iter().any(|named| named == origin),
            Err(problem) => {
                tracing::warn!(?problem, "the allowed origins of a tenant cannot be read: none is allowed");
                false
            }
        }
    }

    /// Whether the page that asks is of an origin that may read the answer, and is not of the host itself.
    pub(crate) async fn lets_read(&self, parts: &Parts, scope: Scope, visit: &Visit) -> bool {
        let (Some(origin), Scope::Tenant(tenant)) = (foreign(&parts.headers), scope) else { return false };
        if !self.names(tenant, origin).await {
            return false;
        }
        let Ok(value) = HeaderValue::from_str(origin) else { return false };
        visit.readable_by.set(value).is_ok()
    }

    /// The answer to a browser that asks before it sends. Whoever is refused gets no permission, and no reason.
    pub(crate) async fn preflight(&self, parts: &Parts, visit: &Visit) -> Option<Response> {
        if parts.method != Method::OPTIONS {
            return None;
        }
        let method = parts.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        foreign(&parts.headers)?;
        let allowed = match self.scope(parts, visit).await {
            Ok(scope) => self.lets_read(parts, scope, visit).await,
            Err(problem) => return Some(web::problem_response(&problem, Some(&visit.trace.to_string()))),
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("Origin, Access-Control-Request-Headers"));
        if allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method.clone());
            if let Some(asked) = parts.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
        Some(response)
    }
}

/// Tells the browser who may read an answer, and caches that it depends on who asks.
pub(crate) fn mark(headers: &mut HeaderMap, visit: &Visit) {
    let Some(origin) = visit.readable_by.get() else { return };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("ETag, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id, X-Trace-Id"),
    );
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}
