//! Backup while it runs, erasure after it, restore: what was acknowledged before is there, what was erased since is not.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod site;

use std::{
    path::Path,
    process::{Command, Output},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{PASSWORD, Person, Site, holds, mailpit, preference, unique, until};

fn freehold(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freehold"));
    command.current_dir(data.parent().unwrap()).arg("--data").arg(data).args(arguments).output().unwrap()
}

fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn digest(told: &str) -> String {
    let line = told.lines().find_map(|line| line.trim().strip_prefix("digest ")).unwrap();
    line.trim().split(',').next().unwrap().to_owned()
}

/// Counts a preference up until it is told to stop; the last acknowledged value stands in `acknowledged`.
async fn writes(person: &Person<'_>, acknowledged: &AtomicU64, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let next = acknowledged.load(Ordering::Relaxed) + 1;
        person.does("PUT", "/v1/me/preferences/count", json!({ "value": next })).await;
        acknowledged.store(next, Ordering::Relaxed);
    }
}

async fn counted(person: &Person<'_>) -> u64 {
    preference(&person.does("GET", "/v1/me/preferences", Value::Null).await, "count").unwrap()
}

async fn seats(owner: &Person<'_>) -> u64 {
    owner.does("GET", "/v1/seats", Value::Null).await["used"].as_u64().unwrap()
}

/// Somebody who was invited and has come in: their id and address.
async fn guest_of(owner: &Person<'_>) -> (String, String) {
    let email = unique("guest");
    let asked = json!({ "email": email, "name": "Guest Member", "role": "member" });
    let guest = owner.does("POST", "/v1/invitations", asked).await["user"].as_str().unwrap().to_owned();
    owner.site.visitor(&owner.host).follows(&owner.site.link_for(&email).await, PASSWORD).await;
    until("the guest's profile", async || {
        let (status, _) = owner.send("GET", &format!("/v1/users/{guest}"), Value::Null).await;
        (status == StatusCode::OK).then_some(())
    })
    .await;
    (guest, email)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_has_all_that_was_there_and_nothing_that_was_erased_since() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let data = folder.path().join("data");
    let site = Site::start(&data, None, mail).await;
    let operator = site.operator().await;
    let email = unique("acme");
    let (acme, _) = site.company("acme", "Ada Lovelace", &email).await;
    let (_, globex) = site.company("globex", "Grace Hopper", &unique("globex")).await;

    let (guest, guest_email) = guest_of(&globex).await;
    assert_eq!(seats(&globex).await, 2);

    let (acknowledged, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let backup = async {
        until("writes under way", async || (acknowledged.load(Ordering::Relaxed) > 20).then_some(())).await;
        let before = acknowledged.load(Ordering::Relaxed);
        let (data, to, keys) = (data.clone(), at("backup"), at("keys"));
        let taken = move || freehold(&data, &["backup", &to, "--keys", &keys]);
        let output = tokio::task::spawn_blocking(taken).await.unwrap();
        until("writes go on", async || (acknowledged.load(Ordering::Relaxed) > before + 20).then_some(())).await;
        stop.store(true, Ordering::Relaxed);
        (before, output)
    };
    let ((before, output), ()) = tokio::join!(backup, writes(&globex, &acknowledged, &stop));
    let backed_up = digest(&succeeds(&output));
    assert_eq!(holds(Path::new(&at("backup")), &std::fs::read(data.join("keyring")).unwrap()[..32]), None);
    let again = freehold(&data, &["backup", &at("backup"), "--keys", &at("keys")]);
    assert!(!again.status.success(), "a backup is never written over");

    operator.does("POST", &format!("/v1/tenants/{acme}/erase"), json!({})).await;
    until("the end of the erasure", async || {
        let tenant = operator.does("GET", &format!("/v1/tenants/{acme}"), Value::Null).await;
        let steps = tenant["erasure"]["steps"].as_array()?;
        steps.iter().all(|step| step["done"].is_string()).then_some(())
    })
    .await;
    globex.does("POST", &format!("/v1/users/{guest}/erase"), json!({ "confirm": guest_email })).await;
    until("the end of a person's erasure", async || (seats(&globex).await == 1).then_some(())).await;
    let running = freehold(&data, &["restore", &at("backup"), "--keys", &at("keys"), "--replace"]);
    assert!(!running.status.success(), "nothing is restored below a running process");
    let (port, cookie) = (site.port, globex.credential());
    drop((operator, globex));
    drop(site);

    // A copy in which one byte is not what it was is refused, and nothing is touched.
    let store = folder.path().join("backup/store.sqlite");
    let good = std::fs::read(&store).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    std::fs::write(&store, bad).unwrap();
    let refused = freehold(&data, &["restore", &at("backup"), "--keys", &at("keys"), "--replace"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("not what was backed up"));
    std::fs::write(&store, good).unwrap();
    let unasked = freehold(&data, &["restore", &at("backup"), "--keys", &at("keys")]);
    assert!(!unasked.status.success(), "an installation is replaced only when that was asked for");

    let told = succeeds(&freehold(&data, &["restore", &at("backup"), "--keys", &at("keys"), "--replace"]));
    assert_eq!(digest(&told), backed_up);
    let site = Site::start(&data, Some(port), mail).await;
    let globex = site.visitor("globex.localhost").with_cookie(&cookie);
    let count = counted(&globex).await;
    assert!((before..=acknowledged.load(Ordering::Relaxed)).contains(&count), "{count} after {before}");
    let (status, answer) = site.visitor("acme.localhost").send("GET", "/v1/me", Value::Null).await;
    assert_eq!((status, answer["code"].as_str()), (StatusCode::NOT_FOUND, Some("not_found")), "erased stays erased");
    globex.does("PUT", "/v1/me/preferences/count", json!({ "value": 1 })).await;
    until("the seat of whoever was erased since", async || (seats(&globex).await == 1).then_some(())).await;
    let erasure = globex.does("GET", &format!("/v1/erasures/{guest}"), Value::Null).await;
    assert_eq!(erasure["stage"], "done", "{erasure}");
    drop(globex);
    drop(site);
    for secret in [email.as_str(), "Ada Lovelace", "Guest Member", PASSWORD] {
        assert_eq!(holds(&data, secret.as_bytes()), None, "{secret} stands in clear in what was restored");
    }
}
