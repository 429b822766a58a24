//! Notifications: what people are told, by which channel, and whether it reached them.
//!
//! A **notification** is requested because of another context's event, one for each event, and is due at once. A **channel**
//! delivers it; what fails for the moment is tried again with growing pauses, and given up in the end. Once it is sent or
//! given up, nothing remains of what it said: links are credentials.

mod channel;
mod mail;
mod notification;
mod permissions;
mod queries;
mod smtp;

use std::sync::Arc;

use contracts::{identity::LinkRequested, notifications::NotificationId};
use http::Method;
use kernel::{Aggregate, Context, Cx, Envelope, Event, Problem, context::Fired};
use notification::{Notification, Status};
use queries::ListNotifications;
use store::Store;

pub use channel::{Channel, DeliveryError, Message};
pub use smtp::{Smtp, SmtpError, SmtpSettings};

/// What this context declares.
pub const PERMISSIONS: &[kernel::PermissionDecl] = permissions::ALL;

/// The context.
pub(crate) struct Notifications {
    pub(crate) store: Store,
    channel: Arc<dyn Channel>,
}

/// The notification that an event asks for: the same however often the event is delivered.
fn id_from(event: &str) -> NotificationId {
    let digest = ring::digest::digest(&ring::digest::SHA256, event.as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(byte, of)| *byte = *of);
    NotificationId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

impl Notifications {
    async fn link_requested(&self, envelope: Envelope, cx: Cx) -> Result<(), Problem> {
        let Some(event) = envelope.event::<LinkRequested>().transpose()? else { return Ok(()) };
        let (Some(email), Some(name), Some(link)) = (event.email.known(), event.name.known(), event.link.known())
        else {
            return Ok(());
        };
        let (id, store) = (id_from(&envelope.id), self.store.at(&cx));
        if store.try_load::<Notification>(&id).await?.is_some() {
            return Ok(());
        }
        let mail = mail::with_link(event.purpose, name.as_str(), &link);
        let (notification, requested) = Notification::request(id, event.user, email, mail, cx.now());
        store.create(notification, requested).await.map(drop)
    }

    async fn deliver(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let id = fired.id.parse().map_err(Problem::internal)?;
        let store = self.store.at(&cx);
        // Not there once the person was erased: then there is nobody to tell.
        let Some(notification) = store.try_load::<Notification>(&id).await? else { return Ok(()) };
        let Some(message) = notification.due(cx.now()) else { return Ok(()) };
        let outcome = self.channel.deliver(&message).await;
        let (before, ended) = (notification.attempts, cx.now());
        let stored = store.change(&id, |it: &mut Notification| Ok(it.attempted(before, &outcome, ended))).await?;
        if let Err(error) = outcome {
            let (attempts, given_up) = (stored.attempts, stored.status == Status::Failed);
            tracing::warn!(notification = %id, attempts, given_up, %error, "a notification was not delivered");
        }
        Ok(())
    }
}

/// The context, with its table.
pub fn context(store: Store, channel: Arc<dyn Channel>) -> Context {
    let it = Arc::new(Notifications { store, channel });
    let (requested, due) = (Arc::clone(&it), Arc::clone(&it));
    Context::new("notifications", PERMISSIONS)
        .about("What people are told, by which channel, and whether it arrived.")
        .route::<ListNotifications, _>(Method::GET, "/v1/me/notifications", &it)
        .on_any("send_link", LinkRequested::TYPE, move |envelope, cx| {
            let it = Arc::clone(&requested);
            async move { it.link_requested(envelope, cx).await }
        })
        .timer(Notification::KIND, move |fired, cx| {
            let it = Arc::clone(&due);
            async move { it.deliver(fired, cx).await }
        })
}

#[cfg(test)]
mod tests;
