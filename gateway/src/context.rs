//! What can be asked of the gateway itself.

use std::sync::Arc;

use http::{Method, Response, header};
use kernel::{
    Catalogue, Condition::Always, Context, DefaultRole, Endpoint, Granted, Handle, List, Permission, PermissionDecl,
    Problem, Resource, ScopeKind, text::Key, use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Loaded, Page, Store};

use crate::{
    Identities, Metrics, OwnPaths, Route,
    origins::AllowedOrigins,
    proxy::{ProxyRoute, RouteView},
};

const ROUTES: Permission = Permission::new("gateway.route.update");
const ROUTES_READ: Permission = Permission::new("gateway.route.read");
const KEYS: Permission = Permission::new("gateway.key.read");
const METRICS: Permission = Permission::new("gateway.metrics.read");
const ORIGINS: Permission = Permission::new("gateway.origin.update");
const ORIGINS_READ: Permission = Permission::new("gateway.origin.read");

/// What this context declares.
pub const PERMISSIONS: &[PermissionDecl] = &[
    PermissionDecl {
        permission: METRICS,
        meaning: "read what the edge counts",
        held_by: &[(DefaultRole::Operator, Always)],
    },
    PermissionDecl {
        permission: ROUTES,
        meaning: "say which requests go to which services, and who may make them",
        held_by: &[(DefaultRole::Operator, Always)],
    },
    PermissionDecl {
        permission: ROUTES_READ,
        meaning: "see which requests go to which services",
        held_by: &[(DefaultRole::Operator, Always), (DefaultRole::Gateway, Always)],
    },
    PermissionDecl {
        permission: KEYS,
        meaning: "read the keys that verify what upstreams are told",
        held_by: &[(DefaultRole::Visitor, Always), (DefaultRole::Operator, Always)],
    },
    PermissionDecl {
        permission: ORIGINS,
        meaning: "say which other sites' pages may ask",
        held_by: &[(DefaultRole::Admin, Always)],
    },
    PermissionDecl {
        permission: ORIGINS_READ,
        meaning: "see which other sites' pages may ask",
        held_by: &[(DefaultRole::Admin, Always), (DefaultRole::Gateway, Always)],
    },
];

/// What the context stands on.
pub struct Parts {
    /// Where routes and origins are kept.
    pub store: Store,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Which permissions there are.
    pub catalogue: Arc<Catalogue>,
    /// Signs what upstreams are told.
    pub identities: Arc<Identities>,
    /// Paths that are never proxied.
    pub own_paths: OwnPaths,
}

/// Puts a proxy route in force, or changes it; everywhere within a second.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutRoute {
    /// Its name, as metrics and logs have it.
    name: Key,
    /// What it is.
    route: Route,
}

/// Ends a proxy route.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteRoute {
    /// Which.
    name: Key,
}

/// A proxy route, whole.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadRoute {
    /// Which.
    pub(crate) name: Key,
}

/// The proxy routes that are stored. Those of the configuration stand there, and are stronger.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListRoutes {
    /// Go on after this cursor.
    pub(crate) after: Option<String>,
    /// At most so many, up to 200.
    #[schemars(range(min = 1, max = 200))]
    pub(crate) limit: Option<u32>,
}

use_case!(PutRoute => RouteView, "gateway.routes.put", Platform, ROUTES, |it| Resource::one("proxy_route", &it.name));
use_case!(DeleteRoute => RouteView, "gateway.routes.delete", Platform, ROUTES, |it| Resource::one("proxy_route", &it.name));
use_case!(ReadRoute => RouteView, "gateway.routes.read", Platform, ROUTES_READ, Tell);
use_case!(ListRoutes => List<RouteView>, "gateway.routes.list", Platform, ROUTES_READ, Tell);

fn view(it: Loaded<ProxyRoute>) -> RouteView {
    let version = it.version();
    let ProxyRoute { name, route } = it.into_inner();
    RouteView { name, version, route }
}

impl Handle<PutRoute> for Parts {
    async fn handle(&self, it: PutRoute, cx: Granted<PutRoute>) -> Result<RouteView, Problem> {
        it.route.check(&self.catalogue)?;
        if self.own_paths.hold(&it.route.path) {
            let own = "paths that begin so are the platform's own, and never proxied";
            return Err(Problem::invalid_field("/route/path", own));
        }
        let store = self.store.at(&cx);
        if store.try_load::<ProxyRoute>(&it.name).await?.is_none() {
            return Ok(view(store.create(ProxyRoute { name: it.name, route: it.route }, ()).await?));
        }
        let rule = |known: &mut ProxyRoute| {
            known.route.clone_from(&it.route);
            Ok(())
        };
        Ok(view(store.change(&it.name, rule).await?))
    }
}

impl Handle<DeleteRoute> for Parts {
    async fn handle(&self, it: DeleteRoute, cx: Granted<DeleteRoute>) -> Result<RouteView, Problem> {
        let store = self.store.at(&cx);
        let found = store.load::<ProxyRoute>(&it.name).await?;
        store.delete(found.clone(), ()).await?;
        Ok(view(found))
    }
}

impl Handle<ReadRoute> for Parts {
    async fn handle(&self, it: ReadRoute, cx: Granted<ReadRoute>) -> Result<RouteView, Problem> {
        Ok(view(self.store.at(&cx).load::<ProxyRoute>(&it.name).await?))
    }
}

impl Handle<ListRoutes> for Parts {
    async fn handle(&self, it: ListRoutes, cx: Granted<ListRoutes>) -> Result<List<RouteView>, Problem> {
        let limit = usize::try_from(it.limit.unwrap_or(50)).unwrap_or(50);
        let page = Page { after: it.after, limit, newest_first: false };
        let listed = self.store.at(&cx).list::<ProxyRoute>("all", "", &page).await?;
        let items = listed.items.into_iter().map(|it| {
            let mut view = view(it);
            // A list of documents could be larger than any answer should be.
            view.route.document.iter_mut().for_each(|document| document.text.clear());
            view
        });
        Ok(List { items: items.collect(), next: listed.next })
    }
}

/// The origins of other sites whose pages may ask, with a token of their own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadOrigins {}

/// Says which other sites' pages may ask. They act with tokens; cookies are never taken from them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetOrigins {
    /// All of them from now on, such as `https://app.example.com`.
    #[schemars(length(max = 50))]
    origins: Vec<String>,
}

/// The origins as they stand.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct OriginsView {
    /// In the order in which they were named.
    pub(crate) origins: Vec<String>,
}

use_case!(ReadOrigins => OriginsView, "gateway.origins.read", Tenant, ORIGINS_READ, Tell);
use_case!(SetOrigins => OriginsView, "gateway.origins.set", Tenant, ORIGINS);

impl Handle<ReadOrigins> for Parts {
    async fn handle(&self, _: ReadOrigins, cx: Granted<ReadOrigins>) -> Result<OriginsView, Problem> {
        let found = self.store.at(&cx).try_load::<AllowedOrigins>(&AllowedOrigins::ID.to_owned()).await?;
        Ok(OriginsView { origins: found.map(|it| it.into_inner().origins).unwrap_or_default() })
    }
}

impl Handle<SetOrigins> for Parts {
    async fn handle(&self, it: SetOrigins, cx: Granted<SetOrigins>) -> Result<OriginsView, Problem> {
        let wanted = AllowedOrigins::parse(it.origins)?;
        let (store, id) = (self.store.at(&cx), AllowedOrigins::ID.to_owned());
        let stored = if store.try_load::<AllowedOrigins>(&id).await?.is_none() {
            store.create(wanted, ()).await?
        } else {
            let rule = |known: &mut AllowedOrigins| {
                known.clone_from(&wanted);
                Ok(())
            };
            store.change(&id, rule).await?
        };
        Ok(OriginsView { origins: stored.into_inner().origins })
    }
}

fn tells(
    (name, summary, produces): (&'static str, &'static str, &'static str),
    needs: Permission,
    text: impl Fn() -> String + Send + Sync + 'static,
) -> Endpoint {
    let serve = move |_, _| {
        let response = Response::builder().header(header::CONTENT_TYPE, produces).body(text().into());
        async move { response.map_err(Problem::internal) }
    };
    Endpoint::new(name, summary, ScopeKind::Platform, needs, serve).produces(produces)
}

/// The context, with its table.
pub fn context(parts: Parts) -> Context {
    let it = Arc::new(parts);
    let (counted, keys) = (Arc::clone(&it), it.identities.keys().to_string());
    let metrics = ("gateway.metrics.read", "What the edge counts, for Prometheus", "text/plain; version=0.0.4");
    let jwks = ("gateway.keys.read", "The keys that verify what upstreams are told", "application/jwk-set+json");
    Context::new("gateway", PERMISSIONS)
        .route::<ListRoutes, _>(Method::GET, "/v1/proxy-routes", &it)
        .route::<ReadRoute, _>(Method::GET, "/v1/proxy-routes/{name}", &it)
        .route::<PutRoute, _>(Method::PUT, "/v1/proxy-routes/{name}", &it)
        .route::<DeleteRoute, _>(Method::DELETE, "/v1/proxy-routes/{name}", &it)
        .route::<ReadOrigins, _>(Method::GET, "/v1/allowed-origins", &it)
        .route::<SetOrigins, _>(Method::PUT, "/v1/allowed-origins", &it)
        .endpoint(Method::GET, "/metrics", tells(metrics, METRICS, move || counted.metrics.text()))
        .endpoint(Method::GET, "/.well-known/freehold/jwks", tells(jwks, KEYS, move || keys.clone()))
}
