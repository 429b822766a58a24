//! What explains the interface to those who use it: `/openapi.json`, the pages of `/docs` (Swagger UI, which asks no other
//! host), and a page for each code of a problem.

use std::sync::Arc;

use axum::{Router, extract::Path, response::Response, routing::get};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use kernel::{Problem, context::Body};
use serde_json::{Map, Value};

use crate::{answer, method_not_allowed, problem_response};

/// The problems that the code can answer with, gathered by `cargo xtask generate`.
const PROBLEMS: &str = include_str!("problems.json");
/// A file of Swagger UI or of ours, its media type, and whether it is compressed (gzip, as every browser reads it).
const FILES: [(&str, &str, &[u8], bool); 4] = [
    ("swagger-ui-bundle.js", SCRIPT, include_bytes!("../vendor/swagger-ui/swagger-ui-bundle.js.gz"), true),
    ("swagger-ui.css", STYLE, include_bytes!("../vendor/swagger-ui/swagger-ui.css.gz"), true),
    ("docs.js", SCRIPT, include_bytes!("docs.js"), false),
    ("docs.css", STYLE, include_bytes!("docs.css"), false),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// By code, what is known of each problem.
pub(crate) fn problems() -> Map<String, Value> {
    serde_json::from_str(PROBLEMS).unwrap_or_default()
}

/// The pages, for a document.
pub fn reference(document: &Value) -> Router {
    let document = Arc::new((Bytes::from(document.to_string()), tag(document.to_string().as_bytes())));
    let all: Vec<u8> = FILES.iter().flat_map(|(_, _, bytes, _)| bytes.iter().copied()).collect();
    let version = tag(&all);
    let (index, current) = (index(&version), version);
    let openapi = move |headers: HeaderMap| {
        let document = Arc::clone(&document);
        async move { unless_known(&headers, &document.1, "application/json", document.0.clone()) }
    };
    let file = move |Path((version, name)): Path<(String, String)>| {
        let found = FILES.iter().find(|file| file.0 == name && version == current);
        async move { found.map_or_else(nothing_here, stored) }
    };
    let served = Arc::new(problems());
    let list = Arc::clone(&served);
    Router::new()
        .route("/openapi.json", get(openapi).fallback(method_not_allowed))
        .route("/docs", get(|| async move { page("text/html; charset=utf-8", index) }).fallback(method_not_allowed))
        .route("/docs/{version}/{name}", get(file).fallback(method_not_allowed))
        .route(
            "/problems",
            get(|headers: HeaderMap| async move { all_problems(&list, &headers) }).fallback(method_not_allowed),
        )
        .route(
            "/problems/{code}",
            get(|Path(code): Path<String>, headers: HeaderMap| async move { one_problem(&served, &code, &headers) })
                .fallback(method_not_allowed),
        )
}

fn nothing_here() -> Response {
    problem_response(&Problem::not_found("page").hint("/problems lists the codes, /docs shows the interface"), None)
}

/// The first half of a hash: enough to tell two versions of our own files apart.
fn tag(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    data_encoding::HEXLOWER.encode(digest.as_ref()).chars().take(32).collect()
}

fn index(version: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>API reference</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"/docs/{version}/swagger-ui.css\">\n\
         <link rel=\"stylesheet\" href=\"/docs/{version}/docs.css\">\n</head>\n<body>\n<main id=\"reference\"></main>\n\
         <noscript><p>This page needs scripts. The same is at <a href=\"/openapi.json\">/openapi.json</a>.</p></noscript>\n\
         <script src=\"/docs/{version}/swagger-ui-bundle.js\"></script>\n<script src=\"/docs/{version}/docs.js\"></script>\n\
         </body>\n</html>\n"
    )
}

/// Swagger UI brings its script, and styles its elements by it. Nothing on these pages was written by anybody else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; script-src 'self'; \
     connect-src 'self'; base-uri 'none'; frame-ancestors 'none'",
);

fn page(media_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut answer = http::Response::new(Body::Full(body.into()));
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer::response(answer)
}

/// The body, or `304` for who has it already (RFC 9110, section 13.1.2).
fn unless_known(headers: &HeaderMap, tag: &str, media_type: &'static str, body: Bytes) -> Response {
    let tag = format!("\"{tag}\"");
    let known = headers.get(header::IF_NONE_MATCH).and_then(|it| it.to_str().ok());
    let known = known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
    let mut response = page(media_type, if known { Bytes::new() } else { body });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// A file under a name that changes with its content.
fn stored((_, media_type, bytes, compressed): &(&str, &'static str, &'static [u8], bool)) -> Response {
    let mut response = page(media_type, Bytes::from_static(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    if *compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|it| it.to_str().ok()).is_some_and(|accept| accept.contains("text/html"))
}

fn all_problems(known: &Map<String, Value>, headers: &HeaderMap) -> Response {
    if !wants_html(headers) {
        return page("application/json", Value::from(known.clone()).to_string());
    }
    let mut body = String::from("<h1>Problems</h1>\n<ul>\n");
    for (code, it) in known {
        let code = escaped(code);
        body.extend([format!(
            "<li><a href=\"/problems/{code}\"><code>{code}</code></a> {}</li>\n",
            text(&it["title"])
        )]);
    }
    html("Problems", &(body + "</ul>\n"))
}

fn one_problem(known: &Map<String, Value>, code: &str, headers: &HeaderMap) -> Response {
    let Some(it) = known.get(code) else { return nothing_here() };
    if !wants_html(headers) {
        return page("application/json", it.to_string());
    }
    let again = if it["retryable"] == true { "may be sent again" } else { "fails again" };
    let mut body = format!("<h1><code>{}</code></h1>\n<p>{} {}. ", escaped(code), it["status"], text(&it["title"]));
    body.extend([format!("The same request {again}.</p>\n")]);
    for (heading, what) in [("What happened", &it["meanings"]), ("What to do", &it["remedies"])] {
        let items = what.as_array().into_iter().flatten().map(|item| format!("<li>{}</li>\n", text(item)));
        body.extend([format!("<h2>{heading}</h2>\n<ul>\n{}</ul>\n", items.collect::<String>())]);
    }
    html(code, &(body + "<p><a href=\"/problems\">All problems</a></p>\n"))
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn html(title: &str, body: &str) -> Response {
    let (title, style) = (
        escaped(title),
        "body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;\
        padding:0 1rem;color-scheme:light dark}h1{overflow-wrap:anywhere}",
    );
    page(
        "text/html; charset=utf-8",
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
             <style>{style}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_says_what_to_do() {
        let all = problems();
        assert!(all.len() > 20, "{}", all.len());
        for (code, it) in &all {
            assert_eq!(it["code"], code.as_str());
            assert!(it["remedies"][0].is_string() && it["status"].is_u64(), "{code}");
        }
    }

    #[test]
    fn a_document_that_is_known_is_not_sent_again() {
        let mut headers = HeaderMap::new();
        let answer = |headers: &HeaderMap| unless_known(headers, "abc", "application/json", Bytes::from_static(b"{}"));
        assert_eq!(answer(&headers).status(), StatusCode::OK);
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"x\", W/\"abc\""));
        assert_eq!(answer(&headers).status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn what_is_shown_is_text() {
        assert_eq!(escaped("<b a=\"x\">&"), "&lt;b a=&quot;x&quot;&gt;&amp;");
    }
}
