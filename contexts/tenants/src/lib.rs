//! Tenants: who the customers are, where they are in their life, and what they may use.
//!
//! A **tenant** is found by its **slug**, which never changes, or by a **domain** that was shown to be its own. It is
//! **provisioned** by the contexts that set something up, then on **trial** or **active**. **Suspended** or **archived**,
//! nobody can sign in and all stays; **erased**, its keys are destroyed first and its data after.
//!
//! This crate puts the context together, and leads a tenant through its life. Its parts are `register` (the tenant itself),
//! `features` (what it may use), `quotas` (what it has used), `domains` and `branding`.

mod erasure;
mod lifecycle;
mod preferences;
mod provisioning;
mod queries;
mod sagas;
mod table;
mod trial;

use std::sync::Arc;

use async_trait::async_trait;
use contracts::tenants::Isolation;
use domains::Domains;
use kernel::{Problem, Scope, TenantId};
use register::Register;
use store::Store;

pub use domains::{Challenge, Control};
pub use table::context;

/// What this context declares.
pub const PERMISSIONS: &[kernel::PermissionDecl] = register::permissions::ALL;

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

/// Leads tenants through their lives.
struct Tenants {
    store: Store,
    register: Register,
    remains: Arc<dyn Remains>,
    homes: Arc<dyn Homes>,
    settings: Settings,
    domains: Arc<Domains>,
}

impl Tenants {
    fn new(store: Store, register: Register, ports: Ports, settings: Settings) -> Self {
        let Ports { remains, control, homes } = ports;
        let domains = Domains::new(store.clone(), register.clone(), control, settings.host.clone());
        Self { store, register, remains, homes, settings, domains: Arc::new(domains) }
    }
}
