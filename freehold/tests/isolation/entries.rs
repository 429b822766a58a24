//! The entries of the router.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{Side, site::Person};

/// What stands beside the tables of contexts. Nothing of a company is served there.
const BESIDE: [&str; 8] =
    ["/", "/livez", "/readyz", "/openapi.json", "/docs", "/docs/{version}/{name}", "/problems", "/problems/{code}"];

/// What names nobody.
fn filled(path: &str) -> String {
    path.replace("{user}", "usr_00000000000000000000000000").replace(['{', '}'], "")
}

async fn answered(person: &Person<'_>, method: &str, path: &str, header: Option<(&str, &str)>) -> (StatusCode, String) {
    let request = person.request(method, path).json(&json!({}));
    let request = if let Some((name, value)) = header { request.header(name, value) } else { request };
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// Every operation of `right`'s, asked with each credential of `left`'s.
pub(crate) async fn apart(left: &Side<'_>, right: &Side<'_>, document: &Value) {
    let host = &right.company.owner.host;
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let (path, what) = (filled(path), format!("{method} {path}"));
            let nobody = answered(&right.company.visitor, method, &path, None).await;
            for (kind, person) in &left.credentials {
                let carried = person.clone().elsewhere(host);
                let of_header = person.clone().elsewhere("localhost");
                let there = answered(&carried, method, &path, None).await;
                let named = answered(&of_header, method, &path, Some(("x-tenant", &right.company.id))).await;
                let both = answered(person, method, &path, Some(("x-tenant", &right.company.id))).await;
                assert_eq!(both.0, StatusCode::BAD_REQUEST, "{what} with a {kind}: {}", both.1);
                assert!(both.1.contains("tenant_contradiction"), "{what} with a {kind}: {}", both.1);
                for (status, text) in [there, named] {
                    // A cookie is sent by itself: whoever brings one of elsewhere is a visitor.
                    let expected = if *kind == "cookie" { nobody.0 } else { StatusCode::UNAUTHORIZED };
                    assert_eq!(status, expected, "{what} with a {kind}: {text}");
                    let told = left.marks().into_iter().chain(right.marks()).find(|mark| text.contains(mark));
                    assert_eq!(told, None, "{what} with a {kind}: {text}");
                }
            }
            tried += 1;
        }
    }
    assert!(tried > 150, "the document lists the entries");
}

/// Paths that the composition adds to those of contexts, as its text has them.
fn added() -> BTreeSet<&'static str> {
    let texts = [include_str!("../../src/platform.rs"), include_str!("../../../crates/web/src/reference.rs")];
    let routes = texts.into_iter().flat_map(|text| text.split(".route(").skip(1));
    let paths = routes.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    // At an address of its own, which is not for the open network (`metrics_listen`).
    paths.filter(|path| *path != "/metrics").collect()
}

/// What stands beside the contexts tells nobody of a company, whoever asks.
pub(crate) async fn beside(left: &Side<'_>, right: &Side<'_>) {
    assert_eq!(added(), BTreeSet::from(BESIDE), "say here what a new path tells, and whom");
    for path in BESIDE {
        for (kind, person) in &left.credentials {
            let carried = person.clone().elsewhere(&right.company.owner.host);
            let (_, text) = answered(&carried, "GET", &filled(path), None).await;
            let told = left.marks().into_iter().chain(right.marks()).find(|mark| text.contains(mark));
            assert_eq!(told, None, "{path} with a {kind}");
        }
    }
}
