//! Against a stand-in that was written from Mollie's documentation: nobody else has made one.

use billing_gateways::{Gateway, Setup, contract};
use freehold_billing_adapters::{Account, Mollie};
use kernel::Id;

#[tokio::test]
async fn mollie_keeps_the_contract_on_a_stand_in() {
    let Some(url) = store::contract::server("FREEHOLD_TEST_MOLLIE") else { return };
    drop(rustls::crypto::ring::default_provider().install_default());
    let settings = Account { url, key: "test_1".to_owned().into(), signing: Vec::new() };
    let mollie = Mollie::new(settings).unwrap();
    let tokens = contract::Tokens { good: "mdt_good", poor: "mdt_poor", careful: None, prepares: false };
    contract::keeps(&mollie, &tokens).await;

    // A card is saved by a first payment of nothing.
    let tenant = Id::from_uuid(uuid::Uuid::from_u128(77));
    let customer = mollie.customer(tenant).await.unwrap();
    let currency = "EUR".parse().unwrap();
    let back = "https://example.com/billing?gateway=mollie".to_owned();
    let page = mollie.setup(&Setup { tenant, customer: customer.clone(), currency, back }).await.unwrap();
    assert_eq!(mollie.saved(&customer, &page.reference).await.unwrap(), None, "nobody opened the page");
    let follow = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = follow.get(&page.url).send().await.unwrap();
    let led = answer.headers().get("location").unwrap().to_str().unwrap().to_owned();
    assert_eq!(led, format!("https://example.com/billing?gateway=mollie&session={}", page.reference));
    let saved = mollie.saved(&customer, &page.reference).await.unwrap().unwrap();
    assert_eq!((saved.label.as_str(), saved.expires), ("mastercard •••• 6787", Some((2030, 12))));
    let other = mollie.customer(Id::from_uuid(uuid::Uuid::from_u128(78))).await.unwrap();
    assert!(mollie.saved(&other, &page.reference).await.is_err(), "the page of someone else");
    mollie.detach(&customer, &saved.token).await.unwrap();
    mollie.detach(&customer, &saved.token).await.unwrap();
}
