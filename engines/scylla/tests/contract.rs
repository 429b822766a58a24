//! The contract suite on a CQL server.

use freehold_scylla::ScyllaEngine;
use store::contract;

#[tokio::test(flavor = "multi_thread")]
async fn cql_keeps_the_contract() {
    let Some(node) = contract::server("FREEHOLD_TEST_CQL") else { return };
    let engine = ScyllaEngine::connect(&node, "freehold_contract", 1).await.unwrap();
    contract::run(&contract::Subject::mortal(engine)).await;
}
