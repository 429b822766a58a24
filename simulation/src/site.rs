//! The process: it starts on what is durable, answers requests, and dies without a word.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use freehold::{Config, Following, Platform};
use http::{StatusCode, header};
use serde_json::json;
use tokio::sync::watch;
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
    /// Counts starts and deaths: odd while a process runs.
    lives: watch::Sender<u64>,
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
        Ok(Arc::new(Self { world, config, running: Mutex::default(), lives: watch::Sender::new(0) }))
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
                    self.lives.send_modify(|lives| *lives += 1);
                    self.world.trace.tell("a process starts");
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
        self.lives.send_modify(|lives| *lives += 1);
    }

    /// The process that runs, once one does.
    pub(crate) async fn platform(&self) -> (Arc<Platform>, watch::Receiver<u64>) {
        let mut lives = self.lives.subscribe();
        loop {
            lives.mark_unchanged();
            if let Some(running) = self.running().as_ref() {
                return (Arc::clone(&running.platform), lives);
            }
            // The sender lives as long as this does.
            drop(lives.changed().await);
        }
    }

    /// Sends a request; nothing comes back where the process dies before its answer is read.
    pub(crate) async fn ask(&self, from: IpAddr, request: Request) -> Option<Answer> {
        let (platform, mut lives) = self.platform().await;
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
            _ = lives.changed() => None,
            answer = answered => answer,
        }
    }
}

/// A request as it would come from a connection.
pub(crate) fn request(builder: http::request::Builder, body: String) -> Result<Request, Broken> {
    builder.body(Body::from(body)).map_err(|error| Broken(error.to_string()))
}
