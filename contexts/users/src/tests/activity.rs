//! What is told of people's activity.

use std::time::Duration;

use contracts::identity::{RoleAssigned, UserAuthenticated};
use kernel::{
    Clock,
    DefaultRole::{Admin, Member, Person},
    ProblemKind, UserId,
};
use serde_json::{Value, json};
use store::{Page, Upkeep};

use super::Fixture;
use crate::activity::{ActivityEntry, KEPT, LASTS};

fn signed_in(user: UserId) -> UserAuthenticated {
    UserAuthenticated { user, methods: vec!["pwd".to_owned()] }
}

fn told(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|it| it["what"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_happened_is_told_once_and_to_those_concerned() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada", "ada@example.com").await;
    let grace = it.register(2, "Grace", "grace@example.com").await;
    let assigned = RoleAssigned { user: grace, roles: vec!["admin".to_owned()] };
    it.clock.advance(Duration::from_secs(1));
    let event = it.envelope(&assigned, &ada.to_string());
    for _ in 0..3 {
        it.react(&event).await.unwrap();
    }
    let mine = it.ask(grace, Person, "users.activity.mine", json!({})).await.unwrap();
    assert_eq!(told(&mine), ["was given the roles: admin", "was registered"]);
    assert_eq!(mine["items"][0]["by"], ada.to_string());
    let of_ada = it.ask(grace, Admin, "users.activity.of", json!({ "user": ada })).await.unwrap();
    assert_eq!(told(&of_ada), ["gave a colleague the roles: admin", "was registered"]);
    let denied = it.ask(grace, Member, "users.activity.of", json!({ "user": ada })).await.unwrap_err();
    assert_eq!(denied.kind(), ProblemKind::Denied);
    let all = it.ask(ada, Admin, "users.activity.list", json!({ "limit": 1 })).await.unwrap();
    assert_eq!(told(&all), ["gave a colleague the roles: admin"]);
    let rest = it.ask(ada, Admin, "users.activity.list", json!({ "after": all["next"] })).await.unwrap();
    assert_eq!(told(&rest), ["was registered", "was registered"]);
    let own = it.ask(grace, Member, "users.activity.list", json!({})).await.unwrap();
    assert_eq!(told(&own), told(&mine), "a member sees their own");
}

#[tokio::test]
async fn what_is_kept_is_bounded_in_number_and_time() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada", "ada@example.com").await;
    for number in 0..KEPT + 60 {
        it.clock.advance(Duration::from_secs(1));
        let mut event = it.envelope(&signed_in(ada), "visitor");
        event.id = format!("{number:06}");
        it.react(&event).await.unwrap();
    }
    let (mut entries, mut page) = (Vec::new(), Page { limit: 200, newest_first: true, ..Page::default() });
    let cx = it.service();
    loop {
        let listed = it.store.at(&cx).list::<ActivityEntry>("person", &ada.to_string(), &page).await.unwrap();
        entries.extend(listed.items.into_iter().map(|entry| entry.at));
        let Some(next) = listed.next else { break };
        page.after = Some(next);
    }
    assert!((KEPT..KEPT + 10).contains(&entries.len()), "{}", entries.len());
    assert_eq!(entries.first(), Some(&it.clock.now()), "the newest are those that are kept");
    it.clock.advance(LASTS);
    let later = it.ask(ada, Person, "users.activity.mine", json!({})).await.unwrap();
    assert_eq!(told(&later), Vec::<&str>::new());
    assert!(it.engine.sweep(it.clock.now(), 1000).await.unwrap() > 0);
}
