//! The saga of an erasure on the model store, ended in the middle of each of its steps.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use contracts::tenants::Isolation;
use events::Services;
use kernel::{Caller, Catalogue, DefaultRole, Id, Timestamp, cx::Ambient, entropy::SystemEntropy, time::ManualClock};
use keys::{Keyring, Keys, model::ModelKeys};
use register::{Register, tenant::Beginning};
use store::{Store, model::ModelEngine};

use super::*;
use crate::{Challenge, Control, OnePlace, PERMISSIONS, Ports, Remains, Settings, preferences::Preferences};

/// Removes what it is told to, and then dies once, at the given call, before anybody learns that it was done.
struct Dying {
    calls: AtomicUsize,
    dies_at: usize,
    removed: Mutex<Vec<String>>,
}

#[async_trait]
impl Remains for Dying {
    fn parts(&self) -> &[&'static str] {
        &["log", "facts"]
    }
    async fn erase(&self, part: &str, _: Scope) -> Result<(), Problem> {
        self.removed.lock().unwrap().push(part.to_owned());
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if call == self.dies_at { Err(Problem::internal("the power went")) } else { Ok(()) }
    }
}

struct Nowhere;

#[async_trait]
impl Control for Nowhere {
    async fn shown(&self, _: &Challenge) -> Result<(), &'static str> {
        Err("nothing answered")
    }
}

fn id<K: kernel::IdKind>(number: u128) -> Id<K> {
    Id::from_uuid(uuid::Uuid::from_u128(number))
}

async fn erased_with_a_death_at(dies_at: usize) -> Vec<String> {
    let ambient = Ambient::new(Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH)), Arc::new(SystemEntropy::default()));
    let folder = tempfile::tempdir().unwrap();
    let keyring = Keyring::open(&folder.path().join("keyring"), &*ambient.entropy).unwrap();
    let keys = Keys::new(keyring, Arc::new(ModelKeys::default()), Arc::clone(&ambient.entropy));
    let store = Store::new(Arc::new(ModelEngine::default()), keys);
    let catalogue = Arc::new(Catalogue::new(PERMISSIONS.iter().copied()));
    let services = Services::new(Arc::clone(&catalogue), ambient.clone());
    let remains = Arc::new(Dying { calls: AtomicUsize::new(0), dies_at, removed: Mutex::default() });
    let ports = Ports { remains: remains.clone(), control: Arc::new(Nowhere), homes: Arc::new(OnePlace) };
    let isolation = Isolation::Pooled;
    let (scheme, host) = ("http".to_owned(), "localhost".to_owned());
    let settings = Settings { scheme, host, port: None, trial_days: 0, isolation };
    let it = Tenants::new(store.clone(), Register::new(store, services.clone()), ports, settings);

    let (tenant, owner) = (id(1), id(2));
    let platform = services.cx("tenants", Scope::Platform);
    let inside = platform.within(tenant).unwrap();
    let names = ("acme".parse().unwrap(), "Acme".parse().unwrap());
    let person = (owner, "ada@example.com".parse().unwrap(), "Ada".parse().unwrap());
    let (company, asked) =
        Tenant::provision(tenant, names, person, Beginning { trial_days: 0, isolation }, Timestamp::UNIX_EPOCH);
    it.store.at(&platform).create(company, asked.clone()).await.unwrap();
    it.provisioning_begins(asked, platform.repeatable("provisioned")).await.unwrap();
    it.store.at(&inside).create(Preferences::default(), ()).await.unwrap();

    let settings = "settings".to_owned();
    let requested = TenantErasureRequested { tenant };
    it.erasure_begins(requested.clone(), platform.repeatable("requested")).await.unwrap();
    it.erasure_begins(requested, platform.repeatable("requested")).await.unwrap();
    let fired = Fired { id: tenant.to_string(), timer: "step".to_owned(), due: Timestamp::UNIX_EPOCH };
    let due = || it.erasure_due(fired.clone(), platform.repeatable("timer"));
    let first = due().await;
    assert_eq!(first.is_err(), dies_at < 2, "dies at {dies_at}");
    due().await.unwrap();
    due().await.unwrap();

    let saga = it.store.at(&platform).load::<Erasure>(&tenant).await.unwrap();
    assert!(saga.step().is_none() && saga.view().steps.iter().all(|step| step.done.is_some()));
    let gone = it.store.at(&inside).load::<Preferences>(&settings).await;
    assert!(gone.is_err(), "what was the tenant's is gone");
    let named = it.store.at(&platform).try_load::<Provisioning>(&tenant).await.unwrap();
    assert!(named.is_none(), "what the platform knew of the owner is gone");
    let grants = catalogue.grants(DefaultRole::Service);
    let anew = kernel::Cx::verified(Scope::Tenant(tenant), Caller::Service { name: "tenants" }, grants, &ambient);
    assert!(it.store.at(&anew).load::<Preferences>(&settings).await.is_err(), "and never comes back");
    remains.removed.lock().unwrap().clone()
}

#[tokio::test]
async fn an_erasure_that_dies_goes_on_where_it_was() {
    assert_eq!(erased_with_a_death_at(9).await, ["log", "facts"]);
    assert_eq!(erased_with_a_death_at(0).await, ["log", "log", "facts"], "the step it died in is done again, no other");
    assert_eq!(erased_with_a_death_at(1).await, ["log", "facts", "facts"]);
}
