//! Against a receiver on a socket, as it is.

use std::sync::Mutex;

use kernel::{Id, time::SystemClock};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::port::Content;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn webhooks(reach: Reach) -> Webhooks {
    drop(rustls::crypto::ring::default_provider().install_default());
    Webhooks::new(reach, Arc::new(SystemClock))
}

fn message(url: &str) -> Message {
    let endpoint = Endpoint { name: "one".to_owned(), url: url.to_owned(), secrets: vec![SECRET.to_owned()] };
    let content = Content { text: r#"{"type":"a"}"#.to_owned(), ..Content::default() };
    Message { id: Id::from_uuid(uuid::Uuid::from_u128(7)), to: Target::Webhook(endpoint), content }
}

/// Answers each connection the same, and keeps the last request.
async fn receiver(listener: &TcpListener, answer: &str, got: &Mutex<String>) {
    loop {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let mut length = 0;
        while !String::from_utf8_lossy(&request[..length]).ends_with('}') {
            length += connection.read(&mut request[length..]).await.unwrap();
        }
        *got.lock().unwrap() = String::from_utf8_lossy(&request[..length]).into_owned();
        // The receiver may be cut off.
        drop(connection.write_all(answer.as_bytes()).await);
    }
}

async fn delivered(answer: &str) -> (Outcome, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}/hook?key=1", listener.local_addr().unwrap().port());
    let (webhooks, got) = (webhooks(Reach::Anywhere), Mutex::default());
    let outcome = tokio::select! {
        outcome = async { webhooks.deliver(&message(&url)).await } => outcome,
        () = receiver(&listener, answer, &got) => unreachable!("the receiver goes on"),
    };
    (outcome, got.into_inner().unwrap())
}

#[tokio::test]
async fn it_is_signed_and_named() {
    let (outcome, got) = delivered("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    assert_eq!((outcome.result, outcome.status), (Ok(()), Some(204)));
    let header = |name: &str| {
        let line = got.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("{name} is missing in {got}")).to_owned()
    };
    assert!(got.starts_with("POST /hook?key=1 HTTP/1.1\r\n") && got.ends_with("\r\n\r\n{\"type\":\"a\"}"), "{got}");
    let (id, seconds) = (header("webhook-id"), header("webhook-timestamp").parse().unwrap());
    assert_eq!(id, Id::<contracts::notifications::NotificationKind>::from_uuid(uuid::Uuid::from_u128(7)).to_string());
    assert_eq!(header("webhook-signature"), signature::sign([SECRET], &id, seconds, br#"{"type":"a"}"#));
}

#[tokio::test]
async fn answers_decide_what_follows() {
    let answer = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\nconnection: close\r\n{more}\r\n");
    let (gone, _) = delivered(&answer("410 Gone", "content-length: 0\r\n")).await;
    assert!(matches!(gone.result, Err(DeliveryError::Bounced(_))));
    let (busy, _) =
        delivered(&answer("503 Busy", "retry-after: 120\r\ncontent-length: 2\r\n").replace("\r\n\r\n", "\r\n\r\nno"))
            .await;
    assert!(matches!(busy.result, Err(DeliveryError::Transient(_))));
    assert_eq!((busy.pause, busy.response.as_deref()), (Some(Duration::from_mins(2)), Some("no")));
    let elsewhere = answer("302 Found", "location: http://127.0.0.1:1/\r\ncontent-length: 0\r\n");
    let (elsewhere, _) = delivered(&elsewhere).await;
    assert_eq!(elsewhere.status, Some(302), "a redirect is not followed");
    let endless = format!("HTTP/1.1 500 No\r\nconnection: close\r\n\r\n{}", "x".repeat(100_000));
    let (endless, _) = delivered(&endless).await;
    assert_eq!(endless.response.unwrap().len(), KEPT);
}

#[tokio::test]
async fn what_is_not_public_is_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let webhooks = webhooks(Reach::Public);
    for (url, why) in [
        (format!("https://localhost:{port}/"), "the address is not one of the public internet"),
        (format!("https://127.0.0.1:{port}/"), "cannot be reached from here"),
        (format!("https://0x7f000001:{port}/"), "cannot be reached from here"),
        (format!("https://[::ffff:127.0.0.1]:{port}/"), "cannot be reached from here"),
        (format!("http://example.com:{port}/"), "expected https"),
    ] {
        let refused = tokio::select! {
            outcome = async { webhooks.deliver(&message(&url)).await } => outcome.result.unwrap_err().to_string(),
            _ = listener.accept() => panic!("{url} was connected to"),
        };
        assert!(refused.contains(why), "{url}: {refused}");
    }
}

#[tokio::test]
async fn a_slow_receiver_holds_up_itself_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow = message(&format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port()));
    let webhooks = webhooks(Reach::Anywhere);
    let waiting = futures::future::join_all((0..AT_ONCE).map(|_| webhooks.deliver(&slow)));
    tokio::select! {
        _ = waiting => unreachable!("nobody answers"),
        () = async {
            let mut held = Vec::new();
            for _ in 0..AT_ONCE {
                held.push(listener.accept().await.unwrap());
            }
            assert_eq!(webhooks.deliver(&slow).await.result, Err(DeliveryError::Busy));
            let mut other = message("http://127.0.0.1:1/");
            if let Target::Webhook(endpoint) = &mut other.to {
                endpoint.name = "other".to_owned();
            }
            assert!(matches!(webhooks.deliver(&other).await.result, Err(DeliveryError::Transient(_))));
        } => {}
    }
}
