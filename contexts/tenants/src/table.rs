//! The table: one line a route, a reaction, a timer.

use std::sync::Arc;

use bytes::Bytes;
use contracts::{
    entitlements::{CheckEntitlement, ConfirmQuota, GrantEntitlements, ReleaseQuota, ReserveQuota, SpendQuota},
    identity::UserActivated,
    tenants::{
        ActivateTenant, ConfirmProvisioned, ProvisioningCompleted, ProvisioningFailed, ReadBranding, ReadSettings,
        ReleaseSeat, ReserveSeat, ResolveTenant, TenantActivated, TenantErasureRequested, TenantProvisioned,
        TrialEnded,
    },
    users::{UserDeactivated, UserErased, UserReactivated},
};
use events::Services;
use http::{Method, Request, Response};
use kernel::{Context, Cx, Endpoint, Permission, Problem, ScopeKind, TimeDomain, context::Body};
use store::Store;

use crate::{
    PERMISSIONS, Ports, Settings, Tenants,
    branding::{ReplaceLogo, UpdateBranding},
    domains::{AddDomain, ListDomains, RemoveDomain, VerifyDomain},
    features::{
        DefineCommonFeature, DefineFeature, ListCommonFeatureChanges, ListCommonFeatures, ListFeatureChanges,
        ListFeatures, SwitchCommonFeature, SwitchFeature,
    },
    grants::{ClearOverride, OverrideFeature, ReadEntitlements, UpdateQuota},
    lifecycle::{ArchiveTenant, EraseTenant, ProvisionTenant, RestoreTenant, ResumeTenant, SignUp, SuspendTenant},
    permissions as may,
    preferences::UpdateSettings,
    queries::{ListTenants, ReadTenant},
    quotas::{ReadQuota, ReadSeats},
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

fn endpoint<F, R>(
    it: &Arc<Tenants>,
    (name, summary): (&'static str, &'static str),
    needs: Permission,
    serve: F,
) -> Endpoint
where
    F: Fn(Arc<Tenants>, Request<Bytes>, Cx) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
{
    let it = Arc::clone(it);
    Endpoint::new(name, summary, ScopeKind::Tenant, needs, move |request, cx| serve(Arc::clone(&it), request, cx))
}

/// The context, with its table.
pub fn context(store: Store, services: Services, ports: Ports, settings: Settings) -> Context {
    let it = Arc::new(Tenants::new(store, services, ports, settings));
    let context = Context::new("tenants", PERMISSIONS);
    let context = of_a_tenant(of_the_operator(context, &it), &it);
    reactions(protocols(context, &it), &it)
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
        .route::<UpdateQuota, _>(Method::PUT, "/v1/tenants/{tenant}/quotas/{resource}", it)
        .route::<ReadEntitlements, _>(Method::GET, "/v1/tenants/{tenant}/entitlements", it)
        .route::<GrantEntitlements, _>(Method::PUT, "/v1/tenants/{tenant}/grants/{slot}", it)
        .route::<OverrideFeature, _>(Method::PUT, "/v1/tenants/{tenant}/overrides/{feature}", it)
        .route::<ClearOverride, _>(Method::DELETE, "/v1/tenants/{tenant}/overrides/{feature}", it)
        .route::<ListCommonFeatures, _>(Method::GET, "/v1/common-features", it)
        .route::<DefineCommonFeature, _>(Method::PUT, "/v1/common-features/{feature}", it)
        .route::<SwitchCommonFeature, _>(Method::POST, "/v1/common-features/{feature}/switch", it)
        .route::<ListCommonFeatureChanges, _>(Method::GET, "/v1/common-features/{feature}/changes", it)
        .internal::<ResolveTenant, _>(it)
        .internal::<ConfirmProvisioned, _>(it)
}

fn of_a_tenant(context: Context, it: &Arc<Tenants>) -> Context {
    context
        .route::<ReadSeats, _>(Method::GET, "/v1/seats", it)
        .route::<ReadQuota, _>(Method::GET, "/v1/quotas/{resource}", it)
        .route::<ReserveQuota, _>(Method::POST, "/v1/quotas/{resource}/reservations", it)
        .route::<ConfirmQuota, _>(Method::POST, "/v1/quotas/{resource}/reservations/{id}/confirm", it)
        .route::<ReleaseQuota, _>(Method::DELETE, "/v1/quotas/{resource}/reservations/{id}", it)
        .route::<SpendQuota, _>(Method::POST, "/v1/quotas/{resource}/spend", it)
        .route::<CheckEntitlement, _>(Method::POST, "/v1/entitlements/check", it)
        .route::<ListFeatures, _>(Method::GET, "/v1/features", it)
        .route::<DefineFeature, _>(Method::PUT, "/v1/features/{feature}", it)
        .route::<SwitchFeature, _>(Method::POST, "/v1/features/{feature}/switch", it)
        .route::<ListFeatureChanges, _>(Method::GET, "/v1/features/{feature}/changes", it)
        .route::<ListDomains, _>(Method::GET, "/v1/domains", it)
        .route::<AddDomain, _>(Method::POST, "/v1/domains", it)
        .route::<VerifyDomain, _>(Method::POST, "/v1/domains/{domain}/verify", it)
        .route::<RemoveDomain, _>(Method::DELETE, "/v1/domains/{domain}", it)
        .route::<ReadBranding, _>(Method::GET, "/v1/branding", it)
        .route::<UpdateBranding, _>(Method::PUT, "/v1/branding", it)
        .route::<ReadSettings, _>(Method::GET, "/v1/settings", it)
        .route::<UpdateSettings, _>(Method::PUT, "/v1/settings", it)
        .internal::<ReserveSeat, _>(it)
        .internal::<ReleaseSeat, _>(it)
        .internal::<ReplaceLogo, _>(it)
}

fn protocols(context: Context, it: &Arc<Tenants>) -> Context {
    let one = ("tenants.ofrep.evaluate", "Evaluates a flag");
    let all = ("tenants.ofrep.evaluate_all", "Evaluates all flags");
    let logo = ("tenants.branding.logo", "The tenant's logo");
    let put_logo = ("tenants.branding.put_logo", "Takes a logo: the bytes of a PNG, JPEG or WebP");
    let one = endpoint(it, one, may::FEATURE_READ, async |it, request, cx| it.evaluate_one(request, cx).await);
    let all = endpoint(it, all, may::FEATURE_READ, async |it, request, cx| it.evaluate_all(request, cx).await);
    let seen = contracts::tenants::BRANDING.permission;
    let logo = endpoint(it, logo, seen, async |it, request, cx| it.logo(request, cx).await);
    let sheet = ("tenants.branding.sheet", "The stylesheet of the tenant's pages");
    let sheet = endpoint(it, sheet, seen, async |it, request, cx| it.brand_sheet(request, cx).await);
    let put_logo = endpoint(it, put_logo, may::BRANDING_UPDATE, async |it, request, cx| it.put_logo(request, cx).await);
    context
        .endpoint(Method::POST, "/ofrep/v1/evaluate/flags/{key}", one)
        .endpoint(Method::POST, "/ofrep/v1/evaluate/flags", all)
        .endpoint(Method::GET, "/v1/branding/logo", logo.produces("image/*"))
        .endpoint(Method::PUT, "/v1/branding/logo", put_logo)
        .endpoint(Method::GET, "/brand.css", sheet.produces("text/css"))
}

fn reactions(context: Context, it: &Arc<Tenants>) -> Context {
    let recorded = Tenants::RECORDED.into_iter();
    recorded
        .fold(context, |context, (name, event)| context.on_any(name, event, to!(it.record)))
        .on::<TenantProvisioned, _, _>("begin_provisioning", to!(it.provisioning_begins))
        .on::<ProvisioningCompleted, _, _>("complete_provisioning", to!(it.provisioning_done))
        .on::<ProvisioningFailed, _, _>("take_back", to!(it.provisioning_failed))
        .on::<TenantActivated, _, _>("begin_or_settle_trial", to!(it.activated))
        .on::<TrialEnded, _, _>("end_trial", to!(it.trial_ended))
        .on::<TenantErasureRequested, _, _>("begin_erasure", to!(it.erasure_begins))
        .on::<UserActivated, _, _>("confirm_seat", to!(it.seat_confirmed))
        .on::<UserDeactivated, _, _>("free_seat", to!(it.seat_left))
        .on::<UserReactivated, _, _>("take_seat_again", to!(it.seat_taken_again))
        .on::<UserErased, _, _>("free_seat_for_good", to!(it.seat_erased))
        .timer("tenants.trial", to!(it.trial_due))
        .timer_in(TimeDomain::Real, "tenants.provisioning", to!(it.provisioning_due))
        .timer_in(TimeDomain::Real, "tenants.erasure", to!(it.erasure_due))
        .timer_in(TimeDomain::Real, "tenants.resource_quota", to!(it.reservations_end))
        .timer_in(TimeDomain::Real, "tenants.domain", to!(it.domain_due))
}
