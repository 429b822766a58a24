//! The people of a company, as those who administer it and they themselves see them, through the real program.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod site;

use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{PASSWORD, Person, Site, mailpit, unique, until};

/// Someone who has signed in, with what others know of them.
struct Colleague<'a> {
    id: String,
    email: String,
    browser: Person<'a>,
}

async fn founder(site: &Site) -> Colleague<'_> {
    let email = unique("ada");
    let asked = json!({ "company": "Acme", "slug": "acme", "name": "Ada Lovelace", "email": email });
    site.visitor("localhost").does("POST", "/v1/sign-up", asked).await;
    arrives(site, email).await
}

async fn invited<'a>(by: &Colleague<'a>, name: &str) -> Colleague<'a> {
    let email = unique(&name.to_lowercase());
    by.browser.does("POST", "/v1/invitations", json!({ "email": email, "name": name, "role": "member" })).await;
    arrives(by.browser.site, email).await
}

async fn arrives(site: &Site, email: String) -> Colleague<'_> {
    let link = site.link_for(&email).await;
    let browser = site.visitor("acme.localhost").follows(&link, PASSWORD).await;
    let id = until("a profile", async || {
        let (status, me) = browser.send("GET", "/v1/me", Value::Null).await;
        (status == StatusCode::OK).then(|| me["id"].as_str().unwrap().to_owned())
    })
    .await;
    Colleague { id, email, browser }
}

/// The words of a list of activity, the newest first.
fn told(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|it| it["what"].as_str().unwrap()).collect()
}

async fn fields(ada: &Colleague<'_>, grace: &Colleague<'_>) {
    let phone = json!({ "type": "string", "pattern": "^[+][0-9 ]{5,20}$", "x-visibility": "members" });
    let level = json!({ "type": "integer", "minimum": 1, "x-editable": "admins" });
    let schema = json!({ "type": "object", "properties": { "phone": phone, "level": level } });
    grace.browser.refused("PUT", "/v1/profile-fields", json!({ "schema": schema }), "permission_denied").await;
    ada.browser.does("PUT", "/v1/profile-fields", json!({ "schema": schema })).await;
    let wrong = json!({ "fields": { "phone": "call me", "level": 9 } });
    let (status, refused) = grace.browser.send("PATCH", "/v1/me", wrong).await;
    let pointers: Vec<_> =
        refused["errors"].as_array().unwrap().iter().map(|it| it["pointer"].as_str().unwrap()).collect();
    assert_eq!((status, pointers), (StatusCode::BAD_REQUEST, vec!["/fields/level", "/fields/phone"]), "{refused}");
    grace.browser.does("PATCH", "/v1/me", json!({ "fields": { "phone": "+43 1 234" } })).await;
    let path = format!("/v1/users/{}", grace.id);
    ada.browser.does("PATCH", &path, json!({ "title": "Rear admiral", "fields": { "level": 9 } })).await;
    let seen = ada.browser.does("GET", &path, Value::Null).await;
    assert_eq!(seen["fields"], json!({ "level": 9, "phone": "+43 1 234" }));
}

async fn preferences(ada: &Colleague<'_>, grace: &Colleague<'_>) {
    let digest = |list: &Value| list["items"].as_array().unwrap().iter().find(|it| it["key"] == "digest").cloned();
    let declared = json!({
        "meaning": "How often news are mailed", "takes": { "type": "choice", "of": ["daily", "weekly"] }, "default": "weekly",
    });
    ada.browser.does("PUT", "/v1/preferences/digest", declared).await;
    let held = grace.browser.does("GET", "/v1/me/preferences", Value::Null).await;
    assert_eq!(digest(&held).unwrap(), json!({ "key": "digest", "value": "weekly", "from": "tenant" }));
    grace.browser.refused("PUT", "/v1/me/preferences/digest", json!({ "value": "hourly" }), "invalid_request").await;
    grace.browser.does("PUT", "/v1/me/preferences/digest", json!({ "value": "daily" })).await;
    let held = grace.browser.does("GET", "/v1/me/preferences", Value::Null).await;
    assert_eq!(digest(&held).unwrap()["from"], "own");
    let reset = grace.browser.does("DELETE", "/v1/me/preferences/digest", Value::Null).await;
    assert_eq!(digest(&reset).unwrap()["value"], "weekly");
    ada.browser.does("DELETE", "/v1/preferences/digest", Value::Null).await;
    let held = grace.browser.does("GET", "/v1/me/preferences", Value::Null).await;
    assert_eq!(digest(&held), None, "what is declared no more holds no more");
}

async fn activity(ada: &Colleague<'_>, grace: &Colleague<'_>) {
    until("what happened, in words", async || {
        let mine = grace.browser.does("GET", "/v1/me/activity", Value::Null).await;
        let all = told(&mine).join("; ");
        (all.contains("joined") && all.contains("changed a profile: fields.phone")).then_some(())
    })
    .await;
    let of_ada = format!("/v1/users/{}/activity", ada.id);
    grace.browser.refused("GET", &of_ada, Value::Null, "permission_denied").await;
    let all = ada.browser.does("GET", "/v1/activity", Value::Null).await;
    assert!(told(&all).contains(&"invited a colleague"), "{all}");
}

async fn export(ada: &Colleague<'_>, grace: &Colleague<'_>) {
    let mine = grace.browser.does("GET", "/v1/me/export", Value::Null).await;
    assert_eq!(mine["contexts"]["users"]["profile"]["email"], grace.email.as_str());
    assert!(!mine.to_string().contains("argon2"), "no hash leaves");
    let path = format!("/v1/users/{}/export", grace.id);
    assert_eq!(ada.browser.does("GET", &path, Value::Null).await["user"], grace.id.as_str());
    grace.browser.refused("GET", &format!("/v1/users/{}/export", ada.id), Value::Null, "permission_denied").await;
}

/// Of two who change the same, the second learns that it is not any more what they have read.
async fn versions(ada: &Colleague<'_>, grace: &Colleague<'_>) {
    let path = format!("/v1/users/{}", grace.id);
    let send = async |by: &Colleague<'_>, method: &str, path: &str, tag: Option<&str>, body: Value| {
        let request = by.browser.request(method, path);
        let request = tag.map_or_else(|| by.browser.request(method, path), |tag| request.header("if-match", tag));
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        let tag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        (answer.status(), tag, answer.json::<Value>().await.unwrap())
    };
    let (_, read, _) = send(ada, "GET", &path, None, Value::Null).await;
    let (_, own, _) = send(grace, "GET", "/v1/me", None, Value::Null).await;
    assert!(read.is_some() && read == own, "{read:?} {own:?}");
    let (status, changed, _) = send(grace, "PATCH", "/v1/me", own.as_deref(), json!({ "name": "Grace M." })).await;
    assert!(status == StatusCode::OK && changed.is_some() && changed != read);
    let (status, _, refused) = send(ada, "PATCH", &path, read.as_deref(), json!({ "title": "Admiral" })).await;
    assert_eq!((status, &refused["code"]), (StatusCode::PRECONDITION_FAILED, &json!("changed_since_read")));
    assert_eq!(send(ada, "GET", &path, None, Value::Null).await.2["name"], "Grace M.", "and undoes nothing");
    assert_eq!(send(ada, "PATCH", &path, changed.as_deref(), json!({ "title": "Admiral" })).await.0, StatusCode::OK);
    assert_eq!(
        send(ada, "PATCH", &path, None, json!({ "title": "Rear admiral" })).await.0,
        StatusCode::OK,
        "who names none"
    );

    let (_, made, role) = send(ada, "POST", "/v1/roles", None, json!({ "name": "Navy" })).await;
    let role = format!("/v1/roles/{}", role["role"].as_str().unwrap());
    assert_eq!(send(ada, "PUT", &role, made.as_deref(), json!({ "name": "Fleet" })).await.0, StatusCode::OK);
    assert_eq!(send(ada, "DELETE", &role, made.as_deref(), Value::Null).await.0, StatusCode::PRECONDITION_FAILED);
    assert_eq!(send(ada, "DELETE", &role, Some("*"), Value::Null).await.0, StatusCode::OK);
    let (_, first, _) = send(ada, "PUT", "/v1/features/radar", None, json!({ "enabled": true })).await;
    assert_eq!(
        send(ada, "PUT", "/v1/features/radar", Some("\"9\""), json!({ "enabled": false })).await.0,
        StatusCode::PRECONDITION_FAILED
    );
    assert_eq!(
        send(ada, "PUT", "/v1/features/radar", first.as_deref(), json!({ "enabled": false })).await.0,
        StatusCode::OK
    );
    assert_eq!(
        send(ada, "POST", "/v1/invitations", Some("*"), json!({})).await.0,
        StatusCode::BAD_REQUEST,
        "not unheard"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_knows_its_people_as_they_and_it_let_each_other() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(&folder.path().join("data"), None, mail).await;
    let ada = founder(&site).await;
    let grace = invited(&ada, "Grace").await;
    versions(&ada, &grace).await;
    fields(&ada, &grace).await;
    preferences(&ada, &grace).await;
    activity(&ada, &grace).await;
    export(&ada, &grace).await;
    ada.browser
        .told(&["users.ProfileFieldsDefined.v1", "users.PreferenceDeclared.v1", "users.PreferenceWithdrawn.v1"])
        .await;
}

async fn deactivated(ada: &Colleague<'_>, grace: &Colleague<'_>) {
    let act = |act: &str| format!("/v1/users/{}/{act}", grace.id);
    grace.browser.refused("POST", &format!("/v1/users/{}/deactivate", ada.id), json!({}), "permission_denied").await;
    ada.browser.refused("POST", &format!("/v1/users/{}/deactivate", ada.id), json!({}), "users.own_account").await;
    ada.browser.does("POST", &act("deactivate"), json!({})).await;
    until("the end of the session", async || {
        (grace.browser.send("GET", "/v1/me", Value::Null).await.0 == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    let left = ada.browser.does("GET", "/v1/users?status=deactivated", Value::Null).await;
    assert_eq!(left["items"][0]["id"], grace.id.as_str());
    let signs_in = async || {
        let fields = [("email", grace.email.as_str()), ("password", PASSWORD)];
        grace.browser.site.visitor("acme.localhost").form("/sign-in", &fields).await.1
    };
    assert_eq!(signs_in().await, None, "a deactivated person does not sign in");
    ada.browser.does("POST", &act("reactivate"), json!({})).await;
    until("a sign-in", async || signs_in().await).await;
}

/// Whether a text stands in any file of the data.
fn holds(folder: &std::path::Path, needle: &str) -> bool {
    std::fs::read_dir(folder).unwrap().map(Result::unwrap).any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        std::fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_deactivated_and_then_erased_from_all_contexts() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let site = Site::start(&data, None, mail).await;
    let ada = founder(&site).await;
    let grace = invited(&ada, "Grace").await;
    deactivated(&ada, &grace).await;

    let erase = |of: &Colleague<'_>| format!("/v1/users/{}/erase", of.id);
    ada.browser.refused("POST", &erase(&grace), json!({ "confirm": ada.email }), "invalid_request").await;
    let asked = ada.browser.does("POST", &erase(&grace), json!({ "confirm": grace.email })).await;
    assert_eq!(asked["stage"], "running");
    let path = format!("/v1/erasures/{}", grace.id);
    until("the end of the erasure", async || {
        let erasure = ada.browser.does("GET", &path, Value::Null).await;
        (erasure["stage"] == "done").then_some(())
    })
    .await;
    ada.browser.refused("GET", &format!("/v1/users/{}", grace.id), Value::Null, "not_found").await;
    ada.browser.refused("GET", &format!("/v1/users/{}/export", grace.id), Value::Null, "not_found").await;
    let people = ada.browser.does("GET", "/v1/users", Value::Null).await.to_string();
    assert!(!people.contains(&grace.email));
    // The address is free again, for another person.
    let again = json!({ "email": grace.email, "name": "Another", "role": "member" });
    let another = ada.browser.does("POST", "/v1/invitations", again).await;
    assert_ne!(another["user"], grace.id.as_str());
    assert!(!holds(&data, &grace.email), "an address stands in clear in the data");
}
