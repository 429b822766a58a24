//! What changes features, and what tells of them.

use std::collections::BTreeMap;

use contracts::entitlements::{CheckEntitlement, EntitlementView};
use kernel::{Cx, Granted, Handle, List, Problem, ProblemKind, text::Key, use_case};
use register::permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::Page;

use crate::{
    Features,
    feature::{Allowance, Choice, Common, Definition, Feature, Form, Own, Place},
    flags::MOST_FEATURES,
    history::{ChangeView, FeatureChange},
    rule::{Rule, everyone},
};

/// Says what a feature of this tenant's people is. Nothing but `enabled` makes it on or off; `percentage` rolls it out,
/// and who has it at a smaller share keeps it at a larger. What the operator defines for all tenants is not a tenant's to
/// define, and amounts are the operator's.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefineFeature {
    /// Which.
    feature: Key,
    /// Whether it is on at all. Off, it serves its off variant to everyone, whatever else is said.
    enabled: bool,
    /// For how many of a hundred the default variant is served where no rule holds; the others get the off variant.
    #[serde(default = "everyone")]
    #[schemars(range(max = 100))]
    percentage: u8,
    /// Named values, all of one type: `on` is true and `off` is false where nothing is said.
    variants: Option<BTreeMap<Key, Value>>,
    /// The variant that is served where no rule holds: `on`.
    default: Option<Key>,
    /// The variant that is served while it is off: `off`.
    off: Option<Key>,
    /// Asked in order; the first that holds decides.
    #[serde(default)]
    #[schemars(length(max = 30))]
    rules: Vec<Rule>,
    /// How much there is of it, for a resource that is counted.
    amount: Option<Allowance>,
}

impl DefineFeature {
    fn definition(self) -> Result<(Key, Definition), Problem> {
        let mut choice = Choice::switch(self.percentage);
        let described =
            self.variants.is_some() || self.default.is_some() || self.off.is_some() || !self.rules.is_empty();
        let form = match self.amount {
            Some(_) if described || self.percentage != 100 => {
                return Err(Problem::invalid_field("/amount", "an amount has no variants, rules or shares"));
            }
            Some(amount) => Form::Amount(amount),
            None => {
                choice.variants = self.variants.unwrap_or(choice.variants);
                choice.default = self.default.unwrap_or(choice.default);
                choice.off = self.off.unwrap_or(choice.off);
                choice.rules = self.rules;
                Form::Choice(choice)
            }
        };
        let definition = Definition { enabled: self.enabled, form };
        definition.check()?;
        Ok((self.feature, definition))
    }
}

use_case!(DefineFeature => FeatureView, "tenants.features.define", Tenant, may::FEATURE_UPDATE; version of Feature<Own>);

/// Says what a feature is for all tenants, before plans, overrides and rules.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct DefineCommonFeature(DefineFeature);

use_case!(DefineCommonFeature => FeatureView, "tenants.common_features.define", Platform, may::COMMON_FEATURE);

/// Switches a feature on or off for everyone, and leaves the rest of it as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchFeature {
    /// Which.
    feature: Key,
    /// On or off.
    enabled: bool,
}

use_case!(SwitchFeature => FeatureView, "tenants.features.switch", Tenant, may::FEATURE_UPDATE; version of Feature<Own>);

/// Switches a feature on or off for everyone of every tenant, and leaves the rest of it as it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct SwitchCommonFeature(SwitchFeature);

use_case!(SwitchCommonFeature => FeatureView, "tenants.common_features.switch", Platform, may::COMMON_FEATURE);

/// A feature as it is defined.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FeatureView {
    /// Which.
    feature: Key,
    /// Whether it is on at all.
    enabled: bool,
    /// For how many of a hundred, where no rule holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    percentage: Option<u8>,
    /// Its values by their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    variants: Option<BTreeMap<Key, Value>>,
    /// The variant that is served where no rule holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<Key>,
    /// The variant that is served while it is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    off: Option<Key>,
    /// Its rules, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rules: Vec<Rule>,
    /// How much there is of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Allowance>,
}

impl FeatureView {
    fn of(feature: Key, definition: &Definition) -> Self {
        let choice = definition.choice();
        Self {
            feature,
            enabled: definition.enabled,
            percentage: choice.map(|it| it.percentage),
            variants: choice.map(|it| it.variants.clone()),
            default: choice.map(|it| it.default.clone()),
            off: choice.map(|it| it.off.clone()),
            rules: choice.map(|it| it.rules.clone()).unwrap_or_default(),
            amount: definition.allowance(),
        }
    }
}

impl Features {
    async fn define<P: Place>(&self, it: DefineFeature, cx: &Cx) -> Result<FeatureView, Problem> {
        let (key, definition) = it.definition()?;
        let store = self.store.at(cx);
        let view = FeatureView::of(key.clone(), &definition);
        if store.try_load::<Feature<P>>(&key).await?.is_some() {
            store.change(&key, |known: &mut Feature<P>| Ok(known.define(definition.clone()))).await?;
        } else {
            if self.defined::<P>(cx).await?.len() >= MOST_FEATURES {
                let many = "1,000 features are defined here";
                return Err(Problem::new(ProblemKind::Refused, "tenants.too_many_features", many)
                    .hint("use rules and variants of one feature instead"));
            }
            let (feature, told) = Feature::<P>::new(key, definition);
            store.create(feature, told).await?;
        }
        self.flags.forget(cx.scope());
        Ok(view)
    }

    async fn switch<P: Place>(&self, it: &SwitchFeature, cx: &Cx) -> Result<FeatureView, Problem> {
        let rule = |known: &mut Feature<P>| Ok(known.switch(it.enabled));
        let changed = self.store.at(cx).change(&it.feature, rule).await?;
        self.flags.forget(cx.scope());
        Ok(FeatureView::of(it.feature.clone(), &changed.definition))
    }
}

impl Handle<DefineFeature> for Features {
    async fn handle(&self, it: DefineFeature, cx: Granted<DefineFeature>) -> Result<FeatureView, Problem> {
        if it.amount.is_some() {
            return Err(Problem::invalid_field("/amount", "amounts are defined by whoever runs this installation"));
        }
        self.define::<Own>(it, &cx).await
    }
}

impl Handle<DefineCommonFeature> for Features {
    async fn handle(&self, it: DefineCommonFeature, cx: Granted<DefineCommonFeature>) -> Result<FeatureView, Problem> {
        self.define::<Common>(it.0, &cx).await
    }
}

impl Handle<SwitchFeature> for Features {
    async fn handle(&self, it: SwitchFeature, cx: Granted<SwitchFeature>) -> Result<FeatureView, Problem> {
        self.switch::<Own>(&it, &cx).await
    }
}

impl Handle<SwitchCommonFeature> for Features {
    async fn handle(&self, it: SwitchCommonFeature, cx: Granted<SwitchCommonFeature>) -> Result<FeatureView, Problem> {
        self.switch::<Common>(&it.0, &cx).await
    }
}

macro_rules! lists_features {
    ($(#[$doc:meta])* $name:ident $use_case:literal $scope:ident $needs:path, $place:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            /// Go on after this cursor.
            after: Option<String>,
            /// At most so many, up to 200.
            #[schemars(range(min = 1, max = 200))]
            limit: Option<u32>,
        }

        use_case!($name => List<FeatureView>, $use_case, $scope, $needs, Tell);

        impl Handle<$name> for Features {
            async fn handle(&self, it: $name, cx: Granted<$name>) -> Result<List<FeatureView>, Problem> {
                let limit = usize::try_from(it.limit.unwrap_or(200)).unwrap_or(200);
                let page = Page { after: it.after, limit, ..Page::default() };
                let listed = self.store.at(&cx).list::<Feature<$place>>("all", "", &page).await?;
                let items = listed.items.iter().map(|it| FeatureView::of(it.key.clone(), &it.definition)).collect();
                Ok(List { items, next: listed.next })
            }
        }
    };
}

lists_features! {
    /// The features that this tenant has defined for its people.
    ListFeatures "tenants.features.list" Tenant may::FEATURE_READ, Own
}

lists_features! {
    /// The features that are defined for all tenants.
    ListCommonFeatures "tenants.common_features.list" Platform may::COMMON_FEATURE, Common
}

macro_rules! tells_history {
    ($(#[$doc:meta])* $name:ident $use_case:literal $scope:ident $needs:path, $place:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            /// Which feature.
            feature: Key,
            /// Go on after this cursor.
            after: Option<String>,
            /// At most so many, up to 200.
            #[schemars(range(min = 1, max = 200))]
            limit: Option<u32>,
        }

        use_case!($name => List<ChangeView>, $use_case, $scope, $needs, Tell);

        impl Handle<$name> for Features {
            async fn handle(&self, it: $name, cx: Granted<$name>) -> Result<List<ChangeView>, Problem> {
                let limit = usize::try_from(it.limit.unwrap_or(50)).unwrap_or(50);
                let page = Page { after: it.after, limit, newest_first: true };
                let store = self.store.at(&cx);
                let listed = store.list::<FeatureChange<$place>>("feature", it.feature.as_str(), &page).await?;
                Ok(List { items: listed.items.into_iter().map(|it| it.into_inner().view).collect(), next: listed.next })
            }
        }
    };
}

tells_history! {
    /// Who changed a feature of this tenant, or what an operator said of it, the newest first; of the last 400 days.
    ListFeatureChanges "tenants.features.history" Tenant may::FEATURE_UPDATE, Own
}

tells_history! {
    /// Who changed a feature of all tenants, the newest first; of the last 400 days.
    ListCommonFeatureChanges "tenants.common_features.history" Platform may::COMMON_FEATURE, Common
}

/// Too much to compare with.
fn attributes_fit(attributes: &Map<String, Value>) -> bool {
    attributes.len() <= 100
}

impl Handle<CheckEntitlement> for Features {
    async fn handle(&self, it: CheckEntitlement, cx: Granted<CheckEntitlement>) -> Result<EntitlementView, Problem> {
        if !attributes_fit(&it.attributes) {
            return Err(Problem::invalid_field("/attributes", "expected at most 100"));
        }
        if it.target.as_ref().is_some_and(|target| target.len() > 256) {
            return Err(Problem::invalid_field("/target", "expected at most 256 characters"));
        }
        let target = it.target.unwrap_or_else(|| cx.caller().to_string());
        let set = self.flags(&cx).await?;
        let served = set.evaluate(it.feature.as_str(), Some(&target), &it.attributes);
        match served {
            Some(Ok(served)) => Ok(served.view(it.feature)),
            Some(Err(_)) => Err(Problem::internal("a rollout without anyone to go by")),
            None => Err(Problem::not_found("feature")),
        }
    }
}
