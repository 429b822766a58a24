//! The lines of the table that are about people, their roles, and operators.

use std::sync::Arc;

use contracts::{
    identity::{CloseAccess, UserActivated},
    users::{UserDeactivated, UserErasureRequested, UserReactivated},
};
use http::Method;
use kernel::{Context, ScopeKind};

use crate::{
    Identity, Table,
    invitations::{Invite, ListInvitations, ResendInvitation, RevokeInvitation},
    me::{
        BeginTotp, ChangeEmail, ChangePassword, ConfirmTotp, DropTotp, EndAllSessions, ListSessions, Prove,
        RenewRecoveryCodes, RevokeSession,
    },
    operator_commands::{
        BeginOperatorTotp, ChangeOperatorPassword, ConfirmOperatorTotp, DropOperatorTotp, EndOperatorSessions,
        InviteOperator, ListOperators, RemoveOperator, RenewOperatorCodes,
    },
    permission_commands::{CheckPermission, DeclarePermission, ListDeclared, ListPermissions, WithdrawPermission},
    permissions as may,
    person::ExportPerson,
    role_commands::{AssignRoles, CreateRole, DeleteRole, ListRoles, ReadRoles, UpdateRole},
};

pub(crate) fn table(context: Context, it: &Arc<Identity>) -> Context {
    reactions(operators(roles(own(context, it), it), it), it)
        .internal::<CloseAccess, _>(it)
        .internal::<ExportPerson, _>(it)
}

fn own(context: Context, it: &Arc<Identity>) -> Context {
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

fn roles(context: Context, it: &Arc<Identity>) -> Context {
    context
        .route::<Invite, _>(Method::POST, "/v1/invitations", it)
        .route::<ListInvitations, _>(Method::GET, "/v1/invitations", it)
        .route::<ResendInvitation, _>(Method::POST, "/v1/invitations/{user}/resend", it)
        .route::<RevokeInvitation, _>(Method::DELETE, "/v1/invitations/{user}", it)
        .route::<ReadRoles, _>(Method::GET, "/v1/users/{user}/roles", it)
        .route::<AssignRoles, _>(Method::PUT, "/v1/users/{user}/roles", it)
        .route::<ListRoles, _>(Method::GET, "/v1/roles", it)
        .route::<CreateRole, _>(Method::POST, "/v1/roles", it)
        .route::<UpdateRole, _>(Method::PUT, "/v1/roles/{role}", it)
        .route::<DeleteRole, _>(Method::DELETE, "/v1/roles/{role}", it)
        .route::<ListPermissions, _>(Method::GET, "/v1/permissions", it)
        .route::<CheckPermission, _>(Method::POST, "/v1/permissions/check", it)
}

fn operators(context: Context, it: &Arc<Identity>) -> Context {
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
        .route::<ListDeclared, _>(Method::GET, "/v1/product/permissions", it)
        .route::<DeclarePermission, _>(Method::PUT, "/v1/product/permissions/{permission}", it)
        .route::<WithdrawPermission, _>(Method::DELETE, "/v1/product/permissions/{permission}", it)
}

fn reactions(context: Context, it: &Arc<Identity>) -> Context {
    let [activated, deactivated, reactivated, erased] = [(); 4].map(|()| Arc::clone(it));
    context
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

pub(crate) fn pages(table: Table) -> Table {
    let tenant = (ScopeKind::Tenant, may::SIGN_IN);
    let get = |path| (Method::GET, path);
    let post = |path| (Method::POST, path);
    let table = table
        .at(get("/sign-in"), "identity.pages.sign_in", "The sign-in page", tenant, Identity::sign_in_form)
        .at(post("/sign-in"), "identity.pages.signed_in", "Signs in", tenant, Identity::sign_in)
        .at(post("/sign-out"), "identity.pages.sign_out", "Signs out", tenant, Identity::sign_out)
        .at(get("/welcome"), "identity.pages.welcome", "The page of a mailed link", tenant, Identity::welcome_form)
        .at(post("/welcome"), "identity.pages.welcomed", "Chooses a password", tenant, Identity::welcome)
        .at(get("/recover"), "identity.pages.recover", "Asks for a new password", tenant, Identity::recover_form)
        .at(post("/recover"), "identity.pages.recovered", "Mails a link", tenant, Identity::recover)
        .at(
            get("/change-address"),
            "identity.pages.change_address",
            "The page of a link to change the address",
            tenant,
            Identity::change_address_form,
        )
        .at(
            post("/change-address"),
            "identity.pages.changed_address",
            "Agrees to a change of address",
            tenant,
            Identity::change_address,
        )
        .at(get("/account"), "identity.pages.account", "A person's own account", tenant, Identity::account_form)
        .at(post("/account"), "identity.pages.account_changed", "Changes it", tenant, Identity::account);
    platform_pages(table)
}

fn platform_pages(table: Table) -> Table {
    let platform = (ScopeKind::Platform, may::SIGN_IN);
    let claim = (ScopeKind::Platform, may::CLAIM);
    let get = |path| (Method::GET, path);
    let post = |path| (Method::POST, path);
    table
        .at(get("/sign-up"), "identity.pages.sign_up", "Where a company comes in", platform, Identity::sign_up_form)
        .at(post("/sign-up"), "identity.pages.signed_up", "Founds a tenant", platform, Identity::sign_up)
        .at(get("/claim"), "identity.pages.claim", "The page of the claim link", claim, Identity::claim_form)
        .at(post("/claim"), "identity.pages.claimed", "Makes the first operator", claim, Identity::claim)
        .at(
            get("/operator/welcome"),
            "identity.pages.operator_welcome",
            "The page of an operator's invitation",
            platform,
            Identity::operator_welcome_form,
        )
        .at(
            post("/operator/welcome"),
            "identity.pages.operator_welcomed",
            "Chooses an operator's password",
            platform,
            Identity::operator_welcome,
        )
        .at(
            get("/operator/sign-in"),
            "identity.pages.operator",
            "The operators' sign-in page",
            platform,
            Identity::operator_form,
        )
        .at(
            post("/operator/sign-in"),
            "identity.pages.operator_signed_in",
            "Signs an operator in",
            platform,
            Identity::operator_sign_in,
        )
        .at(
            post("/operator/sign-out"),
            "identity.pages.operator_sign_out",
            "Signs an operator out",
            platform,
            Identity::operator_sign_out,
        )
        .at(
            get("/operator/account"),
            "identity.pages.operator_account",
            "An operator's own account",
            platform,
            Identity::operator_account_form,
        )
        .at(
            post("/operator/account"),
            "identity.pages.operator_account_changed",
            "Changes it",
            platform,
            Identity::operator_account,
        )
}
