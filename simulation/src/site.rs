//! The process: it starts on what is durable, answers requests, and dies without a word.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use freehold::{Config, Following, Platform};
use http::{StatusCode, header};
use serde_json::json;
use tokio::sync::Notify;
use web::{Body, Request};

use crate::{Broken, world::World};

/// The host name of the installation.
pub(crate) const HOST: &str = "sim.test";
/// The largest answer.
const LARGEST: usize = 4 << 20;

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The cookie that was set, as it is sent back.
    pub(crate) cookie: Option<String>,
    /// How long to wait before it is worth sending again.
    pub(crate) wait: Option<Duration>,
    pub(crate) body: Bytes,
}

struct Running {
    platform: Arc<Platform>,
    _following: Following,
}

/// The one process of the installation, or the pause between two.
pub(crate) struct Site {
    pub(crate) world: Arc<World>,
    config: Config,
    running: Mutex<Option<Running>>,
    /// Counts starts and deaths, and wakes those who wait for one, the first first.
    turns: AtomicU64,
    turned: Notify,
}

impl Site {
    /// An installation that was never started.
    pub(crate) fn of(world: Arc<World>) -> Result<Arc<Self>, Broken> {
        let settings = [
            ("host", json!(HOST)),
            ("scheme", json!("https")),
            ("public_port", json!(443)),
            // The limits are asked, and reached by nobody.
            ("rate", json!(1_000_000)),
        ];
        let config = Config::given(&settings).map_err(|error| Broken(error.to_string()))?;
        Ok(Arc::new(Self { world, config, running: Mutex::default(), turns: AtomicU64::new(0), turned: Notify::new() }))
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts; where it cannot, it is started again, as whoever runs it would.
    pub(crate) async fn start(&self) -> Result<(), Broken> {
        for _ in 0..100 {
            let platform = Platform::compose(self.world.parts(), &self.config);
            let platform = Arc::new(platform.map_err(|error| Broken(format!("it does not start: {error:#}")))?);
            match platform.follow().await {
                Ok(following) => {
                    *self.running() = Some(Running { platform, _following: following });
                    self.world.trace.tell("a process starts");
                    self.turns();
                    return Ok(());
                }
                Err(error) => self.world.trace.tell(format_args!("it does not start: {error:#}")),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Err(Broken("it does not start".to_owned()))
    }

    /// Dies: whatever ran ends where it stands.
    pub(crate) fn die(&self) {
        self.world.trace.tell("the process dies");
        drop(self.running().take());
        self.turns();
    }

    fn turns(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.turned.notify_waiters();
    }

    /// Waits until there was another start or death than `known`.
    async fn turns_from(&self, known: u64) {
        loop {
            let turned = self.turned.notified();
            if self.turns.load(Ordering::Relaxed) != known {
                return;
            }
            turned.await;
        }
    }

    /// The process that runs, once one does, and which start it was.
    pub(crate) async fn platform(&self) -> (Arc<Platform>, u64) {
        loop {
            let known = self.turns.load(Ordering::Relaxed);
            if let Some(running) = self.running().as_ref() {
                return (Arc::clone(&running.platform), known);
            }
            self.turns_from(known).await;
        }
    }

    /// Sends a request; nothing comes back where the process dies before its answer is read.
    pub(crate) async fn ask(&self, from: IpAddr, request: Request) -> Option<Answer> {
        let (platform, life) = self.platform().await;
        let answered = async {
            let response = platform.answer(from, request).await;
            let (parts, body) = response.into_parts();
            let body = web::read_up_to(body, LARGEST).await.ok()?;
            let text = |name| parts.headers.get(name).and_then(|it| it.to_str().ok());
            let cookie = text(header::SET_COOKIE).and_then(|set| set.split(';').next()).map(str::to_owned);
            let wait = text(header::RETRY_AFTER).and_then(|it| it.parse().ok()).map(Duration::from_secs);
            Some(Answer { status: parts.status, cookie, wait, body })
        };
        tokio::select! {
            biased;
            () = self.turns_from(life) => None,
            answer = answered => answer,
        }
    }
}

/// A request as it would come from a connection.
pub(crate) fn request(builder: http::request::Builder, body: String) -> Result<Request, Broken> {
    builder.body(Body::from(body)).map_err(|error| Broken(error.to_string()))
}
