//! What tells of profiles.

use kernel::{
    Cx, Granted, Handle, List, Problem, UserId,
    text::{DisplayName, EmailAddress},
    use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Page;

use crate::{
    Users,
    fields::{ProfileFields, Values},
    permissions as may,
    profile::{LONGEST, Locale, Status, UserProfile, ZoneName},
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
    /// The fields that the tenant defined, as far as the caller may see them.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    fields: Values,
}

impl ProfileView {
    fn of(it: &UserProfile, fields: &ProfileFields, cx: &Cx) -> Self {
        let all = cx.caller().user() == Some(it.user) || cx.grants().of(may::ADMINISTER).is_some();
        let it = it.clone();
        Self {
            id: it.user,
            email: it.email,
            name: it.name,
            locale: it.locale,
            time_zone: it.time_zone,
            title: it.title,
            deactivated: it.deactivated,
            fields: it.fields.into_iter().filter(|(name, _)| all || fields.visible(name)).collect(),
        }
    }
}

impl Users {
    /// The fields that the tenant defined.
    pub(crate) async fn fields(&self, cx: &Cx) -> Result<ProfileFields, Problem> {
        let stored = self.store.at(cx).try_load::<ProfileFields>(&ProfileFields::ID.to_owned()).await?;
        Ok(stored.map_or_else(ProfileFields::none, store::Loaded::into_inner))
    }

    /// A profile, as the caller may see it.
    pub(crate) async fn view(&self, profile: &UserProfile, cx: &Cx) -> Result<ProfileView, Problem> {
        Ok(ProfileView::of(profile, &self.fields(cx).await?, cx))
    }
}

/// The caller's own profile.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetMe {}

use_case!(GetMe => ProfileView, "users.me", Tenant, may::READ, Tell; version of UserProfile);

impl Handle<GetMe> for Users {
    async fn handle(&self, _: GetMe, cx: Granted<GetMe>) -> Result<ProfileView, Problem> {
        let profile = self.store.at(&cx).load::<UserProfile>(&cx.user()?).await?;
        cx.permit(&*profile)?;
        self.view(&profile, &cx).await
    }
}

/// The profile of a person.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetUser {
    /// Who.
    user: UserId,
}

use_case!(GetUser => ProfileView, "users.get", Tenant, may::READ, Tell, |it| it.user.into(); version of UserProfile);

impl Handle<GetUser> for Users {
    async fn handle(&self, it: GetUser, cx: Granted<GetUser>) -> Result<ProfileView, Problem> {
        // Whoever sees only themselves does not learn who else there is.
        cx.permit_owner(Some(it.user))?;
        let profile = self.store.at(&cx).load::<UserProfile>(&it.user).await?;
        self.view(&profile, &cx).await
    }
}

/// In which order people are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Who came first, first.
    #[default]
    Oldest,
    /// Who came last, first.
    Newest,
}

/// The people of the tenant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListUsers {
    /// Go on after this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// At most so many, up to 200; 50 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// Only those whose name, a word of it, or address begins so. A page may then hold fewer than `limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 254))]
    search: Option<String>,
    /// Only those who work here, or only those who do no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    /// In which order; those who came first, first, unless told.
    #[serde(default)]
    order: Order,
}

use_case!(ListUsers => List<ProfileView>, "users.list", Tenant, may::READ, Tell);

impl Handle<ListUsers> for Users {
    async fn handle(&self, it: ListUsers, cx: Granted<ListUsers>) -> Result<List<ProfileView>, Problem> {
        let (store, fields) = (self.store.at(&cx), self.fields(&cx).await?);
        let search = it.search.unwrap_or_default().trim().to_lowercase();
        let fits = |of: &UserProfile| it.status.is_none_or(|status| of.status() == status) && of.matches(&search);
        if let Some(only) = cx.only_of()? {
            let own = store.try_load::<UserProfile>(&only).await?.filter(|own| fits(own));
            return Ok(List { items: own.iter().map(|it| ProfileView::of(it, &fields, &cx)).collect(), next: None });
        }
        let newest_first = it.order == Order::Newest;
        let page = Page { after: it.after, limit: it.limit.map_or(0, |limit| limit as usize), newest_first };
        let prefix: String = search.chars().take(LONGEST).collect();
        let (index, value) = match it.status {
            _ if !prefix.is_empty() => ("search", prefix.as_str()),
            Some(status) => ("status", status.name()),
            None => ("all", ""),
        };
        let listed = store.list::<UserProfile>(index, value, &page).await?;
        let items = listed.items.iter().filter(|it| fits(it)).map(|it| ProfileView::of(it, &fields, &cx)).collect();
        Ok(List { items, next: listed.next })
    }
}

/// Which fields the profiles of this tenant have, beside those that all have.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadFields {}

/// The fields of a tenant's profiles.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FieldsView {
    /// How often they were defined; 0 before the first time.
    version: u32,
    /// A JSON Schema (draft 2020-12) of an object.
    schema: Value,
}

impl From<ProfileFields> for FieldsView {
    fn from(it: ProfileFields) -> Self {
        Self { version: it.version, schema: it.schema }
    }
}

use_case!(ReadFields => FieldsView, "users.fields.read", Tenant, may::FIELDS_READ, Tell);

impl Handle<ReadFields> for Users {
    async fn handle(&self, _: ReadFields, cx: Granted<ReadFields>) -> Result<FieldsView, Problem> {
        Ok(self.fields(&cx).await?.into())
    }
}
