//! What tells of templates.

use std::collections::BTreeMap;

use kernel::{Cx, Granted, Handle, List, Problem, Timestamp, text::Key, use_case};
use permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;
use templates::{
    built_in,
    template::Template,
    variable::{self, Values},
    wording::{Rendered, Wording},
};
use text::Locale;

use crate::Notifications;

/// A version of a template.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct VersionView {
    /// Its number.
    number: u32,
    /// When it was published.
    #[schemars(with = "String")]
    published: Timestamp,
}

/// A template.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TemplateView {
    /// Its key.
    key: Key,
    /// Whether the platform has one of this key, which this one overrides.
    built_in: bool,
    /// The version in force; missing before the first, and for what the platform says.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    /// What is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<Wording>,
    /// What was saved and is not published yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    draft: Option<Wording>,
    /// The versions that can be put in force again.
    versions: Vec<VersionView>,
}

impl From<&Template> for TemplateView {
    fn from(it: &Template) -> Self {
        let own = built_in::wording(&it.key);
        let version = |it: &templates::template::Version| VersionView { number: it.number, published: it.published };
        let mut versions: Vec<_> = it.versions.iter().map(version).collect();
        versions.sort_by_key(|it| it.number);
        Self {
            key: it.key.clone(),
            built_in: own.is_some(),
            version: it.published().map(|it| it.number),
            published: it.published().map(|it| it.wording.clone()).or(own),
            draft: it.draft.clone(),
            versions,
        }
    }
}

/// A template, in short.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TemplateItem {
    /// Its key.
    key: Key,
    /// Whether the platform has one of this key.
    built_in: bool,
    /// The version in force, where the tenant has published one.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    /// Whether something was saved that is not published yet.
    draft: bool,
}

/// The tenant's templates by their keys, and on the first page those of the platform that it has not overridden.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListTemplates {
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 50; 20 unless told.
    #[schemars(range(min = 1, max = 50))]
    limit: Option<u32>,
}

use_case!(ListTemplates => List<TemplateItem>, "notifications.templates.list", Tenant, may::TEMPLATE_READ, Tell);

impl Handle<ListTemplates> for Notifications {
    async fn handle(&self, it: ListTemplates, cx: Granted<ListTemplates>) -> Result<List<TemplateItem>, Problem> {
        // A template may be large: fewer at once than of other things.
        let page = Page { limit: it.limit.map_or(20, |limit| limit.clamp(1, 50) as usize), ..Page::default() };
        let first = it.after.is_none();
        let page = Page { after: it.after, ..page };
        let store = self.store.at(&cx);
        let listed = store.list::<Template>("all", "", &page).await?;
        let mut items: BTreeMap<Key, TemplateItem> = BTreeMap::new();
        for it in &listed.items {
            let built_in = built_in::keys().any(|key| key == it.key.as_str());
            let (version, draft) = (it.published().map(|it| it.number), it.draft.is_some());
            items.insert(it.key.clone(), TemplateItem { key: it.key.clone(), built_in, version, draft });
        }
        for key in built_in::keys().filter_map(|key| key.parse::<Key>().ok()).filter(|_| first) {
            if !items.contains_key(&key) && store.try_load::<Template>(&key).await?.is_none() {
                items.insert(key.clone(), TemplateItem { key, built_in: true, version: None, draft: false });
            }
        }
        Ok(List { items: items.into_values().collect(), next: listed.next })
    }
}

/// A template: what it says, what was drafted, and its versions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetTemplate {
    /// Which.
    template: Key,
}

use_case!(GetTemplate => TemplateView, "notifications.templates.get", Tenant, may::TEMPLATE_READ, Tell; version of Template);

impl Handle<GetTemplate> for Notifications {
    async fn handle(&self, it: GetTemplate, cx: Granted<GetTemplate>) -> Result<TemplateView, Problem> {
        let held = self.store.at(&cx).try_load::<Template>(&it.template).await?;
        match held {
            Some(template) => Ok((&*template).into()),
            None if built_in::wording(&it.template).is_some() => Ok((&Template::new(it.template)).into()),
            None => Err(Problem::not_found("template")),
        }
    }
}

/// Shows what comes out of a template: the draft where there is one, else what is in force.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewTemplate {
    /// Which.
    pub(super) template: Key,
    /// In which language.
    pub(super) locale: Option<Locale>,
    /// What it is told; for what is missing here, the examples.
    #[serde(default)]
    pub(super) variables: Values,
}

use_case!(PreviewTemplate => Rendered, "notifications.templates.preview", Tenant, may::TEMPLATE_READ, Tell);

impl Handle<PreviewTemplate> for Notifications {
    async fn handle(&self, it: PreviewTemplate, cx: Granted<PreviewTemplate>) -> Result<Rendered, Problem> {
        self.preview(it, &cx, "Ada Lovelace").await
    }
}

impl Notifications {
    pub(crate) async fn preview(&self, it: PreviewTemplate, cx: &Cx, recipient: &str) -> Result<Rendered, Problem> {
        let settings = self.recipients.settings(cx).await?;
        let held = self.store.at(cx).try_load::<Template>(&it.template).await?.map(store::Loaded::into_inner);
        let said = held.and_then(|it| it.draft.clone().or_else(|| it.published().map(|it| it.wording.clone())));
        let said = said.or_else(|| built_in::wording(&it.template)).ok_or_else(|| Problem::not_found("template"))?;
        let ready = said.ready(&[])?;
        let mut values = variable::examples(&ready.wording.variables);
        values.extend(it.variables);
        let unsubscribe = format!("{}/unsubscribe", self.site.origin(&settings).unwrap_or_default());
        let around = crate::surroundings(&self.site, &settings, recipient, unsubscribe);
        ready.render(&Locale::chain(it.locale.as_ref(), &settings.locale), &around, &values)
    }
}
