//! Answers that go on: each company hears of itself.

use futures::StreamExt;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::Side;

/// Every operation that answers with a stream has its case here.
pub(crate) async fn apart(left: &Side<'_>, right: &Side<'_>, document: &Value) {
    let items = document["paths"].as_object().unwrap().values();
    let operations = items.flat_map(|item| item.as_object().unwrap().values());
    let streams = operations.filter(|it| it["responses"]["200"]["content"].get("text/event-stream").is_some());
    let mut heard = 0;
    for stream in streams {
        match stream["operationId"].as_str().unwrap() {
            "notifications.inbox.stream" => inbox(left, right).await,
            unknown => panic!("{unknown}: say here what one company must not hear of another"),
        }
        heard += 1;
    }
    assert!(heard > 0, "the document tells which answers are streams");
}

/// A message to the company's owner, of this word.
async fn tells(side: &Side<'_>, word: &str) {
    let owner = &side.company.owner;
    let me = owner.does("GET", "/v1/me", Value::Null).await["id"].clone();
    let asked = json!({ "template": "news", "to": { "user": me }, "variables": { "word": word } });
    owner.does("POST", "/v1/notifications", asked).await;
}

/// Reads until the word was heard; all that came before it.
async fn hears(side: &Side<'_>, until: &str) -> String {
    let answer = side.company.owner.request("GET", "/v1/me/inbox/stream").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let (mut pieces, mut heard) = (answer.bytes_stream(), String::new());
    while !heard.contains(until) {
        let piece = pieces.next().await.expect("the stream goes on").unwrap();
        heard.push_str(std::str::from_utf8(&piece).unwrap());
    }
    heard
}

async fn inbox(left: &Side<'_>, right: &Side<'_>) {
    let texts = json!({ "subject": "News", "text": "{{ word }}" });
    let word = json!({ "word": { "type": "text", "example": "word" } });
    let news = json!({ "wording": { "category": "product", "variables": word, "locales": { "en": texts } } });
    for side in [left, right] {
        side.company.owner.does("PUT", "/v1/templates/news", news.clone()).await;
        side.company.owner.does("POST", "/v1/templates/news/publish", json!({})).await;
    }
    for (kind, person) in &left.credentials {
        let carried = person.clone().elsewhere(&right.company.owner.host);
        let answer = carried.request("GET", "/v1/me/inbox/stream").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "the stream of another company, with a {kind}");
    }
    // Both listen while both are told something; the last word ends it, so nothing that came between was missed.
    let speak = async {
        for round in 0..3 {
            tells(right, &format!("right-{round}")).await;
            tells(left, &format!("left-{round}")).await;
        }
        tells(right, "right-last").await;
        tells(left, "left-last").await;
    };
    let (ours, theirs, ()) = tokio::join!(hears(left, "left-last"), hears(right, "right-last"), speak);
    assert!(ours.contains("left-0") && !ours.contains("right-"), "{ours}");
    assert!(theirs.contains("right-0") && !theirs.contains("left-"), "{theirs}");
}
