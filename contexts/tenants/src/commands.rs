//! What changes tenants.

use contracts::tenants::{ReleaseSeat, ReserveSeat, SeatsView, TenantView};
use kernel::{
    Granted, Handle, Permission, Problem, ScopeKind, TenantId, UseCase,
    text::{DisplayName, EmailAddress, Key, Note, Slug},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Tenants,
    feature::Feature,
    permissions as may,
    quota::{FREE_SEATS, ResourceQuota, SEATS},
    tenant::Tenant,
};

/// Founds a tenant for one's own company. Its owner gets a link by mail to confirm the address and choose a password.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignUp {
    /// The company.
    company: DisplayName,
    /// The subdomain it gets; it cannot be changed later.
    slug: Slug,
    /// What its owner is called.
    name: DisplayName,
    /// Where its owner is reached.
    email: EmailAddress,
}

impl UseCase for SignUp {
    type Output = TenantView;
    const NAME: &'static str = "tenants.sign_up";
    const SCOPE: ScopeKind = ScopeKind::Platform;
    const NEEDS: Permission = may::SIGN_UP;
}

impl Handle<SignUp> for Tenants {
    async fn handle(&self, it: SignUp, cx: Granted<SignUp>) -> Result<TenantView, Problem> {
        let owner = (cx.new_id(), it.email, it.name);
        let (tenant, provisioned) = Tenant::provision(cx.new_id(), it.slug, it.company, owner, cx.now());
        let stored = self.store.at(&cx).create(tenant, provisioned).await?;
        Ok((&*stored).into())
    }
}

macro_rules! acts_on_tenant {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty)* } $use_case:literal $needs:ident |$tenant:ident, $it:ident, $now:ident| $rule:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            /// Which tenant.
            tenant: TenantId,
            $($(#[$field_doc])* $field: $type,)*
        }

        impl UseCase for $name {
            type Output = TenantView;
            const NAME: &'static str = $use_case;
            const SCOPE: ScopeKind = ScopeKind::Platform;
            const NEEDS: Permission = may::$needs;
            fn resource(&self) -> kernel::Resource {
                self.tenant.into()
            }
        }

        impl Handle<$name> for Tenants {
            async fn handle(&self, $it: $name, cx: Granted<$name>) -> Result<TenantView, Problem> {
                let $now = cx.now();
                let changed = self.store.at(&cx).change(&$it.tenant, |$tenant: &mut Tenant| $rule).await?;
                Ok((&*changed).into())
            }
        }
    };
}

acts_on_tenant! {
    /// Suspends a tenant: its people can sign in no more, its data stays.
    SuspendTenant {
        /// Why; its people are told.
        reason: Note
    } "tenants.suspend" SUSPEND |tenant, it, now| tenant.suspend(&it.reason, now)
}

acts_on_tenant! {
    /// Resumes a suspended tenant: all is as before.
    ResumeTenant {} "tenants.resume" SUSPEND |tenant, it, now| tenant.resume(now)
}

acts_on_tenant! {
    /// Destroys a tenant with all its data, for good. Its keys go first: what is left anywhere cannot be read any more.
    EraseTenant {} "tenants.erase" ERASE |tenant, it, now| tenant.erase(now)
}

/// Says how much of a resource a tenant may use.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateQuota {
    /// Which tenant.
    tenant: TenantId,
    /// Which resource: `seats`.
    resource: Key,
    /// How much from now on; what is in use beyond it stays.
    #[schemars(range(max = 1_000_000))]
    limit: u64,
}

impl UseCase for UpdateQuota {
    type Output = SeatsView;
    const NAME: &'static str = "tenants.quota.update";
    const SCOPE: ScopeKind = ScopeKind::Platform;
    const NEEDS: Permission = may::QUOTA;
    fn resource(&self) -> kernel::Resource {
        self.tenant.into()
    }
}

impl Handle<UpdateQuota> for Tenants {
    async fn handle(&self, it: UpdateQuota, cx: Granted<UpdateQuota>) -> Result<SeatsView, Problem> {
        if it.resource.as_str() != SEATS {
            return Err(Problem::not_found("resource").hint("the resources are: seats"));
        }
        self.store.at(&cx).load::<Tenant>(&it.tenant).await?;
        let inside = cx.within(it.tenant)?;
        self.ensure_seats(&inside).await?;
        let (store, seats) = (self.store.at(&inside), SEATS.to_owned());
        let changed = store.change(&seats, |quota: &mut ResourceQuota| Ok(quota.update(it.limit)));
        Ok(changed.await?.view())
    }
}

impl Tenants {
    pub(crate) async fn ensure_seats(&self, cx: &kernel::Cx) -> Result<(), Problem> {
        if self.store.at(cx).try_load::<ResourceQuota>(&SEATS.to_owned()).await?.is_some() {
            return Ok(());
        }
        let created = self.store.at(cx).create(ResourceQuota::new(SEATS, FREE_SEATS), ()).await;
        // Someone else was faster.
        created.map(drop).or_else(|problem| if problem.code() == "changed_meanwhile" { Ok(()) } else { Err(problem) })
    }
}

impl Handle<ReserveSeat> for Tenants {
    async fn handle(&self, it: ReserveSeat, cx: Granted<ReserveSeat>) -> Result<SeatsView, Problem> {
        self.ensure_seats(&cx).await?;
        let (holder, now) = (it.user.to_string(), cx.now());
        let (store, seats) = (self.store.at(&cx), SEATS.to_owned());
        let changed = store.change(&seats, |quota: &mut ResourceQuota| quota.reserve(&holder, it.until, now));
        Ok(changed.await?.view())
    }
}

impl Handle<ReleaseSeat> for Tenants {
    async fn handle(&self, it: ReleaseSeat, cx: Granted<ReleaseSeat>) -> Result<(), Problem> {
        self.ensure_seats(&cx).await?;
        let holder = it.user.to_string();
        let release = |quota: &mut ResourceQuota| {
            quota.release(&holder);
            Ok(())
        };
        self.store.at(&cx).change(&SEATS.to_owned(), release).await.map(drop)
    }
}

/// Switches a feature, for all or for a share of the people. Who has it at a smaller share keeps it at a larger.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchFeature {
    /// Which.
    feature: Key,
    /// Whether it is on at all.
    enabled: bool,
    /// For how many of a hundred.
    #[serde(default = "everyone")]
    #[schemars(range(max = 100))]
    percentage: u8,
}

fn everyone() -> u8 {
    100
}

/// A feature as it stands.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FeatureView {
    /// Which.
    pub(crate) feature: Key,
    /// Whether it is on at all.
    pub(crate) enabled: bool,
    /// For how many of a hundred.
    pub(crate) percentage: u8,
}

impl From<&Feature> for FeatureView {
    fn from(it: &Feature) -> Self {
        Self { feature: it.key().clone(), enabled: it.enabled, percentage: it.percentage }
    }
}

impl UseCase for SwitchFeature {
    type Output = FeatureView;
    const NAME: &'static str = "tenants.features.switch";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const NEEDS: Permission = may::FEATURE_UPDATE;
}

impl Handle<SwitchFeature> for Tenants {
    async fn handle(&self, it: SwitchFeature, cx: Granted<SwitchFeature>) -> Result<FeatureView, Problem> {
        if it.percentage > 100 {
            return Err(Problem::invalid_field("/percentage", "expected at most 100"));
        }
        let store = self.store.at(&cx);
        if store.try_load::<Feature>(&it.feature).await?.is_none() {
            let mut fresh = Feature::new(it.feature.clone());
            let switched = fresh.switch(it.enabled, it.percentage);
            return Ok((&*store.create(fresh, switched).await?).into());
        }
        let switched = store.change(&it.feature, |known: &mut Feature| Ok(known.switch(it.enabled, it.percentage)));
        Ok((&*switched.await?).into())
    }
}
