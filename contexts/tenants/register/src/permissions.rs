//! What one may do with tenants.

use kernel::{Condition::Always, DefaultRole, Permission, PermissionDecl};

macro_rules! permissions {
    ($($(#[$doc:meta])* $const:ident $name:literal $meaning:literal [$($role:ident)*];)*) => {
        $(
            $(#[$doc])*
            #[doc = $meaning]
            pub const $const: Permission = Permission::new($name);
        )*
        /// All that this context declares, with those of its contracts.
        pub const ALL: &[PermissionDecl] = &[
            contracts::tenants::RESOLVE,
            contracts::tenants::PROVISIONED,
            contracts::tenants::ACTIVATE,
            contracts::tenants::HOLD,
            contracts::tenants::SEATS,
            contracts::tenants::BRANDING,
            contracts::tenants::SETTINGS,
            contracts::entitlements::GRANT,
            contracts::entitlements::CHECK,
            contracts::entitlements::QUOTA,
            $(PermissionDecl { permission: $const, meaning: $meaning, held_by: &[$((DefaultRole::$role, Always)),*] },)*
        ];
    };
}

/// To ask for one's features, and to see how they are defined.
pub const FEATURE_READ: Permission = contracts::entitlements::CHECK.permission;

permissions! {
    SIGN_UP "tenants.tenant.sign_up" "found a tenant for one's own company" [Visitor Operator];
    PROVISION "tenants.tenant.provision" "found a tenant for a customer" [Operator];
    READ "tenants.tenant.read" "see all tenants with their status and what they were given" [Operator];
    SUSPEND "tenants.tenant.suspend" "suspend a tenant and resume it" [Operator];
    ARCHIVE "tenants.tenant.archive" "put a tenant away and restore it" [Operator];
    ERASE "tenants.tenant.erase" "destroy a tenant with all its data" [Operator Service];
    QUOTA_UPDATE "tenants.quota.update" "say how much a tenant may use" [Operator];
    OVERRIDE "tenants.entitlement.override" "say what a feature is worth to one tenant" [Operator];
    COMMON_FEATURE "tenants.common_feature.update" "define and switch features of all tenants" [Operator];
    QUOTA_READ "tenants.quota.read" "see how much of a resource is used" [Member];
    FEATURE_UPDATE "tenants.feature.update" "define and switch features" [Admin];
    DOMAIN_READ "tenants.domain.read" "see the tenant's domains" [Admin];
    DOMAIN_UPDATE "tenants.domain.update" "add and remove the tenant's domains" [Owner];
    BRANDING_UPDATE "tenants.branding.update" "say how the tenant presents itself" [Owner];
    SETTINGS_UPDATE "tenants.settings.update" "set the tenant's time zone and language" [Admin];
}
