//! The OpenFeature Remote Evaluation Protocol (OFREP 0.3): one flag, and all of them with an ETag.

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use kernel::{Caller, Cx, Problem, context::Body};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    Features,
    evaluation::{NoTarget, Served, Why},
};

/// The longest text that a rollout goes by, and the most that can be told of whoever asks.
const LONGEST_TARGET: usize = 256;
const MOST_ATTRIBUTES: usize = 100;

/// A refusal in the protocol's own words.
#[derive(Serialize)]
struct Failure<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(rename = "errorCode")]
    code: &'static str,
    #[serde(rename = "errorDetails")]
    details: &'static str,
}

#[derive(Serialize)]
struct Success<'a> {
    key: &'a str,
    value: &'a Value,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    /// Why, as people read it.
    explanation: Why<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Evaluated<'a> {
    Success(Success<'a>),
    Failure(Failure<'a>),
}

#[derive(Serialize)]
struct Bulk<'a> {
    flags: Vec<Evaluated<'a>>,
}

const NO_TARGET: (&str, &str) = ("TARGETING_KEY_MISSING", "a rollout needs a targetingKey in the context");

fn evaluated<'a>(key: &'a str, served: Result<Served<'a>, NoTarget>) -> Evaluated<'a> {
    match served {
        Ok(Served { value, variant, reason, why }) => {
            Evaluated::Success(Success { key, value, reason, variant, metadata: Metadata { explanation: why } })
        }
        Err(NoTarget) => Evaluated::Failure(Failure { key: Some(key), code: NO_TARGET.0, details: NO_TARGET.1 }),
    }
}

/// Whoever is asked for.
struct Asked {
    target: Option<String>,
    attributes: Map<String, Value>,
}

type Refused = (&'static str, &'static str);

impl Asked {
    /// What the client says; of a signed-in person who says nothing, the person.
    fn read(body: &[u8], cx: &Cx) -> Result<Self, Refused> {
        let invalid = |details| Err(("INVALID_CONTEXT", details));
        let mut attributes = match body {
            [] => Map::new(),
            body => match serde_json::from_slice(body) {
                Ok(Value::Object(mut fields)) => match fields.remove("context") {
                    Some(Value::Object(context)) => context,
                    None => Map::new(),
                    Some(_) => return invalid("the context is no object"),
                },
                Ok(_) | Err(_) => return Err(("PARSE_ERROR", "the body is not a JSON object")),
            },
        };
        if attributes.len() > MOST_ATTRIBUTES {
            return invalid("the context has more than 100 attributes");
        }
        let target = match attributes.remove("targetingKey") {
            Some(Value::String(target)) if target.len() <= LONGEST_TARGET => Some(target).filter(|it| !it.is_empty()),
            Some(_) => return invalid("the targetingKey is not a text of at most 256 bytes"),
            None => None,
        };
        let person = || matches!(cx.caller(), Caller::User { .. }).then(|| cx.caller().to_string());
        Ok(Self { target: target.or_else(person), attributes })
    }
}

fn answered(status: StatusCode, body: &impl Serialize, tag: Option<&str>) -> Result<Response<Body>, Problem> {
    let mut response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    if let Some(tag) = tag {
        response = response.header(header::ETAG, tag);
    }
    response.body(serde_json::to_vec(body).map_err(Problem::internal)?.into()).map_err(Problem::internal)
}

fn refused(key: Option<&str>, (code, details): Refused) -> Result<Response<Body>, Problem> {
    answered(StatusCode::BAD_REQUEST, &Failure { key, code, details }, None)
}

/// The same for the same answer: of the features, and of all that is known of whoever asks.
fn tag(features: &[u8], target: Option<&str>, body: &[u8]) -> String {
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    digest.update(features);
    for part in [target.unwrap_or_default().as_bytes(), body] {
        digest.update(&part.len().to_be_bytes());
        digest.update(part);
    }
    let digest = digest.finish();
    let half = digest.as_ref().get(..16).unwrap_or_default();
    half.iter().fold(String::with_capacity(34) + "\"", |tag, byte| tag + &format!("{byte:02x}")) + "\""
}

/// Whether a list of tags holds this one (RFC 9110, section 13.1.2: weak comparison).
fn knows(request: &Request<Bytes>, tag: &str) -> bool {
    let sent = request.headers().get_all(header::IF_NONE_MATCH).iter().filter_map(|it| it.to_str().ok());
    let mut tags = sent.flat_map(|it| it.split(',')).map(str::trim);
    tags.any(|it| it == "*" || it.strip_prefix("W/").unwrap_or(it) == tag)
}

impl Features {
    pub(crate) async fn evaluate_one(&self, request: Request<Bytes>, cx: Cx) -> Result<Response<Body>, Problem> {
        let key = request.uri().path().rsplit('/').next().unwrap_or_default();
        let asked = match Asked::read(request.body(), &cx) {
            Ok(asked) => asked,
            Err(why) => return refused(Some(key), why),
        };
        let set = self.flags(&cx).await?;
        match set.evaluate(key, asked.target.as_deref(), &asked.attributes) {
            Some(Ok(served)) => answered(StatusCode::OK, &evaluated(key, Ok(served)), None),
            Some(Err(NoTarget)) => refused(Some(key), NO_TARGET),
            None => {
                let details = "there is no feature of that key";
                answered(StatusCode::NOT_FOUND, &Failure { key: Some(key), code: "FLAG_NOT_FOUND", details }, None)
            }
        }
    }

    pub(crate) async fn evaluate_all(&self, request: Request<Bytes>, cx: Cx) -> Result<Response<Body>, Problem> {
        let asked = match Asked::read(request.body(), &cx) {
            Ok(asked) => asked,
            Err(why) => return refused(None, why),
        };
        let set = self.flags(&cx).await?;
        let tag = tag(&set.digest, asked.target.as_deref(), request.body());
        if knows(&request, &tag) {
            let unchanged = Response::builder().status(StatusCode::NOT_MODIFIED).header(header::ETAG, tag);
            return unchanged.body(Bytes::new().into()).map_err(Problem::internal);
        }
        let all = set.evaluate_all(asked.target.as_deref(), &asked.attributes);
        let flags = all.map(|(key, served)| evaluated(key.as_str(), served)).collect();
        answered(StatusCode::OK, &Bulk { flags }, Some(&tag))
    }
}
