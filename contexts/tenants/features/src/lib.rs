//! What a tenant may use, and what its people get: features, who decided what they are worth, and who changed them.
//!
//! A **feature** is worth something to a tenant and its people: true or false, one of several variants, or an amount. It is
//! defined (by the tenant, or for all), **granted** by a plan, **overridden** by an operator, in that order of strength. A
//! share of people keeps its people as it grows. What is decided is held for a moment, so that an evaluation reads no store.

mod entitlements;
mod evaluation;
mod feature;
mod features;
mod flags;
mod grants;
mod history;
mod ofrep;
mod rule;

use std::sync::Arc;

use bytes::Bytes;
use contracts::entitlements::{CheckEntitlement, GrantEntitlements};
use http::{Method, Request, Response};
use kernel::{Context, Cx, Endpoint, Problem, ScopeKind, context::Body};
use register::{Register, permissions as may};
use store::Store;

use features::{
    DefineCommonFeature, DefineFeature, ListCommonFeatureChanges, ListCommonFeatures, ListFeatureChanges, ListFeatures,
    SwitchCommonFeature, SwitchFeature,
};
use flags::Flags;
use grants::{ClearOverride, OverrideFeature, ReadEntitlements};

pub use evaluation::SEATS;
pub use feature::Allowance;

/// Decides what features are worth.
pub struct Features {
    store: Store,
    register: Register,
    flags: Flags,
}

impl Features {
    /// With what it stands on.
    pub fn new(store: Store, register: Register) -> Self {
        Self { store, register, flags: Flags::new() }
    }
}

/// The lines of the table for whoever runs the installation.
pub fn mount_for_operators(context: Context, it: &Arc<Features>) -> Context {
    context
        .route::<ReadEntitlements, _>(Method::GET, "/v1/tenants/{tenant}/entitlements", it)
        .route::<GrantEntitlements, _>(Method::PUT, "/v1/tenants/{tenant}/grants/{slot}", it)
        .route::<OverrideFeature, _>(Method::PUT, "/v1/tenants/{tenant}/overrides/{feature}", it)
        .route::<ClearOverride, _>(Method::DELETE, "/v1/tenants/{tenant}/overrides/{feature}", it)
        .route::<ListCommonFeatures, _>(Method::GET, "/v1/common-features", it)
        .route::<DefineCommonFeature, _>(Method::PUT, "/v1/common-features/{feature}", it)
        .route::<SwitchCommonFeature, _>(Method::POST, "/v1/common-features/{feature}/switch", it)
        .route::<ListCommonFeatureChanges, _>(Method::GET, "/v1/common-features/{feature}/changes", it)
}

/// The lines of the table for a tenant, and what is written down of changes.
pub fn mount(context: Context, it: &Arc<Features>) -> Context {
    let context = Features::RECORDED.into_iter().fold(context, |context, (name, event)| {
        let it = Arc::clone(it);
        context.on_any(name, event, move |envelope, cx| {
            let it = Arc::clone(&it);
            async move { it.record(envelope, cx).await }
        })
    });
    context
        .route::<CheckEntitlement, _>(Method::POST, "/v1/entitlements/check", it)
        .route::<ListFeatures, _>(Method::GET, "/v1/features", it)
        .route::<DefineFeature, _>(Method::PUT, "/v1/features/{feature}", it)
        .route::<SwitchFeature, _>(Method::POST, "/v1/features/{feature}/switch", it)
        .route::<ListFeatureChanges, _>(Method::GET, "/v1/features/{feature}/changes", it)
}

fn endpoint<F, R>(it: &Arc<Features>, (name, summary): (&'static str, &'static str), serve: F) -> Endpoint
where
    F: Fn(Arc<Features>, Request<Bytes>, Cx) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
{
    let (it, needs) = (Arc::clone(it), may::FEATURE_READ);
    Endpoint::new(name, summary, ScopeKind::Tenant, needs, move |request, cx| serve(Arc::clone(&it), request, cx))
}

/// The endpoints that OFREP shapes.
pub fn mount_protocol(context: Context, it: &Arc<Features>) -> Context {
    let one = ("tenants.ofrep.evaluate", "Evaluates a flag");
    let all = ("tenants.ofrep.evaluate_all", "Evaluates all flags");
    let one = endpoint(it, one, async |it, request, cx| it.evaluate_one(request, cx).await);
    let all = endpoint(it, all, async |it, request, cx| it.evaluate_all(request, cx).await);
    context.endpoint(Method::POST, "/ofrep/v1/evaluate/flags/{key}", one).endpoint(
        Method::POST,
        "/ofrep/v1/evaluate/flags",
        all,
    )
}
