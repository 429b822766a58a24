//! What tells of notifications, and why they were delivered or not.

use std::collections::BTreeMap;

use contracts::notifications::{ChannelId, NotificationId};
use kernel::{
    Granted, Handle, List, Problem, Timestamp, UserId,
    text::{EmailAddress, Key},
    use_case,
};
use permissions as may;
use recipients::{means::Means, plan::Because};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{
    Notifications,
    notification::{Attempt, Delivery, Notification, Recipient, Status},
};

/// Where a delivery is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StatusView {
    /// Rendered, and to be delivered.
    Waiting,
    /// Taken by the mail server, which confirms nothing more; or shown in the inbox.
    Sent,
    /// Answered 2xx by the endpoint; or read in the inbox.
    Delivered,
    /// Refused for good: the address takes no messages.
    Bounced,
    /// Given up; it can be replayed.
    Failed,
    /// Not to be delivered, for the reason that is given.
    Suppressed,
}

/// A delivery by one channel.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DeliveryView {
    /// Where it is in its life.
    status: StatusView,
    /// When it is tried next, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    next: Option<Timestamp>,
    /// Why it is, or is not, delivered so.
    because: Because,
    /// The same in words.
    why: String,
    /// How often it was tried.
    count: u32,
    /// The last attempts, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<Attempt>,
}

impl From<&Delivery> for DeliveryView {
    fn from(it: &Delivery) -> Self {
        let (status, next) = match it.status {
            Status::Waiting { next } => (StatusView::Waiting, Some(next)),
            Status::Sent => (StatusView::Sent, None),
            Status::Delivered => (StatusView::Delivered, None),
            Status::Bounced => (StatusView::Bounced, None),
            Status::Failed => (StatusView::Failed, None),
            Status::Suppressed => (StatusView::Suppressed, None),
        };
        let (because, why) = (it.because, it.because.sentence().to_owned());
        Self { status, next, because, why, count: it.count, attempts: it.attempts.clone() }
    }
}

/// A notification without what it says, which may hold credentials.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NotificationView {
    /// Its id.
    id: NotificationId,
    /// Who is told.
    to: Recipient,
    /// The mail address, where mail is or would be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<EmailAddress>,
    /// The template; for an event that an endpoint follows, its type.
    template: String,
    /// The category.
    category: Key,
    /// The subject line.
    subject: String,
    /// What became of it, by channel.
    deliveries: BTreeMap<Means, DeliveryView>,
    /// When it was asked for.
    #[schemars(with = "String")]
    created: Timestamp,
}

impl From<&Notification> for NotificationView {
    fn from(it: &Notification) -> Self {
        let draft = &it.draft;
        Self {
            id: it.id,
            to: draft.to.clone(),
            address: draft.address.clone().filter(|_| it.deliveries.contains_key(&Means::Mail)),
            template: draft.template.clone(),
            category: draft.category.clone(),
            subject: draft.content.subject.clone(),
            deliveries: it.deliveries.iter().map(|(means, it)| (*means, it.into())).collect(),
            created: it.created,
        }
    }
}

impl NotificationView {
    /// For lists: without the single attempts.
    fn short(it: &Notification) -> Self {
        let mut view = Self::from(it);
        view.deliveries.values_mut().for_each(|it| it.attempts.clear());
        view
    }
}

pub(crate) fn page(after: Option<String>, limit: Option<u32>) -> Page {
    Page { after, limit: limit.map_or(0, |limit| limit as usize), newest_first: true }
}

/// What the caller was told, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListOwnNotifications {
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200; 50 unless told.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListOwnNotifications => List<NotificationView>, "notifications.list_own", Tenant, may::READ, Tell);

impl Handle<ListOwnNotifications> for Notifications {
    async fn handle(
        &self,
        it: ListOwnNotifications,
        cx: Granted<ListOwnNotifications>,
    ) -> Result<List<NotificationView>, Problem> {
        let user = cx.user()?.to_string();
        let listed = self.store.at(&cx).list::<Notification>("of", &user, &page(it.after, it.limit)).await?;
        listed.items.iter().try_for_each(|it| cx.permit(&**it))?;
        Ok(List { items: listed.items.iter().map(|it| NotificationView::short(it)).collect(), next: listed.next })
    }
}

/// The notifications of the tenant, the newest first: all, those of a person, those to an endpoint, or those that failed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListNotifications {
    /// Only those to this person.
    user: Option<UserId>,
    /// Only those to this endpoint.
    channel: Option<ChannelId>,
    /// Only those that failed or bounced.
    #[serde(default)]
    failed: bool,
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200; 50 unless told.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListNotifications => List<NotificationView>, "notifications.list", Tenant, may::READ, Tell);

impl Handle<ListNotifications> for Notifications {
    async fn handle(
        &self,
        it: ListNotifications,
        cx: Granted<ListNotifications>,
    ) -> Result<List<NotificationView>, Problem> {
        let user = match cx.only_of()? {
            Some(own) => Some(own),
            None => it.user,
        };
        let channel = it.channel.map(|it| it.to_string()).unwrap_or_default();
        let (index, value) = match (user, it.failed) {
            (Some(user), false) if channel.is_empty() => ("of", user.to_string()),
            (Some(_), _) => return Err(Problem::invalid_field("/user", "not together with a channel or with failed")),
            (None, true) => ("dead", channel),
            (None, false) if channel.is_empty() => ("all", channel),
            (None, false) => ("via", channel),
        };
        let listed = self.store.at(&cx).list::<Notification>(index, &value, &page(it.after, it.limit)).await?;
        Ok(List { items: listed.items.iter().map(|it| NotificationView::short(it)).collect(), next: listed.next })
    }
}

/// A notification: by what it was delivered or not, why, and each attempt.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetNotification {
    /// Which.
    notification: NotificationId,
}

use_case!(GetNotification => NotificationView, "notifications.get", Tenant, may::READ, Tell);

impl Handle<GetNotification> for Notifications {
    async fn handle(&self, it: GetNotification, cx: Granted<GetNotification>) -> Result<NotificationView, Problem> {
        let found = self.store.at(&cx).try_load::<Notification>(&it.notification).await?;
        // Whoever sees only what is theirs does not learn what else there is.
        let found = found.filter(|it| cx.permit(&**it).is_ok()).ok_or_else(|| Problem::not_found("notification"))?;
        Ok((&*found).into())
    }
}
