//! What goes wrong around the program: power cuts that take unsynced writes along, a full disk, a clock that jumps, a
//! broken page, a second process, a port in use, keys that cannot be read. Each has a clear end, and nothing is damaged further.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod site;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{Person, Site, free_port, mailpit, preference, unique, until};

/// The library that is put in front of the C library.
fn layer() -> &'static Path {
    static BUILT: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("faults.so");
        let source = Path::new("../e2e/faults/faults.c");
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
        assert!(command.status().unwrap().success());
        (folder, library)
    });
    library
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

async fn writes(person: Person<'_>, from: u64, acknowledged: &AtomicU64) -> u64 {
    let (mut last, mut next) = (from, from + 1);
    loop {
        match person.request("PUT", "/v1/me/preferences/count").json(&json!({ "value": next })).send().await {
            Ok(answer) => assert_eq!(answer.status(), StatusCode::OK),
            Err(_) => return last,
        }
        acknowledged.fetch_add(1, Ordering::Relaxed);
        (last, next) = (next, next + 1);
    }
}

async fn counted(person: &Person<'_>) -> u64 {
    preference(&person.does("GET", "/v1/me/preferences", Value::Null).await, "count").unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_power_cut() {
    survives_power_cuts("pooled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_in_a_file_of_its_own_survives_a_power_cut() {
    survives_power_cuts("dedicated").await;
}

async fn survives_power_cuts(isolation: &str) {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (mut data, mut shadow) = (at("data-0"), at("shadow-0"));
    fs::create_dir_all(shadow.join("tenants")).unwrap();
    let start = async |data: &Path, shadow: &Path, port| {
        let layered = [
            ("LD_PRELOAD", layer()),
            ("FAULT_DATA", data),
            ("FAULT_SHADOW", shadow),
            ("FREEHOLD_TENANTS__ISOLATION", Path::new(isolation)),
        ];
        Site::start_with(data, port, mail, &layered).await
    };
    let mut site = start(&data, &shadow, None).await;
    let (_, owner) = site.company("acme", "Ada", &unique("power")).await;
    let (cookie, port) = (owner.credential(), site.port);
    drop(owner);
    let mut value = 0;
    for round in 1..=10 {
        let acknowledged = AtomicU64::new(0);
        let killed = async {
            until("writes under way", async || (acknowledged.load(Ordering::Relaxed) >= 40).then_some(())).await;
            site.kill();
        };
        let owner = site.visitor("acme.localhost").with_cookie(&cookie);
        let (last, ()) = tokio::join!(writes(owner, value, &acknowledged), killed);
        drop(site);
        // What was written and not synced is gone: the next life begins with what the disk would hold.
        (data, shadow) = (at(&format!("data-{round}")), at(&format!("shadow-{round}")));
        copy(&at(&format!("shadow-{}", round - 1)), &data);
        copy(&data, &shadow);
        site = start(&data, &shadow, Some(port)).await;
        let owner = site.visitor("acme.localhost").with_cookie(&cookie);
        value = counted(&owner).await;
        assert!(value == last || value == last + 1, "round {round}: {value} after {last} was acknowledged");
    }
    let owner = site.visitor("acme.localhost").with_cookie(&cookie);
    let report = json!({ "measure": "count", "name": "users.PreferenceChanged.v1" });
    until("each event as one fact", async || {
        let rows = owner.does("POST", "/v1/analytics/reports/query", report.clone()).await;
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let expected = value as f64;
        let found = rows[0]["value"].as_f64()?;
        assert!(found <= expected + 0.5, "an event had its effect twice: {found} facts of {expected} changes");
        (found > expected - 0.5).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_and_loses_nothing() {
    for isolation in ["pooled", "dedicated"] {
        full_disk(isolation).await;
    }
}

async fn full_disk(isolation: &str) {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (data, full) = (folder.path().join("data"), folder.path().join("full"));
    let layered = [
        ("LD_PRELOAD", layer()),
        ("FAULT_DATA", data.as_path()),
        ("FAULT_FULL", &full),
        ("FREEHOLD_TENANTS__ISOLATION", Path::new(isolation)),
    ];
    let site = Site::start_with(&data, None, mail, &layered).await;
    let (_, owner) = site.company("acme", "Ada", &unique("full")).await;
    owner.does("PUT", "/v1/me/preferences/count", json!({ "value": 1 })).await;
    fs::write(&full, "").unwrap();
    let asks = (0..20).map(|_| owner.send("PUT", "/v1/me/preferences/count", json!({ "value": 2 })));
    for (status, answer) in futures::future::join_all(asks).await {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
        assert!(["storage_full", "store_unavailable"].contains(&answer["code"].as_str().unwrap()), "{answer}");
    }
    assert_eq!(counted(&owner).await, 1, "reading goes on");
    fs::remove_file(&full).unwrap();
    owner.does("PUT", "/v1/me/preferences/count", json!({ "value": 3 })).await;
    assert_eq!(counted(&owner).await, 3, "and writing, once there is room");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ends_nothing_early_and_keeps_nothing_too_long() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (data, clock) = (folder.path().join("data"), folder.path().join("clock"));
    fs::write(&clock, "0").unwrap();
    let site = Site::start_with(&data, None, mail, &[("LD_PRELOAD", layer()), ("FAULT_CLOCK", &clock)]).await;
    let email = unique("clock");
    let (_, owner) = site.company("acme", "Ada", &email).await;
    // A day back: who is signed in stays so, and everything goes on.
    fs::write(&clock, "-86400").unwrap();
    for count in 1..=20 {
        owner.does("PUT", "/v1/me/preferences/count", json!({ "value": count })).await;
        assert_eq!(counted(&owner).await, count);
    }
    let visitor = site.visitor("acme.localhost");
    let (answer, cookie) = visitor.form("/sign-in", &[("email", &email), ("password", site::PASSWORD)]).await;
    assert!(answer.status() == StatusCode::SEE_OTHER && cookie.is_some());
    let made = visitor.clone().with_cookie(&cookie.unwrap());
    made.does("GET", "/v1/me", Value::Null).await;
    // Two days on: the sessions of before have ended.
    fs::write(&clock, "172800").unwrap();
    for person in [&owner, &made] {
        until("the session's end", async || {
            (person.send("GET", "/v1/me", Value::Null).await.0 == StatusCode::UNAUTHORIZED).then_some(())
        })
        .await;
    }
    fs::write(&clock, "0").unwrap();
    until("the session, where the clock was set right", async || {
        (owner.send("GET", "/v1/me", Value::Null).await.0 == StatusCode::OK).then_some(())
    })
    .await;
}

/// Starts the program where it must end by itself.
fn ends(data: &Path, port: u16) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freehold"));
    command.args(["--listen", &format!("127.0.0.1:{port}"), "--data"]).arg(data).current_dir(data.parent().unwrap());
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_says_why_and_touches_nothing() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let site = Site::start(&data, None, mail).await;
    let (_, owner) = site.company("acme", "Ada", &unique("start")).await;
    for count in 0..200 {
        owner.does("PUT", &format!("/v1/me/preferences/p{}", count % 50), json!({ "value": "x".repeat(900) })).await;
    }
    let (code, said) = ends(&data, site.port);
    assert!(code == Some(3) && said.contains("--listen"), "a port in use: {code:?} {said}");
    let (code, said) = ends(&data, free_port());
    assert!(code == Some(4) && said.contains("another process"), "data in use: {code:?} {said}");
    drop(owner);
    drop(site);

    let keyring = data.join("keyring");
    let good = fs::read(&keyring).unwrap();
    fs::write(&keyring, "not a key").unwrap();
    let (code, said) = ends(&data, free_port());
    assert!(code == Some(5) && said.contains("keyring"), "an unreadable keyring: {code:?} {said}");
    fs::write(&keyring, good).unwrap();

    // Everything in one file, then one page of it overwritten.
    let port = free_port();
    let site = Site::start(&data, Some(port), mail).await;
    Command::new("kill").arg(site.id().to_string()).status().unwrap();
    drop(site);
    let store = data.join("store.sqlite");
    let good = fs::read(&store).unwrap();
    let mut bad = good.clone();
    let page = 4_096 * (bad.len() / 4_096 / 2);
    bad[page..page + 4_096].fill(0x5a);
    fs::write(&store, &bad).unwrap();
    for leftover in ["store.sqlite-wal", "store.sqlite-shm"] {
        drop(fs::remove_file(data.join(leftover)));
    }
    let (code, said) = ends(&data, free_port());
    assert!(code == Some(6) && said.contains("store.sqlite"), "a broken page: {code:?} {said}");
    assert!(fs::read(&store).unwrap() == bad, "nothing further is damaged");
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_freehold"));
    doctor.args(["doctor", "--listen", &format!("127.0.0.1:{port}"), "--data"]).arg(&data);
    let doctor = doctor.output().unwrap();
    let told = String::from_utf8_lossy(&doctor.stdout);
    assert!(!doctor.status.success() && told.contains("BAD") && told.contains("freehold restore"), "{told}");
    fs::write(&store, good).unwrap();
    drop(Site::start(&data, Some(port), mail).await);
}
