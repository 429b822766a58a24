//! Programs: what they get of a person and for themselves, and that it ends with what it came from.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod site;

use std::{collections::BTreeMap, path::Path, process::Command};

use reqwest::{Response, StatusCode};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use site::{Person, Site, mailpit, unique, until};

const PASSWORD: &str = "correct horse battery";
const CALLBACK: &str = "https://app.example/callback";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";

fn url(bytes: &[u8]) -> String {
    data_encoding::BASE64URL_NOPAD.encode(bytes)
}

struct Company<'a> {
    owner: Person<'a>,
    visitor: Person<'a>,
    email: String,
}

async fn found<'a>(site: &'a Site, slug: &str) -> Company<'a> {
    let email = unique(slug);
    let asked = json!({ "company": slug, "slug": slug, "name": "Ada Lovelace", "email": email });
    site.visitor("localhost").does("POST", "/v1/sign-up", asked).await;
    let visitor = site.visitor(&format!("{slug}.localhost"));
    let owner = visitor.follows(&site.link_for(&email).await, PASSWORD).await;
    until("the owner's profile", async || {
        (owner.send("GET", "/v1/me", Value::Null).await.0 == StatusCode::OK).then_some(())
    })
    .await;
    Company { owner, visitor, email }
}

/// A program that is registered, and how it is asked for tokens.
struct Program<'a> {
    company: &'a Company<'a>,
    id: String,
    secret: Option<String>,
}

impl<'a> Program<'a> {
    async fn registered(company: &'a Company<'a>, more: Value) -> Self {
        let mut asked = json!({ "name": "App", "redirect_uris": [CALLBACK] });
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = company.owner.does("POST", "/v1/clients", asked).await;
        let id = made["client_id"].as_str().unwrap().to_owned();
        Self { company, id, secret: made["client_secret"].as_str().map(str::to_owned) }
    }

    fn path(&self) -> String {
        format!("/v1/clients/{}", self.id)
    }

    /// Sends a person to the authorization endpoint.
    async fn asks(&self, person: &Person<'_>, scope: &str, prompt: &str) -> Response {
        let challenge = url(ring::digest::digest(&ring::digest::SHA256, VERIFIER.as_bytes()).as_ref());
        let query = [
            ("client_id", self.id.as_str()),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", scope),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("prompt", prompt),
        ];
        person.request("GET", &format!("/oauth/authorize?{}", encoded(&query))).send().await.unwrap()
    }

    async fn posts(&self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, Value) {
        let request = self.company.visitor.request("POST", path);
        let mut fields = fields.to_vec();
        let request = match &self.secret {
            Some(secret) => request.basic_auth(&self.id, Some(secret)),
            None => {
                fields.push(("client_id", &self.id));
                request
            }
        };
        let answer = request.form(&fields).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn redeems(&self, code: &str) -> (StatusCode, Value) {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.posts("/oauth/token", &fields).await
    }

    async fn refreshes(&self, token: &Value) -> (StatusCode, Value) {
        let token = token["refresh_token"].as_str().unwrap();
        self.posts("/oauth/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// The tokens that a person who allows everything gives it.
    async fn granted(&self, person: &Person<'_>, scope: &str) -> Value {
        let answer = self.asks(person, scope, "").await;
        let answer = if answer.status() == StatusCode::OK { answers(person, answer, "allow").await } else { answer };
        let (status, tokens) = self.redeems(&back(&answer)["code"]).await;
        assert_eq!(status, StatusCode::OK, "{tokens}");
        tokens
    }

    async fn itself(&self) -> (StatusCode, Value) {
        self.posts("/oauth/token", &[("grant_type", "client_credentials")]).await
    }

    async fn introspects(&self, token: &str) -> Value {
        self.posts("/oauth/introspect", &[("token", token)]).await.1
    }
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    let url = reqwest::Url::parse_with_params("http://x/", pairs).unwrap();
    url.query().unwrap().to_owned()
}

/// What a program is told at its address.
fn back(answer: &Response) -> BTreeMap<String, String> {
    let to = answer.headers()["location"].to_str().unwrap();
    assert!(to.starts_with(CALLBACK), "{to}");
    reqwest::Url::parse(to).unwrap().query_pairs().into_owned().collect()
}

/// Presses a button on the consent page.
async fn answers(person: &Person<'_>, page: Response, answer: &str) -> Response {
    let html = page.text().await.unwrap();
    let mut fields: Vec<(String, String)> = html
        .split("type=\"hidden\" name=\"")
        .skip(1)
        .map(|rest| {
            let (name, rest) = rest.split_once("\" value=\"").unwrap();
            (name.to_owned(), rest.split('"').next().unwrap().to_owned())
        })
        .collect();
    fields.push(("answer".to_owned(), answer.to_owned()));
    person.request("POST", "/oauth/authorize").form(&fields).send().await.unwrap()
}

fn access<'a>(of: &Person<'a>, tokens: &Value) -> Person<'a> {
    of.site.visitor(&of.host).with_token(tokens["access_token"].as_str().unwrap())
}

async fn ends(what: &str, person: &Person<'_>, path: &str) {
    until(what, async || {
        let (status, answer) = person.send("GET", path, Value::Null).await;
        (status == StatusCode::UNAUTHORIZED && answer["code"] == "credential_refused").then_some(())
    })
    .await;
}

/// A token carries what was granted, of what its person has; and what is not for programs, never.
async fn scopes(company: &Company<'_>) {
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

async fn consent(company: &Company<'_>) {
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
async fn endings(company: &Company<'_>) {
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

async fn invite<'a>(company: &Company<'a>) -> (Person<'a>, String) {
    let email = unique("charles");
    let asked = json!({ "email": email, "name": "Charles", "role": "member" });
    company.owner.does("POST", "/v1/invitations", asked).await;
    let link = company.owner.site.link_for(&email).await;
    (company.visitor.follows(&link, PASSWORD).await, email)
}

/// Stolen codes and refresh tokens.
async fn thieves(company: &Company<'_>) {
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

/// A program that acts for itself.
async fn itself(company: &Company<'_>, elsewhere: &str) {
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
    std::mem::swap(&mut job.secret, &mut first.clone());
    let before = Program { company, id: job.id.clone(), secret: first };
    until("the end of the secret", async || (before.itself().await.1["error"] == "invalid_client").then_some(())).await;
    let seen = owner.does("GET", &job.path(), Value::Null).await;
    assert!(seen["secrets"].as_array().unwrap().len() == 1 && seen["client_secret"].is_null(), "{seen}");
    owner.does("PATCH", &job.path(), json!({ "enabled": false })).await;
    ends("the end of a disabled program", &access(owner, &second), "/v1/users").await;
}

/// A program that signs (RFC 7523).
async fn signs(company: &Company<'_>) {
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

async fn keys(company: &Company<'_>) {
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
}

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

/// Signing out at a program's wish needs a token of this session, or the person's word.
async fn signs_out(company: &Company<'_>) {
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

async fn introspection(company: &Company<'_>) {
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

async fn last_use(company: &Company<'_>) {
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

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_what_is_granted_and_no_more() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(&folder.path().join("data"), None, mail).await;
    let (acme, globex) = tokio::join!(found(&site, "acme"), found(&site, "globex"));
    tokio::join!(scopes(&acme), consent(&acme), endings(&acme), thieves(&acme));
    tokio::join!(itself(&acme, &globex.owner.host), signs(&acme), signs_out(&acme), introspection(&acme));
    last_use(&acme).await;
    their_client(&acme).await;
    keys(&acme).await;
}
