//! The pages in a real browser: nothing that axe-core finds, nothing too wide for a telephone, no script needed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod looks;
mod site;

use looks::Album;
use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{PASSWORD, Person, Site, mailpit, unique, until};

/// A company with some life in it, and its owner.
async fn company<'a>(site: &'a Site, slug: &str) -> Person<'a> {
    let email = unique("ada");
    let asked = json!({ "company": "Analytical Engines & Co.", "slug": slug, "name": "Ada Lovelace", "email": email });
    site.visitor("localhost").does("POST", "/v1/sign-up", asked).await;
    let owner = site.visitor(&format!("{slug}.localhost")).follows(&site.link_for(&email).await, PASSWORD).await;
    until("a profile", async || (owner.send("GET", "/v1/me", Value::Null).await.0 == StatusCode::OK).then_some(()))
        .await;
    let brand = json!({ "name": "Analytical <b>Engines</b>", "accent": "#ffd400", "support": "help@engines.example" });
    owner.does("PUT", "/v1/branding", brand).await;
    for (name, role) in [("Grace Hopper", "admin"), ("Adele Goldberg", "member"), ("Mary Kenneth Keller", "member")] {
        let email = unique(&name.split_whitespace().next().unwrap().to_lowercase());
        owner.does("POST", "/v1/invitations", json!({ "email": email, "name": name, "role": role })).await;
    }
    owner.does("PUT", "/v1/features/new-search", json!({ "enabled": true, "percentage": 25 })).await;
    owner.does("PUT", "/v1/features/dark-mode", json!({ "enabled": false })).await;
    let key = json!({ "name": "Nightly report", "permissions": ["users.profile.read"], "days": 90 });
    owner.does("POST", "/v1/api-keys", key).await;
    owner.does("POST", "/v1/events", json!({ "events": [{ "id": "e-1", "name": "report.opened" }] })).await;
    until("the colleagues", async || {
        let people = owner.does("GET", "/v1/users", Value::Null).await;
        (people["items"].as_array().unwrap().len() == 4).then_some(())
    })
    .await;
    owner
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_for_everyone() {
    let (Some(mail), Some(modules)) = (mailpit(), store::contract::server("FREEHOLD_TEST_BROWSER")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(&folder.path().join("data"), None, mail).await;
    let token = site.claim.clone().unwrap();
    let mut album = Album::new(&site);
    album.hosted("identity.pages.claim", &site.visitor("localhost"), &format!("/claim?token={token}"));
    // Once it is claimed there is no such page any more.
    album.looked_at(&modules).await;
    let operator = site.operator().await;
    let owner = company(&site, "acme").await;
    let tenants = operator.does("GET", "/v1/tenants", Value::Null).await;
    let seats = format!("/v1/tenants/{}/quotas/seats", tenants["items"][0]["id"].as_str().unwrap());
    operator.does("PUT", &seats, json!({ "limit": 20 })).await;
    album.of_visitors(&owner, &operator).await;
    album.of_members(&owner).await;
    album.of_owners(&owner).await;
    album.of_payers(&owner, &operator).await;
    album.of_operators(&operator).await;
    album.looked_at(&modules).await;
    album.has_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_runs_the_company_by_its_pages() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(&folder.path().join("data"), None, mail).await;
    let operator = site.operator().await;
    let owner = company(&site, "acme").await;
    let text =
        async |who: &Person<'_>, path: &str| who.request("GET", path).send().await.unwrap().text().await.unwrap();
    let tenant = operator.does("GET", "/v1/tenants", Value::Null).await["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/operator/tenants/{tenant}");
    let (saved, _) = operator.form(&format!("{path}/seats"), &[("limit", "20")]).await;
    assert_eq!(saved.status(), StatusCode::SEE_OTHER);
    assert!(text(&owner, "/people").await.contains("4 of 20 seats"));
    // What is refused is told on the page, with what to do.
    let taken = unique("twice");
    let invite = [("email", taken.as_str()), ("name", "Twice <b>"), ("role", "member")];
    assert_eq!(owner.form("/people/invite", &invite).await.0.status(), StatusCode::SEE_OTHER);
    let (again, _) = owner.form("/people/invite", &invite).await;
    assert_eq!(again.status(), StatusCode::CONFLICT);
    let page = again.text().await.unwrap();
    assert!(page.contains("role=\"alert\"") && page.contains("already in use"), "{page}");
    until("the new colleague, whose name is no markup", async || {
        let page = text(&owner, "/people").await;
        (page.contains("Twice &#60;b&#62;") && !page.contains("Twice <b>")).then_some(())
    })
    .await;
    let (saved, _) = owner.form("/home/profile", &[("name", "Ada King"), ("theme", "dark")]).await;
    assert_eq!(saved.headers()["location"], "/home?said=saved");
    let home = text(&owner, "/home?said=saved").await;
    assert!(home.contains("data-theme=\"dark\"") && home.contains("Ada King") && home.contains("role=\"status\""));
    let (made, _) =
        owner.form("/settings/key", &[("name", "CI"), ("permission", "users.profile.read"), ("days", "9")]).await;
    assert!(made.text().await.unwrap().contains("fhk_"), "a key is shown once");
    assert!(!text(&owner, "/settings").await.contains("fhk_"));
    // A company is erased only by whoever types its name.
    let (slip, _) = operator.form(&format!("{path}/erase"), &[("confirm", "acne")]).await;
    assert_eq!(slip.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let (done, _) = operator.form(&format!("{path}/suspend"), &[("reason", "unpaid")]).await;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    assert!(text(&operator, &format!("{path}?said=suspended")).await.contains("unpaid"));
    // Nobody else comes in by these addresses.
    let stranger = site.visitor("acme.localhost");
    for path in ["/home", "/people", "/settings"] {
        let answer = site.visitor("localhost").elsewhere("acme.localhost").request("GET", path).send().await.unwrap();
        assert!(!answer.text().await.unwrap().contains("Ada"), "{path}");
    }
    let (refused, _) = stranger.form("/people/invite", &invite).await;
    assert!(!refused.status().is_success() && refused.status() != StatusCode::SEE_OTHER);
}
