//! Channels: by what a message goes out, and whether it got there.
//!
//! A **channel** is a mail server or a webhook endpoint of a tenant. A **carrier** takes a message to a target. Where a
//! tenant's own lead is guarded: none of them reaches into the network of the installation. Webhooks are signed (Standard
//! Webhooks), with the secret of before for a while after it was changed.

pub mod channel;
mod commands;
pub mod guard;
pub mod port;
mod queries;
pub mod signature;
pub mod smtp;
pub mod webhook;

use std::sync::Arc;

use cache::{Cache, IN_FORCE, Known};
use http::Method;
use kernel::{Context, Cx, Problem, Scope};
use store::{Loaded, Page, Store};

use channel::{Channel, State};
use commands::{CreateMailServer, CreateWebhook, RemoveChannel, RotateSecret, SwitchChannel, UpdateWebhook};
use guard::Reach;
use queries::ListChannels;

/// Tenants whose endpoints are remembered at a time.
const TENANTS: u64 = 10_000;

/// The channels of tenants.
pub struct Channels {
    store: Store,
    reach: Reach,
    endpoints: Cache<Scope, Vec<Channel>>,
}

impl Channels {
    /// Of a store, leading no further than `reach`.
    pub fn new(store: Store, reach: Reach) -> Self {
        Self { store, reach, endpoints: Cache::new(TENANTS, IN_FORCE) }
    }

    /// The endpoints that are in use: asked for at every event, and changed seldom.
    pub async fn endpoints(&self, cx: &Cx) -> Result<Arc<Known<Vec<Channel>>>, Problem> {
        let read = async {
            let page = Page { limit: 200, ..Page::default() };
            let listed = self.store.at(cx).list::<Channel>("kind", "webhook", &page).await?;
            let used = listed.items.into_iter().map(Loaded::into_inner).filter(|it| it.state == State::Enabled);
            Ok(used.collect())
        };
        self.endpoints.get_or(cx.scope(), read).await
    }

    /// They were changed.
    pub fn forget_endpoints(&self, scope: Scope) {
        self.endpoints.forget(&scope);
    }
}

/// The lines of the table.
pub fn mount(context: Context, it: &Arc<Channels>) -> Context {
    context
        .route::<ListChannels, _>(Method::GET, "/v1/channels", it)
        .route::<CreateWebhook, _>(Method::POST, "/v1/channels/webhooks", it)
        .route::<CreateMailServer, _>(Method::POST, "/v1/channels/mail-servers", it)
        .route::<UpdateWebhook, _>(Method::PUT, "/v1/channels/{channel}", it)
        .route::<RemoveChannel, _>(Method::DELETE, "/v1/channels/{channel}", it)
        .route::<SwitchChannel, _>(Method::POST, "/v1/channels/{channel}/switch", it)
        .route::<RotateSecret, _>(Method::POST, "/v1/channels/{channel}/rotate", it)
}
