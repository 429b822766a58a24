//! What the product, and a tenant, can say.

use super::*;

#[tokio::test]
async fn the_product_tells_a_person_once_by_mail_and_inbox() {
    let it = Fixture::answering([]).await;
    it.published().await;
    let sent = it.send("order-1", json!({ "user": ada() })).await;
    assert_eq!(it.send("order-1", json!({ "user": ada() })).await["id"], sent["id"]);
    let other =
        json!({ "id": "order-1", "to": { "user": ada() }, "template": "order.shipped", "variables": { "order": "2" } });
    assert_eq!(it.refused("notifications.send", other).await.0, "notifications.id_reused");
    it.fire().await;
    let mails = it.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].content.text.starts_with("Dear Ada, 4711 is on its way. https://acme.example.com/unsubscribe?"));
    assert!(mails[0].content.unsubscribe.as_deref().is_some_and(|link| mails[0].content.text.ends_with(link)));

    let inbox = it.person(ada(), "notifications.inbox.list", json!({})).await;
    assert_eq!((&inbox["items"][0]["subject"], &inbox["items"][0]["id"]), (&json!("Order 4711"), &sent["id"]));
    assert_eq!(it.person(ada(), "notifications.inbox.unread", json!({})).await["unread"], 1);
    let mark = json!({ "notification": sent["id"], "read": true, "archived": true });
    it.person(ada(), "notifications.inbox.mark", mark).await;
    assert_eq!(it.person(ada(), "notifications.inbox.unread", json!({})).await["unread"], 0);
    let archived = it.person(ada(), "notifications.inbox.list", json!({ "folder": "archived" })).await;
    assert_eq!(archived["items"].as_array().unwrap().len(), 1);
    let got = it.admin("notifications.get", json!({ "notification": sent["id"] })).await;
    assert_eq!(got["deliveries"]["inbox"]["status"], "delivered");
    assert_eq!(got["deliveries"]["mail"]["attempts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_sent_says_why() {
    let it = Fixture::answering([]).await;
    it.published().await;
    let send =
        |to: Value, template: &str, variables: Value| json!({ "to": to, "template": template, "variables": variables });
    let to = json!({ "user": ada() });
    let unknown = it.refused("notifications.send", send(to.clone(), "nothing", json!({}))).await;
    assert_eq!(unknown.1, ["/template"]);
    let missing = it.refused("notifications.send", send(to.clone(), "order.shipped", json!({ "other": "x" }))).await;
    assert_eq!(missing.1, ["/variables/other", "/variables/order"]);
    let stranger = send(json!({ "user": id::<kernel::id::UserKind>(77) }), "order.shipped", json!({ "order": "1" }));
    assert_eq!(it.refused("notifications.send", stranger).await.0, "not_found");
    let member = Caller::User { id: ada(), session: None };
    let asked = send(to, "order.shipped", json!({ "order": "1" }));
    let denied = it.ask(member, DefaultRole::Member, "notifications.send", asked).await.unwrap_err();
    assert_eq!(denied.code(), "permission_denied");
    assert!(it.fire().await.is_empty());
}

#[tokio::test]
async fn preferences_decide_and_explain() {
    let it = Fixture::answering([]).await;
    it.published().await;
    let choices = json!({ "choices": { "product": { "mail": false } }, "locale": "de-AT" });
    let chosen = it.person(ada(), "notifications.preferences.choose", choices).await;
    assert_eq!(
        chosen["categories"]["product"]["channels"]["mail"],
        json!({ "delivered": false, "because": "opted_out" })
    );
    assert_eq!(chosen["categories"]["security"]["mandatory"], true);
    let sent = it.send("one", json!({ "user": ada() })).await;
    assert_eq!(sent["subject"], "Bestellung 4711", "in the language that was chosen");
    assert_eq!(sent["deliveries"]["mail"]["status"], "suppressed");
    assert_eq!(sent["deliveries"]["mail"]["why"], "the recipient opted out of this category");
    assert_eq!(sent["deliveries"]["inbox"]["status"], "sent");
    assert!(it.fire().await.is_empty());
}

#[tokio::test]
async fn a_batch_reaches_each_once_and_says_who_was_refused() {
    let it = Fixture::answering([]).await;
    it.published().await;
    let recipients: Vec<_> = (0..45)
        .map(|number| json!({ "to": { "address": format!("p{number}@example.com") }, "variables": { "order": "1" } }))
        .chain([json!({ "to": { "address": "x@example.com" } })])
        .collect();
    let asked = json!({ "id": "batch-1", "template": "order.shipped", "recipients": recipients });
    let batch = it.admin("notifications.send_batch", asked.clone()).await;
    assert_eq!(it.admin("notifications.send_batch", asked).await["id"], batch["id"]);
    for _ in 0..4 {
        it.clock.advance(Duration::from_millis(10));
        for fired in it.fire().await {
            // As after a crash: the same step again.
            if fired.timer == "step" {
                it.act("notifications.fanout", &fired).await;
            }
        }
    }
    let done = it.admin("notifications.batches.get", json!({ "batch": batch["id"] })).await;
    assert_eq!((&done["done"], &done["finished"]), (&json!(46), &json!(true)), "{done}");
    assert_eq!((&done["refused"][0]["index"], done["refused"].as_array().unwrap().len()), (&json!(45), 1));
    let mut reached: Vec<_> = it.mails().into_iter().map(|message| format!("{:?}", message.to)).collect();
    reached.sort();
    let all = reached.len();
    reached.dedup();
    assert_eq!((all, reached.len()), (45, 45), "each once");
}

#[tokio::test]
async fn a_tenant_says_it_in_its_own_words_and_may_take_them_back() {
    let it = Fixture::answering([]).await;
    let words = |text: &str| {
        json!({ "template": "link.verify", "wording": { "category": "product",
            "locales": { "en": { "subject": "Moin {{ name }}", "text": text } } } })
    };
    let refused = it.refused("notifications.templates.save", words("No link at all")).await;
    assert_eq!(refused.1, ["/locales/en/text"], "a link mail without the link is of no use");
    it.admin("notifications.templates.save", words("Here: {{ link }}")).await;
    let shown = it.admin("notifications.templates.preview", json!({ "template": "link.verify" })).await;
    assert_eq!(shown["subject"], "Moin Ada Lovelace");
    it.link("one", ada()).await;
    it.admin("notifications.templates.publish", json!({ "template": "link.verify" })).await;
    it.link("two", ada()).await;
    it.admin("notifications.templates.drop", json!({ "template": "link.verify" })).await;
    it.link("three", ada()).await;
    it.fire().await;
    let mut subjects: Vec<_> = it.mails().into_iter().map(|message| message.content.subject).collect();
    subjects.sort();
    assert_eq!(subjects, ["Confirm your e-mail address", "Confirm your e-mail address", "Moin Ada"]);
}

#[tokio::test]
async fn an_endpoint_on_this_machine_is_refused_and_a_secret_is_shown_once() {
    let it = Fixture::answering([]).await;
    let webhook = |url: &str| json!({ "name": "CRM", "url": url, "events": ["identity.*"] });
    for url in ["https://127.0.0.1/", "https://[::1]/", "http://example.com/", "https://a:b@example.com/", "ftp://x.y/"]
    {
        assert_eq!(it.refused("notifications.channels.create_webhook", webhook(url)).await.1, ["/url"], "{url}");
    }
    let made = it.admin("notifications.channels.create_webhook", webhook("https://example.com/hook")).await;
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    assert!(!it.admin("notifications.channels.list", json!({})).await.to_string().contains("whsec_"));
    // What happened in the tenant waits to be told there, without what is personal.
    it.link("one", ada()).await;
    let told = it.admin("notifications.list", json!({ "channel": made["channel"]["id"] })).await;
    assert_eq!(told["items"][0]["template"], LinkRequested::TYPE);
    assert!(
        it.events()
            .await
            .iter()
            .all(|event| event.r#type != NotificationRequested::TYPE || event.data["template"] != LinkRequested::TYPE)
    );
}
