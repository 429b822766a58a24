//! What the operator and the plans give to one tenant.

use std::collections::BTreeMap;

use contracts::entitlements::{EntitlementView, GrantEntitlements};
use kernel::{
    Cx, Granted, Handle, Problem, TenantId, Timestamp,
    text::{DisplayName, Key, Note},
    use_case,
};
use register::{permissions as may, tenant::Tenant};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    Features,
    entitlements::{Entitlements, Grant, Override, granted_value},
};

impl Features {
    /// Sets an amount for one tenant, whatever its plan says, and says why.
    pub async fn override_amount(&self, inside: &Cx, resource: &Key, limit: u64, reason: Note) -> Result<(), Problem> {
        let over = Override { value: json!(limit), until: None, reason };
        self.give(inside, |given| given.set(resource, Some(over.clone()), inside.now())).await
    }

    /// Changes what a tenant was given, under the authority for a use case that names the tenant.
    async fn give(
        &self,
        inside: &Cx,
        mut rule: impl FnMut(&mut Entitlements) -> Result<Vec<kernel::AnyEvent>, Problem> + Send,
    ) -> Result<(), Problem> {
        let id = Entitlements::ID.to_owned();
        self.store.at(inside).upsert(&id, Entitlements::default, |given: &mut Entitlements| rule(given)).await?;
        self.flags.forget(inside.scope());
        Ok(())
    }
}

impl Handle<GrantEntitlements> for Features {
    async fn handle(&self, it: GrantEntitlements, cx: Granted<GrantEntitlements>) -> Result<(), Problem> {
        self.store.at(&cx).load::<Tenant>(&it.tenant).await?;
        let grant = Grant { source: it.source, features: it.features };
        self.give(&cx.within(it.tenant)?, |given| given.grant(it.slot.clone(), grant.clone())).await
    }
}

/// Says what a feature is worth to one tenant, whatever its plan and the rules say.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OverrideFeature {
    /// Which tenant.
    tenant: TenantId,
    /// Which feature.
    feature: Key,
    /// True or false, the name or value of a variant, or an amount.
    value: Value,
    /// Until when; for good where nothing is said.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    until: Option<Timestamp>,
    /// Why; the tenant's people can read it.
    reason: Note,
}

use_case!(OverrideFeature => EntitlementView, "tenants.overrides.set", Platform, may::OVERRIDE, |it| it.tenant.into());

impl Handle<OverrideFeature> for Features {
    async fn handle(&self, it: OverrideFeature, cx: Granted<OverrideFeature>) -> Result<EntitlementView, Problem> {
        granted_value("/value", &it.value)?;
        self.store.at(&cx).load::<Tenant>(&it.tenant).await?;
        let inside = cx.within(it.tenant)?;
        let now = inside.now();
        if it.until.is_some_and(|until| until <= now) {
            return Err(Problem::invalid_field("/until", "expected an instant to come"));
        }
        if !self.flags(&inside).await?.understands(&it.feature, &it.value) {
            return Err(Problem::invalid_field("/value", "expected a value or a variant that this feature has"));
        }
        let over = Override { value: it.value, until: it.until, reason: it.reason };
        self.give(&inside, |given| given.set(&it.feature, Some(over.clone()), now)).await?;
        let set = self.flags(&inside).await?;
        let served = set.evaluate(it.feature.as_str(), Some(""), &Map::new()).and_then(Result::ok);
        served.map(|served| served.view(it.feature)).ok_or_else(|| Problem::not_found("feature"))
    }
}

/// Takes back what was said of a feature for one tenant. Repeatable.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClearOverride {
    /// Which tenant.
    tenant: TenantId,
    /// Which feature.
    feature: Key,
}

use_case!(ClearOverride => (), "tenants.overrides.clear", Platform, may::OVERRIDE, |it| it.tenant.into());

impl Handle<ClearOverride> for Features {
    async fn handle(&self, it: ClearOverride, cx: Granted<ClearOverride>) -> Result<(), Problem> {
        self.store.at(&cx).load::<Tenant>(&it.tenant).await?;
        let inside = cx.within(it.tenant)?;
        self.give(&inside, |given| given.set(&it.feature, None, inside.now())).await
    }
}

/// What one tenant was given, and what comes of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadEntitlements {
    /// Which tenant.
    tenant: TenantId,
}

/// What a plan or an add-on contains.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct GrantView {
    slot: Key,
    source: DisplayName,
    features: BTreeMap<Key, Value>,
}

/// All features of a tenant, as they are worth to someone of whom nothing is known, and what the tenant was given.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EntitlementsView {
    features: Vec<EntitlementView>,
    grants: Vec<GrantView>,
}

use_case!(ReadEntitlements => EntitlementsView, "tenants.entitlements.read", Platform, may::READ, Tell, |it| it.tenant.into());

impl Handle<ReadEntitlements> for Features {
    async fn handle(&self, it: ReadEntitlements, cx: Granted<ReadEntitlements>) -> Result<EntitlementsView, Problem> {
        self.store.at(&cx).load::<Tenant>(&it.tenant).await?;
        let inside = cx.within(it.tenant)?;
        let given = self.store.at(&inside).try_load::<Entitlements>(&Entitlements::ID.to_owned()).await?;
        let grants = given.map(|it| it.into_inner().grants).unwrap_or_default().into_iter();
        let grants = grants.map(|(slot, it)| GrantView { slot, source: it.source, features: it.features }).collect();
        let set = self.flags(&inside).await?;
        let nothing = Map::new();
        let all = set.evaluate_all(Some(""), &nothing);
        let features = all.filter_map(|(key, served)| Some(served.ok()?.view(key.clone()))).collect();
        Ok(EntitlementsView { features, grants })
    }
}
