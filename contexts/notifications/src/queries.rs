//! What tells of notifications.

use contracts::notifications::NotificationId;
use kernel::{Effect, Granted, Handle, Permission, Problem, ScopeKind, Timestamp, UseCase, text::EmailAddress};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{
    Notifications,
    notification::{Means, Notification, Status},
    permissions as may,
};

/// What the caller was told, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListNotifications {
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200; 50 unless told.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

/// Where a notification is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StatusView {
    /// To be delivered.
    Requested,
    /// Handed to the channel.
    Sent,
    /// Given up.
    Failed,
}

/// A notification without what it says, which may hold credentials.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NotificationView {
    /// Its id.
    id: NotificationId,
    /// By what it is delivered.
    channel: Means,
    /// Where to.
    address: EmailAddress,
    /// The subject line.
    subject: String,
    /// Where it is in its life.
    status: StatusView,
    /// How often delivery was tried.
    attempts: u32,
    /// When it was asked for.
    #[schemars(with = "String")]
    created: Timestamp,
}

impl From<&Notification> for NotificationView {
    fn from(it: &Notification) -> Self {
        let status = match it.status {
            Status::Requested { .. } => StatusView::Requested,
            Status::Sent => StatusView::Sent,
            Status::Failed => StatusView::Failed,
        };
        let (address, subject) = (it.address.clone(), it.subject_line.clone());
        let Notification { id, channel, attempts, created, .. } = *it;
        Self { id, channel, address, subject, status, attempts, created }
    }
}

/// A part of the list of notifications.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NotificationList {
    /// The notifications.
    items: Vec<NotificationView>,
    /// Where to go on; missing at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl UseCase for ListNotifications {
    type Output = NotificationList;
    const NAME: &'static str = "notifications.list";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const NEEDS: Permission = may::READ;
    const EFFECT: Effect = Effect::Tell;
}

impl Handle<ListNotifications> for Notifications {
    async fn handle(&self, it: ListNotifications, cx: Granted<ListNotifications>) -> Result<NotificationList, Problem> {
        let page = Page { after: it.after, limit: it.limit.map_or(0, |limit| limit as usize), newest_first: true };
        let listed = self.store.at(&cx).list::<Notification>("of", &cx.user()?.to_string(), &page).await?;
        listed.items.iter().try_for_each(|it| cx.permit(&**it))?;
        Ok(NotificationList { items: listed.items.iter().map(|it| (&**it).into()).collect(), next: listed.next })
    }
}
