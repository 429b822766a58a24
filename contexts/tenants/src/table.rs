//! The table: one line a route, a reaction, a timer.

use std::sync::Arc;

use branding::Looks;
use contracts::tenants::{
    ActivateTenant, ConfirmProvisioned, HoldTenant, ProvisioningCompleted, ProvisioningFailed, ReadSettings,
    ReleaseTenant, ResolveTenant, TenantActivated, TenantErasureRequested, TenantProvisioned, TrialEnded,
};
use events::Services;
use features::Features;
use http::Method;
use kernel::{Context, TimeDomain};
use quotas::Quotas;
use register::Register;
use store::Store;

use crate::{
    PERMISSIONS, Ports, Settings, Tenants,
    lifecycle::{ArchiveTenant, EraseTenant, ProvisionTenant, RestoreTenant, ResumeTenant, SignUp, SuspendTenant},
    preferences::UpdateSettings,
    queries::{ListTenants, ReadTenant},
};

/// Hands what happened to a method.
macro_rules! to {
    ($it:ident.$method:ident) => {{
        let it = Arc::clone(&$it);
        move |what, cx| {
            let it = Arc::clone(&it);
            async move { it.$method(what, cx).await }
        }
    }};
}

/// The context, with its table.
pub fn context(store: Store, services: Services, ports: Ports, settings: Settings) -> Context {
    let register = Register::new(store.clone(), services);
    let features = Arc::new(Features::new(store.clone(), register.clone()));
    let quotas = Arc::new(Quotas::new(store.clone(), register.clone(), Arc::clone(&features)));
    let looks = Arc::new(Looks::new(store.clone(), register.clone()));
    let it = Arc::new(Tenants::new(store, register, ports, settings));
    let context = of_the_operator(Context::new("tenants", PERMISSIONS), &it);
    let context = features::mount_for_operators(quotas::mount_for_operators(context, &quotas), &features);
    let context = features::mount(quotas::mount(context, &quotas), &features);
    let context = branding::mount(domains::mount(context, &it.domains), &looks);
    let context = features::mount_protocol(of_a_tenant(context, &it), &features);
    reactions(branding::mount_assets(context, &looks), &it)
}

fn of_the_operator(context: Context, it: &Arc<Tenants>) -> Context {
    context
        .route::<SignUp, _>(Method::POST, "/v1/sign-up", it)
        .route::<ProvisionTenant, _>(Method::POST, "/v1/tenants", it)
        .route::<ListTenants, _>(Method::GET, "/v1/tenants", it)
        .route::<ReadTenant, _>(Method::GET, "/v1/tenants/{tenant}", it)
        .route::<ActivateTenant, _>(Method::POST, "/v1/tenants/{tenant}/activate", it)
        .route::<SuspendTenant, _>(Method::POST, "/v1/tenants/{tenant}/suspend", it)
        .route::<ResumeTenant, _>(Method::POST, "/v1/tenants/{tenant}/resume", it)
        .route::<ArchiveTenant, _>(Method::POST, "/v1/tenants/{tenant}/archive", it)
        .route::<RestoreTenant, _>(Method::POST, "/v1/tenants/{tenant}/restore", it)
        .route::<EraseTenant, _>(Method::POST, "/v1/tenants/{tenant}/erase", it)
        .internal::<ResolveTenant, _>(it)
        .internal::<ConfirmProvisioned, _>(it)
        .internal::<HoldTenant, _>(it)
        .internal::<ReleaseTenant, _>(it)
}

fn of_a_tenant(context: Context, it: &Arc<Tenants>) -> Context {
    context.route::<ReadSettings, _>(Method::GET, "/v1/settings", it).route::<UpdateSettings, _>(
        Method::PUT,
        "/v1/settings",
        it,
    )
}

fn reactions(context: Context, it: &Arc<Tenants>) -> Context {
    context
        .on::<TenantProvisioned, _, _>("begin_provisioning", to!(it.provisioning_begins))
        .on::<ProvisioningCompleted, _, _>("complete_provisioning", to!(it.provisioning_done))
        .on::<ProvisioningFailed, _, _>("take_back", to!(it.provisioning_failed))
        .on::<TenantActivated, _, _>("begin_or_settle_trial", to!(it.activated))
        .on::<TrialEnded, _, _>("end_trial", to!(it.trial_ended))
        .on::<TenantErasureRequested, _, _>("begin_erasure", to!(it.erasure_begins))
        .timer("tenants.trial", to!(it.trial_due))
        .timer_in(TimeDomain::Real, "tenants.provisioning", to!(it.provisioning_due))
        .timer_in(TimeDomain::Real, "tenants.erasure", to!(it.erasure_due))
}
