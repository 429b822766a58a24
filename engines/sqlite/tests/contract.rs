//! The contract suite on SQLite.

use freehold_sqlite::SqliteEngine;

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let engine = SqliteEngine::open(&folder.path().join("store.sqlite")).unwrap();
    store::contract::run(&store::contract::Subject::new(engine)).await;
}
