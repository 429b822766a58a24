//! A use case is declared once, as a type; routes, documents, checks and clients are derived from it.

use std::future::Future;

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    authority::{Permission, Resource},
    cx::Granted,
    problem::Problem,
    scope::ScopeKind,
};

/// Whether a use case changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Only tells: safe to repeat.
    Tell,
    /// Changes something: repeatable with an idempotency key.
    Change,
    /// The same, and the answer shows a secret this once: it is not kept for whoever asks again.
    Reveal,
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
    /// The kind of aggregate that it is about, where callers are told its version (`ETag`) and may name the one that they
    /// have read (`If-Match`).
    const VERSIONED: Option<&'static str> = None;
    /// What it touches, for the audit record.
    fn resource(&self) -> Resource {
        Resource::scope()
    }
}

/// Declares what a use case is, beside the type of its input: what it answers, its name, its scope, the permission that
/// it needs, `Tell` where it changes nothing (`Reveal` where it does and its answer shows a secret), and where it is about
/// one thing, which; last, of which aggregate it tells and takes the version.
///
/// ```text
/// use_case!(SuspendTenant => TenantView, "tenants.suspend", Platform, may::SUSPEND, |it| it.tenant.into());
/// use_case!(ListTenants => List<TenantView>, "tenants.list", Platform, may::READ, Tell);
/// use_case!(UpdateRole => RoleView, "identity.roles.update", Tenant, may::UPDATE, |it| it.role.into(); version of Role);
/// ```
#[macro_export]
macro_rules! use_case {
    ($input:ty => $output:ty, $name:expr, $scope:ident, $needs:expr $(, $effect:ident)? $(, |$it:ident| $resource:expr)? $(; version of $aggregate:ty)?) => {
        impl $crate::UseCase for $input {
            type Output = $output;
            const NAME: &'static str = $name;
            const SCOPE: $crate::ScopeKind = $crate::ScopeKind::$scope;
            const NEEDS: $crate::Permission = $needs;
            $(const EFFECT: $crate::Effect = $crate::Effect::$effect;)?
            $(const VERSIONED: Option<&'static str> = Some(<$aggregate as $crate::Aggregate>::KIND);)?
            $(fn resource(&self) -> $crate::Resource {
                let $it = self;
                $resource
            })?
        }
    };
}

/// A part of a list.
#[derive(Debug, Clone, Serialize, serde::Deserialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub struct List<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// The cursor to go on after; missing at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Runs a use case. The authority is an argument, and only the permission check makes one.
pub trait Handle<U: UseCase>: Send + Sync + 'static {
    /// Does it.
    fn handle(&self, it: U, cx: Granted<U>) -> impl Future<Output = Result<U::Output, Problem>> + Send;
}
