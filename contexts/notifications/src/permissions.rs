//! What one may do with notifications.

use kernel::{
    Condition::{self, Always, Own},
    DefaultRole::{self, Admin, Person, Visitor},
    Permission, PermissionDecl,
};

pub(crate) const READ: Permission = Permission::new("notifications.notification.read");
pub(crate) const SEND: Permission = Permission::new("notifications.notification.send");
pub(crate) const TEMPLATE_READ: Permission = Permission::new("notifications.template.read");
pub(crate) const TEMPLATE_UPDATE: Permission = Permission::new("notifications.template.update");
pub(crate) const CHANNEL_READ: Permission = Permission::new("notifications.channel.read");
pub(crate) const CHANNEL_UPDATE: Permission = Permission::new("notifications.channel.update");
pub(crate) const SETTINGS_READ: Permission = Permission::new("notifications.settings.read");
pub(crate) const SETTINGS_UPDATE: Permission = Permission::new("notifications.settings.update");
pub(crate) const SUPPRESSION_READ: Permission = Permission::new("notifications.suppression.read");
pub(crate) const SUPPRESSION_UPDATE: Permission = Permission::new("notifications.suppression.update");
pub(crate) const INBOX_READ: Permission = Permission::new("notifications.inbox.read");
pub(crate) const INBOX_UPDATE: Permission = Permission::new("notifications.inbox.update");
pub(crate) const PREFERENCE_READ: Permission = Permission::new("notifications.preference.read");
pub(crate) const PREFERENCE_SET: Permission = Permission::new("notifications.preference.set");
pub(crate) const UNSUBSCRIBE: Permission = Permission::new("notifications.link.unsubscribe");

const fn declared(
    permission: Permission,
    meaning: &'static str,
    held_by: &'static [(DefaultRole, Condition)],
) -> PermissionDecl {
    PermissionDecl { permission, meaning, held_by }
}

const ADMIN: &[(DefaultRole, Condition)] = &[(Admin, Always)];
const OWN: &[(DefaultRole, Condition)] = &[(Person, Own)];

/// All that this context declares.
pub(crate) const ALL: &[PermissionDecl] = &[
    declared(READ, "see what was told to whom, and what became of it", &[(Person, Own), (Admin, Always)]),
    declared(SEND, "tell people something, and deliver once more what failed", ADMIN),
    declared(TEMPLATE_READ, "see templates", ADMIN),
    declared(TEMPLATE_UPDATE, "change templates", ADMIN),
    declared(CHANNEL_READ, "see mail servers and webhook endpoints", ADMIN),
    declared(CHANNEL_UPDATE, "change mail servers and webhook endpoints, and which events go there", ADMIN),
    declared(SETTINGS_READ, "see the settings of notifications", ADMIN),
    declared(SETTINGS_UPDATE, "change the settings of notifications", ADMIN),
    declared(SUPPRESSION_READ, "see which addresses get no mail", ADMIN),
    declared(SUPPRESSION_UPDATE, "change which addresses get no mail", ADMIN),
    declared(INBOX_READ, "see one's inbox", OWN),
    declared(INBOX_UPDATE, "mark what is in one's inbox", OWN),
    declared(PREFERENCE_READ, "see what one is told, by what", OWN),
    declared(PREFERENCE_SET, "choose what one is told, by what", OWN),
    declared(UNSUBSCRIBE, "opt out by the link in a mail", &[(Visitor, Always), (Person, Always)]),
];
