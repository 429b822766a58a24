//! A bounded context as the composition sees it: its table of routes, permissions, reactions and timers; and the
//! registry through which one context calls another, wherever that runs.

use std::{any::Any, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, future::BoxFuture, stream::BoxStream};
use http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    authority::{Permission, PermissionDecl, Resource},
    cx::Cx,
    event::{Envelope, Event},
    problem::{Problem, ProblemKind},
    scope::ScopeKind,
    time::TimeDomain,
    usecase::{Effect, Handle, UseCase},
};

/// A typed value whose type is known to both ends only.
pub type Erased = Box<dyn Any + Send>;
type Call = dyn Fn(Erased, Cx) -> BoxFuture<'static, Result<Erased, Problem>> + Send + Sync;

/// A use case with its types erased: what HTTP, mesh, command line and documents are made from.
pub struct Operation {
    /// [`UseCase::NAME`].
    pub name: &'static str,
    /// [`UseCase::SCOPE`].
    pub scope: ScopeKind,
    /// [`UseCase::NEEDS`].
    pub needs: Permission,
    /// [`UseCase::EFFECT`].
    pub effect: Effect,
    /// [`UseCase::VERSIONED`].
    pub versioned: Option<&'static str>,
    /// The schema of the input; its description is the use case's own documentation.
    pub input: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of the answer.
    pub output: fn(&mut SchemaGenerator) -> Schema,
    parse: fn(Value) -> Result<(Erased, Resource), Problem>,
    render: fn(Erased) -> Result<Bytes, Problem>,
    call: Arc<Call>,
}

fn parse<U: UseCase>(input: Value) -> Result<(Erased, Resource), Problem> {
    let it: U = typed(input)?;
    let resource = it.resource();
    Ok((Box::new(it), resource))
}

/// Deserializes, naming the field that fails by JSON pointer.
fn typed<T: DeserializeOwned>(from: Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(from).map_err(|error| {
        let pointer: String = error
            .path()
            .iter()
            .flat_map(|segment| ["/".to_owned(), segment.to_string().trim_matches(['[', ']']).to_owned()])
            .collect();
        let pointer = if pointer == "/." || pointer == "/?" { String::new() } else { pointer };
        Problem::invalid_field(pointer, error.inner().to_string())
    })
}

fn render<U: UseCase>(output: Erased) -> Result<Bytes, Problem> {
    let output = output.downcast::<U::Output>().map_err(|_| Problem::internal("an answer of another use case"))?;
    serde_json::to_vec(&*output).map(Bytes::from).map_err(Problem::internal)
}

impl Operation {
    /// The operation of `U` on a context that handles it.
    pub fn of<U: UseCase, C: Handle<U>>(context: &Arc<C>) -> Self {
        let context = Arc::clone(context);
        let call = move |input: Erased, cx: Cx| -> BoxFuture<'static, Result<Erased, Problem>> {
            let context = Arc::clone(&context);
            Box::pin(async move {
                let it = input.downcast::<U>().map_err(|_| Problem::internal("an input of another use case"))?;
                let granted = cx.authorize::<U>()?;
                cx.remaining()?;
                let output = context.handle(*it, granted).await?;
                Ok(Box::new(output) as Erased)
            })
        };
        Self {
            name: U::NAME,
            scope: U::SCOPE,
            needs: U::NEEDS,
            effect: U::EFFECT,
            versioned: U::VERSIONED,
            input: <U as JsonSchema>::json_schema,
            output: SchemaGenerator::subschema_for::<U::Output>,
            parse: parse::<U>,
            render: render::<U>,
            call: Arc::new(call),
        }
    }

    /// Refuses a caller who lacks the permission, before anything is done for them.
    pub fn permitted(&self, cx: &Cx) -> Result<(), Problem> {
        if cx.grants().of(self.needs).is_none() && cx.scope().kind() == self.scope {
            return Err(cx.refusal(self.needs.name()));
        }
        Ok(())
    }

    /// Parses what path, query and body make together, checks the permission, runs, and gives the answer as JSON.
    pub async fn run(&self, input: Value, cx: Cx) -> Result<Bytes, Problem> {
        // The permission first: someone who may not ask learns nothing about what would have been valid.
        self.permitted(&cx)?;
        let (input, resource) = (self.parse)(input)?;
        if let (Some(kind), Some(versions)) = (self.versioned, cx.versions()) {
            versions.about(kind, resource.id);
        }
        let output = (self.call)(input, cx).await?;
        (self.render)(output)
    }

    /// Runs with typed input, for a caller in the same process.
    pub async fn call(&self, input: Erased, cx: Cx) -> Result<Erased, Problem> {
        (self.call)(input, cx).await
    }
}

/// The body of an answer whose shape a standard decides.
pub enum Body {
    /// All of it.
    Full(Bytes),
    /// Piece by piece, such as server-sent events.
    Stream(BoxStream<'static, Bytes>),
}

impl Body {
    /// A body that is streamed.
    pub fn stream(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self::Stream(Box::pin(pieces))
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::Full(bytes.into())
    }
}

type Serve =
    dyn Fn(http::Request<Bytes>, Cx) -> BoxFuture<'static, Result<http::Response<Body>, Problem>> + Send + Sync;

/// An endpoint whose form a standard shapes (OAuth, OFREP, streams, pages): HTTP in, HTTP out, in the same table.
pub struct Endpoint {
    /// Operation id and audit action.
    pub name: &'static str,
    /// One line for the documents.
    pub summary: &'static str,
    /// The scope it runs in.
    pub scope: ScopeKind,
    /// What the caller must hold.
    pub needs: Permission,
    /// The media type of the body that it takes, if it takes one.
    pub accepts: Option<&'static str>,
    /// The media type it answers with.
    pub produces: &'static str,
    serve: Arc<Serve>,
}

impl Endpoint {
    /// An endpoint served by `serve`.
    pub fn new<F, R>(name: &'static str, summary: &'static str, scope: ScopeKind, needs: Permission, serve: F) -> Self
    where
        F: Fn(http::Request<Bytes>, Cx) -> R + Send + Sync + 'static,
        R: Future<Output = Result<http::Response<Body>, Problem>> + Send + 'static,
    {
        let serve = Arc::new(move |request, cx| Box::pin(serve(request, cx)) as BoxFuture<'static, _>);
        Self { name, summary, scope, needs, accepts: None, produces: "application/json", serve }
    }

    /// Says which media type it takes.
    pub fn accepts(mut self, media_type: &'static str) -> Self {
        self.accepts = Some(media_type);
        self
    }

    /// Says which media type it answers with.
    pub fn produces(mut self, media_type: &'static str) -> Self {
        self.produces = media_type;
        self
    }

    /// Checks scope and permission, then serves.
    pub async fn run(&self, request: http::Request<Bytes>, cx: Cx) -> Result<http::Response<Body>, Problem> {
        if cx.scope().kind() != self.scope {
            return Err(match self.scope {
                ScopeKind::Tenant => cx.tenant().err().unwrap_or_else(|| Problem::not_found("page")),
                ScopeKind::Platform => Problem::not_found("page"),
            });
        }
        if cx.grants().of(self.needs).is_none() {
            return Err(cx.refusal(self.needs.name()));
        }
        let effect = if request.method().is_safe() { Effect::Tell } else { Effect::Change };
        (self.serve)(request, cx.acting(self.name, effect)).await
    }
}

/// What a route leads to.
#[derive(Clone)]
pub enum Target {
    /// A use case.
    UseCase(Arc<Operation>),
    /// An endpoint of a protocol.
    Endpoint(Arc<Endpoint>),
}

impl Target {
    /// The operation id.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UseCase(operation) => operation.name,
            Self::Endpoint(endpoint) => endpoint.name,
        }
    }

    /// The scope it runs in.
    pub fn scope(&self) -> ScopeKind {
        match self {
            Self::UseCase(operation) => operation.scope,
            Self::Endpoint(endpoint) => endpoint.scope,
        }
    }

    /// What the caller must hold.
    pub fn needs(&self) -> Permission {
        match self {
            Self::UseCase(operation) => operation.needs,
            Self::Endpoint(endpoint) => endpoint.needs,
        }
    }
}

/// One line of a context's table.
#[derive(Clone)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, parameters in braces: `/v1/tenants/{tenant}`.
    pub path: &'static str,
    /// What it leads to.
    pub target: Target,
}

type React = dyn Fn(Envelope, Cx) -> BoxFuture<'static, Result<(), Problem>> + Send + Sync;

/// Follows an event: turns it into commands on named targets of its own context.
#[derive(Clone)]
pub struct Reaction {
    /// Unique within the context; part of the commit ids it makes, so it never changes.
    pub name: &'static str,
    /// The type of event, or `*` for all.
    pub on: &'static str,
    react: Arc<React>,
}

impl Reaction {
    /// Runs once for an event (again if it failed, or if the process ended in between).
    pub async fn run(&self, event: Envelope, cx: Cx) -> Result<(), Problem> {
        (self.react)(event, cx).await
    }
}

/// A timer that has come due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// The id of the aggregate that set it.
    pub id: String,
    /// Which of its timers.
    pub timer: String,
    /// When it was due.
    pub due: crate::time::Timestamp,
}

type Act = dyn Fn(Fired, Cx) -> BoxFuture<'static, Result<(), Problem>> + Send + Sync;

/// What a context does when a timer of an aggregate kind comes due.
#[derive(Clone)]
pub struct OnDue {
    /// The kind of aggregate.
    pub kind: &'static str,
    /// Whose time its timers go by.
    pub domain: TimeDomain,
    act: Arc<Act>,
}

impl OnDue {
    /// Acts on a timer that is due.
    pub async fn act(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        (self.act)(fired, cx).await
    }
}

/// A bounded context, ready to be mounted.
pub struct Context {
    /// Its name: `identity`, `billing`, ...
    pub name: &'static str,
    /// What it is about, in a sentence for those who read its interface.
    pub about: &'static str,
    /// The permissions it declares.
    pub permissions: &'static [PermissionDecl],
    /// Its table.
    pub routes: Vec<Route>,
    /// Use cases that only other contexts call.
    pub internal: Vec<Arc<Operation>>,
    /// What it does about events.
    pub reactions: Vec<Reaction>,
    /// What it does when a timer of an aggregate kind comes due.
    pub timers: Vec<OnDue>,
}

impl Context {
    /// An empty context.
    pub fn new(name: &'static str, permissions: &'static [PermissionDecl]) -> Self {
        let (routes, internal, reactions, timers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { name, about: "", permissions, routes, internal, reactions, timers }
    }

    /// Says what it is about.
    pub fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    /// Serves a use case at a path.
    pub fn route<U: UseCase, C: Handle<U>>(mut self, method: Method, path: &'static str, context: &Arc<C>) -> Self {
        let target = Target::UseCase(Arc::new(Operation::of::<U, C>(context)));
        self.routes.push(Route { method, path, target });
        self
    }

    /// Serves a use case to other contexts only.
    pub fn internal<U: UseCase, C: Handle<U>>(mut self, context: &Arc<C>) -> Self {
        self.internal.push(Arc::new(Operation::of::<U, C>(context)));
        self
    }

    /// Serves an endpoint at a path.
    pub fn endpoint(mut self, method: Method, path: &'static str, endpoint: Endpoint) -> Self {
        self.routes.push(Route { method, path, target: Target::Endpoint(Arc::new(endpoint)) });
        self
    }

    /// Reacts to an event of type `E`.
    pub fn on<E: Event, F, R>(self, name: &'static str, react: F) -> Self
    where
        F: Fn(E, Cx) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        let react = Arc::new(react);
        self.on_any(name, E::TYPE, move |envelope, cx| {
            let react = Arc::clone(&react);
            async move {
                match envelope.event::<E>() {
                    Some(event) => react(event?, cx).await,
                    None => Ok(()),
                }
            }
        })
    }

    /// Reacts to envelopes of a type, or to all with `*`.
    pub fn on_any<F, R>(mut self, name: &'static str, on: &'static str, react: F) -> Self
    where
        F: Fn(Envelope, Cx) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        let react = Arc::new(move |envelope, cx| Box::pin(react(envelope, cx)) as BoxFuture<'static, _>);
        self.reactions.push(Reaction { name, on, react });
        self
    }

    /// Acts when a timer of an aggregate kind comes due in the tenant's time.
    pub fn timer<F, R>(self, kind: &'static str, act: F) -> Self
    where
        F: Fn(Fired, Cx) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        self.timer_in(TimeDomain::Tenant, kind, act)
    }

    /// The same, saying whose time the timers of this kind go by.
    pub fn timer_in<F, R>(mut self, domain: TimeDomain, kind: &'static str, act: F) -> Self
    where
        F: Fn(Fired, Cx) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        let act = Arc::new(move |fired, cx| Box::pin(act(fired, cx)) as BoxFuture<'static, _>);
        self.timers.push(OnDue { kind, domain, act });
        self
    }
}

/// Finds a use case by name, here or elsewhere. What a context holds to call another.
#[async_trait]
pub trait Calling: Send + Sync + 'static {
    /// Runs the use case called `name` for the caller of `cx`.
    async fn call(&self, name: &'static str, input: Outgoing, cx: &Cx) -> Result<Erased, Problem>;

    /// The same with JSON, for those who know names only: pages, the command line.
    async fn ask(&self, name: &str, input: Value, cx: &Cx) -> Result<Value, Problem>;
}

/// A typed input on its way: passed as it is within a process, as JSON to another.
pub struct Outgoing {
    /// The input.
    pub it: Erased,
    /// Makes JSON of it.
    pub to_json: fn(&(dyn Any + Send)) -> Result<Bytes, Problem>,
    /// Makes the typed answer of JSON.
    pub from_json: fn(&[u8]) -> Result<Erased, Problem>,
}

/// Calls use cases of other contexts by type.
#[derive(Clone)]
pub struct Calls(Arc<dyn Calling>);

impl Calls {
    /// Calls through `calling`.
    pub fn new(calling: Arc<dyn Calling>) -> Self {
        Self(calling)
    }

    /// Runs the use case of a name, with JSON in and out.
    pub async fn ask(&self, name: &str, input: Value, cx: &Cx) -> Result<Value, Problem> {
        self.0.ask(name, input, cx).await
    }

    /// Runs `it` for the same caller, wherever its context runs.
    pub async fn call<U: UseCase>(&self, it: U, cx: &Cx) -> Result<U::Output, Problem> {
        let to_json = |it: &(dyn Any + Send)| {
            let it = it.downcast_ref::<U>().ok_or_else(|| Problem::internal("an input of another use case"))?;
            serde_json::to_vec(it).map(Bytes::from).map_err(Problem::internal)
        };
        let from_json = |json: &[u8]| {
            let output: U::Output = serde_json::from_slice(json).map_err(Problem::internal)?;
            Ok(Box::new(output) as Erased)
        };
        let output = self.0.call(U::NAME, Outgoing { it: Box::new(it), to_json, from_json }, cx).await?;
        output.downcast().map(|output| *output).map_err(|_| Problem::internal("an answer of another use case"))
    }
}

/// The problem of a use case that no mounted context serves.
pub fn not_served(name: &str) -> Problem {
    Problem::new(ProblemKind::Unavailable, "context_not_served", format!("{name} is not served by this installation"))
        .hint("mount the context that owns it, or tell this process where it runs")
}
