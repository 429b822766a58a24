//! What people see: the operator's pages and those of a tenant. Pages ask use cases by name, for the caller, and know
//! nothing else: what the caller may not see, or no context here serves, is not shown. They work without a script.

mod answers;
mod audit;
mod billing;
mod branding;
mod frame;
mod home;
mod operator;
mod people;
mod person;
mod sales;
mod settings;
mod upload;

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

struct Table(Context, Arc<Console>);

impl Table {
    fn at<F, R>(
        self,
        (method, path): (Method, &'static str),
        (name, summary): (&'static str, &'static str),
        scope: ScopeKind,
        serve: F,
    ) -> Self
    where
        F: Fn(Arc<Console>, Request<Bytes>, Cx) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
    {
        let it = Arc::clone(&self.1);
        let serve = move |request, cx| serve(Arc::clone(&it), request, cx);
        let endpoint = Endpoint::new(name, summary, scope, SEE, serve).produces("text/html");
        Self(self.0.endpoint(method, path, endpoint), self.1)
    }
}

/// The context, with its table.
pub fn context(calls: Calls) -> Context {
    use ScopeKind::{Platform, Tenant};
    let it = Arc::new(Console { calls });
    let get = |path| (Method::GET, path);
    let post = |path| (Method::POST, path);
    Table(Context::new("console", PERMISSIONS).about("The pages that people see."), it)
        .at(get("/home"), ("console.home", "A person's own page"), Tenant, Console::home)
        .at(post("/home/{act}"), ("console.home.act", "Acts on one's own account"), Tenant, Console::home_act)
        .at(get("/people"), ("console.people", "The people of the tenant"), Tenant, Console::people)
        .at(post("/people/invite"), ("console.people.invite", "Invites a person"), Tenant, Console::invite)
        .at(get("/people/{user}"), ("console.person", "A person"), Tenant, Console::person)
        .at(post("/people/{user}/{act}"), ("console.person.act", "Acts on a person"), Tenant, Console::person_act)
        .at(
            get("/settings"),
            ("console.settings", "The tenant's features, keys and programs"),
            Tenant,
            Console::settings,
        )
        .at(post("/settings/{act}"), ("console.settings.act", "Changes a setting"), Tenant, Console::settings_act)
        .at(get("/branding"), ("console.branding", "How the tenant presents itself"), Tenant, Console::branding)
        .at(
            post("/branding/{act}"),
            ("console.branding.act", "Changes how it presents itself"),
            Tenant,
            Console::branding_act,
        )
        .at(get("/billing"), ("console.billing", "Plan, use, invoices and ways to pay"), Tenant, Console::billing)
        .at(post("/billing/{act}"), ("console.billing.act", "Acts on plan and payments"), Tenant, Console::billing_act)
        .at(get("/audit"), ("console.audit", "Who did what here"), Tenant, Console::audit)
        .at(get("/audit/{entry}"), ("console.audit.proof", "The proof of an entry"), Tenant, Console::proof)
        .at(get("/operator/audit"), ("console.audit_of", "Who did what, in any log"), Platform, Console::audit_of)
        .at(
            get("/operator/audit/{log}/{entry}"),
            ("console.audit_of.proof", "The proof of an entry of any log"),
            Platform,
            Console::proof_of,
        )
        .at(get("/operator/sales"), ("console.sales", "What comes in"), Platform, Console::sales)
        .at(get("/operator"), ("console.operator", "All tenants"), Platform, Console::operator)
        .at(get("/operator/tenants/{tenant}"), ("console.tenant", "A tenant"), Platform, Console::tenant_page)
        .at(
            post("/operator/tenants/{tenant}/{act}"),
            ("console.tenant.act", "Acts on a tenant"),
            Platform,
            Console::tenant_act,
        )
        .0
}
