//! Requests to Stripe, and what their failures mean.

use std::time::Duration;

use http::{Method, StatusCode};
use reqwest::{Url, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use billing_gateways::Failure;

/// The version of the interface that the adapter was written for.
const VERSION: &str = "2025-09-30.clover";
const TIMEOUT: Duration = Duration::from_secs(25);
const CONNECT: Duration = Duration::from_secs(5);
/// What is read of an answer: a page of payments has some hundred kilobytes.
const READ: usize = 4 << 20;

pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    key: SecretString,
}

impl Client {
    pub(crate) fn new(url: String, key: SecretString) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT)
            .user_agent(concat!("Freehold/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http, url, key })
    }

    /// Sends a form, or a query where the method is safe; each part of the path is one segment, whatever is in it.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &[&str],
        fields: &[(&str, &str)],
        once: Option<&str>,
    ) -> Result<Value, Failure> {
        let wrong = |error: &str| Failure::refused("address", error.to_owned());
        let mut url = Url::parse(&self.url).map_err(|_| wrong("the address of the gateway is not one"))?;
        url.path_segments_mut()
            .map_err(|()| wrong("the address of the gateway has no path"))?
            .pop_if_empty()
            .push("v1")
            .extend(path);
        let mut request = match method {
            Method::GET => {
                if !fields.is_empty() {
                    url.query_pairs_mut().extend_pairs(fields);
                }
                self.http.get(url)
            }
            _ => self.http.post(url).form(fields),
        };
        if let Some(once) = once {
            request = request.header("idempotency-key", once);
        }
        let request = request.bearer_auth(self.key.expose_secret()).header("stripe-version", VERSION);
        let response = request.send().await.map_err(|error| lost(&error))?;
        let status = response.status();
        let answer = body(response).await?;
        if status.is_success() { Ok(answer) } else { Err(failure(status, &answer)) }
    }
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

/// What an answer that is no success means. <https://docs.stripe.com/api/errors>
fn failure(status: StatusCode, answer: &Value) -> Failure {
    let error = |name: &str| answer.pointer(&format!("/error/{name}")).and_then(Value::as_str);
    let code = error("decline_code").or_else(|| error("code")).or_else(|| error("type")).unwrap_or("refused");
    let detail = error("message").unwrap_or("the gateway gave no reason");
    match status.as_u16() {
        401 | 403 => Failure::refused("gateway_unauthorized", detail),
        // A request under the same key, or about the same object, is under way.
        409 | 429 => Failure::Later(format!("the gateway is busy ({code})")),
        status if status >= 500 => Failure::Unknown(format!("the gateway answered {status}")),
        _ => Failure::refused(code, detail),
    }
}
