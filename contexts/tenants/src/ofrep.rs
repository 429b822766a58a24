//! The OpenFeature Remote Evaluation Protocol (OFREP 0.2): one flag, and all of them with an ETag.

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use kernel::{Cx, Problem, context::Body};
use serde::Deserialize;
use serde_json::{Value, json};
use store::Page;

use crate::{Tenants, feature::Feature};

#[derive(Deserialize, Default)]
struct Asked {
    #[serde(default)]
    context: Context,
}

#[derive(Deserialize, Default)]
struct Context {
    #[serde(rename = "targetingKey")]
    targeting_key: Option<String>,
}

fn answered(status: StatusCode, body: &Value, tag: Option<&str>) -> Result<Response<Body>, Problem> {
    let mut response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    if let Some(tag) = tag {
        response = response.header(header::ETAG, tag);
    }
    response.body(body.to_string().into()).map_err(Problem::internal)
}

/// Who is asked for: what the client says, else the caller.
fn target(request: &Request<Bytes>, cx: &Cx) -> Result<String, Problem> {
    let asked: Asked = if request.body().is_empty() {
        Asked::default()
    } else {
        serde_json::from_slice(request.body()).map_err(|error| Problem::invalid_field("", error.to_string()))?
    };
    let named = asked.context.targeting_key.filter(|key| !key.is_empty() && key.len() <= 256);
    Ok(named.unwrap_or_else(|| cx.caller().to_string()))
}

fn evaluation(feature: &Feature, target: &str) -> Value {
    let (value, reason) = feature.evaluate(target);
    json!({ "key": feature.key().as_str(), "value": value, "reason": reason, "variant": if value { "on" } else { "off" },
        "metadata": {} })
}

impl Tenants {
    pub(crate) async fn evaluate_one(&self, request: Request<Bytes>, cx: Cx) -> Result<Response<Body>, Problem> {
        let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let target = target(&request, &cx)?;
        let found = match name.parse() {
            Ok(key) => self.store.at(&cx).try_load::<Feature>(&key).await?,
            Err(_) => None,
        };
        if let Some(feature) = found {
            return answered(StatusCode::OK, &evaluation(&feature, &target), None);
        }
        let unknown = json!({ "key": name, "errorCode": "FLAG_NOT_FOUND",
            "errorDetails": "no feature of this tenant has that key" });
        answered(StatusCode::NOT_FOUND, &unknown, None)
    }

    pub(crate) async fn evaluate_all(&self, request: Request<Bytes>, cx: Cx) -> Result<Response<Body>, Problem> {
        let target = target(&request, &cx)?;
        let listed = self.store.at(&cx).list::<Feature>("all", "", &Page { limit: 200, ..Page::default() }).await?;
        let flags: Vec<Value> = listed.items.iter().map(|feature| evaluation(feature, &target)).collect();
        let body = json!({ "flags": flags, "metadata": {} });
        let digest = ring::digest::digest(&ring::digest::SHA256, body.to_string().as_bytes());
        let half = digest.as_ref().iter().take(12);
        let tag = half.fold(String::from("\""), |tag, byte| format!("{tag}{byte:02x}")) + "\"";
        if request.headers().get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
            let unchanged = Response::builder().status(StatusCode::NOT_MODIFIED).header(header::ETAG, tag);
            return unchanged.body(Bytes::new().into()).map_err(Problem::internal);
        }
        answered(StatusCode::OK, &body, Some(&tag))
    }
}
