//! A service of one's own behind the proxy: what it is told of a caller is of the company that is asked, or nothing.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::Request, routing::any};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    Side,
    site::{Person, until},
};

/// What reached the service: the host that was asked, and all headers.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

async fn service(seen: Seen) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let served = any(move |request: Request| {
        let seen = Arc::clone(&seen);
        async move {
            let headers = request.headers();
            let host = headers["x-forwarded-host"].to_str().unwrap().to_owned();
            seen.lock().unwrap().push((host, format!("{headers:?}")));
            let token = headers.get("x-freehold-identity").map(|it| it.to_str().unwrap().to_owned());
            json!({ "token": token }).to_string()
        }
    });
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(served)).await });
    at
}

/// The routes that are tried: who may come, and what the service is told.
fn routes(at: SocketAddr) -> [(&'static str, Value); 4] {
    let route = |path: &str, access: Value, credentials: &str| {
        json!({ "path": path, "rewrite": "/", "access": access, "credentials": credentials,
            "upstreams": [{ "name": "shop", "servers": [format!("http://{at}")] }] })
    };
    let holds = json!({ "permission": "users.profile.read" });
    [
        ("open", route("/open", json!("anyone"), "kept")),
        ("known", route("/known", json!("signed_in"), "kept")),
        ("holding", route("/holding", holds, "kept")),
        ("passing", route("/passing", json!("anyone"), "passed")),
    ]
}

fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap()).unwrap()
}

pub(crate) async fn apart(left: &Side<'_>, right: &Side<'_>, operator: &Person<'_>) {
    let seen = Seen::default();
    let at = service(Arc::clone(&seen)).await;
    let mut tried = BTreeSet::new();
    for (name, route) in routes(at) {
        operator.does("PUT", &format!("/v1/proxy-routes/{name}"), json!({ "route": route })).await;
        let path = format!("/{name}/a");
        let owner = &left.company.owner;
        let known = until("the route is in force", async || {
            let (status, told) = owner.send("GET", &path, Value::Null).await;
            (status == StatusCode::OK).then_some(told)
        })
        .await;
        let token = known["token"].as_str().unwrap();
        assert_eq!(claims(token)["tenant"], left.company.id.as_str(), "{path} at home");
        for (kind, person) in &left.credentials {
            foreign(left, right, (&path, kind), (person, token)).await;
        }
        tried.insert(name.to_owned());
    }
    let listed = operator.does("GET", "/v1/proxy-routes", Value::Null).await;
    let listed = listed["items"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned());
    assert_eq!(tried, listed.collect(), "every route of the proxy is tried");
    let seen = seen.lock().unwrap();
    let theirs: Vec<_> = seen.iter().filter(|(host, _)| host.starts_with(&right.company.owner.host)).collect();
    assert!(!theirs.is_empty(), "visitors get through where anyone may");
    for (_, headers) in theirs {
        let told = left.marks().into_iter().find(|mark| headers.contains(mark));
        assert_eq!(told, None, "{headers}");
    }
}

/// One credential of `left`'s at the address of `right`, beside the token that the service itself got from `left`.
async fn foreign(left: &Side<'_>, right: &Side<'_>, (path, kind): (&str, &str), (person, token): (&Person<'_>, &str)) {
    let carried = person.clone().elsewhere(&right.company.owner.host);
    for method in ["GET", "POST"] {
        let request = carried.request(method, path).header("x-freehold-identity", token);
        let answer = request.send().await.unwrap();
        let open = path.starts_with("/open") || path.starts_with("/passing");
        let expected = if kind == "cookie" && open { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(answer.status(), expected, "{method} {path} with a {kind}");
        if expected == StatusCode::OK {
            let told: Value = answer.json().await.unwrap();
            let told = claims(told["token"].as_str().unwrap());
            assert_eq!(told["tenant"], right.company.id.as_str(), "{method} {path} with a {kind}");
            assert!(!told["sub"].as_str().unwrap_or_default().starts_with("usr_"), "a visitor is nobody: {told}");
        }
    }
    let both = person.request("GET", path).header("x-tenant", &right.company.id).send().await.unwrap();
    assert_eq!(both.status(), StatusCode::BAD_REQUEST, "{path} with a {kind}, of two companies");
    let of_header = person.clone().elsewhere("localhost").request("GET", path).header("x-tenant", &right.company.id);
    let told = of_header.send().await.unwrap().text().await.unwrap();
    let mark = left.marks().into_iter().find(|mark| told.contains(mark));
    assert_eq!(mark, None, "{path} with a {kind}: {told}");
}
