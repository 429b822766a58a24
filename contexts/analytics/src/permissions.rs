//! What one may do with analytics.

use kernel::{
    Condition::{Always, Own},
    DefaultRole::{Admin, Member, Owner, Person, Visitor},
    Permission, PermissionDecl,
};

/// Telling what one does in the product.
pub(crate) const RECORD: Permission = Permission::new("analytics.event.record");
/// Telling it without having signed in.
pub(crate) const VISIT: Permission = Permission::new("analytics.event.visit");
/// Seeing reports.
pub(crate) const READ: Permission = Permission::new("analytics.report.read");
/// Making metrics, reports and dashboards.
pub(crate) const UPDATE: Permission = Permission::new("analytics.report.update");
/// Deciding how facts are kept.
pub(crate) const SETTINGS: Permission = Permission::new("analytics.settings.update");
/// Opening the pages; what they show is what one may see.
pub(crate) const OPEN: Permission = Permission::new("analytics.page.open");

/// All that this context declares.
pub(crate) const ALL: &[PermissionDecl] = &[
    PermissionDecl {
        permission: RECORD,
        meaning: "have what one does in the product recorded, under a pseudonym",
        held_by: &[(Person, Always)],
    },
    PermissionDecl {
        permission: VISIT,
        meaning: "have a visit recorded, under a pseudonym of a day, where the tenant wants that",
        held_by: &[(Visitor, Always), (Person, Always)],
    },
    PermissionDecl {
        permission: READ,
        meaning: "see how the product is used: figures, never who",
        held_by: &[(Member, Always)],
    },
    PermissionDecl {
        permission: UPDATE,
        meaning: "make metrics, reports and dashboards, and change one's own",
        held_by: &[(Member, Own), (Admin, Always)],
    },
    PermissionDecl {
        permission: SETTINGS,
        meaning: "decide for how long facts are kept, whether visitors count, and by whose calendar",
        held_by: &[(Owner, Always)],
    },
    PermissionDecl {
        permission: OPEN,
        meaning: "open the pages of analytics, which show what one may see",
        held_by: &[(Visitor, Always), (Person, Always)],
    },
];
