//! Who asks, and in which scope.

use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use cache::{Cache, IN_FORCE, Known};
use contracts::{
    identity::{Authenticate, AuthenticateOperator, Principal},
    tenants::{ResolveTenant, TenantStatus, TenantView},
};
use http::request::Parts;
use kernel::{Caller, Cx, DefaultRole, Problem, ProblemKind, Scope, TenantId, cx::Standing};
use tokio::time::Instant;
use web::{Edge, Request, Response};

use crate::{
    Gateway, Rate,
    credential::{self, Credential},
    tenant::{self, Named},
    visit::{Admitted, Visit},
};

/// A tenant with what it may ask.
struct Tenant {
    view: TenantView,
    allowance: Option<Rate>,
}

/// Whose a credential is.
struct Shown {
    principal: Principal,
    /// Another each time that it was asked for; counted from one.
    number: u64,
}

/// What was found out and is still in force. Names that nobody has are kept too, so that asking for them costs little.
pub(crate) struct Found {
    tenants: Cache<String, Option<Arc<Tenant>>>,
    shown: Cache<[u8; 32], Shown>,
    pub(crate) origins: Cache<TenantId, Vec<String>>,
    looked: AtomicU64,
}

impl Default for Found {
    fn default() -> Self {
        let (tenants, shown, origins) =
            (Cache::new(20_000, IN_FORCE), Cache::new(100_000, IN_FORCE), Cache::new(20_000, IN_FORCE));
        Self { tenants, shown, origins, looked: AtomicU64::new(0) }
    }
}

impl Gateway {
    /// The tenant of a name, and when that was found out.
    async fn tenant(&self, name: &str) -> Result<(Arc<Tenant>, Instant), Problem> {
        let asked = ResolveTenant { name: name.to_owned() };
        let read = async {
            match self.ground.calls.call(asked, &self.own(Scope::Platform)).await {
                Ok(view) => {
                    let allowance = self.ground.allowances.of(view.id).await;
                    Ok(Some(Arc::new(Tenant { view, allowance })))
                }
                Err(problem) if problem.kind() == ProblemKind::NotFound => Ok(None),
                Err(problem) => Err(problem),
            }
        };
        let known = self.found.tenants.get_or(name.to_owned(), read).await?;
        let tenant = known.as_ref().as_ref().map(Arc::clone).ok_or_else(|| Problem::not_found("tenant"))?;
        Ok((tenant, known.at()))
    }

    async fn by_host(&self, host: &str) -> Result<Option<Arc<Tenant>>, Problem> {
        match tenant::by_host(host, &self.settings.host)? {
            Named::Platform => Ok(None),
            Named::Slug(name) | Named::Domain(name) => Ok(Some(self.tenant(name).await?.0)),
        }
    }

    /// The tenant of a request, by its host name, its header, or both where they agree; none is the platform.
    async fn tenant_of(&self, parts: &Parts) -> Result<Option<Arc<Tenant>>, Problem> {
        let by_host = self.by_host(&tenant::host(&parts.headers)).await?;
        let Some(header) = tenant::by_header(&parts.headers)? else { return Ok(by_host) };
        let by_header = self.tenant(header).await?.0;
        if by_host.is_some_and(|by_host| by_host.view.id != by_header.view.id) {
            let differ = "the host name and X-Tenant name different tenants";
            return Err(Problem::new(ProblemKind::Invalid, "tenant_contradiction", differ)
                .hint("send only one of them, or the same in both"));
        }
        Ok(Some(by_header))
    }

    /// The scope of a request, with all that is limited for it.
    pub(crate) async fn scope(&self, parts: &Parts, visit: &Visit) -> Result<Scope, Problem> {
        let Some(tenant) = self.tenant_of(parts).await? else { return Ok(Scope::Platform) };
        standing(&tenant.view)?;
        let id = tenant.view.id;
        let verdict = self.gate.tenant(id, tenant.allowance);
        visit.judged(verdict).map_err(|refused| refused.problem())?;
        Ok(Scope::Tenant(id))
    }

    /// Where the pages for signing in stand for a host name that is only another name of a tenant.
    pub(crate) async fn canonical(&self, host: &str) -> Option<String> {
        let tenant = self.by_host(host).await.ok()??;
        let origin = &tenant.view.origin;
        let (_, authority) = origin.split_once("://")?;
        let home = authority.split(':').next()?;
        (home != host).then(|| origin.clone())
    }

    async fn principal(&self, scope: Scope, credential: &str) -> Result<Arc<Known<Shown>>, Problem> {
        let read = async {
            let (cx, credential) = (self.own(scope), credential.to_owned());
            let principal = match scope {
                Scope::Tenant(_) => self.ground.calls.call(Authenticate { credential }, &cx).await?,
                Scope::Platform => self.ground.calls.call(AuthenticateOperator { credential }, &cx).await?,
            };
            Ok(Shown { principal, number: self.found.looked.fetch_add(1, Ordering::Relaxed) + 1 })
        };
        self.found.shown.get_or(credential::digest(scope, credential), read).await
    }

    /// Whose a credential is. After too many that were not good, an address has to wait before it shows another.
    async fn shown(&self, scope: Scope, credential: &str, visit: &Visit) -> Result<Arc<Known<Shown>>, Problem> {
        if let Err(refused) = self.gate.may_try(visit.address) {
            return Err(visit.judged(refused).err().unwrap_or(refused).problem());
        }
        let found = self.principal(scope, credential).await;
        let found = found.and_then(|found| {
            let good = found.principal.expires > self.ground.ambient.clock.now();
            if good { Ok(found) } else { Err(credential::refused()) }
        });
        found.inspect_err(|problem| {
            if problem.kind() == ProblemKind::Unauthenticated {
                self.gate.failed(visit.address);
            }
        })
    }

    /// Whether whoever was let in still would be, and until when that answer counts.
    pub(crate) async fn still(&self, admitted: &Admitted) -> Result<Instant, Problem> {
        let mut read = Instant::now();
        if let Scope::Tenant(id) = admitted.scope {
            let (tenant, at) = self.tenant(&id.to_string()).await?;
            standing(&tenant.view)?;
            read = at;
        }
        if let Some(credential) = &admitted.credential {
            let shown = self.principal(admitted.scope, credential).await?;
            let principal = &shown.principal;
            let left = principal.expires.as_millisecond() - self.ground.ambient.clock.now().as_millisecond();
            let left = u64::try_from(left).ok().filter(|left| *left > 0).ok_or_else(credential::refused)?;
            let lacks = admitted.needs.get().is_some_and(|needs| principal.grants.of(*needs).is_none());
            if principal.caller != admitted.caller || lacks {
                return Err(credential::refused());
            }
            let ends = Instant::now() + Duration::from_millis(left);
            return Ok((read.min(shown.at()) + IN_FORCE).min(ends));
        }
        Ok(read + IN_FORCE)
    }
}

/// Whether nothing was found out, rather than that a credential is not good.
fn is_fault(problem: &Problem) -> bool {
    matches!(problem.kind(), ProblemKind::Unavailable | ProblemKind::Timeout | ProblemKind::Internal)
}

/// Whether people may come in to a tenant.
fn standing(tenant: &TenantView) -> Result<(), Problem> {
    let why = || tenant.reason.as_deref().unwrap_or("no reason was given");
    match tenant.status {
        TenantStatus::Provisioning | TenantStatus::Trial | TenantStatus::Active => Ok(()),
        TenantStatus::Suspended => {
            Err(Problem::new(ProblemKind::Denied, "tenant_suspended", format!("this tenant is suspended: {}", why()))
                .hint("its owner can ask whoever runs this installation to resume it"))
        }
        TenantStatus::Archived => {
            Err(Problem::new(ProblemKind::Denied, "tenant_archived", format!("this tenant is archived: {}", why()))
                .hint("its data is kept; its owner can ask whoever runs this installation to restore it"))
        }
        TenantStatus::Erased => Err(Problem::not_found("tenant")),
    }
}

/// Whoever was let in, for as long as an answer goes on.
struct Watched {
    gateway: Weak<Gateway>,
    admitted: Arc<Admitted>,
}

#[async_trait]
impl Standing for Watched {
    async fn check(&self) -> Result<(), Problem> {
        let (gateway, admitted) = (self.gateway.upgrade().ok_or_else(credential::refused)?, &self.admitted);
        // Not what is remembered of it: whoever asks this adds a pause of its own.
        if let Scope::Tenant(id) = admitted.scope {
            gateway.found.tenants.forget(&id.to_string());
        }
        if let Some(credential) = &admitted.credential {
            gateway.found.shown.forget(&credential::digest(admitted.scope, credential));
        }
        gateway.still(admitted).await.map(drop)
    }
}

#[async_trait]
impl Edge for Gateway {
    async fn admit(&self, parts: &Parts) -> Result<Cx, Problem> {
        let visit = Visit::of(parts);
        let scope = self.scope(parts, &visit).await?;
        let across = self.lets_read(parts, scope, &visit).await;
        // What another site's page sends may act with a token that it was given, never with a cookie.
        let credential = credential::of(parts, scope)?.filter(|it| !across || matches!(it, Credential::Bearer(_)));
        let shown = match &credential {
            None => None,
            Some(credential) => match self.shown(scope, credential.text(), &visit).await {
                Ok(shown) => Some(shown),
                // A cookie is sent by itself: one that ended leaves a visitor, who can still reach the sign-in page.
                // A store that does not answer signs nobody out.
                Err(problem) if matches!(credential, Credential::Cookie(_)) && !is_fault(&problem) => None,
                Err(problem) => return Err(problem),
            },
        };
        if !across && !matches!(credential, Some(Credential::Bearer(_))) {
            credential::same_origin(parts)?;
        }
        let (caller, grants) = match &shown {
            Some(shown) => (shown.principal.caller, shown.principal.grants.clone()),
            None => (Caller::Visitor, self.ground.catalogue.grants(DefaultRole::Visitor)),
        };
        let verdict = self.gate.caller(scope, caller, visit.address);
        visit.judged(verdict).map_err(|refused| refused.problem())?;
        let number = shown.as_ref().map(|shown| shown.number);
        let credential = shown.and(credential).map(|it| it.text().to_owned());
        let number = number.unwrap_or(0);
        let admitted = Admitted { scope, caller, credential, number, needs: OnceLock::new() };
        // A request is admitted once; a page that asks again changes nothing.
        let admitted = Arc::new(admitted);
        drop(visit.admitted.set(Arc::clone(&admitted)));
        let watched = Arc::new(Watched { gateway: Weak::clone(&self.me), admitted });
        Ok(Cx::verified(scope, caller, grants, &self.ground.ambient).traced(visit.trace).watched(watched))
    }

    async fn elsewhere(&self, request: Request) -> Response {
        self.forward(request).await
    }
}
