//! A use case is declared once, as a type; routes, documents, checks and clients are derived from it.

use std::future::Future;

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    authority::{Permission, Resource},
    cx::{Granted, ScopeKind},
    problem::Problem,
};

/// Whether a use case changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Only tells: safe to repeat.
    Tell,
    /// Changes something: repeatable with an idempotency key.
    Change,
}

/// One thing that can be asked of a context. The fields of the type are the input.
pub trait UseCase: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// What is answered: a representation, never the stored aggregate.
    type Output: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
    /// Operation id, span, audit action and command-line name in one: `context.verb` or `context.noun.verb`.
    const NAME: &'static str;
    /// The platform's scope or a tenant's.
    const SCOPE: ScopeKind;
    /// What the caller must hold.
    const NEEDS: Permission;
    /// Whether it changes anything.
    const EFFECT: Effect = Effect::Change;
    /// What it touches, for the audit record.
    fn resource(&self) -> Resource {
        Resource::scope()
    }
}

/// Runs a use case. The authority is an argument, and only the permission check makes one.
pub trait Handle<U: UseCase>: Send + Sync + 'static {
    /// Does it.
    fn handle(&self, it: U, cx: Granted<U>) -> impl Future<Output = Result<U::Output, Problem>> + Send;
}
