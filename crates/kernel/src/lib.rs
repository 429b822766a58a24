//! The words every part of Freehold shares: use cases and the authority to run them, scopes, ids, time, problems,
//! aggregates and events. No I/O and no engine: whoever depends on this crate can still be tested without a server.

pub mod aggregate;
pub mod authority;
pub mod context;
pub mod cx;
pub mod entropy;
pub mod event;
pub mod id;
pub mod notice;
pub mod problem;
pub mod scope;
pub mod text;
pub mod time;
pub mod usecase;
pub mod version;

pub use aggregate::{Aggregate, Claim, Life, Term, Timer};
pub use authority::{Catalogue, Condition, DefaultRole, Grants, Permission, PermissionDecl, Resource};
pub use context::{Calls, Context, Endpoint, Operation, Route, Target};
pub use cx::{Act, Caller, Cx, Granted};
pub use event::{AnyEvent, Envelope, Event, EventDecl, Happened, Personal};
pub use id::{ApiKeyId, ClientId, Id, IdKind, OperatorId, SessionId, TenantId, UserId};
pub use problem::{Problem, ProblemKind};
pub use scope::{Scope, ScopeKind};
pub use time::{Clock, TestClocks, TimeDomain, Timestamp};
pub use usecase::{Effect, Handle, List, UseCase};
