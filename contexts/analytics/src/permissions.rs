//! What one may do with analytics.

use kernel::{Condition::Always, DefaultRole, Permission, PermissionDecl};

/// Telling what one does in the product.
pub(crate) const RECORD: Permission = Permission::new("analytics.event.record");
/// Seeing reports.
pub(crate) const READ: Permission = Permission::new("analytics.report.read");

/// All that this context declares.
pub(crate) const ALL: &[PermissionDecl] = &[
    PermissionDecl {
        permission: RECORD,
        meaning: "have what one does in the product recorded, under a pseudonym",
        held_by: &[(DefaultRole::Person, Always)],
    },
    PermissionDecl {
        permission: READ,
        meaning: "see how the product is used: figures, never who",
        held_by: &[(DefaultRole::Member, Always)],
    },
];
