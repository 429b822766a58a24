//! Identity: who people are, and how they show it.
//!
//! This crate puts the context together and answers what concerns all of it: whose a credential is, how a tenant is set up,
//! what becomes of a person. Its parts, lowest first, are `proofs` (passwords, codes, secrets), `accounts` (users, operators,
//! sessions, links), `risk` (guesses and floods), `access` (roles, permissions, API keys), `signing` (a tenant's keys),
//! `forms` (what pages are made of), `sign-in`, `operators`, and `federation` (OpenID Connect).

mod authenticate;
mod person;
mod provisioning;

use std::sync::Arc;

use access::Access;
use accounts::{Accounts, Service, permissions};
use contracts::{
    identity::{Authenticate, AuthenticateOperator, CloseAccess, UserActivated},
    tenants::TenantProvisioned,
    users::{UserDeactivated, UserErasureRequested, UserReactivated},
};
use federation::Federation;
use kernel::{Calls, Catalogue, Context, Cx, PermissionDecl};
use operators::Operators;
use proofs::Passwords;
use risk::Risk;
use sign_in::SignIn;
use signing::Signing;
use store::Store;

use person::ExportPerson;

pub use accounts::Settings;
pub use operators::{claim_token, is_claimed};
pub use proofs::Hashing;

/// What this context declares.
pub const PERMISSIONS: &[PermissionDecl] = permissions::ALL;

/// What concerns all of the context.
struct Identity {
    store: Store,
    calls: Calls,
    catalogue: Arc<Catalogue>,
    settings: Settings,
    accounts: Accounts,
    risk: Risk,
    access: Arc<Access>,
    signing: Arc<Signing>,
    federation: Arc<Federation>,
}

/// The context, with its table.
pub fn context(
    store: Store,
    calls: Calls,
    catalogue: Arc<Catalogue>,
    settings: Settings,
    platform: impl Fn() -> Cx + Send + Sync + 'static,
) -> Context {
    let ports = || (store.clone(), calls.clone());
    let (service, accounts) = (Service::new(platform), Accounts::new(store.clone()));
    let (risk, passwords) = (Risk::new(store.clone(), service.clone()), Passwords::new(settings.hashing));
    let guards = || (risk.clone(), passwords.clone());
    let access = Arc::new(Access::new(store.clone(), accounts.clone(), Arc::clone(&catalogue), service.clone()));
    let signing = Arc::new(Signing::new(store.clone(), accounts.clone(), settings.hashing));
    let people = (accounts.clone(), Arc::clone(&access));
    let sign_in = Arc::new(SignIn::new(ports(), settings.clone(), people, guards(), service));
    let operators =
        Arc::new(Operators::new(ports(), settings.clone(), accounts.clone(), guards(), Arc::clone(&sign_in)));
    let federation = Arc::new(Federation::new(
        (store.clone(), calls.clone(), Arc::clone(&catalogue)),
        settings.clone(),
        accounts.clone(),
        Arc::clone(&access),
        Arc::clone(&signing),
    ));
    let context = Context::new("identity", PERMISSIONS)
        .about("Who people are, and how they show it: sign-in, sessions, roles, OpenID Connect, API keys.");
    let context = access::mount_keys(signing::mount(federation::mount(context, &federation), &signing), &access);
    let context = sign_in::mount_invitations(sign_in::mount(context, &sign_in), &sign_in);
    let context = operators::mount(access::mount(context, &access), &operators);
    let context = access::mount_product(context, &access);
    let context = operators::mount_pages(sign_in::mount_pages(context, &sign_in), &operators);
    let context = federation::mount_protocol(context, &federation);
    let it = Arc::new(Identity { store, calls, catalogue, settings, accounts, risk, access, signing, federation });
    of_all(context, &it)
}

/// What concerns all parts.
fn of_all(context: Context, it: &Arc<Identity>) -> Context {
    let [provisioned, activated, deactivated, reactivated, erased] = [(); 5].map(|()| Arc::clone(it));
    context
        .internal::<Authenticate, _>(it)
        .internal::<AuthenticateOperator, _>(it)
        .internal::<CloseAccess, _>(it)
        .internal::<ExportPerson, _>(it)
        .on("provision", move |event: TenantProvisioned, cx| {
            let it = Arc::clone(&provisioned);
            async move { it.provisioned(event, cx).await }
        })
        .on("owner_came_in", move |event: UserActivated, cx| {
            let it = Arc::clone(&activated);
            async move { it.owner_came_in(event.user, &cx).await }
        })
        .on("close_access", move |event: UserDeactivated, cx| {
            let it = Arc::clone(&deactivated);
            async move { it.deactivated(event, cx).await }
        })
        .on("reopen_access", move |event: UserReactivated, cx| {
            let it = Arc::clone(&reactivated);
            async move { it.reactivated(event, cx).await }
        })
        .on("erase_person", move |event: UserErasureRequested, cx| {
            let it = Arc::clone(&erased);
            async move { it.erased(event, cx).await }
        })
}

#[cfg(test)]
mod tests;
