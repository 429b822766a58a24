//! Notifications through the real program: mail, webhooks, the inbox and its stream, over real HTTP and SMTP.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where something is not as it must be")]

mod site;

use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use futures::StreamExt;
use reqwest::StatusCode;
use serde_json::{Value, json};
use site::{PASSWORD, Person, Site, mailpit, unique, until};

/// Someone who works there; their address, and themselves.
async fn colleague<'a>(owner: &Person<'a>) -> (String, Person<'a>) {
    let email = unique("charles");
    let asked = json!({ "email": email, "name": "Charles", "role": "member" });
    owner.does("POST", "/v1/invitations", asked).await;
    let link = owner.site.link_for(&email).await;
    (email, owner.site.visitor(&owner.host).follows(&link, PASSWORD).await)
}

/// A template of the product's, published.
async fn publish(owner: &Person<'_>, key: &str) {
    let wording = json!({
        "category": "product",
        "variables": { "order": { "type": "text", "example": "4711" } },
        "locales": { "en": {
            "subject": "Order {{ order }}",
            "text": "Dear {{ recipient }}, order {{ order }} of {{ company }} is on its way.",
            "html": "<p>Order <b>{{ order }}</b></p>",
        } },
    });
    owner.does("PUT", &format!("/v1/templates/{key}"), json!({ "wording": wording })).await;
    let told = owner.does("POST", &format!("/v1/templates/{key}/publish"), json!({})).await;
    assert_eq!(told["version"], 1);
}

async fn send(owner: &Person<'_>, to: Value, order: &str) -> Value {
    let asked = json!({ "to": to, "template": "order.shipped", "variables": { "order": order } });
    owner.does("POST", "/v1/notifications", asked).await
}

/// What a receiver of webhooks got.
#[derive(Clone, Debug)]
struct Hook {
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

/// A receiver of webhooks, on this machine.
#[derive(Clone, Default)]
struct Receiver {
    answer: Arc<AtomicU16>,
    got: Arc<Mutex<Vec<Hook>>>,
}

impl Receiver {
    /// Listens; where.
    async fn listen() -> (Self, String) {
        let it = Self::default();
        it.answers(204);
        let take = |State(it): State<Self>, headers: HeaderMap, body: Bytes| async move {
            let header = |name: &str| headers[name].to_str().unwrap().to_owned();
            let (id, timestamp, signature) =
                (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
            let body = String::from_utf8(body.to_vec()).unwrap();
            it.got.lock().unwrap().push(Hook { id, timestamp, signature, body });
            StatusCode::from_u16(it.answer.load(Ordering::SeqCst)).unwrap()
        };
        let never = || async { std::future::pending::<()>().await };
        let router = Router::new().route("/hook", post(take)).route("/slow", post(never)).with_state(it.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (it, at)
    }

    fn answers(&self, status: u16) {
        self.answer.store(status, Ordering::SeqCst);
    }

    /// The newest of those that hold these words, once there are so many.
    async fn gets(&self, words: &str, count: usize) -> Hook {
        until(&format!("{count} webhooks with {words}"), async || {
            let got = self.got.lock().unwrap();
            let found: Vec<_> = got.iter().filter(|hook| hook.body.contains(words)).collect();
            found.last().filter(|_| found.len() >= count).map(|hook| (*hook).clone())
        })
        .await
    }
}

/// Whether the library of others accepts it; nothing where that is not installed.
fn verified(secret: &str, hook: &Hook) -> Option<bool> {
    let modules = store::contract::server("FREEHOLD_TEST_WEBHOOKS_CLIENT")?;
    let script = Path::new(&modules).join("verify.mjs");
    let told = [secret, &hook.id, &hook.timestamp, &hook.signature, &hook.body];
    let output = Command::new("node").arg(script).args(told).current_dir(&modules).output().unwrap();
    Some(output.status.success())
}

async fn status(owner: &Person<'_>, sent: &Value, means: &str) -> Value {
    let path = format!("/v1/notifications/{}", sent["id"].as_str().unwrap());
    owner.does("GET", &path, Value::Null).await["deliveries"][means].clone()
}

async fn reaches(owner: &Person<'_>, sent: &Value, means: &str, wanted: &str) {
    until(&format!("{means} {wanted}"), async || (status(owner, sent, means).await["status"] == wanted).then_some(()))
        .await;
}

async fn endpoint(owner: &Person<'_>, url: String, events: Value) -> (String, String) {
    let asked = json!({ "name": "CRM", "url": url, "events": events });
    let made = owner.does("POST", "/v1/channels/webhooks", asked).await;
    (made["channel"]["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_signed_tried_again_replayed_and_rotated() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(&folder.path().join("data"), None, mail).await;
    let owner = site.company("acme", "Ada Lovelace", &unique("acme")).await.1;
    publish(&owner, "order.shipped").await;
    let (receiver, at) = Receiver::listen().await;
    let (channel, secret) = endpoint(&owner, format!("{at}/hook"), json!(["identity.*"])).await;
    assert!(!owner.does("GET", "/v1/channels", Value::Null).await.to_string().contains("whsec_"));

    // What happens in the tenant is told, without what is personal.
    let (email, _) = colleague(&owner).await;
    let hook = receiver.gets("identity.UserRegistered.v1", 1).await;
    let told: Value = serde_json::from_str(&hook.body).unwrap();
    assert!(told["data"]["email"].is_null() && told["data"]["user"].is_string(), "{told}");
    assert!(!hook.body.contains(&email) && !hook.body.contains("Charles"));
    assert_eq!(verified(&secret, &hook), verified(&secret, &hook).map(|_| true));
    let forged = Hook { body: hook.body.replace("identity", "forged"), ..hook };
    assert_eq!(verified(&secret, &forged), verified(&secret, &forged).map(|_| false));

    // An endpoint that says that it is gone gets nothing more, until it is switched on; then what failed is replayed.
    receiver.answers(410);
    let sent = send(&owner, json!({ "channel": channel }), "gone-1").await;
    reaches(&owner, &sent, "webhook", "bounced").await;
    let attempt = status(&owner, &sent, "webhook").await["attempts"][0].clone();
    assert!(attempt["status"] == 410 && attempt["millis"].is_u64(), "{attempt}");
    let listed = owner.does("GET", "/v1/channels", Value::Null).await;
    assert_eq!(listed["items"][0]["state"], "disabled");
    receiver.answers(204);
    let asked = json!({ "to": { "channel": channel }, "template": "order.shipped", "variables": { "order": "off" } });
    owner.refused("POST", "/v1/notifications", asked, "notifications.channel_off").await;
    owner.does("POST", &format!("/v1/channels/{channel}/switch"), json!({ "enabled": true })).await;
    let replay = format!("/v1/channels/{channel}/replay");
    let replayed = owner.does("POST", &replay, json!({ "since": "2026-01-01T00:00:00Z" })).await;
    reaches(&owner, &sent, "webhook", "delivered").await;
    let batch = format!("/v1/notification-batches/{}", replayed["id"].as_str().unwrap());
    until("the end of the replay", async || {
        let batch = owner.does("GET", &batch, Value::Null).await;
        // What came of the colleague's coming may have met the same answer.
        (batch["finished"] == true && batch["done"].as_u64() >= Some(1)).then_some(())
    })
    .await;
    let again = receiver.gets("gone-1", 2).await;
    assert_eq!(again.id, sent["id"].as_str().unwrap(), "the same id on each attempt");

    // For a while both secrets are good.
    let rotated = owner.does("POST", &format!("/v1/channels/{channel}/rotate"), json!({})).await;
    let fresh = rotated["secret"].as_str().unwrap();
    send(&owner, json!({ "channel": channel }), "rotated-1").await;
    let hook = receiver.gets("rotated-1", 1).await;
    for secret in [fresh, &secret] {
        assert_eq!(verified(secret, &hook), verified(secret, &hook).map(|_| true), "{secret}");
    }
    slow_receivers(&owner, &receiver, &at, &channel).await;
}

/// One that never answers holds up itself alone.
async fn slow_receivers(owner: &Person<'_>, receiver: &Receiver, at: &str, channel: &str) {
    let (slow, _) = endpoint(owner, format!("{at}/slow"), json!([])).await;
    let mut waiting = Vec::new();
    for number in 0..12 {
        waiting.push(send(owner, json!({ "channel": slow }), &format!("slow-{number}")).await);
    }
    let quick = send(owner, json!({ "channel": channel }), "quick-1").await;
    reaches(owner, &quick, "webhook", "delivered").await;
    receiver.gets("quick-1", 1).await;
    for it in &waiting {
        assert_eq!(status(owner, it, "webhook").await["status"], "waiting");
    }
}

/// The mails with a subject, as mailpit holds them.
async fn mails(site: &Site, mailpit: u16, subject: &str) -> Vec<Value> {
    let query = format!("http://127.0.0.1:{}/api/v1/search?limit=500&query=subject:%22{subject}%22", mailpit + 1);
    let found: Value = site.http.get(query).send().await.unwrap().json().await.unwrap();
    found["messages"].as_array().unwrap().clone()
}

/// A word that no other run uses.
fn word(name: &str) -> String {
    unique(name).split('@').next().unwrap().replace('.', "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_opts_out_by_one_click_and_is_told_why_nothing_comes() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(&folder.path().join("data"), None, mail).await;
    let owner = site.company("acme", "Ada Lovelace", &unique("acme")).await.1;
    publish(&owner, "order.shipped").await;
    let (_, member) = colleague(&owner).await;
    let people = until("the colleague", async || {
        let people = owner.does("GET", "/v1/users?search=char", Value::Null).await;
        people["items"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    let order = word("first");
    let sent = send(&owner, json!({ "user": people }), &order).await;
    reaches(&owner, &sent, "mail", "sent").await;
    let found = until("the mail", async || mails(&site, mail, &order).await.first().cloned()).await;
    let id = found["ID"].as_str().unwrap();
    let headers = format!("http://127.0.0.1:{}/api/v1/message/{id}/headers", mail + 1);
    let headers: Value = site.http.get(headers).send().await.unwrap().json().await.unwrap();
    assert_eq!(headers["List-Unsubscribe-Post"][0], "List-Unsubscribe=One-Click");
    assert!(headers["Message-Id"][0].as_str().unwrap().contains(sent["id"].as_str().unwrap()), "{headers}");
    let link = headers["List-Unsubscribe"][0].as_str().unwrap().trim_matches(['<', '>']).to_owned();

    // Looking at the link does nothing; nor does one that was touched.
    let look = async |method: &str, link: &str| {
        let request = site.http.request(method.parse().unwrap(), link).body("List-Unsubscribe=One-Click");
        request.send().await.unwrap()
    };
    assert!(look("GET", &link).await.text().await.unwrap().contains("<form"));
    assert_eq!(look("POST", &format!("{link}x")).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(look("POST", &link.replace("acme.", "globex.")).await.status(), StatusCode::NOT_FOUND);
    let again = word("second");
    reaches(&owner, &send(&owner, json!({ "user": people }), &again).await, "mail", "sent").await;
    assert_eq!(look("POST", &link).await.status(), StatusCode::OK);
    let silent = send(&owner, json!({ "user": people }), &word("third")).await;
    assert_eq!(silent["deliveries"]["mail"]["because"], "opted_out");
    let matrix = member.does("GET", "/v1/me/notification-preferences", Value::Null).await;
    assert_eq!(matrix["categories"]["product"]["channels"]["mail"]["delivered"], false);

    // By a server of the tenant's own, under its own name.
    let server = json!({ "name": "Own", "host": "localhost", "port": mail, "from": "Acme <hello@acme.example>",
        "user": null, "password": null });
    let server = owner.does("POST", "/v1/channels/mail-servers", server).await["channel"]["id"].clone();
    let settings = json!({ "locale": "en", "retention_days": 30, "mail_channel": server });
    owner.does("PUT", "/v1/notification-settings", settings).await;
    let tried = json!({ "variables": { "order": word("tried") } });
    let tried = owner.does("POST", "/v1/templates/order.shipped/test", tried).await;
    let tried =
        until("the trial", async || mails(&site, mail, tried["subject"].as_str().unwrap()).await.first().cloned())
            .await;
    assert_eq!(tried["From"]["Address"], "hello@acme.example");

    // Each sees what is theirs.
    let own = member.does("GET", "/v1/me/notifications", Value::Null).await;
    assert!(own["items"].as_array().unwrap().len() >= 3);
    member.refused("GET", "/v1/templates", Value::Null, "permission_denied").await;
    let path = format!("/v1/me/inbox/{}", silent["id"].as_str().unwrap());
    owner.refused("PATCH", &path, json!({ "read": true }), "not_found").await;
    member.does("PATCH", &path, json!({ "read": true })).await;
    reaches(&owner, &silent, "inbox", "delivered").await;
    let told = [
        "notifications.TemplateUpdated.v1",
        "notifications.ChannelUpdated.v1",
        "notifications.NotificationPreferenceChanged.v1",
    ];
    owner.told(&told).await;
}

/// Reads a stream until it holds these words; nothing once it is over. One that must be given up is an error.
async fn reads(stream: &mut (impl StreamExt<Item = reqwest::Result<Bytes>> + Unpin), words: &str) -> Option<String> {
    let mut read = String::new();
    while !read.contains(words) {
        read.push_str(&String::from_utf8_lossy(&stream.next().await?.unwrap()));
    }
    Some(read)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_streams_resumes_and_ends_with_the_session() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(&folder.path().join("data"), None, mail).await;
    let owner = site.company("acme", "Ada Lovelace", &unique("acme")).await.1;
    publish(&owner, "order.shipped").await;
    let (_, member) = colleague(&owner).await;
    let me = until("the profile", async || {
        member.send("GET", "/v1/me", Value::Null).await.1["id"].as_str().map(str::to_owned)
    })
    .await;
    send(&owner, json!({ "user": me }), "before").await;
    let open = async || member.request("GET", "/v1/me/inbox/stream").send().await.unwrap();
    let answer = open().await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut stream = answer.bytes_stream();
    send(&owner, json!({ "user": me }), "live-1").await;
    let read = reads(&mut stream, "live-1").await.unwrap();
    assert!(!read.contains("before"), "a stream begins now: {read}");
    let cursor = read.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    drop(stream);
    send(&owner, json!({ "user": me }), "meanwhile-1").await;
    let resumed = member.request("GET", "/v1/me/inbox/stream").header("last-event-id", cursor).send().await.unwrap();
    let mut stream = resumed.bytes_stream();
    assert!(reads(&mut stream, "meanwhile-1").await.is_some());
    let forged = member.request("GET", "/v1/me/inbox/stream").header("last-event-id", "???").send().await.unwrap();
    assert_eq!(forged.status(), StatusCode::BAD_REQUEST);

    // No more than five at a time.
    let mut open_ones = Vec::new();
    for _ in 0..4 {
        open_ones.push(open().await);
    }
    assert_eq!(open().await.status(), StatusCode::TOO_MANY_REQUESTS);
    let sessions = member.does("GET", "/v1/me/sessions", Value::Null).await;
    let session = sessions["items"][0]["id"].as_str().unwrap().to_owned();
    member.does("DELETE", &format!("/v1/me/sessions/{session}"), Value::Null).await;
    assert_eq!(reads(&mut stream, "never").await, None, "the stream ends with the session");
    assert_eq!(open().await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_on_after_a_power_cut() {
    let Some(mail) = mailpit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let site = Site::start(&data, None, mail).await;
    let owner = site.company("acme", "Ada Lovelace", &unique("acme")).await.1;
    publish(&owner, "order.shipped").await;
    let order = word("batch");
    let recipients: Vec<_> = (0..100)
        .map(|number| json!({ "to": { "address": unique(&format!("p{number}")) }, "variables": { "order": order } }))
        .collect();
    let asked = json!({ "id": "batch-1", "template": "order.shipped", "recipients": recipients });
    let batch = owner.does("POST", "/v1/notification-batches", asked.clone()).await;
    let path = format!("/v1/notification-batches/{}", batch["id"].as_str().unwrap());
    until("the first step", async || {
        (owner.does("GET", &path, Value::Null).await["done"].as_u64().unwrap() > 0).then_some(())
    })
    .await;
    let (credential, port) = (owner.credential(), site.port);
    site.kill();
    drop(owner);
    drop(site);
    let site = Site::start(&data, Some(port), mail).await;
    let owner = site.visitor("acme.localhost").with_cookie(&credential);
    assert_eq!(owner.does("POST", "/v1/notification-batches", asked).await["id"], batch["id"]);
    let sent = until("all mails", async || {
        let sent = mails(&site, mail, &order).await;
        let to: BTreeSet<_> = sent.iter().map(|it| it["To"][0]["Address"].to_string()).collect();
        (to.len() == 100).then_some(sent)
    })
    .await;
    // A mail whose record the cut lost comes again, and can be told: the same id.
    let ids: BTreeSet<_> = sent.iter().map(|it| it["MessageID"].to_string()).collect();
    assert_eq!(ids.len(), 100);
}
