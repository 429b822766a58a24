//! Programs: what takes a fresh proof, what they can ask for, and what ends with a person.

use std::time::Duration;

use access::permission::Permission;
use accounts::session::reauthentication_required;
use contracts::{oauth::ConsentWithdrawn, users::UserErasureRequested};
use federation::{client::Client, consent::ConsentId, scope::Scopes};
use kernel::{Caller, Cx, DefaultRole, Scope};
use serde_json::json;

use super::Fixture;

#[tokio::test]
async fn what_makes_a_program_or_its_keys_takes_a_fresh_proof() {
    let it = Fixture::new().await;
    let owner = it.session(it.person("ada@acme.example").await, DefaultRole::Owner).await;
    let made = it.run(
        &owner,
        "identity.clients.register",
        json!({ "name": "App", "redirect_uris": ["https://a.example/cb"] }),
    );
    let client = made.await.unwrap()["client_id"].clone();
    it.clock.advance(Duration::from_mins(10));
    let named = json!({ "client": client });
    for (name, input) in [
        ("identity.clients.register", json!({ "name": "Another", "redirect_uris": ["https://a.example/cb"] })),
        ("identity.clients.update", json!({ "client": client, "name": "Renamed" })),
        ("identity.clients.rotate_secret", named.clone()),
        ("identity.keys.rotate", json!({})),
    ] {
        let refused = it.run(&owner, name, input).await.unwrap_err();
        assert_eq!(refused.code(), reauthentication_required().code(), "{name}");
    }
    it.run(&owner, "identity.clients.get", named).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_program_can_ask_for_what_the_product_declares() {
    let it = Fixture::new().await;
    let owner = it.session(it.person("ada@acme.example").await, DefaultRole::Owner).await;
    let asked =
        json!({ "name": "App", "redirect_uris": ["https://a.example/cb"], "scopes": ["openid", "crm.deal.read"] });
    let refused = it.run(&owner, "identity.clients.register", asked.clone()).await.unwrap_err();
    assert_eq!(refused.document(None).errors[0].pointer, "/scopes");
    let service = Caller::Service { name: "identity" };
    let platform = Cx::verified(Scope::Platform, service, it.catalogue.grants(DefaultRole::Service), &it.ambient);
    let (name, meaning) = ("crm.deal.read".parse().unwrap(), "see deals".parse().unwrap());
    let declared = Permission::declare(name, meaning, access::permission::HeldFrom::Admin, &it.catalogue).unwrap();
    it.store.at(&platform).create(declared.0, declared.1).await.unwrap();
    // What was known of the product is used again for a moment.
    tokio::time::advance(Duration::from_secs(1)).await;
    it.run(&owner, "identity.clients.register", asked).await.unwrap();
}

#[tokio::test]
async fn consents_of_whoever_is_erased_are_withdrawn() {
    let it = Fixture::new().await;
    let (ada, eve) = (it.person("ada@acme.example").await, it.person("eve@acme.example").await);
    let owner = it.session(ada, DefaultRole::Owner).await;
    let asked = json!({ "name": "App", "redirect_uris": ["https://a.example/cb"] });
    let client = it.run(&owner, "identity.clients.register", asked).await.unwrap();
    let client = serde_json::from_value(client["client_id"].clone()).unwrap();
    let cx = it.service();
    let known = it.store.at(&cx).load::<Client>(&client).await.unwrap();
    for user in [ada, eve] {
        let of = ConsentId { user, client };
        let mut consent = federation::consent::Consent::begin(of, &known, cx.now());
        let given = consent.give(&known, &Scopes::usual(), cx.now());
        it.store.at(&cx).create(consent, given).await.unwrap();
    }
    it.react(&UserErasureRequested { user: eve }).await;
    let withdrawn: Vec<_> = it.told::<ConsentWithdrawn>().await.iter().map(|it| (it.user, it.client)).collect();
    assert_eq!(withdrawn, [(eve, client)]);
}
