//! A tenant's life, what it may use, and its face, through the real program.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod site;

use std::{
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};

use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{PASSWORD, Person, Site, holds, mailpit, unique, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Waits until an operator sees a tenant in a state; the tenant.
async fn in_state(operator: &Person<'_>, tenant: &str, status: &str) -> Value {
    until(&format!("{tenant} is {status}"), async || {
        let (_, found) = operator.send("GET", &format!("/v1/tenants/{tenant}"), Value::Null).await;
        (found["status"] == status).then_some(found)
    })
    .await
}

/// Waits until someone who asks is answered with a code, or let in where it is empty.
async fn answered(person: &Person<'_>, code: &str) {
    until(&format!("the answer {code}"), async || {
        let (status, answer) = person.send("GET", "/v1/me", Value::Null).await;
        let found = if status == StatusCode::OK { "" } else { answer["code"].as_str().unwrap_or("?") };
        (found == code).then_some(())
    })
    .await;
}

fn days(number: i64) -> String {
    let now = kernel::Clock::now(&kernel::time::SystemClock);
    (now + jiff::SignedDuration::from_hours(24 * number)).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_life() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let site = Site::start_with(&data, None, mail, &[("FREEHOLD_TENANTS__TRIAL_DAYS", "14")]).await;
    let operator = site.operator().await;
    let (id, owner) = site.company("acme", "Ada Lovelace", &unique("acme")).await;

    // Set up by all who have to, and on trial.
    let found = in_state(&operator, &id, "trial").await;
    assert_eq!((&found["provisioning"]["progress"], &found["provisioning"]["asked"]), (&json!("done"), &json!(1)));
    assert!(found["provisioning"]["steps"][0]["done"].is_string() && found["trial_ends"].is_string(), "{found}");
    assert_eq!(found["origin"], format!("http://acme.localhost:{}", site.port));

    // An operator founds another, which is on no trial, and finds both by how their names begin.
    let asked = json!({ "company": "Globex Corporation", "slug": "globex", "name": "Grace", "email": unique("globex"), "trial_days": 0 });
    let globex = operator.does("POST", "/v1/tenants", asked).await["id"].as_str().unwrap().to_owned();
    in_state(&operator, &globex, "active").await;
    for (query, expected) in [
        ("search=corp", 1),
        ("search=GLO", 1),
        ("search=acme&status=trial", 1),
        ("status=active", 1),
        ("search=obex", 0),
        ("status=archived", 0),
    ] {
        let listed = operator.does("GET", &format!("/v1/tenants?{query}"), Value::Null).await;
        assert_eq!(listed["items"].as_array().unwrap().len(), expected, "{query}: {listed}");
    }

    // The trial ends on the tenant's clock; whoever pays then is let in again.
    let clock = format!("/v1/tenants/{id}/test-clock");
    operator.does("PUT", &clock, json!({ "at": days(0) })).await;
    operator.does("POST", &format!("{clock}/advance"), json!({ "to": days(13) })).await;
    answered(&owner, "").await;
    operator.does("POST", &format!("{clock}/advance"), json!({ "to": days(15) })).await;
    let ended = in_state(&operator, &id, "suspended").await;
    assert_eq!(ended["reason"], "the trial has ended");
    answered(&owner, "tenant_suspended").await;
    operator.does("POST", &format!("/v1/tenants/{id}/activate"), json!({})).await;
    answered(&owner, "").await;

    // Put away and brought back.
    operator.does("POST", &format!("/v1/tenants/{id}/archive"), json!({ "reason": "merged" })).await;
    answered(&owner, "tenant_archived").await;
    operator
        .refused("POST", &format!("/v1/tenants/{id}/suspend"), json!({ "reason": "unpaid" }), "tenants.archived")
        .await;
    operator.does("POST", &format!("/v1/tenants/{id}/restore"), json!({})).await;
    answered(&owner, "").await;
    owner
        .refused("POST", &format!("/v1/tenants/{id}/archive"), json!({ "reason": "mine" }), "platform_scope_required")
        .await;

    // Destroyed, in steps, over the death of the process.
    operator.does("POST", &format!("/v1/tenants/{globex}/erase"), json!({})).await;
    site.kill();
    let (port, cookie) = (site.port, operator.credential());
    drop((operator, owner));
    drop(site);
    let site = Site::start(&data, Some(port), mail).await;
    let operator = site.visitor("localhost").with_cookie(&cookie);
    let path = format!("/v1/tenants/{globex}");
    until("all is destroyed", async || {
        let found = operator.does("GET", &path, Value::Null).await;
        let steps = found["erasure"]["steps"].as_array()?.clone();
        steps.iter().all(|step| step["done"].is_string()).then_some(())
    })
    .await;
    operator.refused("POST", &format!("{path}/erase"), json!({}), "tenants.erased").await;
    assert_eq!(operator.does("GET", &path, Value::Null).await["name"], "erased");
    let asked = json!({ "company": "Again", "slug": "globex", "name": "Eve", "email": unique("eve") });
    site.visitor("localhost").refused("POST", "/v1/sign-up", asked, "already_taken").await;
    drop(operator);
    drop(site);
    assert_eq!(holds(&data, b"Globex Corporation"), None, "the name stands in clear in the data");
}

/// Twenty at once for seven places: seven get one.
async fn races(owner: &Person<'_>) {
    let asked =
        (0..20).map(|number| {
            let owner = owner.clone();
            async move {
                owner.send("POST", "/v1/quotas/projects/reservations", json!({ "id": format!("p{number}") })).await
            }
        });
    let answers = futures::future::join_all(asked).await;
    let given: Vec<_> = answers.iter().filter(|(status, _)| *status == StatusCode::OK).collect();
    let refused = answers.iter().filter(|(_, answer)| answer["code"] == "tenants.quota_exhausted").count();
    assert_eq!((given.len(), refused), (7, 13), "{answers:?}");
}

async fn quotas(operator: &Person<'_>, id: &str, owner: &Person<'_>) {
    owner.refused("GET", "/v1/quotas/projects", Value::Null, "not_found").await;
    operator.does("PUT", "/v1/common-features/projects", json!({ "enabled": true, "amount": { "limit": 2 } })).await;
    let grant = json!({ "source": "team plan v3", "features": { "projects": 7, "sso": true } });
    operator.does("PUT", &format!("/v1/tenants/{id}/grants/plan"), grant).await;
    races(owner).await;
    let held = owner.does("GET", "/v1/quotas/projects", Value::Null).await;
    assert_eq!((&held["limit"], &held["used"]), (&json!(7), &json!(7)));
    let taken: Vec<String> = (0..20).map(|number| format!("/v1/quotas/projects/reservations/p{number}")).collect();
    let mut confirmed = 0;
    for path in &taken {
        let (status, _) = owner.send("POST", &format!("{path}/confirm"), json!({})).await;
        confirmed += u32::from(status == StatusCode::OK);
        owner.does("DELETE", path, Value::Null).await;
    }
    assert_eq!(confirmed, 7, "what was reserved, and nothing else");
    assert_eq!(owner.does("GET", "/v1/quotas/projects", Value::Null).await["used"], 0);
    owner.refused("DELETE", "/v1/quotas/seats/reservations/anyone", Value::Null, "tenants.seats_follow_people").await;

    let calls = json!({ "enabled": true, "amount": { "limit": 1_000, "per": "month" } });
    operator.does("PUT", "/v1/common-features/calls", calls).await;
    let spent = (0..40).map(|_| owner.send("POST", "/v1/quotas/calls/spend", json!({ "amount": 30 })));
    let answers = futures::future::join_all(spent).await;
    let good = answers.iter().filter(|(status, _)| *status == StatusCode::OK).count();
    assert_eq!(good, 33, "never more than there is, and nearly all of it");
}

async fn entitlements(operator: &Person<'_>, id: &str, owner: &Person<'_>) {
    let check = |feature: &'static str, expected: Value, why: &'static str| {
        let owner = owner.clone();
        async move {
            let found = owner.does("POST", "/v1/entitlements/check", json!({ "feature": feature })).await;
            assert_eq!(
                (&found["value"], found["explanation"].as_str().unwrap().starts_with(why)),
                (&expected, true),
                "{found}"
            );
        }
    };
    check("sso", json!(true), "team plan v3").await;
    operator.does("PUT", "/v1/common-features/sso", json!({ "enabled": true, "default": "off" })).await;
    check("sso", json!(true), "team plan v3").await;
    // A tenant defines what it likes under that key, and gets what the operator and its plan say.
    owner.does("PUT", "/v1/features/sso", json!({ "enabled": false })).await;
    check("sso", json!(true), "team plan v3").await;
    owner
        .refused("PUT", "/v1/features/mine", json!({ "enabled": true, "amount": { "limit": 9 } }), "invalid_request")
        .await;
    owner.refused("PUT", "/v1/common-features/sso", json!({ "enabled": true }), "platform_scope_required").await;

    let path = format!("/v1/tenants/{id}/overrides/sso");
    operator.refused("PUT", &path, json!({ "value": "blue", "reason": "a test" }), "invalid_request").await;
    operator.does("PUT", &path, json!({ "value": false, "until": days(1), "reason": "a test" })).await;
    check("sso", json!(false), "override until ").await;
    operator.does("POST", "/v1/common-features/sso/switch", json!({ "enabled": false })).await;
    check("sso", json!(false), "off").await;
    operator.does("POST", "/v1/common-features/sso/switch", json!({ "enabled": true })).await;
    operator.does("DELETE", &path, Value::Null).await;
    check("sso", json!(true), "team plan v3").await;
    let changes = until("the history", async || {
        let changes = operator.does("GET", "/v1/common-features/sso/changes", Value::Null).await;
        (changes["items"].as_array()?.len() == 3).then_some(changes)
    })
    .await;
    let [last, _, first] = [0, 1, 2].map(|place| &changes["items"][place]);
    assert!(last["by"].as_str().unwrap().starts_with("opr_") && last["to"]["enabled"] == true, "{changes}");
    assert!(first["from"].is_null() && last["from"]["enabled"] == false, "{changes}");
    let all = operator.does("GET", &format!("/v1/tenants/{id}/entitlements"), Value::Null).await;
    assert_eq!(all["grants"][0]["source"], "team plan v3");
}

async fn ofrep(owner: &Person<'_>) -> String {
    let rules = json!([{ "when": [{ "attribute": "role", "op": "in", "value": ["admin"] },
        { "attribute": "version", "op": "ge", "value": "2.1.0" }], "variant": "green" }]);
    let colour = json!({ "enabled": true, "variants": { "blue": "#00f", "green": "#0f0" }, "default": "blue", "off": "blue", "rules": rules });
    owner.does("PUT", "/v1/features/colour", colour).await;
    let layout = json!({ "enabled": true, "variants": { "wide": { "columns": 3 } }, "default": "wide", "off": "wide" });
    owner.does("PUT", "/v1/features/layout", layout).await;
    owner.does("PUT", "/v1/features/search", json!({ "enabled": true })).await;
    owner.does("PUT", "/v1/features/rollout", json!({ "enabled": true, "percentage": 50 })).await;
    let asked = json!({ "name": "Product", "permissions": ["tenants.feature.read"], "days": 1 });
    let token = owner.does("POST", "/v1/api-keys", asked).await["key"].as_str().unwrap().to_owned();
    let program = owner.site.visitor(&owner.host).with_token(&token);

    let one = "/ofrep/v1/evaluate/flags/colour";
    for (path, body, status, code) in [
        (one, "{", StatusCode::BAD_REQUEST, "PARSE_ERROR"),
        (one, r#"{ "context": 7 }"#, StatusCode::BAD_REQUEST, "INVALID_CONTEXT"),
        (one, r#"{ "context": { "targetingKey": 7 } }"#, StatusCode::BAD_REQUEST, "INVALID_CONTEXT"),
        ("/ofrep/v1/evaluate/flags/missing", "{}", StatusCode::NOT_FOUND, "FLAG_NOT_FOUND"),
        ("/ofrep/v1/evaluate/flags/rollout", "{}", StatusCode::BAD_REQUEST, "TARGETING_KEY_MISSING"),
        ("/ofrep/v1/evaluate/flags", "[]", StatusCode::BAD_REQUEST, "PARSE_ERROR"),
    ] {
        let answer =
            program.request("POST", path).header("content-type", "application/json").body(body).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path} {body}");
        assert_eq!(answer.json::<Value>().await.unwrap()["errorCode"], code, "{path} {body}");
    }

    let all = |tag: Option<String>| {
        let request =
            program.request("POST", "/ofrep/v1/evaluate/flags").json(&json!({ "context": { "targetingKey": "ada" } }));
        let request = tag.into_iter().fold(request, |request, tag| request.header("if-none-match", tag));
        async move { request.send().await.unwrap() }
    };
    let first = all(None).await;
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    let flags = first.json::<Value>().await.unwrap()["flags"].as_array().unwrap().clone();
    assert!(
        flags.iter().any(|flag| flag["key"] == "colour" && flag["variant"] == "blue" && flag["reason"] == "DEFAULT"),
        "{flags:?}"
    );
    let unchanged = all(Some(format!("\"other\", W/{tag}"))).await;
    assert_eq!(
        (unchanged.status(), unchanged.headers()["etag"].to_str().unwrap()),
        (StatusCode::NOT_MODIFIED, tag.as_str())
    );
    owner.does("POST", "/v1/features/colour/switch", json!({ "enabled": false })).await;
    assert_eq!(all(Some(tag)).await.status(), StatusCode::OK, "a change shows at once");
    owner.does("POST", "/v1/features/colour/switch", json!({ "enabled": true })).await;
    token
}

/// The client of OpenFeature, with its provider for this protocol.
async fn their_client(owner: &Person<'_>, token: String) {
    let Some(folder) = store::contract::server("FREEHOLD_TEST_OFREP_CLIENT") else { return };
    let origin = owner.site.at(&owner.host, "");
    let run = move || {
        let script = Path::new(&folder).join("evaluate.mjs");
        Command::new("node").arg(script).args([&origin, &token]).current_dir(&folder).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (name, value, reason) in [
        ("boolean", json!(true), "STATIC"),
        ("text", json!("#0f0"), "TARGETING_MATCH"),
        ("number", json!(7), "STATIC"),
        ("object", json!({ "columns": 3 }), "STATIC"),
    ] {
        assert_eq!((&told[name]["value"], told[name]["reason"].as_str().unwrap()), (&value, reason), "{told}");
    }
    for (name, value, code) in [
        ("nobody", json!(false), "TARGETING_KEY_MISSING"),
        ("unknown", json!(true), "FLAG_NOT_FOUND"),
        ("mistyped", json!("none"), "TYPE_MISMATCH"),
    ] {
        assert_eq!((&told[name]["value"], told[name]["errorCode"].as_str().unwrap()), (&value, code), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_may_use() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(&folder.path().join("data"), None, mail).await;
    let operator = site.operator().await;
    let (id, owner) = site.company("acme", "Ada Lovelace", &unique("acme")).await;
    quotas(&operator, &id, &owner).await;
    entitlements(&operator, &id, &owner).await;
    let token = ofrep(&owner).await;
    their_client(&owner, token).await;
    owner.told(&["tenants.EntitlementsGranted.v1", "tenants.FeatureOverridden.v1", "tenants.QuotaWarning.v1"]).await;
}

/// A web server that answers everything alike.
async fn web_server(says: Arc<Mutex<String>>) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 2048];
            drop(stream.read(&mut request).await);
            let answer = says.lock().unwrap().clone();
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    port
}

fn ok(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}", text.len())
}

async fn domain(owner: &Person<'_>, says: &Mutex<String>) {
    for refused in ["localhost", "10.0.0.1", "other.freehold.localhost", "a b.example"] {
        owner.refused("POST", "/v1/domains", json!({ "name": refused }), "invalid_request").await;
    }
    let added = owner.does("POST", "/v1/domains", json!({ "name": "Shop.localhost" })).await;
    owner.refused("POST", "/v1/domains", json!({ "name": "shop.localhost" }), "already_taken").await;
    let verify = format!("/v1/domains/{}/verify", added["id"].as_str().unwrap());
    let at_shop = |path: &str| {
        let request = owner.site.visitor("freehold.localhost").request("GET", path).header("host", "shop.localhost");
        async move { request.send().await.unwrap() }
    };
    assert_eq!(at_shop("/v1/branding").await.status(), StatusCode::NOT_FOUND, "nobody has shown that it is theirs");

    // A server that sends on elsewhere proves nothing, even if the proof is there.
    "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n"
        .clone_into(&mut says.lock().unwrap());
    let looked = owner.does("POST", &verify, json!({})).await;
    assert_eq!((&looked["state"], looked["problem"].is_string()), (&json!("pending"), true));
    owner.refused("POST", &verify, json!({}), "tenants.domain_checked_just_now").await;
    *says.lock().unwrap() = ok(added["challenge"]["proof"].as_str().unwrap());
    until("the domain is proven", async || {
        let (_, looked) = owner.send("POST", &verify, json!({})).await;
        (looked["state"] == "verified").then_some(())
    })
    .await;
    let branding = until("the domain leads to the tenant", async || {
        Some(at_shop("/v1/branding").await).filter(|answer| answer.status() == StatusCode::OK)
    })
    .await;
    assert_eq!(branding.json::<Value>().await.unwrap()["accent"], "#123456");
    canonical(owner).await;
    let challenge = added["challenge"]["url"].as_str().unwrap().trim_start_matches("http://shop.localhost").to_owned();
    let answer = at_shop(&challenge).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND, "that a name leads here does not show whose it is");
    owner.does("DELETE", &format!("/v1/domains/{}", added["id"].as_str().unwrap()), Value::Null).await;
    until("it leads there no more", async || {
        (at_shop("/v1/branding").await.status() == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
}

/// At a domain of its own, every page for signing in leads to where it stands, and takes nothing there with it.
async fn canonical(owner: &Person<'_>) {
    let document = owner.does("GET", "/openapi.json", Value::Null).await;
    let at_shop = |method: &str, path: &str| {
        owner.site.visitor("freehold.localhost").request(method, path).header("host", "shop.localhost")
    };
    let home = owner.site.at(&owner.host, "");
    let mut pages = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let page = |it: &Value| {
            let html = it["responses"]["200"]["content"].get("text/html").is_some();
            html && it["x-scope"] == "tenant" && it["tags"][0] == "identity"
        };
        if !item.get("get").is_some_and(page) {
            continue;
        }
        let rest = format!("{path}?return_to=%2F%2Fevil.example&a=%0d%0ax");
        let asked = at_shop("GET", &rest).send().await.unwrap();
        assert_eq!(asked.status(), StatusCode::TEMPORARY_REDIRECT, "{path}: say in the gateway where it stands");
        assert_eq!(asked.headers()["location"], format!("{home}{rest}"));
        let sent = at_shop("POST", path).form(&[("password", PASSWORD)]).send().await.unwrap();
        assert_eq!(sent.status(), StatusCode::SEE_OTHER, "{path}: a password is not sent on");
        assert_eq!(sent.headers()["location"], format!("{home}{path}"));
        assert_eq!(sent.headers().get("set-cookie"), None);
        pages += 1;
    }
    assert!(pages > 5, "the document lists the pages");
    let other = at_shop("GET", "//evil.example/sign-in").send().await.unwrap();
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
}

/// What its pages and mails show of it.
async fn shown(owner: &Person<'_>) {
    let visitor = owner.site.visitor(&owner.host);
    let page = visitor.request("GET", "/sign-in").send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(!policy.contains("unsafe") && policy.contains("default-src 'none'"), "{policy}");
    let page = page.text().await.unwrap();
    assert!(page.contains("alt=\"Acme Rockets\"") && page.contains("mailto:help@acme.example"), "{page}");
    let style = page.split("href=\"/brand.css").nth(1).unwrap().split('"').next().unwrap();
    let style = format!("/brand.css{style}");
    let sheet = visitor.request("GET", &style).send().await.unwrap();
    assert!(sheet.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let tag = sheet.headers()["etag"].clone();
    assert!(sheet.text().await.unwrap().contains("--fill: #123456"));
    let again = visitor.request("GET", "/brand.css").header("if-none-match", tag).send().await.unwrap();
    assert_eq!(
        (again.status(), &again.headers()["cache-control"]),
        (StatusCode::NOT_MODIFIED, &"no-cache".parse().unwrap())
    );
    let styled = visitor.request("GET", "/brand.css?accent=%23123456;%7D*%7B&on_accent=red").send().await.unwrap();
    assert_eq!(styled.status(), StatusCode::BAD_REQUEST, "nothing but a colour gets into a style");
    until("a mail with the tenant's name, colours and logo", async || {
        let email = unique("branded");
        let asked = json!({ "email": email, "name": "Grace", "role": "member" });
        let invited = owner.does("POST", "/v1/invitations", asked).await;
        let link = owner.site.link_for(&email).await;
        assert!(link.starts_with(&owner.site.at(&owner.host, "/welcome?")), "{link}");
        let mail = owner.site.mail_to(&email).await;
        owner.does("DELETE", &format!("/v1/invitations/{}", invited["user"].as_str().unwrap()), Value::Null).await;
        let html = mail["HTML"].as_str().unwrap().replace("&#x2f;", "/");
        let branded = mail["From"]["Name"] == "Acme Rockets" && mail["ReplyTo"][0]["Address"] == "help@acme.example";
        let logo = format!("{}/v1/branding/logo?v=", owner.site.at(&owner.host, ""));
        (branded && html.contains("background:#123456") && html.contains(&logo)).then_some(())
    })
    .await;
}

async fn face(owner: &Person<'_>) {
    owner
        .refused("PUT", "/v1/branding", json!({ "accent": "#777777", "on_accent": "#ffffff" }), "invalid_request")
        .await;
    let asked = json!({ "name": "Acme Rockets", "accent": "#123456", "support": "help@acme.example" });
    let branding = owner.does("PUT", "/v1/branding", asked).await;
    assert_eq!(branding["on_accent"], "#ffffff");
    let put = |bytes: &'static [u8]| owner.request("PUT", "/v1/branding/logo").body(bytes).send();
    assert_eq!(put(b"<svg onload='alert(1)'/>").await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let logo = put(b"\x89PNG\r\n\x1a\n and the rest").await.unwrap().json::<Value>().await.unwrap()["logo"].clone();
    let visitor = owner.site.visitor(&owner.host);
    let seen = visitor.request("GET", logo.as_str().unwrap()).send().await.unwrap();
    assert_eq!(
        (&seen.headers()["content-type"], &seen.headers()["x-content-type-options"]),
        (&"image/png".parse().unwrap(), &"nosniff".parse().unwrap())
    );
    assert_eq!(visitor.does("GET", "/v1/branding", Value::Null).await["name"], "Acme Rockets");
    visitor.refused("PUT", "/v1/branding", json!({}), "sign_in_required").await;

    owner
        .refused("PUT", "/v1/settings", json!({ "time_zone": "Mars/Olympus", "locale": "de" }), "invalid_request")
        .await;
    owner.does("PUT", "/v1/settings", json!({ "time_zone": "Europe/Vienna", "locale": "de-AT" })).await;
    assert_eq!(owner.does("GET", "/v1/settings", Value::Null).await["time_zone"], "Europe/Vienna");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_and_a_domain_of_its_own() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let says = Arc::new(Mutex::new(String::new()));
    let port = web_server(Arc::clone(&says)).await.to_string();
    let settings = [
        ("FREEHOLD_HOST", "freehold.localhost"),
        ("FREEHOLD_TENANTS__PRIVATE_DOMAINS", "true"),
        ("FREEHOLD_TENANTS__DOMAIN_PORT", &port),
    ];
    let site = Site::start_with(&folder.path().join("data"), None, mail, &settings).await;
    let email = unique("acme");
    let asked = json!({ "company": "Acme", "slug": "acme", "name": "Ada", "email": email });
    site.visitor("freehold.localhost").does("POST", "/v1/sign-up", asked).await;
    let owner = site.visitor("acme.freehold.localhost").follows(&site.link_for(&email).await, PASSWORD).await;
    face(&owner).await;
    shown(&owner).await;
    domain(&owner, &says).await;
}
