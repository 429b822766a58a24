use kernel::{Id, entropy::SystemEntropy};

use super::{model::ModelKeys, *};

fn keys() -> (tempfile::TempDir, Keys) {
    let folder = tempfile::tempdir().unwrap();
    let entropy = SystemEntropy::default();
    let keyring = Keyring::open(&folder.path().join("keyring"), &entropy).unwrap();
    (folder, Keys::new(keyring, Arc::new(ModelKeys::default()), Arc::new(entropy)))
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
