//! What one may do with the audit log.

use kernel::{
    Condition::Always,
    DefaultRole::{Operator, Owner},
    Permission, PermissionDecl,
};

/// Seeing entries, and having them proved.
pub(crate) const READ: Permission = Permission::new("audit.entry.read");
/// Taking all of the log along.
pub(crate) const EXPORT: Permission = Permission::new("audit.log.export");
/// Deciding who cosigns.
pub(crate) const WITNESS: Permission = Permission::new("audit.witness.update");

/// All that this context declares.
pub(crate) const ALL: &[PermissionDecl] = &[
    PermissionDecl {
        permission: READ,
        meaning: "see who did what, and have it proved",
        held_by: &[(Owner, Always), (Operator, Always)],
    },
    PermissionDecl {
        permission: EXPORT,
        meaning: "take all of the audit log along, to verify it elsewhere",
        held_by: &[(Owner, Always), (Operator, Always)],
    },
    PermissionDecl {
        permission: WITNESS,
        meaning: "decide which witnesses cosign the audit log's checkpoints",
        held_by: &[(Owner, Always), (Operator, Always)],
    },
];
