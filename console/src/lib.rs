//! What people see: the operator's page and a person's own. Pages ask use cases, for the caller, and know nothing else.

mod pages;

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Response};
use kernel::{
    Calls, Condition, Context, Cx, DefaultRole, Endpoint, Permission, PermissionDecl, Problem, ScopeKind, context::Body,
};

const SEE: Permission = Permission::new("console.page.read");

/// What this context declares. The pages themselves show what the caller may see, and send others to sign in.
pub const PERMISSIONS: &[PermissionDecl] = &[PermissionDecl {
    permission: SEE,
    meaning: "open the pages of the console",
    held_by: &[
        (DefaultRole::Visitor, Condition::Always),
        (DefaultRole::Person, Condition::Always),
        (DefaultRole::Operator, Condition::Always),
    ],
}];

pub(crate) struct Console {
    pub(crate) calls: Calls,
}

fn page<F, R>(it: &Arc<Console>, name: &'static str, summary: &'static str, scope: ScopeKind, serve: F) -> Endpoint
where
    F: Fn(Arc<Console>, Request<Bytes>, Cx) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
{
    let it = Arc::clone(it);
    let serve = move |request, cx| serve(Arc::clone(&it), request, cx);
    Endpoint::new(name, summary, scope, SEE, serve).produces("text/html")
}

/// The context, with its table.
pub fn context(calls: Calls) -> Context {
    use ScopeKind::{Platform, Tenant};
    let it = Arc::new(Console { calls });
    Context::new("console", PERMISSIONS)
        .about("The pages that people see.")
        .endpoint(Method::GET, "/home", page(&it, "console.home", "A person's own page", Tenant, Console::home))
        .endpoint(
            Method::POST,
            "/home/end-session",
            page(&it, "console.end_session", "Ends a session", Tenant, Console::end_session),
        )
        .endpoint(
            Method::GET,
            "/operator",
            page(&it, "console.operator", "The operator's page", Platform, Console::operator),
        )
        .endpoint(
            Method::POST,
            "/operator/suspend",
            page(&it, "console.suspend", "Suspends a tenant", Platform, Console::suspend),
        )
        .endpoint(
            Method::POST,
            "/operator/resume",
            page(&it, "console.resume", "Resumes a tenant", Platform, Console::resume),
        )
}
