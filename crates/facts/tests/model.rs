//! The model keeps the contract that it is the measure of.

#[tokio::test]
async fn the_model_keeps_the_contract() {
    freehold_facts::contract::run(&freehold_facts::model::ModelFacts::default()).await;
}
