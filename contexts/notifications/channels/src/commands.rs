//! What changes channels.

use std::time::Duration;

use contracts::notifications::{ChannelId, ChannelUpdated};
use kernel::{Cx, Granted, Handle, Problem, ProblemKind, text::DisplayName, use_case};
use permissions as may;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{
    Channels,
    channel::{Channel, Kind, MailServer, PATTERNS, Pattern, State, Webhook},
    guard::Reach,
    queries::ChannelView,
    signature,
    smtp::{Smtp, SmtpSettings},
    webhook,
};

/// The most channels of a tenant.
const MOST: usize = 50;

/// A channel that was made, with the secret that signs where it is an endpoint: it is shown this once.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ChannelMade {
    /// The channel.
    channel: ChannelView,
    /// The secret by which the receiver verifies signatures (Standard Webhooks, `whsec_…`).
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

fn checked_url(url: &str, reach: Reach) -> Result<String, Problem> {
    webhook::parse(url, reach).map(String::from).map_err(|error| Problem::invalid_field("/url", error.to_string()))
}

fn checked_events(events: &[Pattern]) -> Result<(), Problem> {
    if events.len() <= PATTERNS {
        return Ok(());
    }
    Err(Problem::invalid_field("/events", format!("expected at most {PATTERNS} patterns")))
}

impl Channels {
    async fn add(&self, cx: &Cx, name: DisplayName, kind: Kind) -> Result<Channel, Problem> {
        let store = self.store.at(cx);
        let held = store.list::<Channel>("all", "", &Page { limit: MOST, ..Page::default() }).await?;
        if held.items.len() >= MOST {
            let detail = format!("a tenant has at most {MOST} channels");
            return Err(Problem::new(ProblemKind::Refused, "notifications.too_many_channels", detail)
                .hint("remove one that is not used any more"));
        }
        let (channel, made) = Channel::new(cx.new_id(), name, kind);
        let made = store.create(channel, made).await?.into_inner();
        self.endpoints.forget(&cx.scope());
        Ok(made)
    }
}

/// Makes a webhook endpoint: what is sent to it is signed by the specification of Standard Webhooks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateWebhook {
    /// What people call it.
    name: DisplayName,
    /// Its address, with `https`; it must be on the public internet.
    url: String,
    /// The events of this tenant that go to it, at most 50 patterns: `*`, `identity.*`, `identity.UserRegistered.v1`.
    #[serde(default)]
    events: Vec<Pattern>,
}

use_case!(CreateWebhook => ChannelMade, "notifications.channels.create_webhook", Tenant, may::CHANNEL_UPDATE, Reveal);

impl Handle<CreateWebhook> for Channels {
    async fn handle(&self, it: CreateWebhook, cx: Granted<CreateWebhook>) -> Result<ChannelMade, Problem> {
        checked_events(&it.events)?;
        let secret = signature::secret(cx.random());
        let webhook = Webhook::new(checked_url(&it.url, self.reach)?, it.events, secret.clone());
        let made = self.add(&cx, it.name, Kind::Webhook(webhook)).await?;
        Ok(ChannelMade { channel: (&made).into(), secret: Some(secret) })
    }
}

/// Makes a mail server of the tenant's own, which its settings then name as the one to use.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateMailServer {
    /// What people call it.
    name: DisplayName,
    /// Its host name; it must be on the public internet.
    host: String,
    /// Its port: 465 for TLS from the start, 587 by STARTTLS. TLS is always required.
    port: u16,
    /// Who signs in to it; together with the password, or not at all.
    user: Option<String>,
    /// The password. It is sealed, and never shown again.
    password: Option<String>,
    /// The sender, such as `Acme <no-reply@acme.example>`.
    from: String,
}

use_case!(CreateMailServer => ChannelMade, "notifications.channels.create_mail_server", Tenant, may::CHANNEL_UPDATE);

impl MailServer {
    /// As the SMTP client takes it.
    pub fn settings(&self) -> SmtpSettings {
        let secret = |text: &Option<String>| text.clone().map(SecretString::from);
        let (user, password) = (secret(&self.user), secret(&self.password));
        let (host, from) = (self.host.clone(), self.from.clone());
        SmtpSettings { host, port: self.port, tls: self.tls, user, password, from }
    }
}

impl Handle<CreateMailServer> for Channels {
    async fn handle(&self, it: CreateMailServer, cx: Granted<CreateMailServer>) -> Result<ChannelMade, Problem> {
        let texts = [Some(&it.host), Some(&it.from), it.user.as_ref(), it.password.as_ref()];
        if texts.into_iter().flatten().any(|text| text.len() > 500 || text.chars().any(char::is_control)) {
            return Err(Problem::invalid_field("", "expected texts of at most 500 bytes without line breaks"));
        }
        let reach = self.reach;
        let found = reach.resolve(&it.host, it.port).await;
        let found = found.map_err(|error| Problem::invalid_field("/host", error.to_string()))?;
        // Only a server on this machine can do without; and that one is reached in development only.
        let tls = !found.iter().all(|it| it.ip().is_loopback());
        let CreateMailServer { name, host, port, user, password, from } = it;
        let server = MailServer { host, port, tls, user, password, from };
        Smtp::parse(&server.settings()).map_err(|error| Problem::invalid_field("", error.to_string()))?;
        let made = self.add(&cx, name, Kind::Smtp(server)).await?;
        Ok(ChannelMade { channel: (&made).into(), secret: None })
    }
}

/// Changes a webhook endpoint.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateWebhook {
    /// Which.
    channel: ChannelId,
    /// Its address.
    url: String,
    /// The events that go to it.
    events: Vec<Pattern>,
}

use_case!(UpdateWebhook => ChannelView, "notifications.channels.update_webhook", Tenant, may::CHANNEL_UPDATE);

impl Handle<UpdateWebhook> for Channels {
    async fn handle(&self, it: UpdateWebhook, cx: Granted<UpdateWebhook>) -> Result<ChannelView, Problem> {
        checked_events(&it.events)?;
        let url = checked_url(&it.url, self.reach)?;
        let store = self.store.at(&cx);
        let changed = store.change(&it.channel, |channel: &mut Channel| {
            let webhook = channel.webhook_mut()?;
            (webhook.url, webhook.events) = (url.clone(), it.events.clone());
            Ok(ChannelUpdated { channel: channel.id })
        });
        let changed = changed.await?;
        self.endpoints.forget(&cx.scope());
        Ok((&*changed).into())
    }
}

/// Switches a channel on, or off. One that was disabled because it failed begins anew; what failed meanwhile can be
/// replayed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchChannel {
    /// Which.
    channel: ChannelId,
    /// Whether it is used from now on.
    enabled: bool,
}

use_case!(SwitchChannel => ChannelView, "notifications.channels.switch", Tenant, may::CHANNEL_UPDATE);

impl Handle<SwitchChannel> for Channels {
    async fn handle(&self, it: SwitchChannel, cx: Granted<SwitchChannel>) -> Result<ChannelView, Problem> {
        let state = if it.enabled { State::Enabled } else { State::Paused };
        let rule = |channel: &mut Channel| Ok(channel.switch(state));
        let changed = self.store.at(&cx).change(&it.channel, rule).await?;
        self.endpoints.forget(&cx.scope());
        Ok((&*changed).into())
    }
}

/// Gives a webhook endpoint a new secret. Everything is signed with the old one too, for as many hours as are given.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateSecret {
    /// Which.
    channel: ChannelId,
    /// For how long the old secret stays valid, up to 168 hours; 24 unless told, 0 if it was disclosed.
    #[schemars(range(max = 168))]
    overlap_hours: Option<u32>,
}

use_case!(RotateSecret => ChannelMade, "notifications.channels.rotate_secret", Tenant, may::CHANNEL_UPDATE, Reveal);

impl Handle<RotateSecret> for Channels {
    async fn handle(&self, it: RotateSecret, cx: Granted<RotateSecret>) -> Result<ChannelMade, Problem> {
        let overlap = it.overlap_hours.unwrap_or(24);
        if overlap > 168 {
            return Err(Problem::invalid_field("/overlap_hours", "expected at most 168 hours"));
        }
        let (secret, until) = (signature::secret(cx.random()), cx.real_now() + Duration::from_hours(overlap.into()));
        let rule = |channel: &mut Channel| channel.rotate(secret.clone(), until);
        let changed = self.store.at(&cx).change(&it.channel, rule).await?;
        Ok(ChannelMade { channel: (&*changed).into(), secret: Some(secret) })
    }
}

/// Removes a channel. What still waits for it fails.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveChannel {
    /// Which.
    channel: ChannelId,
}

use_case!(RemoveChannel => (), "notifications.channels.remove", Tenant, may::CHANNEL_UPDATE);

impl Handle<RemoveChannel> for Channels {
    async fn handle(&self, it: RemoveChannel, cx: Granted<RemoveChannel>) -> Result<(), Problem> {
        let store = self.store.at(&cx);
        let channel = store.load::<Channel>(&it.channel).await?;
        store.delete(channel, ChannelUpdated { channel: it.channel }).await?;
        self.endpoints.forget(&cx.scope());
        Ok(())
    }
}
