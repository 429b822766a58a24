//! Notifications: emitted by the context `notifications`.

use std::collections::BTreeMap;

use kernel::{Condition, DefaultRole, Event, Permission, PermissionDecl, UserId, id_kind, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::users::{EXPORT, PersonData};

id_kind!(
    /// A notification.
    NotificationId, NotificationKind, "ntf"
);

id_kind!(
    /// A channel of a tenant: a mail server of its own, or a webhook endpoint.
    ChannelId, ChannelKind, "chn"
);

/// Something is to be told.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NotificationRequested {
    /// Which notification.
    pub notification: NotificationId,
    /// To whom, where it is a person of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// By which template.
    pub template: String,
    /// In which category.
    pub category: String,
    /// By what it is delivered (`mail`, `inbox`, `webhook`): none where the recipient opted out of all.
    pub channels: Vec<String>,
}

impl Event for NotificationRequested {
    const TYPE: &'static str = "notifications.NotificationRequested.v1";
}

/// Whoever carries it on took it: the mail server accepted the mail, the inbox shows the message.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NotificationSent {
    /// Which notification.
    pub notification: NotificationId,
    /// By what (`mail`, `inbox`, `webhook`).
    pub channel: String,
    /// After how many attempts.
    pub attempts: u32,
}

impl Event for NotificationSent {
    const TYPE: &'static str = "notifications.NotificationSent.v1";
}

/// The recipient has it: a webhook endpoint answered 2xx, or the person read it in the inbox. A mail server that accepts
/// a mail confirms nothing.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryConfirmed {
    /// Which notification.
    pub notification: NotificationId,
    /// By what (`inbox`, `webhook`).
    pub channel: String,
}

impl Event for DeliveryConfirmed {
    const TYPE: &'static str = "notifications.DeliveryConfirmed.v1";
}

/// It was given up; whoever may can replay it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryFailed {
    /// Which notification.
    pub notification: NotificationId,
    /// By what (`mail`, `webhook`).
    pub channel: String,
    /// Whether the address itself was refused for good.
    pub bounced: bool,
}

impl Event for DeliveryFailed {
    const TYPE: &'static str = "notifications.DeliveryFailed.v1";
}

/// A template says something else from now on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TemplateUpdated {
    /// Its key.
    pub template: String,
    /// The version that is in force; none once the tenant has dropped its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

impl Event for TemplateUpdated {
    const TYPE: &'static str = "notifications.TemplateUpdated.v1";
}

/// A channel was set up, changed, switched or removed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ChannelUpdated {
    /// Which.
    pub channel: ChannelId,
}

impl Event for ChannelUpdated {
    const TYPE: &'static str = "notifications.ChannelUpdated.v1";
}

/// A webhook endpoint failed for so long that nothing more is sent to it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ChannelDisabled {
    /// Which.
    pub channel: ChannelId,
}

impl Event for ChannelDisabled {
    const TYPE: &'static str = "notifications.ChannelDisabled.v1";
}

/// A person chose what to be told, and by what.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NotificationPreferenceChanged {
    /// Who.
    pub user: UserId,
}

impl Event for NotificationPreferenceChanged {
    const TYPE: &'static str = "notifications.NotificationPreferenceChanged.v1";
}

/// Tells what this context holds of a person. See [`crate::users::HOLDERS`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportPerson {
    /// Who.
    pub user: UserId,
}

use_case!(ExportPerson => PersonData, "notifications.person.export", Tenant, EXPORT.permission, Tell, |it| it.user.into());

/// Tells a person something by a template of the platform's, by mail and inbox as they like it. Once under an id.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TellPerson {
    /// The same for the same message.
    pub id: String,
    /// Who.
    pub user: UserId,
    /// By which template.
    pub template: String,
    /// What it is told.
    pub variables: BTreeMap<String, String>,
}

use_case!(TellPerson => (), "notifications.tell", Tenant, TELL.permission, |it| it.user.into());

/// See [`TellPerson`].
pub const TELL: PermissionDecl = PermissionDecl {
    permission: Permission::new("notifications.person.tell"),
    meaning: "tell a person something by a template of the platform's",
    held_by: &[(DefaultRole::Service, Condition::Always)],
};
