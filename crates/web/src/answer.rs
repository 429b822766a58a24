//! Answers as HTTP.

use axum::{body::Body as Sent, response::Response};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderValue, StatusCode, header};
use kernel::{Problem, context::Body};

/// A problem as `application/problem+json` (RFC 9457).
pub fn problem_response(problem: &Problem, trace: Option<&str>) -> Response {
    let document = serde_json::to_vec(&problem.document(trace)).unwrap_or_default();
    let mut response = Response::new(Sent::from(document));
    *response.status_mut() = StatusCode::from_u16(problem.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = problem.retry_seconds() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.kind().status() == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

pub(crate) fn json(answer: Bytes) -> Response {
    let mut response = Response::new(Sent::from(answer));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The answer of a protocol endpoint, with the headers that every answer has.
pub fn response(answer: http::Response<Body>) -> Response {
    let (parts, body) = answer.into_parts();
    let body = match body {
        Body::Full(bytes) => Sent::from(bytes),
        Body::Stream(pieces) => Sent::from_stream(pieces.map(Ok::<_, std::convert::Infallible>)),
    };
    let mut response = Response::from_parts(parts, body);
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    ));
    response
}
