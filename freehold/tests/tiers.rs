//! A tenant in a file of its own beside one in the common file: both live the same life, what is in which file, and what
//! happens to the others when the one file breaks.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod site;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{PASSWORD, Person, Site, mailpit, preference, unique, until};

/// The scopes whose cores a file holds.
fn spaces(file: &Path) -> Vec<String> {
    let db = rusqlite::Connection::open(file).unwrap();
    let mut select = db.prepare("SELECT DISTINCT space FROM cores ORDER BY space").unwrap();
    let found = select.query_map([], |row| row.get(0)).unwrap();
    found.map(Result::unwrap).collect()
}

/// The files of tenants; not what stands beside them while they are open.
fn homes(data: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(data.join("tenants")) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension() == Some("sqlite".as_ref())).collect()
}

fn freehold(data: &Path, arguments: &[&str]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freehold"));
    let output = command.current_dir(data.parent().unwrap()).arg("--data").arg(data).args(arguments).output().unwrap();
    let told = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output, String::from_utf8_lossy(&told).into_owned())
}

/// An operator founds a tenant with a file of its own, and its owner comes; the tenant's id and the owner.
async fn dedicated<'a>(operator: &Person<'a>, slug: &str) -> (String, Person<'a>) {
    let email = unique(slug);
    let asked = json!({ "company": slug, "slug": slug, "name": "Ada", "email": email, "isolation": "dedicated" });
    let tenant = operator.does("POST", "/v1/tenants", asked).await;
    assert_eq!(tenant["isolation"], "dedicated");
    let link = operator.site.link_for(&email).await;
    let owner = operator.site.visitor(&format!("{slug}.localhost")).follows(&link, PASSWORD).await;
    until("the owner's profile", async || {
        let (status, me) = owner.send("GET", "/v1/me", Value::Null).await;
        (status == StatusCode::OK && me["email"] == email.as_str()).then_some(())
    })
    .await;
    (tenant["id"].as_str().unwrap().to_owned(), owner)
}

async fn erased(operator: &Person<'_>, tenant: &str) {
    until("all is destroyed", async || {
        let found = operator.does("GET", &format!("/v1/tenants/{tenant}"), Value::Null).await;
        let steps = found["erasure"]["steps"].as_array()?.clone();
        steps.iter().all(|step| step["done"].is_string()).then_some(())
    })
    .await;
}

async fn counted(person: &Person<'_>) -> Option<u64> {
    preference(&person.does("GET", "/v1/me/preferences", Value::Null).await, "count")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_in_a_file_of_its_own_lives_and_goes_as_others_do() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let site = Site::start(&data, None, mail).await;
    let operator = site.operator().await;
    let (acme, ada) = dedicated(&operator, "acme").await;
    let (globex, grace) = site.company("globex", "Grace", &unique("globex")).await;
    assert_eq!(operator.does("GET", &format!("/v1/tenants/{globex}"), Value::Null).await["isolation"], "pooled");

    // What each of them does is told, and comes out as facts.
    for person in [&ada, &grace] {
        person.does("PUT", "/v1/me/preferences/count", json!({ "value": 7 })).await;
        person
            .told(&["identity.UserRegistered.v1", "users.PreferenceChanged.v1", "identity.UserAuthenticated.v1"])
            .await;
        assert_eq!(counted(person).await, Some(7));
    }
    // On its test clock, what follows is waited for as well.
    let clock = format!("/v1/tenants/{acme}/test-clock");
    let now = kernel::Clock::now(&kernel::time::SystemClock);
    operator.does("PUT", &clock, json!({ "at": now.to_string() })).await;
    let to = (now + jiff::SignedDuration::from_hours(48)).to_string();
    assert_eq!(operator.does("POST", &format!("{clock}/advance"), json!({ "to": to })).await["settled"], true);

    // A name that is taken leaves no file behind.
    let asked =
        json!({ "company": "Again", "slug": "acme", "name": "Eve", "email": unique("eve"), "isolation": "dedicated" });
    operator.refused("POST", "/v1/tenants", asked, "already_taken").await;
    let files = homes(&data);
    let [own] = files.as_slice() else { panic!("one file for the one tenant: {files:?}") };
    assert_eq!(spaces(own), [acme.as_str()]);
    assert_eq!(spaces(&data.join("store.sqlite")), ["platform", globex.as_str()]);

    // Over the death of the process, in the middle of the erasure.
    operator.does("POST", &format!("/v1/tenants/{acme}/erase"), json!({})).await;
    site.kill();
    let (port, cookies) = (site.port, (operator.credential(), grace.credential()));
    drop((operator, ada, grace));
    drop(site);
    let site = Site::start(&data, Some(port), mail).await;
    let operator = site.visitor("localhost").with_cookie(&cookies.0);
    erased(&operator, &acme).await;
    assert!(fs::read_dir(data.join("tenants")).unwrap().next().is_none(), "the file, and all beside it, is gone");
    let (status, _) = site.visitor("acme.localhost").send("GET", "/v1/me", Value::Null).await;
    assert_ne!(status, StatusCode::OK);
    assert_eq!(counted(&site.visitor("globex.localhost").with_cookie(&cookies.1)).await, Some(7));
    assert_eq!(spaces(&data.join("store.sqlite")), ["platform", globex.as_str()]);
    operator.does("POST", &format!("/v1/tenants/{globex}/erase"), json!({})).await;
    erased(&operator, &globex).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_harms_its_tenant_alone_and_a_backup_brings_it_back() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (data, at) = (folder.path().join("data"), |name: &str| folder.path().join(name).display().to_string());
    let site = Site::start_with(&data, None, mail, &[("FREEHOLD_TENANTS__ISOLATION", "dedicated")]).await;
    let operator = site.operator().await;
    let (_, ada) = site.company("acme", "Ada", &unique("acme")).await;
    let (globex, grace) = site.company("globex", "Grace", &unique("globex")).await;
    for person in [&ada, &grace] {
        person.does("PUT", "/v1/me/preferences/count", json!({ "value": 1 })).await;
    }
    let (taken, told) = freehold(&data, &["backup", &at("backup"), "--keys", &at("keys")]);
    assert!(taken.status.success(), "{told}");
    let (port, cookies) = (site.port, [operator, ada, grace].map(|person| person.credential()));
    drop(site);

    let broken = homes(&data).into_iter().find(|file| !file.to_string_lossy().contains(&globex)).unwrap();
    for beside in ["-wal", "-shm"] {
        drop(fs::remove_file(format!("{}{beside}", broken.display())));
    }
    fs::write(&broken, "this was a database once ".repeat(1_000)).unwrap();
    let (doctor, told) = freehold(&data, &["doctor", "--listen", &format!("127.0.0.1:{port}")]);
    assert!(!doctor.status.success() && told.contains("only this tenant"), "{told}");
    let site = Site::start(&data, Some(port), mail).await;
    let [of_operator, of_ada, of_grace] = &cookies;
    let operator = site.visitor("localhost").with_cookie(of_operator);
    let ada = site.visitor("acme.localhost").with_cookie(of_ada);
    let grace = site.visitor("globex.localhost").with_cookie(of_grace);
    let (status, answer) = ada.send("GET", "/v1/me", Value::Null).await;
    assert_eq!((status, answer["code"].as_str()), (StatusCode::INTERNAL_SERVER_ERROR, Some("store_damaged")));
    grace.does("PUT", "/v1/me/preferences/count", json!({ "value": 2 })).await;
    grace.told(&["users.PreferenceChanged.v1"]).await;
    operator.does("GET", "/v1/tenants", Value::Null).await;
    let (partial, told) = freehold(&data, &["backup", &at("partial"), "--keys", &at("later keys")]);
    assert!(!partial.status.success() && told.contains("LEFT OUT") && told.contains("digest"), "{told}");
    drop((operator, ada, grace));
    drop(site);

    let (restored, told) = freehold(&data, &["restore", &at("backup"), "--keys", &at("keys"), "--replace"]);
    assert!(restored.status.success(), "{told}");
    let site = Site::start(&data, Some(port), mail).await;
    for (host, cookie) in [("acme.localhost", of_ada), ("globex.localhost", of_grace)] {
        assert_eq!(counted(&site.visitor(host).with_cookie(cookie)).await, Some(1), "{host}");
    }
}
