//! A log has one continuation: whoever appends, wherever they stop, and however often an event comes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod fixture;

use std::sync::Arc;

use events::{Log, model::ModelLog};
use fixture::{Ground, Mortal, event, tenant};
use freehold_audit::Sequencer;
use kernel::Scope;
use serde_json::{Value, json};
use store::{Engine, Space, model::ModelEngine};

fn ground() -> (Ground, Arc<ModelEngine>, Arc<ModelLog>) {
    let (engine, log) = (Arc::new(ModelEngine::default()), Arc::new(ModelLog::default()));
    (Ground::on(Arc::clone(&engine) as _, Arc::clone(&log) as _), engine, log)
}

async fn to_the_end(sequencer: &mut Sequencer) {
    while sequencer.turn().await.unwrap() > 0 {}
}

/// The numbers of the events of an export, in its order.
fn numbers(export: &str) -> Vec<u64> {
    let records = export.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["record"].as_str().map(|text| serde_json::from_str::<Value>(text).unwrap())
    });
    records.map(|it| it["data"]["number"].as_u64().unwrap()).collect()
}

/// All of the events are there once, in order; what the log says of itself holds, and so do proofs.
async fn whole(it: &Ground, scope: Scope, count: u64) {
    let (text, report) = it.export(scope).await;
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(numbers(&text), (0..count).collect::<Vec<_>>());
    let told = it.ask(scope, "/v1/audit/checkpoint", json!({})).await.unwrap();
    let root = told["root"].as_str().unwrap();
    for old in [0, 1, count / 2, count] {
        let asked = json!({ "old": old });
        let proof = it.ask(scope, "/v1/audit/consistency", asked).await.unwrap();
        assert_eq!(proof["new_root"], root);
        let hash = |text: &Value| -> tlog::Hash {
            data_encoding::BASE64.decode(text.as_str().unwrap().as_bytes()).unwrap().try_into().unwrap()
        };
        let steps: Vec<_> = proof["proof"].as_array().unwrap().iter().map(hash).collect();
        let (old_root, new_root) = (hash(&proof["old_root"]), hash(&proof["new_root"]));
        assert!(tlog::verify_consistency((old, &old_root), (count, &new_root), &steps), "{old} to {count}");
    }
    for index in [0, count / 3, count - 1] {
        let asked = json!({ "entry": format!("{index}-e{index:020}") });
        let proven = it.ask(scope, "/v1/audit/entries/{entry}", asked).await.unwrap();
        assert_eq!(proven["entry"]["index"], index);
        let hash = |text: &Value| data_encoding::BASE64.decode(text.as_str().unwrap().as_bytes()).unwrap();
        let steps: Vec<tlog::Hash> =
            proven["proof"].as_array().unwrap().iter().map(|it| hash(it).try_into().unwrap()).collect();
        let (leaf, root) = (tlog::leaf(&hash(&proven["leaf"])), hash(&told["root"]).try_into().unwrap());
        assert!(tlog::verify_inclusion(&leaf, index, count, &steps, &root), "entry {index} of {count}");
    }
}

#[tokio::test]
async fn whoever_stops_at_any_commit_leaves_a_log_that_goes_on() {
    const COUNT: usize = 700;
    let scope = tenant(1);
    // Bundles, tiles and what grows above them: all of the commits that a whole run has.
    for left in 0..9 {
        for last_lands in [false, true] {
            let (it, engine, log) = ground();
            log.append((0..COUNT).map(|number| event(scope, number)).collect()).await.unwrap();
            let dying = Mortal::on(Arc::clone(&engine) as _, left, last_lands);
            drop(it.sequencer_on(dying).turn().await);
            let mut next = it.sequencer();
            to_the_end(&mut next).await;
            // What it had taken over was its own reading of how the log ends.
            log.append(vec![event(scope, COUNT)]).await.unwrap();
            to_the_end(&mut next).await;
            whole(&it, scope, COUNT as u64 + 1).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_at_once_make_one_log() {
    let (it, _, log) = ground();
    let scopes = [1, 2, 3].map(tenant);
    let (mut one, mut other, mut third) = (it.sequencer(), it.sequencer(), it.sequencer());
    for round in 0..40 {
        let of = |scope: Scope| (round * 20..round * 20 + 20).map(move |number| event(scope, number));
        log.append(scopes.into_iter().flat_map(of).collect()).await.unwrap();
        let (a, b, c) = tokio::join!(
            tokio::spawn(async move { (one.turn().await.unwrap(), one).1 }),
            tokio::spawn(async move { (other.turn().await.unwrap(), other).1 }),
            tokio::spawn(async move { (third.turn().await.unwrap(), third).1 }),
        );
        (one, other, third) = (a.unwrap(), b.unwrap(), c.unwrap());
    }
    for scope in scopes {
        whole(&it, scope, 800).await;
    }
}

#[tokio::test]
async fn what_is_read_again_makes_no_second_entry() {
    let (it, _, log) = ground();
    let scope = tenant(1);
    let all = |range: std::ops::Range<usize>| range.map(move |number| event(scope, number)).collect::<Vec<_>>();
    log.append(all(0..300)).await.unwrap();
    to_the_end(&mut it.sequencer()).await;
    // How far it had read is lost; how far it had appended stands where it appended.
    log.advance("audit", 7).await.unwrap();
    to_the_end(&mut it.sequencer()).await;
    log.append(all(300..310)).await.unwrap();
    let (mut one, mut other) = (it.sequencer(), it.sequencer());
    to_the_end(&mut one).await;
    log.advance("audit", 0).await.unwrap();
    to_the_end(&mut other).await;
    whole(&it, scope, 310).await;
}

#[tokio::test(start_paused = true)]
async fn a_scope_whose_log_cannot_be_written_waits_alone() {
    let (it, engine, log) = ground();
    let (broken, good, gone) = (tenant(1), tenant(2), tenant(3));
    let mortal = Mortal::on(engine as Arc<dyn Engine>, -1, false);
    *mortal.away.lock().unwrap() = Some(Space::of(broken));
    let mut sequencer = it.sequencer_on(Arc::clone(&mortal) as _);
    it.keys.destroy_scope(gone).await.unwrap();
    for number in 0..600 {
        log.append([broken, good, gone].map(|scope| event(scope, number)).to_vec()).await.unwrap();
    }
    for _ in 0..4 {
        sequencer.turn().await.unwrap();
    }
    whole(&it, good, 600).await;
    assert_eq!(it.ask(broken, "/v1/audit/checkpoint", json!({})).await.unwrap()["size"], 0);
    assert_eq!(it.ask(gone, "/v1/audit/checkpoint", json!({})).await.unwrap_err().code(), "erased");
    *mortal.away.lock().unwrap() = None;
    // Another takes over: what waits is known from the log.
    let mut next = it.sequencer();
    to_the_end(&mut next).await;
    whole(&it, broken, 600).await;
    assert!(log.readers("audit@").await.unwrap().is_empty(), "it has caught up");
    log.append(vec![event(broken, 600)]).await.unwrap();
    to_the_end(&mut next).await;
    whole(&it, broken, 601).await;
}

#[tokio::test]
async fn entries_are_found_by_who_did_what_and_by_pages() {
    let (it, _, log) = ground();
    let scope = tenant(1);
    log.append((0..1_000).map(|number| event(scope, number)).collect()).await.unwrap();
    to_the_end(&mut it.sequencer()).await;
    let list = async |asked: Value| it.ask(scope, "/v1/audit/entries", asked).await.unwrap();
    let numbers = |page: &Value| {
        page["items"].as_array().unwrap().iter().map(|it| it["data"]["number"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let asked = json!({ "actor": format!("usr_{:026}", 3), "resource": "test.thing/2", "limit": 4 });
    let (mut found, mut asked) = (Vec::new(), asked);
    loop {
        let page = list(asked.clone()).await;
        found.extend(numbers(&page));
        let Some(next) = page["next"].as_str() else { break };
        asked["after"] = next.into();
    }
    let expected: Vec<u64> = (0..1_000).rev().filter(|it| it % 5 == 3 && it % 7 == 2).collect();
    assert_eq!(found, expected);
    assert_eq!(numbers(&list(json!({ "action": "test.do", "limit": 2 })).await), [999, 998]);
    assert_eq!(numbers(&list(json!({ "to": "2026-11-24T11:59:59Z" })).await), Vec::<u64>::new());
    assert_eq!(numbers(&list(json!({ "from": "2026-11-24T12:00:01Z" })).await), Vec::<u64>::new());
    assert_eq!(
        list(json!({ "from": "2026-11-24T12:00:00Z", "limit": 200 })).await["items"].as_array().unwrap().len(),
        200
    );
    let refused = it.ask(scope, "/v1/audit/entries", json!({ "after": "x" })).await;
    assert_eq!(refused.unwrap_err().code(), "invalid_request");
    let other = it.ask(tenant(2), "/v1/audit/entries/{entry}", json!({ "entry": format!("1-e{:020}", 1) })).await;
    assert_eq!(other.unwrap_err().code(), "not_found", "one log knows nothing of another");
}
