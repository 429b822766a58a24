//! Webhooks over HTTP: signed, sent to checked addresses only, never redirected, and bounded in all that a receiver can do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::BytesMut;
use cache::Handles;
use kernel::Clock;
use reqwest::{
    Client, Response, StatusCode, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::RETRY_AFTER,
    redirect::Policy,
};
use text::cut;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use crate::{
    guard::{Reach, Refused},
    port::{Carrier, DeliveryError, Endpoint, Message, Outcome, Target},
    signature,
};

/// How long one attempt may take, connecting and answer included.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(4);
/// Attempts at one endpoint at once: fewer than a tenant's timers may act at once, so that one that is slow holds up
/// nobody else.
const AT_ONCE: usize = 3;
/// An endpoint that answers within this is waited for by those who come next; at one that is slower they give up their turn.
const QUICK: Duration = Duration::from_millis(100);
/// What is read of an answer, and kept of it, in bytes.
const READ: usize = 16 << 10;
const KEPT: usize = 1_000;
/// The longest that a receiver can ask to be left alone.
const PAUSE: u64 = 6 * 3_600;
/// Endpoints whose bounds are remembered.
const ENDPOINTS: u64 = 20_000;

/// Gives the HTTP client the addresses that may be connected to; it has no other way to any.
struct Guarded(Reach);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, host) = (self.0, name.as_str().to_owned());
        Box::pin(async move {
            let found = reach.resolve(&host, 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Attempts at one endpoint.
struct Running {
    turns: Semaphore,
    /// Whether somebody waited in vain, and no quick answer came since.
    slow: AtomicBool,
}

impl Default for Running {
    fn default() -> Self {
        Self { turns: Semaphore::new(AT_ONCE), slow: AtomicBool::new(false) }
    }
}

impl Running {
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(turn) = self.turns.try_acquire() {
            return Some(turn);
        }
        if self.slow.load(Ordering::Relaxed) {
            return None;
        }
        let turn = tokio::time::timeout(QUICK, self.turns.acquire()).await.ok().and_then(Result::ok);
        if turn.is_none() {
            self.slow.store(true, Ordering::Relaxed);
        }
        turn
    }
}

/// Delivers webhooks.
pub struct Webhooks {
    client: Result<Client, String>,
    reach: Reach,
    clock: Arc<dyn Clock>,
    running: Handles<String, Running>,
}

/// Why an address is refused as that of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    #[error("expected an address such as https://example.com/hooks, of at most 2,000 characters, without credentials")]
    Malformed,
    #[error("expected https: what is sent is not for others to read")]
    Insecure,
    #[error("this address cannot be reached from here: {0}")]
    Refused(#[from] Refused),
}

/// An address that may be that of an endpoint. Its host name is checked again at each connection.
pub(crate) fn parse(url: &str, reach: Reach) -> Result<Url, UrlError> {
    let url = Some(url).filter(|url| url.len() <= 2_000).and_then(|url| Url::parse(url).ok());
    let url = url.filter(|url| url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
    let url = url.ok_or(UrlError::Malformed)?;
    match url.scheme() {
        "https" => {}
        "http" if reach == Reach::Anywhere => {}
        "http" => return Err(UrlError::Insecure),
        _ => return Err(UrlError::Malformed),
    }
    // A name goes through the resolver; an address in the URL does not.
    let host = url.host_str().ok_or(UrlError::Malformed)?.trim_matches(['[', ']']);
    match host.parse() {
        Ok(ip) if !reach.allows(ip) => Err(UrlError::Refused(Refused::Private)),
        _ => Ok(url),
    }
}

impl Webhooks {
    /// A client that reaches so far. It reads the machine's trusted certificates, so a machine without any is told so at
    /// the first delivery.
    pub fn new(reach: Reach, clock: Arc<dyn Clock>) -> Self {
        let client = Client::builder()
            .dns_resolver(Arc::new(Guarded(reach)))
            .redirect(Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(AT_ONCE)
            .user_agent(concat!("Freehold-Webhooks/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string());
        let running = Handles::new(ENDPOINTS, Duration::from_mins(10));
        Self { client, reach, clock, running }
    }

    async fn send(&self, to: &Endpoint, message: &Message) -> Result<Response, DeliveryError> {
        let url = parse(&to.url, self.reach).map_err(|error| DeliveryError::Permanent(error.to_string()))?;
        let client = self.client.as_ref().map_err(|error| DeliveryError::Transient(error.clone()))?;
        let (id, seconds) = (message.id.to_string(), self.clock.now().as_second());
        let body = message.content.text.clone();
        let signature = signature::sign(to.secrets.iter().map(String::as_str), &id, seconds, body.as_bytes());
        let request = client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds.to_string())
            .header("webhook-signature", signature)
            .body(body);
        request.send().await.map_err(|error| DeliveryError::Transient(reason(&error)))
    }
}

/// What went wrong, without the address, which may carry a secret of the receiver's.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(it) = cause {
        if let Some(refused) = it.downcast_ref::<Refused>() {
            return refused.to_string();
        }
        cause = it.source();
    }
    let what = if error.is_timeout() { "the receiver took too long" } else { "the connection failed" };
    what.to_owned()
}

/// The beginning of an answer.
async fn beginning(mut response: Response) -> String {
    let mut read = BytesMut::new();
    while read.len() < READ {
        match response.chunk().await {
            Ok(Some(chunk)) => read.extend_from_slice(chunk.get(..chunk.len().min(READ)).unwrap_or_default()),
            Ok(None) | Err(_) => break,
        }
    }
    cut(&String::from_utf8_lossy(&read), KEPT).to_owned()
}

#[async_trait]
impl Carrier for Webhooks {
    async fn deliver(&self, message: &Message) -> Outcome {
        let Target::Webhook(to) = &message.to else {
            return Err(DeliveryError::Permanent("not a webhook".to_owned())).into();
        };
        let running = self.running.of(to.name.clone(), Running::default);
        let Some(_turn) = running.turn().await else { return Err(DeliveryError::Busy).into() };
        let begun = Instant::now();
        let response = match self.send(to, message).await {
            Ok(response) => response,
            Err(error) => return Err(error).into(),
        };
        if begun.elapsed() < QUICK {
            running.slow.store(false, Ordering::Relaxed);
        }
        let status = response.status();
        let asked = response.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        let pause = asked.map(|seconds| Duration::from_secs(seconds.min(PAUSE)));
        let answered = format!("the receiver answered {}", status.as_u16());
        let result = match status {
            status if status.is_success() => Ok(()),
            StatusCode::GONE => Err(DeliveryError::Bounced(answered)),
            status if status.is_redirection() => {
                Err(DeliveryError::Transient(format!("{answered}, and redirects are not followed")))
            }
            _ => Err(DeliveryError::Transient(answered)),
        };
        Outcome { result, status: Some(status.as_u16()), response: Some(beginning(response).await), pause }
    }
}

#[cfg(test)]
mod tests;
