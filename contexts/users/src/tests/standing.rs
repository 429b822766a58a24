//! Who may deactivate whom.

use contracts::users::{UserDeactivated, UserReactivated};
use kernel::{
    DefaultRole::{self, Admin, Member, Owner},
    Event, ProblemKind,
};
use serde_json::json;

use super::Fixture;

#[tokio::test]
async fn a_person_is_deactivated_once_and_comes_back() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada", "ada@example.com").await;
    let grace = it.register(2, "Grace", "grace@example.com").await;
    for _ in 0..2 {
        let seen = it.ask(ada, Admin, "users.deactivate", json!({ "user": grace })).await.unwrap();
        assert_eq!(seen["deactivated"], true);
    }
    for _ in 0..2 {
        let seen = it.ask(ada, Admin, "users.reactivate", json!({ "user": grace })).await.unwrap();
        assert_eq!(seen["deactivated"], false);
    }
    let told: Vec<_> =
        it.events().await.into_iter().map(|event| event.r#type).filter(|it| it.contains("tivated")).collect();
    assert_eq!(told, [UserDeactivated::TYPE, UserReactivated::TYPE]);
}

#[tokio::test]
async fn nobody_acts_on_themselves_or_above_themselves() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada", "ada@example.com").await;
    let grace = it.register(2, "Grace", "grace@example.com").await;
    let deactivate = async |role: DefaultRole, user| {
        it.ask(ada, role, "users.deactivate", json!({ "user": user }))
            .await
            .map_err(|problem| problem.code().to_owned())
    };
    assert_eq!(deactivate(Owner, ada).await.unwrap_err(), "users.own_account");
    assert_eq!(deactivate(Member, grace).await.unwrap_err(), "permission_denied");
    *it.others.last_owner.lock().unwrap() = Some(grace);
    assert_eq!(deactivate(Owner, grace).await.unwrap_err(), "identity.last_owner");
    let seen = it.ask(ada, Member, "users.get", json!({ "user": grace })).await.unwrap();
    assert_eq!(seen["deactivated"], false, "what is refused changes nothing");
    *it.others.last_owner.lock().unwrap() = None;
    assert!(deactivate(Owner, grace).await.is_ok());
    assert_eq!(*it.others.closed.lock().unwrap(), [grace]);
    let nobody = it.ask(ada, Owner, "users.deactivate", json!({ "user": super::person(99) })).await.unwrap_err();
    assert_eq!(nobody.kind(), ProblemKind::NotFound);
}
