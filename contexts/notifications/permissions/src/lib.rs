//! What one may do with notifications.

use kernel::{
    Condition::{self, Always, Own},
    DefaultRole::{self, Admin, Person, Visitor},
    Permission, PermissionDecl,
};

/// See notifications.
pub const READ: Permission = Permission::new("notifications.notification.read");
/// Send notifications.
pub const SEND: Permission = Permission::new("notifications.notification.send");
/// See templates.
pub const TEMPLATE_READ: Permission = Permission::new("notifications.template.read");
/// Change templates.
pub const TEMPLATE_UPDATE: Permission = Permission::new("notifications.template.update");
/// See channels.
pub const CHANNEL_READ: Permission = Permission::new("notifications.channel.read");
/// Change channels.
pub const CHANNEL_UPDATE: Permission = Permission::new("notifications.channel.update");
/// See the settings.
pub const SETTINGS_READ: Permission = Permission::new("notifications.settings.read");
/// Change the settings.
pub const SETTINGS_UPDATE: Permission = Permission::new("notifications.settings.update");
/// See suppressed addresses.
pub const SUPPRESSION_READ: Permission = Permission::new("notifications.suppression.read");
/// Suppress addresses and lift it.
pub const SUPPRESSION_UPDATE: Permission = Permission::new("notifications.suppression.update");
/// See one's own inbox.
pub const INBOX_READ: Permission = Permission::new("notifications.inbox.read");
/// Mark messages of one's own inbox.
pub const INBOX_UPDATE: Permission = Permission::new("notifications.inbox.update");
/// See one's own preferences.
pub const PREFERENCE_READ: Permission = Permission::new("notifications.preference.read");
/// Choose one's own preferences.
pub const PREFERENCE_SET: Permission = Permission::new("notifications.preference.set");
/// Follow the link in a mail that opts out.
pub const UNSUBSCRIBE: Permission = Permission::new("notifications.link.unsubscribe");

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
pub const ALL: &[PermissionDecl] = &[
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
    contracts::notifications::TELL,
    declared(UNSUBSCRIBE, "opt out by the link in a mail", &[(Visitor, Always), (Person, Always)]),
];
