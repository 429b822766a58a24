//! The engine on a real file: the contract, what stays after reopening, and what is gone from the disk.

use std::{collections::BTreeMap, path::Path};

use facts::{Fact, Facts, Measure, Query, contract};
use freehold_columnar::ColumnarFacts;
use kernel::{Id, Scope, Timestamp};

fn fact(scope: Scope, id: u32, person: &str) -> Fact {
    let at = Timestamp::from_second(1_800_000_000 + i64::from(id % 40_000)).expect("an instant of this century");
    let (id, name, person) = (format!("id-{id}"), "page.seen".to_owned(), Some(person.to_owned()));
    Fact { id, scope, name, at, person, value: 1.0, labels: BTreeMap::new() }
}

fn tenant(number: u128) -> Scope {
    Scope::Tenant(Id::from_uuid(uuid::Uuid::from_u128(number)))
}

async fn ask(facts: &ColumnarFacts, scope: Scope, measure: Measure) -> Option<f64> {
    facts.query(scope, Query::new(measure)).await.expect("an answer").first().map(|row| row.value)
}

/// Whether any file of the folder holds the text.
fn on_disk(folder: &Path, text: &str) -> bool {
    let read = |file: std::io::Result<std::fs::DirEntry>| std::fs::read(file.expect("an entry").path());
    let files = std::fs::read_dir(folder).expect("the folder").map(|file| read(file).expect("a file"));
    files.into_iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

#[tokio::test]
async fn the_engine_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    contract::run(&ColumnarFacts::open(folder.path()).unwrap()).await;
    let db = rusqlite::Connection::open(folder.path().join("facts.sqlite")).unwrap();
    let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

#[tokio::test]
async fn small_segments_are_merged_and_all_stays_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let scope = tenant(1);
    let facts = ColumnarFacts::open(folder.path()).unwrap();
    for first in (0..5_000).step_by(100) {
        let batch = (first..first + 100).map(|id| fact(scope, id, &format!("person-{}", id % 70))).collect();
        facts.append(batch).await.unwrap();
    }
    drop(facts);
    let facts = ColumnarFacts::open(folder.path()).unwrap();
    facts.append(vec![fact(scope, 17, "someone else"), fact(scope, 5_000, "someone new")]).await.unwrap();
    assert_eq!(ask(&facts, scope, Measure::Count).await, Some(5_001.0));
    assert_eq!(ask(&facts, scope, Measure::Unique).await, Some(71.0));
    let db = rusqlite::Connection::open(folder.path().join("facts.sqlite")).unwrap();
    let counts = "SELECT sum(facts), count(*) FROM segments";
    let counts: (i64, i64) = db.query_row(counts, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert!(counts.0 == 5_001 && counts.1 < 30, "of fifty appends, few segments are left: {counts:?}");
}

#[tokio::test]
async fn a_column_that_the_disk_spoiled_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let scope = tenant(1);
    let facts = ColumnarFacts::open(folder.path()).unwrap();
    facts.append((0..100).map(|id| fact(scope, id, "ada")).collect()).await.unwrap();
    let db = rusqlite::Connection::open(folder.path().join("facts.sqlite")).unwrap();
    let spoil = "UPDATE columns SET data = zeroblob(length(data)) WHERE part = 'value'";
    assert_eq!(db.execute(spoil, []).unwrap(), 1);
    assert_eq!(ask(&facts, scope, Measure::Count).await, Some(100.0), "what needs no spoiled column is answered");
    let refused = facts.query(scope, Query::new(Measure::Sum)).await.unwrap_err();
    assert!(refused.to_string().contains("damaged"), "{refused}");
}

#[tokio::test]
async fn a_file_of_another_form_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(ColumnarFacts::open(folder.path()).unwrap());
    let db = rusqlite::Connection::open(folder.path().join("facts.sqlite")).unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
    assert!(ColumnarFacts::open(folder.path()).err().unwrap().to_string().contains("form 1"));
}

#[tokio::test]
async fn ids_stay_known_over_merges_and_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let scope = tenant(1);
    let mut facts = ColumnarFacts::open(folder.path()).unwrap();
    for first in (0..20_000).step_by(400) {
        facts.append((first..first + 400).map(|id| fact(scope, id, "ada")).collect()).await.unwrap();
        if first % 8_000 == 0 {
            drop(facts);
            facts = ColumnarFacts::open(folder.path()).unwrap();
        }
    }
    for first in (0..20_000).step_by(5_000) {
        facts.append((first..first + 5_000).map(|id| fact(scope, id, "bob")).collect()).await.unwrap();
    }
    assert_eq!(ask(&facts, scope, Measure::Count).await, Some(20_000.0));
    let db = rusqlite::Connection::open(folder.path().join("facts.sqlite")).unwrap();
    let (runs, ids): (i64, i64) =
        db.query_row("SELECT count(*), sum(ids) FROM runs", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert!(runs < 30 && ids == 20_000, "{runs} runs of {ids} ids");
}

#[tokio::test]
async fn what_is_forgotten_or_erased_leaves_no_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (scope, other) = (tenant(1), tenant(2));
    let facts = ColumnarFacts::open(folder.path()).unwrap();
    let who = |id: u32| if id.is_multiple_of(2) { "pseudonym-of-ada" } else { "pseudonym-of-bob" };
    for first in [0, 4_200] {
        facts.append((first..first + 4_200).map(|id| fact(scope, id, who(id))).collect()).await.unwrap();
    }
    facts.append(vec![fact(scope, 8_400, "pseudonym-of-ada"), fact(other, 1, "pseudonym-of-eve")]).await.unwrap();
    assert!(on_disk(folder.path(), "pseudonym-of-ada"));
    facts.forget(scope, "pseudonym-of-ada").await.unwrap();
    assert!(!on_disk(folder.path(), "pseudonym-of-ada"));
    assert_eq!(ask(&facts, scope, Measure::Unique).await, Some(1.0));
    facts.erase(scope).await.unwrap();
    assert!(!on_disk(folder.path(), "pseudonym-of-bob"));
    assert!(on_disk(folder.path(), "pseudonym-of-eve"));
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_at_once_are_all_kept_and_questions_see_each_batch_whole() {
    let folder = tempfile::tempdir().unwrap();
    let scope = tenant(1);
    let facts = std::sync::Arc::new(ColumnarFacts::open(folder.path()).unwrap());
    let writers: Vec<_> = (0..30_u32)
        .map(|writer| {
            let facts = std::sync::Arc::clone(&facts);
            let batch = (0..300).map(move |id| fact(scope, writer * 300 + id, "ada")).collect();
            tokio::spawn(async move { facts.append(batch).await.unwrap() })
        })
        .collect();
    let mut before = 0.0;
    while before < 9_000.0 {
        let now = ask(&facts, scope, Measure::Count).await.unwrap_or(0.0);
        assert!(now >= before && now % 300.0 == 0.0, "{now} after {before}: merging hides or doubles nothing");
        before = now;
        if writers.iter().all(tokio::task::JoinHandle::is_finished) {
            assert_eq!(ask(&facts, scope, Measure::Count).await, Some(9_000.0));
            break;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
}
