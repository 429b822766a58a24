use std::{collections::BTreeMap, sync::Mutex};

use kernel::{Id, entropy::SystemEntropy};

use super::*;

#[derive(Default)]
struct Kept(Mutex<BTreeMap<String, Wrapped>>);

#[async_trait]
impl WrappedKeys for Kept {
    async fn get(&self, name: &str) -> Result<Option<Wrapped>, KeyError> {
        Ok(self.0.lock().unwrap().get(name).cloned())
    }
    async fn add(&self, name: &str, key: Vec<u8>) -> Result<Wrapped, KeyError> {
        Ok(self.0.lock().unwrap().entry(name.to_owned()).or_insert(Wrapped::Key(key)).clone())
    }
    async fn destroy(&self, name: &str) -> Result<(), KeyError> {
        self.0.lock().unwrap().insert(name.to_owned(), Wrapped::Destroyed);
        Ok(())
    }
}

fn keys() -> (tempfile::TempDir, Keys) {
    let folder = tempfile::tempdir().unwrap();
    let entropy = SystemEntropy::default();
    let keyring = Keyring::open(&folder.path().join("keyring"), &entropy).unwrap();
    (folder, Keys::new(keyring, Arc::new(Kept::default()), Arc::new(entropy)))
}

#[tokio::test]
async fn what_is_sealed_opens_at_its_place_only() {
    let (_folder, keys) = keys();
    let (key, other) = (keys.scope(Scope::Platform).await.unwrap(), Scope::Tenant(Id::from_uuid(uuid::Uuid::max())));
    let sealed = key.seal("a", "1", b"text", keys.entropy()).unwrap();
    assert_eq!(key.open("a", "1", &sealed).unwrap().as_slice(), b"text");
    for (place, bound) in [("b", "1"), ("a", "2")] {
        assert!(matches!(key.open(place, bound, &sealed), Err(KeyError::Forged)));
    }
    let mut changed = sealed.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert!(matches!(key.open("a", "1", &changed), Err(KeyError::Forged)));
    let stranger = keys.scope(other).await.unwrap();
    assert!(matches!(stranger.open("a", "1", &sealed), Err(KeyError::Forged)));
    assert_ne!(stranger.blind("email", "x"), key.blind("email", "x"));
}

#[tokio::test]
async fn a_destroyed_key_is_never_made_again() {
    let (_folder, keys) = keys();
    let (scope, person) = (Scope::Platform, Id::from_uuid(uuid::Uuid::max()));
    keys.person(scope, person).await.unwrap();
    keys.destroy_person(scope, person).await.unwrap();
    assert!(matches!(keys.person(scope, person).await, Err(KeyError::Destroyed)));
}
