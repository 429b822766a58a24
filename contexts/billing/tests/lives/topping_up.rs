//! Credits that are bought.

use std::time::Duration;

use crate::{
    life::Ground,
    payments::{balance, id, owner, some_life, subscribes},
};
use freehold_billing::gateways::model::{GOOD, Model, POOR};
use serde_json::{Value, json};

fn euros(amount: &str) -> Value {
    json!({ "amount": { "amount": amount, "currency": "EUR" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_are_bought_once_and_pay_for_what_comes() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    subscribes(&process, GOOD).await;
    some_life(&ground, &process).await;
    assert_eq!(ground.gateway.balance(id()), 10_00);
    let told = owner(&process, "billing.credits.top_up", euros("25.00")).await;
    assert!(told["url"].as_str().unwrap().contains("/pay/"), "{told}");
    some_life(&ground, &process).await;
    some_life(&ground, &process).await;
    assert_eq!(ground.gateway.balance(id()), 35_00);
    let invoice = owner(&process, "billing.invoices.read", json!({ "invoice": told["invoice"] })).await;
    assert_eq!((&invoice["state"], &invoice["prepaid"]), (&json!("paid"), &json!(true)), "{invoice}");
    assert_eq!(balance(&process, "customer_credits").await, "-25.00");
    assert_eq!(
        (balance(&process, "credits_ordered").await.as_str(), balance(&process, "revenue").await),
        ("0.00", "-10.00".to_owned())
    );
    // The next month is paid by them.
    ground.clock.advance(Duration::from_hours(24 * 31));
    some_life(&ground, &process).await;
    assert_eq!((ground.gateway.balance(id()), balance(&process, "customer_credits").await.as_str()), (35_00, "-15.00"));
    assert_eq!(
        (balance(&process, "revenue").await.as_str(), balance(&process, "receivable").await.as_str()),
        ("-20.00", "0.00")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_that_nobody_pays_for_lapse_and_nobody_is_dunned() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    subscribes(&process, GOOD).await;
    some_life(&ground, &process).await;
    let poor = owner(&process, "billing.methods.add", json!({ "gateway": "model", "token": POOR })).await;
    let poor =
        poor["items"].as_array().unwrap().iter().find(|it| it["label"].as_str().unwrap().ends_with(POOR)).unwrap();
    owner(&process, "billing.methods.prefer", json!({ "method": poor["id"] })).await;
    let told = owner(&process, "billing.credits.top_up", euros("25.00")).await;
    some_life(&ground, &process).await;
    let invoice = async || owner(&process, "billing.invoices.read", json!({ "invoice": told["invoice"] })).await;
    assert_eq!(
        (invoice().await["state"].as_str(), balance(&process, "credits_ordered").await.as_str()),
        (Some("open"), "-25.00")
    );
    ground.clock.advance(Duration::from_hours(24 * 15));
    some_life(&ground, &process).await;
    assert_eq!(
        (invoice().await["state"].as_str(), balance(&process, "credits_ordered").await.as_str()),
        (Some("void"), "0.00")
    );
    assert_eq!(
        (balance(&process, "receivable").await.as_str(), balance(&process, "customer_credits").await.as_str()),
        ("0.00", "0.00")
    );
    assert_eq!(ground.gateway.balance(id()), 10_00);
    let dunned = owner(&process, "billing.dunning.list", json!({})).await;
    assert_eq!(dunned["items"], json!([]));
    let subscription = owner(&process, "billing.subscription.read", json!({})).await;
    assert_eq!(subscription["state"], "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_cost_what_the_subscription_does_or_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    let ask = async |input| {
        let (scope, role) = (crate::life::tenant(1), kernel::DefaultRole::Owner);
        process.ask(scope, role, "billing.credits.top_up", input).await.unwrap_err().code().to_owned()
    };
    assert_eq!(ask(euros("25.00")).await, "not_found");
    subscribes(&process, GOOD).await;
    assert_eq!(ask(json!({ "amount": { "amount": "25.00", "currency": "USD" } })).await, "billing.currency");
    assert_eq!(
        (ask(euros("0.00")).await, ask(euros("-1.00")).await),
        ("billing.credits".to_owned(), "billing.credits".to_owned())
    );
}
