//! Fields of profiles that a tenant defines.

use kernel::{
    DefaultRole::{Admin, Member, Person},
    ProblemKind, UserId,
};
use serde_json::{Value, json};

use super::{Fixture, pointers};

fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "phone": { "type": "string", "maxLength": 20, "x-visibility": "members" },
            "shirt": { "enum": ["s", "m", "l"] },
            "level": { "type": "integer", "x-editable": "admins" },
        },
    })
}

async fn defined() -> (Fixture, UserId, UserId) {
    let it = Fixture::new();
    let ada = it.register(1, "Ada", "ada@example.com").await;
    let grace = it.register(2, "Grace", "grace@example.com").await;
    it.ask(ada, Admin, "users.fields.define", json!({ "schema": schema() })).await.unwrap();
    (it, ada, grace)
}

#[tokio::test]
async fn each_sees_and_changes_what_the_definition_lets_them() {
    let (it, ada, grace) = defined().await;
    let change = json!({ "fields": { "phone": "+43 1", "shirt": "m", "level": 3 } });
    let refused = it.ask(grace, Member, "users.update_me", change).await.unwrap_err();
    assert_eq!(pointers(&refused), ["/fields/level"]);
    let change = json!({ "fields": { "phone": "+43 1", "shirt": "m" } });
    it.ask(grace, Person, "users.update_me", change).await.unwrap();
    it.ask(ada, Admin, "users.update", json!({ "user": grace, "fields": { "level": 3 } })).await.unwrap();
    let of_grace =
        async |who, role| it.ask(who, role, "users.get", json!({ "user": grace })).await.unwrap()["fields"].clone();
    let all = json!({ "level": 3, "phone": "+43 1", "shirt": "m" });
    assert_eq!(of_grace(grace, Person).await, all);
    assert_eq!(of_grace(ada, Admin).await, all);
    assert_eq!(of_grace(ada, Member).await, json!({ "phone": "+43 1" }));
    let listed = it.ask(ada, Member, "users.list", json!({ "search": "grace" })).await.unwrap();
    assert_eq!(listed["items"][0]["fields"], json!({ "phone": "+43 1" }));
    let denied = it.ask(ada, Member, "users.update", json!({ "user": grace, "fields": {} })).await.unwrap_err();
    assert_eq!(denied.kind(), ProblemKind::Denied);
}

#[tokio::test]
async fn a_profile_stays_readable_when_the_definition_changes() {
    let (it, ada, grace) = defined().await;
    it.ask(grace, Member, "users.update_me", json!({ "fields": { "phone": "+43 1", "shirt": "m" } })).await.unwrap();
    let narrower =
        json!({ "type": "object", "properties": { "shirt": { "enum": ["xs"], "x-visibility": "members" } } });
    let define = |after: u32| {
        it.ask(ada, Admin, "users.fields.define", json!({ "schema": narrower.clone(), "after_version": after }))
    };
    assert_eq!(define(7).await.unwrap_err().code(), "users.fields_changed");
    assert_eq!(define(1).await.unwrap()["version"], 2);
    let me = it.ask(grace, Member, "users.me", json!({})).await.unwrap();
    assert_eq!(me["fields"], json!({ "phone": "+43 1", "shirt": "m" }));
    // What is declared no more is nobody's but hers; what she changes is judged anew, what she does not is left.
    let seen = it.ask(ada, Member, "users.get", json!({ "user": grace })).await.unwrap();
    assert_eq!(seen["fields"], json!({ "shirt": "m" }));
    it.ask(grace, Member, "users.update_me", json!({ "title": "Admiral" })).await.unwrap();
    let refused = it.ask(grace, Member, "users.update_me", json!({ "fields": { "shirt": "l", "phone": "1" } })).await;
    assert_eq!(pointers(&refused.unwrap_err()), ["/fields/phone", "/fields/shirt"]);
    let emptied = it.ask(grace, Member, "users.update_me", json!({ "fields": { "phone": null, "shirt": "xs" } })).await;
    assert_eq!(emptied.unwrap()["fields"], json!({ "shirt": "xs" }));
}
