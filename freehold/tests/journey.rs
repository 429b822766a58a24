//! The journey of a first customer, through the real program over real HTTP and real mail.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod site;

use std::{path::Path, process::Command};

use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{PASSWORD, Person, Site, code, holds, mailpit, step, unique, until};

async fn operator(site: &Site) -> Person<'_> {
    let operator = site.operator().await;
    let token = site.claim.clone().unwrap();
    let fields = [("token", token.as_str()), ("name", "Eve"), ("email", "eve@ops.example"), ("password", PASSWORD)];
    let (again, _) = site.visitor("localhost").form("/claim", &fields).await;
    assert_eq!(again.status(), StatusCode::UNPROCESSABLE_ENTITY, "an installation is claimed once");
    operator
}

struct Company<'a> {
    id: String,
    owner: Person<'a>,
    email: String,
}

async fn found<'a>(site: &'a Site, slug: &str, owner: &str) -> Company<'a> {
    let email = unique(slug);
    let (id, owner) = site.company(slug, owner, &email).await;
    let asked = json!({ "company": slug, "slug": slug, "name": "Eve", "email": unique("eve") });
    site.visitor("localhost").refused("POST", "/v1/sign-up", asked, "already_taken").await;
    let link = site.link_for(&email).await;
    let ticket = link.split_once("ticket=").unwrap().1;
    let visitor = site.visitor(&format!("{slug}.localhost"));
    let (again, _) = visitor.form("/welcome", &[("ticket", ticket), ("password", "another password")]).await;
    assert_eq!(again.status(), StatusCode::UNPROCESSABLE_ENTITY, "a link is good once");
    Company { id, owner, email }
}

async fn invite<'a>(company: &Company<'a>, name: &str) -> Person<'a> {
    let email = unique(name);
    let invited =
        company.owner.does("POST", "/v1/invitations", json!({ "email": email, "name": name, "role": "member" })).await;
    assert_eq!(invited["roles"], json!(["member"]));
    let link = company.owner.site.link_for(&email).await;
    company.owner.site.visitor(&company.owner.host).follows(&link, PASSWORD).await
}

async fn second_factor(company: &Company<'_>) {
    let secret = company.owner.does("POST", "/v1/me/totp", json!({})).await;
    let secret = secret["secret"].as_str().unwrap().to_owned();
    company.owner.refused("POST", "/v1/me/totp/confirm", json!({ "code": "000000x" }), "identity.code_refused").await;
    let step = step();
    company.owner.does("POST", "/v1/me/totp/confirm", json!({ "code": code(&secret, step) })).await;
    let visitor = company.owner.site.visitor(&company.owner.host);
    let (page, cookie) = visitor.form("/sign-in", &[("email", &company.email), ("password", PASSWORD)]).await;
    let page = page.text().await.unwrap();
    assert!(cookie.is_none() && page.contains("authenticator"), "the password alone is not enough");
    let hidden = page.split_once("name=\"step\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let (used, _) = visitor.form("/sign-in", &[("step", &hidden), ("code", &code(&secret, step))]).await;
    assert_eq!(used.status(), StatusCode::UNPROCESSABLE_ENTITY, "a code is good once");
    let (next, cookie) = visitor.form("/sign-in", &[("step", &hidden), ("code", &code(&secret, step + 1))]).await;
    assert!(next.status() == StatusCode::SEE_OTHER && cookie.is_some(), "the next code is");
}

async fn seats(operator: &Person<'_>, company: &Company<'_>) {
    let path = format!("/v1/tenants/{}/quotas/seats", company.id);
    operator.does("PUT", &path, json!({ "limit": 7 })).await;
    let before = company.owner.does("GET", "/v1/seats", Value::Null).await["used"].as_u64().unwrap();
    let invited = (0..20).map(|number| {
        let owner = company.owner.clone();
        async move {
            let asked = json!({ "email": unique(&format!("crowd{number}")), "name": "Crowd", "role": "member" });
            owner.send("POST", "/v1/invitations", asked).await
        }
    });
    let answers = futures::future::join_all(invited).await;
    let taken = answers.iter().filter(|(status, _)| *status == StatusCode::OK).count() as u64;
    let refused = answers.iter().filter(|(_, answer)| answer["code"] == "tenants.quota_exhausted").count() as u64;
    assert_eq!((taken, refused), (7 - before, 20 - (7 - before)), "{answers:?}");
}

async fn evaluate(member: &Person<'_>, target: &str) -> bool {
    let asked = json!({ "context": { "targetingKey": target } });
    let answer = member.does("POST", "/ofrep/v1/evaluate/flags/search", asked).await;
    answer["value"].as_bool().unwrap()
}

async fn rollout(company: &Company<'_>) -> (String, String) {
    company.owner.does("PUT", "/v1/features/search", json!({ "enabled": true, "percentage": 50 })).await;
    let (mut on, mut off) = (None, None);
    for number in 0..200 {
        let target = format!("person-{number}");
        if evaluate(&company.owner, &target).await {
            on = Some(target);
        } else {
            off = Some(target);
        }
        if on.is_some() && off.is_some() {
            break;
        }
    }
    let (on, off) = (on.unwrap(), off.unwrap());
    for _ in 0..500 {
        assert!(
            evaluate(&company.owner, &on).await && !evaluate(&company.owner, &off).await,
            "a rollout changes its mind"
        );
    }
    (on, off)
}

/// A new password, by mail; whoever was signed in before is signed in no more.
async fn recovers<'a>(company: &Company<'a>) -> Person<'a> {
    let site = company.owner.site;
    let before = site.link_for(&company.email).await;
    let visitor = site.visitor(&company.owner.host);
    for email in [company.email.as_str(), "nobody@mail.example"] {
        let (answer, _) = visitor.form("/recover", &[("email", email)]).await;
        assert_eq!(answer.status(), StatusCode::OK, "it does not tell who is known here");
    }
    let link =
        until("another mail", async || Some(site.link_for(&company.email).await).filter(|link| *link != before)).await;
    let owner = visitor.follows(&link, "another fine password").await;
    until("the end of the sessions before", async || {
        let (status, _) = company.owner.send("GET", "/v1/me", Value::Null).await;
        (status == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    owner
}

async fn api_keys(company: &Company<'_>) {
    let asked = |name: &str| json!({ "name": "CI", "permissions": [name], "days": 30 });
    company.owner.refused("POST", "/v1/api-keys", asked("tenants.tenant.erase"), "invalid_request").await;
    company.owner.refused("POST", "/v1/api-keys", asked("identity.api_key.update"), "invalid_request").await;
    let made = company.owner.does("POST", "/v1/api-keys", asked("users.profile.read")).await;
    let program = company.owner.site.visitor(&company.owner.host).with_token(made["key"].as_str().unwrap());
    program.does("GET", "/v1/users", Value::Null).await;
    program.refused("GET", "/v1/features", Value::Null, "permission_denied").await;
    program.clone().elsewhere("globex.localhost").refused("GET", "/v1/users", Value::Null, "credential_refused").await;
    let path = format!("/v1/api-keys/{}", made["id"].as_str().unwrap());
    company.owner.does("DELETE", &path, Value::Null).await;
    until("the end of the key", async || {
        (program.send("GET", "/v1/users", Value::Null).await.0 == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
}

async fn active_people(company: &Company<'_>, member: &Person<'_>) {
    let batch =
        json!({ "events": [{ "id": "e-1", "name": "report.opened" }, { "id": "e-2", "name": "report.opened" }] });
    member.does("POST", "/v1/events", batch.clone()).await;
    member.does("POST", "/v1/events", batch).await;
    let report = json!({ "measure": "count", "name": "report.opened" });
    let rows = company.owner.does("POST", "/v1/analytics/reports/query", report).await;
    assert!(rows.to_string().contains("2.0"), "sent twice, counted once: {rows}");
    until("two active people", async || {
        let days = company.owner.does("GET", "/v1/analytics/active-people", Value::Null).await;
        (days[0]["people"] == 2).then_some(())
    })
    .await;
    let page = company.owner.request("GET", "/home").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("<rect") && page.contains("Charles"), "the owner's page shows the chart and the people");
}

async fn signs_in_with_their_client(company: &Company<'_>) -> Option<String> {
    let modules = store::contract::server("FREEHOLD_TEST_OIDC_CLIENT")?;
    let client = company
        .owner
        .does("POST", "/v1/clients", json!({ "name": "Web app", "redirect_uris": ["http://127.0.0.1:9/callback"] }))
        .await;
    let issuer = company.owner.site.at(&company.owner.host, "");
    let (id, email) = (client["client_id"].as_str().unwrap().to_owned(), company.email.clone());
    let run = move || {
        let script = Path::new(&modules).join("sign_in.mjs");
        Command::new("node").arg(script).args([&issuer, &id, &email, PASSWORD]).current_dir(&modules).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["claims"]["email"], company.email.as_str());
    assert_eq!(told["claims"]["sub"], told["told"]["sub"]);
    assert_eq!(told["again"], "invalid_grant", "a code is good once");
    Some(told["access"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_customer_moves_in() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let site = Site::start(&data, None, mail).await;
    let operator = operator(&site).await;
    let (acme, mut globex) = tokio::join!(found(&site, "acme", "Ada Lovelace"), found(&site, "globex", "Grace Hopper"));

    // The code of the grant is used twice in there, which ends it: its tokens are void, and a second sign-in gives good ones.
    let ended = signs_in_with_their_client(&acme).await;
    if let Some(ended) = &ended {
        until("the end of a stolen grant", async || {
            let (status, _) = site.visitor("acme.localhost").with_token(ended).send("GET", "/v1/me", Value::Null).await;
            (status == StatusCode::UNAUTHORIZED).then_some(())
        })
        .await;
    }

    let member = invite(&acme, "Charles").await;
    let people = until("the colleague's profile", async || {
        let people = member.does("GET", "/v1/users?search=char", Value::Null).await;
        (people["items"].as_array().unwrap().len() == 1).then_some(people)
    })
    .await;
    let colleague = people["items"][0]["id"].as_str().unwrap().to_owned();
    let roles = format!("/v1/users/{colleague}/roles");
    member.refused("PUT", &roles, json!({ "roles": ["owner"] }), "permission_denied").await;
    acme.owner.does("PUT", &roles, json!({ "roles": ["admin"] })).await;

    globex.owner = recovers(&globex).await;
    active_people(&acme, &member).await;
    api_keys(&acme).await;
    second_factor(&acme).await;
    seats(&operator, &acme).await;
    let (on, off) = rollout(&acme).await;

    operator.does("POST", &format!("/v1/tenants/{}/suspend", acme.id), json!({ "reason": "unpaid" })).await;
    until("the suspension", async || {
        let (_, answer) = member.send("GET", "/v1/me", Value::Null).await;
        (answer["code"] == "tenant_suspended" && answer["detail"].as_str().unwrap().contains("unpaid")).then_some(())
    })
    .await;
    acme.owner.refused("GET", "/v1/me", Value::Null, "tenant_suspended").await;
    globex.owner.does("GET", "/v1/me", Value::Null).await;
    operator.does("POST", &format!("/v1/tenants/{}/resume", acme.id), json!({})).await;
    until("the end of the suspension", async || {
        (acme.owner.send("GET", "/v1/me", Value::Null).await.0 == StatusCode::OK).then_some(())
    })
    .await;

    // A second start finds all as it was.
    let (port, cookies) = (site.port, (operator.clone(), acme.owner.clone()));
    let (acme_id, acme_email, globex_email) = (acme.id.clone(), acme.email.clone(), globex.email.clone());
    let credentials = (cookies.0.credential(), cookies.1.credential());
    drop((operator, cookies, acme, globex, member));
    drop(site);
    let site = Site::start(&data, Some(port), mail).await;
    assert_eq!(site.claim, None, "it was claimed");
    let operator = site.visitor("localhost").with_cookie(&credentials.0);
    let owner = site.visitor("acme.localhost").with_cookie(&credentials.1);
    assert!(evaluate(&owner, &on).await && !evaluate(&owner, &off).await, "a rollout changes its mind over a restart");

    operator.does("POST", &format!("/v1/tenants/{acme_id}/erase"), json!({})).await;
    until("the erasure", async || {
        (owner.send("GET", "/v1/me", Value::Null).await.1["code"] == "not_found").then_some(())
    })
    .await;
    drop(site);
    for secret in [acme_email.as_str(), "Ada Lovelace", "Charles", globex_email.as_str(), PASSWORD] {
        assert_eq!(holds(&data, secret.as_bytes()), None, "{secret} stands in clear in the data");
        if let Some(server) = site::on_postgres() {
            let held = site::holds_in_database(&site::database_of(&server, &data), secret.as_bytes()).await;
            assert_eq!(held, None, "{secret} stands in clear in the database");
        }
    }
}
