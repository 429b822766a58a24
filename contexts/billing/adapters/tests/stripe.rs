//! Against servers that others wrote: localstripe keeps state, stripe-mock refuses what Stripe's own description of its
//! interface does not allow.
#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

use billing_gateways::{Charge, Failure, Gateway, Presence, Return, Setup, contract};
use freehold_billing_adapters::{Account, Stripe};
use kernel::{Id, IdKind, Timestamp};
use money::Money;

/// The adapter at the server that a variable names, if one runs.
fn server(variable: &str) -> Option<(Stripe, String)> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let url = store::contract::server(variable)?;
    let (key, signing) = ("sk_test_12345".to_owned().into(), Vec::new());
    Some((Stripe::new(Account { url: url.clone(), key, signing }).unwrap(), url))
}

fn id<K: IdKind>(number: u128) -> Id<K> {
    Id::from_uuid(uuid::Uuid::from_u128(number))
}

#[tokio::test]
async fn stripe_keeps_the_contract_on_localstripe() {
    let Some((stripe, url)) = server("FREEHOLD_TEST_LOCALSTRIPE") else { return };
    // As the gateway's own fields do it, with a card whose bank wants a confirmation.
    let card = [
        ("type", "card"),
        ("card[number]", "4000002500003155"),
        ("card[exp_month]", "12"),
        ("card[exp_year]", "2030"),
        ("card[cvc]", "123"),
    ];
    let made =
        reqwest::Client::new().post(format!("{url}/v1/payment_methods")).bearer_auth("sk_test_12345").form(&card);
    let made: serde_json::Value = made.send().await.unwrap().json().await.unwrap();
    let careful = made.get("id").and_then(|it| it.as_str()).unwrap();
    let tokens = contract::Tokens {
        good: "pm_card_visa",
        poor: "pm_card_chargeCustomerFail",
        careful: Some(careful),
        prepares: true,
    };
    contract::keeps(&stripe, &tokens).await;
    let customer = stripe.customer(id(90)).await.unwrap();
    let refused = stripe.attach(&customer, "pm_card_visa_chargeDeclined").await;
    assert!(matches!(refused, Err(Failure::Refused { code, .. }) if code == "card_declined"));
}

#[tokio::test]
async fn stripe_allows_each_request_by_its_own_description() {
    let Some((stripe, url)) = server("FREEHOLD_TEST_STRIPE_MOCK") else { return };
    let allowed = |what: &str, outcome: Result<(), Failure>| {
        // It answers with samples, which need not fit to what was asked.
        assert!(!matches!(outcome, Err(Failure::Refused { .. })), "{what}: {outcome:?}");
    };
    let eur = "EUR".parse().unwrap();
    let charge = Charge {
        attempt: id(1),
        tenant: id(2),
        amount: Money::new(10_00, eur),
        customer: "cus_1".to_owned(),
        method: "pm_1".to_owned(),
        kind: "card".to_owned(),
        about: "INV-000001".to_owned(),
    };
    let to =
        Setup { tenant: id(2), customer: "cus_1".to_owned(), currency: eur, back: "https://example.com/b".to_owned() };
    let back = Return { refund: id(3), reference: "pi_1".to_owned(), amount: Money::new(1_00, eur) };
    let here = Presence::Here { back: "https://example.com/b".to_owned() };
    allowed("customer", stripe.customer(id(2)).await.map(drop));
    allowed("attach", stripe.attach("cus_1", "pm_1").await.map(drop));
    allowed("detach", stripe.detach("cus_1", "pm_1").await);
    allowed("setup", stripe.setup(&to).await.map(drop));
    allowed("prepare", stripe.prepare(&charge).await.map(drop));
    allowed("confirm", stripe.confirm(&charge, "pi_1", &Presence::Away).await.map(drop));
    allowed("confirm, with somebody there", stripe.confirm(&charge, "pi_1", &here).await.map(drop));
    allowed("look", stripe.look("pi_1").await.map(drop));
    allowed("cancel", stripe.cancel("pi_1").await.map(drop));
    allowed("refund", stripe.refund(&back).await.map(drop));
    allowed("since", stripe.since(Timestamp::UNIX_EPOCH, Some("pi_0")).await.map(drop));
    // The sample of a session belongs to another customer: its form is what is checked here.
    let sample = stripe.saved("cus_1", "cs_1").await;
    assert!(!matches!(&sample, Err(Failure::Refused { code, .. }) if code == "invalid_request_error"), "{sample:?}");
    // What these send is checked without the adapter too: where it is refused, the adapter asks what stands there.
    let raw = async |path: &str, form: &[(&str, &str)]| {
        let asked = reqwest::Client::new().post(format!("{url}/v1/payment_intents/pi_1/{path}"));
        asked.bearer_auth("sk_test_12345").form(form).send().await.unwrap().status()
    };
    for (path, form) in [
        ("confirm", vec![("off_session", "true")]),
        ("confirm", vec![("return_url", "https://example.com/b")]),
        ("cancel", Vec::new()),
    ] {
        assert_eq!(raw(path, &form).await, reqwest::StatusCode::OK, "{path}");
    }
    // And it does refuse.
    let wrong = reqwest::Client::new().post(format!("{url}/v1/customers")).bearer_auth("sk_test_12345");
    assert_eq!(wrong.form(&[("no_such_field", "1")]).send().await.unwrap().status(), reqwest::StatusCode::BAD_REQUEST);
}
