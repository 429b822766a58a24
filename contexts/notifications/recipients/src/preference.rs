//! What a person chose to be told, and by what: categories by channels.

use std::collections::BTreeMap;

use contracts::notifications::NotificationPreferenceChanged;
use kernel::{Aggregate, AnyEvent, Granted, Handle, Problem, ScopeKind, UserId, text::Key, use_case};
use permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::Locale;

use crate::{
    Recipients,
    means::Means,
    plan::{Because, Facts, Mailbox, plan},
    settings::Settings,
};

/// By what a person can be told.
const OFFERED: [Means; 2] = [Means::Mail, Means::Inbox];
/// The most categories of which choices are kept: more than a tenant can have at a time.
const MOST: usize = 100;

/// The choices of a person: those that differ from what the tenant decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preference {
    user: UserId,
    choices: BTreeMap<Key, BTreeMap<Means, bool>>,
    /// The language that they chose.
    pub locale: Option<Locale>,
}

impl Preference {
    /// Nothing chosen yet.
    pub fn none_of(user: UserId) -> Self {
        Self { user, choices: BTreeMap::new(), locale: None }
    }

    /// What was chosen for a category.
    pub fn chosen(&self, category: &Key) -> BTreeMap<Means, bool> {
        self.choices.get(category).cloned().unwrap_or_default()
    }

    /// Chooses, or leaves it to the tenant again.
    pub fn choose(&mut self, category: &Key, means: Means, wanted: Option<bool>) -> Result<(), Problem> {
        if Settings::is_mandatory(category) || !OFFERED.contains(&means) {
            let detail = "nobody can opt out of this, and nobody is told by other channels than mail and inbox";
            return Err(Problem::invalid_field(format!("/choices/{category}/{}", means.name()), detail));
        }
        if self.choices.len() >= MOST && !self.choices.contains_key(category) {
            return Err(Problem::invalid_field("/choices", "too many categories"));
        }
        let of = self.choices.entry(category.clone()).or_default();
        match wanted {
            Some(wanted) => drop(of.insert(means, wanted)),
            None => drop(of.remove(&means)),
        }
        self.choices.retain(|_, of| !of.is_empty());
        Ok(())
    }

    /// The event of a change, if anything did.
    fn changed(&self, before: &Self) -> Vec<AnyEvent> {
        if self == before { Vec::new() } else { vec![NotificationPreferenceChanged { user: self.user }.into()] }
    }
}

impl Aggregate for Preference {
    type Id = UserId;
    const KIND: &'static str = "notifications.preference";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> UserId {
        self.user
    }

    fn owner(&self) -> Option<UserId> {
        Some(self.user)
    }

    fn subject(&self) -> Option<UserId> {
        Some(self.user)
    }
}

/// Whether something is delivered by a channel, and why.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ChoiceView {
    /// Whether it is.
    delivered: bool,
    /// Why.
    because: Because,
}

/// A category, as a person sees it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CategoryView {
    /// What it is called.
    name: String,
    /// Whether nobody can opt out.
    mandatory: bool,
    /// By what it is delivered.
    channels: BTreeMap<Means, ChoiceView>,
}

/// What a person is told, by what.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PreferencesView {
    /// The language in which the person is told; the tenant's without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<Locale>,
    /// The categories.
    categories: BTreeMap<Key, CategoryView>,
}

fn view(it: &Preference, settings: &Settings) -> PreferencesView {
    let categories = settings.categories().into_iter().map(|(key, category)| {
        let facts = Facts {
            mandatory: Settings::is_mandatory(&key),
            defaults: category.defaults,
            chosen: it.chosen(&key),
            offered: OFFERED.into(),
            mailbox: Mailbox::Open,
            ..Facts::default()
        };
        let choice = |(means, because): (Means, Because)| (means, ChoiceView { delivered: because.goes(), because });
        let channels = plan(&facts).into_iter().map(choice).collect();
        (key, CategoryView { name: category.name.to_string(), mandatory: facts.mandatory, channels })
    });
    PreferencesView { locale: it.locale.clone(), categories: categories.collect() }
}

/// What the caller is told, by what, and why.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetPreferences {}

use_case!(GetPreferences => PreferencesView, "notifications.preferences.get", Tenant, may::PREFERENCE_READ, Tell);

impl Handle<GetPreferences> for Recipients {
    async fn handle(&self, _: GetPreferences, cx: Granted<GetPreferences>) -> Result<PreferencesView, Problem> {
        let user = cx.user()?;
        let held = self.store.at(&cx).try_load::<Preference>(&user).await?;
        let held = held.map_or_else(|| Preference::none_of(user), store::Loaded::into_inner);
        cx.permit(&held)?;
        Ok(view(&held, &*self.settings(&cx).await?))
    }
}

/// Chooses what to be told, by what. What is left out stays as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChoosePreferences {
    /// By category and channel: `true` to be told, `false` not to be, `null` to leave it to the tenant.
    #[serde(default)]
    choices: BTreeMap<Key, BTreeMap<Means, Option<bool>>>,
    /// The language in which to be told.
    locale: Option<Locale>,
}

use_case!(ChoosePreferences => PreferencesView, "notifications.preferences.choose", Tenant, may::PREFERENCE_SET);

impl Handle<ChoosePreferences> for Recipients {
    async fn handle(&self, it: ChoosePreferences, cx: Granted<ChoosePreferences>) -> Result<PreferencesView, Problem> {
        let user = cx.user()?;
        cx.permit_owner(Some(user))?;
        let settings = self.settings(&cx).await?;
        let categories = settings.categories();
        if let Some(unknown) = it.choices.keys().find(|key| !categories.contains_key(*key)) {
            return Err(Problem::invalid_field(format!("/choices/{unknown}"), "there is no such category"));
        }
        let changed = self.choose(user, &cx, |held| {
            for (category, choices) in &it.choices {
                choices.iter().try_for_each(|(means, wanted)| held.choose(category, *means, *wanted))?;
            }
            if it.locale.is_some() {
                held.locale.clone_from(&it.locale);
            }
            Ok(())
        });
        Ok(view(&changed.await?, &settings))
    }
}

impl Recipients {
    /// Changes what a person chose.
    pub async fn choose(
        &self,
        user: UserId,
        cx: &kernel::Cx,
        rule: impl Fn(&mut Preference) -> Result<(), Problem> + Send + Sync,
    ) -> Result<Preference, Problem> {
        let store = self.store.at(cx);
        if store.try_load::<Preference>(&user).await?.is_none() {
            let mut first = Preference::none_of(user);
            rule(&mut first)?;
            let events = first.changed(&Preference::none_of(user));
            match store.create(first, events).await {
                // Someone else was first: then it is a change.
                Err(problem) if problem.kind() == kernel::ProblemKind::Conflict => {}
                made => return Ok(made?.into_inner()),
            }
        }
        let changed = store.change(&user, |it: &mut Preference| {
            let before = it.clone();
            rule(it)?;
            Ok(it.changed(&before))
        });
        Ok(changed.await?.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use kernel::Id;

    use super::*;

    #[test]
    fn choices_are_made_taken_back_and_never_against_a_duty() {
        let mut it = Preference::none_of(Id::from_uuid(uuid::Uuid::from_u128(1)));
        let (product, security): (Key, Key) = ("product".parse().unwrap(), "security".parse().unwrap());
        it.choose(&product, Means::Mail, Some(false)).unwrap();
        assert_eq!(it.chosen(&product), BTreeMap::from([(Means::Mail, false)]));
        assert!(it.choose(&security, Means::Mail, Some(false)).is_err());
        assert!(it.choose(&product, Means::Webhook, Some(true)).is_err());
        it.choose(&product, Means::Mail, None).unwrap();
        assert!(it.choices.is_empty());
        for number in 0..MOST {
            it.choose(&format!("c{number}").parse().unwrap(), Means::Mail, Some(true)).unwrap();
        }
        assert!(it.choose(&product, Means::Mail, Some(true)).is_err());
    }
}
