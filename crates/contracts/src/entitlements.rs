//! What a tenant and its people may use, and how much: emitted and served by the context `tenants`.

use std::collections::BTreeMap;

use kernel::{
    Condition, DefaultRole, Event, Permission, PermissionDecl, TenantId,
    text::{DisplayName, Key},
    use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Grants a tenant what a plan contains. A later grant under the same slot takes the place of the former, so that a new
/// version of a plan leaves nothing of the old; granting nothing takes all of it back. Repeatable.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantEntitlements {
    /// Which tenant.
    pub tenant: TenantId,
    /// What the grant replaces: `plan`, or the name of an add-on.
    #[serde(default = "plan")]
    pub slot: Key,
    /// Where it comes from, as people read it: `team plan v3`.
    pub source: DisplayName,
    /// Feature to value: true or false, the name or value of a variant, or an amount. Of several amounts the largest
    /// counts.
    pub features: BTreeMap<Key, Value>,
}

fn plan() -> Key {
    "plan".parse().expect("a word of small letters")
}

use_case!(GrantEntitlements => (), "tenants.entitlements.grant", Platform, GRANT.permission, |it| it.tenant.into());

/// See [`GrantEntitlements`].
pub const GRANT: PermissionDecl = PermissionDecl {
    permission: Permission::new("tenants.entitlement.grant"),
    meaning: "grant a tenant what a plan contains",
    held_by: &[(DefaultRole::Service, Condition::Always), (DefaultRole::Operator, Condition::Always)],
};

/// Tells what this tenant, and this person, may do here, or how much: the same answer everywhere, with its reason.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckEntitlement {
    /// Which feature.
    pub feature: Key,
    /// Whom a rollout goes by; the caller where nothing is said.
    #[schemars(length(max = 256))]
    pub target: Option<String>,
    /// What rules may ask for: `role`, `country`, … (`plan` and `tenant` are set by the platform).
    #[serde(default)]
    pub attributes: Map<String, Value>,
}

use_case!(CheckEntitlement => EntitlementView, "tenants.entitlements.check", Tenant, CHECK.permission, Tell);

/// What a feature is worth to someone, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EntitlementView {
    /// Which.
    pub feature: Key,
    /// The value.
    pub value: Value,
    /// The name of the value, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Why, in the words of OpenFeature.
    pub reason: String,
    /// Why, as people read it: `team plan v3`, `rule 2: 50% rollout`.
    pub explanation: String,
}

/// See [`CheckEntitlement`].
pub const CHECK: PermissionDecl = PermissionDecl {
    permission: Permission::new("tenants.feature.read"),
    meaning: "ask whether a feature is on, and how much of a resource there is",
    held_by: &[
        (DefaultRole::Person, Condition::Always),
        (DefaultRole::Gateway, Condition::Always),
        (DefaultRole::Service, Condition::Always),
    ],
};

/// How much of a resource there is, and how much is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuotaView {
    /// Which resource.
    pub resource: Key,
    /// Granted.
    pub limit: u64,
    /// Used, reservations included.
    pub used: u64,
    /// Whether more than the limit can be used.
    pub soft: bool,
    /// The period after which counting begins anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per: Option<Period>,
}

/// After what an amount that is used up comes back, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// With each hour.
    Hour,
    /// With each day.
    Day,
    /// With each month.
    Month,
}

/// Reserves an amount of a resource under an id of the caller's; refused when there is not as much left. What is not
/// confirmed in time is released by itself. Repeatable.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReserveQuota {
    /// Which resource.
    pub resource: Key,
    /// Under which id; the same id reserves once.
    #[schemars(length(min = 1, max = 64))]
    pub id: String,
    /// How much.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub amount: u64,
    /// For how many seconds, a day at most.
    #[serde(default = "quarter")]
    #[schemars(range(min = 1, max = 86_400))]
    pub seconds: u32,
}

fn one() -> u64 {
    1
}

fn quarter() -> u32 {
    900
}

use_case!(ReserveQuota => QuotaView, "tenants.quotas.reserve", Tenant, QUOTA.permission);

/// Keeps what was reserved: counted as used until it is released, or until the period is over. Repeatable.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmQuota {
    /// Which resource.
    pub resource: Key,
    /// The id of the reservation.
    #[schemars(length(min = 1, max = 64))]
    pub id: String,
}

use_case!(ConfirmQuota => QuotaView, "tenants.quotas.confirm", Tenant, QUOTA.permission);

/// Gives back what was reserved or kept under an id. What was used up of a period stays used. Repeatable.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseQuota {
    /// Which resource.
    pub resource: Key,
    /// The id of the reservation.
    #[schemars(length(min = 1, max = 64))]
    pub id: String,
}

use_case!(ReleaseQuota => QuotaView, "tenants.quotas.release", Tenant, QUOTA.permission);

/// Uses up an amount of a resource that comes back with each period. For high rates: amounts are taken from the quota in
/// slices, counted as used when they are taken, so that never more is used than granted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpendQuota {
    /// Which resource.
    pub resource: Key,
    /// How much.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub amount: u64,
}

use_case!(SpendQuota => (), "tenants.quotas.spend", Tenant, QUOTA.permission);

/// See [`ReserveQuota`].
pub const QUOTA: PermissionDecl = PermissionDecl {
    permission: Permission::new("tenants.quota.use"),
    meaning: "reserve and use amounts of resources",
    held_by: &[(DefaultRole::Admin, Condition::Always), (DefaultRole::Service, Condition::Always)],
};

/// An operator said how much of a resource the tenant may use.
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

/// Much of a resource is used.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct QuotaWarning {
    /// Which resource.
    pub resource: String,
    /// Which part of it: 80 or 100 of a hundred.
    pub percent: u8,
    /// How much is used.
    pub used: u64,
    /// Of how much.
    pub limit: u64,
}

impl Event for QuotaWarning {
    const TYPE: &'static str = "tenants.QuotaWarning.v1";
}

/// A feature was switched or defined anew.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FeatureEnabled {
    /// Its key.
    pub feature: String,
    /// Whether it is on at all.
    pub enabled: bool,
    /// For how many of a hundred, where no rule says otherwise.
    pub percentage: u8,
    /// The definition before; null for a new one.
    #[serde(default)]
    pub from: Value,
    /// The definition from now on.
    #[serde(default)]
    pub to: Value,
}

impl Event for FeatureEnabled {
    const TYPE: &'static str = "tenants.FeatureEnabled.v1";
}

/// An operator said what a feature is worth to one tenant, or took that back.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FeatureOverridden {
    /// Its key.
    pub feature: String,
    /// What was said before; null where nothing was.
    pub from: Value,
    /// What holds from now on; null where it was taken back.
    pub to: Value,
}

impl Event for FeatureOverridden {
    const TYPE: &'static str = "tenants.FeatureOverridden.v1";
}

/// A tenant was granted what a plan contains.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EntitlementsGranted {
    /// What it replaced.
    pub slot: String,
    /// Where it comes from.
    pub source: String,
    /// What is granted; nothing where it was taken back.
    pub features: BTreeMap<String, Value>,
}

impl Event for EntitlementsGranted {
    const TYPE: &'static str = "tenants.EntitlementsGranted.v1";
}
