//! Notifications: what people are told, by what, in which words, and whether it reached them.
//!
//! A **notification** tells one recipient something by each **channel** that they did not opt out of: mail, the inbox in the
//! product, a webhook endpoint of the tenant's. A **template** says it in the recipient's language. What fails for the
//! moment is tried again with growing pauses for about a day, and is given up in the end; what was given up can be replayed. Nothing keeps
//! a credential once it cannot be delivered any more.

mod fanout;
mod inbox;
mod known;
mod notification;
mod person;
mod stream;
mod template_commands;
mod template_queries;
mod unsubscribe;

use std::{sync::Arc, time::Duration};

use cache::Cache;
use channels::Channels;
use contracts::{
    identity::{EmailChanged, InvitationRevoked, LinkRequested, UserRegistered},
    notifications::{ExportPerson, TellPerson},
    tenants::{BrandingUpdated, TenantProvisioned},
    users::{UserDeactivated, UserErasureRequested, UserReactivated},
};
use fanout::{Fanout, GetBatch, ReplayChannel, SendBatch};
use http::Method;
use inbox::{CountUnread, ListInbox, MarkAllRead, MarkMessage};
use kernel::{
    Aggregate, Calls, Clock, Context, Cx, Endpoint, Envelope, Event, Permission, Problem, ScopeKind, TimeDomain,
    context::{Body, Fired},
};
use notification::{
    Notification,
    commands::{ReplayNotification, SendNotification},
    queries::{GetNotification, ListNotifications, ListOwnNotifications},
};
use rate::{Cells, Rate};
use recipients::{Recipients, settings::Settings};
use store::Store;
use template_commands::{DropTemplate, PublishTemplate, RollBackTemplate, SaveTemplate, TestTemplate};
use template_queries::{GetTemplate, ListTemplates, PreviewTemplate};
use templates::wording::Surroundings;

pub use channels::{
    guard::Reach,
    port::{Carrier, Content, DeliveryError, Endpoint as WebhookEndpoint, Message, Outcome, Target},
    smtp::{Smtp, SmtpError, SmtpSettings},
    webhook::Webhooks,
};

pub use recipients::settings::Site;

/// What this context declares.
pub const PERMISSIONS: &[kernel::PermissionDecl] = permissions::ALL;

/// What every template of a tenant is told.
pub(crate) fn surroundings(site: &Site, settings: &Settings, recipient: &str, unsubscribe: String) -> Surroundings {
    let (accent, on_accent) = settings.brand.colours();
    let logo = site.origin(settings).zip(settings.brand.logo.as_ref());
    Surroundings {
        company: settings.company(),
        recipient: recipient.to_owned(),
        unsubscribe,
        logo: logo.map(|(origin, path)| format!("{origin}{path}")).unwrap_or_default(),
        accent,
        on_accent,
        support: settings.brand.support.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

/// The context.
pub(crate) struct Notifications {
    pub(crate) store: Store,
    pub(crate) calls: Calls,
    pub(crate) site: Site,
    pub(crate) channels: Arc<Channels>,
    pub(crate) recipients: Arc<Recipients>,
    pub(crate) known: known::Known,
    pub(crate) streams: stream::Streams,
    /// Who carries mail of tenants that have no server of their own.
    mail: Arc<dyn Carrier>,
    webhooks: Arc<dyn Carrier>,
    /// The servers of tenants' own, connected.
    servers: Cache<String, Arc<dyn Carrier>>,
    /// How much of the platform's mail server a tenant has used.
    pace: Cells,
}

/// Mails a second that a tenant may send by the platform's server over time, and at once. What is beyond waits its turn.
const MAILS: Rate = Rate { per_second: 20, burst: 1_000 };

/// How many servers of tenants' own stay connected, and how long until their names are resolved anew.
const SERVERS: u64 = 500;
const RESOLVED: Duration = Duration::from_mins(5);

struct Table(Context, Arc<Notifications>);

impl Table {
    fn on<E: Event, F, R>(self, name: &'static str, react: F) -> Self
    where
        F: Fn(Arc<Notifications>, E, Cx) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        let it = Arc::clone(&self.1);
        Self(self.0.on(name, move |event, cx| react(Arc::clone(&it), event, cx)), self.1)
    }

    fn on_any<F, R>(self, name: &'static str, on: &'static str, react: F) -> Self
    where
        F: Fn(Arc<Notifications>, Envelope, Cx) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        let it = Arc::clone(&self.1);
        Self(self.0.on_any(name, on, move |envelope, cx| react(Arc::clone(&it), envelope, cx)), self.1)
    }

    fn timer<A: Aggregate, F, R>(self, act: F) -> Self
    where
        F: Fn(Arc<Notifications>, Fired, Cx) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        let it = Arc::clone(&self.1);
        Self(self.0.timer_in(TimeDomain::Real, A::KIND, move |fired, cx| act(Arc::clone(&it), fired, cx)), self.1)
    }

    fn endpoint<F, R>(
        self,
        (method, path): (Method, &'static str),
        (name, summary, produces): (&'static str, &'static str, &'static str),
        needs: Permission,
        serve: F,
    ) -> Self
    where
        F: Fn(Arc<Notifications>, http::Request<bytes::Bytes>, Cx) -> R + Send + Sync + 'static,
        R: Future<Output = Result<http::Response<Body>, Problem>> + Send + 'static,
    {
        let it = Arc::clone(&self.1);
        let serve = move |request, cx| serve(Arc::clone(&it), request, cx);
        let endpoint = Endpoint::new(name, summary, ScopeKind::Tenant, needs, serve).produces(produces);
        Self(self.0.endpoint(method, path, endpoint), self.1)
    }
}

/// The context, with its table. Webhooks are signed with the time of `clock`.
pub fn context(store: Store, calls: Calls, mail: Arc<dyn Carrier>, site: Site, clock: Arc<dyn Clock>) -> Context {
    let webhooks = Arc::new(Webhooks::new(site.reach, clock));
    let servers = Cache::new(SERVERS, RESOLVED);
    let pace = Cells::default();
    let (known, streams) = (known::Known::default(), stream::Streams::default());
    let channels = Arc::new(Channels::new(store.clone(), site.reach));
    let recipients = Arc::new(Recipients::new(store.clone(), calls.clone()));
    let it = Arc::new(Notifications {
        store,
        calls,
        site,
        channels,
        recipients,
        known,
        streams,
        mail,
        webhooks,
        servers,
        pace,
    });
    let context = routes(Context::new("notifications", PERMISSIONS), &it);
    let page = "text/html";
    let unsubscribe = |it: Arc<Notifications>, request, cx| async move { it.unsubscribe(request, cx).await };
    Table(context, it)
        .endpoint(
            (Method::GET, "/v1/me/inbox/stream"),
            ("notifications.inbox.stream", "The inbox as it fills, by server-sent events", "text/event-stream"),
            permissions::INBOX_READ,
            |it, request, cx| async move { it.stream(request, cx).await },
        )
        .endpoint(
            (Method::GET, "/unsubscribe"),
            ("notifications.pages.unsubscribe", "The page of the link in a mail", page),
            permissions::UNSUBSCRIBE,
            unsubscribe,
        )
        .endpoint(
            (Method::POST, "/unsubscribe"),
            ("notifications.pages.unsubscribed", "Opts out (RFC 8058)", page),
            permissions::UNSUBSCRIBE,
            unsubscribe,
        )
        .on("set_up", |it, event: TenantProvisioned, cx| async move { it.recipients.provisioned(event, cx).await })
        .on("know_brand", |it, event: BrandingUpdated, cx| async move { it.recipients.rebranded(event, cx).await })
        .on("know_person", |it, event: UserRegistered, cx| async move { it.recipients.registered(event, cx).await })
        .on("move_person", |it, event: EmailChanged, cx| async move { it.recipients.moved(event, cx).await })
        .on("forget_person", |it, event: InvitationRevoked, cx| async move { it.recipients.revoked(event, cx).await })
        .on(
            "deactivate",
            |it, event: UserDeactivated, cx| async move { it.recipients.standing(event.user, true, cx).await },
        )
        .on("reactivate", |it, event: UserReactivated, cx| async move {
            it.recipients.standing(event.user, false, cx).await
        })
        .on("erase_person", |it, event: UserErasureRequested, cx| async move { it.erase(event, cx).await })
        .on_any("send_link", LinkRequested::TYPE, |it, event, cx| async move { it.link_requested(event, cx).await })
        .on_any("tell_endpoints", "*", |it, event, cx| async move { it.happened(event, cx).await })
        .timer::<Notification, _, _>(|it, fired, cx| async move { it.deliver(fired, cx).await })
        .timer::<Fanout, _, _>(|it, fired, cx| async move { it.step(fired, cx).await })
        .0
}

fn routes(context: Context, it: &Arc<Notifications>) -> Context {
    let context = context
        .about("What people are told, by which channel, and whether it arrived.")
        .route::<SendNotification, _>(Method::POST, "/v1/notifications", it)
        .route::<ListNotifications, _>(Method::GET, "/v1/notifications", it)
        .route::<GetNotification, _>(Method::GET, "/v1/notifications/{notification}", it)
        .route::<ReplayNotification, _>(Method::POST, "/v1/notifications/{notification}/replay", it)
        .route::<SendBatch, _>(Method::POST, "/v1/notification-batches", it)
        .route::<GetBatch, _>(Method::GET, "/v1/notification-batches/{batch}", it)
        .route::<ListOwnNotifications, _>(Method::GET, "/v1/me/notifications", it);
    let context = recipients::mount_choices(context, &it.recipients)
        .route::<ListInbox, _>(Method::GET, "/v1/me/inbox", it)
        .route::<CountUnread, _>(Method::GET, "/v1/me/inbox/unread", it)
        .route::<MarkAllRead, _>(Method::POST, "/v1/me/inbox/read", it)
        .route::<MarkMessage, _>(Method::PATCH, "/v1/me/inbox/{notification}", it)
        .route::<ListTemplates, _>(Method::GET, "/v1/templates", it)
        .route::<GetTemplate, _>(Method::GET, "/v1/templates/{template}", it)
        .route::<SaveTemplate, _>(Method::PUT, "/v1/templates/{template}", it)
        .route::<DropTemplate, _>(Method::DELETE, "/v1/templates/{template}", it)
        .route::<PublishTemplate, _>(Method::POST, "/v1/templates/{template}/publish", it)
        .route::<RollBackTemplate, _>(Method::POST, "/v1/templates/{template}/rollback", it)
        .route::<PreviewTemplate, _>(Method::POST, "/v1/templates/{template}/preview", it)
        .route::<TestTemplate, _>(Method::POST, "/v1/templates/{template}/test", it);
    let context = channels::mount(context, &it.channels).route::<ReplayChannel, _>(
        Method::POST,
        "/v1/channels/{channel}/replay",
        it,
    );
    recipients::mount_settings(context, &it.recipients).internal::<ExportPerson, _>(it).internal::<TellPerson, _>(it)
}

#[cfg(test)]
mod tests;
