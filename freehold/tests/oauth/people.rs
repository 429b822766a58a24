//! What a program gets of a person, and when it ends.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    program::{CALLBACK, Company, Program, access, answers, back, encoded, ends, invite},
    site::until,
};

/// A token carries what was granted, of what its person has; and what is not for programs, never.
pub(crate) async fn scopes(company: &Company<'_>) {
    let owner = &company.owner;
    let bad = |scope: &str| json!({ "name": "App", "redirect_uris": [CALLBACK], "scopes": [scope] });
    for never in ["identity.self.update", "identity.session.create", "identity.api_key.update", "no.such.permission"] {
        owner.refused("POST", "/v1/clients", bad(never), "invalid_request").await;
    }
    let scopes = json!(["openid", "email", "users.profile.read", "identity.role.update"]);
    let app = Program::registered(company, json!({ "first_party": true, "scopes": scopes })).await;
    let little = app.granted(owner, "openid").await;
    let program = access(owner, &little);
    let told = program.does("GET", "/oauth/userinfo", Value::Null).await;
    assert!(told["sub"].is_string() && told["email"].is_null() && told["name"].is_null(), "{told}");
    let routes =
        [("GET", "/v1/users"), ("GET", "/v1/me/sessions"), ("POST", "/v1/api-keys"), ("GET", "/v1/me/consents")];
    for (method, path) in routes {
        program.refused(method, path, Value::Null, "permission_denied").await;
    }
    let stolen = app.asks(&program, "openid users.profile.read", "").await;
    assert_eq!(stolen.status(), StatusCode::FORBIDDEN, "a token does not get another");
    let more = app.granted(owner, "openid email profile users.profile.read").await;
    assert_eq!(more["scope"], "email openid users.profile.read", "what it may ask for, of what it asked for");
    let program = access(owner, &more);
    program.does("GET", "/v1/users", Value::Null).await;
    program.refused("GET", "/v1/clients", Value::Null, "permission_denied").await;
    let told = program.does("POST", "/oauth/userinfo", Value::Null).await;
    assert_eq!((&told["email"], &told["name"]), (&json!(company.email), &Value::Null));
    owner.does("PATCH", &app.path(), json!({ "scopes": ["openid"] })).await;
    until("the smaller right", async || {
        (program.send("GET", "/v1/users", Value::Null).await.0 == StatusCode::FORBIDDEN).then_some(())
    })
    .await;
    owner.does("PATCH", &app.path(), json!({ "enabled": false })).await;
    ends("the end of a disabled program", &program, "/oauth/userinfo").await;
    assert_eq!(app.refreshes(&more).await.1["error"], "invalid_client");
}

pub(crate) async fn consent(company: &Company<'_>) {
    let owner = &company.owner;
    let app = Program::registered(company, json!({ "name": "<b>Theirs" })).await;
    assert_eq!(back(&app.asks(owner, "openid email", "none").await)["error"], "consent_required");
    let page = app.asks(owner, "openid email", "").await;
    assert_eq!(page.status(), StatusCode::OK);
    let denied = answers(owner, page, "deny").await;
    assert_eq!(back(&denied)["error"], "access_denied");
    let page = app.asks(owner, "openid email", "").await;
    let html = page.text().await.unwrap();
    assert!(html.contains("see your e-mail address") && !html.contains("<b>Theirs"), "{html}");
    let forged = [("client_id", app.id.as_str()), ("redirect_uri", CALLBACK), ("response_type", "code")];
    let forged =
        forged.into_iter().chain([("scope", "openid"), ("code_challenge_method", "S256"), ("answer", "allow")]);
    let challenge = "x".repeat(43);
    let forged: Vec<_> = forged.chain([("code_challenge", challenge.as_str())]).collect();
    let (forged, _) = owner.form("/oauth/authorize", &forged).await;
    assert_eq!(forged.status(), StatusCode::FORBIDDEN, "an answer to a page that nobody saw");
    let tokens = app.granted(owner, "openid email").await;
    assert!(back(&app.asks(owner, "openid", "none").await).contains_key("code"), "it is remembered");
    let more = app.asks(owner, "openid profile", "none").await;
    assert_eq!(back(&more)["error"], "consent_required", "for what was asked then");
    assert_eq!(
        app.asks(owner, "openid", "consent").await.status(),
        StatusCode::OK,
        "asked again at the program's wish"
    );
    let program = access(owner, &tokens);
    program.does("GET", "/oauth/userinfo", Value::Null).await;
    let given = owner.does("GET", "/v1/me/consents", Value::Null).await;
    let given = given["items"].as_array().unwrap().iter().find(|it| it["client"] == app.id.as_str()).unwrap().clone();
    assert_eq!(given["scopes"], json!(["email", "openid"]));
    owner.does("DELETE", &format!("/v1/me/consents/{}", app.id), Value::Null).await;
    ends("the end of what was consented to", &program, "/oauth/userinfo").await;
    assert_eq!(app.refreshes(&tokens).await.1["error"], "invalid_grant");
    app.granted(owner, "openid email").await;
    owner.does("DELETE", &app.path(), Value::Null).await;
    until("no consent to a program that is gone", async || {
        let given = owner.does("GET", "/v1/me/consents", Value::Null).await.to_string();
        (!given.contains(&app.id)).then_some(())
    })
    .await;
}

/// What a program holds ends with the session, or with the person's password where it was to go on without.
pub(crate) async fn endings(company: &Company<'_>) {
    let app = Program::registered(company, json!({ "first_party": true })).await;
    let person = invite(company).await;
    let (with_session, offline) =
        (app.granted(&person.0, "openid").await, app.granted(&person.0, "openid offline_access").await);
    let (left, _) = person.0.form("/sign-out", &[]).await;
    assert_eq!(left.status(), StatusCode::SEE_OTHER);
    ends("the end of what came of the session", &access(&person.0, &with_session), "/oauth/userinfo").await;
    assert_eq!(app.refreshes(&with_session).await.1["error"], "invalid_grant");
    let (status, offline) = app.refreshes(&offline).await;
    assert_eq!(status, StatusCode::OK, "{offline}");
    access(&person.0, &offline).does("GET", "/oauth/userinfo", Value::Null).await;
    let before = company.owner.site.link_for(&person.1).await;
    company.visitor.form("/recover", &[("email", &person.1)]).await;
    let link = until("another mail", async || {
        Some(company.owner.site.link_for(&person.1).await).filter(|link| *link != before)
    })
    .await;
    company.visitor.follows(&link, "another fine password").await;
    ends("the end of what went on without", &access(&person.0, &offline), "/oauth/userinfo").await;
    assert_eq!(app.refreshes(&offline).await.1["error"], "invalid_grant");
}

/// Stolen codes and refresh tokens.
pub(crate) async fn thieves(company: &Company<'_>) {
    let owner = &company.owner;
    let (app, other) = tokio::join!(
        Program::registered(company, json!({ "first_party": true })),
        Program::registered(company, json!({ "first_party": true }))
    );
    let code = back(&app.asks(owner, "openid", "").await)["code"].clone();
    assert_eq!(other.redeems(&code).await.1["error"], "invalid_grant", "another program's code");
    let (status, tokens) = app.redeems(&code).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    assert_eq!(other.redeems(&code).await.1["error"], "invalid_grant");
    assert_eq!(other.refreshes(&tokens).await.1["error"], "invalid_grant", "another program ends nothing");
    let (_, fresh) = app.refreshes(&tokens).await;
    let (_, again) = app.refreshes(&tokens).await;
    assert_eq!(fresh["refresh_token"], again["refresh_token"], "a lost answer is given again");
    let (status, _) = app.refreshes(&fresh).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(app.refreshes(&tokens).await.1["error"], "invalid_grant", "an old one is a stolen one");
    ends("the end of the stolen grant", &access(owner, &fresh), "/oauth/userinfo").await;
    let at_once = app.granted(owner, "openid").await;
    let answers = futures::future::join_all((0..8).map(|_| app.refreshes(&at_once))).await;
    let given: Vec<_> = answers.iter().map(|(_, answer)| &answer["refresh_token"]).collect();
    assert!(given.iter().all(|it| it.is_string() && *it == given[0]), "one generation for all: {answers:?}");
}

/// Signing out at a program's wish needs a token of this session, or the person's word.
pub(crate) async fn signs_out(company: &Company<'_>) {
    let (person, _) = invite(company).await;
    let app = Program::registered(
        company,
        json!({ "first_party": true, "post_logout_redirect_uris": ["https://app.example/bye"] }),
    )
    .await;
    let other = app.granted(&company.owner, "openid").await;
    let to = |more: &[(&str, &str)]| format!("/oauth/logout?{}", encoded(more));
    let uri = ("post_logout_redirect_uri", "https://app.example/bye");
    let elsewhere = to(&[("client_id", &app.id), ("post_logout_redirect_uri", "https://evil.example/")]);
    person.refused("GET", &elsewhere, Value::Null, "invalid_request").await;
    for path in [to(&[("client_id", &app.id), uri]), to(&[("id_token_hint", other["id_token"].as_str().unwrap()), uri])]
    {
        let asked = person.request("GET", &path).send().await.unwrap();
        assert_eq!(asked.status(), StatusCode::OK, "the person is asked");
        person.does("GET", "/v1/me", Value::Null).await;
    }
    let (forged, _) = person.form("/oauth/logout", &[("answer", "sign-out")]).await;
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);
    let own = app.granted(&person, "openid").await;
    let path = to(&[("id_token_hint", own["id_token"].as_str().unwrap()), uri, ("state", "s 1")]);
    let left = person.request("GET", &path).send().await.unwrap();
    assert_eq!(left.headers()["location"], "https://app.example/bye?state=s+1");
    ends("the end of the session's tokens", &access(&person, &own), "/oauth/userinfo").await;
}
