//! What tells of channels. Secrets and passwords are never told again.

use contracts::notifications::ChannelId;
use kernel::{Granted, Handle, List, Problem, text::DisplayName, use_case};
use permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{
    Channels,
    channel::{Channel, Kind, Pattern, State},
};

/// A channel.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ChannelView {
    /// Its id.
    id: ChannelId,
    /// What people call it.
    name: DisplayName,
    /// Whether it is used.
    state: State,
    /// The address, where it is a webhook endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// The events that go to it, where it is a webhook endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<Pattern>>,
    /// Host and port, where it is a mail server.
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    /// The sender, where it is a mail server.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
}

impl From<&Channel> for ChannelView {
    fn from(it: &Channel) -> Self {
        let (id, name, state) = (it.id, it.name.clone(), it.state);
        let none = Self { id, name, state, url: None, events: None, server: None, from: None };
        match &it.kind {
            Kind::Webhook(it) => Self { url: Some(it.url.clone()), events: Some(it.events.clone()), ..none },
            Kind::Smtp(it) => {
                Self { server: Some(format!("{}:{}", it.host, it.port)), from: Some(it.from.clone()), ..none }
            }
        }
    }
}

/// The channels of this tenant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListChannels {
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200; 50 unless told.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListChannels => List<ChannelView>, "notifications.channels.list", Tenant, may::CHANNEL_READ, Tell);

impl Handle<ListChannels> for Channels {
    async fn handle(&self, it: ListChannels, cx: Granted<ListChannels>) -> Result<List<ChannelView>, Problem> {
        let page = Page { after: it.after, limit: it.limit.map_or(0, |limit| limit as usize), newest_first: false };
        let listed = self.store.at(&cx).list::<Channel>("all", "", &page).await?;
        Ok(List { items: listed.items.iter().map(|it| (&**it).into()).collect(), next: listed.next })
    }
}
