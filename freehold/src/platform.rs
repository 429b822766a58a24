//! The composition: engines, contexts, gateway, in one process. The only place that knows all of them.

use std::{fs::File, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use axum::{Router, response::IntoResponse, routing::get};
use columnar::ColumnarFacts;
use events::{Housekeeping, Log, Reactions, Services, Timers, operations::Operations};
use facts::Facts;
use gateway::{Gateway, Ground, Metrics};
use kernel::{Calls, Catalogue, Context, Cx, Problem, ProblemKind, Scope, TenantId, UserId, cx::Ambient};
use keys::{Keyring, Keys};
use mesh::Registry;
use sqlite::{SqliteEngine, SqliteKeys};
use store::Store;
use tokio::net::TcpListener;

use crate::{backup, config::Config, domains, failure::Failure, mail};

/// All that runs.
struct Platform {
    contexts: Arc<Vec<Context>>,
    router: Router,
    gateway: Arc<Gateway>,
    metrics: Arc<Metrics>,
    engine: Arc<SqliteEngine>,
    store: Store,
    services: Services,
    calls: Calls,
    operations: Arc<Operations>,
    retention: Duration,
    /// Held while the process runs, so that no second one opens the same data.
    _lock: File,
}

/// What is kept outside the aggregate store.
struct Remains {
    log: Arc<SqliteEngine>,
    facts: Arc<ColumnarFacts>,
}

#[async_trait]
impl tenants::Remains for Remains {
    fn parts(&self) -> &[&'static str] {
        &["log", "facts"]
    }

    async fn erase(&self, part: &str, scope: Scope) -> Result<(), Problem> {
        match part {
            "log" => Log::erase(self.log.as_ref(), scope).await.map_err(Problem::internal),
            "facts" => self.facts.erase(scope).await.map_err(Problem::internal),
            unknown => Err(Problem::internal(format!("nothing is kept in {unknown}"))),
        }
    }
}

pub(crate) fn lock(config: &Config) -> Result<File> {
    let folder = config.data.display();
    std::fs::create_dir_all(&config.data).with_context(|| format!("cannot create the data folder {folder}"))?;
    let file = File::create(config.data.join("lock")).with_context(|| format!("cannot write to {folder}"))?;
    if file.try_lock().is_err() {
        return Err(anyhow::Error::new(Failure::InUse)
            .context(format!("another process uses {folder}: stop it, or choose another folder with --data")));
    }
    Ok(file)
}

fn contexts(
    store: &Store,
    calls: &Calls,
    catalogue: &Arc<Catalogue>,
    config: &Config,
    remains: &Arc<Remains>,
    services: &Services,
) -> Result<Vec<Context>> {
    let of_tenants = tenants::Settings {
        scheme: config.scheme.clone(),
        host: config.host.clone(),
        port: config.port(),
        trial_days: config.tenants.trial_days,
    };
    let ports =
        tenants::Ports { remains: remains.clone(), control: Arc::new(domains::Challenger::new(&config.tenants)) };
    let settings = identity::Settings {
        scheme: config.scheme.clone(),
        host: config.host.clone(),
        port: config.port(),
        // One processor is left to all other work.
        hashing: std::thread::available_parallelism().map_or(1, |all| all.get().saturating_sub(1).max(1)),
    };
    let site = notifications::Site {
        scheme: config.scheme.clone(),
        host: config.host.clone(),
        port: config.port(),
        reach: if config.private_targets { notifications::Reach::Anywhere } else { notifications::Reach::Public },
    };
    let users_settings = users::Settings { own_grace: config.erasure_grace() };
    let clock = Ambient::system().clock;
    Ok(vec![
        tenants::context(store.clone(), services.clone(), ports, of_tenants),
        identity::context(store.clone(), calls.clone(), Arc::clone(catalogue), settings, {
            let services = services.clone();
            move || services.cx("identity", Scope::Platform)
        }),
        users::context(store.clone(), calls.clone(), users_settings),
        notifications::context(store.clone(), calls.clone(), mail::carrier(config)?, site, clock),
        analytics::context(store.clone(), calls.clone(), remains.facts.clone()),
        console::context(calls.clone()),
    ])
}

fn catalogue() -> Arc<Catalogue> {
    let all = [
        tenants::PERMISSIONS,
        identity::PERMISSIONS,
        users::PERMISSIONS,
        notifications::PERMISSIONS,
        analytics::PERMISSIONS,
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
    fn open(config: &Config) -> Result<Self> {
        let lock = lock(config)?;
        let ambient = Ambient::system();
        let keyring = Keyring::open(&config.data.join("keyring"), ambient.entropy.as_ref());
        let keyring = keyring.map_err(|error| {
            let what = format!(
                "{}: {error}; put back the file from the backup of the keys",
                config.data.join("keyring").display()
            );
            anyhow::Error::new(Failure::Keys).context(what)
        })?;
        let wrapped = SqliteKeys::open(&config.data.join("keys.sqlite"));
        let wrapped =
            wrapped.map_err(|error| anyhow::Error::new(Failure::Keys).context(format!("keys.sqlite: {error}")))?;
        let keys = Keys::new(keyring, Arc::new(wrapped), Arc::clone(&ambient.entropy));
        let engine = SqliteEngine::open(&config.data.join("store.sqlite"));
        let engine = Arc::new(engine.map_err(|error| match error {
            store::StoreError::Corrupt(_) => anyhow::Error::new(Failure::Data).context(error.to_string()),
            other => anyhow::Error::new(other).context("the store"),
        })?);
        let facts = Arc::new(ColumnarFacts::open(&config.data).context("the facts")?);
        let store = Store::new(engine.clone(), keys);
        let (registry, catalogue) = (Registry::new(), catalogue());
        let calls = registry.calls();
        let services = Services::new(Arc::clone(&catalogue), ambient.clone());
        let remains = Arc::new(Remains { log: engine.clone(), facts });
        let mut contexts = contexts(&store, &calls, &catalogue, config, &remains, &services)?;
        let operations = Operations::new(store.clone(), engine.clone());
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
            ambient,
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
        let contexts = Arc::new(contexts);
        Ok(Self {
            contexts,
            router,
            gateway,
            metrics,
            engine,
            store,
            services,
            calls,
            operations,
            retention,
            _lock: lock,
        })
    }

    /// Reactions, timers and housekeeping; they end when the process does.
    async fn follow(&self) -> Result<()> {
        let (keys, services) = (self.store.keys(), &self.services);
        let timers = Arc::new(Timers::new(Arc::clone(&self.contexts), self.engine.clone(), services.clone()));
        self.operations.begin(&self.contexts, Arc::clone(&timers), keys, services).await?;
        for context in self.contexts.iter().filter(|context| !context.reactions.is_empty()) {
            let appended = self.engine.appended();
            let reactions = Reactions::of(context, self.engine.clone(), keys.clone(), services.clone(), appended);
            tokio::spawn(reactions.follow());
        }
        tokio::spawn(async move { timers.follow().await });
        tokio::spawn(Arc::clone(&self.gateway).follow());
        let (upkeep, log) = (self.engine.clone(), self.engine.clone());
        tokio::spawn(Housekeeping::new(upkeep, log, services.clone(), self.retention).follow());
        Ok(())
    }

    /// What was erased since a backup is erased again once that backup was restored, before anyone is let in.
    async fn erase_again(&self, config: &Config) -> Result<()> {
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

    async fn greet(&self, config: &Config) -> Result<()> {
        let names: Vec<_> = self.contexts.iter().map(|context| context.name).collect();
        println!("freehold {} listens on http://{}", env!("CARGO_PKG_VERSION"), config.listen);
        println!("  contexts   {}", names.join(", "));
        println!("  data       {}", config.data.display());
        println!("  address    {}  (tenants: <subdomain>.{})", config.origin(), config.host);
        match &config.smtp.host {
            Some(host) => println!("  mail       {host}:{}", config.smtp.port),
            None => println!("  mail       shown here: no mail server is set (smtp.host)"),
        }
        let cx = self.services.cx("freehold", Scope::Platform);
        if !identity::is_claimed(&self.store, &cx).await? {
            println!("\nBecome the operator: {}/claim?token={}", config.origin(), identity::claim_token(&self.store));
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

/// Serves what is counted to whoever asks, at an address that is not for the open network.
async fn serve_metrics(at: std::net::SocketAddr, metrics: Arc<Metrics>) -> Result<()> {
    let listener = TcpListener::bind(at).await.with_context(|| format!("cannot listen on {at} (metrics_listen)"))?;
    let text = move || {
        let text = metrics.text();
        async move { ([(http::header::CONTENT_TYPE, "text/plain; version=0.0.4")], text) }
    };
    let router = Router::new().route("/metrics", get(text));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

async fn told_to_stop() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::error!(%error, "SIGTERM cannot be heard");
            return;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

async fn serve(config: Config) -> Result<ExitCode> {
    telemetry::logs(&config.log, config.log_json);
    // The port first: a second process says so before it looks at the data.
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.map_err(|error| {
        let what = format!("cannot listen on {} ({error}): choose another with --listen", config.listen);
        anyhow::Error::new(Failure::Address).context(what)
    })?;
    let platform = Platform::open(&config)?;
    // First: nothing that was erased is reacted to, or fires, or is shown once more.
    platform.erase_again(&config).await?;
    platform.follow().await?;
    platform.greet(&config).await?;
    if let Some(at) = config.metrics_listen {
        serve_metrics(at, Arc::clone(&platform.metrics)).await?;
    }
    let stop = async {
        told_to_stop().await;
        println!("stopping");
    };
    if !gateway::serve(&platform.gateway, listener, &platform.router, stop).await {
        tracing::warn!("requests that still ran were cut off");
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs until it is told to stop.
pub(crate) fn run(config: Config) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(config));
    runtime.shutdown_timeout(Duration::from_millis(500));
    outcome
}

/// Opens an installation that keeps nothing, and prints what `tell` says of it.
pub(crate) fn print(mut config: Config, tell: impl Fn(&[Context]) -> serde_json::Value) -> Result<ExitCode> {
    let folder = std::env::temp_dir().join(format!("freehold-told-{}", std::process::id()));
    config.data.clone_from(&folder);
    let platform = Platform::open(&config);
    let printed = platform.map(|platform| println!("{:#}", tell(&platform.contexts)));
    drop(std::fs::remove_dir_all(folder));
    printed.map(|()| ExitCode::SUCCESS)
}
