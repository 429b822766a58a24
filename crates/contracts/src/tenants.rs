//! Tenants: emitted and served by the context `tenants`.

use kernel::{
    Condition, DefaultRole, Effect, Event, Permission, PermissionDecl, Personal, ScopeKind, TenantId, Timestamp,
    UseCase, UserId,
    text::{DisplayName, EmailAddress, Slug},
    use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a tenant is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    /// Its people can use it.
    Active,
    /// Nobody can sign in; its data stays.
    Suspended,
    /// Its data is being destroyed, or is destroyed.
    Erased,
}

/// A tenant as other contexts and operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantView {
    /// Its id.
    pub id: TenantId,
    /// Its subdomain.
    pub slug: Slug,
    /// The company's name.
    pub name: DisplayName,
    /// Where it is in its life.
    pub status: TenantStatus,
    /// Why it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Finds a tenant by its id or slug.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveTenant {
    /// An id (`ten_…`) or a slug.
    pub name: String,
}

impl UseCase for ResolveTenant {
    type Output = TenantView;
    const NAME: &'static str = "tenants.resolve";
    const SCOPE: ScopeKind = ScopeKind::Platform;
    const NEEDS: Permission = RESOLVE.permission;
    const EFFECT: Effect = Effect::Tell;
}

/// See [`ResolveTenant`].
pub const RESOLVE: PermissionDecl = PermissionDecl {
    permission: Permission::new("tenants.tenant.resolve"),
    meaning: "find a tenant by its subdomain or id",
    held_by: &[
        (DefaultRole::Gateway, Condition::Always),
        (DefaultRole::Service, Condition::Always),
        (DefaultRole::Operator, Condition::Always),
    ],
};

/// Reserves a seat for a person; refused when all are taken. A reservation that is not confirmed until then is released by
/// itself, so that a crash leaks none; reserving again makes it last longer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReserveSeat {
    /// Whose seat; reserving twice takes one.
    pub user: UserId,
    /// Until when, at most 30 days from now; a quarter of an hour where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
}

impl UseCase for ReserveSeat {
    type Output = SeatsView;
    const NAME: &'static str = "tenants.seats.reserve";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const NEEDS: Permission = SEATS.permission;
}

/// Gives back a seat that was reserved and not confirmed. Repeatable.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseSeat {
    /// Whose.
    pub user: UserId,
}

use_case!(ReleaseSeat => (), "tenants.seats.release", Tenant, SEATS.permission);

/// How many seats there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeatsView {
    /// Granted.
    pub limit: u64,
    /// Taken, reservations included.
    pub used: u64,
}

/// See [`ReserveSeat`].
pub const SEATS: PermissionDecl = PermissionDecl {
    permission: Permission::new("tenants.seats.reserve"),
    meaning: "take a seat for a person who is invited",
    held_by: &[(DefaultRole::Admin, Condition::Always), (DefaultRole::Service, Condition::Always)],
};

/// A tenant exists, and its owner is to be registered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TenantProvisioned {
    /// Which.
    pub tenant: TenantId,
    /// Its subdomain.
    pub slug: Slug,
    /// The company.
    pub name: DisplayName,
    /// The id that its owner will have.
    pub owner: UserId,
    /// Where the owner is reached.
    pub owner_email: Personal<EmailAddress>,
    /// What the owner is called.
    pub owner_name: Personal<DisplayName>,
}

impl Event for TenantProvisioned {
    const TYPE: &'static str = "tenants.TenantProvisioned.v1";
    fn person(&self) -> Option<UserId> {
        Some(self.owner)
    }
}

/// A tenant's people can sign in no more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TenantSuspended {
    /// Which.
    pub tenant: TenantId,
    /// Why.
    pub reason: String,
}

impl Event for TenantSuspended {
    const TYPE: &'static str = "tenants.TenantSuspended.v1";
}

/// All is as before the suspension.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TenantResumed {
    /// Which.
    pub tenant: TenantId,
}

impl Event for TenantResumed {
    const TYPE: &'static str = "tenants.TenantResumed.v1";
}

/// The tenant's keys were destroyed; what is left of its data cannot be read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TenantErased {
    /// Which.
    pub tenant: TenantId,
}

impl Event for TenantErased {
    const TYPE: &'static str = "tenants.TenantErased.v1";
}

/// How much of a resource the tenant may use.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ResourceQuotaUpdated {
    /// Which resource.
    pub resource: String,
    /// How much.
    pub limit: u64,
}

impl Event for ResourceQuotaUpdated {
    const TYPE: &'static str = "tenants.ResourceQuotaUpdated.v1";
}

/// A feature was switched, wholly or for a share of the people.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FeatureEnabled {
    /// Its key.
    pub feature: String,
    /// Whether it is on at all.
    pub enabled: bool,
    /// For how many of a hundred.
    pub percentage: u8,
}

impl Event for FeatureEnabled {
    const TYPE: &'static str = "tenants.FeatureEnabled.v1";
}
