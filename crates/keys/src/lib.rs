//! The key hierarchy: a key-encryption key wraps one key for each scope, which wraps one for each person. What is sealed
//! under a key is gone once that key is destroyed, in every copy of it, backups included.

mod data;
mod keyring;
pub mod model;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cache::Cache;
use kernel::{Problem, ProblemKind, Scope, UserId, entropy::Entropy};

pub use data::DataKey;
pub use keyring::Keyring;

/// Why a key cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KeyError {
    /// It was destroyed: what it sealed is gone for good.
    #[error("the key was destroyed")]
    Destroyed,
    /// The bytes were not sealed by this key for this place, or were changed.
    #[error("what is stored was not sealed under this key for this place")]
    Forged,
    /// Keys cannot be reached or written.
    #[error("the keys cannot be reached: {0}")]
    Unavailable(String),
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Destroyed => Problem::new(ProblemKind::Gone, "erased", "this was erased for good")
                .hint("nothing can bring it back; it was asked for by whom it belonged to"),
            KeyError::Forged => Problem::internal(error),
            KeyError::Unavailable(_) => {
                Problem::new(ProblemKind::Unavailable, "keys_unavailable", "the keys cannot be reached")
                    .hint("try again")
                    .cause(error)
            }
        }
    }
}

/// A wrapped key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrapped {
    /// There.
    Key(Vec<u8>),
    /// It was destroyed, and none of this name will ever be made again.
    Destroyed,
}

/// Keeps wrapped keys. A destroyed one leaves nothing of its bytes in the file that it stood in.
#[async_trait]
pub trait WrappedKeys: Send + Sync + 'static {
    /// What stands under a name.
    async fn get(&self, name: &str) -> Result<Option<Wrapped>, KeyError>;

    /// Keeps a key unless the name stands already; tells what stands there now.
    async fn add(&self, name: &str, key: Vec<u8>) -> Result<Wrapped, KeyError>;

    /// Destroys the key of a name, and of all names below it (`name/…`).
    async fn destroy(&self, name: &str) -> Result<(), KeyError>;
}

/// For how long a key is used without looking whether it still stands: the bound within which an erasure takes effect.
pub const CACHED: Duration = Duration::from_secs(1);
/// The most keys that are kept unwrapped.
const KEPT: u64 = 50_000;

/// Gives the keys of scopes and persons.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    keyring: Keyring,
    wrapped: Arc<dyn WrappedKeys>,
    entropy: Arc<dyn Entropy>,
    cache: Cache<(Scope, Option<UserId>), Arc<DataKey>>,
}

impl Keys {
    /// Keys wrapped by a keyring and kept in a store.
    pub fn new(keyring: Keyring, wrapped: Arc<dyn WrappedKeys>, entropy: Arc<dyn Entropy>) -> Self {
        Self(Arc::new(Inner { keyring, wrapped, entropy, cache: Cache::new(KEPT, CACHED) }))
    }

    /// The key of a scope; made when it is first asked for.
    pub async fn scope(&self, scope: Scope) -> Result<Arc<DataKey>, KeyError> {
        let fetched = async { self.fetch(scope.to_string(), &self.0.keyring.wrapping()).await };
        Ok(Arc::clone(&**self.0.cache.get_or((scope, None), fetched).await?))
    }

    /// The key of a person in a scope; made when it is first asked for.
    pub async fn person(&self, scope: Scope, person: UserId) -> Result<Arc<DataKey>, KeyError> {
        let fetched = async { self.fetch(format!("{scope}/{person}"), self.scope(scope).await?.as_ref()).await };
        Ok(Arc::clone(&**self.0.cache.get_or((scope, Some(person)), fetched).await?))
    }

    async fn fetch(&self, name: String, wrapping: &DataKey) -> Result<Arc<DataKey>, KeyError> {
        let context = format!("wrap/{name}");
        let standing = if let Some(standing) = self.0.wrapped.get(&name).await? {
            standing
        } else {
            let mut fresh = zeroize::Zeroizing::new([0; 32]);
            self.0.entropy.fill(fresh.as_mut());
            let sealed = wrapping.seal(&context, "", fresh.as_ref(), self.0.entropy.as_ref())?;
            self.0.wrapped.add(&name, sealed).await?
        };
        let Wrapped::Key(sealed) = standing else { return Err(KeyError::Destroyed) };
        Ok(Arc::new(DataKey::new(&wrapping.open(&context, "", &sealed)?)?))
    }

    /// Destroys the key of a person: whatever was sealed under it is gone within [`CACHED`].
    pub async fn destroy_person(&self, scope: Scope, person: UserId) -> Result<(), KeyError> {
        self.0.wrapped.destroy(&format!("{scope}/{person}")).await?;
        self.0.cache.forget(&(scope, Some(person)));
        Ok(())
    }

    /// Destroys the key of a scope with those of all its people.
    pub async fn destroy_scope(&self, scope: Scope) -> Result<(), KeyError> {
        self.0.wrapped.destroy(&scope.to_string()).await?;
        self.0.cache.forget_all();
        Ok(())
    }

    /// A secret of the installation that is derived and never stored, such as what signs cookies.
    pub fn derived(&self, purpose: &str) -> [u8; 32] {
        self.0.keyring.wrapping().derive(purpose)
    }

    /// Where random bytes come from.
    pub fn entropy(&self) -> &dyn Entropy {
        self.0.entropy.as_ref()
    }
}

#[cfg(test)]
mod tests;
