//! The end of a period for many tenants at once: from the moment in which it is over to the last invoice with a number.
//!
//! The platform runs in this process, on the embedded engines, because its clock is set: all tenants subscribe and use, and
//! then a month has passed. It says `begins`, `closed` and `settled`; `cargo xtask bench` watches it, and holds the watch.
#![expect(clippy::print_stdout, reason = "a command line tool speaks through its output")]

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use clap::Parser;
use events::Log;
use freehold::{Config, Parts, Platform};
use futures::{StreamExt, TryStreamExt, stream};
use identity::Hashing;
use kernel::{Clock, Timestamp, cx::Ambient, entropy::SystemEntropy, time::SystemClock};
use notifications::{Carrier, Message, Outcome, Target};
use serde_json::{Value, json};

/// What ended it.
type Failed = Box<dyn std::error::Error + Send + Sync>;

const PASSWORD: &str = "correct horse battery";
const HOST: &str = "bench.test";
/// How many tenants are made at once.
const AT_ONCE: usize = 48;
/// How much use each reports.
const USED: u32 = 100;
/// The longest that anything is waited for.
const LONG: Duration = Duration::from_mins(10);
/// A month that is over.
const MONTH: u64 = 32 * 24 * 3_600;

/// Closes a period of many tenants
#[derive(Parser)]
#[command(name = "freehold-closing")]
struct Arguments {
    /// An empty folder
    #[arg(long)]
    data: PathBuf,
    /// How many tenants
    #[arg(long, default_value_t = 10_000)]
    tenants: u64,
}

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
    async fn ask(&self, request: http::request::Builder, media: &str, body: String) -> Result<Reply, Failed> {
        let request = request.header("content-type", media).body(web::Body::from(body))?;
        let answer = self.platform.answer(IpAddr::V4(Ipv4Addr::LOCALHOST), request).await;
        let (parts, body) = answer.into_parts();
        let body = web::read_up_to(body, 4 << 20).await.map_err(|_| "the answer is too large")?;
        if parts.status.as_u16() >= 400 {
            return Err(format!("the answer was {}: {}", parts.status, String::from_utf8_lossy(&body)).into());
        }
        let cookie = parts.headers.get("set-cookie").and_then(|it| it.to_str().ok()?.split(';').next());
        Ok(Reply { cookie: cookie.unwrap_or_default().to_owned(), body: body.to_vec() })
    }

    async fn form(&self, host: &str, path: &str, fields: &[(&str, &str)]) -> Result<String, Failed> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = http::Request::builder().method("POST").uri(path).header("host", host);
        Ok(self.ask(request, "application/x-www-form-urlencoded", body).await?.cookie)
    }

    async fn json(
        &self,
        host: &str,
        cookie: &str,
        (method, path): (&str, &str),
        body: &Value,
    ) -> Result<Value, Failed> {
        let request = http::Request::builder().method(method).uri(path).header("host", host);
        let request = request.header("cookie", cookie);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Ok(serde_json::from_slice(&self.ask(request, "application/json", body).await?.body)?)
    }

    /// A tenant that subscribes and uses.
    async fn tenant(&self, number: u64) -> Result<(), Failed> {
        let (slug, email) = (format!("tenant-{number}"), format!("ada@tenant-{number}.example"));
        let asked = json!({ "company": slug, "slug": slug, "name": "Ada Lovelace", "email": email });
        self.json(HOST, "", ("POST", "/v1/sign-up"), &asked).await?;
        let mut ticket = String::new();
        self.waits_for(async || {
            ticket = self.tickets.take(&email).unwrap_or_default();
            Ok(!ticket.is_empty())
        })
        .await?;
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
    async fn is_quiet(&self) -> Result<bool, Failed> {
        let head = self.log.head().await?;
        Ok(self.log.readers("").await?.iter().all(|(reader, position)| reader == "audit" || *position >= head))
    }

    async fn waits_for(&self, mut done: impl AsyncFnMut() -> Result<bool, Failed>) -> Result<(), Failed> {
        let begun = Instant::now();
        while !done().await? {
            if begun.elapsed() > LONG {
                return Err(format!("it took longer than {} s", LONG.as_secs()).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

async fn closed(arguments: &Arguments) -> Result<(), Failed> {
    let settings = [
        ("data", json!(arguments.data)),
        ("host", json!(HOST)),
        ("scheme", json!("https")),
        ("public_port", json!(443)),
        ("rate", json!(100_000_000)),
    ];
    let config = Config::given(&settings)?;
    let clock = Arc::new(Ahead::default());
    let ambient = Ambient::new(Arc::clone(&clock) as _, Arc::new(SystemEntropy::default()));
    let (parts, _lock) = Parts::embedded(&config, ambient)?;
    let (tickets, log) = (Arc::new(Tickets::default()), Arc::clone(&parts.log));
    // What is measured is no password.
    let parts = Parts { mail: Arc::clone(&tickets) as _, hashing: Hashing::Simulated, ..parts };
    let platform = Platform::compose(parts, &config)?;
    let _following = platform.follow().await?;
    let site = Site { platform, tickets, log, clock };
    let token = site.platform.claim_token();
    let me = [("token", token.as_str()), ("name", "Olga"), ("email", "olga@ops.example"), ("password", PASSWORD)];
    let operator = site.form(HOST, "/claim", &me).await?;
    let calls = json!({ "key": "calls", "name": "API calls", "charge": { "for": "usage", "meter": "calls", "aggregation": "sum" },
        "prices": { "EUR": { "model": "per_unit", "unit": "0.01" } } });
    let terms = json!({ "name": "Team", "cadence": { "every": 1, "unit": "month" }, "items": [calls] });
    site.json(HOST, &operator, ("PUT", "/v1/plans/team"), &json!({ "terms": terms })).await?;
    let made = stream::iter((0..arguments.tenants).map(|number| site.tenant(number))).buffer_unordered(AT_ONCE);
    made.try_collect::<()>().await?;
    site.waits_for(async || site.is_quiet().await).await?;
    println!("begins");
    site.clock.0.store(MONTH, Ordering::Relaxed);
    let fields = [("email", "olga@ops.example"), ("password", PASSWORD)];
    let operator = site.form(HOST, "/operator/sign-in", &fields).await?;
    let numbered = async || {
        let series = site.json(HOST, &operator, ("GET", "/v1/invoice-series"), &Value::Null).await?;
        let all = series.get("items").and_then(Value::as_array);
        let live = all.and_then(|all| all.iter().find(|it| it["series"] == "live"));
        Ok(live.is_some_and(|it| it["given"] == json!(arguments.tenants)))
    };
    site.waits_for(numbered).await?;
    println!("closed");
    site.waits_for(async || site.is_quiet().await).await?;
    println!("settled");
    Ok(())
}

fn main() -> ExitCode {
    drop(rustls::crypto::ring::default_provider().install_default());
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(Failed::from).and_then(|runtime| runtime.block_on(closed(&arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
