//! The contract suite of logs on the model.

#[tokio::test]
async fn the_model_keeps_the_contract() {
    freehold_events::contract::run(&freehold_events::model::ModelLog::default()).await;
}
