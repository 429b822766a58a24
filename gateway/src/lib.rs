//! The edge: finds the tenant, authenticates, limits, and passes on to the start-up's own services what no context
//! serves. Whoever comes in has a verified context, or a problem.
//!
//! A **visit** is one request on its way through. A **class** is a sort of limit. A **proxy route** leads requests of a
//! shape to **upstreams**, versions of a service on one or several **servers**.

mod address;
mod admit;
mod context;
mod cors;
mod credential;
mod edge;
mod limits;
mod live;
mod metrics;
mod origins;
mod proxy;
mod server;
mod tenant;
mod visit;

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use kernel::{Caller, Calls, Catalogue, Cx, DefaultRole, Problem, Scope, cx::Ambient, text::Key};
use tokio::sync::watch;

pub use address::{ForwardedHeader, Network, Proxies};
pub use context::{PERMISSIONS, Parts, context};
pub use credential::{OPERATOR_COOKIE, SESSION_COOKIE};
pub use limits::{Allowances, Even, Limits};
pub use metrics::Metrics;
pub use proxy::{Access, Credentials, Document, Identities, Identity, Mode, OwnPaths, Route, Upstream};
pub use rate::Rate;
pub use server::{Http, serve};

use admit::Found;
use limits::Gate;
use proxy::Proxy;

/// What the gateway needs to know.
pub struct Settings {
    /// The host name of the installation; tenants are its subdomains.
    pub host: String,
    /// `http`, or `https` behind something that ends TLS.
    pub scheme: String,
    /// How many requests a second one caller may make, over time.
    pub per_second: u32,
    /// Other limits, where they differ.
    pub limits: Limits,
    /// Whose word on a visitor's address counts.
    pub proxies: Proxies,
    /// Of connections and requests.
    pub http: Http,
    /// Proxy routes that the configuration names.
    pub routes: BTreeMap<Key, Route>,
}

/// What the gateway stands on.
pub struct Ground {
    /// Ways to other contexts.
    pub calls: Calls,
    /// What default roles hold.
    pub catalogue: Arc<Catalogue>,
    /// Clock and randomness.
    pub ambient: Ambient,
    /// Signs what upstreams are told of a caller.
    pub identities: Arc<Identities>,
    /// Paths that are never proxied.
    pub own_paths: OwnPaths,
    /// What tenants may ask in all.
    pub allowances: Arc<dyn Allowances>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The built-in gateway.
pub struct Gateway {
    settings: Settings,
    ground: Ground,
    found: Found,
    gate: Gate,
    proxy: Proxy,
    /// For what outlives the request that began it.
    me: Weak<Self>,
    stopping: watch::Sender<bool>,
}

impl Gateway {
    /// A gateway that asks `tenants` and `identity` through its calls.
    pub fn new(settings: Settings, ground: Ground) -> Result<Arc<Self>, Problem> {
        let proxy = Proxy::new(&settings.routes, &ground)?;
        Ok(Arc::new_cyclic(|me| Self {
            gate: Gate::new(settings.per_second, &settings.limits),
            proxy,
            me: Weak::clone(me),
            found: Found::default(),
            settings,
            ground,
            stopping: watch::Sender::new(false),
        }))
    }

    /// The context in which the gateway asks for itself.
    fn own(&self, scope: Scope) -> Cx {
        let grants = self.ground.catalogue.grants(DefaultRole::Gateway);
        Cx::verified(scope, Caller::Service { name: "gateway" }, grants, &self.ground.ambient)
    }

    /// Whether it has been told to stop.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}
