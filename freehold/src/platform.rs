//! The composition: contexts and gateway on the parts that they are given. The only place that knows all of them.

use std::{future::Future, net::IpAddr, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use async_trait::async_trait;
use axum::{Router, response::IntoResponse, routing::get};
use events::{Housekeeping, Log, Reactions, Relay, Services, Tail, Timers, operations::Operations};
use facts::Facts;
use gateway::{Gateway, Ground, Metrics};
use kernel::{Calls, Catalogue, Context, Cx, Problem, ProblemKind, Scope, TenantId, UserId};
use mesh::Registry;
use store::{Outbox, Store, Upkeep};
use tokio::{net::TcpListener, sync::Notify, task::JoinSet};

use secrecy::ExposeSecret as _;

use crate::{
    backup,
    config::{Config, address},
    parts::Parts,
};

/// All that runs.
pub struct Platform {
    contexts: Arc<Vec<Context>>,
    router: Router,
    gateway: Arc<Gateway>,
    metrics: Arc<Metrics>,
    upkeep: Arc<dyn Upkeep>,
    log: Arc<dyn Log>,
    outbox: Arc<dyn Outbox>,
    waiting: Arc<Notify>,
    appended: Arc<Notify>,
    store: Store,
    services: Services,
    calls: Calls,
    operations: Arc<Operations>,
    noticed: Arc<audit::Noticed>,
    retention: Duration,
}

/// Reactions, timers and housekeeping under way; they end when this is dropped.
#[must_use]
pub struct Following {
    _tasks: JoinSet<()>,
}

/// What is kept outside the aggregate store.
struct Remains {
    homes: Arc<dyn tenants::Homes>,
    log: Arc<dyn Log>,
    facts: Arc<dyn Facts>,
}

#[async_trait]
impl tenants::Remains for Remains {
    fn parts(&self) -> &[&'static str] {
        &["file", "log", "facts"]
    }

    async fn erase(&self, part: &str, scope: Scope) -> Result<(), Problem> {
        match part {
            "file" => self.homes.close(scope).await,
            "log" => self.log.erase(scope).await.map_err(Problem::internal),
            "facts" => self.facts.erase(scope).await.map_err(Problem::internal),
            unknown => Err(Problem::internal(format!("nothing is kept in {unknown}"))),
        }
    }
}

fn contexts(
    parts: &Parts,
    store: &Store,
    calls: &Calls,
    catalogue: &Arc<Catalogue>,
    services: &Services,
    config: &Config,
) -> Vec<Context> {
    let of_tenants = tenants::Settings {
        scheme: config.scheme.clone(),
        host: config.host.clone(),
        port: config.port(),
        trial_days: config.tenants.trial_days,
        isolation: config.tenants.isolation,
    };
    let (homes, log, facts) = (Arc::clone(&parts.homes), Arc::clone(&parts.log), Arc::clone(&parts.facts));
    let remains = Arc::new(Remains { homes: Arc::clone(&homes), log, facts });
    let ports = tenants::Ports { remains, control: Arc::clone(&parts.control), homes };
    let settings = identity::Settings {
        scheme: config.scheme.clone(),
        host: config.host.clone(),
        port: config.port(),
        hashing: parts.hashing,
    };
    let site = notifications::Site {
        scheme: config.scheme.clone(),
        host: config.host.clone(),
        port: config.port(),
        reach: if config.private_targets { notifications::Reach::Anywhere } else { notifications::Reach::Public },
    };
    let users_settings = users::Settings { own_grace: config.erasure_grace() };
    let (mail, clock) = (Arc::clone(&parts.mail), Arc::clone(&parts.ambient.clock));
    vec![
        tenants::context(store.clone(), services.clone(), ports, of_tenants),
        identity::context(store.clone(), calls.clone(), Arc::clone(catalogue), settings, {
            let services = services.clone();
            move || services.cx("identity", Scope::Platform)
        }),
        users::context(store.clone(), calls.clone(), users_settings),
        notifications::context(store.clone(), calls.clone(), mail, site, clock),
        analytics::context(store.clone(), calls.clone(), Arc::clone(&parts.facts)),
        billing::context(
            store.clone(),
            calls.clone(),
            services.clone(),
            Arc::new(billing::RateTable::new(store.clone())),
            billing::Means { gateways: parts.gateways.clone(), origin: config.origin() },
        ),
        audit::context(store.clone(), calls.clone()),
        console::context(calls.clone()),
    ]
}

fn catalogue() -> Arc<Catalogue> {
    let all = [
        tenants::PERMISSIONS,
        identity::PERMISSIONS,
        users::PERMISSIONS,
        notifications::PERMISSIONS,
        analytics::PERMISSIONS,
        billing::PERMISSIONS,
        audit::PERMISSIONS,
        events::operations::PERMISSIONS,
        console::PERMISSIONS,
        gateway::PERMISSIONS,
    ];
    Arc::new(Catalogue::new(all.into_iter().flatten().copied()))
}

/// A permission that the catalogue does not know could be held by nobody.
fn all_declared(contexts: &[Context], catalogue: &Catalogue) -> Result<()> {
    let declared = |name: &str| catalogue.declarations().iter().any(|it| it.permission.name() == name);
    let needed = contexts.iter().flat_map(|context| {
        let routed = context.routes.iter().map(|route| route.target.needs());
        routed.chain(context.internal.iter().map(|operation| operation.needs))
    });
    match needed.map(kernel::Permission::name).find(|name| !declared(name)) {
        Some(missing) => bail!("the permission {missing} is needed and not declared"),
        None => Ok(()),
    }
}

impl Platform {
    /// Puts it together from its parts.
    pub fn compose(mut parts: Parts, config: &Config) -> Result<Self> {
        let store = Store::new(Arc::clone(&parts.engine), parts.keys.clone());
        let noticed: Arc<audit::Noticed> = Arc::default();
        parts.ambient.notices = noticed.clone();
        let (registry, catalogue) = (Registry::new(), catalogue());
        let calls = registry.calls();
        let services = Services::new(Arc::clone(&catalogue), parts.ambient.clone());
        let mut contexts = contexts(&parts, &store, &calls, &catalogue, &services, config);
        let operations = Operations::new(store.clone(), Arc::clone(&parts.log), Arc::clone(&parts.appended));
        contexts.push(operations.context());
        let metrics = Arc::new(Metrics::default());
        let own_paths = gateway::OwnPaths::default();
        let seed = store.keys().derived("gateway/identity");
        let identities = Arc::new(gateway::Identities::new(&seed, config.origin())?);
        contexts.push(gateway::context(gateway::Parts {
            store: store.clone(),
            metrics: Arc::clone(&metrics),
            catalogue: Arc::clone(&catalogue),
            identities: Arc::clone(&identities),
            own_paths: own_paths.clone(),
        }));
        own_paths.learn(&contexts);
        all_declared(&contexts, &catalogue)?;
        registry.mount(&contexts);
        let ground = Ground {
            calls: calls.clone(),
            catalogue,
            ambient: parts.ambient,
            identities,
            own_paths,
            allowances: Arc::new(gateway::Even),
            metrics: Arc::clone(&metrics),
        };
        let gateway = Gateway::new(edge_settings(config), ground)?;
        let edge: Arc<dyn web::Edge> = gateway.clone();
        let reference = web::reference(&web::document(&contexts, env!("CARGO_PKG_VERSION")));
        let front_edge = Arc::clone(&edge);
        let front = move |request: axum::extract::Request| front(Arc::clone(&front_edge), request);
        let router = web::router(&contexts, &edge, store.clone())?
            .merge(reference)
            .route("/livez", get(|| async { "alive" }))
            .route("/", get(front));
        let router = with_readiness(router, &gateway, &store, &services);
        let retention = Duration::from_hours(24 * u64::from(config.event_days));
        Ok(Self {
            contexts: Arc::new(contexts),
            router,
            gateway,
            metrics,
            upkeep: parts.upkeep,
            log: parts.log,
            outbox: parts.outbox,
            waiting: parts.waiting,
            appended: parts.appended,
            store,
            services,
            calls,
            operations,
            noticed,
            retention,
        })
    }

    /// Begins to react, to act on timers and to keep house.
    pub async fn follow(&self) -> Result<Following> {
        let (keys, services) = (self.store.keys(), &self.services);
        let timers = Arc::new(Timers::new(Arc::clone(&self.contexts), Arc::clone(&self.upkeep), services.clone()));
        let (outbox, log, appended) = (Arc::clone(&self.outbox), Arc::clone(&self.log), Arc::clone(&self.appended));
        let holder = services.cx("relay", Scope::Platform).trace().to_string();
        let relay = Arc::new(Relay::new(outbox, log, holder, appended));
        let ways = (Arc::clone(&timers), Arc::clone(&relay));
        self.operations.begin(&self.contexts, ways, keys, services).await?;
        let (mut tasks, waiting) = (JoinSet::new(), Arc::clone(&self.waiting));
        tasks.spawn(async move { relay.follow(&waiting).await });
        let tail = Tail::of(Arc::clone(&self.log));
        for context in self.contexts.iter().filter(|context| !context.reactions.is_empty()) {
            let (tail, appended) = (tail.clone(), Arc::clone(&self.appended));
            tasks.spawn(Reactions::of(context, tail, keys.clone(), services.clone(), appended).follow());
        }
        let (log, appended) = (Arc::clone(&self.log), Arc::clone(&self.appended));
        let (store, noticed) = (self.store.clone(), Arc::clone(&self.noticed));
        tasks.spawn(audit::Sequencer::new(store, log, services.clone(), appended, noticed).follow());
        tasks.spawn(async move { timers.follow().await });
        tasks.spawn(Arc::clone(&self.gateway).follow());
        let (upkeep, log) = (Arc::clone(&self.upkeep), Arc::clone(&self.log));
        tasks.spawn(Housekeeping::new(upkeep, log, services.clone(), self.retention).follow());
        Ok(Following { _tasks: tasks })
    }

    /// Answers one request of a visitor at an address, as if it had come over a connection.
    pub async fn answer(&self, visitor: IpAddr, request: web::Request) -> web::Response {
        self.gateway.pass(visitor, request, &self.router).await
    }

    /// Serves connections until `stop`. Tells whether all requests had ended by then.
    pub(crate) async fn serve(&self, listener: TcpListener, stop: impl Future<Output = ()>) -> bool {
        gateway::serve(&self.gateway, listener, &self.router, stop).await
    }

    /// The token of the link by which it is claimed, while nobody operates it.
    pub fn claim_token(&self) -> String {
        identity::claim_token(&self.store)
    }

    pub(crate) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    pub(crate) fn contexts(&self) -> &[Context] {
        &self.contexts
    }

    /// What was erased since a backup is erased again once that backup was restored, before anyone is let in.
    pub(crate) async fn erase_again(&self, config: &Config) -> Result<()> {
        let cx = self.services.cx("restore", Scope::Platform);
        let backup::ToErase { tenants, people } = backup::to_erase(config)?;
        for tenant in tenants {
            match self.calls.ask("tenants.erase", serde_json::json!({ "tenant": tenant }), &cx).await {
                Ok(_) => tracing::info!(%tenant, "erased again, as it was after the backup that was restored"),
                // Erased in the backup already, or younger than it.
                Err(known) if known.code() == "tenants.erased" || known.kind() == ProblemKind::NotFound => {}
                Err(problem) => bail!("the tenant {tenant} cannot be erased again: {problem:?}"),
            }
        }
        for (tenant, user) in people {
            self.erase_person_again(tenant, user, &cx).await?;
        }
        backup::erased_again(config)
    }

    /// Begins the erasure of a person anew, if their tenant is there; the saga does the rest, their seat included.
    async fn erase_person_again(&self, tenant: TenantId, user: UserId, cx: &Cx) -> Result<()> {
        let gone = |problem: &Problem| matches!(problem.kind(), ProblemKind::NotFound | ProblemKind::Gone);
        match self.calls.ask("tenants.resolve", serde_json::json!({ "name": tenant }), cx).await {
            Ok(_) => {}
            // Younger than the backup.
            Err(problem) if gone(&problem) => return Ok(()),
            Err(problem) => bail!("the tenant {tenant} cannot be read: {problem:?}"),
        }
        let asked = serde_json::json!({ "user": user });
        match self.calls.ask("users.erase_again", asked, &cx.within(tenant)?).await {
            Ok(_) => tracing::info!(%tenant, %user, "erased again, as it was after the backup that was restored"),
            Err(problem) if gone(&problem) => {}
            Err(problem) => bail!("{user} of the tenant {tenant} cannot be erased again: {problem:?}"),
        }
        Ok(())
    }

    pub(crate) async fn greet(&self, config: &Config) -> Result<()> {
        let names: Vec<_> = self.contexts.iter().map(|context| context.name).collect();
        println!("freehold {} listens on http://{}", env!("CARGO_PKG_VERSION"), config.listen);
        println!("  contexts   {}", names.join(", "));
        println!("  data       {}", config.data.display());
        if let Some(url) = &config.store {
            println!("  store      {}", address(url.expose_secret()));
        }
        println!("  address    {}  (tenants: <subdomain>.{})", config.origin(), config.host);
        match &config.smtp.host {
            Some(host) => println!("  mail       {host}:{}", config.smtp.port),
            None => println!("  mail       shown here: no mail server is set (smtp.host)"),
        }
        let cx = self.services.cx("freehold", Scope::Platform);
        if !identity::is_claimed(&self.store, &cx).await? {
            println!("\nBecome the operator: {}/claim?token={}", config.origin(), self.claim_token());
        }
        println!("ready");
        Ok(())
    }
}

/// Where people begin: the page of whoever they are.
async fn front(edge: Arc<dyn web::Edge>, request: axum::extract::Request) -> axum::response::Response {
    match edge.admit(&request.into_parts().0).await {
        Ok(cx) if cx.scope() == Scope::Platform => axum::response::Redirect::to("/operator").into_response(),
        Ok(_) => axum::response::Redirect::to("/home").into_response(),
        Err(problem) => web::problem_response(&problem, None),
    }
}

/// `/readyz`: whether requests can be served, and if not, why.
fn with_readiness(router: Router, gateway: &Arc<Gateway>, store: &Store, services: &Services) -> Router {
    let (gateway, store, services) = (Arc::clone(gateway), store.clone(), services.clone());
    let ready = move || {
        let (gateway, store, services) = (Arc::clone(&gateway), store.clone(), services.clone());
        async move {
            let mut reasons = Vec::new();
            if gateway.is_stopping() {
                reasons.push("it stops");
            }
            if identity::is_claimed(&store, &services.cx("readiness", Scope::Platform)).await.is_err() {
                reasons.push("the store does not answer");
            }
            let status = if reasons.is_empty() { http::StatusCode::OK } else { http::StatusCode::SERVICE_UNAVAILABLE };
            let answer = serde_json::json!({ "ready": reasons.is_empty(), "reasons": reasons }).to_string();
            (status, [(http::header::CONTENT_TYPE, "application/json")], answer).into_response()
        }
    };
    router.route("/readyz", get(ready))
}

fn edge_settings(config: &Config) -> gateway::Settings {
    gateway::Settings {
        host: config.host.clone(),
        scheme: config.scheme.clone(),
        per_second: config.rate,
        limits: config.limits,
        proxies: gateway::Proxies { trusted: config.trusted_proxies.clone(), header: config.forwarded_header },
        http: config.http.clone(),
        routes: config.routes.clone(),
    }
}
