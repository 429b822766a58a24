//! What one may do with identities.

use kernel::{Condition, DefaultRole, Permission, PermissionDecl};

macro_rules! permissions {
    ($($const:ident $name:literal $meaning:literal [$($role:ident $condition:ident)*];)*) => {
        $(
            #[doc = $meaning]
            pub const $const: Permission = Permission::new($name);
        )*
        /// All that this context declares, with those of its contracts.
        pub const ALL: &[PermissionDecl] = &[
            contracts::identity::AUTHENTICATE,
            contracts::identity::CLOSE_ACCESS,
            $(PermissionDecl {
                permission: $const,
                meaning: $meaning,
                held_by: &[$((DefaultRole::$role, Condition::$condition)),*],
            },)*
        ];
    };
}

permissions! {
    SIGN_IN "identity.session.create" "sign in, and see the pages for it" [Visitor Always Person Always Operator Always];
    OWN "identity.self.update" "see and change one's own sign-in: sessions, second factor" [Person Own];
    INVITE "identity.user.invite" "invite people" [Admin Always];
    ROLES_READ "identity.role.read" "see who has which role, and why" [Person Own Member Always];
    ROLES_UPDATE "identity.role.update" "make roles, give people roles and take them" [Owner Always];
    CLIENT_UPDATE "identity.client.update" "register programs that people sign in to" [Owner Always];
    KEYS "identity.api_key.update" "make and end keys for programs" [Admin Always];
    USERINFO "identity.userinfo.read" "learn from the OpenID provider who one is" [Person Own];
    USERINFO_NAME "identity.userinfo.profile" "learn one's own name there" [Person Own];
    USERINFO_EMAIL "identity.userinfo.email" "learn one's own e-mail address there" [Person Own];
    SIGNING_UPDATE "identity.signing_key.update" "see and rotate the keys that sign" [Owner Always Operator Always];
    INTROSPECT "identity.token.introspect" "be told what any token of the tenant is good for" [Owner Always];
    CLAIM "identity.installation.claim" "become the operator of a new installation" [Visitor Always];
    OPERATE "identity.operator.self" "see and change one's own account as an operator" [Operator Always];
    OPERATORS "identity.operator.update" "invite operators and remove them" [Operator Always];
    DECLARE "identity.permission.declare" "say which permissions the product has" [Operator Always];
}

/// What no program is given: with these it could give itself more, or outlast what it was given.
const NEVER: [Permission; 5] = [SIGN_IN, OWN, KEYS, CLIENT_UPDATE, SIGNING_UPDATE];

/// Whether a permission may be handed to a program at all.
pub fn for_programs(permission: &str) -> bool {
    NEVER.iter().all(|never| never.name() != permission)
}
