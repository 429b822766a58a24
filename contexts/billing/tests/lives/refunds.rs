//! What comes back: refunds, credit notes and disputes.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::{
    life::Ground,
    payments::{balance, id, owner, some_life, subscribes},
};
use freehold_billing::gateways::model::{CLOSED, Fault, GOOD, Model};
use kernel::{DefaultRole, Scope};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_back_comes_out_of_credits_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    subscribes(&process, GOOD).await;
    some_life(&ground, &process).await;
    let attempt = owner(&process, "billing.payments.list", json!({})).await["items"][0]["id"].clone();
    let operator = async |name, input| process.ask(Scope::Platform, DefaultRole::Operator, name, input).await;
    let back = |amount: &str| {
        json!({ "tenant": id(), "attempt": attempt, "refund": "sorry",
        "amount": { "amount": amount, "currency": "EUR" } })
    };
    let few = operator("billing.payments.refund", back("4.00")).await.unwrap_err();
    assert_eq!(few.code(), "billing.too_few_credits");
    let credits = json!({ "tenant": id(), "grant": "sorry", "amount": { "amount": "4.00", "currency": "EUR" } });
    operator("billing.credits.grant", credits).await.unwrap();
    for _ in 0..2 {
        operator("billing.payments.refund", back("4.00")).await.unwrap();
        some_life(&ground, &process).await;
    }
    assert_eq!((ground.gateway.balance(id()), balance(&process, "cash").await.as_str()), (6_00, "6.00"));
    assert_eq!(balance(&process, "customer_credits").await, "0.00");
    let payments = owner(&process, "billing.payments.list", json!({})).await;
    assert_eq!(payments["items"][0]["refunds"][0]["done"], true, "{payments}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_go_back_is_the_tenants_to_use_again() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    subscribes(&process, CLOSED).await;
    some_life(&ground, &process).await;
    let attempt = owner(&process, "billing.payments.list", json!({})).await["items"][0]["id"].clone();
    let operator = async |name, input| process.ask(Scope::Platform, DefaultRole::Operator, name, input).await.unwrap();
    let amount = json!({ "amount": "4.00", "currency": "EUR" });
    operator("billing.credits.grant", json!({ "tenant": id(), "grant": "sorry", "amount": amount })).await;
    let back = json!({ "tenant": id(), "attempt": attempt, "refund": "sorry", "amount": amount });
    operator("billing.payments.refund", back).await;
    some_life(&ground, &process).await;
    let credits = owner(&process, "billing.credits.read", json!({})).await;
    assert_eq!(credits["grants"][0]["left"], amount, "{credits}");
    assert_eq!(
        (balance(&process, "cash").await.as_str(), balance(&process, "customer_credits").await.as_str()),
        ("10.00", "-4.00")
    );
    let told = process.told().await;
    for name in [
        "billing.RefundRequested.v1",
        "billing.RefundFailed.v1",
        "billing.CreditsWithdrawn.v1",
        "billing.CreditsRestored.v1",
    ] {
        assert!(told.contains(name), "{name}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_refused_ends_no_refund() {
    let folder = tempfile::tempdir().unwrap();
    let shut = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let gate = Arc::clone(&shut);
    let faults = move || if gate.load(Ordering::SeqCst) { Fault::Unauthorized } else { Fault::None };
    let ground = Ground::new(folder.path(), Model::with(Box::new(faults)));
    let process = ground.process(u64::MAX, false);
    subscribes(&process, GOOD).await;
    some_life(&ground, &process).await;
    let attempt = owner(&process, "billing.payments.list", json!({})).await["items"][0]["id"].clone();
    let operator = async |name, input| process.ask(Scope::Platform, DefaultRole::Operator, name, input).await.unwrap();
    let amount = json!({ "amount": "4.00", "currency": "EUR" });
    operator("billing.credits.grant", json!({ "tenant": id(), "grant": "sorry", "amount": amount })).await;
    shut.store(true, Ordering::SeqCst);
    let back = json!({ "tenant": id(), "attempt": attempt, "refund": "sorry", "amount": amount });
    operator("billing.payments.refund", back).await;
    some_life(&ground, &process).await;
    assert!(!process.told().await.contains("billing.RefundFailed.v1"), "it is not known whether it went");
    shut.store(false, Ordering::SeqCst);
    ground.clock.advance(Duration::from_hours(24));
    some_life(&ground, &process).await;
    assert_eq!((ground.gateway.balance(id()), balance(&process, "cash").await.as_str()), (6_00, "6.00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_disputed_is_gone_until_that_is_decided() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    subscribes(&process, GOOD).await;
    some_life(&ground, &process).await;
    let reference = owner(&process, "billing.payments.list", json!({})).await["items"][0]["reference"].clone();
    let reference = reference.as_str().unwrap();
    // Each twice, and what was first told last.
    for (told, cash, disputed) in [("open", "0.00", "10.00"), ("won", "10.00", "0.00"), ("open", "10.00", "0.00")] {
        for _ in 0..2 {
            process.notice(&format!("dispute {reference} dp_1 10.00 EUR {told}")).await;
            some_life(&ground, &process).await;
        }
        let books = (balance(&process, "cash").await, balance(&process, "disputed").await);
        assert_eq!((books.0.as_str(), books.1.as_str()), (cash, disputed), "{told}");
    }
    let told = process.told().await;
    for name in ["billing.DisputeOpened.v1", "billing.DisputeClosed.v1"] {
        assert!(told.contains(name), "{name}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credit_note_lowers_what_is_open_and_the_rest_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    subscribes(&process, GOOD).await;
    some_life(&ground, &process).await;
    let operator = async |name, input| process.ask(Scope::Platform, DefaultRole::Operator, name, input).await;
    let invoice = owner(&process, "billing.invoices.list", json!({})).await["items"][0]["id"].clone();
    let credit = |note: &str, net: Value| json!({ "tenant": id(), "invoice": invoice, "note": note, "net": net, "reason": "a test" });
    let euro = |amount: &str| json!({ "amount": amount, "currency": "EUR" });
    let too_much = operator("billing.invoices.credit", credit("first", euro("10.01"))).await.unwrap_err();
    assert_eq!(too_much.code(), "billing.credit_note");
    for _ in 0..2 {
        operator("billing.invoices.credit", credit("first", euro("4.00"))).await.unwrap();
        some_life(&ground, &process).await;
    }
    let listed = owner(&process, "billing.invoices.list", json!({})).await;
    let note = &listed["items"][0];
    assert_eq!(
        (&note["number"], &note["total"], &note["credit_note_of"]["invoice"]),
        (&json!("CN-000001"), &euro("-4.00"), &invoice)
    );
    let books = async |account: &'static str| balance(&process, account).await;
    assert_eq!((books("revenue").await, books("receivable").await), ("-6.00".to_owned(), "0.00".to_owned()));
    assert_eq!((books("customer_credits").await, books("cash").await), ("-4.00".to_owned(), "10.00".to_owned()));
    let attempt = owner(&process, "billing.payments.list", json!({})).await["items"][0]["id"].clone();
    let back = json!({ "tenant": id(), "attempt": attempt, "refund": "sorry", "amount": euro("4.00") });
    operator("billing.payments.refund", back).await.unwrap();
    some_life(&ground, &process).await;
    assert_eq!((books("customer_credits").await, books("cash").await), ("0.00".to_owned(), "6.00".to_owned()));
    assert_eq!(ground.gateway.balance(id()), 6_00);
    operator("billing.invoices.credit", credit("rest", Value::Null)).await.unwrap();
    some_life(&ground, &process).await;
    assert_eq!((books("revenue").await, books("customer_credits").await), ("0.00".to_owned(), "-6.00".to_owned()));
    let told = process.told().await;
    for name in ["billing.CreditNoteRequested.v1", "billing.CreditNoteIssued.v1", "billing.InvoiceCredited.v1"] {
        assert!(told.contains(name), "{name}: {told:?}");
    }
    let figures = operator("billing.figures.read", json!({})).await.unwrap();
    assert_eq!((&figures[0]["sold"], &figures[0]["outstanding"]), (&euro("0.00"), &euro("0.00")), "{figures}");
}
