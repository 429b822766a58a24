//! Requests to a gateway, and what the lack of an answer means.

use std::time::Duration;

use billing_gateways::Failure;
use reqwest::{Client, Url, redirect::Policy};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(25);
const CONNECT: Duration = Duration::from_secs(5);
/// What is read of an answer: a page of payments has some hundred kilobytes.
const READ: usize = 4 << 20;

/// A client that follows nobody elsewhere.
pub(crate) fn client() -> Result<Client, reqwest::Error> {
    Client::builder()
        .redirect(Policy::none())
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT)
        .user_agent(concat!("Freehold/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// An address below another: each part of the path is one segment, whatever is in it.
pub(crate) fn address(base: &str, path: &[&str]) -> Result<Url, Failure> {
    let wrong = || Failure::refused("gateway_address", "the address of the gateway's interface is not one");
    let mut url = Url::parse(base).map_err(|_| wrong())?;
    url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().extend(path);
    Ok(url)
}

/// No answer: where there was no connection, nothing was done.
pub(crate) fn lost(error: &reqwest::Error) -> Failure {
    // Not the error itself: it may tell the address with what is in it.
    if error.is_connect() {
        Failure::Later("the gateway cannot be reached".to_owned())
    } else {
        Failure::Unknown("the gateway's answer did not come".to_owned())
    }
}

/// The answer as JSON; what is none tells nothing of what was done.
pub(crate) async fn body(mut response: reqwest::Response) -> Result<Value, Failure> {
    let mut read = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
        read.extend_from_slice(&chunk);
        if read.len() > READ {
            return Err(Failure::Unknown("the gateway's answer is too long".to_owned()));
        }
    }
    if read.is_empty() {
        return Ok(Value::Null);
    }
    Ok(serde_json::from_slice(&read).unwrap_or(Value::Null))
}

/// What an answer that is no success means: a refusal with a code of the gateway's, unless the status says otherwise.
pub(crate) fn failure(status: reqwest::StatusCode, code: &str, detail: &str) -> Failure {
    match status.as_u16() {
        401 | 403 => Failure::refused("gateway_unauthorized", detail),
        // A request under the same key, or about the same object, is under way.
        409 | 429 => Failure::Later(format!("the gateway is busy ({code})")),
        status if status >= 500 => Failure::Unknown(format!("the gateway answered {status}")),
        _ => Failure::refused(code, detail),
    }
}

/// What cannot be read tells nothing of what was done.
pub(crate) fn unreadable() -> Failure {
    Failure::Unknown("the gateway's answer cannot be read".to_owned())
}

/// A text in an answer.
pub(crate) fn text(from: &Value, name: &str) -> Result<String, Failure> {
    from.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(unreadable)
}
