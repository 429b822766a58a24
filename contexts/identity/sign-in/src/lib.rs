//! How people come in, and what they do about their own sign-in.
//!
//! An address and a password come first, a code second where it was set up. A **device** that its person has signed in with
//! is told from a stranger's. An **invitation** holds a seat while its link is good.

pub mod device;
mod invitations;
mod me;
mod pages;
pub mod steps;
mod totp;

use std::sync::Arc;

use access::Access;
use accounts::{Accounts, Service, Settings, permissions as may};
use forms::Table;
use http::Method;
use kernel::{Calls, Context, ScopeKind};
use proofs::Passwords;
use risk::Risk;
use store::Store;

use invitations::{Invite, ListInvitations, ResendInvitation, RevokeInvitation};
use me::{ChangeEmail, ChangePassword, EndAllSessions, ListSessions, Prove, RevokeSession};
use totp::{BeginTotp, ConfirmTotp, DropTotp, RenewRecoveryCodes};

pub use pages::sign_in as page;
pub use totp::{RecoveryCodes, TotpSecret};

/// Lets people in.
pub struct SignIn {
    store: Store,
    calls: Calls,
    settings: Settings,
    accounts: Accounts,
    access: Arc<Access>,
    risk: Risk,
    passwords: Passwords,
    service: Service,
}

impl SignIn {
    /// With what it stands on.
    pub fn new(
        (store, calls): (Store, Calls),
        settings: Settings,
        (accounts, access): (Accounts, Arc<Access>),
        (risk, passwords): (Risk, Passwords),
        service: Service,
    ) -> Self {
        Self { store, calls, settings, accounts, access, risk, passwords, service }
    }
}

/// The lines of the table about one's own sign-in.
pub fn mount(context: Context, it: &Arc<SignIn>) -> Context {
    context
        .route::<ListSessions, _>(Method::GET, "/v1/me/sessions", it)
        .route::<RevokeSession, _>(Method::DELETE, "/v1/me/sessions/{session}", it)
        .route::<EndAllSessions, _>(Method::POST, "/v1/me/sessions/end-all", it)
        .route::<Prove, _>(Method::POST, "/v1/me/prove", it)
        .route::<ChangePassword, _>(Method::PUT, "/v1/me/password", it)
        .route::<ChangeEmail, _>(Method::PUT, "/v1/me/email", it)
        .route::<BeginTotp, _>(Method::POST, "/v1/me/totp", it)
        .route::<ConfirmTotp, _>(Method::POST, "/v1/me/totp/confirm", it)
        .route::<RenewRecoveryCodes, _>(Method::POST, "/v1/me/totp/recovery-codes", it)
        .route::<DropTotp, _>(Method::DELETE, "/v1/me/totp", it)
}

/// The lines of the table about invitations.
pub fn mount_invitations(context: Context, it: &Arc<SignIn>) -> Context {
    context
        .route::<Invite, _>(Method::POST, "/v1/invitations", it)
        .route::<ListInvitations, _>(Method::GET, "/v1/invitations", it)
        .route::<ResendInvitation, _>(Method::POST, "/v1/invitations/{user}/resend", it)
        .route::<RevokeInvitation, _>(Method::DELETE, "/v1/invitations/{user}", it)
}

/// The pages of a tenant's people, and that where a company comes in.
pub fn mount_pages(context: Context, it: &Arc<SignIn>) -> Context {
    let (tenant, platform) = ((ScopeKind::Tenant, may::SIGN_IN), (ScopeKind::Platform, may::SIGN_IN));
    let get = |path| (Method::GET, path);
    let post = |path| (Method::POST, path);
    let table = Table::of(context, it, it.calls.clone())
        .at(get("/sign-in"), "identity.pages.sign_in", "The sign-in page", tenant, SignIn::sign_in_form)
        .at(post("/sign-in"), "identity.pages.signed_in", "Signs in", tenant, SignIn::sign_in)
        .at(post("/sign-out"), "identity.pages.sign_out", "Signs out", tenant, SignIn::sign_out)
        .at(get("/welcome"), "identity.pages.welcome", "The page of a mailed link", tenant, SignIn::welcome_form)
        .at(post("/welcome"), "identity.pages.welcomed", "Chooses a password", tenant, SignIn::welcome)
        .at(get("/recover"), "identity.pages.recover", "Asks for a new password", tenant, SignIn::recover_form)
        .at(post("/recover"), "identity.pages.recovered", "Mails a link", tenant, SignIn::recover)
        .at(
            get("/change-address"),
            "identity.pages.change_address",
            "The page of a link to change the address",
            tenant,
            SignIn::change_address_form,
        )
        .at(
            post("/change-address"),
            "identity.pages.changed_address",
            "Agrees to a change of address",
            tenant,
            SignIn::change_address,
        )
        .at(get("/account"), "identity.pages.account", "A person's own account", tenant, SignIn::account_form)
        .at(post("/account"), "identity.pages.account_changed", "Changes it", tenant, SignIn::account);
    table
        .at(get("/sign-up"), "identity.pages.sign_up", "Where a company comes in", platform, SignIn::sign_up_form)
        .at(post("/sign-up"), "identity.pages.signed_up", "Founds a tenant", platform, SignIn::sign_up)
        .into_context()
}
