//! What is the same for all people of a tenant, unless they say otherwise: time zone and language.

use contracts::tenants::{ReadSettings, SettingsView};
use kernel::{Aggregate, Granted, Handle, Problem, ScopeKind, use_case};
use register::permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Tenants;

/// What is the same for all people of a tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Preferences {
    time_zone: String,
    locale: String,
}

impl Default for Preferences {
    fn default() -> Self {
        Self { time_zone: "UTC".to_owned(), locale: "en".to_owned() }
    }
}

impl Aggregate for Preferences {
    type Id = String;
    const KIND: &'static str = "tenants.settings";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        "settings".to_owned()
    }
}

impl From<&Preferences> for SettingsView {
    fn from(it: &Preferences) -> Self {
        Self { time_zone: it.time_zone.clone(), locale: it.locale.clone() }
    }
}

impl Handle<ReadSettings> for Tenants {
    async fn handle(&self, _: ReadSettings, cx: Granted<ReadSettings>) -> Result<SettingsView, Problem> {
        let found = self.store.at(&cx).try_load::<Preferences>(&"settings".to_owned()).await?;
        Ok(found.map_or_else(|| (&Preferences::default()).into(), |it| (&*it).into()))
    }
}

/// Sets the tenant's time zone and language.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateSettings {
    /// The time zone (IANA), such as `Europe/Vienna`.
    #[schemars(length(min = 1, max = 64))]
    time_zone: String,
    /// The language (BCP 47), such as `de-AT`.
    #[schemars(length(min = 2, max = 35))]
    locale: String,
}

use_case!(UpdateSettings => SettingsView, "tenants.settings.update", Tenant, may::SETTINGS_UPDATE);

/// A language, and parts of 1 to 8 letters or digits after it (RFC 5646, section 2.1).
fn is_locale(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    text.len() <= 35
        && (2..=3).contains(&language.len())
        && language.bytes().all(|c| c.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_alphanumeric()))
}

impl Handle<UpdateSettings> for Tenants {
    async fn handle(&self, it: UpdateSettings, cx: Granted<UpdateSettings>) -> Result<SettingsView, Problem> {
        let known = it.time_zone.len() <= 64 && jiff::tz::TimeZone::get(&it.time_zone).is_ok();
        if !known {
            return Err(Problem::invalid_field("/time_zone", "expected a time zone such as Europe/Vienna"));
        }
        if !is_locale(&it.locale) {
            return Err(Problem::invalid_field("/locale", "expected a language such as de-AT"));
        }
        let rule = |known: &mut Preferences| {
            *known = Preferences { time_zone: it.time_zone.clone(), locale: it.locale.clone() };
            Ok(())
        };
        let changed = self.store.at(&cx).upsert(&"settings".to_owned(), Preferences::default, rule).await?;
        Ok((&*changed).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales() {
        assert!(["de", "de-AT", "zh-Hant-TW", "es-419"].into_iter().all(is_locale));
        assert!(!["", "d", "de_AT", "de-", "deutsch", "de-!"].into_iter().any(is_locale));
    }
}
