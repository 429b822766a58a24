//! The contract suites on a PostgreSQL server, and what the log promises of transactions that are slow.
#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

use std::sync::Arc;

use events::{Entry, Log};
use freehold_postgres::PostgresEngine;
use kernel::Scope;
use store::{Space, contract};

/// The engine on a database that nothing else uses.
async fn engine(name: &str) -> Option<(String, Arc<PostgresEngine>)> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let server = contract::server("FREEHOLD_TEST_POSTGRES")?;
    let client = plain(&server).await;
    for sql in ["DROP DATABASE IF EXISTS", "CREATE DATABASE"] {
        client.execute(&format!("{sql} {name}"), &[]).await.unwrap();
    }
    let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
    let engine = PostgresEngine::connect(&url, 16).await.unwrap();
    Some((url, Arc::new(engine)))
}

/// A connection beside the engine.
async fn plain(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn entry(text: &str) -> Entry {
    Entry { id: text.to_owned(), scope: Scope::Platform, envelope: text.as_bytes().to_vec() }
}

async fn texts(log: &PostgresEngine) -> Vec<String> {
    let read = log.read(0, 100).await.unwrap();
    read.into_iter().map(|it| String::from_utf8(it.envelope).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract() {
    let Some((_, engine)) = engine("contract_store").await else { return };
    contract::run(&contract::Subject::shared(&engine)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract_of_logs() {
    let Some((_, engine)) = engine("contract_log").await else { return };
    events::contract::run(engine.as_ref()).await;
}

/// An append that has its places and is slow to commit: no later one is seen before it.
#[tokio::test(flavor = "multi_thread")]
async fn no_reader_passes_a_position_that_is_still_to_be_filled() {
    let Some((url, engine)) = engine("slow_append").await else { return };
    let slow = plain(&url).await;
    slow.batch_execute(
        "BEGIN; UPDATE log_head SET last = last + 1;
         INSERT INTO log (position, id, space, at, envelope) SELECT last, 'slow', 'platform', 0, 'slow' FROM log_head",
    )
    .await
    .unwrap();
    let quick = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move { engine.append(vec![entry("quick")]).await }
    });
    // Until the quick one waits for the slow one, as the server tells it; it would be visible by then if it did not.
    let other = plain(&url).await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while !quick.is_finished() && other.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(texts(&engine).await.is_empty(), "a later position is read while an earlier one is still to come");
    slow.batch_execute("COMMIT").await.unwrap();
    quick.await.unwrap().unwrap();
    assert_eq!(texts(&engine).await, ["slow", "quick"]);
}

/// Many at once, while a reader follows by position: it reads all, each once.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_follows_many_writers_misses_nothing() {
    let Some((_, engine)) = engine("many_appends").await else { return };
    let writers = (0..8).map(|writer| {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move {
            for turn in 0..50 {
                engine
                    .append(vec![entry(&format!("{writer}/{turn}/a")), entry(&format!("{writer}/{turn}/b"))])
                    .await
                    .unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let (mut after, mut read) = (0, Vec::new());
    while read.len() < 800 {
        assert!(!(writers.iter().all(tokio::task::JoinHandle::is_finished) && after == engine.head().await.unwrap()));
        for event in engine.read(after, 7).await.unwrap() {
            after = event.position;
            read.push(event.envelope);
        }
    }
    read.sort();
    read.dedup();
    assert_eq!(read.len(), 800);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_relay_still_held_of_a_scope_that_is_gone_stays_out() {
    let Some((_, engine)) = engine("given_up").await else { return };
    engine.give_up(&Space::of(Scope::Platform)).await.unwrap();
    engine.append(vec![entry("late")]).await.unwrap();
    assert!(texts(&engine).await.is_empty());
}

/// One process at a time; the next may as soon as the connection of the one before has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_has_one_user_at_a_time_and_one_keyring() {
    let Some((url, engine)) = engine("sole_use").await else { return };
    let other = PostgresEngine::connect(&url, 4).await.unwrap();
    let sole = engine.sole().await.unwrap().unwrap();
    assert!(other.sole().await.unwrap().is_none());
    drop(sole);
    assert!(other.sole().await.unwrap().is_some());
    assert!(engine.belongs(b"one").await.unwrap() && other.belongs(b"one").await.unwrap());
    assert!(!other.belongs(b"other").await.unwrap());
}
