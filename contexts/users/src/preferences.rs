//! What people prefer, and which preferences there are.

use std::collections::BTreeMap;

use kernel::{
    Cx, Granted, Handle, Problem, ProblemKind, Resource,
    text::{DisplayName, Key},
    use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Users,
    declaration::{Declaration, Declarations, Takes, platform},
    permissions as may,
    preference::{Preference, Value},
};

/// Whose word it is that a value holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum From {
    /// The person's own choice.
    Own,
    /// The tenant's default.
    Tenant,
    /// The platform's default.
    Platform,
}

/// One preference.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PreferenceView {
    /// Which.
    key: Key,
    /// What holds for the person.
    value: Value,
    /// Whose word that is.
    from: From,
}

/// What is declared in a tenant, by the platform or by itself.
type Declared = BTreeMap<Key, (Declaration, From)>;

/// What holds for a person: their own choice, unless it is none that is taken any more; else what is declared.
fn effective(own: &BTreeMap<Key, Value>, declared: &Declared) -> Vec<PreferenceView> {
    let mut all: BTreeMap<&Key, PreferenceView> = BTreeMap::new();
    for (key, (declaration, from)) in declared {
        let value = declaration.default.clone();
        all.insert(key, PreferenceView { key: key.clone(), value, from: *from });
    }
    for (key, value) in own {
        let fits = declared.get(key).is_none_or(|(declaration, _)| declaration.takes.refusal(value).is_none());
        if fits {
            all.insert(key, PreferenceView { key: key.clone(), value: value.clone(), from: From::Own });
        }
    }
    all.into_values().collect()
}

impl Users {
    async fn declared(&self, cx: &Cx) -> Result<Declared, Problem> {
        let stored = self.store.at(cx).try_load::<Declarations>(&Declarations::ID.to_owned()).await?;
        let own = stored.map(|it| it.into_inner().0).unwrap_or_default();
        let of_platform = platform().into_iter().map(|(key, it)| (key, (it, From::Platform)));
        Ok(of_platform.chain(own.into_iter().map(|(key, it)| (key, (it, From::Tenant)))).collect())
    }

    async fn preferred(&self, cx: &Cx) -> Result<Preference, Problem> {
        let user = cx.user()?;
        let held = self.store.at(cx).try_load::<Preference>(&user).await?;
        Ok(held.map_or_else(|| Preference::none_of(user), store::Loaded::into_inner))
    }

    async fn change_declarations<H: kernel::Happened>(
        &self,
        cx: &Cx,
        change: impl Fn(&mut Declarations) -> Result<H, Problem> + Send,
    ) -> Result<(), Problem> {
        let (store, id) = (self.store.at(cx), Declarations::ID.to_owned());
        if store.try_load::<Declarations>(&id).await?.is_none() {
            let mut first = Declarations::default();
            let happened = change(&mut first)?;
            match store.create(first, happened).await {
                // Another first declaration was faster: then this one is added to it.
                Err(raced) if raced.kind() == ProblemKind::Conflict => {}
                outcome => return outcome.map(drop),
            }
        }
        store.change(&id, change).await.map(drop)
    }
}

/// Sets one of the caller's preferences. One that is declared takes what its declaration says; the product may keep others.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetPreference {
    /// Which; the product chooses the words.
    key: Key,
    /// What it is from now on.
    value: Value,
}

use_case!(
    SetPreference => PreferenceView, "users.set_preference", Tenant, may::PREFERENCE_SET,
    |it| Resource::one("preference", &it.key)
);

impl Handle<SetPreference> for Users {
    async fn handle(&self, it: SetPreference, cx: Granted<SetPreference>) -> Result<PreferenceView, Problem> {
        if let Some((declaration, _)) = self.declared(&cx).await?.get(&it.key)
            && let Some(why) = declaration.takes.refusal(&it.value)
        {
            return Err(Problem::invalid_field("/value", why));
        }
        let (store, user) = (self.store.at(&cx), cx.user()?);
        let set = |held: &mut Preference| {
            cx.permit(held)?;
            Ok(held.set(it.key.clone(), it.value.clone())?)
        };
        let view = PreferenceView { key: it.key.clone(), value: it.value.clone(), from: From::Own };
        if store.try_load::<Preference>(&user).await?.is_none() {
            let mut first = Preference::none_of(user);
            let changed = set(&mut first)?;
            match store.create(first, changed).await {
                // Another first preference was faster: then this one is added to it.
                Err(raced) if raced.kind() == ProblemKind::Conflict => {}
                outcome => return outcome.map(|_| view),
            }
        }
        store.change(&user, set).await?;
        Ok(view)
    }
}

/// Takes back what the caller chose: what is declared holds again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetPreference {
    /// Which.
    key: Key,
}

use_case!(
    ResetPreference => PreferencesView, "users.reset_preference", Tenant, may::PREFERENCE_SET,
    |it| Resource::one("preference", &it.key)
);

impl Handle<ResetPreference> for Users {
    async fn handle(&self, it: ResetPreference, cx: Granted<ResetPreference>) -> Result<PreferencesView, Problem> {
        let (store, user) = (self.store.at(&cx), cx.user()?);
        if store.try_load::<Preference>(&user).await?.is_some() {
            store.change(&user, |held: &mut Preference| Ok(held.reset(&it.key))).await?;
        }
        let (own, declared) = (self.preferred(&cx).await?, self.declared(&cx).await?);
        Ok(PreferencesView { items: effective(own.values(), &declared) })
    }
}

/// All that holds for the caller: what they chose, and the defaults of the rest.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListPreferences {}

/// A person's preferences.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PreferencesView {
    /// Each, by key: at most 100 of one's own and 103 that are declared.
    items: Vec<PreferenceView>,
}

use_case!(ListPreferences => PreferencesView, "users.preferences", Tenant, may::PREFERENCE_READ, Tell);

impl Handle<ListPreferences> for Users {
    async fn handle(&self, _: ListPreferences, cx: Granted<ListPreferences>) -> Result<PreferencesView, Problem> {
        let own = self.preferred(&cx).await?;
        cx.permit(&own)?;
        Ok(PreferencesView { items: effective(own.values(), &self.declared(&cx).await?) })
    }
}

/// Declares a preference for the people of this tenant, in place of what was declared under that key.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclarePreference {
    /// Which.
    key: Key,
    /// What it is about, for people.
    meaning: DisplayName,
    /// Which values it takes.
    takes: Takes,
    /// What holds for whoever chose none.
    default: Value,
}

/// A preference that there is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DeclarationView {
    /// Which.
    key: Key,
    /// What it is about, for people.
    meaning: DisplayName,
    /// Which values it takes.
    takes: Takes,
    /// What holds for whoever chose none.
    default: Value,
    /// Who declared it.
    from: From,
}

impl DeclarationView {
    fn of(key: Key, it: Declaration, from: From) -> Self {
        Self { key, meaning: it.meaning, takes: it.takes, default: it.default, from }
    }
}

use_case!(
    DeclarePreference => DeclarationView, "users.preferences.declare", Tenant, may::DECLARATION_UPDATE,
    |it| Resource::one("preference", &it.key)
);

impl Handle<DeclarePreference> for Users {
    async fn handle(&self, it: DeclarePreference, cx: Granted<DeclarePreference>) -> Result<DeclarationView, Problem> {
        let declaration = Declaration { meaning: it.meaning, takes: it.takes, default: it.default };
        let declare = |all: &mut Declarations| all.declare(it.key.clone(), declaration.clone());
        self.change_declarations(&cx, declare).await?;
        Ok(DeclarationView::of(it.key.clone(), declaration.clone(), From::Tenant))
    }
}

/// Declares a preference no more. What people chose stays theirs; for the rest there is nothing, or the platform's default.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WithdrawPreference {
    /// Which.
    key: Key,
}

use_case!(
    WithdrawPreference => DeclarationsView, "users.preferences.withdraw", Tenant, may::DECLARATION_UPDATE,
    |it| Resource::one("preference", &it.key)
);

impl Handle<WithdrawPreference> for Users {
    async fn handle(
        &self,
        it: WithdrawPreference,
        cx: Granted<WithdrawPreference>,
    ) -> Result<DeclarationsView, Problem> {
        self.change_declarations(&cx, |all: &mut Declarations| all.withdraw(&it.key)).await?;
        self.declarations(&cx).await
    }
}

/// Which preferences there are.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListDeclarations {}

/// The preferences that there are.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DeclarationsView {
    /// Each, by key: at most 103.
    items: Vec<DeclarationView>,
}

use_case!(ListDeclarations => DeclarationsView, "users.preferences.declared", Tenant, may::DECLARATION_READ, Tell);

impl Handle<ListDeclarations> for Users {
    async fn handle(&self, _: ListDeclarations, cx: Granted<ListDeclarations>) -> Result<DeclarationsView, Problem> {
        self.declarations(&cx).await
    }
}

impl Users {
    async fn declarations(&self, cx: &Cx) -> Result<DeclarationsView, Problem> {
        let declared = self.declared(cx).await?.into_iter();
        Ok(DeclarationsView { items: declared.map(|(key, (it, from))| DeclarationView::of(key, it, from)).collect() })
    }
}
