//! HTTP from the tables of contexts: routes, inputs, answers, problems, documents. Nothing is declared here twice: a
//! route knows its use case, and the use case knows its schema, scope and permission.

mod answer;
mod input;
mod openapi;
mod reference;
mod repeat;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    Router,
    extract::{DefaultBodyLimit, RawPathParams, Request, State},
    response::Response,
    routing::{MethodFilter, MethodRouter, on},
};
use bytes::Bytes;
use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use kernel::{
    Caller, Context, Cx, Effect, Problem, ProblemKind, Target,
    context::{Input, Route},
    cx::Standing,
};

use store::Store;

pub use answer::{problem_response, response};
pub use openapi::document;
pub use reference::reference;

/// The largest body that is taken, in bytes.
pub const MAX_BODY: usize = 1 << 20;
/// The longest that a request may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Decides who asks, in which scope, and whether the request is let in at all.
#[async_trait]
pub trait Edge: Send + Sync + 'static {
    /// The verified context of a request.
    async fn admit(&self, parts: &Parts) -> Result<Cx, Problem>;

    /// Whether the credential of a request that was let in as `caller` still stands, asked anew.
    async fn still_stands(&self, parts: &Parts, caller: Caller) -> Result<(), Problem>;
}

/// A request that was let in, for as long as its answer goes on.
struct Admitted {
    edge: Arc<dyn Edge>,
    parts: Parts,
    caller: Caller,
}

#[async_trait]
impl Standing for Admitted {
    async fn check(&self) -> Result<(), Problem> {
        self.edge.still_stands(&self.parts, self.caller).await
    }
}

struct Served {
    edge: Arc<dyn Edge>,
    repeated: repeat::Repeated,
}

struct Line {
    served: Arc<Served>,
    route: Route,
    types: input::Types,
}

/// A router that serves all routes of these contexts behind an edge; requests under an `Idempotency-Key` are remembered in
/// the store.
pub fn router(contexts: &[Context], edge: &Arc<dyn Edge>, store: Store) -> Result<Router, Problem> {
    let served = Arc::new(Served { edge: Arc::clone(edge), repeated: repeat::Repeated::new(store) });
    let mut paths: BTreeMap<&str, MethodRouter> = BTreeMap::new();
    for route in contexts.iter().flat_map(|context| &context.routes) {
        let filter = MethodFilter::try_from(route.method.clone()).map_err(Problem::internal)?;
        let types = input::Types::of(&route.target);
        let line = Arc::new(Line { served: Arc::clone(&served), route: route.clone(), types });
        let at_path = paths.remove(route.path).unwrap_or_default();
        paths.insert(route.path, at_path.merge(on(filter, serve).with_state(line)));
    }
    let paths = paths
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| router.route(path, methods.fallback(method_not_allowed)));
    Ok(paths.fallback(nothing_here).layer(DefaultBodyLimit::disable()))
}

async fn nothing_here() -> Response {
    problem_response(&Problem::not_found("page").hint("the paths that exist are listed at /openapi.json"), None)
}

async fn method_not_allowed() -> Response {
    let problem = Problem::new(ProblemKind::MethodNotAllowed, "method_not_allowed", "this path has no such method");
    problem_response(&problem.hint("the methods of each path are listed at /openapi.json"), None)
}

async fn serve(State(line): State<Arc<Line>>, params: RawPathParams, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut trace = None;
    let ran = tokio::time::timeout(DEADLINE, line.run(parts, params, body, &mut trace)).await;
    let too_long = || {
        Problem::new(ProblemKind::Timeout, "deadline_exceeded", "the request took longer than 30 seconds")
            .hint("send it again with the same Idempotency-Key")
    };
    match ran.unwrap_or_else(|_| Err(too_long())) {
        Ok(response) => response,
        Err(problem) => {
            if problem.kind() == ProblemKind::Internal {
                let (operation, cause) = (line.route.target.name(), problem.source_text());
                tracing::error!(operation, trace, cause, "a request failed");
            }
            problem_response(&problem, trace.as_deref())
        }
    }
}

impl Line {
    async fn run(
        &self,
        parts: Parts,
        params: Vec<(String, String)>,
        body: axum::body::Body,
        trace: &mut Option<String>,
    ) -> Result<Response, Problem> {
        let cx = self.served.edge.admit(&parts).await?;
        *trace = Some(cx.trace().to_string());
        let deadline = cx.now() + DEADLINE;
        let cx = cx.until(deadline);
        let body = read(body).await?;
        match &self.route.target {
            Target::Endpoint(endpoint) => {
                let (edge, caller) = (Arc::clone(&self.served.edge), cx.caller());
                let cx = cx.watched(Arc::new(Admitted { edge, parts: parts.clone(), caller }));
                let answer = endpoint.run(http::Request::from_parts(parts, body), cx).await?;
                Ok(response(answer))
            }
            Target::UseCase(operation) => {
                let key = repeat::key(&parts, operation.effect == Effect::Change)?;
                let input = input::merge(&parts, params, &body, &self.types)?;
                let Some(key) = key else {
                    let answer = operation.run(Input::Value(input), cx.clone()).await?;
                    return Ok(answer::json(answer, &cx));
                };
                let run = |cx| operation.run(Input::Value(input.clone()), cx);
                let answer = self.served.repeated.once((operation.name, &key), &input, &cx, run).await?;
                Ok(answer::json(answer, &cx))
            }
        }
    }
}

async fn read(body: axum::body::Body) -> Result<Bytes, Problem> {
    let collected = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            Problem::new(ProblemKind::TooLarge, "body_too_large", "the body is larger than 1 MiB")
                .hint("send less at once")
        } else {
            Problem::new(ProblemKind::Invalid, "body_cut_short", "the body ended early").hint("send the request again")
        }
    })?;
    Ok(collected.to_bytes())
}
