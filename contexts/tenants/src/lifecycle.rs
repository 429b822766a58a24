//! What changes where a tenant is in its life.

use contracts::tenants::{
    ActivateTenant, ConfirmProvisioned, HoldTenant, Isolation, PROVISIONERS, ReleaseTenant, TenantView,
};
use kernel::{
    Cx, Granted, Handle, Problem, TenantId,
    text::{DisplayName, EmailAddress, Note, Slug},
    use_case,
};
use register::{
    permissions as may,
    tenant::{Beginning, LONGEST_TRIAL, Tenant},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Settings, Tenants, provisioning::Provisioning};

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

use_case!(SignUp => TenantView, "tenants.sign_up", Platform, may::SIGN_UP);

impl Handle<SignUp> for Tenants {
    async fn handle(&self, it: SignUp, cx: Granted<SignUp>) -> Result<TenantView, Problem> {
        let owner = (cx.new_id(), it.email, it.name);
        let Settings { trial_days, isolation, .. } = self.settings;
        self.found((it.slug, it.company), owner, Beginning { trial_days, isolation }, &cx).await
    }
}

/// Founds a tenant for a customer. Its owner gets a link by mail, as after a sign-up.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProvisionTenant {
    /// The company.
    company: DisplayName,
    /// The subdomain it gets; it cannot be changed later.
    slug: Slug,
    /// What its owner is called.
    name: DisplayName,
    /// Where its owner is reached.
    email: EmailAddress,
    /// How long it is on trial, in days; 0 for not at all. As after a sign-up where nothing is said.
    #[schemars(range(max = 366))]
    trial_days: Option<u16>,
    /// How its data is kept apart from that of the others; it cannot be changed later. As after a sign-up where nothing
    /// is said.
    isolation: Option<Isolation>,
}

use_case!(ProvisionTenant => TenantView, "tenants.provision", Platform, may::PROVISION);

impl Handle<ProvisionTenant> for Tenants {
    async fn handle(&self, it: ProvisionTenant, cx: Granted<ProvisionTenant>) -> Result<TenantView, Problem> {
        let trial_days = it.trial_days.unwrap_or(self.settings.trial_days);
        if trial_days > LONGEST_TRIAL {
            return Err(Problem::invalid_field("/trial_days", "expected at most 366"));
        }
        let owner = (cx.new_id(), it.email, it.name);
        let isolation = it.isolation.unwrap_or(self.settings.isolation);
        self.found((it.slug, it.company), owner, Beginning { trial_days, isolation }, &cx).await
    }
}

impl Tenants {
    async fn found(
        &self,
        names: (Slug, DisplayName),
        owner: (kernel::UserId, EmailAddress, DisplayName),
        beginning: Beginning,
        cx: &Cx,
    ) -> Result<TenantView, Problem> {
        let (tenant, provisioned) = Tenant::provision(cx.new_id(), names, owner, beginning, cx.now());
        let id = tenant.id;
        // First: once the tenant is there, anyone can ask at its address, and contexts set it up side by side.
        self.homes.prepare(id, beginning.isolation).await?;
        match self.store.at(cx).create(tenant, provisioned).await {
            Ok(stored) => Ok(self.view(&stored)),
            Err(taken) if taken.code() == "already_taken" => self.homes.withdraw(id).await.and(Err(taken)),
            // It may have been stored.
            Err(other) => Err(other),
        }
    }
}

impl Handle<ConfirmProvisioned> for Tenants {
    async fn handle(&self, it: ConfirmProvisioned, cx: Granted<ConfirmProvisioned>) -> Result<(), Problem> {
        if !PROVISIONERS.contains(&it.context.as_str()) {
            return Err(Problem::invalid_field("/context", "expected a context that sets tenants up"));
        }
        // It may answer before the saga has begun: then it begins with the answer.
        let owner = self.store.at(&cx).load::<Tenant>(&it.tenant).await?.owner_id();
        let now = cx.real_now();
        let fresh = || Provisioning::new(it.tenant, owner, now);
        self.store.at(&cx).upsert(&it.tenant, fresh, |saga| Ok(saga.confirm(&it.context, now))).await.map(drop)
    }
}

impl Handle<ActivateTenant> for Tenants {
    async fn handle(&self, it: ActivateTenant, cx: Granted<ActivateTenant>) -> Result<TenantView, Problem> {
        let now = cx.now();
        let changed = self.store.at(&cx).change(&it.tenant, |tenant: &mut Tenant| tenant.activate(now)).await?;
        Ok(self.view(&changed))
    }
}

impl Handle<HoldTenant> for Tenants {
    async fn handle(&self, it: HoldTenant, cx: Granted<HoldTenant>) -> Result<(), Problem> {
        let now = cx.now();
        let rule = |tenant: &mut Tenant| Ok(tenant.hold(&it.reason, now));
        self.store.at(&cx).change(&it.tenant, rule).await.map(drop)
    }
}

impl Handle<ReleaseTenant> for Tenants {
    async fn handle(&self, it: ReleaseTenant, cx: Granted<ReleaseTenant>) -> Result<(), Problem> {
        let now = cx.now();
        self.store.at(&cx).change(&it.tenant, |tenant: &mut Tenant| Ok(tenant.release(now))).await.map(drop)
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

        use_case!($name => TenantView, $use_case, Platform, may::$needs, |it| it.tenant.into());

        impl Handle<$name> for Tenants {
            async fn handle(&self, $it: $name, cx: Granted<$name>) -> Result<TenantView, Problem> {
                let $now = cx.now();
                let changed = self.store.at(&cx).change(&$it.tenant, |$tenant: &mut Tenant| $rule).await?;
                Ok(self.view(&changed))
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
    /// Puts a tenant away: its people can sign in no more, its data stays, and it can be restored.
    ArchiveTenant {
        /// Why; its people are told.
        reason: Note
    } "tenants.archive" ARCHIVE |tenant, it, now| tenant.archive(&it.reason, now)
}

acts_on_tenant! {
    /// Brings an archived tenant back: all is as before.
    RestoreTenant {} "tenants.restore" ARCHIVE |tenant, it, now| tenant.restore(now)
}

acts_on_tenant! {
    /// Destroys a tenant with all its data, for good. Its keys go first: what is left anywhere cannot be read any more.
    EraseTenant {} "tenants.erase" ERASE |tenant, it, now| tenant.erase(now)
}
