//! What one may do with profiles and preferences.

use kernel::{
    Condition::{Always, Own},
    DefaultRole::{Member, Person},
    Permission, PermissionDecl,
};

pub(crate) const READ: Permission = Permission::new("users.profile.read");
pub(crate) const UPDATE: Permission = Permission::new("users.profile.update");
pub(crate) const PREFERENCE_READ: Permission = Permission::new("users.preference.read");
pub(crate) const PREFERENCE_SET: Permission = Permission::new("users.preference.set");

/// All that this context declares.
pub(crate) const ALL: &[PermissionDecl] = &[
    PermissionDecl {
        permission: READ,
        meaning: "see the profiles of the tenant's people",
        held_by: &[(Person, Own), (Member, Always)],
    },
    PermissionDecl { permission: UPDATE, meaning: "change one's profile", held_by: &[(Person, Own)] },
    PermissionDecl { permission: PREFERENCE_READ, meaning: "see one's preferences", held_by: &[(Person, Own)] },
    contracts::users::EXPORT,
    contracts::users::ERASED,
    PermissionDecl { permission: PREFERENCE_SET, meaning: "change one's preferences", held_by: &[(Person, Own)] },
];
