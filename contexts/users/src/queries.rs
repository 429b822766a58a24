//! What tells of profiles and preferences.

use std::collections::BTreeMap;

use kernel::{
    Effect, Granted, Handle, Permission, Problem, Resource, ScopeKind, UseCase, UserId,
    text::{DisplayName, EmailAddress, Key},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{
    Users, permissions as may,
    preference::{Preference, Value},
    profile::{LONGEST, Locale, UserProfile, ZoneName},
};

/// A person's profile.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ProfileView {
    /// Who.
    id: UserId,
    /// The address.
    email: EmailAddress,
    /// What the person is called.
    name: DisplayName,
    /// The language to speak to them (BCP 47).
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<Locale>,
    /// The time zone they live by (IANA).
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<ZoneName>,
    /// What they do in the company.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<DisplayName>,
    /// Whether they work here no more.
    deactivated: bool,
}

impl From<&UserProfile> for ProfileView {
    fn from(it: &UserProfile) -> Self {
        let it = it.clone();
        Self {
            id: it.user,
            email: it.email,
            name: it.name,
            locale: it.locale,
            time_zone: it.time_zone,
            title: it.title,
            deactivated: it.deactivated,
        }
    }
}

/// The caller's own profile.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetMe {}

impl UseCase for GetMe {
    type Output = ProfileView;
    const NAME: &'static str = "users.me";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const NEEDS: Permission = may::READ;
    const EFFECT: Effect = Effect::Tell;
}

impl Handle<GetMe> for Users {
    async fn handle(&self, _: GetMe, cx: Granted<GetMe>) -> Result<ProfileView, Problem> {
        let profile = self.store.at(&cx).load::<UserProfile>(&cx.user()?).await?;
        cx.permit(&*profile)?;
        Ok((&*profile).into())
    }
}

/// The profile of a person.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetUser {
    /// Who.
    user: UserId,
}

impl UseCase for GetUser {
    type Output = ProfileView;
    const NAME: &'static str = "users.get";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const NEEDS: Permission = may::READ;
    const EFFECT: Effect = Effect::Tell;
    fn resource(&self) -> Resource {
        self.user.into()
    }
}

impl Handle<GetUser> for Users {
    async fn handle(&self, it: GetUser, cx: Granted<GetUser>) -> Result<ProfileView, Problem> {
        // Whoever sees only themselves does not learn who else there is.
        if cx.only_of()?.is_some_and(|only| only != it.user) {
            return Err(cx.refusal(may::READ.name()));
        }
        let profile = self.store.at(&cx).load::<UserProfile>(&it.user).await?;
        Ok((&*profile).into())
    }
}

/// The people of the tenant, in the order in which they came.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListUsers {
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200; 50 unless told.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// Only those whose name, a word of it, or address begins so. A page may then hold fewer than `limit`.
    search: Option<String>,
}

/// A part of the list of people.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct UserList {
    /// The profiles.
    items: Vec<ProfileView>,
    /// Where to go on; missing at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl UseCase for ListUsers {
    type Output = UserList;
    const NAME: &'static str = "users.list";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const NEEDS: Permission = may::READ;
    const EFFECT: Effect = Effect::Tell;
}

impl Handle<ListUsers> for Users {
    async fn handle(&self, it: ListUsers, cx: Granted<ListUsers>) -> Result<UserList, Problem> {
        let store = self.store.at(&cx);
        let search = it.search.unwrap_or_default().trim().to_lowercase();
        if let Some(only) = cx.only_of()? {
            let own = store.try_load::<UserProfile>(&only).await?.filter(|it| it.matches(&search));
            return Ok(UserList { items: own.iter().map(|it| (&**it).into()).collect(), next: None });
        }
        let page = Page { after: it.after, limit: it.limit.map_or(0, |limit| limit as usize), newest_first: false };
        let prefix: String = search.chars().take(LONGEST).collect();
        let (index, value) = if prefix.is_empty() { ("all", "") } else { ("search", prefix.as_str()) };
        let listed = store.list::<UserProfile>(index, value, &page).await?;
        let items = listed.items.iter().filter(|it| it.matches(&search)).map(|it| (&**it).into()).collect();
        Ok(UserList { items, next: listed.next })
    }
}

/// All preferences of the caller.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListPreferences {}

/// A person's preferences.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PreferencesView {
    /// Each by its key.
    preferences: BTreeMap<Key, Value>,
}

impl UseCase for ListPreferences {
    type Output = PreferencesView;
    const NAME: &'static str = "users.preferences";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const NEEDS: Permission = may::PREFERENCE_READ;
    const EFFECT: Effect = Effect::Tell;
}

impl Handle<ListPreferences> for Users {
    async fn handle(&self, _: ListPreferences, cx: Granted<ListPreferences>) -> Result<PreferencesView, Problem> {
        let user = cx.user()?;
        let held = self.store.at(&cx).try_load::<Preference>(&user).await?;
        let held = held.map_or_else(|| Preference::none_of(user), store::Loaded::into_inner);
        cx.permit(&held)?;
        Ok(PreferencesView { preferences: held.into_values() })
    }
}
