//! The edge of the real program: limits, connections, what every answer tells.
#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod site;

use std::time::Duration;

use reqwest::{StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use site::{Site, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Where no mail is sent, no server for it is needed.
const NO_MAIL: u16 = 9;

async fn site(settings: &[(&str, &str)]) -> (tempfile::TempDir, Site) {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start_with(&folder.path().join("data"), None, NO_MAIL, settings).await;
    (folder, site)
}

async fn connect(site: &Site) -> TcpStream {
    TcpStream::connect(("127.0.0.1", site.port)).await.unwrap()
}

/// Sends these bytes and reads until the other side closes.
async fn raw(site: &Site, bytes: &str) -> String {
    let mut stream = connect(site).await;
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap().unwrap_or_default();
    String::from_utf8_lossy(&answer).into_owned()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn every_answer_tells_its_trace_and_its_limits() {
    let (_folder, site) = site(&[]).await;
    let visitor = site.visitor("localhost");
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (method, path, status) in [
        ("GET", "/v1/tenants", StatusCode::UNAUTHORIZED),
        ("GET", "/nowhere", StatusCode::NOT_FOUND),
        ("DELETE", "/v1/tenants", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let request = visitor.request(method, path).header("traceparent", format!("00-{id}-00f067aa0ba902b7-01"));
        let answer = request.header("x-request-id", "order-17").send().await.unwrap();
        assert_eq!(answer.status(), status, "{method} {path}");
        let headers = answer.headers().clone();
        assert_eq!((text(&headers, "x-trace-id"), text(&headers, "x-request-id")), (id, "order-17"));
        assert_eq!(text(&headers, "x-content-type-options"), "nosniff");
        assert!(text(&headers, "ratelimit").contains(";r="), "{headers:?}");
        assert!(text(&headers, "ratelimit-policy").contains(";q="), "{headers:?}");
        if status == StatusCode::METHOD_NOT_ALLOWED {
            assert!(text(&headers, "allow").contains("GET"), "{headers:?}");
        }
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["trace_id"], id, "{method} {path}");
    }
    let head = visitor.request("HEAD", "/operator/sign-in").send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(head.text().await.unwrap(), "");
    let options = visitor.request("OPTIONS", "/v1/tenants").send().await.unwrap();
    assert_eq!(options.status(), StatusCode::NO_CONTENT);
    assert!(text(options.headers(), "allow").contains("GET"));
    let ready = visitor.does("GET", "/readyz", Value::Null).await;
    assert_eq!(ready, json!({ "ready": true, "reasons": [] }));
}

#[tokio::test]
async fn who_asks_too_often_waits_and_a_proxy_speaks_for_each_of_its_visitors() {
    let settings = [
        ("FREEHOLD_LIMITS__ADDRESS", "{per_second=1,burst=5}"),
        ("FREEHOLD_TRUSTED_PROXIES", "[\"127.0.0.1\"]"),
        ("FREEHOLD_METRICS_LISTEN", "127.0.0.1:0"),
    ];
    let (_folder, site) = site(&settings).await;
    let asks = async |from: &str| {
        let request = site.visitor("acme.localhost").request("GET", "/v1/me").header("x-forwarded-for", from);
        request.send().await.unwrap()
    };
    let first = until("a refusal", async || {
        let answer = asks("1.2.3.4, 198.51.100.1").await;
        (answer.status() == StatusCode::TOO_MANY_REQUESTS).then_some(answer)
    })
    .await;
    let headers = first.headers().clone();
    assert!(text(&headers, "retry-after").parse::<u32>().unwrap() >= 1);
    assert_eq!(text(&headers, "ratelimit-policy"), "\"address\";q=5;w=5");
    assert!(text(&headers, "ratelimit").starts_with("\"address\";r=0;t="), "{headers:?}");
    let problem: Value = first.json().await.unwrap();
    assert_eq!((problem["code"].as_str(), problem["status"].as_u64()), (Some("rate_limited"), Some(429)));
    assert_eq!(problem["trace_id"], text(&headers, "x-trace-id"));
    assert_eq!(asks("198.51.100.2").await.status(), StatusCode::NOT_FOUND, "another visitor of the same proxy");
    assert_eq!(asks("198.51.100.7, 198.51.100.1").await.status(), StatusCode::TOO_MANY_REQUESTS, "forged to the left");
}

#[tokio::test]
async fn guessing_credentials_is_slowed_down() {
    let (_folder, site) = site(&[("FREEHOLD_LIMITS__FAILURES", "{per_second=1,burst=3}")]).await;
    let guesser = site.visitor("localhost").with_token("a-guess");
    let mut refused = 0;
    until("the end of guessing", async || {
        let (status, answer) = guesser.send("GET", "/v1/tenants", Value::Null).await;
        refused += u32::from(status == StatusCode::UNAUTHORIZED);
        (answer["code"] == "rate_limited").then_some(())
    })
    .await;
    assert!(refused >= 3);
    let (status, _) = site.visitor("localhost").send("GET", "/v1/tenants", Value::Null).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "who shows no credential is not kept out");
}

#[tokio::test]
async fn requests_that_mean_two_things_are_refused() {
    let (_folder, site) = site(&[]).await;
    let host = "Host: localhost\r\n";
    for (what, request) in [
        ("no host", "GET /livez HTTP/1.1\r\n\r\n".to_owned()),
        ("two hosts", format!("GET /livez HTTP/1.1\r\n{host}Host: evil\r\n\r\n")),
        ("another host", format!("GET http://evil/livez HTTP/1.1\r\n{host}\r\n")),
        (
            "two lengths",
            format!("POST /v1/sign-up HTTP/1.1\r\n{host}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"),
        ),
        ("no number", format!("POST /v1/sign-up HTTP/1.1\r\n{host}Content-Length: +2\r\n\r\n{{}}")),
        (
            "not chunked last",
            format!("POST /v1/sign-up HTTP/1.1\r\n{host}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        ),
        ("space before the colon", format!("GET /livez HTTP/1.1\r\n{host}X : y\r\n\r\n")),
        ("a folded line", format!("GET /livez HTTP/1.1\r\n{host}X: y\r\n z\r\n\r\n")),
    ] {
        let answer = raw(&site, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{what}: {answer}");
        assert!(!answer.contains("alive"), "{what}: {answer}");
    }
    // Both lengths: the body is what the chunks say, and nothing after it is taken for a request.
    let both = format!(
        "POST /v1/sign-up HTTP/1.1\r\n{host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
         GET /livez HTTP/1.1\r\n{host}\r\n"
    );
    assert!(!raw(&site, &both).await.contains("alive"));
    let large = format!("GET /livez HTTP/1.1\r\n{host}X: {}\r\n\r\n", "y".repeat(64 << 10));
    assert!(raw(&site, &large).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn slow_clients_are_sent_away_and_do_not_keep_others_waiting() {
    let settings = [
        ("FREEHOLD_HTTP__HEADER_TIMEOUT_MS", "300"),
        ("FREEHOLD_HTTP__BODY_PAUSE_MS", "300"),
        ("FREEHOLD_HTTP__CONNECTIONS_PER_ADDRESS", "20"),
    ];
    let (_folder, site) = site(&settings).await;
    assert_eq!(raw(&site, "").await, "", "who says nothing is hung up on");
    let half = raw(&site, "GET /livez HTTP/1.1\r\nHost: local").await;
    assert!(half.is_empty() || half.starts_with("HTTP/1.1 408"), "{half}");
    let cut =
        "POST /v1/sign-up HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{";
    let answer = raw(&site, cut).await;
    assert!(answer.contains("body_too_slow"), "{answer}");
    assert!(!raw(&site, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.contains("alive"));
}

#[tokio::test]
async fn one_address_has_its_share_of_connections() {
    let (_folder, site) = site(&[("FREEHOLD_HTTP__CONNECTIONS_PER_ADDRESS", "3")]).await;
    let mut held = Vec::new();
    // More than there are places: those that were taken at first give theirs back when they end.
    let turned_away = until("a connection that is turned away", async || {
        let mut stream = connect(&site).await;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.ok()?;
        let mut answer = [0; 512];
        match stream.read(&mut answer).await {
            Ok(0) | Err(_) => Some(held.len()),
            Ok(_) => {
                held.push(stream);
                None
            }
        }
    })
    .await;
    assert!(turned_away <= 3, "{turned_away}");
    held.clear();
    until("places that are free again", async || {
        site.http.get(site.at("localhost", "/livez")).send().await.ok().filter(|it| it.status() == StatusCode::OK)
    })
    .await;
}

#[tokio::test]
async fn what_runs_may_end_and_what_rests_is_closed() {
    let (_folder, mut site) = site(&[]).await;
    let mut idle = connect(&site).await;
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 512];
    assert!(idle.read(&mut answer).await.unwrap() > 0);
    site.stop();
    assert_eq!(idle.read(&mut answer).await.unwrap_or(0), 0, "a connection that rests is closed");
    until("the end of the process", async || site.ended()).await;
}
