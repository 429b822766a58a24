//! Something ends between any two commits: no invoice, number or transaction is lost or doubled. On SQLite, with every
//! event delivered again from the beginning after each end.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::life::{Ground, Process, published, tenant};
use events::Log as _;
use freehold_billing::gateways::model::Model;
use kernel::{DefaultRole, Envelope, Scope};
use serde_json::json;

/// All invoices and transactions of a tenant are as they would be if nothing had ended.
async fn right(process: &Process<'_>, scope: Scope, numbers: &mut BTreeSet<String>) {
    let ask = async |name| process.ask(scope, DefaultRole::Owner, name, json!({})).await.unwrap();
    let invoices = ask("billing.invoices.list").await;
    let invoices = invoices["items"].as_array().unwrap();
    let totals: Vec<&str> = invoices.iter().rev().map(|it| it["total"]["amount"].as_str().unwrap()).collect();
    assert_eq!(totals, ["10.00", "17.00"], "the first period, and the second with 7.00 of use");
    for invoice in invoices {
        let number = invoice["number"].as_str().expect("a number").to_owned();
        assert!(numbers.insert(number.clone()), "{number} was given twice");
        assert_eq!(invoice["credits"]["amount"], "0.00");
    }
    let posted = ask("billing.ledger.list").await;
    assert_eq!(posted["items"].as_array().unwrap().len(), 2, "one transaction an invoice: {posted}");
    let balances = ask("billing.ledger.balances").await;
    let of = |account: &str| {
        let found = balances.as_array().unwrap().iter().find(|it| it["account"] == account);
        found.map(|it| it["balance"]["amount"].as_str().unwrap().to_owned())
    };
    assert_eq!((of("receivable"), of("revenue")), (Some("27.00".to_owned()), Some("-27.00".to_owned())));
}

/// So many numbers were given out, and each stands on its invoice.
async fn all_landed(process: &Process<'_>, many: u128) {
    let series = process.ask(Scope::Platform, DefaultRole::Operator, "billing.series.list", json!({})).await.unwrap();
    let series = &series["items"][0];
    assert_eq!((&series["given"], &series["landing"]), (&json!(many), &json!(0)), "a number on no invoice");
}

/// A story of two tenants and two periods, in which the process ends at its n-th commit, once.
async fn story(dies_at: u64, tells: bool) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let begun = ground.process(u64::MAX, false);
    published(&begun).await;
    for scope in [tenant(1), tenant(2)] {
        let asked = json!({ "plan": "solo", "currency": "EUR" });
        begun.ask(scope, DefaultRole::Owner, "billing.subscribe", asked).await.unwrap();
        let used = json!({ "events": [{ "id": "a", "meter": "calls", "value": "700" }] });
        begun.ask(scope, DefaultRole::Owner, "billing.usage.report", used).await.unwrap();
    }
    // 28 February, for what began on 31 January.
    ground.clock.advance(Duration::from_hours(28 * 24));
    let first = ground.process(dies_at, tells);
    first.live().await;
    let died = first.mortal.dead();
    let second = ground.process(u64::MAX, false);
    // An event that is delivered leads to others; no more than four times in this story.
    for _ in 0..4 {
        second.live().await;
    }
    let mut numbers = BTreeSet::new();
    for scope in [tenant(1), tenant(2)] {
        right(&second, scope, &mut numbers).await;
    }
    let expected: BTreeSet<String> = (1..=4).map(|it| format!("INV-{it:06}")).collect();
    assert_eq!(numbers, expected, "a gap");
    all_landed(&second, 4).await;
    died
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_between_any_two_commits_neither_loses_nor_doubles_anything() {
    for tells in [false, true] {
        let mut dies_at = 1;
        while story(dies_at, tells).await {
            dies_at += 1;
        }
        assert!(dies_at > 15, "the story has more commits than {dies_at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_get_numbers_without_gaps_in_few_commits() {
    const MANY: u128 = 60;
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = Arc::new(ground.process(u64::MAX, false));
    published(&process).await;
    for number in 1..=MANY {
        let asked = json!({ "plan": "solo", "currency": "EUR" });
        process.ask(tenant(number), DefaultRole::Owner, "billing.subscribe", asked).await.unwrap();
    }
    let events = async |kind: &str| {
        let (mut found, mut after) = (Vec::new(), 0);
        loop {
            let read = ground.shards.log().read(after, 200).await.unwrap();
            let Some(last) = read.last() else { return found };
            after = last.position;
            let envelopes = read.iter().map(|it| serde_json::from_slice::<Envelope>(&it.envelope).unwrap());
            found.extend(envelopes.filter(|it| it.r#type == kind));
        }
    };
    // All drafts at once, each twice: as many reactions side by side as the reader of the log has.
    for (kind, name) in [
        ("billing.InvoiceRequested.v1", "make_invoice"),
        ("billing.InvoiceDrafted.v1", "number_invoice"),
        ("billing.InvoicesNumbered.v1", "finalise_invoices"),
    ] {
        let reaction = process.context.reactions.iter().find(|it| it.name == name).unwrap();
        let found = events(kind).await;
        let twice = found.iter().chain(&found).map(|event| {
            let cx = process.services.cx("billing", event.scope).repeatable(&format!("billing/{name}/{}", event.id));
            reaction.run(event.clone(), cx)
        });
        for outcome in futures::future::join_all(twice).await {
            outcome.unwrap();
        }
    }
    let commits = events("billing.InvoicesNumbered.v1").await.len();
    assert!(commits <= 10, "{commits} commits for {MANY} numbers");
    let mut numbers = BTreeSet::new();
    for number in 1..=MANY {
        let listed = process.ask(tenant(number), DefaultRole::Owner, "billing.invoices.list", json!({})).await.unwrap();
        assert!(numbers.insert(listed["items"][0]["number"].as_str().unwrap().to_owned()));
    }
    assert_eq!(numbers.last(), Some(&format!("INV-{MANY:06}")));
    assert_eq!(numbers.len(), usize::try_from(MANY).unwrap());
    all_landed(&process, MANY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_subscription_that_ended_is_credit() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    published(&process).await;
    let owner = async |name, input| process.ask(tenant(1), DefaultRole::Owner, name, input).await.unwrap();
    owner("billing.subscribe", json!({ "plan": "solo", "currency": "EUR" })).await;
    owner("billing.subscription.change", json!({ "plan": "less" })).await;
    // The first invoice is final before there are credits that could pay for it.
    process.live().await;
    process.live().await;
    let ended = owner("billing.subscription.cancel", json!({ "when": "now" })).await;
    assert_eq!(ended["state"], "ended");
    process.live().await;
    process.live().await;
    let credits = owner("billing.credits.read", json!({})).await;
    assert_eq!(credits["grants"][0]["left"]["amount"], "10.00", "all of the period that had just begun");
    let told: BTreeSet<String> = {
        let read = ground.shards.log().read(0, 200).await.unwrap();
        read.iter().map(|it| serde_json::from_slice::<Envelope>(&it.envelope).unwrap().r#type).collect()
    };
    for name in ["billing.PlanDowngraded.v1", "billing.CreditLeft.v1", "billing.InvoicesNumbered.v1"] {
        assert!(told.contains(name), "{name}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sells_stands_on_the_invoice_as_it_was_then() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    published(&process).await;
    let sells = async |name: &str| {
        let seller = json!({ "seller": { "name": name, "address": "Ring 1", "country": "AT" } });
        process.ask(Scope::Platform, DefaultRole::Operator, "billing.seller.set", seller).await.unwrap();
    };
    sells("First").await;
    process
        .ask(tenant(1), DefaultRole::Owner, "billing.subscribe", json!({ "plan": "solo", "currency": "EUR" }))
        .await
        .unwrap();
    process.live().await;
    sells("Second").await;
    process.live().await;
    let listed = process.ask(tenant(1), DefaultRole::Owner, "billing.invoices.list", json!({})).await.unwrap();
    assert_eq!(listed["items"][0]["seller"]["name"], "First", "{listed}");
    assert!(process.told().await.contains("billing.SellerUpdated.v1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_use_is_proved_by_what_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path(), Model::default());
    let process = ground.process(u64::MAX, false);
    published(&process).await;
    let owner = async |name: &str, input| process.ask(tenant(1), DefaultRole::Owner, name, input).await.unwrap();
    owner("billing.subscribe", json!({ "plan": "solo", "currency": "EUR" })).await;
    for (id, hours) in [("a", 0), ("b", 0), ("c", 30)] {
        ground.clock.advance(Duration::from_hours(hours));
        owner("billing.usage.report", json!({ "events": [{ "id": id, "meter": "calls", "value": "7" }] })).await;
    }
    let told = owner("billing.usage.evidence", json!({ "meter": "calls" })).await;
    let sizes: Vec<u64> = told["hours"].as_array().unwrap().iter().map(|it| it["size"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [2, 1], "{told}");
    ground.clock.advance(Duration::from_hours(28 * 24));
    for _ in 0..4 {
        process.live().await;
    }
    let listed = owner("billing.invoices.list", json!({})).await;
    assert_eq!(listed["items"][0]["lines"][0]["evidence"], told["evidence"], "{listed}");
    // Each root was told by an event, which the audit log has.
    let read = ground.shards.log().read(0, 1_000).await.unwrap();
    let envelopes = read.iter().map(|it| serde_json::from_slice::<Envelope>(&it.envelope).unwrap());
    let recorded = envelopes.filter(|it| it.r#type == "billing.UsageRecorded.v1");
    let roots: BTreeSet<String> = recorded.map(|it| it.data["root"].as_str().unwrap().to_owned()).collect();
    assert!(
        told["hours"].as_array().unwrap().iter().all(|it| roots.contains(it["root"].as_str().unwrap())),
        "{roots:?}"
    );
    // And the line's root is made of them.
    let mut tree = tlog::Edge::of(0, Vec::new()).unwrap();
    for it in told["hours"].as_array().unwrap() {
        tree.append(tlog::leaf(format!("{} {}", it["hour"], it["root"].as_str().unwrap()).as_bytes()));
    }
    assert_eq!(told["evidence"], data_encoding::HEXLOWER.encode(&tree.root()));
}
