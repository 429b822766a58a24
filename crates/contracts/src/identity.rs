//! Identity: emitted and served by the context `identity`.

use kernel::{
    Caller, Condition, DefaultRole, Effect, Event, Grants, Permission, PermissionDecl, Personal, ScopeKind, Timestamp,
    UseCase, UserId, id_kind,
    text::{DisplayName, EmailAddress},
    use_case,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Tells who a credential belongs to, and what it may do.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Authenticate {
    /// A session cookie, access token or API key; its form says which.
    pub credential: String,
}

impl UseCase for Authenticate {
    type Output = Principal;
    const NAME: &'static str = "identity.authenticate";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const NEEDS: Permission = AUTHENTICATE.permission;
    const EFFECT: Effect = Effect::Tell;
}

/// See [`Authenticate`].
pub const AUTHENTICATE: PermissionDecl = PermissionDecl {
    permission: Permission::new("identity.credential.authenticate"),
    meaning: "tell who a credential belongs to",
    held_by: &[(DefaultRole::Gateway, Condition::Always)],
};

/// The same for the people who run the installation.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthenticateOperator {
    /// The operator's session.
    pub credential: String,
}

impl UseCase for AuthenticateOperator {
    type Output = Principal;
    const NAME: &'static str = "identity.authenticate_operator";
    const SCOPE: ScopeKind = ScopeKind::Platform;
    const NEEDS: Permission = AUTHENTICATE.permission;
    const EFFECT: Effect = Effect::Tell;
}

/// Ends what a person can do at once, before they are deactivated or erased: standing, sessions, grants. Refused for the
/// last active owner (`identity.last_owner`), and for an owner where the caller may not change roles. Repeatable; what
/// follows [`UserDeactivated`](crate::users::UserDeactivated) is the same again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseAccess {
    /// Whose.
    pub user: UserId,
}

use_case!(CloseAccess => (), "identity.access.close", Tenant, CLOSE_ACCESS.permission, |it| it.user.into());

/// See [`CloseAccess`].
pub const CLOSE_ACCESS: PermissionDecl = PermissionDecl {
    permission: Permission::new("identity.access.close"),
    meaning: "end what a person can do here",
    held_by: &[
        (DefaultRole::Person, Condition::Own),
        (DefaultRole::Admin, Condition::Always),
        (DefaultRole::Service, Condition::Always),
    ],
};

/// A caller whose credential is good.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Principal {
    /// Who.
    pub caller: Caller,
    /// What the caller may do.
    pub grants: Grants,
    /// When the credential ends.
    pub expires: Timestamp,
}

impl JsonSchema for Principal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Principal".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

/// A person of a tenant exists.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserRegistered {
    /// Who.
    pub user: UserId,
    /// The address.
    pub email: Personal<EmailAddress>,
    /// The name.
    pub name: Personal<DisplayName>,
}

impl Event for UserRegistered {
    const TYPE: &'static str = "identity.UserRegistered.v1";
    fn person(&self) -> Option<UserId> {
        Some(self.user)
    }
}

/// Why a link is mailed to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkPurpose {
    /// To show that the address is theirs.
    Verify,
    /// To join a company that invited them.
    Invite,
    /// To choose a new password.
    Recover,
    /// To agree, at the address of before, that the person is reached at another from now on.
    LeaveAddress,
    /// To show that the new address is theirs.
    EnterAddress,
}

/// A person is to get a link by mail.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LinkRequested {
    /// Who.
    pub user: UserId,
    /// Why.
    pub purpose: LinkPurpose,
    /// Where to.
    pub email: Personal<EmailAddress>,
    /// The name.
    pub name: Personal<DisplayName>,
    /// The link, good once and for a while.
    pub link: Personal<String>,
}

impl Event for LinkRequested {
    const TYPE: &'static str = "identity.LinkRequested.v1";
    fn person(&self) -> Option<UserId> {
        Some(self.user)
    }
}

/// The person has shown that the address is theirs and chosen a password.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserActivated {
    /// Who.
    pub user: UserId,
}

impl Event for UserActivated {
    const TYPE: &'static str = "identity.UserActivated.v1";
}

/// A person signed in.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserAuthenticated {
    /// Who.
    pub user: UserId,
    /// By which means (RFC 8176: `pwd`, `otp`).
    pub methods: Vec<String>,
}

impl Event for UserAuthenticated {
    const TYPE: &'static str = "identity.UserAuthenticated.v1";
}

/// A person's roles changed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RoleAssigned {
    /// Who.
    pub user: UserId,
    /// All the roles from now on.
    pub roles: Vec<String>,
}

impl Event for RoleAssigned {
    const TYPE: &'static str = "identity.RoleAssigned.v1";
}

/// A second factor is asked for from now on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MFAEnabled {
    /// Who.
    pub user: UserId,
    /// Which (`totp`).
    pub method: String,
}

impl Event for MFAEnabled {
    const TYPE: &'static str = "identity.MFAEnabled.v1";
}

/// An invitation that nobody followed was taken back: there is no such person.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct InvitationRevoked {
    /// Who it would have been.
    pub user: UserId,
}

impl Event for InvitationRevoked {
    const TYPE: &'static str = "identity.InvitationRevoked.v1";
}

/// A person is reached at another address, and signs in with it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EmailChanged {
    /// Who.
    pub user: UserId,
    /// The new address.
    pub email: Personal<EmailAddress>,
}

impl Event for EmailChanged {
    const TYPE: &'static str = "identity.EmailChanged.v1";
    fn person(&self) -> Option<UserId> {
        Some(self.user)
    }
}

/// A second factor is asked for no more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MFADisabled {
    /// Who.
    pub user: UserId,
}

impl Event for MFADisabled {
    const TYPE: &'static str = "identity.MFADisabled.v1";
}

id_kind!(
    /// A role that a tenant made.
    RoleId, RoleKind, "rol"
);

/// A tenant's own role grants these from now on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PermissionGranted {
    /// Which role.
    pub role: RoleId,
    /// The roles it includes, by name or id.
    pub inherits: Vec<String>,
    /// All the permissions of its own.
    pub permissions: Vec<String>,
}

impl Event for PermissionGranted {
    const TYPE: &'static str = "identity.PermissionGranted.v1";
}

/// A tenant's own role is no more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RoleDeleted {
    /// Which.
    pub role: RoleId,
}

impl Event for RoleDeleted {
    const TYPE: &'static str = "identity.RoleDeleted.v1";
}

/// The product has a permission of its own, or says anew what it means and who holds it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PermissionDeclared {
    /// Its name.
    pub permission: String,
}

impl Event for PermissionDeclared {
    const TYPE: &'static str = "identity.PermissionDeclared.v1";
}

/// The product has this permission no more: nobody holds it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PermissionWithdrawn {
    /// Its name.
    pub permission: String,
}

impl Event for PermissionWithdrawn {
    const TYPE: &'static str = "identity.PermissionWithdrawn.v1";
}
