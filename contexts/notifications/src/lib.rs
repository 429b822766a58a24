//! Notifications: what is told to a person, by which channel, and how far it has come.
//!
//! A **notification** is requested, then sent or given up. A **channel** hands it over, at least once; while it does not
//! take it, attempts go on with pauses that double.

mod channel;
mod mails;
mod notification;

use std::sync::Arc;

use contracts::{identity::LinkRequested, notifications::NotificationId};
use http::Method;
use kernel::{
    Condition, Context, Cx, DefaultRole, Effect, Envelope, Event, Granted, Handle, Permission, PermissionDecl, Problem,
    ScopeKind, Timestamp, UseCase, context::Fired,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Page, Store};

pub use channel::{Channel, DeliveryError, Message, Smtp, SmtpSettings};
use notification::{Notification, Status};

const READ: Permission = Permission::new("notifications.notification.read");

/// What this context declares.
pub const PERMISSIONS: &[PermissionDecl] = &[PermissionDecl {
    permission: READ,
    meaning: "see what one was told",
    held_by: &[(DefaultRole::Person, Condition::Own)],
}];

struct Notifications {
    store: Store,
    channel: Arc<dyn Channel>,
}

/// What the caller was told, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListNotifications {
    /// Go on after this cursor.
    after: Option<String>,
}

/// One of them; what it said is not kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct NotificationView {
    id: NotificationId,
    subject: String,
    status: Status,
    #[schemars(with = "String")]
    at: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct NotificationList {
    items: Vec<NotificationView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl UseCase for ListNotifications {
    type Output = NotificationList;
    const NAME: &'static str = "notifications.list";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const NEEDS: Permission = READ;
    const EFFECT: Effect = Effect::Tell;
}

impl Handle<ListNotifications> for Notifications {
    async fn handle(&self, it: ListNotifications, cx: Granted<ListNotifications>) -> Result<NotificationList, Problem> {
        let page = Page { after: it.after, newest_first: true, ..Page::default() };
        let listed = self.store.at(&cx).list::<Notification>("of", &cx.user()?.to_string(), &page).await?;
        let view = |it: &Notification| NotificationView {
            id: it.id,
            subject: it.subject.clone(),
            status: it.status,
            at: it.asked,
        };
        Ok(NotificationList { items: listed.items.iter().map(|it| view(it)).collect(), next: listed.next })
    }
}

/// The id of the notification that an event asks for: the same each time it is read.
fn id_of(envelope: &Envelope) -> NotificationId {
    let digest = ring::digest::digest(&ring::digest::SHA256, envelope.id.as_bytes());
    let mut random = [0; 10];
    random.iter_mut().zip(digest.as_ref()).for_each(|(byte, of)| *byte = *of);
    let millis = u64::try_from(envelope.time.as_millisecond()).unwrap_or(0);
    NotificationId::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

impl Notifications {
    async fn asked(&self, envelope: Envelope, cx: Cx) -> Result<(), Problem> {
        let Some(event) = envelope.event::<LinkRequested>().transpose()? else { return Ok(()) };
        let known = (event.email.known(), event.name.known(), event.link.known());
        let (Some(email), Some(name), Some(link)) = known else { return Ok(()) };
        let id = id_of(&envelope);
        if self.store.at(&cx).try_load::<Notification>(&id).await?.is_some() {
            return Ok(());
        }
        let message = mails::link(event.purpose, email.to_string(), name.as_str(), &link);
        let (it, requested) = Notification::request(id, event.user, message, cx.now());
        self.store.at(&cx).create(it, requested).await.map(drop)
    }

    async fn deliver(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let id: NotificationId = fired.id.parse().map_err(Problem::internal)?;
        let Some(it) = self.store.at(&cx).try_load::<Notification>(&id).await? else { return Ok(()) };
        let Some(message) = it.message() else { return Ok(()) };
        let outcome = self.channel.deliver(&message).await;
        if let Err(error) = &outcome {
            tracing::warn!(%id, %error, "a notification was not delivered");
        }
        let now = cx.now();
        let attempted = |it: &mut Notification| {
            let sent = it.attempted(&outcome, now);
            Ok(sent.map(kernel::AnyEvent::from).into_iter().collect::<Vec<_>>())
        };
        self.store.at(&cx).change(&id, attempted).await.map(drop)
    }
}

/// The context, with its table.
pub fn context(store: Store, channel: Arc<dyn Channel>) -> Context {
    let it = Arc::new(Notifications { store, channel });
    let (asked, deliver) = (Arc::clone(&it), Arc::clone(&it));
    Context::new("notifications", PERMISSIONS)
        .route::<ListNotifications, _>(Method::GET, "/v1/me/notifications", &it)
        .on_any("link", LinkRequested::TYPE, move |envelope, cx| {
            let it = Arc::clone(&asked);
            async move { it.asked(envelope, cx).await }
        })
        .timer("notifications.notification", move |fired, cx| {
            let it = Arc::clone(&deliver);
            async move { it.deliver(fired, cx).await }
        })
}
