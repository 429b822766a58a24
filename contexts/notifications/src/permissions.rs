//! What one may do with notifications.

use kernel::{Condition::Own, DefaultRole::Person, Permission, PermissionDecl};

pub(crate) const READ: Permission = Permission::new("notifications.notification.read");

/// All that this context declares.
pub(crate) const ALL: &[PermissionDecl] =
    &[PermissionDecl { permission: READ, meaning: "see what one was told", held_by: &[(Person, Own)] }];
