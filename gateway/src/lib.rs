//! The edge: finds the tenant, authenticates, limits. Whoever comes in has a verified context, or a problem.

mod credential;
mod limits;
mod tenant;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use contracts::{
    identity::{Authenticate, AuthenticateOperator, Principal},
    tenants::{ResolveTenant, TenantStatus, TenantView},
};
use http::request::Parts;
use kernel::{Caller, Calls, Catalogue, Cx, DefaultRole, Grants, Problem, ProblemKind, Scope, cx::Ambient};
use moka::future::Cache;
use web::Edge;

use credential::Credential;
pub use credential::{OPERATOR_COOKIE, SESSION_COOKIE};
use limits::Limits;
use tenant::Named;

/// The longest that a decision about a tenant or a credential is used again: a suspension or revocation is in force
/// everywhere within this time.
pub const FRESH: Duration = Duration::from_millis(900);
const KEPT: u64 = 100_000;

/// What the gateway needs to know.
pub struct Settings {
    /// The host name of the installation; tenants are its subdomains.
    pub host: String,
    /// How many requests a second one caller may make, over time.
    pub per_second: u32,
}

/// The built-in gateway.
pub struct Gateway {
    settings: Settings,
    calls: Calls,
    catalogue: Arc<Catalogue>,
    ambient: Ambient,
    tenants: Cache<String, Arc<TenantView>>,
    principals: Cache<[u8; 32], Arc<Principal>>,
    limits: Limits,
}

impl Gateway {
    /// A gateway that asks `tenants` and `identity` through `calls`.
    pub fn new(settings: Settings, calls: Calls, catalogue: Arc<Catalogue>, ambient: Ambient) -> Self {
        Self {
            limits: Limits::new(settings.per_second),
            settings,
            calls,
            catalogue,
            ambient,
            tenants: Cache::builder().max_capacity(KEPT).time_to_live(FRESH).build(),
            principals: Cache::builder().max_capacity(KEPT).time_to_live(FRESH).build(),
        }
    }

    fn own(&self, scope: Scope) -> Cx {
        let grants = self.catalogue.grants(&[DefaultRole::Gateway]);
        Cx::verified(scope, Caller::Service { name: "gateway" }, grants, &self.ambient)
    }

    async fn tenant(&self, name: &str) -> Result<Arc<TenantView>, Problem> {
        if let Some(known) = self.tenants.get(name).await {
            return Ok(known);
        }
        let asked = ResolveTenant { name: name.to_owned() };
        let found = Arc::new(self.calls.call(asked, &self.own(Scope::Platform)).await?);
        self.tenants.insert(name.to_owned(), Arc::clone(&found)).await;
        Ok(found)
    }

    /// The scope of a request, by its host name, its header, or both where they agree.
    async fn scope(&self, parts: &Parts) -> Result<Scope, Problem> {
        let by_host = tenant::by_host(parts, &self.settings.host)?;
        let by_header = tenant::by_header(parts)?;
        let found = match (by_host, by_header) {
            (Named::Platform, None) => return Ok(Scope::Platform),
            (Named::Platform, Some(name)) | (Named::Tenant(name), None) => self.tenant(&name).await?,
            (Named::Tenant(host), Some(header)) => {
                let (host, header) = (self.tenant(&host).await?, self.tenant(&header).await?);
                if host.id != header.id {
                    let differ = "the host name and X-Tenant name different tenants";
                    return Err(Problem::new(ProblemKind::Invalid, "tenant_contradiction", differ)
                        .hint("send only one of them, or the same in both"));
                }
                host
            }
        };
        let refused = |code: &'static str, what: &str| {
            let why = found.reason.as_deref().unwrap_or("no reason was given");
            Problem::new(ProblemKind::Denied, code, format!("this tenant is {what}: {why}"))
        };
        match found.status {
            TenantStatus::Provisioning | TenantStatus::Trial | TenantStatus::Active => Ok(Scope::Tenant(found.id)),
            TenantStatus::Suspended => Err(refused("tenant_suspended", "suspended")
                .hint("its owner can ask whoever runs this installation to resume it")),
            TenantStatus::Archived => Err(refused("tenant_archived", "archived")
                .hint("its data is kept; its owner can ask whoever runs this installation to restore it")),
            TenantStatus::Erased => Err(Problem::not_found("tenant")),
        }
    }

    async fn principal(&self, scope: Scope, credential: &str) -> Result<Arc<Principal>, Problem> {
        let key = credential::digest(scope, credential);
        if let Some(known) = self.principals.get(&key).await {
            return Ok(known);
        }
        let (cx, credential) = (self.own(scope), credential.to_owned());
        let found = match scope {
            Scope::Tenant(_) => self.calls.call(Authenticate { credential }, &cx).await?,
            Scope::Platform => self.calls.call(AuthenticateOperator { credential }, &cx).await?,
        };
        let found = Arc::new(found);
        self.principals.insert(key, Arc::clone(&found)).await;
        Ok(found)
    }
}

#[async_trait]
impl Edge for Gateway {
    async fn admit(&self, parts: &Parts) -> Result<Cx, Problem> {
        let scope = self.scope(parts).await?;
        let credential = credential::of(parts, scope)?;
        let admitted = match &credential {
            None => None,
            Some(credential) => match self.principal(scope, credential.text()).await {
                Ok(principal) if principal.expires > self.ambient.clock.now() => Some(principal),
                // A cookie is sent by itself: one that ended leaves a visitor, who can still reach the sign-in page.
                Ok(_) | Err(_) if matches!(credential, Credential::Cookie(_)) => None,
                Ok(_) => return Err(credential::refused()),
                Err(problem) => return Err(problem),
            },
        };
        if !matches!(credential, Some(Credential::Bearer(_))) {
            credential::same_origin(parts)?;
        }
        let (caller, grants): (Caller, Grants) = match &admitted {
            Some(principal) => (principal.caller, principal.grants.clone()),
            None => (Caller::Visitor, self.catalogue.grants(&[DefaultRole::Visitor])),
        };
        self.limits.check(scope, caller, parts)?;
        let cx = Cx::verified(scope, caller, grants, &self.ambient);
        Ok(credential::trace(parts).map_or(cx.clone(), |trace| cx.traced(trace)))
    }

    async fn still_stands(&self, parts: &Parts, caller: Caller) -> Result<(), Problem> {
        let scope = self.scope(parts).await?;
        let Some(credential) = credential::of(parts, scope)? else { return Err(credential::refused()) };
        // Not what is remembered of it: whoever asks this adds a pause of its own.
        self.principals.invalidate(&credential::digest(scope, credential.text())).await;
        let principal = self.principal(scope, credential.text()).await?;
        let same = principal.caller == caller && principal.expires > self.ambient.clock.now();
        if same { Ok(()) } else { Err(credential::refused()) }
    }
}
