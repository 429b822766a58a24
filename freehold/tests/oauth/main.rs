//! Programs: what they get of a person and for themselves, and that it ends with what it came from.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod own;
mod people;
mod program;
#[path = "../site/mod.rs"]
mod site;

use std::{path::Path, process::Command};

use program::{Company, Program, found};
use serde_json::{Value, json};
use site::{PASSWORD, Site, mailpit};

/// The whole of a library that others wrote.
async fn their_client(company: &Company<'_>) {
    let Some(modules) = store::contract::server("FREEHOLD_TEST_OIDC_CLIENT") else { return };
    let callbacks = json!(["http://127.0.0.1:9/callback"]);
    let public = Program::registered(company, json!({ "redirect_uris": callbacks })).await;
    let more = json!({ "redirect_uris": callbacks, "post_logout_redirect_uris": ["http://127.0.0.1:9/bye"],
        "scopes": ["openid", "email", "offline_access", "users.profile.read"], "id_token_signed_response_alg": "RS256",
        "permissions": ["users.profile.read", "tenants.feature.read"], "token_endpoint_auth_method": "client_secret_basic" });
    let own = Program::registered(company, more).await;
    let issuer = company.owner.site.at(&company.owner.host, "");
    let arguments = [
        issuer,
        public.id.clone(),
        company.email.clone(),
        PASSWORD.to_owned(),
        own.id.clone(),
        own.secret.clone().unwrap(),
    ];
    let run = move || {
        let script = Path::new(&modules).join("sign_in.mjs");
        Command::new("node").arg(script).args(arguments).current_dir(&modules).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["told"]["email"], company.email.as_str());
    assert_eq!(told["little"], json!({ "sub": told["claims"]["sub"] }), "no more than the scope covers");
    assert_eq!((&told["same"], &told["again"]), (&json!(true), &json!("invalid_grant")));
    assert_eq!(told["seen"], json!([["sign-in", "consent"], []]), "consent is remembered");
    let program = &told["program"];
    assert_eq!((&program["narrow"], &program["alg"]), (&json!("users.profile.read"), &json!("RS256")));
    assert_eq!((&program["about"]["active"], &program["aboutItself"]["active"]), (&json!(true), &json!(true)));
    for inactive in ["foreign", "ended", "revoked"] {
        assert_eq!(program[inactive], json!({ "active": false }), "{inactive}");
    }
    assert_eq!((&program["stolen"], &program["refused"]), (&json!("invalid_grant"), &json!(401)));
    assert_eq!(
        (&program["left"], &program["ended_with_session"]),
        (&json!("http://127.0.0.1:9/bye?state=s1"), &json!("invalid_grant"))
    );
    let access = company.visitor.clone().with_token(program["access"].as_str().unwrap());
    access.does("GET", "/v1/users", Value::Null).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_what_is_granted_and_no_more() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(&folder.path().join("data"), None, mail).await;
    let (acme, globex) = tokio::join!(found(&site, "acme"), found(&site, "globex"));
    tokio::join!(people::scopes(&acme), people::consent(&acme), people::endings(&acme), people::thieves(&acme));
    let elsewhere = &globex.owner.host;
    tokio::join!(own::itself(&acme, elsewhere), own::signs(&acme), people::signs_out(&acme), own::introspection(&acme));
    own::last_use(&acme).await;
    their_client(&acme).await;
    own::keys(&acme, &globex, &site.operator().await).await;
    let path = format!(
        "/v1/clients/{}",
        acme.owner.does("GET", "/v1/clients", Value::Null).await["items"][0]["client_id"].as_str().unwrap()
    );
    acme.owner.does("DELETE", &path, Value::Null).await;
    let told = [
        "identity.ClientRegistered.v1",
        "identity.ClientUpdated.v1",
        "identity.ClientSecretsChanged.v1",
        "identity.ClientDeleted.v1",
        "identity.ConsentGiven.v1",
        "identity.ConsentWithdrawn.v1",
        "identity.SigningKeysRotated.v1",
    ];
    acme.owner.told(&told).await;
}
