//! What people ask of profiles and preferences.

use std::collections::BTreeMap;

use contracts::users::ProfileUpdated;
use kernel::{
    Effect, Granted, Handle, Permission, Problem, ScopeKind, UseCase, UserId,
    text::{DisplayName, EmailAddress, Key},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{
    OWN, READ, Users,
    preference::{Preference, Value},
    profile::UserProfile,
};

/// A profile as people see it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ProfileView {
    user: UserId,
    email: EmailAddress,
    name: DisplayName,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<DisplayName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
}

impl From<&UserProfile> for ProfileView {
    fn from(it: &UserProfile) -> Self {
        let UserProfile { user, email, name, title, locale, time_zone } = it.clone();
        Self { user, email, name, title, locale, time_zone }
    }
}

macro_rules! use_case {
    ($name:ident -> $output:ty, $use_case:literal, $needs:ident, $effect:ident) => {
        impl UseCase for $name {
            type Output = $output;
            const NAME: &'static str = $use_case;
            const SCOPE: ScopeKind = ScopeKind::Tenant;
            const NEEDS: Permission = $needs.permission;
            const EFFECT: Effect = Effect::$effect;
        }
    };
}

/// The caller's own profile.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadMe {}

use_case!(ReadMe -> ProfileView, "users.me", OWN, Tell);

impl Handle<ReadMe> for Users {
    async fn handle(&self, _: ReadMe, cx: Granted<ReadMe>) -> Result<ProfileView, Problem> {
        Ok((&*self.store.at(&cx).load::<UserProfile>(&cx.user()?).await?).into())
    }
}

/// Changes the caller's own profile; what is left out stays.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateMe {
    /// What one is called.
    name: Option<DisplayName>,
    /// What one does.
    title: Option<DisplayName>,
    /// A language tag (BCP 47), such as `en-GB`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9-]{2,35}$"))]
    locale: Option<String>,
    /// A time zone of the IANA database, such as `Europe/Berlin`.
    #[schemars(length(max = 64))]
    time_zone: Option<String>,
}

use_case!(UpdateMe -> ProfileView, "users.update_me", OWN, Change);

impl Handle<UpdateMe> for Users {
    async fn handle(&self, it: UpdateMe, cx: Granted<UpdateMe>) -> Result<ProfileView, Problem> {
        if it.time_zone.as_deref().is_some_and(|zone| jiff::tz::TimeZone::get(zone).is_err()) {
            return Err(Problem::invalid_field("/time_zone", "no time zone of the IANA database"));
        }
        let tag =
            |tag: &str| (2..=35).contains(&tag.len()) && tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if it.locale.as_deref().is_some_and(|locale| !tag(locale)) {
            return Err(Problem::invalid_field("/locale", "expected a language tag such as en-GB"));
        }
        let change = |profile: &mut UserProfile| {
            let mut fields = Vec::new();
            let mut changed = |name: &str| fields.push(name.to_owned());
            if let Some(name) = it.name.clone() {
                profile.name = name;
                changed("name");
            }
            if it.title.is_some() {
                profile.title.clone_from(&it.title);
                changed("title");
            }
            if it.locale.is_some() {
                profile.locale.clone_from(&it.locale);
                changed("locale");
            }
            if it.time_zone.is_some() {
                profile.time_zone.clone_from(&it.time_zone);
                changed("time_zone");
            }
            Ok(ProfileUpdated { user: profile.user, fields })
        };
        Ok((&*self.store.at(&cx).change(&cx.user()?, change).await?).into())
    }
}

/// The profile of a person of the tenant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadUser {
    /// Whose.
    user: UserId,
}

use_case!(ReadUser -> ProfileView, "users.get", READ, Tell);

impl Handle<ReadUser> for Users {
    async fn handle(&self, it: ReadUser, cx: Granted<ReadUser>) -> Result<ProfileView, Problem> {
        let profile = self.store.at(&cx).load::<UserProfile>(&it.user).await?;
        cx.permit(&*profile)?;
        Ok((&*profile).into())
    }
}

/// The people of the tenant; all, or those whose name or address has a word that begins so.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListUsers {
    /// The beginning of a word of the name, or of the address: up to 12 characters count.
    search: Option<String>,
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

/// A part of the list of people.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct UserList {
    items: Vec<ProfileView>,
    /// Where to go on; missing at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

use_case!(ListUsers -> UserList, "users.list", READ, Tell);

impl Handle<ListUsers> for Users {
    async fn handle(&self, it: ListUsers, cx: Granted<ListUsers>) -> Result<UserList, Problem> {
        let page = Page { after: it.after, limit: it.limit.unwrap_or(50) as usize, newest_first: false };
        let begins: String = it.search.unwrap_or_default().trim().to_lowercase().chars().take(12).collect();
        let index = if begins.is_empty() { "all" } else { "search" };
        let listed = self.store.at(&cx).list::<UserProfile>(index, &begins, &page).await?;
        Ok(UserList { items: listed.items.iter().map(|it| (&**it).into()).collect(), next: listed.next })
    }
}

/// What the caller prefers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadPreferences {}

/// Preferences by key.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PreferenceList {
    values: BTreeMap<String, Value>,
}

use_case!(ReadPreferences -> PreferenceList, "users.preferences", OWN, Tell);

impl Handle<ReadPreferences> for Users {
    async fn handle(&self, _: ReadPreferences, cx: Granted<ReadPreferences>) -> Result<PreferenceList, Problem> {
        let known = self.store.at(&cx).try_load::<Preference>(&cx.user()?).await?;
        Ok(PreferenceList { values: known.map(|known| known.values.clone()).unwrap_or_default() })
    }
}

/// Sets one preference of the caller.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetPreference {
    /// Which.
    key: Key,
    /// The value.
    value: Value,
}

use_case!(SetPreference -> PreferenceList, "users.set_preference", OWN, Change);

impl Handle<SetPreference> for Users {
    async fn handle(&self, it: SetPreference, cx: Granted<SetPreference>) -> Result<PreferenceList, Problem> {
        let (store, user) = (self.store.at(&cx), cx.user()?);
        if store.try_load::<Preference>(&user).await?.is_none() {
            let mut fresh = Preference::new(user);
            let changed = fresh.set(&it.key, it.value)?;
            return Ok(PreferenceList { values: store.create(fresh, changed).await?.into_inner().values });
        }
        let changed = store.change(&user, |known: &mut Preference| known.set(&it.key, it.value.clone())).await?;
        Ok(PreferenceList { values: changed.into_inner().values })
    }
}
