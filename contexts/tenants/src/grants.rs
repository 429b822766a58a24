//! What the operator and the plans give to one tenant.

use std::collections::BTreeMap;

use contracts::entitlements::{EntitlementView, GrantEntitlements, QuotaView};
use kernel::{
    Cx, Granted, Handle, Problem, Scope, TenantId, Timestamp,
    text::{DisplayName, Key, Note},
    use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    Tenants,
    entitlements::{Entitlements, Grant, Override, granted_value},
    permissions as may,
    quota::ResourceQuota,
    tenant::Tenant,
};

impl Tenants {
    /// Changes what a tenant was given, under the authority for a use case that names the tenant.
    async fn give(
        &self,
        inside: &Cx,
        mut rule: impl FnMut(&mut Entitlements) -> Result<Vec<kernel::AnyEvent>, Problem> + Send,
    ) -> Result<(), Problem> {
        let id = Entitlements::ID.to_owned();
        self.upsert(inside, &id, Entitlements::default, |given: &mut Entitlements| rule(given)).await?;
        self.flags.forget(inside.scope());
        Ok(())
    }
}

impl Handle<GrantEntitlements> for Tenants {
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

impl Handle<OverrideFeature> for Tenants {
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

impl Handle<ClearOverride> for Tenants {
    async fn handle(&self, it: ClearOverride, cx: Granted<ClearOverride>) -> Result<(), Problem> {
        self.store.at(&cx).load::<Tenant>(&it.tenant).await?;
        let inside = cx.within(it.tenant)?;
        self.give(&inside, |given| given.set(&it.feature, None, inside.now())).await
    }
}

/// Says how much of a resource a tenant may use: the override of an amount.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateQuota {
    /// Which tenant.
    tenant: TenantId,
    /// Which resource: `seats`, or another amount that is defined or granted.
    resource: Key,
    /// How much from now on; what is in use beyond it stays.
    #[schemars(range(max = 1_000_000_000_000_i64))]
    limit: u64,
}

use_case!(UpdateQuota => QuotaView, "tenants.quotas.update", Platform, may::QUOTA_UPDATE, |it| it.tenant.into());

impl Handle<UpdateQuota> for Tenants {
    async fn handle(&self, it: UpdateQuota, cx: Granted<UpdateQuota>) -> Result<QuotaView, Problem> {
        self.store.at(&cx).load::<Tenant>(&it.tenant).await?;
        let inside = cx.within(it.tenant)?;
        self.allowance(&inside, &it.resource).await?;
        let reason: Note = "set by whoever runs this installation".parse().map_err(Problem::internal)?;
        let over = Override { value: json!(it.limit), until: None, reason };
        self.give(&inside, |given| given.set(&it.resource, Some(over.clone()), inside.now())).await?;
        self.quota_view(&inside, &it.resource).await
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

impl Handle<ReadEntitlements> for Tenants {
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

impl Tenants {
    /// What a person who was erased had been named by outside the tenant.
    pub(crate) async fn forget_owner(&self, user: kernel::UserId, cx: &Cx) -> Result<(), Problem> {
        let platform = self.at_platform(cx);
        let tenant = self.store.at(&platform).load::<Tenant>(&cx.tenant()?).await?;
        if tenant.owner_id() == user {
            self.store.keys().destroy_person(Scope::Platform, user).await?;
        }
        Ok(())
    }

    pub(crate) async fn quota_view(&self, cx: &Cx, resource: &Key) -> Result<QuotaView, Problem> {
        let allowance = self.allowance(cx, resource).await?;
        let known = self.store.at(cx).try_load::<ResourceQuota>(resource).await?;
        let mut quota = known.map_or_else(|| ResourceQuota::new(resource.clone()), store::Loaded::into_inner);
        quota.pass(allowance, cx.real_now(), cx.now());
        Ok(quota.view(allowance))
    }
}
