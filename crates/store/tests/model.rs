//! The contract suite on the model: the suite and the oracle agree on what the port means.

use freehold_store::{contract, model::ModelEngine};

#[tokio::test(flavor = "multi_thread")]
async fn the_model_keeps_the_contract() {
    contract::run(&contract::Subject::new(ModelEngine::default())).await;
}
