//! Somebody who asks, and who is told, is refused, or does not know what became of it.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::StatusCode;
use serde_json::Value;

use crate::{
    Broken,
    dice::Dice,
    faults::Sabotage,
    site::{Answer, HOST, Site, request},
};

/// What became of a request.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// It is done.
    Done(Value),
    /// It was refused, and nothing was done: the code of the problem.
    Refused(String),
    /// Whether it was done is not known.
    Unknown,
}

/// How often something is sent again before it counts as stuck: with growing pauses, about two hours.
const ATTEMPTS: u32 = 200;
const LONGEST_PAUSE: Duration = Duration::from_secs(40);

/// Words that only one tenant's people use.
pub(crate) fn marker(tenant: usize) -> String {
    ["quagmire", "zephyrine", "oxbow", "vellichor"]
        .get(tenant)
        .map_or_else(|| format!("word{tenant}"), |it| (*it).to_owned())
}

/// Somebody at one host name.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) site: Arc<Site>,
    /// Which tenant's; none is the platform.
    pub(crate) tenant: Option<usize>,
    host: String,
    address: IpAddr,
    credential: Option<(&'static str, String)>,
    pub(crate) dice: Arc<Dice>,
    keys: Arc<Mutex<(String, u64)>>,
}

impl Client {
    /// Somebody of a name that nobody else has.
    pub(crate) fn of(site: &Arc<Site>, tenant: Option<usize>, name: &str) -> Self {
        let host = tenant.map_or_else(|| HOST.to_owned(), |tenant| format!("{}.{HOST}", slug(tenant)));
        let dice = site.world.dice(name);
        let address = IpAddr::V4(Ipv4Addr::from_bits(0x0b00_0000 + u32::try_from(dice.below(1 << 24)).unwrap_or(0)));
        let keys = Arc::new(Mutex::new((name.to_owned(), 0)));
        Self { site: Arc::clone(site), tenant, host, address, credential: None, dice: Arc::new(dice), keys }
    }

    /// The same, signed in.
    pub(crate) fn with_cookie(mut self, cookie: String) -> Self {
        self.credential = Some(("cookie", cookie));
        self
    }

    /// The same, as a program.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.credential = Some(("authorization", format!("Bearer {token}")));
        self
    }

    fn fresh_key(&self) -> String {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.1 += 1;
        format!("{}-{}", keys.0, keys.1)
    }

    /// Sends once.
    pub(crate) async fn send(
        &self,
        (method, path): (&str, &str),
        (media, body): (&str, &str),
        key: Option<&str>,
    ) -> Result<Option<Answer>, Broken> {
        let mut builder = http::Request::builder().method(method).uri(path).header("host", &self.host);
        if !body.is_empty() {
            builder = builder.header("content-type", media);
        }
        if let Some((name, value)) = &self.credential {
            builder = builder.header(*name, value);
        }
        if let Some(key) = key {
            builder = builder.header("idempotency-key", key);
        }
        let world = &self.site.world;
        world.trace.tell(format_args!("{} {method} {path} {body}", self.host));
        let answer = self.site.ask(self.address, request(builder, body.to_owned())?).await;
        let answer = answer.map(|answer| self.mixed(answer));
        match &answer {
            Some(answer) => {
                let text = String::from_utf8_lossy(&answer.body);
                world.trace.tell(format_args!("{} {method} {path} -> {} {text}", self.host, answer.status));
                self.is_our_own(path, &text);
                if answer.status == StatusCode::INTERNAL_SERVER_ERROR {
                    world.breaks(format!("{method} {path} {body}: {text}"));
                }
            }
            None => world.trace.tell(format_args!("{} {method} {path} -> cut off", self.host)),
        }
        Ok(answer)
    }

    /// No word of another tenant reaches anyone.
    fn is_our_own(&self, path: &str, text: &str) {
        let Some(own) = self.tenant else { return };
        let others = (0..crate::TENANTS).filter(|other| *other != own).map(marker);
        for word in others.filter(|word| text.contains(word.as_str())) {
            self.site.world.breaks(format!("{} was told {word:?} of another tenant: {path}", self.host));
        }
    }

    fn mixed(&self, answer: Answer) -> Answer {
        let world = &self.site.world;
        if world.faults.breaks(Sabotage::MixesAnswers) { world.swapped(answer) } else { answer }
    }

    /// Sends JSON once.
    pub(crate) async fn perhaps(&self, method: &str, path: &str, body: &Value) -> Result<Told, Broken> {
        let answer = self.send((method, path), ("application/json", &text(body)), None).await?;
        Ok(answer.map_or(Told::Unknown, |answer| told(&answer)))
    }

    /// Sends JSON under a key until it is told what became of it.
    pub(crate) async fn surely(&self, method: &str, path: &str, body: &Value) -> Result<Told, Broken> {
        let (key, mut pause, mut cut) = (self.fresh_key(), Duration::from_millis(100), false);
        for _ in 0..ATTEMPTS {
            let answer = self.send((method, path), ("application/json", &text(body)), Some(&key)).await?;
            let wait = answer.as_ref().and_then(|answer| answer.wait);
            match answer.map_or(Told::Unknown, |answer| told(&answer)) {
                // Whoever runs the installation lets it go on after a while.
                Told::Refused(code) if code == "tenant_suspended" => {}
                Told::Unknown => cut = true,
                // Whoever is signed out or erased since is not told what became of it.
                Told::Refused(code) if cut && (code == "sign_in_required" || code == "erased") => {
                    return Ok(Told::Unknown);
                }
                // What this very request did before it was cut off, and cannot be done again.
                Told::Refused(code) if cut && is_done_before(method, &code) => return Ok(Told::Done(Value::Null)),
                known => return Ok(known),
            }
            tokio::time::sleep(wait.unwrap_or(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(Broken(format!("{} {method} {path} {body}: nothing comes of it", self.host)))
    }

    /// The same, and it must be done.
    pub(crate) async fn does(&self, method: &str, path: &str, body: &Value) -> Result<Value, Broken> {
        match self.surely(method, path, body).await? {
            Told::Done(value) => Ok(value),
            other => Err(Broken(format!("{} {method} {path} {body}: {other:?}", self.host))),
        }
    }

    /// Reads.
    pub(crate) async fn reads(&self, path: &str) -> Result<Value, Broken> {
        self.does("GET", path, &Value::Null).await
    }

    /// All items of a list.
    pub(crate) async fn lists(&self, path: &str) -> Result<Vec<Value>, Broken> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        let joint = if path.contains('?') { '&' } else { '?' };
        loop {
            let cursor = after.map(|after| format!("{joint}after={after}")).unwrap_or_default();
            let mut part = self.reads(&format!("{path}{cursor}")).await?;
            let items = part.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
            all.extend(items);
            match part.get("next").and_then(Value::as_str) {
                Some(next) => after = Some(next.to_owned()),
                None => return Ok(all),
            }
        }
    }

    /// Sends a form, again until it is answered.
    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Result<Answer, Broken> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut pause = Duration::from_millis(100);
        for _ in 0..ATTEMPTS {
            let sent = self.send(("POST", path), ("application/x-www-form-urlencoded", &body), None).await?;
            let suspended = |it: &Answer| it.status == StatusCode::FORBIDDEN && code(it) == "tenant_suspended";
            match sent.filter(|it| !it.status.is_server_error() && !suspended(it)) {
                Some(answer) => return Ok(answer),
                None => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(Broken(format!("{} {path}: nothing comes of it", self.host)))
    }
}

/// The subdomain of a tenant; its word is told to its own people only, and so is not in it.
pub(crate) fn slug(tenant: usize) -> String {
    format!("company-{tenant}")
}

/// Whether a refusal says that it stands already as it was asked to be.
fn is_done_before(method: &str, code: &str) -> bool {
    (method == "DELETE" && code == "not_found")
        || ["tenants.erased", "tenants.not_suspended", "notifications.no_draft", "billing.subscribed"].contains(&code)
}

fn text(body: &Value) -> String {
    if body.is_null() { String::new() } else { body.to_string() }
}

fn code(answer: &Answer) -> String {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    problem.get("code").and_then(Value::as_str).unwrap_or("none").to_owned()
}

fn told(answer: &Answer) -> Told {
    match answer.status.as_u16() {
        200..300 => Told::Done(serde_json::from_slice(&answer.body).unwrap_or_default()),
        500.. => Told::Unknown,
        _ => Told::Refused(code(answer)),
    }
}
