//! The OpenID provider of a tenant: programs, what people let them do, and the tokens that come of it.
//!
//! A **client** is a program that is registered. A **grant** is what it holds of a person, within its **scopes**, which name
//! permissions; a **consent** is a person's word for a program of somebody else. Nothing of a token is stored, and each is
//! good only while the person, the program, the session and the consent that it came from are.

pub mod authenticate;
pub mod client;
mod clients;
pub mod consent;
pub mod grant;
mod protocol;
pub mod scope;
mod token;

use std::sync::Arc;

use access::Access;
use accounts::{Accounts, Settings};
use cache::{Cache, IN_FORCE};
use contracts::oauth::ClientDeleted;
use http::Method;
use kernel::{Calls, Catalogue, ClientId, Context, TenantId};
use signing::Signing;
use store::Store;

use client::Client;
use clients::{
    DeleteClient, GetClient, ListClients, RegisterClient, RevokeClientSecret, RotateClientSecret, UpdateClient,
};
use consent::{ListConsents, WithdrawConsent};

/// Serves programs.
pub struct Federation {
    store: Store,
    calls: Calls,
    catalogue: Arc<Catalogue>,
    settings: Settings,
    accounts: Accounts,
    access: Arc<Access>,
    signing: Arc<Signing>,
    /// As new as a credential is.
    clients: Cache<(TenantId, ClientId), Option<Arc<Client>>>,
}

impl Federation {
    /// With what it stands on.
    pub fn new(
        (store, calls, catalogue): (Store, Calls, Arc<Catalogue>),
        settings: Settings,
        accounts: Accounts,
        access: Arc<Access>,
        signing: Arc<Signing>,
    ) -> Self {
        let clients = Cache::new(10_000, IN_FORCE);
        Self { store, calls, catalogue, settings, accounts, access, signing, clients }
    }
}

/// The lines of the table about programs.
pub fn mount(context: Context, it: &Arc<Federation>) -> Context {
    let forgotten = Arc::clone(it);
    context
        .route::<RegisterClient, _>(Method::POST, "/v1/clients", it)
        .route::<ListClients, _>(Method::GET, "/v1/clients", it)
        .route::<GetClient, _>(Method::GET, "/v1/clients/{client}", it)
        .route::<UpdateClient, _>(Method::PATCH, "/v1/clients/{client}", it)
        .route::<DeleteClient, _>(Method::DELETE, "/v1/clients/{client}", it)
        .route::<RotateClientSecret, _>(Method::POST, "/v1/clients/{client}/secrets", it)
        .route::<RevokeClientSecret, _>(Method::DELETE, "/v1/clients/{client}/secrets/{number}", it)
        .route::<ListConsents, _>(Method::GET, "/v1/me/consents", it)
        .route::<WithdrawConsent, _>(Method::DELETE, "/v1/me/consents/{client}", it)
        .on("forget_consents", move |event: ClientDeleted, cx| {
            let it = Arc::clone(&forgotten);
            async move { it.withdraw_all("client", &event.client.to_string(), &cx).await }
        })
}

/// The endpoints that standards shape.
pub fn mount_protocol(context: Context, it: &Arc<Federation>) -> Context {
    protocol::mount(forms::Table::of(context, it, it.calls.clone())).into_context()
}
