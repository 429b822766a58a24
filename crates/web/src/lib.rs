//! HTTP from the tables of contexts: routes, inputs, answers, problems, documents. Nothing is declared here twice: a
//! route knows its use case, and the use case knows its schema, scope and permission.

mod answer;
mod input;
mod openapi;
mod reference;
mod repeat;
mod version;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    extract::{DefaultBodyLimit, RawPathParams, State},
    routing::{MethodFilter, MethodRouter, on},
};
use bytes::Bytes;
use http::{Extensions, Method, StatusCode, request::Parts};
use http_body_util::{BodyExt, Limited};
use kernel::{Context, Cx, Effect, Problem, ProblemKind, Target, context::Route, cx::TraceId, version::Versions};

use store::Store;

pub use answer::{problem_response, response};
pub use axum::{Router, body::Body, extract::Request, response::Response};
pub use openapi::document;
pub use reference::reference;

/// The largest body that is taken, in bytes.
pub const MAX_BODY: usize = 1 << 20;
/// The longest that a request may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Decides who asks, in which scope, and whether the request is let in at all.
#[async_trait]
pub trait Edge: Send + Sync + 'static {
    /// The verified context of a request, which tells whether its credential still stands.
    async fn admit(&self, parts: &Parts) -> Result<Cx, Problem>;

    /// Answers what no route of the contexts serves.
    async fn elsewhere(&self, request: Request) -> Response {
        nothing_here(request.extensions())
    }
}

/// Left in an answer: which operation gave it, for logs and metrics.
#[derive(Debug, Clone)]
pub struct Served(pub Arc<str>);

/// Why a body could not be read to its end: its sender paused for too long.
#[derive(Debug, thiserror::Error)]
#[error("the body came too slowly")]
pub struct TooSlow;

struct Serving {
    edge: Arc<dyn Edge>,
    repeated: repeat::Repeated,
}

struct Line {
    serving: Arc<Serving>,
    route: Route,
    name: Arc<str>,
    types: input::Types,
}

/// A router that serves all routes of these contexts behind an edge; requests under an `Idempotency-Key` are remembered in
/// the store.
pub fn router(contexts: &[Context], edge: &Arc<dyn Edge>, store: Store) -> Result<Router, Problem> {
    let serving = Arc::new(Serving { edge: Arc::clone(edge), repeated: repeat::Repeated::new(store) });
    let mut paths: BTreeMap<&str, MethodRouter> = BTreeMap::new();
    for route in contexts.iter().flat_map(|context| &context.routes) {
        let filter = MethodFilter::try_from(route.method.clone()).map_err(Problem::internal)?;
        let types = input::Types::of(&route.target);
        let name = route.target.name().into();
        let line = Arc::new(Line { serving: Arc::clone(&serving), route: route.clone(), name, types });
        let at_path = paths.remove(route.path).unwrap_or_default();
        paths.insert(route.path, at_path.merge(on(filter, serve).with_state(line)));
    }
    let paths = paths
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| router.route(path, methods.fallback(method_not_allowed)));
    let edge = Arc::clone(edge);
    let elsewhere = move |request: Request| {
        let edge = Arc::clone(&edge);
        async move { edge.elsewhere(request).await }
    };
    Ok(paths.fallback(elsewhere).layer(DefaultBodyLimit::disable()))
}

/// The trace that the edge has given a request.
fn trace(extensions: &Extensions) -> Option<String> {
    extensions.get::<TraceId>().map(ToString::to_string)
}

/// The answer where nothing is.
pub fn nothing_here(extensions: &Extensions) -> Response {
    let problem = Problem::not_found("page").hint("the paths that exist are listed at /openapi.json");
    problem_response(&problem, trace(extensions).as_deref())
}

/// Which methods there are stands in `Allow`, which the router adds (RFC 9110, sections 9.3.7 and 15.5.6).
async fn method_not_allowed(request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        let mut none = Response::new(Body::empty());
        *none.status_mut() = StatusCode::NO_CONTENT;
        return none;
    }
    let problem = Problem::new(ProblemKind::MethodNotAllowed, "method_not_allowed", "this path has no such method");
    let problem = problem.hint("Allow lists the methods of this path; /openapi.json describes them");
    problem_response(&problem, trace(request.extensions()).as_deref())
}

async fn serve(State(line): State<Arc<Line>>, params: RawPathParams, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut trace = trace(&parts.extensions);
    let ran = tokio::time::timeout(DEADLINE, line.run(parts, params, body, &mut trace)).await;
    let too_long = || {
        Problem::new(ProblemKind::Timeout, "deadline_exceeded", "the request took longer than 30 seconds")
            .hint("send it again with the same Idempotency-Key")
    };
    let mut response = ran.unwrap_or_else(|_| Err(too_long())).unwrap_or_else(|problem| {
        if problem.kind() == ProblemKind::Internal {
            let (operation, cause) = (line.route.target.name(), problem.source_text());
            tracing::error!(operation, trace, cause, "a request failed");
        }
        problem_response(&problem, trace.as_deref())
    });
    response.extensions_mut().insert(Served(Arc::clone(&line.name)));
    response
}

impl Line {
    async fn run(
        &self,
        parts: Parts,
        params: Vec<(String, String)>,
        body: Body,
        trace: &mut Option<String>,
    ) -> Result<Response, Problem> {
        let cx = self.serving.edge.admit(&parts).await?;
        *trace = Some(cx.trace().to_string());
        let deadline = cx.real_now() + DEADLINE;
        let cx = cx.until(deadline);
        let body = read(body).await?;
        match &self.route.target {
            Target::Endpoint(endpoint) => {
                let answer = endpoint.run(http::Request::from_parts(parts, body), cx).await?;
                Ok(response(answer))
            }
            Target::UseCase(operation) => {
                let changes = operation.effect != Effect::Tell;
                let key = repeat::key(&parts, changes)?;
                let expected = version::expected(&parts, changes, operation.versioned)?;
                let versions = Arc::new(Versions::expecting(expected));
                let cx = cx.versioned(&versions);
                let input = input::merge(&parts, params, &body, &self.types)?;
                let Some(key) = key else {
                    let answer = operation.run(input, cx.clone()).await?;
                    return Ok(version::told(answer::json(answer), &versions));
                };
                // Before anything is stored for a caller who may not ask, or told to one who may not ask any more.
                operation.permitted(&cx)?;
                let run = |cx| operation.run(input.clone(), cx);
                let answer =
                    self.serving.repeated.once((operation.name, &key, operation.effect), &input, &cx, run).await?;
                Ok(version::told(answer::json(answer), &versions))
            }
        }
    }
}

/// All of a body, within [`MAX_BODY`].
pub async fn read(body: Body) -> Result<Bytes, Problem> {
    read_up_to(body, MAX_BODY).await
}

/// All of a body, within `most` bytes.
pub async fn read_up_to(body: Body, most: usize) -> Result<Bytes, Problem> {
    let collected = Limited::new(body, most).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            let most = format!("the body is larger than {most} bytes");
            Problem::new(ProblemKind::TooLarge, "body_too_large", most).hint("send less at once")
        } else if caused_by_pause(error.as_ref()) {
            Problem::new(ProblemKind::Invalid, "body_too_slow", "nothing came of the body for too long")
                .hint("send the body without pauses")
        } else {
            Problem::new(ProblemKind::Invalid, "body_cut_short", "the body ended early").hint("send the request again")
        }
    })?;
    Ok(collected.to_bytes())
}

fn caused_by_pause(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(<dyn std::error::Error>::is::<TooSlow>)
}
