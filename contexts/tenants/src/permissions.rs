//! What one may do with tenants.

use kernel::{Condition::Always, DefaultRole, Permission, PermissionDecl};

macro_rules! permissions {
    ($($(#[$doc:meta])* $const:ident $name:literal $meaning:literal [$($role:ident)*];)*) => {
        $($(#[$doc])* pub(crate) const $const: Permission = Permission::new($name);)*
        /// All that this context declares, with those of its contracts.
        pub(crate) const ALL: &[PermissionDecl] = &[
            contracts::tenants::RESOLVE,
            contracts::tenants::SEATS,
            $(PermissionDecl { permission: $const, meaning: $meaning, held_by: &[$((DefaultRole::$role, Always)),*] },)*
        ];
    };
}

permissions! {
    SIGN_UP "tenants.tenant.sign_up" "found a tenant for one's own company" [Visitor Operator];
    READ "tenants.tenant.read" "see all tenants with their status" [Operator];
    SUSPEND "tenants.tenant.suspend" "suspend a tenant and resume it" [Operator];
    ERASE "tenants.tenant.erase" "destroy a tenant with all its data" [Operator Service];
    QUOTA "tenants.quota.update" "say how much a tenant may use" [Operator];
    QUOTA_READ "tenants.quota.read" "see how much of a resource is used" [Member];
    FEATURE_UPDATE "tenants.feature.update" "switch a feature" [Admin];
    FEATURE_READ "tenants.feature.read" "ask whether a feature is on" [Person];
}
