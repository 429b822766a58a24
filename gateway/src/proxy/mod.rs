//! The start-up's own services behind the gateway.

mod fields;
mod forward;
mod identity;
mod upgrade;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
    time::Duration,
};

use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kernel::{Context, Problem, Scope, text::Key};
use routes::{
    route,
    table::{Compiled, Table},
    upstream::Servers,
};
use web::Body;

pub(crate) use fields::wants_websocket;
pub use identity::Identities;
pub use routes::route::{Access, Credentials, Document, Identity, Mode, Route, Upstream};
pub(crate) use routes::route::{ProxyRoute, RouteView};

use crate::{
    Gateway, Ground,
    context::{ListRoutes, ReadRoute},
};

/// How often is looked whether the stored routes have changed.
const LOOKS: Duration = Duration::from_millis(500);

/// The first parts of paths that are the platform's own: nothing below them is ever proxied.
#[derive(Clone, Default)]
pub struct OwnPaths(Arc<OnceLock<BTreeSet<String>>>);

impl OwnPaths {
    /// Learns them from the tables of all contexts. Only the first call counts.
    pub fn learn(&self, contexts: &[Context]) {
        let routed = contexts.iter().flat_map(|context| &context.routes).map(|route| route.path);
        let firsts = routed.filter_map(|path| route::segments(path).next()).map(str::to_owned);
        let beside = ["livez", "readyz", "openapi.json"].map(str::to_owned);
        drop(self.0.set(firsts.chain(beside).collect()));
    }

    pub(crate) fn hold(&self, path: &str) -> bool {
        let first = route::segments(path).next();
        first.is_some_and(|first| self.0.get().is_none_or(|own| own.contains(first)))
    }
}

/// Routes in force, and the connections below them.
pub(crate) struct Proxy {
    table: Table,
    servers: Servers,
    configured: BTreeMap<String, Arc<Compiled>>,
    client: Client<HttpsConnector<HttpConnector>, Body>,
}

impl Proxy {
    pub(crate) fn new(routes: &BTreeMap<Key, Route>, ground: &Ground) -> Result<Self, Problem> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(Duration::from_secs(3)));
        let https = hyper_rustls::HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(256)
            .set_host(false)
            .build(https.wrap_connector(http));
        let servers = Servers::default();
        let compiled = |(name, route): (&Key, &Route)| {
            let compiled = Compiled::of(name, 0, route.clone(), &ground.catalogue, &servers)?;
            Ok::<_, Problem>((name.to_string(), Arc::new(compiled)))
        };
        let configured: BTreeMap<_, _> = routes.iter().map(compiled).collect::<Result<_, _>>()?;
        let table = Table::default();
        table.replace(configured.clone());
        Ok(Self { table, servers, configured, client })
    }
}

impl Gateway {
    /// Keeps the stored routes in force; ends with the process. A change is in force within a second.
    pub async fn follow(self: Arc<Self>) {
        let mut stopping = self.stopping.subscribe();
        loop {
            if let Err(problem) = self.refresh().await {
                tracing::warn!(?problem, "the proxy routes cannot be read: those that are known stay in force");
            }
            tokio::select! {
                () = tokio::time::sleep(LOOKS) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    async fn refresh(&self) -> Result<(), Problem> {
        let (cx, mut after, mut wanted) = (self.own(Scope::Platform), None, BTreeMap::new());
        loop {
            let part = self.ground.calls.call(ListRoutes { after, limit: Some(200) }, &cx).await?;
            for listed in part.items {
                let name = listed.name.to_string();
                if let Some(standing) = self.proxy.table.standing(&name, listed.version) {
                    wanted.insert(name, standing);
                    continue;
                }
                let whole = self.ground.calls.call(ReadRoute { name: listed.name.clone() }, &cx).await?;
                let (catalogue, servers) = (&self.ground.catalogue, &self.proxy.servers);
                match Compiled::of(&whole.name, whole.version, whole.route, catalogue, servers) {
                    Ok(compiled) => drop(wanted.insert(name, Arc::new(compiled))),
                    Err(problem) => tracing::error!(name, ?problem, "a proxy route cannot be put in force"),
                }
            }
            after = part.next;
            if after.is_none() {
                break;
            }
        }
        // What the configuration names is the operator's last word.
        wanted.extend(self.proxy.configured.clone());
        self.proxy.table.replace(wanted);
        Ok(())
    }
}
