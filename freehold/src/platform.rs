//! The composition: engines, contexts, gateway, in one process. The only place that knows all of them.

use std::{fs::File, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use axum::{Router, extract::ConnectInfo, routing::get};
use columnar::ColumnarFacts;
use events::{Housekeeping, Log, Reactions, Services, Timers, operations::Operations};
use facts::Facts;
use gateway::Gateway;
use kernel::{Calls, Catalogue, Context, Problem, Scope, cx::Ambient};
use keys::{Keyring, Keys};
use mesh::Registry;
use sqlite::{SqliteEngine, SqliteKeys};
use store::Store;
use tokio::{net::TcpListener, sync::Notify};

use crate::{backup, config::Config, mail};

/// How long requests that run may take to end once it is told to stop.
const DRAIN: Duration = Duration::from_secs(4);

/// All that runs.
struct Platform {
    contexts: Arc<Vec<Context>>,
    router: Router,
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
    async fn erase(&self, scope: Scope) -> Result<(), Problem> {
        Log::erase(self.log.as_ref(), scope).await.map_err(Problem::internal)?;
        self.facts.erase(scope).await.map_err(Problem::internal)
    }
}

pub(crate) fn lock(config: &Config) -> Result<File> {
    let folder = config.data.display();
    std::fs::create_dir_all(&config.data).with_context(|| format!("cannot create the data folder {folder}"))?;
    let file = File::create(config.data.join("lock")).with_context(|| format!("cannot write to {folder}"))?;
    if file.try_lock().is_err() {
        bail!("another process uses {folder}: stop it, or choose another folder with --data");
    }
    Ok(file)
}

fn contexts(
    store: &Store,
    calls: &Calls,
    catalogue: &Arc<Catalogue>,
    config: &Config,
    remains: &Arc<Remains>,
) -> Result<Vec<Context>> {
    let settings = identity::Settings {
        scheme: config.scheme.clone(),
        host: config.host.clone(),
        port: config.port(),
        hashing: std::thread::available_parallelism().map_or(2, usize::from),
    };
    Ok(vec![
        tenants::context(store.clone(), remains.clone()),
        identity::context(store.clone(), calls.clone(), Arc::clone(catalogue), settings),
        users::context(store.clone()),
        notifications::context(store.clone(), mail::channel(config)?),
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
        let keyring = Keyring::open(&config.data.join("keyring"), ambient.entropy.as_ref()).context("the keyring")?;
        let wrapped = SqliteKeys::open(&config.data.join("keys.sqlite")).context("the keys")?;
        let keys = Keys::new(keyring, Arc::new(wrapped), Arc::clone(&ambient.entropy));
        let engine = Arc::new(SqliteEngine::open(&config.data.join("store.sqlite")).context("the store")?);
        let facts = Arc::new(ColumnarFacts::open(&config.data).context("the facts")?);
        let store = Store::new(engine.clone(), keys);
        let (registry, catalogue) = (Registry::new(), catalogue());
        let calls = registry.calls();
        let mut contexts =
            contexts(&store, &calls, &catalogue, config, &Arc::new(Remains { log: engine.clone(), facts }))?;
        let operations = Operations::new(store.clone(), engine.clone());
        contexts.push(operations.context());
        all_declared(&contexts, &catalogue)?;
        registry.mount(&contexts);
        let settings = gateway::Settings { host: config.host.clone(), per_second: config.rate };
        let services = Services::new(Arc::clone(&catalogue), ambient.clone());
        let edge: Arc<dyn web::Edge> = Arc::new(Gateway::new(settings, calls.clone(), catalogue, ambient));
        let document = web::document(&contexts, env!("CARGO_PKG_VERSION")).to_string();
        let openapi = move || {
            let document = document.clone();
            async move { ([(http::header::CONTENT_TYPE, "application/json")], document) }
        };
        let front_edge = Arc::clone(&edge);
        let front = move |request: axum::extract::Request| front(Arc::clone(&front_edge), request);
        let router = web::router(&contexts, &edge, store.clone())?
            .route("/openapi.json", get(openapi))
            .route("/livez", get(|| async { "alive" }))
            .route("/", get(front))
            .layer(axum::middleware::map_request(with_peer));
        let retention = Duration::from_hours(24 * u64::from(config.event_days));
        let contexts = Arc::new(contexts);
        Ok(Self { contexts, router, engine, store, services, calls, operations, retention, _lock: lock })
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
        let (upkeep, log) = (self.engine.clone(), self.engine.clone());
        tokio::spawn(Housekeeping::new(upkeep, log, services.clone(), self.retention).follow());
        Ok(())
    }

    /// What was erased since a backup is erased again once that backup was restored, before anyone is let in.
    async fn erase_again(&self, config: &Config) -> Result<()> {
        let cx = self.services.cx("restore", Scope::Platform);
        for tenant in backup::scopes_to_erase(config)? {
            match self.calls.ask("tenants.erase", serde_json::json!({ "tenant": tenant }), &cx).await {
                Ok(_) => tracing::info!(%tenant, "erased again, as it was after the backup that was restored"),
                // Erased in the backup already, or younger than it.
                Err(known) if known.code() == "tenants.erased" || known.kind() == kernel::ProblemKind::NotFound => {}
                Err(problem) => bail!("the tenant {tenant} cannot be erased again: {problem:?}"),
            }
        }
        backup::erased_again(config)
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
    use axum::response::IntoResponse;
    match edge.admit(&request.into_parts().0).await {
        Ok(cx) if cx.scope() == Scope::Platform => axum::response::Redirect::to("/operator").into_response(),
        Ok(_) => axum::response::Redirect::to("/home").into_response(),
        Err(problem) => web::problem_response(&problem, None),
    }
}

/// The address of the connection, under a type that the gateway knows.
async fn with_peer(mut request: axum::extract::Request) -> axum::extract::Request {
    let peer = request.extensions().get::<ConnectInfo<std::net::SocketAddr>>().map(|peer| peer.0);
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    request
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
    let listener =
        listener.with_context(|| format!("cannot listen on {}: choose another with --listen", config.listen))?;
    let platform = Platform::open(&config)?;
    platform.follow().await?;
    platform.erase_again(&config).await?;
    platform.greet(&config).await?;
    let stop = Arc::new(Notify::new());
    let stopping = Arc::clone(&stop);
    let service = platform.router.clone().into_make_service_with_connect_info::<std::net::SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async move { stopping.notified().await });
    let serving = tokio::spawn(serving.into_future());
    told_to_stop().await;
    println!("stopping");
    stop.notify_one();
    if tokio::time::timeout(DRAIN, serving).await.is_err() {
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

/// Prints the OpenAPI document of an installation that keeps nothing.
pub(crate) fn print_openapi(mut config: Config) -> Result<ExitCode> {
    let folder = std::env::temp_dir().join(format!("freehold-openapi-{}", std::process::id()));
    config.data.clone_from(&folder);
    let platform = Platform::open(&config);
    let printed =
        platform.map(|platform| println!("{:#}", web::document(&platform.contexts, env!("CARGO_PKG_VERSION"))));
    drop(std::fs::remove_dir_all(folder));
    printed.map(|()| ExitCode::SUCCESS)
}
