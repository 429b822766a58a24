//! `kill -9` under load: what was acknowledged is there, and what follows from it happens once.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod site;

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{Person, Site, mailpit, preference, until};

const WRITERS: u64 = 6;

/// Counts up its own preference until the process dies; tells the last value that was acknowledged.
async fn write(person: Person<'_>, writer: u64, from: u64, acknowledged: &AtomicU64) -> u64 {
    let (mut last, mut next) = (from, from + 1);
    loop {
        let sent =
            person.request("PUT", &format!("/v1/me/preferences/writer.{writer}")).json(&json!({ "value": next }));
        match sent.send().await {
            Ok(answer) if answer.status() == StatusCode::OK => (last, next) = (next, next + 1),
            // One aggregate, many writers: who tried too often is told so, and the write did not happen.
            Ok(answer) if answer.status() == StatusCode::CONFLICT => continue,
            Ok(answer) => assert_eq!(answer.status(), StatusCode::OK),
            Err(_) => return last,
        }
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_9() {
    survives("pooled", 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_in_a_file_of_its_own_survives_kill_9() {
    // A database has no files of tenants.
    if site::on_postgres().is_none() {
        survives("dedicated", 20).await;
    }
}

async fn survives(isolation: &str, rounds: u64) {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut site = Site::start_with(&data, None, mail, &[("FREEHOLD_TENANTS__ISOLATION", isolation)]).await;
    let email = site::unique("crash");
    let asked = json!({ "company": "Acme", "slug": "acme", "name": "Ada", "email": email });
    site.visitor("localhost").does("POST", "/v1/sign-up", asked).await;
    let link = site.link_for(&email).await;
    let cookie = site.visitor("acme.localhost").follows(&link, "correct horse battery").await.credential();
    let mut values = vec![0; usize::try_from(WRITERS).unwrap()];
    for round in 1..=rounds {
        let acknowledged = AtomicU64::new(0);
        let owner = site.visitor("acme.localhost").with_cookie(&cookie);
        let writers = (0..).zip(&values).map(|(writer, from)| write(owner.clone(), writer, *from, &acknowledged));
        let killed = async {
            until("writes under way", async || (acknowledged.load(Ordering::Relaxed) >= 30).then_some(())).await;
            site.kill();
        };
        let (last, ()) = tokio::join!(futures::future::join_all(writers), killed);
        let port = site.port;
        drop(owner);
        site = Site::start(&data, Some(port), mail).await;
        let owner = site.visitor("acme.localhost").with_cookie(&cookie);
        let stored = owner.does("GET", "/v1/me/preferences", Value::Null).await;
        for (writer, last) in last.iter().enumerate() {
            let found = preference(&stored, &format!("writer.{writer}")).unwrap_or(0);
            // One more may have been written whose answer was lost.
            assert!(found == *last || found == last + 1, "writer {writer}: {found} after {last}, round {round}");
            values[writer] = found;
        }
    }
    // Each change is one event, and each event one fact: none lost, none doubled.
    let written: u64 = values.iter().sum();
    let owner = site.visitor("acme.localhost").with_cookie(&cookie);
    let report = json!({ "measure": "count", "name": "users.PreferenceChanged.v1" });
    let count = async || {
        let rows = owner.does("POST", "/v1/analytics/reports/query", report.clone()).await;
        rows[0]["value"].as_f64()
    };
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let expected = written as f64;
    until("all facts", async || count().await.filter(|count| *count >= expected)).await;
    assert!(count().await.is_some_and(|count| (count - expected).abs() < 0.5), "an event had its effect twice");
}

/// Requests under keys, cut short by death at any moment and sent again: each has its effect once and one answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_a_key_has_one_effect_over_kill_9() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut site = Site::start(&data, None, mail).await;
    let (_, owner) = site.company("acme", "Ada", &site::unique("keys")).await;
    let (cookie, port) = (owner.credential(), site.port);
    drop(owner);
    let asked = |name: usize| json!({ "name": format!("role {name}"), "permissions": ["users.profile.read"] });
    let send = async |site: &Site, name: usize| {
        let owner = site.visitor("acme.localhost").with_cookie(&cookie);
        let request = owner.request("POST", "/v1/roles").header("idempotency-key", format!("k-{name}"));
        let answer = request.json(&asked(name)).send().await.ok()?;
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text().await.unwrap());
        answer.json::<Value>().await.ok()
    };
    for round in 0..20 {
        let first = {
            let killed = async {
                // Earlier or later within the few milliseconds that the request takes.
                tokio::time::sleep(std::time::Duration::from_micros(round as u64 * 400)).await;
                site.kill();
            };
            tokio::join!(send(&site, round), killed).0
        };
        site = Site::start(&data, Some(port), mail).await;
        let second = send(&site, round).await.unwrap();
        assert!(first.is_none_or(|first| first == second), "one answer to one key");
        assert_eq!(send(&site, round).await.unwrap(), second);
    }
    let owner = site.visitor("acme.localhost").with_cookie(&cookie);
    let listed = owner.does("GET", "/v1/roles", Value::Null).await;
    let names = listed["items"].as_array().unwrap().iter().filter_map(|it| it["name"].as_str());
    let mut made: Vec<_> = names.filter(|name| name.starts_with("role ")).collect();
    let all = made.len();
    made.sort_unstable();
    made.dedup();
    assert_eq!((made.len(), all), (20, 20), "each made once");
    let other = owner.request("POST", "/v1/roles").header("idempotency-key", "k-0").json(&asked(7));
    let refused: Value = other.send().await.unwrap().json().await.unwrap();
    assert_eq!(refused["code"], "key_reused");
}
