//! What becomes of a notification.

use super::*;

#[tokio::test]
async fn a_link_that_fails_twice_is_tried_a_third_time_and_then_forgotten() {
    let it = Fixture::answering([busy(), busy()]).await;
    it.link("one", ada()).await;
    assert_eq!(it.fire().await.len(), 1);
    for pause in [5, 20] {
        it.clock.advance(Duration::from_millis(pause * 800 - 1));
        assert!(it.fire().await.is_empty());
        it.clock.advance(Duration::from_millis(pause * 400 + 1));
        assert_eq!(it.fire().await.len(), 1);
    }
    it.clock.advance(Duration::from_hours(1));
    assert!(it.fire().await.is_empty());

    let seen = it.mails();
    assert!(seen.len() == 3 && seen.iter().all(|message| *message == seen[0]));
    assert_eq!(seen[0].to, Target::Mail("ada@example.com".parse().unwrap()));
    assert!(seen[0].content.text.contains("https://acme.example.com/verify?token=secret"));
    assert_eq!(seen[0].content.unsubscribe, None, "nobody can opt out of security");
    let listed = it.person(ada(), "notifications.list_own", json!({})).await;
    let listed = &listed["items"][0];
    assert_eq!(listed["subject"], "Confirm your e-mail address");
    assert_eq!(
        (&listed["deliveries"]["mail"]["status"], &listed["deliveries"]["mail"]["count"]),
        (&json!("sent"), &json!(3))
    );
    assert_eq!(listed["deliveries"]["inbox"]["because"], "off_by_default");
    let events = it.events().await;
    let types: Vec<_> = events.iter().map(|event| event.r#type.as_str()).collect();
    assert_eq!(types, [NotificationRequested::TYPE, NotificationSent::TYPE]);
    assert_eq!(events[1].event::<NotificationSent>().unwrap().unwrap().attempts, 3);
}

#[tokio::test]
async fn an_event_that_is_told_again_asks_for_nothing_more() {
    let it = Fixture::answering([]).await;
    it.link("one", ada()).await;
    it.link("one", ada()).await;
    let fired = it.fire().await;
    assert_eq!(fired.len(), 1);
    it.link("one", ada()).await;
    // A timer may fire twice: the second time there is nothing left to do.
    it.act("notifications.notification", &fired[0]).await;
    assert!(it.fire().await.is_empty());
    assert_eq!(it.mails().len(), 1);
}

#[tokio::test]
async fn one_sees_ones_own_notifications_the_newest_first() {
    let (it, grace) = (Fixture::answering([]).await, id(3));
    for event in ["a", "b", "c"] {
        it.link(event, ada()).await;
        it.fire().await;
        it.clock.advance(Duration::from_secs(1));
    }
    it.link("d", grace).await;
    let sent: Vec<_> = it.mails().iter().map(|message| json!(message.id)).collect();
    let first = it.person(ada(), "notifications.list_own", json!({ "limit": 2 })).await;
    let second = it.person(ada(), "notifications.list_own", json!({ "limit": 2, "after": first["next"] })).await;
    let items = [&first, &second].map(|list| list["items"].as_array().unwrap().clone()).concat();
    let ids: Vec<_> = items.iter().map(|item| item["id"].clone()).collect();
    assert_eq!(ids, [sent[2].clone(), sent[1].clone(), sent[0].clone()]);
    let other = json!({ "notification": sent[0] });
    let as_grace = Caller::User { id: grace, session: None };
    let refused = it.ask(as_grace, DefaultRole::Person, "notifications.get", other.clone()).await.unwrap_err();
    assert_eq!(refused.code(), "not_found", "another's is none");
    let marked = it.ask(as_grace, DefaultRole::Person, "notifications.inbox.mark", other).await.unwrap_err();
    assert_eq!(marked.code(), "not_found");
    let all = it.person(grace, "notifications.list", json!({})).await;
    assert_eq!(all["items"].as_array().unwrap().len(), 1, "a list without a filter is one's own");
}

#[tokio::test]
async fn an_address_that_bounces_gets_no_more_until_that_is_lifted() {
    let it = Fixture::answering([DeliveryError::Bounced("the relay answered 550".to_owned())]).await;
    it.published().await;
    let to = json!({ "address": "bob@example.com" });
    let first = it.send("one", to.clone()).await;
    it.fire().await;
    let got = it.admin("notifications.get", json!({ "notification": first["id"] })).await;
    assert_eq!(got["deliveries"]["mail"]["status"], "bounced");
    assert_eq!(it.send("two", to.clone()).await["deliveries"]["mail"]["because"], "suppressed");
    let held = it.admin("notifications.suppressions.list", json!({})).await;
    assert_eq!(held["items"][0]["address"], "bob@example.com");
    it.admin("notifications.suppressions.lift", json!({ "address": "bob@example.com" })).await;
    assert_eq!(it.send("three", to).await["deliveries"]["mail"]["status"], "waiting");
    let dead = it.admin("notifications.list", json!({ "failed": true })).await;
    assert_eq!(dead["items"].as_array().unwrap().len(), 1);
    it.admin("notifications.replay", json!({ "notification": first["id"] })).await;
    assert_eq!(it.fire().await.len(), 2);
    assert!(it.admin("notifications.list", json!({ "failed": true })).await["items"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn whoever_is_deactivated_or_erased_is_told_nothing() {
    let it = Fixture::answering([]).await;
    it.published().await;
    it.send("one", json!({ "user": ada() })).await;
    it.tell("deactivated", &UserDeactivated { user: ada() }).await;
    assert_eq!(it.send("two", json!({ "user": ada() })).await["deliveries"]["mail"]["because"], "deactivated");
    it.tell("erasure", &UserErasureRequested { user: ada() }).await;
    assert_eq!(*it.users.0.lock().unwrap(), [ada()]);
    it.fire().await;
    assert!(it.mails().is_empty());
    assert!(it.admin("notifications.list", json!({})).await["items"].as_array().unwrap().is_empty());
    it.store.keys().destroy_person(it.scope, ada()).await.unwrap();
    let (email, name, link) = (Personal::Erased, Personal::Erased, Personal::Erased);
    it.tell("late", &LinkRequested { user: ada(), purpose: LinkPurpose::Recover, email, name, link }).await;
    assert!(it.fire().await.is_empty());
}

#[tokio::test]
async fn what_is_held_of_a_person_is_told_and_ends() {
    let it = Fixture::answering([]).await;
    it.published().await;
    it.send("one", json!({ "user": ada() })).await;
    it.link("two", ada()).await;
    let export = it.context.internal.iter().find(|it| it.name == "notifications.person.export").unwrap();
    let asked = || json!({ "user": ada() });
    let own = it.cx(Caller::User { id: ada(), session: None }, DefaultRole::Person);
    let told: Value = serde_json::from_slice(&export.run(asked(), own).await.unwrap()).unwrap();
    assert_eq!((told["notifications"].as_array().unwrap().len(), &told["reached_at"]["name"]), (2, &json!("Ada")));
    assert!(told.to_string().contains("is on its way") && !told.to_string().contains("token=secret"), "{told}");
    let other = it.cx(Caller::User { id: id(3), session: None }, DefaultRole::Person);
    assert_eq!(export.run(asked(), other).await.unwrap_err().code(), "permission_denied");
    // The inbox, and all that was told, ends by itself.
    it.clock.advance(Duration::from_hours(91 * 24));
    it.engine.sweep(it.ambient.clock.now(), 100).await.unwrap();
    assert!(it.admin("notifications.list", json!({})).await["items"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn mail_follows_a_person_to_another_address_and_knows_nobody_whose_invitation_was_taken_back() {
    let it = Fixture::answering([]).await;
    it.published().await;
    let email = Personal::Known("ada@new.example".parse().unwrap());
    it.tell("moved", &EmailChanged { user: ada(), email }).await;
    it.send("one", json!({ "user": ada() })).await;
    it.fire().await;
    assert_eq!(it.mails()[0].to, Target::Mail("ada@new.example".parse().unwrap()));
    it.tell("revoked", &InvitationRevoked { user: ada() }).await;
    let to = json!({ "to": { "user": ada() }, "template": "order.shipped", "variables": { "order": "2" } });
    assert_eq!(it.refused("notifications.send", to).await.0, "not_found");
}
