//! Notifications: emitted by the context `notifications`.

use kernel::{Event, UserId, id_kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

id_kind!(
    /// A notification.
    NotificationId, NotificationKind, "ntf"
);

/// Something is to be told to a person.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NotificationRequested {
    /// Which notification.
    pub notification: NotificationId,
    /// To whom.
    pub user: UserId,
    /// By which channel (`mail`).
    pub channel: String,
}

impl Event for NotificationRequested {
    const TYPE: &'static str = "notifications.NotificationRequested.v1";
}

/// The channel took it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NotificationSent {
    /// Which notification.
    pub notification: NotificationId,
    /// After how many attempts.
    pub attempts: u32,
}

impl Event for NotificationSent {
    const TYPE: &'static str = "notifications.NotificationSent.v1";
}
