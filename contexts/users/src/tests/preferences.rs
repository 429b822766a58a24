//! Preferences: one's own, over the tenant's, over the platform's.

use contracts::users::PreferenceChanged;
use kernel::{
    DefaultRole::{Admin, Member, Owner, Person},
    Envelope, ProblemKind, UserId,
};
use serde_json::{Value, json};

use super::{Fixture, pointers};

/// A preference of a person, and whose word it is.
async fn holds(it: &Fixture, user: UserId, key: &str) -> Option<(Value, String)> {
    let held = it.ask(user, Person, "users.preferences", json!({})).await.unwrap();
    let found = held["items"].as_array().unwrap().iter().find(|it| it["key"] == key).cloned()?;
    Some((found["value"].clone(), found["from"].as_str().unwrap().to_owned()))
}

#[tokio::test]
async fn preferences_are_ones_own() {
    let it = Fixture::new();
    let (ada, grace) =
        (it.register(1, "Ada", "ada@example.com").await, it.register(2, "Grace", "grace@example.com").await);
    let set =
        |key: &str, value: Value| it.ask(ada, Person, "users.set_preference", json!({ "key": key, "value": value }));
    set("theme", "dark".into()).await.unwrap();
    set("page.size", 25.into()).await.unwrap();
    set("page.size", 50.into()).await.unwrap();
    set("tips", false.into()).await.unwrap();
    assert_eq!(pointers(&set("long", "x".repeat(1001).into()).await.unwrap_err()), ["/value"]);
    assert!(set("list", json!([1])).await.is_err());
    assert_eq!(holds(&it, ada, "page.size").await, Some((50.into(), "own".to_owned())));
    assert_eq!(holds(&it, ada, "tips").await, Some((false.into(), "own".to_owned())));
    let others = it.ask(grace, Owner, "users.preferences", json!({})).await.unwrap();
    assert!(others["items"].as_array().unwrap().iter().all(|it| it["from"] == "platform"), "{others}");
    let changed: Vec<_> = it.events().await.iter().filter_map(Envelope::event::<PreferenceChanged>).collect();
    let keys: Vec<_> = changed.into_iter().map(|event| event.unwrap().key).collect();
    assert_eq!(keys, ["theme", "page.size", "page.size", "tips"]);
}

#[tokio::test]
async fn what_holds_is_ones_own_word_then_the_tenants_then_the_platforms() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada", "ada@example.com").await;
    let said = |value: &str, from: &str| Some((Value::from(value), from.to_owned()));
    assert_eq!(holds(&it, ada, "theme").await, said("system", "platform"));
    let theme = |of: Value, default: &str| json!({ "key": "theme", "meaning": "Light or dark", "takes": { "type": "choice", "of": of }, "default": default });
    it.ask(ada, Admin, "users.preferences.declare", theme(json!(["dark", "light"]), "dark")).await.unwrap();
    assert_eq!(holds(&it, ada, "theme").await, said("dark", "tenant"));
    let set = |value: &str| it.ask(ada, Person, "users.set_preference", json!({ "key": "theme", "value": value }));
    assert_eq!(pointers(&set("system").await.unwrap_err()), ["/value"]);
    set("light").await.unwrap();
    assert_eq!(holds(&it, ada, "theme").await, said("light", "own"));
    // A choice that is taken no more is kept, and does not hold.
    it.ask(ada, Admin, "users.preferences.declare", theme(json!(["dark"]), "dark")).await.unwrap();
    assert_eq!(holds(&it, ada, "theme").await, said("dark", "tenant"));
    it.ask(ada, Admin, "users.preferences.withdraw", json!({ "key": "theme" })).await.unwrap();
    assert_eq!(holds(&it, ada, "theme").await, said("light", "own"));
    it.ask(ada, Person, "users.reset_preference", json!({ "key": "theme" })).await.unwrap();
    assert_eq!(holds(&it, ada, "theme").await, said("system", "platform"));
    let denied = it.ask(ada, Member, "users.preferences.declare", theme(json!(["dark"]), "dark")).await.unwrap_err();
    assert_eq!(denied.kind(), ProblemKind::Denied);
    let gone = it.ask(ada, Admin, "users.preferences.withdraw", json!({ "key": "theme" })).await.unwrap_err();
    assert_eq!(gone.kind(), ProblemKind::NotFound);
}
