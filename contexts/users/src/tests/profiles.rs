//! Profiles: how they come to be, change, and are found.

use contracts::{
    identity::{EmailChanged, InvitationRevoked, UserRegistered},
    users::{ProfileCreated, ProfileUpdated},
};
use kernel::{DefaultRole, Envelope, Event, Personal, ProblemKind};
use serde_json::{Value, json};

use super::{Fixture, names};

#[tokio::test]
async fn a_registration_makes_one_profile_however_often_it_is_told() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada Lovelace", "ada@example.com").await;
    it.ask(ada, DefaultRole::Person, "users.update_me", json!({ "title": "Countess" })).await.unwrap();
    it.register(1, "Ada Lovelace", "ada@example.com").await;
    let me = it.ask(ada, DefaultRole::Person, "users.me", json!({})).await.unwrap();
    let expected = json!({
        "id": ada, "email": "ada@example.com", "name": "Ada Lovelace", "title": "Countess", "deactivated": false,
    });
    assert_eq!(me, expected);
    let created = it.events().await.into_iter().filter(|event| event.r#type == ProfileCreated::TYPE).count();
    assert_eq!(created, 1);
}

#[tokio::test]
async fn nothing_is_kept_of_an_erased_person() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada Lovelace", "ada@example.com").await;
    it.store.keys().destroy_person(it.scope, ada).await.unwrap();
    let gone = it.ask(ada, DefaultRole::Person, "users.me", json!({})).await.unwrap_err();
    assert_eq!(gone.kind(), ProblemKind::NotFound);
    // A replay after the erasure finds the personal values gone.
    let erased = UserRegistered { user: ada, email: Personal::Erased, name: Personal::Erased };
    it.react(&it.envelope(&erased, "visitor")).await.unwrap();
    let list = it.ask(ada, DefaultRole::Member, "users.list", json!({})).await.unwrap();
    assert_eq!(names(&list), Vec::<&str>::new());
}

#[tokio::test]
async fn a_person_changes_their_own_profile() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada Lovelace", "ada@example.com").await;
    let change = json!({ "name": "Ada King", "locale": "en-GB", "time_zone": "europe/london", "title": null });
    let me = it.ask(ada, DefaultRole::Person, "users.update_me", change).await.unwrap();
    assert_eq!(
        (&me["name"], &me["locale"], &me["time_zone"]),
        (&"Ada King".into(), &"en-GB".into(), &"Europe/London".into())
    );
    let updated: Vec<_> = it.events().await.iter().filter_map(Envelope::event::<ProfileUpdated>).collect();
    assert_eq!(updated.len(), 1);
    assert_eq!(updated[0].as_ref().unwrap().fields, ["name", "locale", "time_zone"]);
    for refused in [
        json!({ "time_zone": "Europe/Nowhere" }),
        json!({ "locale": "de_AT" }),
        json!({ "name": null }),
        json!({ "email": "x@example.com" }),
    ] {
        let problem = it.ask(ada, DefaultRole::Person, "users.update_me", refused.clone()).await.unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::Invalid, "{refused}");
    }
    let emptied = it.ask(ada, DefaultRole::Person, "users.update_me", json!({ "locale": null })).await.unwrap();
    assert_eq!((emptied.get("locale"), &emptied["time_zone"]), (None, &"Europe/London".into()));
}

#[tokio::test]
async fn a_profile_follows_the_address_and_goes_with_an_invitation() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada Lovelace", "ada@example.com").await;
    let email = Personal::Known("countess@example.com".parse().unwrap());
    it.react(&it.envelope(&EmailChanged { user: ada, email }, &ada.to_string())).await.unwrap();
    let found = it.ask(ada, DefaultRole::Member, "users.list", json!({ "search": "countess" })).await.unwrap();
    assert_eq!(names(&found), ["Ada Lovelace"]);
    it.react(&it.envelope(&InvitationRevoked { user: ada }, "visitor")).await.unwrap();
    let gone = it.ask(ada, DefaultRole::Person, "users.me", json!({})).await.unwrap_err();
    assert_eq!(gone.kind(), ProblemKind::NotFound);
}

#[tokio::test]
async fn a_member_lists_and_searches_the_people() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada Lovelace", "ada@example.com").await;
    it.register(2, "Grace Hopper", "grace@example.com").await;
    it.register(3, "Adele Goldberg", "goldberg@example.com").await;
    let ask = |input: Value| it.ask(ada, DefaultRole::Member, "users.list", input);
    let first = ask(json!({ "limit": 2 })).await.unwrap();
    assert_eq!(names(&first), ["Ada Lovelace", "Grace Hopper"]);
    let second = ask(json!({ "limit": 2, "after": first["next"] })).await.unwrap();
    assert_eq!((names(&second), second.get("next")), (vec!["Adele Goldberg"], None));
    for (search, found) in [
        ("AD", vec!["Ada Lovelace", "Adele Goldberg"]),
        ("hop", vec!["Grace Hopper"]),
        ("gold", vec!["Adele Goldberg"]),
        // Longer than the terms: the rest is compared.
        ("goldberg@example.com", vec!["Adele Goldberg"]),
        ("goldberg@exam.org", vec![]),
        (" ", vec!["Ada Lovelace", "Grace Hopper", "Adele Goldberg"]),
    ] {
        assert_eq!(names(&ask(json!({ "search": search })).await.unwrap()), found, "{search:?}");
    }
}

#[tokio::test]
async fn without_a_role_one_sees_only_oneself() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada Lovelace", "ada@example.com").await;
    let grace = it.register(2, "Grace Hopper", "grace@example.com").await;
    let list = it.ask(ada, DefaultRole::Person, "users.list", json!({})).await.unwrap();
    assert_eq!(names(&list), ["Ada Lovelace"]);
    assert!(it.ask(ada, DefaultRole::Person, "users.get", json!({ "user": ada })).await.is_ok());
    let refused = it.ask(ada, DefaultRole::Person, "users.get", json!({ "user": grace })).await.unwrap_err();
    assert_eq!(refused.kind(), ProblemKind::Denied);
    let seen = it.ask(ada, DefaultRole::Member, "users.get", json!({ "user": grace })).await.unwrap();
    assert_eq!(seen["email"], "grace@example.com");
}

#[tokio::test]
async fn lists_are_filtered_by_status_and_ordered() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada Lovelace", "ada@example.com").await;
    let grace = it.register(2, "Grace Hopper", "grace@example.com").await;
    it.register(3, "Adele Goldberg", "goldberg@example.com").await;
    it.ask(ada, DefaultRole::Admin, "users.deactivate", json!({ "user": grace })).await.unwrap();
    let ask = |input: Value| it.ask(ada, DefaultRole::Member, "users.list", input);
    for (input, found) in [
        (json!({ "status": "deactivated" }), vec!["Grace Hopper"]),
        (json!({ "status": "active", "order": "newest" }), vec!["Adele Goldberg", "Ada Lovelace"]),
        (json!({ "status": "active", "search": "ad" }), vec!["Ada Lovelace", "Adele Goldberg"]),
        (json!({ "status": "deactivated", "search": "ad" }), vec![]),
    ] {
        assert_eq!(names(&ask(input.clone()).await.unwrap()), found, "{input}");
    }
    let marked = ask(json!({ "search": "grace" })).await.unwrap();
    assert_eq!(marked["items"][0]["deactivated"], true);
}
