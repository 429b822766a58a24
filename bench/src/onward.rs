//! What the program sends on: requests to an upstream, webhooks to a receiver. Both are this process, on the core of the
//! load.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    UNLIMITED,
    load::{self, Figures, Load},
    report::{Report, Row},
    server::{self, Server, until},
    wire::{Ask, Wire},
    world::{self, Tenant},
};

/// How many webhooks are delivered.
const DELIVERIES: u32 = 2_000;

/// Something that answers a hundred bytes to whatever is sent, and counts.
struct Upstream {
    port: u16,
    answered: Arc<AtomicU64>,
}

impl Upstream {
    async fn listen() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let (port, answered) = (listener.local_addr()?.port(), Arc::new(AtomicU64::new(0)));
        let counter = Arc::clone(&answered);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&counter)));
            }
        });
        Ok(Self { port, answered })
    }
}

/// Answers one request after the other.
async fn answer(mut stream: tokio::net::TcpStream, answered: Arc<AtomicU64>) -> Result<()> {
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n{}", "x".repeat(100));
    let mut seen = Vec::with_capacity(16_384);
    loop {
        if stream.read_buf(&mut seen).await? == 0 {
            return Ok(());
        }
        let Some(head) = seen.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(seen.get(..head).unwrap_or_default()).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length = length.map_or(Ok(0), |length| length.trim().parse::<usize>())?;
        while seen.len() < head + 4 + length {
            if stream.read_buf(&mut seen).await? == 0 {
                return Ok(());
            }
        }
        seen.drain(..head + 4 + length);
        answered.fetch_add(1, Ordering::Relaxed);
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// What a request costs that goes on to an upstream: as it came, and with the caller's identity signed for it.
pub(crate) async fn proxied(binary: &Path, seconds: u64, report: &mut Report) {
    let plain = json!({ "access": "anyone", "identity": "none" });
    let signed = json!({ "access": "signed_in", "identity": "token" });
    for (name, most, how) in [("plain proxy", 25.0, plain), ("proxied with identity", 50.0, signed)] {
        let measured = async {
            let (_folder, data) = server::folder()?;
            let (server, upstream) = (Server::start(binary, &data, UNLIMITED)?, Upstream::listen().await?);
            let operator = world::operator(&server).await?;
            let tenant = world::tenant(&server, "acme").await?;
            let servers = [format!("http://127.0.0.1:{}", upstream.port)];
            let mut route = json!({ "path": "/shop", "upstreams": [{ "name": "shop", "servers": servers }] });
            route.as_object_mut().context("it is one")?.extend(how.as_object().cloned().unwrap_or_default());
            let installation = format!("localhost:{}", server.port);
            let put = Ask::send("PUT", &installation, "/v1/proxy-routes/shop", &json!({ "route": route }));
            server.ask(&put.with(format!("Cookie: {operator}"))).await?.json()?;
            let ask = tenant.program(Ask::get(&tenant.host, "/shop/things?of=these"));
            until("the route", async || server.ask(&ask).await.ok().filter(|it| it.status == 200)).await?;
            let lasts = Duration::from_secs(seconds);
            load::run(&server, &Load { lasts, ..Load::same(ask.bytes()) }).await
        };
        report.measured(Row::cpu(name, most), measured.await);
    }
}

/// What a webhook costs from the event to the receiver's answer: the same changes with and without an endpoint that
/// follows them.
pub(crate) async fn delivered(binary: &Path, report: &mut Report) {
    let measured = async {
        let settings: Vec<_> = UNLIMITED.iter().copied().chain([("FREEHOLD_PRIVATE_TARGETS", "true")]).collect();
        let (_folder, data) = server::folder()?;
        let (server, receiver) = (Server::start(binary, &data, &settings)?, Upstream::listen().await?);
        let tenant = world::tenant(&server, "acme").await?;
        let alone = changes(&server, &tenant, || true).await?;
        let hook = json!({ "name": "Bench", "url": format!("http://127.0.0.1:{}/hook", receiver.port),
            "events": ["tenants.*"] });
        world::does(&server, &tenant, "POST", "/v1/channels/webhooks", &hook).await?;
        let all = || receiver.answered.load(Ordering::Relaxed) >= u64::from(DELIVERIES);
        let followed = changes(&server, &tenant, all).await?;
        let each = |of: Duration| of.as_secs_f64() * 1e6 / f64::from(DELIVERIES);
        let rate = f64::from(DELIVERIES) / followed.1.as_secs_f64();
        Ok(Figures { cpu: each(followed.0) - each(alone.0), rate, p50: 0.0, p99: 0.0 })
    };
    report.measured(Row::cpu("webhook, from the event to the answer", 150.0), measured.await);
}

/// The CPU and the time that so many changes take, with all that follows.
async fn changes(server: &Server, tenant: &Tenant, done: impl Fn() -> bool) -> Result<(Duration, Duration)> {
    let (begun, before) = (Instant::now(), server.cpu()?);
    let mut wire = Wire::open(server.port).await?;
    for number in 0..DELIVERIES {
        let body = json!({ "enabled": true, "percentage": number % 100 });
        let ask = tenant.owner(Ask::send("PUT", &tenant.host, format!("/v1/features/f{}", number % 50), &body));
        wire.ask(&ask.bytes()).await?.json()?;
    }
    until("all that follows", async || done().then_some(())).await?;
    // What is written of it after the receiver has answered.
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok((server.cpu()?.saturating_sub(before), begun.elapsed()))
}
