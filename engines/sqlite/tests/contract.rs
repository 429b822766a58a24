//! The contract suites on SQLite: store and log in one file, files of a scope's own, and both side by side.
#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use events::{Log, Relay};
use freehold_sqlite::{Shards, SqliteEngine};
use store::{
    Space,
    contract::{Prepares, Subject, Told},
};

fn engine() -> (tempfile::TempDir, Arc<SqliteEngine>) {
    let folder = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(&folder.path().join("store.sqlite")).unwrap();
    (folder, Arc::new(engine))
}

/// Reads the log that commits append to.
struct Reader(Arc<SqliteEngine>, AtomicU64);

#[async_trait]
impl Told for Reader {
    async fn next(&self) -> Vec<Vec<u8>> {
        let mut events = Vec::new();
        loop {
            let read = self.0.read(self.1.load(Ordering::Relaxed), 100).await.unwrap();
            let Some(last) = read.last() else { return events };
            self.1.store(last.position, Ordering::Relaxed);
            events.extend(read.into_iter().map(|event| event.envelope));
        }
    }
}

/// The same, once a relay has moved what waits.
struct Relayed(Relay, Reader);

#[async_trait]
impl Told for Relayed {
    async fn next(&self) -> Vec<Vec<u8>> {
        while self.0.turn().await.unwrap() > 0 {}
        self.1.next().await
    }
}

/// Gives every scope, or every other one, a file of its own.
struct Dedicates(Arc<Shards>, u64, AtomicU64);

#[async_trait]
impl Prepares for Dedicates {
    async fn prepare(&self, space: &Space) {
        if self.2.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.1) {
            self.0.dedicate(space).await.unwrap();
        }
    }
}

fn shards(each: u64) -> (tempfile::TempDir, Arc<Shards>, Arc<Dedicates>) {
    let folder = tempfile::tempdir().unwrap();
    let shards = Arc::new(Shards::open(folder.path()).unwrap());
    (folder, Arc::clone(&shards), Arc::new(Dedicates(shards, each, AtomicU64::new(0))))
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract() {
    let (_folder, engine) = engine();
    let told = Arc::new(Reader(Arc::clone(&engine), AtomicU64::new(0)));
    store::contract::run(&Subject::logging(&engine, told)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_scopes_keep_the_contract_with_their_outbox() {
    let (_folder, shards, dedicates) = shards(1);
    store::contract::run(&Subject::shared(&shards).prepared(dedicates)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_kinds_of_files_keep_the_contract_side_by_side() {
    let (_folder, shards, dedicates) = shards(2);
    let log = shards.log();
    let relay = Relay::new(shards.clone(), log.clone(), "test".to_owned(), log.appended());
    let told = Arc::new(Relayed(relay, Reader(log, AtomicU64::new(0))));
    store::contract::run(&Subject::logging(&shards, told).prepared(dedicates)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract_of_logs() {
    let (_folder, engine) = engine();
    events::contract::run(engine.as_ref()).await;
}
