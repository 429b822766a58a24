//! What tells of tenants.

use contracts::tenants::{ResolveTenant, SeatsView, TenantView};
use kernel::{Claim, Effect, Granted, Handle, Permission, Problem, ScopeKind, UseCase};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{
    Tenants,
    commands::FeatureView,
    feature::Feature,
    permissions as may,
    quota::{ResourceQuota, SEATS},
    tenant::Tenant,
};

impl Handle<ResolveTenant> for Tenants {
    async fn handle(&self, it: ResolveTenant, cx: Granted<ResolveTenant>) -> Result<TenantView, Problem> {
        let store = self.store.at(&cx);
        let found = match it.name.parse() {
            Ok(id) => store.try_load::<Tenant>(&id).await?,
            Err(_) => store.find::<Tenant>(&Claim::new("slug", it.name)).await?,
        };
        found.map(|tenant| (&*tenant).into()).ok_or_else(|| Problem::not_found("tenant"))
    }
}

/// All tenants, with their status.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListTenants {
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

/// A part of the list of tenants.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TenantList {
    items: Vec<TenantView>,
    /// Where to go on; missing at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl UseCase for ListTenants {
    type Output = TenantList;
    const NAME: &'static str = "tenants.list";
    const SCOPE: ScopeKind = ScopeKind::Platform;
    const NEEDS: Permission = may::READ;
    const EFFECT: Effect = Effect::Tell;
}

impl Handle<ListTenants> for Tenants {
    async fn handle(&self, it: ListTenants, cx: Granted<ListTenants>) -> Result<TenantList, Problem> {
        let limit = usize::try_from(it.limit.unwrap_or(50)).unwrap_or(50);
        let page = Page { after: it.after, limit, newest_first: true };
        let listed = self.store.at(&cx).list::<Tenant>("all", "", &page).await?;
        Ok(TenantList { items: listed.items.iter().map(|it| (&**it).into()).collect(), next: listed.next })
    }
}

/// How many seats there are, and how many are taken.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadSeats {}

impl UseCase for ReadSeats {
    type Output = SeatsView;
    const NAME: &'static str = "tenants.seats.read";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const NEEDS: Permission = may::QUOTA_READ;
    const EFFECT: Effect = Effect::Tell;
}

impl Handle<ReadSeats> for Tenants {
    async fn handle(&self, _: ReadSeats, cx: Granted<ReadSeats>) -> Result<SeatsView, Problem> {
        let mut quota = self.store.at(&cx).load::<ResourceQuota>(&SEATS.to_owned()).await?.into_inner();
        quota.expire(cx.now());
        Ok(quota.view())
    }
}

/// The features of this tenant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListFeatures {}

/// The features of a tenant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FeatureList {
    items: Vec<FeatureView>,
}

impl UseCase for ListFeatures {
    type Output = FeatureList;
    const NAME: &'static str = "tenants.features.list";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const NEEDS: Permission = may::FEATURE_READ;
    const EFFECT: Effect = Effect::Tell;
}

impl Handle<ListFeatures> for Tenants {
    async fn handle(&self, _: ListFeatures, cx: Granted<ListFeatures>) -> Result<FeatureList, Problem> {
        let listed = self.store.at(&cx).list::<Feature>("all", "", &Page { limit: 200, ..Page::default() }).await?;
        Ok(FeatureList { items: listed.items.iter().map(|it| (&**it).into()).collect() })
    }
}
