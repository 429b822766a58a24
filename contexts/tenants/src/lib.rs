//! Tenants: who the customers are, where they are in their life, and what they may use.
//!
//! A **tenant** is found by its **slug**, which never changes. **Suspended**, its people can sign in no more and all stays;
//! **erased**, its keys are destroyed first and its data after. A **quota** is an amount of a resource, reserved before
//! use. A **feature** is on or off for a tenant's people, or on for a share of them.

mod commands;
mod feature;
mod ofrep;
mod permissions;
mod queries;
mod quota;
mod tenant;

use std::sync::Arc;

use async_trait::async_trait;
use commands::{EraseTenant, ResumeTenant, SignUp, SuspendTenant, SwitchFeature, UpdateQuota};
use contracts::{
    identity::UserActivated,
    tenants::{ReleaseSeat, ReserveSeat, ResolveTenant, TenantErased},
};
use http::Method;
use kernel::{Context, Endpoint, Problem, Scope, ScopeKind, context::Fired};
use queries::{ListFeatures, ListTenants, ReadSeats};
use quota::{ResourceQuota, SEATS};
use store::Store;
use tenant::Tenant;

/// What this context declares.
pub const PERMISSIONS: &[kernel::PermissionDecl] = permissions::ALL;

/// What is kept of a tenant outside the aggregate store (events, facts), and goes with it.
#[async_trait]
pub trait Remains: Send + Sync + 'static {
    /// Removes what is kept of a scope. Repeatable.
    async fn erase(&self, scope: Scope) -> Result<(), Problem>;
}

/// The context.
pub(crate) struct Tenants {
    pub(crate) store: Store,
    remains: Arc<dyn Remains>,
}

impl Tenants {
    async fn erased(&self, event: TenantErased, cx: kernel::Cx) -> Result<(), Problem> {
        let owner = self.store.at(&cx).load::<Tenant>(&event.tenant).await?.owner_id();
        let inside = cx.within(event.tenant)?;
        self.store.at(&inside).erase().await?;
        self.remains.erase(inside.scope()).await?;
        self.store.keys().destroy_person(Scope::Platform, owner).await?;
        Ok(())
    }

    async fn seat_confirmed(&self, event: UserActivated, cx: kernel::Cx) -> Result<(), Problem> {
        self.ensure_seats(&cx).await?;
        let holder = event.user.to_string();
        let confirm = |it: &mut ResourceQuota| {
            it.confirm(&holder);
            Ok(())
        };
        self.store.at(&cx).change(&SEATS.to_owned(), confirm).await.map(drop)
    }

    async fn reservations_end(&self, fired: Fired, cx: kernel::Cx) -> Result<(), Problem> {
        let now = cx.now();
        let expire = |it: &mut ResourceQuota| {
            it.expire(now);
            Ok(())
        };
        self.store.at(&cx).change(&fired.id, expire).await.map(drop)
    }
}

/// The context, with its table.
pub fn context(store: Store, remains: Arc<dyn Remains>) -> Context {
    let it = Arc::new(Tenants { store, remains });
    let ofrep = |name, summary, all: bool| {
        let it = Arc::clone(&it);
        Endpoint::new(name, summary, ScopeKind::Tenant, permissions::FEATURE_READ, move |request, cx| {
            let it = Arc::clone(&it);
            async move { if all { it.evaluate_all(request, cx).await } else { it.evaluate_one(request, cx).await } }
        })
    };
    let (erased, confirmed, ended) = (Arc::clone(&it), Arc::clone(&it), Arc::clone(&it));
    Context::new("tenants", PERMISSIONS)
        .route::<SignUp, _>(Method::POST, "/v1/sign-up", &it)
        .route::<ListTenants, _>(Method::GET, "/v1/tenants", &it)
        .route::<SuspendTenant, _>(Method::POST, "/v1/tenants/{tenant}/suspend", &it)
        .route::<ResumeTenant, _>(Method::POST, "/v1/tenants/{tenant}/resume", &it)
        .route::<EraseTenant, _>(Method::POST, "/v1/tenants/{tenant}/erase", &it)
        .route::<UpdateQuota, _>(Method::PUT, "/v1/tenants/{tenant}/quotas/{resource}", &it)
        .route::<ReadSeats, _>(Method::GET, "/v1/seats", &it)
        .route::<ListFeatures, _>(Method::GET, "/v1/features", &it)
        .route::<SwitchFeature, _>(Method::PUT, "/v1/features/{feature}", &it)
        .endpoint(
            Method::POST,
            "/ofrep/v1/evaluate/flags/{key}",
            ofrep("tenants.ofrep.evaluate", "Evaluates a flag", false),
        )
        .endpoint(
            Method::POST,
            "/ofrep/v1/evaluate/flags",
            ofrep("tenants.ofrep.evaluate_all", "Evaluates all flags", true),
        )
        .internal::<ResolveTenant, _>(&it)
        .internal::<ReserveSeat, _>(&it)
        .internal::<ReleaseSeat, _>(&it)
        .on("erase", move |event: TenantErased, cx| {
            let it = Arc::clone(&erased);
            async move { it.erased(event, cx).await }
        })
        .on("confirm_seat", move |event: UserActivated, cx| {
            let it = Arc::clone(&confirmed);
            async move { it.seat_confirmed(event, cx).await }
        })
        .timer("tenants.resource_quota", move |fired, cx| {
            let it = Arc::clone(&ended);
            async move { it.reservations_end(fired, cx).await }
        })
}
