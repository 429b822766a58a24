//! People, their roles and how they sign in; operators likewise: through the real program, over HTTP and mail.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod site;

use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{PASSWORD, Person, Site, code, mailpit, step, unique, until};

async fn mails_to(site: &Site, address: &str) -> u64 {
    let api = format!("http://127.0.0.1:{}/api/v1/search?query=to:%22{address}%22", mailpit().unwrap() + 1);
    let found: Value = site.http.get(api).send().await.unwrap().json().await.unwrap();
    found["messages_count"].as_u64().unwrap()
}

async fn another_mail(site: &Site, address: &str, before: &str) -> String {
    until("another mail", async || Some(site.link_for(address).await).filter(|link| link != before)).await
}

async fn signs_in<'a>(visitor: &Person<'a>, email: &str, password: &str) -> Option<Person<'a>> {
    let (_, cookie) = visitor.form("/sign-in", &[("email", email), ("password", password)]).await;
    cookie.map(|cookie| visitor.clone().with_cookie(&cookie))
}

async fn is_out(person: &Person<'_>) {
    until("the end of a session", async || {
        (person.send("GET", "/v1/me/sessions", Value::Null).await.0 == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
}

/// Somebody new, who has come in; with their address and id.
async fn invited<'a>(by: &Person<'a>, name: &str, role: &str) -> (Person<'a>, String, String) {
    let email = unique(name);
    let asked = json!({ "email": email, "name": name, "role": role });
    let user = by.does("POST", "/v1/invitations", asked).await["user"].as_str().unwrap().to_owned();
    let link = by.site.link_for(&email).await;
    (by.site.visitor(&by.host).follows(&link, PASSWORD).await, email, user)
}

async fn sessions_end_together(owner: &Person<'_>) {
    let (kim, email, _) = invited(owner, "Kim", "member").await;
    let visitor = owner.site.visitor(&owner.host);
    let second = signs_in(&visitor, &email, PASSWORD).await.unwrap();
    assert_eq!(second.does("GET", "/v1/me/sessions", Value::Null).await["items"].as_array().unwrap().len(), 2);
    second.does("POST", "/v1/me/sessions/end-all", json!({})).await;
    is_out(&kim).await;
    is_out(&second).await;
    // A new password while signed in.
    let kim = signs_in(&visitor, &email, PASSWORD).await.unwrap();
    kim.refused("POST", "/v1/me/prove", json!({ "password": "not my password" }), "identity.proof_refused").await;
    kim.refused("POST", "/v1/me/prove", json!({ "code": "123456" }), "identity.code_refused").await;
    kim.does("POST", "/v1/me/prove", json!({ "password": PASSWORD })).await;
    for weak in ["short", "passwordpassword", &email.clone(), "123456789012345"] {
        kim.refused("PUT", "/v1/me/password", json!({ "password": weak }), "invalid_request").await;
    }
    kim.does("PUT", "/v1/me/password", json!({ "password": "a new one, long enough" })).await;
    is_out(&kim).await;
    assert!(signs_in(&visitor, &email, PASSWORD).await.is_none());
    assert!(signs_in(&visitor, &email, "a new one, long enough").await.is_some());
}

async fn second_factor(owner: &Person<'_>) {
    let (robin, email, _) = invited(owner, "Robin", "member").await;
    let visitor = owner.site.visitor(&owner.host);
    robin.refused("POST", "/v1/me/totp/recovery-codes", json!({}), "identity.totp_missing").await;
    let secret = robin.does("POST", "/v1/me/totp", json!({})).await["secret"].as_str().unwrap().to_owned();
    let confirmed = robin.does("POST", "/v1/me/totp/confirm", json!({ "code": code(&secret, step()) })).await;
    let codes: Vec<String> = serde_json::from_value(confirmed["recovery_codes"].clone()).unwrap();
    assert_eq!(codes.len(), 10);
    let second_step = async |with: &str| {
        let (page, cookie) = visitor.form("/sign-in", &[("email", &email), ("password", PASSWORD)]).await;
        assert!(cookie.is_none(), "the password alone is not enough");
        let page = page.text().await.unwrap();
        let hidden = page.split_once("name=\"step\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
        visitor.form("/sign-in", &[("step", &hidden), ("code", with)]).await.1
    };
    assert!(second_step(&codes[0]).await.is_some(), "a recovery code stands in for the app");
    assert!(second_step(&codes[0]).await.is_none(), "once");
    let renewed = robin.does("POST", "/v1/me/totp/recovery-codes", json!({})).await;
    assert!(second_step(&codes[1]).await.is_none(), "those of before are void");
    let fresh = renewed["recovery_codes"][0].as_str().unwrap().to_uppercase();
    assert!(second_step(&fresh).await.is_some());
    robin.does("DELETE", "/v1/me/totp", Value::Null).await;
    assert!(signs_in(&visitor, &email, PASSWORD).await.is_some());
}

async fn roles(operator: &Person<'_>, owner: &Person<'_>, other: &Person<'_>) {
    let declare = json!({ "meaning": "see deals", "held_from": "admin" });
    operator.does("PUT", "/v1/product/permissions/crm.deal.read", declare.clone()).await;
    operator.refused("PUT", "/v1/product/permissions/identity.role.forge", declare, "invalid_request").await;
    let (sam, _, id) = invited(owner, "Sam", "member").await;
    let check = async |permission: &str| {
        owner.does("POST", "/v1/permissions/check", json!({ "user": id, "permission": permission })).await
    };
    assert_eq!(check("crm.deal.read").await["allowed"], false);
    let base = json!({ "name": "Deals", "permissions": ["crm.deal.read"] });
    let base = until("the owner holds what was declared", async || {
        let (status, made) = owner.send("POST", "/v1/roles", base.clone()).await;
        (status == StatusCode::OK).then(|| made["role"].as_str().unwrap().to_owned())
    })
    .await;
    let sales = json!({ "name": "Sales", "inherits": [base, "member"], "permissions": ["identity.user.invite"] });
    let sales = owner.does("POST", "/v1/roles", sales).await["role"].as_str().unwrap().to_owned();
    owner.refused("POST", "/v1/roles", json!({ "name": "SALES" }), "already_taken").await;
    owner.refused("POST", "/v1/roles", json!({ "name": "X", "permissions": ["a.b.c"] }), "invalid_request").await;
    let circle = json!({ "name": "Deals", "inherits": [sales] });
    owner.refused("PUT", &format!("/v1/roles/{base}"), circle, "invalid_request").await;
    owner.does("PUT", &format!("/v1/users/{id}/roles"), json!({ "roles": [sales] })).await;
    let told = check("crm.deal.read").await;
    assert_eq!((&told["allowed"], &told["because"][0]["roles"]), (&json!(true), &json!([sales, base])));
    // What the role grants is in force, and nothing more.
    until("the new role", async || {
        let asked = json!({ "email": unique("new"), "name": "New", "role": "member" });
        (sam.send("POST", "/v1/invitations", asked).await.0 == StatusCode::OK).then_some(())
    })
    .await;
    let admin = json!({ "email": unique("adm"), "name": "Adm", "role": "admin" });
    sam.refused("POST", "/v1/invitations", admin, "permission_denied").await;
    sam.refused("POST", "/v1/roles", json!({ "name": "Mine" }), "permission_denied").await;
    owner.refused("DELETE", &format!("/v1/roles/{base}"), Value::Null, "identity.role_in_use").await;
    owner.refused("DELETE", &format!("/v1/roles/{sales}"), Value::Null, "identity.role_in_use").await;
    other.refused("PUT", &format!("/v1/roles/{sales}"), json!({ "name": "Ours" }), "not_found").await;
    nobody_gives_more_than_they_hold(owner, &id).await;
    let listed = owner.does("GET", "/v1/permissions", Value::Null).await["items"].to_string();
    assert!(listed.contains("see deals") && !listed.contains("identity.credential.authenticate"), "{listed}");
    operator.does("DELETE", "/v1/product/permissions/crm.deal.read", Value::Null).await;
    until("the end of a permission", async || (check("crm.deal.read").await["allowed"] == false).then_some(())).await;
    owner.does("PUT", &format!("/v1/users/{id}/roles"), json!({ "roles": ["member"] })).await;
    owner.does("DELETE", &format!("/v1/roles/{sales}"), Value::Null).await;
}

async fn nobody_gives_more_than_they_hold(owner: &Person<'_>, sam: &str) {
    let people = json!({ "name": "People", "inherits": ["member"], "permissions": ["identity.role.update"] });
    let people = owner.does("POST", "/v1/roles", people).await["role"].as_str().unwrap().to_owned();
    let (max, _, id) = invited(owner, "Max", &people).await;
    let own = format!("/v1/users/{id}/roles");
    for beyond in ["owner", "admin"] {
        max.refused("PUT", &own, json!({ "roles": [beyond] }), "identity.beyond_own_permissions").await;
    }
    let more = json!({ "name": "More", "permissions": ["identity.user.invite"] });
    max.refused("POST", "/v1/roles", more.clone(), "identity.beyond_own_permissions").await;
    max.refused("PUT", &format!("/v1/roles/{people}"), more, "identity.beyond_own_permissions").await;
    let taken = json!({ "roles": ["member"] });
    max.refused("PUT", &format!("/v1/users/{sam}/roles"), taken, "identity.beyond_own_permissions").await;
    max.does("POST", "/v1/roles", json!({ "name": "Less", "permissions": ["users.profile.read"] })).await;
}

async fn invitations(owner: &Person<'_>) {
    let used = async || owner.does("GET", "/v1/seats", Value::Null).await["used"].as_u64().unwrap();
    let (before, email) = (used().await, unique("late"));
    let asked = json!({ "email": email, "name": "Late", "role": "member" });
    let user = owner.does("POST", "/v1/invitations", asked.clone()).await["user"].as_str().unwrap().to_owned();
    owner.refused("POST", "/v1/invitations", asked, "already_taken").await;
    assert_eq!(used().await, before + 1, "one that is refused holds no seat");
    let first = owner.site.link_for(&email).await;
    owner.does("POST", &format!("/v1/invitations/{user}/resend"), json!({})).await;
    let second = another_mail(owner.site, &email, &first).await;
    let ticket = |link: &str| link.split_once("ticket=").unwrap().1.to_owned();
    let visitor = owner.site.visitor(&owner.host);
    let (answer, _) = visitor.form("/welcome", &[("ticket", &ticket(&first)), ("password", PASSWORD)]).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "the link of before");
    assert!(owner.does("GET", "/v1/invitations", Value::Null).await["items"].to_string().contains(&email));
    owner.does("DELETE", &format!("/v1/invitations/{user}"), Value::Null).await;
    let (answer, _) = visitor.form("/welcome", &[("ticket", &ticket(&second)), ("password", PASSWORD)]).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "an invitation that was taken back");
    assert_eq!(used().await, before);
    assert!(!owner.does("GET", "/v1/invitations", Value::Null).await["items"].to_string().contains(&email));
}

async fn an_owner_stays(owner: &Person<'_>, owner_id: &str) {
    let (olive, _, olive_id) = invited(owner, "Olive", "admin").await;
    let roles = |id: &str| format!("/v1/users/{id}/roles");
    olive.refused("PUT", &roles(owner_id), json!({ "roles": ["member"] }), "permission_denied").await;
    owner.refused("PUT", &roles(owner_id), json!({ "roles": ["member"] }), "identity.own_role").await;
    owner.does("PUT", &roles(&olive_id), json!({ "roles": ["owner"] })).await;
    until("the second owner", async || {
        let told = olive.send("GET", "/v1/api-keys", Value::Null).await.0;
        let clients = olive
            .send("POST", "/v1/permissions/check", json!({ "user": olive_id, "permission": "identity.role.update" }))
            .await
            .1;
        (told == StatusCode::OK && clients["because"][0]["roles"] == json!(["owner"])).then_some(())
    })
    .await;
    until("that the second owner is let in as one", async || {
        let (_, answer) = olive.send("PUT", &roles(&olive_id), json!({ "roles": ["member"] })).await;
        (answer["code"] == "identity.own_role").then_some(())
    })
    .await;
    // Each takes it from the other, at the same moment.
    let demote = json!({ "roles": ["member"] });
    let (by_owner, by_olive) = (roles(&olive_id), roles(owner_id));
    let (left, right) =
        tokio::join!(owner.send("PUT", &by_owner, demote.clone()), olive.send("PUT", &by_olive, demote));
    let done = [&left, &right].iter().filter(|(status, _)| *status == StatusCode::OK).count();
    // The other is the last one, or was demoted before its own request was let in.
    let late = ["identity.last_owner", "permission_denied"];
    let refused = |(_, answer): &&&(StatusCode, Value)| late.contains(&answer["code"].as_str().unwrap_or_default());
    let refused = [&left, &right].iter().filter(refused).count();
    assert_eq!((done, refused), (1, 1), "{left:?} {right:?}");
}

async fn whoever_goes_has_nothing_left(owner: &Person<'_>, owner_id: &str) {
    let (dana, email, id) = invited(owner, "Dana", "admin").await;
    let visitor = owner.site.visitor(&owner.host);
    until("the profile", async || (dana.send("GET", "/v1/me", Value::Null).await.0 == StatusCode::OK).then_some(()))
        .await;
    let path = format!("/v1/users/{owner_id}/deactivate");
    dana.refused("POST", &path, json!({}), "permission_denied").await;
    let asked = json!({ "name": "CI", "permissions": ["users.profile.read"], "days": 1 });
    let key = dana.does("POST", "/v1/api-keys", asked).await["key"].as_str().unwrap().to_owned();
    let program = visitor.clone().with_token(&key);
    program.does("GET", "/v1/users", Value::Null).await;
    owner.does("POST", &format!("/v1/users/{id}/deactivate"), json!({})).await;
    is_out(&dana).await;
    is_out(&program).await;
    assert!(signs_in(&visitor, &email, PASSWORD).await.is_none());
    owner.does("POST", &format!("/v1/users/{id}/reactivate"), json!({})).await;
    let dana = until("that they can sign in again", async || signs_in(&visitor, &email, PASSWORD).await).await;
    is_out(&program).await;
    let exported = dana.does("GET", "/v1/me/export", Value::Null).await.to_string();
    assert!(
        exported.contains(&email.to_lowercase()) && !exported.contains("argon2") && !exported.contains("stamp"),
        "{exported}"
    );
    owner.does("POST", &format!("/v1/users/{id}/erase"), json!({ "confirm": email })).await;
    is_out(&dana).await;
    // Nothing holds the address any more.
    let asked = json!({ "email": email, "name": "Dana", "role": "member" });
    until("that the address is free", async || {
        (owner.send("POST", "/v1/invitations", asked.clone()).await.0 == StatusCode::OK).then_some(())
    })
    .await;
}

async fn moves(owner: &Person<'_>) {
    let (ida, old, _) = invited(owner, "Ida", "member").await;
    let (new, before, visitor) = (unique("ida"), ida.site.link_for(&old).await, ida.site.visitor(&ida.host));
    ida.does("PUT", "/v1/me/email", json!({ "email": new })).await;
    let links = [ida.site.link_for(&new).await, another_mail(ida.site, &old, &before).await];
    for (place, link) in links.iter().enumerate() {
        let path = link.split_once(".localhost").unwrap().1.split_once('/').unwrap().1;
        let page = visitor.request("GET", &format!("/{path}")).send().await.unwrap();
        assert!(page.status() == StatusCode::OK && page.text().await.unwrap().contains(&new));
        assert!(signs_in(&visitor, &new, PASSWORD).await.is_none(), "not before both have agreed");
        let side = if place == 0 { "new" } else { "old" };
        let (wrong, ticket) = (if place == 0 { "old" } else { "new" }, link.split_once("ticket=").unwrap().1);
        let (answer, _) = visitor.form("/change-address", &[("side", wrong), ("ticket", ticket)]).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "one link does not stand for both");
        let (answer, _) = visitor.form("/change-address", &[("side", side), ("ticket", ticket)]).await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert!(signs_in(&visitor, &new, PASSWORD).await.is_some() && signs_in(&visitor, &old, PASSWORD).await.is_none());
}

async fn mailboxes_are_spared(site: &Site) {
    let email = unique("victim");
    for number in 0..7 {
        let asked = json!({ "company": "Flood", "slug": format!("flood-{number}"), "name": "Flo", "email": email });
        site.visitor("localhost").does("POST", "/v1/sign-up", asked).await;
    }
    until("five mails", async || (mails_to(site, &email).await == 5).then_some(())).await;
    // One more that is not paced comes after all of them: then there will be no sixth.
    let after = unique("after");
    let asked = json!({ "company": "After", "slug": "after-all", "name": "Aft", "email": after });
    site.visitor("localhost").does("POST", "/v1/sign-up", asked).await;
    site.link_for(&after).await;
    assert_eq!(mails_to(site, &email).await, 5);
}

async fn pages(site: &Site) {
    let visitor = site.visitor("localhost");
    let (page, _) =
        visitor.form("/sign-up", &[("company", "Initech"), ("slug", "In It"), ("name", "Bill"), ("email", "b")]).await;
    assert_eq!(page.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = page.text().await.unwrap();
    assert!(page.contains("id=\"slug-trouble\"") && page.contains("id=\"email-trouble\""), "{page}");
    assert!(page.contains("value=\"Initech\"") && page.matches("aria-invalid").count() == 3, "what was right stays");
    let (email, slug) = (unique("bill"), "initech");
    let fields = [("company", "Initech"), ("slug", slug), ("name", "Bill"), ("email", email.as_str())];
    assert_eq!(visitor.form("/sign-up", &fields).await.0.status(), StatusCode::OK);
    assert!(site.link_for(&email).await.contains("initech"));
    let (taken, _) = visitor.form("/sign-up", &fields).await;
    assert!(taken.text().await.unwrap().contains("id=\"slug-trouble\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_what_they_may_do() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(&folder.path().join("data"), None, mail).await;
    let operator = site.operator().await;
    let (acme_email, globex_email) = (unique("ada"), unique("grace"));
    let ((acme, ada), (_, grace)) =
        tokio::join!(site.company("acme", "Ada", &acme_email), site.company("globex", "Grace", &globex_email));
    operator.does("PUT", &format!("/v1/tenants/{acme}/quotas/seats"), json!({ "limit": 50 })).await;
    let ada_id = ada.does("GET", "/v1/me", Value::Null).await["id"].as_str().unwrap().to_owned();
    sessions_end_together(&ada).await;
    second_factor(&ada).await;
    roles(&operator, &ada, &grace).await;
    invitations(&ada).await;
    moves(&ada).await;
    mailboxes_are_spared(&site).await;
    pages(&site).await;
    let account = ada.request("GET", "/account").send().await.unwrap().text().await.unwrap();
    assert!(account.contains("Sign out everywhere") && account.contains(&acme_email));
    whoever_goes_has_nothing_left(&ada, &ada_id).await;
    an_owner_stays(&ada, &ada_id).await;
    ada.told(&["identity.RoleDeleted.v1", "identity.PermissionGranted.v1", "identity.MFADisabled.v1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_among_themselves() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(&folder.path().join("data"), None, mail).await;
    let (olga, visitor) = (site.operator().await, site.visitor("localhost"));
    let olga_id = olga.does("GET", "/v1/operators", Value::Null).await["items"][0]["operator"].clone();
    let alone = json!({ "proof": PASSWORD });
    let remove = format!("/v1/operators/{}/remove", olga_id.as_str().unwrap());
    olga.refused("POST", &remove, alone.clone(), "identity.last_operator").await;
    let asked = |proof: &str| json!({ "email": "oskar@ops.example", "name": "Oskar", "proof": proof });
    olga.refused("POST", "/v1/operators", asked("not my password"), "identity.proof_refused").await;
    let link = olga.does("POST", "/v1/operators", asked(PASSWORD)).await["link"].as_str().unwrap().to_owned();
    // Whoever has not come in does not count among those who can act.
    olga.refused("POST", &remove, alone.clone(), "identity.last_operator").await;
    let ticket = link.split_once("ticket=").unwrap().1;
    let (weak, _) = visitor.form("/operator/welcome", &[("ticket", ticket), ("password", "weak")]).await;
    assert!(weak.text().await.unwrap().contains("id=\"password-trouble\""));
    let (_, cookie) = visitor.form("/operator/welcome", &[("ticket", ticket), ("password", PASSWORD)]).await;
    let oskar = visitor.clone().with_cookie(&cookie.unwrap());
    let (again, _) = visitor.form("/operator/welcome", &[("ticket", ticket), ("password", PASSWORD)]).await;
    assert_eq!(again.status(), StatusCode::UNPROCESSABLE_ENTITY, "a link is good once");

    let secret = oskar.does("POST", "/v1/operator/totp", json!({ "proof": PASSWORD })).await["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    oskar.does("POST", "/v1/operator/totp/confirm", json!({ "code": code(&secret, step()) })).await;
    let first = [("email", "oskar@ops.example"), ("password", PASSWORD)];
    let (page, cookie) = visitor.form("/operator/sign-in", &first).await;
    assert!(cookie.is_none(), "the password alone is not enough");
    let page = page.text().await.unwrap();
    let hidden = page.split_once("name=\"step\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let next = code(&secret, step() + 1);
    let (answer, cookie) = visitor.form("/operator/sign-in", &[("step", &hidden), ("code", &next)]).await;
    let set: Vec<&str> = answer.headers().get_all("set-cookie").iter().map(|it| it.to_str().unwrap()).collect();
    let device =
        set.iter().find(|set| set.starts_with("freehold_device=")).unwrap().split(';').next().unwrap().to_owned();
    let second = visitor.clone().with_cookie(&cookie.unwrap());
    let (_, ended) = second.form("/operator/sign-out", &[]).await;
    assert_eq!(ended.unwrap(), "freehold_operator=");
    is_out_of_operating(&second).await;
    let account = oskar.request("GET", "/operator/account").send().await.unwrap().text().await.unwrap();
    assert!(account.contains("Olga") && account.contains("Make new recovery codes"), "{account}");

    // A storm of guesses pauses whoever comes from there, also with the password, and not a browser that is known.
    for _ in 0..5 {
        visitor.form("/operator/sign-in", &[("email", "oskar@ops.example"), ("password", "a guess of many")]).await;
    }
    let (paused, _) = visitor.form("/operator/sign-in", &first).await;
    assert_eq!(paused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(paused.headers().contains_key("retry-after"));
    let known = visitor.clone().with_cookie(&device);
    let (answer, _) = known.form("/operator/sign-in", &first).await;
    assert_eq!(answer.status(), StatusCode::OK);

    let changed = json!({ "proof": PASSWORD, "password": "another fine password" });
    olga.does("PUT", "/v1/operator/password", changed).await;
    is_out_of_operating(&olga).await;
    let (_, cookie) = visitor
        .form("/operator/sign-in", &[("email", "olga@ops.example"), ("password", "another fine password")])
        .await;
    let olga = visitor.clone().with_cookie(&cookie.unwrap());
    let oskar_id = olga.does("GET", "/v1/operators", Value::Null).await["items"].as_array().unwrap().clone();
    let oskar_id = oskar_id.iter().find(|it| it["name"] == "Oskar").unwrap()["operator"].as_str().unwrap().to_owned();
    let proof = json!({ "proof": "another fine password" });
    olga.does("POST", &format!("/v1/operators/{oskar_id}/remove"), proof.clone()).await;
    is_out_of_operating(&oskar).await;
    olga.refused("POST", &remove, proof, "identity.last_operator").await;
}

async fn is_out_of_operating(operator: &Person<'_>) {
    until("the end of an operator's session", async || {
        (operator.send("GET", "/v1/operators", Value::Null).await.0 == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
}
