//! The end of a period for many tenants at once: from the moment in which it is over to the last invoice with a number.
//!
//! The platform runs here, on the embedded engines, because its clock is set: all tenants subscribe and use, and then a
//! month has passed.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use async_trait::async_trait;
use events::Log;
use freehold::{Config, Parts, Platform};
use futures::{StreamExt, TryStreamExt, stream};
use identity::Hashing;
use kernel::{Clock, Timestamp, cx::Ambient, entropy::SystemEntropy, time::SystemClock};
use notifications::{Carrier, Message, Outcome, Target};
use serde_json::{Value, json};

use crate::{
    report::Report,
    server::{cpu, folder, memory, until},
    world::PASSWORD,
};

const HOST: &str = "bench.test";
/// How many tenants are made at once.
const AT_ONCE: usize = 48;
/// How much use each reports.
const USED: u32 = 100;
/// A month that is over.
const MONTH: u64 = 32 * 24 * 3_600;

/// The machine's clock, set ahead.
#[derive(Default)]
struct Ahead(AtomicU64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now() + Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// Keeps the tickets of the links that are mailed.
#[derive(Default)]
struct Tickets(Mutex<HashMap<String, String>>);

#[async_trait]
impl Carrier for Tickets {
    async fn deliver(&self, message: &Message) -> Outcome {
        let ticket = message.content.text.split_once("ticket=").map(|(_, rest)| rest);
        if let (Target::Mail(address), Some(ticket)) = (&message.to, ticket) {
            let ticket = ticket.split(|end: char| end == '&' || end.is_whitespace()).next().unwrap_or_default();
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(address.to_string(), ticket.to_owned());
        }
        Ok(()).into()
    }
}

impl Tickets {
    fn take(&self, address: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(address)
    }
}

/// The platform, and whoever asks it.
struct Site {
    platform: Platform,
    tickets: Arc<Tickets>,
    log: Arc<dyn Log>,
    clock: Arc<Ahead>,
}

struct Reply {
    cookie: String,
    body: Vec<u8>,
}

impl Site {
    async fn ask(&self, request: http::request::Builder, media: &str, body: String) -> Result<Reply> {
        let request = request.header("content-type", media).body(web::Body::from(body))?;
        let answer = self.platform.answer(IpAddr::V4(Ipv4Addr::LOCALHOST), request).await;
        let (parts, body) = answer.into_parts();
        let body = web::read_up_to(body, 4 << 20).await.map_err(|_| anyhow::anyhow!("the answer is too large"))?;
        let told = String::from_utf8_lossy(&body);
        ensure!(parts.status.as_u16() < 400, "the answer was {}: {told}", parts.status);
        let cookie = parts.headers.get("set-cookie").and_then(|it| it.to_str().ok()?.split(';').next());
        Ok(Reply { cookie: cookie.unwrap_or_default().to_owned(), body: body.to_vec() })
    }

    async fn form(&self, host: &str, path: &str, fields: &[(&str, &str)]) -> Result<String> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = http::Request::builder().method("POST").uri(path).header("host", host);
        Ok(self.ask(request, "application/x-www-form-urlencoded", body).await?.cookie)
    }

    async fn json(&self, host: &str, cookie: &str, (method, path): (&str, &str), body: &Value) -> Result<Value> {
        let request = http::Request::builder().method(method).uri(path).header("host", host);
        let request = request.header("cookie", cookie);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Ok(serde_json::from_slice(&self.ask(request, "application/json", body).await?.body)?)
    }

    /// A tenant that subscribes and uses.
    async fn tenant(&self, number: u64) -> Result<()> {
        let (slug, email) = (format!("tenant-{number}"), format!("ada@tenant-{number}.example"));
        let asked = json!({ "company": slug, "slug": slug, "name": "Ada Lovelace", "email": email });
        self.json(HOST, "", ("POST", "/v1/sign-up"), &asked).await?;
        let ticket = until("the mail of a sign-up", async || self.tickets.take(&email)).await?;
        let host = format!("{slug}.{HOST}");
        let fields = [("ticket", ticket.as_str()), ("for", "verify"), ("password", PASSWORD)];
        let cookie = self.form(&host, "/welcome", &fields).await?;
        let plan = json!({ "plan": "team", "currency": "EUR" });
        self.json(&host, &cookie, ("POST", "/v1/subscription"), &plan).await?;
        let event = |place: u32| json!({ "id": place.to_string(), "meter": "calls", "value": "7" });
        let used = json!({ "events": (0..USED).map(event).collect::<Vec<_>>() });
        self.json(&host, &cookie, ("POST", "/v1/usage"), &used).await.map(drop)
    }

    /// All that follows what has happened was done.
    async fn is_quiet(&self) -> Result<bool> {
        let head = self.log.head().await?;
        Ok(self
            .log
            .readers("")
            .await?
            .iter()
            .all(|(reader, position)| reader.starts_with("audit") || *position >= head))
    }

    async fn waits_for(&self, longest: Duration, mut done: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while !done().await? {
            ensure!(begun.elapsed() < longest, "it took longer than {} s", longest.as_secs());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

/// Closes a period of so many tenants, on two threads.
pub(crate) fn run(tenants: u64, report: &mut Report) -> Result<()> {
    let measured = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(closed(tenants))
    });
    let closed = measured.join().map_err(|_| anyhow::anyhow!("the closing panicked"))??;
    let (took, all) = (closed.took.as_secs_f64(), closed.settled.as_secs_f64());
    report.figure(
        &format!("a period closed: {tenants} tenants, {USED} usage events each, to the last invoice"),
        &format!("{took:.1} s"),
        "<= 60 s",
        Some(took <= 60.0),
    );
    report.figure("until all that follows was done: ledgers, mails, figures", &format!("{all:.1} s"), "", None);
    let cpu = closed.cpu.as_secs_f64() * 1_000.0 / f64::from(u32::try_from(tenants)?);
    report.figure("CPU for each tenant, with all that follows", &format!("{cpu:.2} ms"), "", None);
    let grown = closed.most - closed.before;
    report.figure(
        "memory before, and how much more at most",
        &format!("{:.0} + {grown:.0} MiB", closed.before),
        "",
        None,
    );
    Ok(())
}

struct Closed {
    took: Duration,
    settled: Duration,
    cpu: Duration,
    before: f64,
    most: f64,
}

async fn closed(tenants: u64) -> Result<Closed> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let (_folder, data) = folder()?;
    let settings = [
        ("data", json!(data)),
        ("host", json!(HOST)),
        ("scheme", json!("https")),
        ("public_port", json!(443)),
        ("rate", json!(100_000_000)),
    ];
    let config = Config::given(&settings)?;
    let clock = Arc::new(Ahead::default());
    let ambient = Ambient::new(Arc::clone(&clock) as _, Arc::new(SystemEntropy::default()));
    let (parts, _lock) = Parts::embedded(&config, ambient)?;
    let tickets = Arc::new(Tickets::default());
    let log = Arc::clone(&parts.log);
    // What is measured is no password.
    let parts = Parts { mail: Arc::clone(&tickets) as _, hashing: Hashing::Simulated, ..parts };
    let platform = Platform::compose(parts, &config)?;
    let _following = platform.follow().await?;
    let site = Site { platform, tickets, log, clock };
    let token = site.platform.claim_token();
    let me = [("token", token.as_str()), ("name", "Olga"), ("email", "olga@ops.example"), ("password", PASSWORD)];
    let operator = site.form(HOST, "/claim", &me).await?;
    let price = |unit: &str| json!({ "EUR": { "model": "per_unit", "unit": unit } });
    let terms = json!({ "name": "Team", "cadence": { "every": 1, "unit": "month" }, "items": [
        { "key": "calls", "name": "API calls", "charge": { "for": "usage", "meter": "calls", "aggregation": "sum" },
          "prices": price("0.01") },
    ] });
    site.json(HOST, &operator, ("PUT", "/v1/plans/team"), &json!({ "terms": terms })).await?;
    let made = stream::iter((0..tenants).map(|number| site.tenant(number))).buffer_unordered(AT_ONCE);
    made.try_collect::<()>().await?;
    let long = Duration::from_mins(10);
    site.waits_for(long, async || site.is_quiet().await).await?;
    let own = std::process::id();
    let (before, used) = (memory(own)?, cpu(own)?);
    let begun = Instant::now();
    site.clock.0.store(MONTH, Ordering::Relaxed);
    let fields = [("email", "olga@ops.example"), ("password", PASSWORD)];
    let operator = site.form(HOST, "/operator/sign-in", &fields).await?;
    let mut most = before;
    let numbered = async || {
        most = most.max(memory(own)?);
        let series = site.json(HOST, &operator, ("GET", "/v1/invoice-series"), &Value::Null).await?;
        let all = series.get("items").and_then(Value::as_array);
        let live = all.and_then(|all| all.iter().find(|it| it["series"] == "live"));
        Ok(live.is_some_and(|it| it["given"] == json!(tenants)))
    };
    site.waits_for(long, numbered).await?;
    let took = begun.elapsed();
    site.waits_for(long, async || {
        most = most.max(memory(own)?);
        site.is_quiet().await
    })
    .await?;
    Ok(Closed { took, settled: begun.elapsed(), cpu: cpu(own)?.saturating_sub(used), before, most })
}
