//! Services of one's own behind the real program: a real server in the test, reached through the gateway.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod site;

use std::{net::SocketAddr, time::Duration};

use axum::{Router, body::Body, extract::Request, response::Response, routing::any};
use futures::StreamExt;
use hyper_util::rt::TokioIo;
use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{Person, Site, mailpit, unique, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Tells what came.
async fn echo(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 16 << 20).await.unwrap_or_default();
    let headers: serde_json::Map<String, Value> =
        parts.headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap()))).collect();
    let told = json!({ "method": parts.method.as_str(), "target": parts.uri.to_string(), "headers": headers,
        "length": body.len() });
    Response::builder()
        .header("set-cookie", "freehold_session=fixed")
        .header("set-cookie", "theme=dark")
        .body(Body::from(told.to_string()))
        .unwrap()
}

/// An event now and then, for ever.
async fn events() -> Response {
    let pieces = futures::stream::unfold(0, async |number: u32| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok::<_, std::convert::Infallible>(format!("data: {number}\n\n")), number + 1))
    });
    Response::builder().header("content-type", "text/event-stream").body(Body::from_stream(pieces)).unwrap()
}

/// Becomes a WebSocket, as far as a gateway can see, and gives back what it gets.
async fn socket(request: Request) -> Response {
    tokio::spawn(async move {
        let mut stream = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        let mut bytes = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut bytes).await {
            if stream.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    });
    let builder = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "websocket");
    builder.body(Body::empty()).unwrap()
}

async fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let busy = any(async || StatusCode::SERVICE_UNAVAILABLE);
    let router = Router::new().route("/events", any(events)).route("/socket", any(socket)).route("/busy", busy);
    tokio::spawn(async move { axum::serve(listener, router.fallback(echo)).await });
    at
}

fn route(path: &str, servers: &[SocketAddr], more: &Value) -> Value {
    let servers: Vec<String> = servers.iter().map(|at| format!("http://{at}")).collect();
    let mut route = json!({ "path": path, "rewrite": "/", "upstreams": [{ "name": "shop", "servers": servers }] });
    for (name, value) in more.as_object().unwrap() {
        route[name] = value.clone();
    }
    route
}

async fn put(operator: &Person<'_>, name: &str, route: Value) {
    operator.does("PUT", &format!("/v1/proxy-routes/{name}"), json!({ "route": route })).await;
}

/// Waits until a change of the routes is in force.
async fn in_force(person: &Person<'_>, path: &str, status: StatusCode) {
    until(&format!("{status} at {path}"), async || {
        (person.request("GET", path).send().await.unwrap().status() == status).then_some(())
    })
    .await;
}

/// What the token says, if the published key has signed it.
async fn verified(site: &Site, token: &str) -> Value {
    let keys = site.visitor("localhost").does("GET", "/.well-known/freehold/jwks", Value::Null).await;
    let decode = |text: &str| data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
    let key = decode(keys["keys"][0]["x"].as_str().unwrap());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key);
    key.verify(signed.as_bytes(), &decode(signature)).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    assert_eq!((header["alg"].as_str(), &header["kid"]), (Some("EdDSA"), &keys["keys"][0]["kid"]));
    serde_json::from_slice(&decode(claims)).unwrap()
}

async fn who_asks(owner: &Person<'_>, tenant: &str, at: SocketAddr) {
    let request = owner.request("GET", "/shop/a%2Db?x=1").header("x-freehold-identity", "forged");
    let answer = request.header("x-forwarded-for", "1.2.3.4").header("accept", "text/html").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let cookies: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["theme=dark"], "an upstream gives no session");
    let told: Value = answer.json().await.unwrap();
    assert_eq!(told["target"], "/a-b?x=1");
    let headers = &told["headers"];
    assert_eq!(headers["host"], at.to_string());
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert!(headers["x-forwarded-host"].as_str().unwrap().starts_with("acme.localhost"));
    assert!(headers.get("cookie").is_none() && headers.get("authorization").is_none(), "{headers}");
    assert!(headers["traceparent"].as_str().unwrap().starts_with("00-"));
    let claims = verified(owner.site, headers["x-freehold-identity"].as_str().unwrap()).await;
    assert_eq!((claims["tenant"].as_str(), claims["aud"].as_str()), (Some(tenant), Some("shop")));
    assert_eq!((claims["htm"].as_str(), claims["htu"].as_str()), (Some("GET"), Some(&*format!("http://{at}/a-b"))));
    assert!(claims["sub"].as_str().unwrap().starts_with("usr_"));
    assert_eq!(claims["permissions"], json!(["users.profile.read"]));
    assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 30);
}

async fn who_may_pass(owner: &Person<'_>, operator: &Person<'_>) {
    let visitor = owner.site.visitor("acme.localhost");
    visitor.refused("GET", "/shop/a", Value::Null, "sign_in_required").await;
    let page = visitor.request("GET", "/shop/a?b=c").header("accept", "text/html").send().await.unwrap();
    assert_eq!(page.status(), StatusCode::SEE_OTHER);
    assert_eq!(page.headers()["location"], "/sign-in?return_to=%2Fshop%2Fa%3Fb%3Dc");
    let cross = owner.request("POST", "/shop/a").header("origin", "http://evil.example").send().await.unwrap();
    assert_eq!(cross.status(), StatusCode::FORBIDDEN, "another site's page");
    operator.refused("GET", "/shop/a", Value::Null, "not_found").await;
    let (status, told) = owner.clone().elsewhere("globex.localhost").send("GET", "/shop/a", Value::Null).await;
    assert_eq!((status, told["code"].as_str()), (StatusCode::NOT_FOUND, Some("not_found")), "no such tenant");
    for path in ["/shop/../v1/users", "/shop//a", "/shop/%2e%2e/a", "/shop/a%2fb"] {
        let answer =
            raw(owner.site, &format!("GET {path} HTTP/1.1\r\nHost: acme.localhost\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("path_ambiguous"), "{path}: {answer}");
    }
}

async fn raw(site: &Site, bytes: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", site.port)).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A WebSocket's handshake with the person's cookie; the connection, and the head of the answer.
async fn opens(person: &Person<'_>, more: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", person.site.port)).await.unwrap();
    let (host, cookie) = (&person.host, person.credential());
    let head = format!(
        "GET /shop/socket HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { break };
        answer.push(byte);
    }
    (stream, String::from_utf8_lossy(&answer).into_owned())
}

async fn bodies(owner: &Person<'_>) {
    let sent = |bytes: usize| owner.request("POST", "/shop/a").body(vec![b'x'; bytes]).send();
    let told: Value = sent(3_000_000).await.unwrap().json().await.unwrap();
    assert_eq!((told["method"].as_str(), told["length"].as_u64()), (Some("POST"), Some(3_000_000)));
    let (host, cookie) = (&owner.host, owner.credential());
    let head = format!(
        "POST /shop/a HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: none\r\nCookie: {cookie}\r\nContent-Length: 5000000\r\n\r\n"
    );
    let refused = raw(owner.site, &head).await;
    assert!(refused.starts_with("HTTP/1.1 413"), "before any of it is read: {refused}");
    let pieces = futures::stream::iter((0..5_000).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 1_000])));
    let endless = owner.request("POST", "/shop/a").body(reqwest::Body::wrap_stream(pieces)).send().await;
    // Who still writes when the answer comes may find the connection closed before it is read.
    assert!(endless.is_err() || endless.is_ok_and(|it| it.status() == StatusCode::PAYLOAD_TOO_LARGE));
}

async fn lasting(owner: &Person<'_>, operator: &Person<'_>, tenant: &str) {
    let (_, refused) = opens(owner, "Origin: http://evil.example\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    let (mut socket, answer) = opens(owner, "Sec-Fetch-Site: same-origin\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    let mut back = [0; 5];
    for _ in 0..3 {
        socket.write_all(b"hello").await.unwrap();
        socket.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"hello");
    }
    let mut events = owner.request("GET", "/shop/events").send().await.unwrap().bytes_stream();
    for _ in 0..3 {
        assert!(events.next().await.unwrap().unwrap().starts_with(b"data: "));
    }
    let why = json!({ "reason": "unpaid" });
    operator.does("POST", &format!("/v1/tenants/{tenant}/suspend"), why).await;
    let ends = async { while events.next().await.is_some_and(|piece| piece.is_ok()) {} };
    tokio::time::timeout(Duration::from_secs(10), ends).await.expect("the stream ends with the right to see it");
    let ends = tokio::time::timeout(Duration::from_secs(10), socket.read(&mut back)).await;
    assert!(matches!(ends.expect("the socket ends with the right to be there"), Ok(0) | Err(_)));
    operator.does("POST", &format!("/v1/tenants/{tenant}/resume"), json!({})).await;
    in_force(owner, "/shop/a", StatusCode::OK).await;
}

async fn sick_servers(owner: &Person<'_>, operator: &Person<'_>, at: SocketAddr) {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    put(operator, "pair", route("/pair", &[gone, at], &json!({ "retries": 1 }))).await;
    in_force(owner, "/pair/a", StatusCode::OK).await;
    for _ in 0..30 {
        assert_eq!(owner.request("GET", "/pair/a").send().await.unwrap().status(), StatusCode::OK);
    }
    let metrics = operator.request("GET", "/metrics").send().await.unwrap().text().await.unwrap();
    let count = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name)).expect(name);
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert!(count("freehold_upstream_retries_total") >= 1, "{metrics}");
    assert!(count("freehold_http_requests_total{operation=\"proxy.pair\",status=\"2xx\"}") >= 30, "{metrics}");
}

async fn documents(owner: &Person<'_>, operator: &Person<'_>, at: SocketAddr) {
    let document = json!({ "openapi": "3.1.0", "paths": { "/orders": { "post": { "requestBody": { "content": {
        "application/json": { "schema": { "type": "object", "required": ["sku"],
            "properties": { "sku": { "type": "string" } } } } } } } } } });
    let text = document.to_string();
    put(operator, "strict", route("/strict", &[at], &json!({ "document": { "text": text } }))).await;
    put(operator, "mild", route("/mild", &[at], &json!({ "document": { "text": text, "mode": "report" } }))).await;
    in_force(owner, "/mild/orders", StatusCode::OK).await;
    owner.does("POST", "/strict/orders", json!({ "sku": "a" })).await;
    let (status, problem) = owner.send("POST", "/strict/orders", json!({ "sku": 7 })).await;
    assert_eq!((status, problem["errors"][0]["pointer"].as_str()), (StatusCode::BAD_REQUEST, Some("/sku")));
    owner.refused("POST", "/strict/other", json!({}), "not_found").await;
    owner.does("POST", "/mild/orders", json!({ "sku": 7 })).await;
}

#[tokio::test]
async fn services_of_ones_own_stand_behind_the_gateway() {
    let Some(mailpit) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(&folder.path().join("data"), None, mailpit).await;
    let (at, operator) = (upstream().await, site.operator().await);
    let (tenant, owner) = site.company("acme", "Ada", &unique("ada")).await;
    let bad = json!({ "route": route("/v1/shop", &[at], &json!({})) });
    operator.refused("PUT", "/v1/proxy-routes/own", bad.clone(), "invalid_request").await;
    owner.refused("PUT", "/v1/proxy-routes/own", bad, "platform_scope_required").await;
    let told = json!({ "permissions": ["users.profile.read"], "body_limit": 4_000_000 });
    put(&operator, "shop", route("/shop", &[at], &told)).await;
    in_force(&owner, "/shop/a", StatusCode::OK).await;
    who_asks(&owner, &tenant, at).await;
    who_may_pass(&owner, &operator).await;
    bodies(&owner).await;
    let needs = json!({ "access": { "permission": "tenants.tenant.erase" } });
    put(&operator, "denied", route("/denied", &[at], &needs)).await;
    in_force(&owner, "/denied/a", StatusCode::FORBIDDEN).await;
    sick_servers(&owner, &operator, at).await;
    documents(&owner, &operator, at).await;
    // All else goes to the start-up's own pages; what is the platform's stays so.
    let front = json!({ "access": "anyone", "identity": "none" });
    put(&operator, "front", route("/", &[at], &front)).await;
    let visitor = site.visitor("acme.localhost");
    in_force(&visitor, "/pricing", StatusCode::OK).await;
    let told = visitor.does("GET", "/pricing", Value::Null).await;
    assert!(told["headers"].get("x-freehold-identity").is_none());
    visitor.refused("GET", "/v1/nothing", Value::Null, "not_found").await;
    lasting(&owner, &operator, &tenant).await;
    operator.does("DELETE", "/v1/proxy-routes/front", Value::Null).await;
    in_force(&visitor, "/pricing", StatusCode::NOT_FOUND).await;
}
