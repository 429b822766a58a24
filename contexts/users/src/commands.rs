//! What changes profiles and preferences.

use kernel::{
    Granted, Handle, Permission, Problem, ProblemKind, Resource, ScopeKind, UseCase,
    text::{DisplayName, Key},
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    Users, permissions as may,
    preference::{Preference, Value},
    profile::{Changes, Locale, UserProfile, ZoneName},
    queries::ProfileView,
};

/// Changes the caller's own profile. A field that is left out stays as it is; `null` empties one (RFC 7396).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "leaving a field, emptying it and setting it are three things")]
pub(crate) struct UpdateMe {
    /// What the person is called; it cannot be emptied.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DisplayName")]
    name: Option<DisplayName>,
    /// The language to speak to them, as a language tag (BCP 47).
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Locale>")]
    locale: Option<Option<Locale>>,
    /// The time zone they live by (IANA).
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ZoneName>")]
    time_zone: Option<Option<ZoneName>>,
    /// What they do in the company.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DisplayName>")]
    title: Option<Option<DisplayName>>,
}

/// Keeps a `null` apart from a field that is missing.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl UseCase for UpdateMe {
    type Output = ProfileView;
    const NAME: &'static str = "users.update_me";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const NEEDS: Permission = may::UPDATE;
}

/// The zone as the time zone database spells it.
fn existing(zone: &ZoneName) -> Result<ZoneName, Problem> {
    let refused = |_| Problem::invalid_field("/time_zone", "there is no such time zone");
    let found = jiff::tz::db().get(zone.as_str()).map_err(refused)?;
    Ok(found.iana_name().and_then(|name| name.parse().ok()).unwrap_or_else(|| zone.clone()))
}

impl Handle<UpdateMe> for Users {
    async fn handle(&self, it: UpdateMe, cx: Granted<UpdateMe>) -> Result<ProfileView, Problem> {
        let time_zone = match it.time_zone {
            Some(Some(zone)) => Some(Some(existing(&zone)?)),
            other => other,
        };
        let changes = Changes { name: it.name, locale: it.locale, time_zone, title: it.title };
        let update = |profile: &mut UserProfile| {
            cx.permit(profile)?;
            Ok(profile.update(changes.clone()))
        };
        let stored = self.store.at(&cx).change(&cx.user()?, update).await?;
        Ok((&*stored).into())
    }
}

/// Sets one of the caller's preferences.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetPreference {
    /// Which; the product chooses the words.
    key: Key,
    /// What it is from now on.
    value: Value,
}

/// One preference.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PreferenceView {
    /// Which.
    key: Key,
    /// What it is.
    value: Value,
}

impl UseCase for SetPreference {
    type Output = PreferenceView;
    const NAME: &'static str = "users.set_preference";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const NEEDS: Permission = may::PREFERENCE_SET;
    fn resource(&self) -> Resource {
        Resource::one("preference", &self.key)
    }
}

impl Handle<SetPreference> for Users {
    async fn handle(&self, it: SetPreference, cx: Granted<SetPreference>) -> Result<PreferenceView, Problem> {
        let (store, user) = (self.store.at(&cx), cx.user()?);
        let set = |held: &mut Preference| {
            cx.permit(held)?;
            Ok(held.set(it.key.clone(), it.value.clone())?)
        };
        if store.try_load::<Preference>(&user).await?.is_none() {
            let mut first = Preference::none_of(user);
            let changed = set(&mut first)?;
            match store.create(first, changed).await {
                // Another first preference was faster: then this one is added to it.
                Err(raced) if raced.kind() == ProblemKind::Conflict => {}
                outcome => return outcome.map(|_| PreferenceView { key: it.key.clone(), value: it.value.clone() }),
            }
        }
        store.change(&user, set).await?;
        Ok(PreferenceView { key: it.key, value: it.value })
    }
}
