//! What a program gets for itself, how it shows that it is itself, and the keys that sign.

use reqwest::StatusCode;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use crate::{
    program::{Company, Program, access, ends, invite, url},
    site::{Person, until},
};

/// A program that acts for itself.
pub(crate) async fn itself(company: &Company<'_>, elsewhere: &str) {
    let owner = &company.owner;
    let own = |permission: &str| {
        json!({ "permissions": [permission], "token_endpoint_auth_method": "client_secret_basic", "redirect_uris": [],
            "name": "Job" })
    };
    owner.refused("POST", "/v1/clients", own("tenants.tenant.erase"), "invalid_request").await;
    owner.refused("POST", "/v1/clients", own("identity.client.update"), "invalid_request").await;
    let mut job = Program::registered(company, own("users.profile.read")).await;
    let (_, token) = job.itself().await;
    assert_eq!((&token["scope"], &token["refresh_token"]), (&json!("users.profile.read"), &Value::Null), "{token}");
    let program = access(owner, &token);
    program.does("GET", "/v1/users", Value::Null).await;
    program.refused("GET", "/v1/clients", Value::Null, "permission_denied").await;
    program.refused("GET", "/oauth/userinfo", Value::Null, "permission_denied").await;
    program.clone().elsewhere(elsewhere).refused("GET", "/v1/users", Value::Null, "credential_refused").await;
    let signed = token["access_token"].as_str().unwrap();
    let changed = owner.site.visitor(&owner.host).with_token(&signed.replace("eyJpc3Mi", "eyJpc3Mg"));
    changed.refused("GET", "/v1/users", Value::Null, "credential_refused").await;

    let first = job.secret.clone();
    let rotated = owner.does("POST", &format!("{}/secrets", job.path()), json!({ "overlap_hours": 1 })).await;
    assert_eq!(job.itself().await.0, StatusCode::OK, "the secret of before, for an hour");
    job.secret = rotated["client_secret"].as_str().map(str::to_owned);
    let (_, second) =
        until("the new secret", async || Some(job.itself().await).filter(|it| it.0 == StatusCode::OK)).await;
    owner.does("DELETE", &format!("{}/secrets/1", job.path()), Value::Null).await;
    ends("the end of what a revoked secret gave", &program, "/v1/users").await;
    access(owner, &second).does("GET", "/v1/users", Value::Null).await;
    let before = Program { company, id: job.id.clone(), secret: first };
    until("the end of the secret", async || (before.itself().await.1["error"] == "invalid_client").then_some(())).await;
    let seen = owner.does("GET", &job.path(), Value::Null).await;
    assert!(seen["secrets"].as_array().unwrap().len() == 1 && seen["client_secret"].is_null(), "{seen}");
    owner.does("PATCH", &job.path(), json!({ "enabled": false })).await;
    ends("the end of a disabled program", &access(owner, &second), "/v1/users").await;
}

/// A program that signs (RFC 7523).
pub(crate) async fn signs(company: &Company<'_>) {
    let random = ring::rand::SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random).unwrap();
    let point = pair.public_key().as_ref();
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": url(&point[1..33]), "y": url(&point[33..]), "kid": "mine" });
    let more = json!({ "permissions": ["users.profile.read"], "token_endpoint_auth_method": "private_key_jwt", "jwks": [jwk] });
    let job = Program::registered(company, more).await;
    let issuer = company.owner.site.at(&company.owner.host, "");
    let now = kernel::Clock::now(&kernel::time::SystemClock).as_second();
    let assertion = |audience: &str, once: &str, lasts: i64| {
        let claims = json!({ "iss": job.id, "sub": job.id, "aud": audience, "exp": now + lasts, "jti": once });
        let signed = format!("{}.{}", url(br#"{"alg":"ES256","kid":"mine"}"#), url(claims.to_string().as_bytes()));
        let signature = pair.sign(&random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", url(signature.as_ref()))
    };
    let send = async |assertion: String| {
        let by = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", by),
            ("client_assertion", assertion.as_str()),
        ];
        let answer = company.visitor.form("/oauth/token", &fields).await.0;
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let good = assertion(&issuer, "a", 60);
    let (status, token) = send(good.clone()).await;
    assert_eq!(status, StatusCode::OK, "{token}");
    access(&company.owner, &token).does("GET", "/v1/users", Value::Null).await;
    let wrong = [
        good,
        assertion("https://elsewhere.example", "b", 60),
        assertion(&issuer, "c", 3_600),
        assertion(&issuer, "d", -1),
    ];
    for wrong in wrong {
        assert_eq!(send(wrong).await.1["error"], "invalid_client", "used, for others, too long, over");
    }
    assert_eq!(job.itself().await.1["error"], "invalid_client", "its id alone is not enough");
}

pub(crate) async fn keys(company: &Company<'_>, other: &Company<'_>, operator: &Person<'_>) {
    let owner = &company.owner;
    let job = Program::registered(
        company,
        json!({ "permissions": ["users.profile.read"], "token_endpoint_auth_method": "client_secret_post" }),
    )
    .await;
    let (_, token) = job.itself().await;
    let kids = async || {
        let jwks = owner.does("GET", "/oauth/jwks", Value::Null).await;
        assert!(!jwks.to_string().contains("\"d\""), "{jwks}");
        jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let before = kids().await;
    let member = invite(company).await.0;
    member.refused("POST", "/v1/signing-keys/rotate", json!({}), "permission_denied").await;
    let rotated = owner.does("POST", "/v1/signing-keys/rotate", json!({})).await;
    let active = rotated["items"].as_array().unwrap().iter().find(|key| key["state"] == "active").unwrap();
    assert!(before.contains(&active["kid"].as_str().unwrap().to_owned()), "it was known before it signed");
    let after = kids().await;
    assert!(before.iter().all(|kid| after.contains(kid)) && after.len() > before.len());
    access(owner, &token).does("GET", "/v1/users", Value::Null).await;
    owner.refused("POST", "/v1/signing-keys/rotate", json!({ "distrust": true }), "identity.keys_rotated").await;

    let asked = json!({ "permissions": ["users.profile.read"], "token_endpoint_auth_method": "client_secret_basic" });
    let job = Program::registered(other, asked).await;
    let (_, token) = job.itself().await;
    let program = access(&other.owner, &token);
    program.does("GET", "/v1/users", Value::Null).await;
    let path = |tenant: &str| format!("/v1/tenants/{tenant}/signing-keys/rotate");
    owner.refused("POST", &path(&other.id), json!({}), "platform_scope_required").await;
    operator.refused("POST", &path("ten_00000000000000000000000000"), json!({}), "not_found").await;
    operator.does("POST", &path(&other.id), json!({ "distrust": true })).await;
    ends("the end of what a stolen key signed", &program, "/v1/users").await;
    let (_, fresh) = until("new keys", async || {
        let (status, token) = job.itself().await;
        let good = access(&other.owner, &token).send("GET", "/v1/users", Value::Null).await.0 == StatusCode::OK;
        good.then_some((status, token))
    })
    .await;
    assert!(fresh["access_token"].is_string());
}

pub(crate) async fn introspection(company: &Company<'_>) {
    let by_secret = |more: Value| {
        let mut it = json!({ "token_endpoint_auth_method": "client_secret_basic", "first_party": true });
        it.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        it
    };
    let app = Program::registered(company, by_secret(json!({}))).await;
    let other = Program::registered(company, by_secret(json!({}))).await;
    let guard = Program::registered(company, by_secret(json!({ "permissions": ["identity.token.introspect"] }))).await;
    let public = Program::registered(company, json!({})).await;
    let tokens = app.granted(&company.owner, "openid email").await;
    let token = tokens["access_token"].as_str().unwrap();
    let told = app.introspects(token).await;
    assert_eq!(
        (&told["active"], &told["scope"], &told["client_id"]),
        (&json!(true), &json!("email openid"), &json!(app.id))
    );
    assert_eq!(app.introspects(tokens["refresh_token"].as_str().unwrap()).await["active"], true);
    assert_eq!(other.introspects(token).await, json!({ "active": false }), "not its own");
    assert_eq!(guard.introspects(token).await["active"], true, "a guard of resources");
    assert_eq!(public.introspects(token).await["error"], "unauthorized_client");
    assert_eq!(app.introspects("nonsense").await, json!({ "active": false }));
    let (status, answer) = other.posts("/oauth/revoke", &[("token", token)]).await;
    assert_eq!((status, &answer["error"]), (StatusCode::BAD_REQUEST, &json!("unauthorized_client")));
    assert_eq!(app.introspects(token).await["active"], true);
    assert_eq!(app.posts("/oauth/revoke", &[("token", token)]).await.0, StatusCode::OK);
    assert_eq!(app.introspects(token).await, json!({ "active": false }));
    assert_eq!(app.refreshes(&tokens).await.1["error"], "invalid_grant");
}

pub(crate) async fn last_use(company: &Company<'_>) {
    let asked = json!({ "name": "CI", "permissions": ["users.profile.read"], "days": 1 });
    let key = company.owner.does("POST", "/v1/api-keys", asked).await;
    let used = async || company.owner.does("GET", "/v1/api-keys", Value::Null).await["items"][0]["used"].clone();
    assert_eq!(used().await, Value::Null);
    let program = company.visitor.clone().with_token(key["key"].as_str().unwrap());
    program.does("GET", "/v1/users", Value::Null).await;
    assert!(used().await.is_string());
    let unknown = json!({ "name": "CI", "permissions": ["users.profile.reed"], "days": 1 });
    company.owner.refused("POST", "/v1/api-keys", unknown, "invalid_request").await;
}
