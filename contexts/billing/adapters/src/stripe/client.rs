//! Requests to Stripe, and what their failures mean.

use billing_gateways::Failure;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::http::{address, body, client, failure, lost};

/// The version of the interface that the adapter was written for.
const VERSION: &str = "2025-09-30.clover";

pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    key: SecretString,
}

impl Client {
    pub(crate) fn new(url: String, key: SecretString) -> Result<Self, reqwest::Error> {
        Ok(Self { http: client()?, url, key })
    }

    /// Sends a form, or a query where the method is safe.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &[&str],
        fields: &[(&str, &str)],
        once: Option<&str>,
    ) -> Result<Value, Failure> {
        let mut url = address(&self.url, &[&["v1"], path].concat())?;
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
        if status.is_success() {
            return Ok(answer);
        }
        // <https://docs.stripe.com/api/errors>
        let error = |name: &str| answer.pointer(&format!("/error/{name}")).and_then(Value::as_str);
        let code = error("decline_code").or_else(|| error("code")).or_else(|| error("type")).unwrap_or("refused");
        Err(failure(status, code, error("message").unwrap_or("the gateway gave no reason")))
    }
}
