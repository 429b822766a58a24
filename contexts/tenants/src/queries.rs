//! What tells of tenants.

use contracts::tenants::{ResolveTenant, TenantStatus, TenantView};
use kernel::{Claim, Granted, Handle, List, Problem, TenantId, use_case};
use register::{
    permissions as may,
    tenant::{SEARCHED, Tenant},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{
    Tenants,
    erasure::{Erasure, ErasureView},
    provisioning::{Provisioning, ProvisioningView},
};

impl Tenants {
    /// The canonical origin is made of the slug, and changes as little as it does.
    pub(crate) fn view(&self, it: &Tenant) -> TenantView {
        TenantView {
            id: it.id,
            slug: it.slug.clone(),
            name: it.name.clone(),
            status: it.status(),
            reason: it.reason().map(str::to_owned),
            trial_ends: it.trial_ends(),
            isolation: it.isolation(),
            origin: self.settings.origin(it.slug.as_str()),
            alias: false,
        }
    }
}

impl Handle<ResolveTenant> for Tenants {
    async fn handle(&self, it: ResolveTenant, cx: Granted<ResolveTenant>) -> Result<TenantView, Problem> {
        let store = self.store.at(&cx);
        if it.name.contains('.') {
            let tenant = self.domains.tenant_of_domain(&it.name, &cx).await?;
            let found = store.load::<Tenant>(&tenant).await?;
            return Ok(TenantView { alias: true, ..self.view(&found) });
        }
        let found = match it.name.parse() {
            Ok(id) => store.try_load::<Tenant>(&id).await?,
            Err(_) => store.find::<Tenant>(&Claim::new("slug", it.name)).await?,
        };
        found.map(|tenant| self.view(&tenant)).ok_or_else(|| Problem::not_found("tenant"))
    }
}

/// All tenants, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListTenants {
    /// Only those in this state.
    status: Option<TenantStatus>,
    /// Only those whose name, or a word of it, or slug begins so. With `status`, a page can be shorter than asked for.
    #[schemars(length(min = 1, max = 120))]
    search: Option<String>,
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListTenants => List<TenantView>, "tenants.list", Platform, may::READ, Tell);

impl Handle<ListTenants> for Tenants {
    async fn handle(&self, it: ListTenants, cx: Granted<ListTenants>) -> Result<List<TenantView>, Problem> {
        let limit = usize::try_from(it.limit.unwrap_or(50)).unwrap_or(50);
        let page = Page { after: it.after, limit, newest_first: true };
        let begin = it.search.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let begin: Option<String> = begin.map(|text| text.to_lowercase().chars().take(SEARCHED).collect());
        let (index, value) = match (&begin, it.status) {
            (Some(begin), _) => ("search", begin.as_str()),
            (None, Some(status)) => ("status", status.name()),
            (None, None) => ("all", ""),
        };
        let listed = self.store.at(&cx).list::<Tenant>(index, value, &page).await?;
        let wanted = listed.items.iter().filter(|tenant| it.status.is_none_or(|status| tenant.status() == status));
        Ok(List { items: wanted.map(|tenant| self.view(tenant)).collect(), next: listed.next })
    }
}

/// One tenant, and how far what is done about it has come.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadTenant {
    /// Which.
    tenant: TenantId,
}

/// A tenant with the long work that is done about it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TenantDetail {
    /// The tenant.
    #[serde(flatten)]
    tenant: TenantView,
    /// How it was set up.
    #[serde(skip_serializing_if = "Option::is_none")]
    provisioning: Option<ProvisioningView>,
    /// How it is destroyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    erasure: Option<ErasureView>,
}

use_case!(ReadTenant => TenantDetail, "tenants.read", Platform, may::READ, Tell, |it| it.tenant.into());

impl Handle<ReadTenant> for Tenants {
    async fn handle(&self, it: ReadTenant, cx: Granted<ReadTenant>) -> Result<TenantDetail, Problem> {
        let store = self.store.at(&cx);
        let tenant = self.view(&*store.load::<Tenant>(&it.tenant).await?);
        let provisioning = store.try_load::<Provisioning>(&it.tenant).await?.map(|saga| saga.view());
        let erasure = store.try_load::<Erasure>(&it.tenant).await?.map(|saga| saga.view());
        Ok(TenantDetail { tenant, provisioning, erasure })
    }
}
