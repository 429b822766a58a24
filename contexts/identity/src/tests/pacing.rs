//! Guessing passwords: what strangers can do, and what they cannot do to whoever it belongs to.

use std::time::Duration;

use contracts::identity::LinkRequested;
use http::StatusCode;
use kernel::DefaultRole;
use serde_json::json;

use super::{Browser, Fixture, PASSWORD};

const ADA: &str = "ada@acme.example";
const NOBODY: &str = "nobody@acme.example";

impl Fixture {
    async fn tries(&self, from: &Browser, email: &str, password: &str) -> StatusCode {
        self.form(from, "/sign-in", &[("email", email), ("password", password)]).await.status()
    }

    /// So many wrong passwords from each of so many places; how many were looked at.
    async fn storm(&self, places: std::ops::Range<u8>, each: usize, email: &str) -> usize {
        let mut looked_at = 0;
        for place in places {
            let address: &'static str = Box::leak(format!("198.51.100.{place}").into_boxed_str());
            for _ in 0..each {
                let status = self.tries(&Browser::at(address), email, "a guess of very many").await;
                looked_at += usize::from(status == StatusCode::UNPROCESSABLE_ENTITY);
            }
        }
        looked_at
    }
}

#[tokio::test]
async fn whoever_knows_an_address_cannot_keep_its_owner_out() {
    let it = Fixture::new().await;
    it.person(ADA).await;
    let first = it.form(&Browser::at("192.0.2.1"), "/sign-in", &[("email", ADA), ("password", PASSWORD)]).await;
    let known = Browser::at("192.0.2.1").keeps(&first);
    assert_eq!(it.storm(0..24, 6, ADA).await, 100, "all strangers together have a hundred attempts");
    let stranger = it.form(&Browser::at("203.0.113.1"), "/sign-in", &[("email", ADA), ("password", PASSWORD)]).await;
    assert_eq!(stranger.status(), StatusCode::TOO_MANY_REQUESTS, "also with the password that is right");
    assert!(stranger.headers().contains_key("retry-after"));
    assert_eq!(it.tries(&known, ADA, PASSWORD).await, StatusCode::SEE_OTHER, "a device that is known gets in");
    assert_eq!(
        it.tries(&Browser { address: Some("203.0.113.1"), ..known.clone() }, ADA, PASSWORD).await,
        StatusCode::SEE_OTHER
    );
    assert_eq!(it.tries(&Browser::at("203.0.113.1"), ADA, PASSWORD).await, StatusCode::TOO_MANY_REQUESTS);
    for _ in 0..5 {
        assert_eq!(it.tries(&known, ADA, "a guess of very many").await, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(it.tries(&known, ADA, PASSWORD).await, StatusCode::TOO_MANY_REQUESTS, "and is paced itself");
}

#[tokio::test]
async fn a_mailed_link_always_works_and_its_device_is_known() {
    let it = Fixture::new().await;
    it.person(ADA).await;
    it.storm(0..20, 5, ADA).await;
    let browser = Browser::at("203.0.113.1");
    it.form(&browser, "/recover", &[("email", ADA)]).await;
    let link = it.told::<LinkRequested>().await.remove(0).link.known().unwrap();
    let ticket = link.split_once("ticket=").unwrap().1;
    let fields = [("ticket", ticket), ("for", "recover"), ("password", "another fine password")];
    let answer = it.form(&browser, "/welcome", &fields).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let known = browser.keeps(&answer);
    it.storm(20..40, 5, ADA).await;
    assert_eq!(
        it.tries(&Browser::at("203.0.113.1"), ADA, "another fine password").await,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(it.tries(&known, ADA, "another fine password").await, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_device_is_known_for_its_person_and_password_only() {
    let it = Fixture::new().await;
    it.person(ADA).await;
    it.person("eve@acme.example").await;
    let browser = Browser::at("192.0.2.1");
    let eves = it.form(&browser, "/sign-in", &[("email", "eve@acme.example"), ("password", PASSWORD)]).await;
    let eves = browser.clone().keeps(&eves);
    it.storm(0..20, 5, ADA).await;
    assert_eq!(it.tries(&eves, ADA, PASSWORD).await, StatusCode::TOO_MANY_REQUESTS, "for herself she is known alone");
    let forged = Browser { cookies: eves.cookies.replace("freehold_device=", "freehold_device=x"), ..eves.clone() };
    it.storm(0..20, 5, "eve@acme.example").await;
    assert_eq!(it.tries(&forged, "eve@acme.example", PASSWORD).await, StatusCode::TOO_MANY_REQUESTS);
    it.clock.advance(sign_in::device::LASTS);
    it.storm(0..20, 5, "eve@acme.example").await;
    assert_eq!(it.tries(&eves, "eve@acme.example", PASSWORD).await, StatusCode::TOO_MANY_REQUESTS, "not for ever");
}

#[tokio::test]
async fn guesses_tell_nothing_of_who_has_an_account() {
    let it = Fixture::new().await;
    it.person(ADA).await;
    let mut courses = Vec::new();
    for (place, email) in [("192.0.2.1", ADA), ("192.0.2.2", NOBODY), ("192.0.2.3", " Nobody2@ACME.example")] {
        let mut course = Vec::new();
        for _ in 0..8 {
            let answer = it.form(&Browser::at(place), "/sign-in", &[("email", email), ("password", "no")]).await;
            course.push((answer.status(), answer.headers().get("retry-after").cloned()));
        }
        courses.push(course);
    }
    assert_eq!(courses[0], courses[1]);
    assert_eq!(courses[0], courses[2]);
    assert_eq!(courses[0][5].0, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn one_source_has_so_many_wrong_attempts_over_all_accounts() {
    let it = Fixture::new().await;
    it.person(ADA).await;
    let first = it.form(&Browser::at("192.0.2.1"), "/sign-in", &[("email", ADA), ("password", PASSWORD)]).await;
    let (known, sprays) = (Browser::at("192.0.2.1").keeps(&first), Browser::at("192.0.2.1"));
    for number in 0..100 {
        let email = format!("nobody{number}@acme.example");
        assert_eq!(it.tries(&sprays, &email, "password").await, StatusCode::UNPROCESSABLE_ENTITY, "{number}");
    }
    assert_eq!(it.tries(&sprays, "another@acme.example", "password").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(it.tries(&known, ADA, PASSWORD).await, StatusCode::SEE_OTHER, "whoever shares it and is known gets in");
    assert_eq!(it.tries(&Browser::at("192.0.2.9"), ADA, PASSWORD).await, StatusCode::SEE_OTHER);
    it.clock.advance(Duration::from_hours(1));
    assert_eq!(it.tries(&sprays, ADA, PASSWORD).await, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_stolen_session_guesses_little_also_under_one_write_key() {
    let it = Fixture::new().await;
    let cx = it.session(it.person(ADA).await, DefaultRole::Member).await.repeatable("the same key");
    let mut codes = Vec::new();
    for _ in 0..7 {
        let refused = it.run(&cx, "identity.prove", json!({ "password": "a guess of very many" })).await.unwrap_err();
        codes.push(refused.code().to_owned());
    }
    assert!(codes[..5].iter().all(|code| code == "identity.proof_refused"), "{codes:?}");
    assert!(codes[5..].iter().all(|code| code == "identity.paused"), "{codes:?}");
    assert_eq!(
        it.tries(&Browser::at("192.0.2.1"), ADA, PASSWORD).await,
        StatusCode::SEE_OTHER,
        "its owner is not kept out"
    );
}
