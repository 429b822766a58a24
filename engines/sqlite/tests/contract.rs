//! The contract suites on SQLite: store and log in one file.
#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use events::Log;
use freehold_sqlite::SqliteEngine;
use store::contract::{Subject, Told};

fn engine() -> (tempfile::TempDir, Arc<SqliteEngine>) {
    let folder = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(&folder.path().join("store.sqlite")).unwrap();
    (folder, Arc::new(engine))
}

/// Reads the log that commits append to.
struct Reader(Arc<SqliteEngine>, AtomicU64);

#[async_trait::async_trait]
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

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract() {
    let (_folder, engine) = engine();
    let told = Arc::new(Reader(Arc::clone(&engine), AtomicU64::new(0)));
    store::contract::run(&Subject::logging(&engine, told)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract_of_logs() {
    let (_folder, engine) = engine();
    events::contract::run(engine.as_ref()).await;
}
