//! The keys that sign a tenant's tokens: made, used, published, rotated.
//!
//! The next key is published before it signs, and those of before stay published until the last token that they signed has
//! ended, unless somebody else may have them. A private half leaves this crate as signatures only.

pub mod jose;
mod rotation;
mod signing_keys;

use std::{sync::Arc, time::Duration};

use accounts::Accounts;
use cache::{Cache, IN_FORCE};
use http::Method;
use jose::Algorithm;
use kernel::{Aggregate, Context, TenantId, TimeDomain};
use proofs::Hashing;
use serde_json::Value;
use store::Store;
use tokio::sync::Semaphore;

use rotation::{ListSigningKeys, RotateSigningKeys, RotateTenantKeys};
use signing_keys::SigningKeys;

pub use rotation::Issuer;

/// For how long an access token is good.
pub const ACCESS: Duration = Duration::from_mins(15);
/// How long what a token says is used again; short, since a decision that is itself used again stands on it.
const SIGNED: Duration = Duration::from_millis(100);

/// Signs for tenants. What is used again for as long as a decision about a credential may be (0.9 s) saves a look into the
/// store for each token.
pub struct Signing {
    store: Store,
    accounts: Accounts,
    hashing: Hashing,
    issuers: Cache<(TenantId, Algorithm), Issuer>,
    /// What tokens say that this tenant has signed, by type and hash of the token.
    signed: Cache<(TenantId, &'static str, String), Option<Arc<Value>>>,
    /// One at a time makes an RSA key.
    making: Arc<Semaphore>,
}

impl Signing {
    /// With what it stands on.
    pub fn new(store: Store, accounts: Accounts, hashing: Hashing) -> Self {
        let (issuers, signed) = (Cache::new(10_000, IN_FORCE), Cache::new(10_000, SIGNED));
        Self { store, accounts, hashing, issuers, signed, making: Arc::new(Semaphore::new(1)) }
    }
}

/// The lines of the table about signing keys, and the timer that rotates them.
pub fn mount(context: Context, it: &Arc<Signing>) -> Context {
    let rotated = Arc::clone(it);
    context
        .route::<ListSigningKeys, _>(Method::GET, "/v1/signing-keys", it)
        .route::<RotateSigningKeys, _>(Method::POST, "/v1/signing-keys/rotate", it)
        .route::<RotateTenantKeys, _>(Method::POST, "/v1/tenants/{tenant}/signing-keys/rotate", it)
        .timer_in(TimeDomain::Real, SigningKeys::KIND, move |fired, cx| {
            let it = Arc::clone(&rotated);
            async move { it.rotation_due(fired, cx).await }
        })
}
