//! Tenants: who the customers are, where they are in their life, and what they may use.
//!
//! A **tenant** is found by its **slug**, which never changes, or by a **domain** that was shown to be its own. It is
//! **provisioned** by the contexts that set something up, then on **trial** or **active**. **Suspended** or **archived**,
//! nobody can sign in and all stays; **erased**, its keys are destroyed first and its data after. A **feature** is worth
//! something to a tenant and its people: true or false, one of several variants, or an amount; it is defined, granted by
//! a plan, overridden by an operator. A **quota** is what is used of an amount, reserved before use.

mod branding;
mod domain;
mod domains;
mod entitlements;
mod erasure;
mod evaluation;
mod feature;
mod features;
mod flags;
mod grants;
mod history;
mod lifecycle;
mod ofrep;
mod permissions;
mod preferences;
mod provisioning;
mod queries;
mod quota;
mod quotas;
mod rule;
mod sagas;
mod table;
mod tenant;
mod trial;

use std::sync::Arc;

use async_trait::async_trait;
use cache::Turns;
use contracts::tenants::Isolation;
use events::Services;
use kernel::{Aggregate, Cx, Happened, Problem, Scope, TenantId};
use store::{Loaded, Store};

use branding::Brands;
use flags::Flags;
use quotas::Slices;

pub use domain::Challenge;
pub use domains::Control;
pub use table::context;

/// What this context declares.
pub const PERMISSIONS: &[kernel::PermissionDecl] = permissions::ALL;

/// What is kept of a tenant outside the aggregate store, and goes with it.
#[async_trait]
pub trait Remains: Send + Sync + 'static {
    /// Where something is kept (events, facts), in the order in which it goes.
    fn parts(&self) -> &[&'static str];

    /// Removes what one of the parts keeps of a scope. Repeatable.
    async fn erase(&self, part: &str, scope: Scope) -> Result<(), Problem>;
}

/// Where the aggregates of tenants are kept.
#[async_trait]
pub trait Homes: Send + Sync + 'static {
    /// Prepares the place of a new tenant. Durable when this returns, and nothing is stored for the tenant before.
    /// Repeatable.
    async fn prepare(&self, tenant: TenantId, isolation: Isolation) -> Result<(), Problem>;

    /// Takes that back for a tenant that came to nothing. Repeatable.
    async fn withdraw(&self, tenant: TenantId) -> Result<(), Problem>;

    /// Gives up, for good, the place of a scope that was erased. Repeatable.
    async fn close(&self, scope: Scope) -> Result<(), Problem>;
}

/// One store for all: no tenant can have a place of its own.
pub struct OnePlace;

#[async_trait]
impl Homes for OnePlace {
    async fn prepare(&self, _: TenantId, isolation: Isolation) -> Result<(), Problem> {
        match isolation {
            Isolation::Pooled => Ok(()),
            Isolation::Dedicated => {
                Err(Problem::invalid_field("/isolation", "expected `pooled`: there is one store for all"))
            }
        }
    }

    async fn withdraw(&self, _: TenantId) -> Result<(), Problem> {
        Ok(())
    }

    async fn close(&self, _: Scope) -> Result<(), Problem> {
        Ok(())
    }
}

/// How the installation is reached, and what a sign-up begins with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `http` or `https`.
    pub scheme: String,
    /// The host name; tenants are its subdomains.
    pub host: String,
    /// The port in addresses, where it is not the scheme's own.
    pub port: Option<u16>,
    /// How many days a tenant that signed up is on trial; 0 for not at all.
    pub trial_days: u16,
    /// How the data of a tenant is kept apart, where an operator does not say otherwise.
    pub isolation: Isolation,
}

impl Settings {
    /// The origin of a tenant.
    fn origin(&self, slug: &str) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{slug}.{}{port}", self.scheme, self.host)
    }
}

/// What the context needs of others.
pub struct Ports {
    /// What is kept of tenants elsewhere.
    pub remains: Arc<dyn Remains>,
    /// Looks at domains.
    pub control: Arc<dyn Control>,
    /// Where their aggregates are kept.
    pub homes: Arc<dyn Homes>,
}

/// The context.
pub(crate) struct Tenants {
    pub(crate) store: Store,
    pub(crate) services: Services,
    pub(crate) remains: Arc<dyn Remains>,
    pub(crate) control: Arc<dyn Control>,
    pub(crate) homes: Arc<dyn Homes>,
    pub(crate) settings: Settings,
    pub(crate) flags: Flags,
    pub(crate) turns: Turns<(Scope, String)>,
    pub(crate) slices: Slices,
    pub(crate) brands: Brands,
}

impl Tenants {
    fn new(store: Store, services: Services, ports: Ports, settings: Settings) -> Self {
        let Ports { remains, control, homes } = ports;
        let (flags, turns, slices, brands) = (Flags::new(), Turns::default(), Slices::new(), branding::brands());
        Self { store, services, remains, control, homes, settings, flags, turns, slices, brands }
    }

    /// The context's own service in the platform's scope, in the course of what happens in a tenant's.
    pub(crate) fn at_platform(&self, cx: &Cx) -> Cx {
        let platform = self.services.cx("tenants", Scope::Platform).traced(cx.trace());
        let platform = match cx.causation() {
            Some(event) => platform.caused_by(event, &cx.correlation()),
            None => platform,
        };
        match cx.write_key() {
            Some(key) => platform.repeatable(&key.0),
            None => platform,
        }
    }

    /// Changes an aggregate that is there from the first change on.
    pub(crate) async fn upsert<A: Aggregate, H: Happened>(
        &self,
        cx: &Cx,
        id: &A::Id,
        fresh: impl FnOnce() -> A + Send,
        mut rule: impl FnMut(&mut A) -> Result<H, Problem> + Send,
    ) -> Result<Loaded<A>, Problem> {
        let store = self.store.at(cx);
        if store.try_load::<A>(id).await?.is_none() {
            let mut it = fresh();
            let happened = rule(&mut it)?.events();
            match store.create(it, happened).await {
                // Someone else was faster.
                Err(problem) if problem.code() == "changed_meanwhile" => {}
                outcome => return outcome,
            }
        }
        store.change(id, rule).await
    }
}
