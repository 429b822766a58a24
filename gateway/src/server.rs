//! Connections: how many, for how long without a word, and how they end.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_body::Body as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use web::{Body, Router};

use crate::{Gateway, live::Paced, proxy::wants_websocket};

/// Bounds of connections and requests.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// How long the head of a request may take to come, in milliseconds; also how long a connection may rest.
    pub header_timeout_ms: u64,
    /// How long the body of a request may pause, in milliseconds.
    pub body_pause_ms: u64,
    /// The largest head of a request, in bytes; at least 8,192.
    pub max_header_bytes: u32,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address that is no trusted proxy.
    pub connections_per_address: u32,
    /// Requests that run at once; more are refused with 503.
    pub in_flight: usize,
    /// Requests at once on one HTTP/2 connection.
    pub streams_per_connection: u32,
    /// How long requests that run may take to end once the process is told to stop, in milliseconds.
    pub drain_ms: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            header_timeout_ms: 15_000,
            body_pause_ms: 10_000,
            max_header_bytes: 32 << 10,
            connections: 10_000,
            connections_per_address: 1_000,
            in_flight: 2_000,
            streams_per_connection: 128,
            drain_ms: 4_000,
        }
    }
}

impl Http {
    fn builder(&self) -> Builder<TokioExecutor> {
        let head = Duration::from_millis(self.header_timeout_ms);
        let bytes = usize::try_from(self.max_header_bytes).unwrap_or(usize::MAX).max(8_192);
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(bytes).pipeline_flush(false);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.streams_per_connection)
            .max_header_list_size(self.max_header_bytes)
            .max_pending_accept_reset_streams(20)
            // A peer that is gone without a word is noticed.
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10));
        builder
    }
}

/// Connections by address.
#[derive(Default)]
struct Guests(Mutex<HashMap<IpAddr, u32>>);

impl Guests {
    fn change(&self, address: IpAddr, most: u32, enters: bool) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_insert(0);
        let fits = !enters || *count < most;
        *count = match (enters, fits) {
            (true, true) => *count + 1,
            (true, false) => *count,
            (false, _) => count.saturating_sub(1),
        };
        if *count == 0 {
            counts.remove(&address);
        }
        fits
    }
}

/// Keeps a connection counted after its last request, where it has become something else.
pub(crate) type Held = Arc<Open>;

/// One of the connections that are open; gives its place back when it ends.
pub(crate) struct Open {
    guests: Arc<Guests>,
    gateway: Arc<Gateway>,
    address: Option<IpAddr>,
    _place: OwnedSemaphorePermit,
    /// Held until the end: the drain waits for all of them to be let go.
    _drained: mpsc::Sender<Infallible>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gateway.ground.metrics.connection(-1);
        if let Some(address) = self.address {
            self.guests.change(address, u32::MAX, false);
        }
    }
}

/// Serves connections until `stop`, and then for as long as the drain may take. Tells whether all had ended by then.
pub async fn serve(
    gateway: &Arc<Gateway>,
    listener: TcpListener,
    router: &Router,
    stop: impl Future<Output = ()>,
) -> bool {
    let http = gateway.settings.http.clone();
    let (builder, places) = (Arc::new(http.builder()), Arc::new(Semaphore::new(http.connections)));
    let guests = Arc::new(Guests::default());
    let (held, mut drained) = mpsc::channel(1);
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // No file descriptor is left, or the peer is gone already: nothing that a hurry would mend.
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let peer = peer.ip().to_canonical();
        let counted = Some(peer).filter(|peer| !gateway.settings.proxies.trusts(*peer));
        let place = Arc::clone(&places).try_acquire_owned().ok();
        let place = place.filter(|_| counted.is_none_or(|it| guests.change(it, http.connections_per_address, true)));
        let Some(place) = place else {
            gateway.ground.metrics.connection_refused();
            continue;
        };
        gateway.ground.metrics.connection(1);
        let (guests, gateway) = (Arc::clone(&guests), Arc::clone(gateway));
        let open = Open { guests, gateway, address: counted, _place: place, _drained: held.clone() };
        tokio::spawn(connection(Arc::new(open), (stream, peer), router.clone(), Arc::clone(&builder)));
    }
    drop((listener, held));
    gateway.stopping.send_replace(true);
    // Nothing is ever sent: it ends when the last connection has let go.
    tokio::time::timeout(Duration::from_millis(http.drain_ms), drained.recv()).await.is_ok()
}

async fn connection(
    open: Held,
    (stream, peer): (TcpStream, IpAddr),
    router: Router,
    builder: Arc<Builder<TokioExecutor>>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it began");
        return;
    }
    let http = &open.gateway.settings.http;
    let (head, pause) = (Duration::from_millis(http.header_timeout_ms), Duration::from_millis(http.body_pause_ms));
    let spoke = Arc::new(AtomicBool::new(false));
    let (gateway, speaks, held) = (Arc::clone(&open.gateway), Arc::clone(&spoke), Arc::clone(&open));
    let service = service_fn(move |request: http::Request<Incoming>| {
        speaks.store(true, Ordering::Relaxed);
        let (gateway, router) = (Arc::clone(&gateway), router.clone());
        let mut request =
            request.map(|body| if body.is_end_stream() { Body::empty() } else { Body::new(Paced::new(body, pause)) });
        if wants_websocket(request.headers()) {
            request.extensions_mut().insert(Arc::clone(&held));
        }
        async move { Ok::<_, Infallible>(gateway.pass(peer, request, &router).await) }
    });
    let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(served);
    let mut stopping = open.gateway.stopping.subscribe();
    // Until the version is known, no timeout of the protocol runs yet.
    let silent = tokio::time::sleep(head);
    tokio::pin!(silent);
    let (mut told, mut waited) = (false, false);
    loop {
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            _ = stopping.wait_for(|stopping| *stopping), if !told => {
                told = true;
                served.as_mut().graceful_shutdown();
            }
            () = &mut silent, if !waited => {
                waited = true;
                if !spoke.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
    }
}
