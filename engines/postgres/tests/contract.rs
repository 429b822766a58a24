//! The contract suite on a PostgreSQL server.

use freehold_postgres::PostgresEngine;
use store::contract;

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract() {
    let Some(url) = contract::server("FREEHOLD_TEST_POSTGRES") else { return };
    let engine = PostgresEngine::connect(&url, 16).await.unwrap();
    contract::run(&contract::Subject::new(engine)).await;
}
