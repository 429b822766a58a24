//! The routes in force, ready to be matched.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use http::{HeaderName, Method, request::Parts};
use kernel::{Catalogue, Permission, Problem, ScopeKind, text::Key};

use crate::{
    route::{Access, Route, segments},
    upstream::{Budget, Server, Servers},
    validate::Checks,
};

/// A version of a service, with its servers.
pub struct Target {
    /// How the version is called.
    pub name: String,
    /// The servers that it runs on.
    pub servers: Vec<Arc<Server>>,
    weight: u32,
}

/// A route, compiled.
pub struct Compiled {
    /// As metrics and logs call it.
    pub operation: Arc<str>,
    /// As it was set.
    pub route: Route,
    /// The permission that it takes.
    pub needs: Option<Permission>,
    /// The permissions that its upstreams are told of.
    pub tells: Vec<Permission>,
    pub(crate) targets: Vec<Target>,
    /// How many more tries its requests may make.
    pub budget: Budget,
    /// What is checked of a request.
    pub checks: Option<Checks>,
    segments: Vec<Option<String>>,
    methods: Vec<Method>,
    headers: Vec<(HeaderName, String)>,
    version: u64,
}

impl Compiled {
    /// Checks a route, and makes it ready.
    pub fn of(
        name: &Key,
        version: u64,
        route: Route,
        catalogue: &Catalogue,
        servers: &Servers,
    ) -> Result<Self, Problem> {
        route.check(catalogue)?;
        let declared = |name: &Key| {
            let found = catalogue.declarations().iter().find(|it| it.permission.name() == name.as_str());
            found.map(|it| it.permission).ok_or_else(|| Problem::not_found("permission"))
        };
        let target = |it: &crate::route::Upstream| {
            let servers: Option<Vec<_>> = it.servers.iter().map(|it| servers.at(it.trim_end_matches('/'))).collect();
            let servers = servers.ok_or_else(|| Problem::not_found("server"))?;
            Ok::<_, Problem>(Target { name: it.name.to_string(), servers, weight: it.weight })
        };
        let header = |(name, value): (&String, &String)| Some((name.parse().ok()?, value.clone()));
        Ok(Self {
            operation: format!("proxy.{name}").into(),
            needs: match &route.access {
                Access::Permission(name) => Some(declared(name)?),
                Access::Anyone | Access::SignedIn => None,
            },
            tells: route.permissions.iter().map(declared).collect::<Result<_, _>>()?,
            targets: route.upstreams.iter().map(target).collect::<Result<_, _>>()?,
            budget: Budget::default(),
            checks: route.document.as_ref().and_then(|it| Checks::of(&it.text).ok()),
            segments: segments(&route.path).map(|it| (!it.starts_with('{')).then(|| it.to_owned())).collect(),
            methods: route.methods.iter().filter_map(|it| it.parse().ok()).collect(),
            headers: route.headers.iter().filter_map(header).collect(),
            version,
            route,
        })
    }

    /// What comes after the matched beginning, if the path begins so.
    fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut rest = path;
        for wanted in &self.segments {
            let after = rest.strip_prefix('/')?;
            let end = after.find('/').unwrap_or(after.len());
            let (segment, after) = after.split_at(end);
            if segment.is_empty() || wanted.as_ref().is_some_and(|wanted| wanted != segment) {
                return None;
            }
            rest = after;
        }
        Some(rest)
    }

    fn takes(&self, path: &str, host: &str, parts: &Parts) -> bool {
        let header = |(name, value): &(HeaderName, String)| {
            parts.headers.get_all(name).iter().any(|sent| sent.as_bytes() == value.as_bytes())
        };
        self.rest(path).is_some()
            && (self.methods.is_empty() || self.methods.contains(&parts.method))
            && self.route.host.as_ref().is_none_or(|wanted| wanted == host)
            && self.headers.iter().all(header)
    }

    /// The path that the upstream sees.
    pub fn rewritten(&self, path: &str) -> String {
        let Some(rewrite) = &self.route.rewrite else { return path.to_owned() };
        let rest = self.rest(path).unwrap_or_default();
        let whole = format!("{}{rest}", rewrite.trim_end_matches('/'));
        if whole.is_empty() { "/".to_owned() } else { whole }
    }

    /// The version for a caller: always the same while the weights stay, and by their proportion over all callers.
    pub fn target(&self, caller: &str) -> Option<&Target> {
        if let [only] = self.targets.as_slice() {
            return Some(only);
        }
        let total: u64 = self.targets.iter().map(|it| u64::from(it.weight)).sum();
        let digest = ring::digest::digest(&ring::digest::SHA256, format!("{}\n{caller}", self.operation).as_bytes());
        let number = digest.as_ref().iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        let mut place = number % total.max(1);
        self.targets.iter().find(|it| {
            let here = place < u64::from(it.weight);
            place = place.saturating_sub(u64::from(it.weight));
            here
        })
    }
}

/// All routes in force. Read on each request, replaced as a whole.
#[derive(Default)]
pub struct Table {
    routes: RwLock<Arc<Vec<Arc<Compiled>>>>,
    by_name: RwLock<BTreeMap<String, Arc<Compiled>>>,
}

impl Table {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.routes.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The route of a request for each kind of scope: who it is for is found out only if there is one at all.
    pub fn find(&self, path: &str, host: &str, parts: &Parts) -> [Option<Arc<Compiled>>; 2] {
        let routes = Arc::clone(&self.routes.read().unwrap_or_else(PoisonError::into_inner));
        [ScopeKind::Platform, ScopeKind::Tenant].map(|scope| {
            let fits = |it: &&Arc<Compiled>| it.route.scope == scope && it.takes(path, host, parts);
            routes.iter().find(fits).cloned()
        })
    }

    /// The route of a name, if it is in force in this version.
    pub fn standing(&self, name: &str, version: u64) -> Option<Arc<Compiled>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.get(name).filter(|it| it.version == version).cloned()
    }

    /// Puts these in force, the narrowest first.
    pub fn replace(&self, by_name: BTreeMap<String, Arc<Compiled>>) {
        let mut routes: Vec<_> = by_name.values().cloned().collect();
        routes.sort_by_key(|it| std::cmp::Reverse(it.route.rank()));
        *self.by_name.write().unwrap_or_else(PoisonError::into_inner) = by_name;
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(routes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::tests::route;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn compiled(name: &str, fields: &Value) -> Arc<Compiled> {
        let servers = Servers::default();
        Arc::new(Compiled::of(&name.parse().unwrap(), 1, route(fields), &Catalogue::default(), &servers).unwrap())
    }

    fn found(table: &Table, path: &str, parts: &Parts) -> Option<String> {
        let [_, tenant] = table.find(path, "acme.test", parts);
        tenant.map(|it| it.operation.to_string())
    }

    #[test]
    fn the_narrowest_route_takes_a_request() {
        let table = Table::default();
        let routes = [
            ("all", json!({ "path": "/" })),
            ("shop", json!({ "path": "/shop" })),
            ("cart", json!({ "path": "/shop/{id}/cart", "rewrite": "/cart" })),
            ("writes", json!({ "path": "/shop", "methods": ["POST"] })),
            ("beta", json!({ "path": "/shop", "headers": { "x-beta": "1" }, "methods": ["GET"] })),
            ("other", json!({ "path": "/shop/deep/cart", "host": "globex.test" })),
            ("platform", json!({ "path": "/shop/7/cart", "scope": "platform" })),
        ];
        table.replace(routes.iter().map(|(name, it)| ((*name).to_owned(), compiled(name, it))).collect());
        let parts = |method: &str, beta: bool| {
            let builder = http::Request::builder().method(method);
            let builder = if beta { builder.header("x-beta", "1") } else { builder };
            builder.body(()).unwrap().into_parts().0
        };
        let get = parts("GET", false);
        for (path, wanted) in [
            ("/", "proxy.all"),
            ("/shops", "proxy.all"),
            ("/shop", "proxy.shop"),
            ("/shop/", "proxy.shop"),
            ("/shop/7/carts", "proxy.shop"),
            ("/shop/7/cart/items", "proxy.cart"),
            ("/shop/deep/cart", "proxy.cart"),
        ] {
            assert_eq!(found(&table, path, &get).as_deref(), Some(wanted), "{path}");
        }
        assert_eq!(found(&table, "/shop/x", &parts("POST", false)).as_deref(), Some("proxy.writes"));
        assert_eq!(found(&table, "/shop/x", &parts("GET", true)).as_deref(), Some("proxy.beta"));
    }

    #[test]
    fn a_path_is_rewritten_by_its_beginning() {
        let it = compiled("cart", &json!({ "path": "/shop/{id}", "rewrite": "/v2" }));
        assert_eq!(it.rewritten("/shop/7/cart"), "/v2/cart");
        assert_eq!(it.rewritten("/shop/7"), "/v2");
        let root = compiled("root", &json!({ "rewrite": "/" }));
        assert_eq!((root.rewritten("/shop"), root.rewritten("/shop/a/")), ("/".to_owned(), "/a/".to_owned()));
    }

    proptest! {
        #[test]
        fn a_caller_keeps_a_version_and_none_without_weight_is_taken(callers in prop::collection::vec("[a-z]{1,8}", 1..40)) {
            let it = compiled("canary", &json!({ "upstreams": [
                { "name": "old", "servers": ["http://a"], "weight": 0 },
                { "name": "now", "servers": ["http://b"], "weight": 90 },
                { "name": "next", "servers": ["http://c"], "weight": 10 },
            ] }));
            for caller in &callers {
                let first = &it.target(caller).unwrap().name;
                prop_assert_eq!(first, &it.target(caller).unwrap().name);
                prop_assert_ne!(first, "old");
            }
        }
    }

    #[test]
    fn weights_are_shares() {
        let it = compiled(
            "canary",
            &json!({ "upstreams": [
            { "name": "now", "servers": ["http://b"], "weight": 90 },
            { "name": "next", "servers": ["http://c"], "weight": 10 },
        ] }),
        );
        let next = (0..2_000).filter(|it_is| it.target(&it_is.to_string()).unwrap().name == "next").count();
        assert!((140..=260).contains(&next), "about a tenth: {next}");
    }
}
