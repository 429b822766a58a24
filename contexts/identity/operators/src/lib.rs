//! Those who run the installation: claiming it, inviting each other, signing in, their own account.
//!
//! An installation is **claimed** once, by whoever has the link that only its log tells. The last operator cannot be removed.
//! What an operator does about accounts takes their password or a code each time.

mod account_page;
mod operator_commands;
mod pages;
mod totp;

use std::sync::Arc;

use accounts::{Accounts, Settings, permissions as may, roster::Claimed};
use forms::Table;
use http::Method;
use kernel::{Calls, Context, Cx, Problem, ScopeKind};
use proofs::Passwords;
use risk::Risk;
use sign_in::SignIn;
use store::Store;

use operator_commands::{ChangeOperatorPassword, EndOperatorSessions, InviteOperator, ListOperators, RemoveOperator};
use totp::{BeginOperatorTotp, ConfirmOperatorTotp, DropOperatorTotp, RenewOperatorCodes};

/// Lets operators in.
pub struct Operators {
    store: Store,
    calls: Calls,
    settings: Settings,
    accounts: Accounts,
    risk: Risk,
    passwords: Passwords,
    sign_in: Arc<SignIn>,
}

/// The token of the link by which a new installation is claimed.
pub fn claim_token(store: &Store) -> String {
    data_encoding::HEXLOWER.encode(&store.keys().derived("identity/claim"))
}

/// Whether the installation has an operator.
pub async fn is_claimed(store: &Store, cx: &Cx) -> Result<bool, Problem> {
    Ok(store.at(cx).try_load::<Claimed>(&Claimed::ID.to_owned()).await?.is_some())
}

impl Operators {
    /// With what it stands on.
    pub fn new(
        (store, calls): (Store, Calls),
        settings: Settings,
        accounts: Accounts,
        (risk, passwords): (Risk, Passwords),
        sign_in: Arc<SignIn>,
    ) -> Self {
        Self { store, calls, settings, accounts, risk, passwords, sign_in }
    }
}

/// The lines of the table about operators.
pub fn mount(context: Context, it: &Arc<Operators>) -> Context {
    context
        .route::<ListOperators, _>(Method::GET, "/v1/operators", it)
        .route::<InviteOperator, _>(Method::POST, "/v1/operators", it)
        .route::<RemoveOperator, _>(Method::POST, "/v1/operators/{operator}/remove", it)
        .route::<ChangeOperatorPassword, _>(Method::PUT, "/v1/operator/password", it)
        .route::<EndOperatorSessions, _>(Method::POST, "/v1/operator/sessions/end-all", it)
        .route::<BeginOperatorTotp, _>(Method::POST, "/v1/operator/totp", it)
        .route::<ConfirmOperatorTotp, _>(Method::POST, "/v1/operator/totp/confirm", it)
        .route::<RenewOperatorCodes, _>(Method::POST, "/v1/operator/totp/recovery-codes", it)
        .route::<DropOperatorTotp, _>(Method::POST, "/v1/operator/totp/drop", it)
}

/// Their pages.
pub fn mount_pages(context: Context, it: &Arc<Operators>) -> Context {
    let platform = (ScopeKind::Platform, may::SIGN_IN);
    let claim = (ScopeKind::Platform, may::CLAIM);
    let get = |path| (Method::GET, path);
    let post = |path| (Method::POST, path);
    Table::of(context, it, it.calls.clone())
        .at(get("/claim"), "identity.pages.claim", "The page of the claim link", claim, Operators::claim_form)
        .at(post("/claim"), "identity.pages.claimed", "Makes the first operator", claim, Operators::claim)
        .at(
            get("/operator/welcome"),
            "identity.pages.operator_welcome",
            "The page of an operator's invitation",
            platform,
            Operators::operator_welcome_form,
        )
        .at(
            post("/operator/welcome"),
            "identity.pages.operator_welcomed",
            "Chooses an operator's password",
            platform,
            Operators::operator_welcome,
        )
        .at(
            get("/operator/sign-in"),
            "identity.pages.operator",
            "The operators' sign-in page",
            platform,
            Operators::operator_form,
        )
        .at(
            post("/operator/sign-in"),
            "identity.pages.operator_signed_in",
            "Signs an operator in",
            platform,
            Operators::operator_sign_in,
        )
        .at(
            post("/operator/sign-out"),
            "identity.pages.operator_sign_out",
            "Signs an operator out",
            platform,
            Operators::operator_sign_out,
        )
        .at(
            get("/operator/account"),
            "identity.pages.operator_account",
            "An operator's own account",
            platform,
            Operators::operator_account_form,
        )
        .at(
            post("/operator/account"),
            "identity.pages.operator_account_changed",
            "Changes it",
            platform,
            Operators::operator_account,
        )
        .into_context()
}
