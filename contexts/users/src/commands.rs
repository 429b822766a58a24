//! What changes profiles, and which fields they have.

use kernel::{Granted, Handle, Problem, ProblemKind, UserId, text::DisplayName, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::{
    Users,
    fields::{Editor, ProfileFields, Values},
    permissions as may,
    profile::{Changes, Locale, UserProfile, ZoneName},
    queries::{FieldsView, ProfileView},
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
    /// Fields that the tenant defined, by name.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    fields: Values,
}

/// Keeps a `null` apart from a field that is missing.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

use_case!(UpdateMe => ProfileView, "users.update_me", Tenant, may::UPDATE; version of UserProfile);

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
        if !it.fields.is_empty() {
            let administers = cx.grants().of(may::ADMINISTER).is_some();
            let editor = if administers { Editor::Admins } else { Editor::Oneself };
            self.fields(&cx).await?.admit(&it.fields, editor)?;
        }
        let changes = Changes { name: it.name, locale: it.locale, time_zone, title: it.title, fields: it.fields };
        let update = |profile: &mut UserProfile| {
            cx.permit(profile)?;
            profile.update(changes.clone())
        };
        let stored = self.store.at(&cx).change(&cx.user()?, update).await?;
        self.view(&stored, &cx).await
    }
}

/// Changes what the tenant says of a person. A field that is left out stays as it is; `null` empties one (RFC 7396).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "leaving a field, emptying it and setting it are three things")]
pub(crate) struct UpdateUser {
    /// Who.
    user: UserId,
    /// What they do in the company.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DisplayName>")]
    title: Option<Option<DisplayName>>,
    /// Fields that the tenant defined, by name.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    fields: Values,
}

use_case!(UpdateUser => ProfileView, "users.update", Tenant, may::ADMINISTER, |it| it.user.into(); version of UserProfile);

impl Handle<UpdateUser> for Users {
    async fn handle(&self, it: UpdateUser, cx: Granted<UpdateUser>) -> Result<ProfileView, Problem> {
        self.fields(&cx).await?.admit(&it.fields, Editor::Admins)?;
        let changes = Changes { title: it.title, fields: it.fields, ..Changes::default() };
        let update = |profile: &mut UserProfile| profile.update(changes.clone());
        let stored = self.store.at(&cx).change(&it.user, update).await?;
        self.view(&stored, &cx).await
    }
}

/// Defines which fields the profiles of this tenant have, beside those that all have. What profiles hold stays, and is
/// judged by the new definition where it is next changed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefineFields {
    /// A JSON Schema (draft 2020-12) of an object, without references, of at most 16 KiB and 64 properties. A property may
    /// say who sees it (`"x-visibility"`: `"members"`, or `"private"`, which it is unless told) and who fills it in
    /// (`"x-editable"`: `"self"`, which it is unless told, or `"admins"`).
    schema: Value,
    /// The version that this one follows; refused where there is another by now. Not checked unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after_version: Option<u32>,
}

use_case!(DefineFields => FieldsView, "users.fields.define", Tenant, may::FIELDS_UPDATE);

impl Handle<DefineFields> for Users {
    async fn handle(&self, it: DefineFields, cx: Granted<DefineFields>) -> Result<FieldsView, Problem> {
        let store = self.store.at(&cx);
        let define = |fields: &mut ProfileFields| {
            if it.after_version.is_some_and(|expected| expected != fields.version) {
                let now = fields.version;
                let detail = format!("the definition has version {now} by now");
                return Err(Problem::new(ProblemKind::Conflict, "users.fields_changed", detail)
                    .hint("read it again and repeat the change"));
            }
            fields.define(it.schema.clone())
        };
        let id = ProfileFields::ID.to_owned();
        if store.try_load::<ProfileFields>(&id).await?.is_none() {
            let mut first = ProfileFields::none();
            let happened = define(&mut first)?;
            match store.create(first, happened).await {
                // Another first definition was faster: then this one follows it.
                Err(raced) if raced.kind() == ProblemKind::Conflict => {}
                outcome => return outcome.map(|stored| stored.into_inner().into()),
            }
        }
        Ok(store.change(&id, define).await?.into_inner().into())
    }
}
