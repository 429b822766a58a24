//! An installation under test: the real program on a free port, with a folder of its own, and people at their browsers.
#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Client, Response, StatusCode, redirect::Policy};
use serde_json::Value;

/// What everybody here chooses for a password.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// The longest that anything is waited for; what is slower has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program, and how to reach it.
pub(crate) struct Site {
    process: Child,
    pub(crate) port: u16,
    pub(crate) claim: Option<String>,
    pub(crate) http: Client,
    mailpit: u16,
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Addresses that no other run has.
pub(crate) fn unique(name: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let random = folder.path().file_name().unwrap().to_string_lossy().trim_start_matches('.').to_lowercase();
    format!("{name}.{random}@mail.example")
}

/// The file below a folder that holds these bytes, if one does.
pub(crate) fn holds(folder: &Path, needle: &[u8]) -> Option<String> {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = holds(&path, needle) {
                return Some(found);
            }
        } else if std::fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle) {
            return Some(path.display().to_string());
        }
    }
    None
}

/// Two bytes that no other run has in practice.
fn random_bytes() -> [u8; 2] {
    let mut bytes = [0; 2];
    kernel::entropy::Entropy::fill(&kernel::entropy::SystemEntropy::default(), &mut bytes);
    bytes
}

/// A port below those that outgoing connections take: it can be taken again after a restart.
pub(crate) fn free_port() -> u16 {
    let random = || u16::from_le_bytes(random_bytes());
    let ports = std::iter::repeat_with(|| 10_000 + random() % 20_000);
    ports.take(200).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// What an authenticator app does (RFC 4226).
pub(crate) fn code(secret: &str, step: u64) -> String {
    let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
    let tag = ring::hmac::sign(&key, &step.to_be_bytes());
    let offset = usize::from(tag.as_ref()[19] & 15);
    let four = u32::from_be_bytes(tag.as_ref()[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", four % 1_000_000)
}

/// The step of such codes that is now.
pub(crate) fn step() -> u64 {
    let now = kernel::Clock::now(&kernel::time::SystemClock);
    u64::try_from(jiff::Timestamp::UNIX_EPOCH.duration_until(now).as_secs()).unwrap() / 30
}

/// What holds of one of the caller's preferences.
pub(crate) fn preference(all: &Value, key: &str) -> Option<u64> {
    let items = all["items"].as_array().unwrap();
    items.iter().find(|item| item["key"] == key).map(|item| item["value"].as_u64().unwrap())
}

/// Where mailpit listens: SMTP, and one above it its REST API.
pub(crate) fn mailpit() -> Option<u16> {
    store::contract::server("FREEHOLD_TEST_MAILPIT")?.rsplit(':').next()?.parse().ok()
}

/// The PostgreSQL server that installations under test keep aggregates and events on, where the run is about that.
#[expect(clippy::disallowed_methods, reason = "servers under test are named by the environment")]
pub(crate) fn on_postgres() -> Option<String> {
    let engine = std::env::var("FREEHOLD_TEST_ENGINE").ok()?;
    assert_eq!(engine, "postgres", "FREEHOLD_TEST_ENGINE");
    store::contract::server("FREEHOLD_TEST_POSTGRES")
}

/// A connection to a database.
pub(crate) async fn database(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The database that belongs to a folder of data.
pub(crate) fn database_of(server: &str, data: &Path) -> String {
    let letters = data.display().to_string().to_lowercase().replace(|it: char| !it.is_ascii_alphanumeric(), "_");
    format!("{}/site{letters}", server.rsplit_once('/').unwrap().0)
}

/// The same, made where it is missing.
async fn own_database(server: &str, data: &Path) -> String {
    let (url, client) = (database_of(server, data), database(server).await);
    let name = url.rsplit_once('/').unwrap().1;
    let known = client.query("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await.unwrap();
    if known.is_empty() {
        client.execute(&format!("CREATE DATABASE {name}"), &[]).await.unwrap();
    }
    url
}

/// The table that holds these bytes, if one does.
pub(crate) async fn holds_in_database(url: &str, needle: &[u8]) -> Option<&'static str> {
    let client = database(url).await;
    for (table, column) in [("cores", "body"), ("cores", "parts"), ("outbox", "envelope"), ("log", "envelope")] {
        let sql = format!("SELECT 1 FROM {table} WHERE position($1::BYTEA IN {column}) > 0 LIMIT 1");
        if !client.query(&sql, &[&needle]).await.unwrap().is_empty() {
            return Some(table);
        }
    }
    for (table, column) in [("claims", "claim"), ("terms", "value"), ("terms", "sort")] {
        let sql = format!("SELECT 1 FROM {table} WHERE strpos({column}, $1) > 0 LIMIT 1");
        if !client.query(&sql, &[&String::from_utf8_lossy(needle)]).await.unwrap().is_empty() {
            return Some(table);
        }
    }
    None
}

impl Site {
    /// Starts the program on a folder and waits until it answers.
    pub(crate) async fn start(data: &Path, port: Option<u16>, mailpit: u16) -> Self {
        Self::start_with::<&str>(data, port, mailpit, &[]).await
    }

    /// The same, with more in its environment.
    pub(crate) async fn start_with<V: AsRef<std::ffi::OsStr>>(
        data: &Path,
        port: Option<u16>,
        mailpit: u16,
        more: &[(&str, V)],
    ) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let port = port.unwrap_or_else(free_port);
        let mut command = Command::new(env!("CARGO_BIN_EXE_freehold"));
        if let Some(server) = on_postgres() {
            command.env("FREEHOLD_STORE", own_database(&server, data).await);
        }
        let mut process = command
            .args(["--listen", &format!("127.0.0.1:{port}"), "--data"])
            .arg(data)
            .current_dir(data.parent().unwrap())
            .env("FREEHOLD_SMTP__HOST", "127.0.0.1")
            .env("FREEHOLD_SMTP__PORT", mailpit.to_string())
            .env("FREEHOLD_SMTP__TLS", "false")
            .env("FREEHOLD_RATE", "10000")
            .env("FREEHOLD_PRIVATE_TARGETS", "true")
            .envs(more.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut claim = None;
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some((_, token)) = line.split_once("/claim?token=") {
                claim = Some(token.to_owned());
            }
            if line.starts_with("ready") {
                break;
            }
        }
        std::thread::spawn(move || lines.for_each(drop));
        let own = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let names =
            ["localhost", "acme.localhost", "globex.localhost", "freehold.localhost", "acme.freehold.localhost"];
        let http = names.iter().fold(Client::builder(), |builder, name| builder.resolve(name, own));
        let http = http.redirect(Policy::none()).timeout(PATIENCE).build().unwrap();
        let site = Self { process, port, claim, http, mailpit };
        until("the program answers", async || site.http.get(site.at("localhost", "/livez")).send().await.ok()).await;
        site
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends the process as a power cut would end it.
    pub(crate) fn kill(&self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-9", &id]).status().unwrap().success());
        // Gone, or a zombie that holds neither port nor lock any more.
        let ended = || std::fs::read_to_string(format!("/proc/{id}/stat")).map_or(true, |stat| stat.contains(") Z "));
        while !ended() {
            std::thread::yield_now();
        }
    }

    /// Asks the process to end.
    pub(crate) fn stop(&self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Whether the process has ended, as it should.
    pub(crate) fn ended(&mut self) -> Option<()> {
        self.process.try_wait().unwrap().map(|status| assert!(status.success(), "{status}"))
    }

    pub(crate) fn at(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.port)
    }

    /// Someone at a browser, at one host name.
    pub(crate) fn visitor(&self, host: &str) -> Person<'_> {
        Person { site: self, host: host.to_owned(), credential: None }
    }

    /// Claims the installation; its operator.
    pub(crate) async fn operator(&self) -> Person<'_> {
        let token = self.claim.clone().unwrap();
        let fields =
            [("token", token.as_str()), ("name", "Olga"), ("email", "olga@ops.example"), ("password", PASSWORD)];
        let (answer, cookie) = self.visitor("localhost").form("/claim", &fields).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        self.visitor("localhost").with_cookie(&cookie.unwrap())
    }

    /// Signs up a company with a subdomain, follows its owner's link, and waits for the owner's profile; the tenant's id
    /// and the owner.
    pub(crate) async fn company(&self, slug: &str, owner: &str, email: &str) -> (String, Person<'_>) {
        let asked = serde_json::json!({ "company": slug.to_uppercase(), "slug": slug, "name": owner, "email": email });
        let tenant = self.visitor("localhost").does("POST", "/v1/sign-up", asked).await;
        let link = self.link_for(email).await;
        let owner = self.visitor(&format!("{slug}.localhost")).follows(&link, PASSWORD).await;
        until("the owner's profile", async || {
            let (status, me) = owner.send("GET", "/v1/me", Value::Null).await;
            (status == StatusCode::OK && me["email"] == email).then_some(())
        })
        .await;
        (tenant["id"].as_str().unwrap().to_owned(), owner)
    }

    /// The newest mail to an address.
    pub(crate) async fn mail_to(&self, address: &str) -> Value {
        let api = format!("http://127.0.0.1:{}/api/v1", self.mailpit + 1);
        until(&format!("mail to {address}"), async || {
            let found = self.http.get(format!("{api}/search?query=to:%22{address}%22")).send().await.ok()?;
            let found: Value = found.json().await.ok()?;
            let id = found["messages"][0]["ID"].as_str()?.to_owned();
            self.http.get(format!("{api}/message/{id}")).send().await.ok()?.json().await.ok()
        })
        .await
    }

    /// The link in the newest mail to an address.
    pub(crate) async fn link_for(&self, address: &str) -> String {
        until(&format!("a link to {address}"), async || {
            let mail = self.mail_to(address).await;
            let text = mail["Text"].as_str()?;
            text.split_whitespace().find(|word| word.starts_with("http")).map(str::to_owned)
        })
        .await
    }
}

/// Waits until something is there.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited too long: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Someone who asks.
#[derive(Clone)]
pub(crate) struct Person<'a> {
    pub(crate) site: &'a Site,
    pub(crate) host: String,
    credential: Option<(&'static str, String)>,
}

impl<'a> Person<'a> {
    pub(crate) fn with_cookie(mut self, cookie: &str) -> Self {
        self.credential = Some(("cookie", cookie.to_owned()));
        self
    }

    /// The cookie, to be used with another start.
    pub(crate) fn credential(&self) -> String {
        self.credential.clone().unwrap().1
    }

    /// The cookie, where there is one.
    pub(crate) fn cookie(&self) -> Option<&str> {
        self.credential.as_ref().filter(|(name, _)| *name == "cookie").map(|(_, value)| value.as_str())
    }

    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.credential = Some(("authorization", format!("Bearer {token}")));
        self
    }

    /// The same credential at another host name.
    pub(crate) fn elsewhere(mut self, host: &str) -> Person<'a> {
        host.clone_into(&mut self.host);
        self
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.to_uppercase().parse().unwrap();
        let request = self.site.http.request(method, self.site.at(&self.host, path));
        match &self.credential {
            Some((name, value)) => request.header(*name, value),
            None => request,
        }
    }

    /// Sends JSON; the status and the answer.
    pub(crate) async fn send(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self.request(method, path);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// A page.
    pub(crate) async fn text(&self, path: &str) -> String {
        let answer = self.request("GET", path).header("accept", "text/html").send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        text
    }

    /// Sends JSON and expects success.
    pub(crate) async fn does(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(method, path, body).await;
        assert_eq!(status, StatusCode::OK, "{method} {path}: {answer}");
        answer
    }

    /// Sends JSON and expects a problem with this code.
    pub(crate) async fn refused(&self, method: &str, path: &str, body: Value, code: &str) {
        let (status, answer) = self.send(method, path, body).await;
        assert_eq!(answer["code"], code, "{method} {path}: {status} {answer}");
    }

    /// Waits until each of these events was told: every event of a tenant is a fact of its type.
    pub(crate) async fn told(&self, types: &[&str]) {
        for name in types {
            let asked = serde_json::json!({ "measure": "count", "name": name });
            until(&format!("the event {name}"), async || {
                let rows = self.does("POST", "/v1/analytics/reports/query", asked.clone()).await;
                rows[0]["value"].as_f64().filter(|count| *count >= 1.0)
            })
            .await;
        }
    }

    /// Sends a form; the answer and the cookie it sets.
    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> (Response, Option<String>) {
        let answer = self.request("POST", path).form(fields).send().await.unwrap();
        let set = answer.headers().get("set-cookie").and_then(|it| it.to_str().ok());
        let cookie = set.and_then(|set| set.split(';').next()).map(str::to_owned);
        (answer, cookie)
    }

    /// Follows a mailed link and chooses a password; signed in from then on.
    pub(crate) async fn follows(&self, link: &str, password: &str) -> Person<'a> {
        let ticket = link.split_once("ticket=").unwrap().1;
        let (answer, cookie) =
            self.form("/welcome", &[("ticket", ticket), ("for", "verify"), ("password", password)]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.text().await.unwrap());
        self.clone().with_cookie(&cookie.unwrap())
    }
}
