//! Erasing a person: who may order it, and that it ends whatever happens in between.

use std::time::Duration;

use contracts::users::{HOLDERS, UserErased, UserErasureDelayed, UserErasureRequested};
use kernel::{
    DefaultRole::{Admin, Owner, Person},
    Event, Problem, ProblemKind, UserId,
};
use serde_json::{Value, json};

use super::{Fixture, person, pointers};

#[tokio::test]
async fn whom_a_restored_backup_brought_back_is_erased_again_and_nobody_else_may_ask_for_it() {
    let case = Case::new().await;
    let asked = json!({ "user": case.grace });
    let refused = case.it.ask(case.ada, Owner, "users.erase_again", asked.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), ProblemKind::Denied);
    // As after a restore: the key is gone, and all else is as it was.
    case.it.store.keys().destroy_person(case.it.scope, case.grace).await.unwrap();
    for _ in 0..2 {
        case.it.run(case.it.service(), "users.erase_again", asked.clone()).await.unwrap();
    }
    case.it.deliver().await;
    for holder in HOLDERS {
        case.confirm(holder).await;
    }
    case.is_gone().await;
    case.it.run(case.it.service(), "users.erase_again", asked).await.unwrap();
    case.is_gone().await;
}

struct Case {
    it: Fixture,
    ada: UserId,
    grace: UserId,
}

impl Case {
    async fn new() -> Self {
        let it = Fixture::new();
        let ada = it.register(1, "Ada Lovelace", "ada@example.com").await;
        let grace = it.register(2, "Grace Hopper", "grace@example.com").await;
        let set = json!({ "key": "theme", "value": "dark" });
        it.ask(grace, Person, "users.set_preference", set).await.unwrap();
        it.deliver().await;
        Self { it, ada, grace }
    }

    async fn order(&self) -> Result<Value, Problem> {
        let asked = json!({ "user": self.grace, "confirm": "grace@example.com" });
        self.it.ask(self.ada, Owner, "users.erase", asked).await
    }

    async fn confirm(&self, context: &str) {
        let asked = json!({ "user": self.grace, "context": context });
        self.it.run(self.it.service(), "users.erasure.confirm", asked).await.unwrap();
    }

    async fn erasure(&self) -> Value {
        self.it.ask(self.ada, Owner, "users.erasures.get", json!({ "user": self.grace })).await.unwrap()
    }

    async fn emitted(&self, r#type: &str) -> usize {
        self.it.events().await.iter().filter(|event| event.r#type == r#type).count()
    }

    async fn is_gone(&self) {
        assert_eq!(self.erasure().await["stage"], "done");
        assert_eq!(self.emitted(UserErased::TYPE).await, 1);
        let destroyed = self.it.store.keys().person(self.it.scope, self.grace).await;
        assert!(matches!(destroyed, Err(keys::KeyError::Destroyed)));
        let gone = self.it.ask(self.ada, Owner, "users.get", json!({ "user": self.grace })).await.unwrap_err();
        assert_eq!(gone.kind(), ProblemKind::NotFound);
        let found = self.it.ask(self.ada, Owner, "users.list", json!({ "search": "grace" })).await.unwrap();
        assert_eq!(found["items"], json!([]));
        let all = self.it.ask(self.ada, Admin, "users.activity.list", json!({})).await.unwrap();
        assert!(!all.to_string().contains(&self.grace.to_string()), "{all}");
        assert_eq!(self.it.timers().await, 0, "nothing is left to do");
    }
}

#[tokio::test]
async fn a_person_is_erased_once_every_context_has_confirmed() {
    let case = Case::new().await;
    assert_eq!(case.order().await.unwrap()["stage"], "running");
    case.it.deliver().await;
    let waiting: Vec<_> = HOLDERS.into_iter().filter(|it| *it != "users").collect();
    let mut told = case.erasure().await["waiting"].as_array().unwrap().clone();
    told.sort_by_key(ToString::to_string);
    assert_eq!(told.len(), waiting.len(), "users itself has confirmed: {told:?}");
    for context in &waiting {
        assert_eq!(case.emitted(UserErased::TYPE).await, 0);
        case.confirm(context).await;
    }
    case.is_gone().await;
    // All of it again: nothing comes back, and nothing happens twice.
    for event in case.it.events().await {
        case.it.react(&event).await.unwrap();
    }
    case.confirm("identity").await;
    assert_eq!(case.order().await.unwrap()["stage"], "done");
    case.is_gone().await;
}

#[tokio::test]
async fn it_goes_on_where_the_process_ended() {
    let case = Case::new().await;
    case.order().await.unwrap();
    case.it.deliver().await;
    // The last confirmation is stored, and then the keys cannot be reached.
    *case.it.kept.unreachable.lock().unwrap() = true;
    for context in HOLDERS {
        let asked = json!({ "user": case.grace, "context": context });
        drop(case.it.run(case.it.service(), "users.erasure.confirm", asked).await);
    }
    assert_eq!(case.erasure().await["stage"], "confirmed");
    case.it.timers().await;
    assert_eq!(case.emitted(UserErased::TYPE).await, 0, "it is not done while the key stands");
    // Then the key is destroyed, and the process ends before it says so.
    *case.it.kept.unreachable.lock().unwrap() = false;
    case.it.store.keys().destroy_person(case.it.scope, case.grace).await.unwrap();
    assert_eq!(case.erasure().await["stage"], "confirmed");
    case.it.timers().await;
    case.is_gone().await;
}

#[tokio::test]
async fn whoever_does_not_confirm_is_reminded_and_then_seen() {
    let case = Case::new().await;
    case.order().await.unwrap();
    case.it.deliver().await;
    let mut requests = 1;
    for _ in 0..5 {
        assert_eq!(case.it.timers().await, 0, "not before the pause is over");
        case.it.clock.advance(Duration::from_hours(24));
        case.it.timers().await;
        requests += 1;
        assert_eq!(case.emitted(UserErasureRequested::TYPE).await, requests);
        case.it.deliver().await;
    }
    let seen = case.erasure().await;
    assert_eq!((&seen["delayed"], &seen["reminders"]), (&true.into(), &5.into()));
    assert_eq!(case.emitted(UserErasureDelayed::TYPE).await, 1);
    let listed = case.it.ask(case.ada, Owner, "users.erasures.list", json!({ "stage": "running" })).await.unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    for context in HOLDERS {
        case.confirm(context).await;
    }
    case.is_gone().await;
}

#[tokio::test]
async fn ones_own_erasure_can_be_called_off_until_it_begins() {
    let case = Case::new().await;
    let own = |confirm: &str, name: &'static str| {
        let asked = if confirm.is_empty() {
            json!({ "user": case.grace })
        } else {
            json!({ "user": case.grace, "confirm": confirm, "after_days": 0 })
        };
        case.it.ask(case.grace, Person, name, asked)
    };
    let wrong = own("someone@example.com", "users.erase").await.unwrap_err();
    assert_eq!(pointers(&wrong), ["/confirm"]);
    let asked = own("grace@example.com", "users.erase").await.unwrap();
    assert_eq!(asked["stage"], "scheduled", "one's own waits, whatever is asked for");
    assert_eq!(own("", "users.erasures.cancel").await.unwrap()["stage"], "cancelled");
    case.it.clock.advance(Duration::from_hours(8 * 24));
    assert_eq!(case.it.timers().await, 0);
    own("grace@example.com", "users.erase").await.unwrap();
    case.it.clock.advance(Duration::from_hours(8 * 24));
    case.it.timers().await;
    assert_eq!(own("", "users.erasures.cancel").await.unwrap_err().code(), "users.erasure_begun");
    case.it.deliver().await;
    for context in HOLDERS {
        case.confirm(context).await;
    }
    case.is_gone().await;
}

#[tokio::test]
async fn whoever_became_the_last_owner_meanwhile_stays() {
    let case = Case::new().await;
    let asked = json!({ "user": case.grace, "confirm": "grace@example.com" });
    case.it.ask(case.grace, Person, "users.erase", asked).await.unwrap();
    *case.it.others.last_owner.lock().unwrap() = Some(case.grace);
    case.it.clock.advance(Duration::from_hours(7 * 24));
    case.it.timers().await;
    assert_eq!(case.erasure().await["stage"], "cancelled");
    assert_eq!((case.it.timers().await, case.emitted(UserErasureRequested::TYPE).await), (0, 0));
}

#[tokio::test]
async fn only_owners_erase_others_and_the_last_owner_stays() {
    let case = Case::new().await;
    let asked = json!({ "user": case.grace, "confirm": "grace@example.com" });
    let denied = case.it.ask(case.ada, Admin, "users.erase", asked.clone()).await.unwrap_err();
    assert_eq!(denied.kind(), ProblemKind::Denied);
    let slip = json!({ "user": case.grace, "confirm": "ada@example.com" });
    assert_eq!(pointers(&case.it.ask(case.ada, Owner, "users.erase", slip).await.unwrap_err()), ["/confirm"]);
    let late = json!({ "user": case.grace, "confirm": "grace@example.com", "after_days": 91 });
    assert_eq!(pointers(&case.it.ask(case.ada, Owner, "users.erase", late).await.unwrap_err()), ["/after_days"]);
    *case.it.others.last_owner.lock().unwrap() = Some(case.grace);
    let last = case.it.ask(case.ada, Owner, "users.erase", asked.clone()).await.unwrap_err();
    assert_eq!(last.code(), "identity.last_owner");
    let nobody = json!({ "user": person(99), "confirm": "grace@example.com" });
    let unknown = case.it.ask(case.ada, Owner, "users.erase", nobody).await.unwrap_err();
    assert_eq!(unknown.kind(), ProblemKind::NotFound);
    // A caller of another context cannot say it for one that is none, and a person cannot say it at all.
    let other = json!({ "user": case.grace, "context": "elsewhere" });
    assert_eq!(
        pointers(&case.it.run(case.it.service(), "users.erasure.confirm", other).await.unwrap_err()),
        ["/context"]
    );
    let person = json!({ "user": case.grace, "context": "identity" });
    let denied = case.it.ask(case.ada, Owner, "users.erasure.confirm", person).await.unwrap_err();
    assert_eq!(denied.kind(), ProblemKind::Denied);
}

#[tokio::test]
async fn an_export_is_all_that_is_held_and_its_digest_proves_it() {
    let case = Case::new().await;
    let held = json!({ "sessions": [{ "began": "2026-11-01", "a": 1 }] });
    case.it.others.exports.lock().unwrap().insert("identity.person.export", held.clone());
    let mine = case.it.ask(case.grace, Person, "users.export_me", json!({})).await.unwrap();
    let theirs = case.it.ask(case.ada, Owner, "users.export", json!({ "user": case.grace })).await.unwrap();
    assert_eq!(mine["contexts"], theirs["contexts"]);
    assert_eq!(mine["contexts"]["identity"], held);
    assert_eq!(mine["contexts"]["users"]["profile"]["email"], "grace@example.com");
    assert_eq!(mine["contexts"]["users"]["preferences"]["theme"], "dark");
    assert_eq!(mine["contexts"]["users"]["activity"].as_array().unwrap().len(), 2);
    let mut contexts = mine["contexts"].clone();
    contexts.sort_all_objects();
    let hash = ring::digest::digest(&ring::digest::SHA256, contexts.to_string().as_bytes());
    assert_eq!(mine["digest"], format!("sha-256:{}", data_encoding::HEXLOWER.encode(hash.as_ref())));
    let denied = case.it.ask(case.ada, Admin, "users.export", json!({ "user": case.grace })).await.unwrap_err();
    assert_eq!(denied.kind(), ProblemKind::Denied);
    case.it.others.exports.lock().unwrap().insert("identity.person.export", json!({ "x": ["y".repeat(9 << 20)] }));
    let large = case.it.ask(case.grace, Person, "users.export_me", json!({})).await.unwrap_err();
    assert_eq!(large.code(), "users.export_too_large");
}
