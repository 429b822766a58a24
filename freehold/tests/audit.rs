//! The audit log through the real program: what is done is an entry, an entry is proved, and whoever changes anything is found
//! out, by a program that others wrote too.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod site;

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use audit::tlog::{Algorithm, Note, Signer};
use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{PASSWORD, Person, Site, mailpit, unique, until};

/// The newest entry of an action.
async fn entry(of: &Person<'_>, action: &str) -> Value {
    until(&format!("the entry of {action}"), async || {
        let listed = of.does("GET", &format!("/v1/audit/entries?action={action}"), Value::Null).await;
        listed["items"].get(0).cloned()
    })
    .await
}

async fn proven(of: &Person<'_>, entry: &Value) -> Value {
    of.does("GET", &format!("/v1/audit/entries/{}", entry["id"].as_str().unwrap()), Value::Null).await
}

async fn export(of: &Person<'_>, path: &str) -> String {
    let answer = of.request("GET", path).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.text().await.unwrap()
}

/// What `freehold audit verify` says of a file, and whether all is well.
fn verified(folder: &Path, export: &str, more: &[&str]) -> (bool, String) {
    let file = folder.join("export.jsonl");
    std::fs::write(&file, export).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_freehold"));
    let output = command.current_dir(folder).args(["audit", "verify"]).arg(&file).args(more).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// What the client of the Go project says.
fn client(folder: &str, asked: &Value) -> (bool, String) {
    let mut command = Command::new(Path::new(folder).join("client"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// An answer with a text in it changed.
fn falsified(asked: &Value, pointer: &str) -> Value {
    let mut asked = asked.clone();
    let text = asked.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    let turned = |letter: char| if letter == 'a' { 'b' } else { 'a' };
    let at = text.find(|letter: char| letter.is_ascii_lowercase()).unwrap();
    let changed: String =
        text.char_indices().map(|(place, letter)| if place == at { turned(letter) } else { letter }).collect();
    *asked.pointer_mut(pointer).unwrap() = changed.into();
    asked
}

/// Each entry is told from one that was changed, left out, moved or cut off.
fn falsified_exports_are_found(folder: &Path, export: &str, key: &str) {
    let lines: Vec<&str> = export.lines().collect();
    let check = |lines: Vec<&str>, says: &str| {
        let (good, said) = verified(folder, &(lines.join("\n") + "\n"), &["--key", key]);
        assert!(!good && said.contains(says), "{says}: {said}");
    };
    let with = |place: usize, line: &str| {
        let mut lines = lines.clone();
        lines[place] = line.to_owned().leak();
        lines
    };
    check(with(3, &lines[3].replace("\\\"actor\\\":\\\"", "\\\"actor\\\":\\\"x")), "entry 2 was changed");
    let mut dropped = lines.clone();
    dropped.remove(4);
    check(dropped, "entry 3 is missing");
    let mut moved = lines.clone();
    moved.swap(2, 3);
    check(moved, "entry 1 is not in its place");
    check(lines[..lines.len() - 2].to_vec(), "it is cut short");
    let cut: Vec<&str> = lines.iter().enumerate().filter(|(at, _)| *at != lines.len() - 2).map(|(_, it)| *it).collect();
    check(cut, "it is cut short");
    // The record of another entry, with its salt and leaf: each line is in itself good.
    let mut twice: Value = serde_json::from_str(lines[3]).unwrap();
    twice["index"] = json!(1);
    check(with(2, &twice.to_string()), "do not lead to the root");
}

async fn witnessed(owner: &Person<'_>, folder: &Path) {
    let witness = Signer::new("witness.example/one", &[7; 32]).unwrap();
    let key = witness.verifier(Algorithm::Cosignature).written();
    let told = owner.does("GET", "/v1/audit/checkpoint", Value::Null).await;
    let mut note = Note::parse(told["checkpoint"].as_str().unwrap()).unwrap();
    note.signatures.push(witness.cosign(&note.text, 1_790_000_000));
    let asked = json!({ "checkpoint": note.written() });
    owner.refused("POST", "/v1/audit/cosignatures", asked.clone(), "audit.cosignature_refused").await;
    owner.does("POST", "/v1/audit/witnesses", json!({ "key": key })).await;
    assert_eq!(owner.does("POST", "/v1/audit/cosignatures", asked).await["good"], 1);
    let forged = json!({ "checkpoint": note.written().replace('\n', "\n\n") });
    owner.refused("POST", "/v1/audit/cosignatures", forged, "invalid_request").await;
    let told = owner.does("GET", "/v1/audit/checkpoint", Value::Null).await;
    assert_eq!(told["witnessed"], note.written());
    entry(owner, "audit.witnesses.add").await;
    let export = export(owner, "/v1/audit/export").await;
    let (good, said) = verified(folder, &export, &["--witness", &key]);
    assert!(good, "{said}");
    let other = Signer::new("witness.example/two", &[8; 32]).unwrap().verifier(Algorithm::Cosignature).written();
    assert!(!verified(folder, &export, &["--witness", &other]).0, "who has not cosigned");
    owner.does("DELETE", "/v1/audit/witnesses/witness.example%2Fone", Value::Null).await;
    let again = json!({ "checkpoint": note.written() });
    owner.refused("POST", "/v1/audit/cosignatures", again, "audit.cosignature_refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_proved_and_cannot_be_rewritten() {
    let (Some(mail), Some(go)) = (mailpit(), store::contract::server("FREEHOLD_TEST_TLOG_CLIENT")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (data, folder) = (folder.path().join("data"), folder.path());
    let site = Site::start(&data, None, mail).await;
    let operator = site.operator().await;
    let (acme, owner) = site.company("acme", "Ada", &unique("ada")).await;
    let kept = owner.does("GET", "/v1/audit/checkpoint", Value::Null).await;
    // An act of which no event tells.
    let key = json!({ "name": "CI", "permissions": ["users.profile.read"], "days": 2 });
    let key = owner.does("POST", "/v1/api-keys", key).await;
    let created = entry(&owner, "identity.api_keys.create").await;
    assert_eq!(created["resource"], format!("identity.api_key/{}", key["id"].as_str().unwrap()));
    let me = owner.does("GET", "/v1/me", Value::Null).await;
    assert_eq!(created["actor"], me["id"]);
    let by_actor = format!("/v1/audit/entries?actor={}&resource=identity.api_key/x", me["id"].as_str().unwrap());
    assert_eq!(owner.does("GET", &by_actor, Value::Null).await["items"], json!([]), "both must fit");

    let proven = proven(&owner, &created).await;
    let checkpoint = proven["checkpoint"].as_str().unwrap();
    let size = checkpoint.lines().nth(1).unwrap();
    assert!(checkpoint.starts_with("freehold/") && checkpoint.lines().next().unwrap().ends_with(&acme));
    let path = format!("/v1/audit/consistency?old={}&new={size}", kept["size"]);
    let consistency = owner.does("GET", &path, Value::Null).await;
    let asked = json!({
        "key": kept["key"], "kept": kept["checkpoint"], "proven": proven, "consistency": consistency,
    });
    assert_eq!(client(&go, &asked), (true, "verified\n".to_owned()));
    for (pointer, says) in [
        ("/proven/checkpoint", "checkpoint"),
        ("/proven/record", "inclusion"),
        ("/proven/salt", "inclusion"),
        ("/proven/proof/0", "inclusion"),
        ("/consistency/proof/0", "consistency"),
    ] {
        let (good, said) = client(&go, &falsified(&asked, pointer));
        assert!(!good && said.starts_with(says), "{pointer}: {said}");
    }

    let kept_file = folder.join("kept");
    std::fs::write(&kept_file, kept["checkpoint"].as_str().unwrap()).unwrap();
    let key = kept["key"].as_str().unwrap();
    let whole = export(&owner, "/v1/audit/export").await;
    let (good, said) = verified(folder, &whole, &["--key", key, "--checkpoint", kept_file.to_str().unwrap()]);
    assert!(good, "{said}");
    falsified_exports_are_found(folder, &whole, key);
    witnessed(&owner, folder).await;
    let of_operator = export(&operator, &format!("/v1/audit/logs/{acme}/export")).await;
    assert!(verified(folder, &of_operator, &["--key", key]).0, "an operator's is the same log");
    let platform = export(&operator, "/v1/audit/logs/platform/export").await;
    let (good, said) = verified(folder, &platform, &[]);
    assert!(good && platform.contains("tenants.sign_up"), "{said}");
    let (good, said) = verified(folder, &platform, &["--key", key]);
    assert!(!good && said.contains("not signed by"), "the log of another: {said}");
}

/// All ids of a log, by pages.
async fn ids(of: &Person<'_>) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let page = of.does("GET", &format!("/v1/audit/entries?limit=7{after}"), Value::Null).await;
        ids.extend(page["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { return ids };
        after = format!("&after={next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_goes_on_after_a_crash_and_outlasts_who_is_erased() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (data, folder) = (folder.path().join("data"), folder.path());
    let site = Site::start(&data, None, mail).await;
    let operator = site.operator().await;
    let (acme, owner) = site.company("acme", "Ada", &unique("ada")).await;
    let email = unique("grace");
    owner.does("POST", "/v1/invitations", json!({ "email": email, "name": "Grace", "role": "member" })).await;
    let link = site.link_for(&email).await;
    let grace = site.visitor("acme.localhost").follows(&link, PASSWORD).await;
    let id = until("a profile", async || {
        let (status, me) = grace.send("GET", "/v1/me", Value::Null).await;
        (status == StatusCode::OK).then(|| me["id"].as_str().unwrap().to_owned())
    })
    .await;
    grace.refused("GET", "/v1/audit/entries", Value::Null, "permission_denied").await;
    grace.does("PATCH", "/v1/me", json!({ "name": "Grace Hopper" })).await;
    let renamed = entry(&owner, "users.update_me").await;
    assert_eq!(renamed["actor"], id.as_str());
    assert!(!renamed.to_string().contains("Hopper"), "what is personal is sealed");
    let before = proven(&owner, &renamed).await;
    let key = before["key"].as_str().unwrap().to_owned();

    for round in 0..5 {
        owner.does("POST", "/v1/roles", json!({ "name": format!("Role {round}") })).await;
    }
    site.kill();
    let port = site.port;
    let cookies = (owner.credential(), operator.credential());
    drop((owner, grace, operator));
    drop(site);
    let site = Site::start(&data, Some(port), mail).await;
    let owner = site.visitor("acme.localhost").with_cookie(&cookies.0);
    let operator = site.visitor("localhost").with_cookie(&cookies.1);
    until("the roles that were made before the end", async || {
        let path = "/v1/audit/entries?action=identity.roles.create";
        let listed = owner.does("GET", path, Value::Null).await;
        (listed["items"].as_array().unwrap().len() == 5).then_some(())
    })
    .await;
    let all = ids(&owner).await;
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len(), "nothing is there twice");
    assert!(verified(folder, &export(&owner, "/v1/audit/export").await, &["--key", &key]).0);

    owner.does("POST", &format!("/v1/users/{id}/erase"), json!({ "confirm": email })).await;
    until("the end of the erasure", async || {
        let listed = owner.does("GET", "/v1/audit/entries?limit=200", Value::Null).await;
        let items = listed["items"].as_array().unwrap().clone();
        items.iter().any(|it| it["event"] == "users.UserErased.v1").then_some(())
    })
    .await;
    let after = proven(&owner, &renamed).await;
    assert_eq!((&after["record"], &after["leaf"]), (&before["record"], &before["leaf"]), "the entry is what it was");
    let whole = export(&owner, "/v1/audit/export").await;
    assert!(verified(folder, &whole, &["--key", &key]).0, "every proof holds");

    operator.does("POST", &format!("/v1/tenants/{acme}/erase"), json!({})).await;
    until("the end of the tenant", async || {
        let (status, _) = operator.send("GET", &format!("/v1/audit/logs/{acme}/checkpoint"), Value::Null).await;
        (status == StatusCode::GONE || status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    assert!(verified(folder, &whole, &["--key", &key]).0, "what was taken along can still be verified");
}
