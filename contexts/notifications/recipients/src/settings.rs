//! What a tenant has decided about its notifications: language, categories, mail server, how long they are kept.

use std::collections::{BTreeMap, BTreeSet};

use channels::{
    channel::{Channel, Kind},
    guard::Reach,
};
use contracts::notifications::ChannelId;
use kernel::{
    Aggregate, Granted, Handle, Problem, ScopeKind, Timestamp,
    text::{DisplayName, Key, Slug},
    use_case,
};
use permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::Locale;

use crate::{Recipients, brand::Brand, means::Means};

/// The category of what concerns a person's account: nobody can opt out.
pub const SECURITY: &str = "security";
/// The category of what a person's own acts bring about: nobody can opt out.
pub const TRANSACTIONAL: &str = "transactional";
/// The category of news of the product.
pub(crate) const PRODUCT: &str = "product";
/// The most categories of a tenant.
const MOST: usize = 50;

/// A category of notifications: what people choose by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// What people call it.
    pub name: DisplayName,
    /// By what it is delivered to those who have not chosen.
    pub defaults: BTreeSet<Means>,
}

/// What a tenant has decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The tenant's name and subdomain, as it was provisioned.
    pub tenant: Option<(DisplayName, Slug)>,
    /// The language where nobody chose one.
    pub locale: Locale,
    pub(crate) retention_days: u16,
    /// The tenant's own mail server, if it uses one.
    pub mail: Option<ChannelId>,
    /// How the tenant presents itself.
    #[serde(default)]
    pub brand: Brand,
    categories: BTreeMap<Key, Category>,
}

impl Settings {
    /// The id of those that a tenant has.
    pub const ID: &'static str = "settings";

    /// What holds until a tenant decides otherwise.
    pub fn new(tenant: Option<(DisplayName, Slug)>) -> Self {
        let (brand, categories) = (Brand::default(), BTreeMap::new());
        Self { tenant, locale: Locale::english(), retention_days: 90, mail: None, brand, categories }
    }

    /// What the tenant is called: as it calls itself, or as it was provisioned.
    pub fn company(&self) -> String {
        let name = self.brand.name.as_ref().or(self.tenant.as_ref().map(|(name, _)| name));
        name.map(ToString::to_string).unwrap_or_default()
    }

    /// Whether people must get what is in this category.
    pub fn is_mandatory(category: &Key) -> bool {
        [SECURITY, TRANSACTIONAL].contains(&category.as_str())
    }

    /// All categories: the platform's, and the tenant's own.
    pub fn categories(&self) -> BTreeMap<Key, Category> {
        let own = |key: &str, name: &str, defaults: &[Means]| {
            let defaults = defaults.iter().copied().collect();
            Some((key.parse().ok()?, Category { name: name.parse().ok()?, defaults }))
        };
        let mut all: BTreeMap<_, _> = [
            own(SECURITY, "Sign-in and security", &[Means::Mail]),
            own(TRANSACTIONAL, "What you asked for", &[Means::Mail, Means::Inbox]),
            own(PRODUCT, "News of the product", &[Means::Mail, Means::Inbox]),
        ]
        .into_iter()
        .flatten()
        .collect();
        all.extend(self.categories.clone());
        all
    }

    /// When what ends now is removed.
    pub fn removal(&self, now: Timestamp) -> Timestamp {
        now.checked_add(days(self.retention_days)).unwrap_or(Timestamp::MAX)
    }
}

fn days(days: u16) -> std::time::Duration {
    std::time::Duration::from_hours(u64::from(days) * 24)
}

impl Aggregate for Settings {
    type Id = String;
    const KIND: &'static str = "notifications.settings";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

/// A tenant's settings of its notifications.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SettingsView {
    /// The language of whoever has chosen none.
    locale: Locale,
    /// For how many days notifications and inbox messages are kept.
    retention_days: u16,
    /// The tenant's own mail server, where it uses one.
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_channel: Option<ChannelId>,
    /// The categories, the platform's included.
    categories: BTreeMap<Key, Category>,
}

impl From<&Settings> for SettingsView {
    fn from(it: &Settings) -> Self {
        let (locale, retention_days) = (it.locale.clone(), it.retention_days);
        Self { locale, retention_days, mail_channel: it.mail, categories: it.categories() }
    }
}

/// The settings of this tenant's notifications.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetSettings {}

use_case!(GetSettings => SettingsView, "notifications.settings.get", Tenant, may::SETTINGS_READ, Tell);

impl Handle<GetSettings> for Recipients {
    async fn handle(&self, _: GetSettings, cx: Granted<GetSettings>) -> Result<SettingsView, Problem> {
        let held = self.store.at(&cx).try_load::<Settings>(&Settings::ID.to_owned()).await?;
        Ok(held.map_or_else(|| (&Settings::new(None)).into(), |it| (&*it).into()))
    }
}

/// Decides about this tenant's notifications, all at once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateSettings {
    /// The language of whoever has chosen none.
    locale: Locale,
    /// For how many days notifications and inbox messages are kept, from 1 to 730.
    #[schemars(range(min = 1, max = 730))]
    retention_days: u16,
    /// A mail server of the tenant's own; the platform's without it.
    mail_channel: Option<ChannelId>,
    /// The tenant's own categories, at most 50. Of `security`, `transactional` and `product`, the last can be overridden.
    #[serde(default)]
    categories: BTreeMap<Key, Category>,
}

use_case!(UpdateSettings => SettingsView, "notifications.settings.update", Tenant, may::SETTINGS_UPDATE);

impl Handle<UpdateSettings> for Recipients {
    async fn handle(&self, it: UpdateSettings, cx: Granted<UpdateSettings>) -> Result<SettingsView, Problem> {
        if !(1..=730).contains(&it.retention_days) {
            return Err(Problem::invalid_field("/retention_days", "expected 1 to 730 days"));
        }
        if it.categories.len() > MOST || it.categories.keys().any(Settings::is_mandatory) {
            let detail = "expected at most 50 categories, without security and transactional, which stay as they are";
            return Err(Problem::invalid_field("/categories", detail));
        }
        let (store, id) = (self.store.at(&cx), Settings::ID.to_owned());
        if let Some(channel) = &it.mail_channel {
            let channel = store.load::<Channel>(channel).await?;
            if !matches!(channel.kind, Kind::Smtp(_)) {
                return Err(Problem::invalid_field("/mail_channel", "this channel is not a mail server"));
            }
        }
        self.ensure_settings(&cx).await?;
        let changed = store.change(&id, |held: &mut Settings| {
            let UpdateSettings { locale, retention_days, mail_channel, categories } = it.clone();
            (held.locale, held.retention_days) = (locale, retention_days);
            (held.mail, held.categories) = (mail_channel, categories);
            Ok(())
        });
        let changed = changed.await?;
        self.known.forget(&cx.scope());
        Ok((&*changed).into())
    }
}

/// How the installation is reached, and what it may reach.
#[derive(Debug, Clone)]
pub struct Site {
    /// `http` or `https`.
    pub scheme: String,
    /// The host name; tenants are its subdomains.
    pub host: String,
    /// The port in addresses, where it is not the scheme's own.
    pub port: Option<u16>,
    /// Where endpoints and mail servers of tenants may be.
    pub reach: Reach,
}

impl Site {
    /// The origin of a tenant, once it is known how it is called.
    pub fn origin(&self, settings: &Settings) -> Option<String> {
        let (_, slug) = settings.tenant.as_ref()?;
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}://{slug}.{}{port}", self.scheme, self.host))
    }
}
