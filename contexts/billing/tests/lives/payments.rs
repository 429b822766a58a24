//! Nobody is charged twice and no payment is lost, wherever the process ends and whatever the gateway does not answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::life::{Ground, Process, published, tenant, uuid};
use contracts::tenants::TenantProvisioned;
use freehold_billing::gateways::model::{CAREFUL, Fault, GOOD, Model, POOR, REVOKED, STOLEN};
use kernel::{DefaultRole, Event, Personal, Scope, TenantId};
use serde_json::{Value, json};

/// A gateway that fails at its n-th request, once.
fn failing(at: usize, fault: Fault) -> (Model, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let faults = move || if counted.fetch_add(1, Ordering::SeqCst) + 1 == at { fault } else { Fault::None };
    (Model::with(Box::new(faults)), asked)
}

pub(crate) async fn owner(process: &Process<'_>, name: &str, input: Value) -> Value {
    process.ask(tenant(1), DefaultRole::Owner, name, input).await.unwrap()
}

async fn saves(process: &Process<'_>, token: &str) -> Value {
    owner(process, "billing.methods.add", json!({ "gateway": "model", "token": token })).await
}

/// A tenant with a way to pay subscribes to a plan of EUR 10 a month.
pub(crate) async fn subscribes(process: &Process<'_>, token: &str) {
    published(process).await;
    saves(process, token).await;
    owner(process, "billing.subscribe", json!({ "plan": "solo", "currency": "EUR" })).await;
}

pub(crate) async fn balance(process: &Process<'_>, account: &str) -> String {
    let all = owner(process, "billing.ledger.balances", json!({})).await;
    let found = all.as_array().unwrap().iter().find(|it| it["account"] == account).cloned();
    found.map_or("0.00".to_owned(), |it| it["balance"]["amount"].as_str().unwrap().to_owned())
}

pub(crate) fn id() -> TenantId {
    TenantId::from_uuid(uuid(1))
}

/// Some life, in which time passes as it does while a gateway is asked again.
pub(crate) async fn some_life(ground: &Ground, process: &Process<'_>) {
    for seconds in [0, 0, 0, 6, 20, 70, 400] {
        ground.clock.advance(Duration::from_secs(seconds));
        process.live().await;
    }
}

/// A tenant with a way to pay gets an invoice. The process ends at its n-th commit and the gateway fails at its n-th
/// request, each once. Tells whether both happened.
async fn story((dies_at, tells): (u64, bool), (at, fault): (usize, Fault)) -> (bool, bool) {
    let folder = tempfile::tempdir().unwrap();
    // To save the way to pay takes two requests.
    let (gateway, asked) = failing(at + 2, fault);
    let ground = Ground::new(folder.path(), gateway);
    let begun = ground.process(u64::MAX, false);
    subscribes(&begun, GOOD).await;
    let first = ground.process(dies_at, tells);
    some_life(&ground, &first).await;
    let died = first.mortal.dead();
    let second = ground.process(u64::MAX, false);
    some_life(&ground, &second).await;
    some_life(&ground, &second).await;

    let case = format!("died at {dies_at} ({tells}), {fault:?} at {at}");
    let invoices = owner(&second, "billing.invoices.list", json!({})).await;
    assert_eq!(invoices["items"][0]["state"], "paid", "{case}: {invoices}");
    let moved = ground.gateway.moved();
    assert!(moved.values().all(|times| *times == 1), "{case}: {moved:?}");
    assert_eq!(ground.gateway.balance(id()), 10_00, "{case}: charged once");
    assert_eq!(balance(&second, "cash").await, "10.00", "{case}: and booked once");
    assert_eq!(balance(&second, "receivable").await, "0.00", "{case}");
    (died, asked.load(Ordering::SeqCst) >= at + 2)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_charged_twice_wherever_the_process_ends() {
    for tells in [false, true] {
        let mut dies_at = 1;
        while story((dies_at, tells), (usize::MAX - 9, Fault::None)).await.0 {
            dies_at += 1;
        }
        assert!(dies_at > 10, "the story has more commits than {dies_at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_charged_twice_whatever_a_gateway_does_not_answer() {
    for fault in [Fault::Unreachable, Fault::Before, Fault::After] {
        let mut at = 1;
        while story((u64::MAX, false), (at, fault)).await.1 {
            at += 1;
        }
        assert!(at > 2, "a payment takes more requests than {at}");
    }
    // Both at once: an answer that is lost, and an end soon after.
    for at in 1..=2 {
        for dies_at in 4..=12 {
            story((dies_at, dies_at % 2 == 0), (at, Fault::After)).await;
        }
    }
}

fn asked(ground: &Ground) -> Vec<String> {
    ground.others.asked.lock().unwrap().clone()
}

fn times(ground: &Ground, what: &str) -> usize {
    asked(ground).iter().filter(|it| *it == what).count()
}

/// Whoever founded the tenant is told.
async fn founded(process: &Process<'_>) {
    let event = TenantProvisioned {
        tenant: id(),
        slug: Personal::Known("acme".parse().unwrap()),
        name: Personal::Known("Acme".parse().unwrap()),
        owner: kernel::UserId::from_uuid(uuid(7)),
        owner_email: Personal::Known("ada@example.com".parse().unwrap()),
        owner_name: Personal::Known("Ada".parse().unwrap()),
    };
    process.react(TenantProvisioned::TYPE, "know_contact", Scope::Platform, &event).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bank_declines_is_tried_again_and_at_last_suspends() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    published(&process).await;
    founded(&process).await;
    let schedule = json!({ "schedule": { "remind_after_days": [1, 3], "suspend_after_days": 5 } });
    process.ask(Scope::Platform, DefaultRole::Operator, "billing.dunning.schedule.set", schedule).await.unwrap();
    saves(&process, POOR).await;
    owner(&process, "billing.subscribe", json!({ "plan": "solo", "currency": "EUR" })).await;
    some_life(&ground, &process).await;
    let dunning = owner(&process, "billing.dunning.list", json!({})).await;
    assert_eq!((&dunning["items"][0]["state"], &dunning["items"][0]["reminders"]), (&json!("running"), &json!(0)));
    let payments =
        async || owner(&process, "billing.payments.list", json!({})).await["items"].as_array().unwrap().clone();
    assert_eq!((payments().await.len(), &payments().await[0]["code"]), (1, &json!("insufficient_funds")));

    for day in 1..=6 {
        ground.clock.advance(Duration::from_hours(24));
        some_life(&ground, &process).await;
        let tried = if day < 3 { 2 } else { 3 };
        assert_eq!(payments().await.len(), tried, "on day {day}");
        assert_eq!(times(&ground, "held") > 0, day >= 5, "on day {day}: {:?}", asked(&ground));
    }
    assert_eq!((times(&ground, "told billing.reminder") > 1, times(&ground, "released")), (true, 0));

    // Another card: what is open is charged to it, and the tenant is let in again.
    saves(&process, GOOD).await;
    some_life(&ground, &process).await;
    assert_eq!(owner(&process, "billing.invoices.list", json!({})).await["items"][0]["state"], "paid");
    assert!(times(&ground, "released") > 0 && times(&ground, "told billing.receipt") > 0, "{:?}", asked(&ground));
    assert_eq!(ground.gateway.balance(id()), 10_00);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_is_declined_for_good_is_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    subscribes(&process, STOLEN).await;
    for _ in 0..5 {
        some_life(&ground, &process).await;
        ground.clock.advance(Duration::from_hours(24 * 2));
    }
    let payments = owner(&process, "billing.payments.list", json!({})).await;
    assert_eq!(payments["items"].as_array().unwrap().len(), 1, "{payments}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_refuses_to_confirm_is_declined() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    subscribes(&process, REVOKED).await;
    some_life(&ground, &process).await;
    let payments = owner(&process, "billing.payments.list", json!({})).await;
    let first = &payments["items"][0];
    assert_eq!((&first["state"], &first["code"]), (&json!("declined"), &json!("invalid_mandate")), "{payments}");
    let dunning = owner(&process, "billing.dunning.list", json!({})).await;
    assert_eq!(dunning["items"].as_array().unwrap().len(), 1, "and is followed up: {dunning}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_paid_by_its_day_is_followed_up_by_the_schedule_of_that_time() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    published(&process).await;
    let schedule = async |days: u32| {
        let schedule = json!({ "schedule": { "remind_after_days": [days], "suspend_after_days": 5 } });
        process.ask(Scope::Platform, DefaultRole::Operator, "billing.dunning.schedule.set", schedule).await.unwrap();
    };
    let dunned = async || owner(&process, "billing.dunning.list", json!({})).await["items"].clone();
    schedule(2).await;
    owner(&process, "billing.subscribe", json!({ "plan": "solo", "currency": "EUR" })).await;
    some_life(&ground, &process).await;
    assert_eq!(dunned().await, json!([]), "there is time to pay");
    ground.clock.advance(Duration::from_hours(24 * 14));
    some_life(&ground, &process).await;
    assert_eq!(
        (dunned().await[0]["state"].as_str(), dunned().await[0]["reminders"].as_u64()),
        (Some("running"), Some(0))
    );
    schedule(4).await;
    ground.clock.advance(Duration::from_hours(24 * 2));
    some_life(&ground, &process).await;
    assert_eq!(dunned().await[0]["reminders"], 1, "after two days, as it began");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_to_confirm_a_payment_is_told_and_can_begin_anew() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    founded(&process).await;
    subscribes(&process, CAREFUL).await;
    some_life(&ground, &process).await;
    assert!(times(&ground, "told billing.confirm") > 0, "{:?}", asked(&ground));
    let invoice = owner(&process, "billing.invoices.list", json!({})).await["items"][0]["id"].clone();
    let begun = owner(&process, "billing.invoices.pay", json!({ "invoice": invoice })).await;
    assert_eq!(begun["state"], "action_required", "{begun}");
    assert!(begun["action"].as_str().unwrap().starts_with("https://example.com/pay/"), "{begun}");
    ground.gateway.authenticate(begun["reference"].as_str().unwrap());
    some_life(&ground, &process).await;
    assert_eq!(owner(&process, "billing.invoices.list", json!({})).await["items"][0]["state"], "paid");
    assert_eq!(ground.gateway.balance(id()), 10_00);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_notice_left_is_found_by_comparing() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    subscribes(&process, CAREFUL).await;
    some_life(&ground, &process).await;
    let payments = owner(&process, "billing.payments.list", json!({})).await;
    ground.gateway.authenticate(payments["items"][0]["reference"].as_str().unwrap());
    let operator = async |name, input| process.ask(Scope::Platform, DefaultRole::Operator, name, input).await.unwrap();
    let compared = operator("billing.reconcile", json!({ "gateway": "model" })).await;
    assert_eq!(compared["last"], json!({ "seen": 1, "repaired": 1, "unknown": 0 }), "{compared}");
    assert!(process.told().await.contains("billing.PaymentsReconciled.v1"));
    let again = operator("billing.reconcile", json!({ "gateway": "model" })).await;
    assert_eq!(again["last"]["repaired"], 0);
    some_life(&ground, &process).await;
    assert_eq!(owner(&process, "billing.invoices.list", json!({})).await["items"][0]["state"], "paid");

    // Another installation of the same time knows nothing of the attempt, as after an older backup was restored.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut other = Ground::new(elsewhere.path(), Model::default());
    other.gateway = Arc::clone(&ground.gateway);
    let process = other.process(u64::MAX, false);
    let operator = async |name, input| process.ask(Scope::Platform, DefaultRole::Operator, name, input).await.unwrap();
    for _ in 0..2 {
        let compared = operator("billing.reconcile", json!({ "gateway": "model" })).await;
        assert_eq!(compared["last"]["unknown"], 1, "{compared}");
    }
    some_life(&other, &process).await;
    assert_eq!(
        (balance(&process, "cash").await.as_str(), balance(&process, "customer_credits").await.as_str()),
        ("10.00", "-10.00")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_are_those_of_the_ledgers() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    published(&process).await;
    let ask =
        async |number, name: &str, input| process.ask(tenant(number), DefaultRole::Owner, name, input).await.unwrap();
    for number in 1..=3 {
        let token = if number == 1 { GOOD } else { POOR };
        ask(number, "billing.methods.add", json!({ "gateway": "model", "token": token })).await;
        ask(number, "billing.subscribe", json!({ "plan": "solo", "currency": "EUR" })).await;
    }
    some_life(&ground, &process).await;
    ask(2, "billing.subscription.change", json!({ "plan": "less" })).await;
    ask(3, "billing.subscription.cancel", json!({ "when": "now" })).await;
    some_life(&ground, &process).await;
    // Past the day on which the first invoices were to be paid, and into the second period.
    ground.clock.advance(Duration::from_hours(24 * 32));
    for _ in 0..3 {
        some_life(&ground, &process).await;
    }
    let operator = async |name, input| process.ask(Scope::Platform, DefaultRole::Operator, name, input).await.unwrap();
    let figures = operator("billing.figures.read", json!({})).await;
    let euro = &figures[0];
    let (mut revenue, mut receivable) = (0.0, 0.0);
    for number in 1..=3 {
        for it in ask(number, "billing.ledger.balances", json!({})).await.as_array().unwrap() {
            let amount: f64 = it["balance"]["amount"].as_str().unwrap().parse().unwrap();
            match it["account"].as_str().unwrap() {
                "revenue" => revenue -= amount,
                "receivable" => receivable += amount,
                _ => {}
            }
        }
    }
    let of = |name: &str| euro[name]["amount"].as_str().unwrap().parse::<f64>().unwrap();
    assert!((of("sold") - revenue).abs() < 0.001 && (of("outstanding") - receivable).abs() < 0.001, "{figures}");
    assert!(of("overdue") > 0.0 && of("overdue") <= of("outstanding"), "{figures}");
    assert_eq!(
        (&euro["customers"], &euro["monthly"]["amount"], &euro["yearly"]["amount"]),
        (&json!(2), &json!("15.00"), &json!("180.00"))
    );
    let month = &euro["months"][0];
    let moved = ["new", "contraction", "churn"].map(|name| month[name]["amount"].as_str().unwrap());
    assert_eq!(moved, ["30.00", "-5.00", "-10.00"], "{figures}");
    let late = operator("billing.customers.list", json!({ "late": true })).await;
    let mut late: Vec<_> = late["items"].as_array().unwrap().iter().map(|it| it["tenant"].clone()).collect();
    late.sort_by_key(Value::to_string);
    assert_eq!(late, [2, 3].map(|number| json!(TenantId::from_uuid(uuid(number)))), "whose card is declined");
    assert!(process.told().await.contains("billing.RecurringRevenueChanged.v1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_gateway_is_asked_only_where_the_first_did_nothing() {
    for (fault, passed_on) in [(Fault::Unreachable, true), (Fault::Unauthorized, true), (Fault::After, false)] {
        let folder = tempfile::tempdir().unwrap();
        // The first two requests save the way to pay. With an answer that is lost after the effect, all but the first of those that follow are lost too.
        let asked = AtomicUsize::new(0);
        let faults = move || match asked.fetch_add(1, Ordering::SeqCst) {
            0..=1 => Fault::None,
            2 if fault == Fault::After => Fault::None,
            _ => fault,
        };
        let ground = Ground::new(folder.path(), Model::with(Box::new(faults)));
        let process = ground.process(u64::MAX, false);
        published(&process).await;
        owner(&process, "billing.methods.add", json!({ "gateway": "spare", "token": GOOD })).await;
        saves(&process, GOOD).await;
        owner(&process, "billing.subscribe", json!({ "plan": "solo", "currency": "EUR" })).await;
        for _ in 0..4 {
            some_life(&ground, &process).await;
        }
        let moved = (ground.gateway.balance(id()), ground.spare.balance(id()));
        assert_eq!(moved, if passed_on { (0, 10_00) } else { (10_00, 0) }, "{fault:?}");
        assert!(!process.told().await.contains("billing.DunningBegun.v1"), "{fault:?}: nothing has failed yet");
        let state = owner(&process, "billing.invoices.list", json!({})).await["items"][0]["state"].clone();
        // Money that moved, and of which the gateway never tells, is waited for.
        assert_eq!(state, if passed_on { "paid" } else { "open" }, "{fault:?}");
    }
}
