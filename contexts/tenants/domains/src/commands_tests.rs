//! What becomes of a domain that two tenants claim.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use events::Services;
use kernel::{
    Catalogue, Clock, Cx, Id, Scope, TenantId, Timestamp, cx::Ambient, entropy::SystemEntropy, time::ManualClock,
};
use keys::{Keyring, Keys, model::ModelKeys};
use register::Register;
use store::{Store, model::ModelEngine};

use super::*;

/// The proofs that are to be seen.
#[derive(Default)]
struct Seen(Mutex<BTreeSet<String>>);

#[async_trait]
impl Control for Seen {
    async fn shown(&self, challenge: &Challenge) -> Result<(), &'static str> {
        self.0.lock().unwrap().contains(&challenge.proof).then_some(()).ok_or("nothing there")
    }
}

fn tenant(number: u128) -> TenantId {
    Id::from_uuid(uuid::Uuid::from_u128(number))
}

async fn claimed(it: &Domains, by: TenantId, platform: &Cx) -> Domain {
    let secrets = ["token".to_owned(), format!("proof of {by}")];
    let domain = Domain::new(platform.new_id(), by, &"shop.example".parse().unwrap(), secrets, platform.real_now());
    it.store.at(platform).create(domain, ()).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_domain_goes_to_whoever_shows_it_now() {
    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    let ambient = Ambient::new(Arc::clone(&clock) as _, Arc::new(SystemEntropy::default()));
    let folder = tempfile::tempdir().unwrap();
    let keyring = Keyring::open(&folder.path().join("keyring"), &*ambient.entropy).unwrap();
    let keys = Keys::new(keyring, Arc::new(ModelKeys::default()), Arc::clone(&ambient.entropy));
    let store = Store::new(Arc::new(ModelEngine::default()), keys);
    let services = Services::new(Arc::new(Catalogue::new(register::permissions::ALL.iter().copied())), ambient);
    let seen = Arc::new(Seen::default());
    let register = Register::new(store.clone(), services.clone());
    let it = Domains::new(store, register, Arc::clone(&seen) as _, "localhost".to_owned());
    let platform = services.cx("tenants", Scope::Platform);
    let leads_to = async || it.tenant_of_domain("shop.example", &platform).await.ok();

    let (first, second) = (claimed(&it, tenant(1), &platform).await, claimed(&it, tenant(2), &platform).await);
    seen.0.lock().unwrap().insert(first.challenge.proof.clone());
    it.look_at(&first, &platform).await.unwrap();
    assert_eq!(leads_to().await, Some(tenant(1)));
    assert_eq!(
        it.look_at(&second, &platform).await.unwrap().state,
        DomainState::Pending,
        "a claim alone takes nothing"
    );
    seen.0.lock().unwrap().insert(second.challenge.proof.clone());
    let both = it.look_at(&second, &platform).await.unwrap();
    assert!(both.state == DomainState::Pending && both.problem.is_some() && leads_to().await == Some(tenant(1)));
    seen.0.lock().unwrap().remove(&first.challenge.proof);
    assert_eq!(it.look_at(&second, &platform).await.unwrap().state, DomainState::Verified);
    assert_eq!(leads_to().await, Some(tenant(2)));
    let before = it.store.at(&platform).load::<Domain>(&first.id).await.unwrap();
    assert!(before.state == DomainState::Failed && before.problem.is_some());

    seen.0.lock().unwrap().clear();
    for _ in 0..14 {
        assert_eq!(leads_to().await, Some(tenant(2)));
        clock.advance(Duration::from_hours(24));
        it.domain_due(
            Fired { id: second.id.to_string(), timer: "check".to_owned(), due: clock.now() },
            platform.clone(),
        )
        .await
        .unwrap();
    }
    assert_eq!(leads_to().await, None, "that it leads here does not keep it");
}
