//! The verified context of a request: who asks, in which scope, when, and until when. And the authority to run one use case.

use std::{fmt, marker::PhantomData, ops::Deref, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::Aggregate,
    authority::{Condition, Grants},
    entropy::Entropy,
    id::{ApiKeyId, ClientId, Id, IdKind, OperatorId, SessionId, TenantId, UserId},
    notice::{Notices, Unnoticed},
    problem::{Problem, ProblemKind},
    scope::{Scope, ScopeKind},
    time::{Clock, TestClocks, Timestamp},
    usecase::{Effect, UseCase},
    version::Versions,
};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Caller {
    /// Nobody has signed in.
    Visitor,
    /// A person of a tenant.
    User {
        /// Who.
        id: UserId,
        /// The session, where there is one (a token may outlive it by its own lifetime).
        session: Option<SessionId>,
    },
    /// A program with an API key.
    ApiKey {
        /// Which key.
        id: ApiKeyId,
    },
    /// An OAuth client acting for itself.
    Client {
        /// Which client.
        id: ClientId,
    },
    /// Someone who runs the installation.
    Operator {
        /// Who.
        id: OperatorId,
    },
    /// A context or the gateway, acting for itself.
    Service {
        /// Its name is one of a fixed few.
        #[serde(skip, default = "unnamed_service")]
        name: &'static str,
    },
}

const fn unnamed_service() -> &'static str {
    "service"
}

impl Caller {
    /// The person, where it is one.
    pub const fn user(&self) -> Option<UserId> {
        match self {
            Self::User { id, .. } => Some(*id),
            _ => None,
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Visitor => f.write_str("visitor"),
            Self::User { id, .. } => id.fmt(f),
            Self::ApiKey { id } => id.fmt(f),
            Self::Client { id } => id.fmt(f),
            Self::Operator { id } => id.fmt(f),
            Self::Service { name } => write!(f, "service:{name}"),
        }
    }
}

/// The trace that a request belongs to: 16 bytes (W3C Trace Context, section 3.2.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// What makes a write repeatable: the same key, the same effect, once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WriteKey(pub Arc<str>);

/// The surroundings that every context of a process shares.
#[derive(Clone)]
pub struct Ambient {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// What the test clocks of sandbox tenants show.
    pub test_clocks: Arc<TestClocks>,
    /// What was noticed in passing, for the audit log.
    pub notices: Arc<dyn Notices>,
}

impl Ambient {
    /// The machine's clock and the operating system's randomness.
    pub fn system() -> Self {
        Self::new(Arc::new(crate::time::SystemClock), Arc::new(crate::entropy::SystemEntropy::default()))
    }

    /// These, and no test clocks yet.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy, test_clocks: Arc::default(), notices: Arc::new(Unnoticed) }
    }
}

/// Tells whether whoever was let in would still be. Asked by answers that outlast the moment in which they began.
#[async_trait]
pub trait Standing: Send + Sync + 'static {
    /// A problem once the credential, or the tenant, stands no more for what it stood for.
    async fn check(&self) -> Result<(), Problem>;
}

/// Which use case or endpoint is run: what the audit log says was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    /// [`UseCase::NAME`], or the operation id of an endpoint.
    pub name: &'static str,
    /// Whether it is one that changes something.
    pub effect: Effect,
}

/// The verified context of one request, reaction or timer. Cheap to clone.
#[derive(Clone)]
pub struct Cx(Arc<Inner>, Option<Act>);

#[derive(Clone)]
struct Inner {
    scope: Scope,
    caller: Caller,
    grants: Grants,
    ambient: Ambient,
    trace: TraceId,
    deadline: Option<Timestamp>,
    write_key: Option<WriteKey>,
    /// When the request that is repeated was first sent.
    begun: Option<Timestamp>,
    causation: Option<Arc<str>>,
    correlation: Option<Arc<str>>,
    standing: Option<Arc<dyn Standing>>,
    versions: Option<Arc<Versions>>,
}

impl Cx {
    /// A context for a caller whose credential has been verified for exactly this scope.
    pub fn verified(scope: Scope, caller: Caller, grants: Grants, ambient: &Ambient) -> Self {
        let mut trace = [0_u8; 16];
        ambient.entropy.fill(&mut trace);
        let trace = TraceId(trace);
        let ambient = ambient.clone();
        let inner = Arc::new(Inner {
            scope,
            caller,
            grants,
            ambient,
            trace,
            deadline: None,
            write_key: None,
            begun: None,
            causation: None,
            correlation: None,
            standing: None,
            versions: None,
        });
        Self(inner, None)
    }

    fn with(&self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Inner::clone(&self.0);
        change(&mut inner);
        Self(Arc::new(inner), self.1)
    }

    /// What happens from here on is done by this use case or endpoint.
    pub(crate) fn acting(&self, name: &'static str, effect: Effect) -> Self {
        Self(Arc::clone(&self.0), Some(Act { name, effect }))
    }

    /// The use case or endpoint that is run; none where a reaction or a timer acts by itself.
    pub fn act(&self) -> Option<Act> {
        self.1
    }

    /// Continues the trace of the caller.
    pub fn traced(&self, trace: TraceId) -> Self {
        self.with(|inner| inner.trace = trace)
    }

    /// Ends at `deadline`.
    pub fn until(&self, deadline: Timestamp) -> Self {
        self.with(|inner| inner.deadline = Some(deadline))
    }

    /// Makes every write under this context repeatable: sent again with the same key it takes effect once.
    pub fn repeatable(&self, key: &str) -> Self {
        self.with(|inner| inner.write_key = Some(WriteKey(key.into())))
    }

    /// The same for a whole request that is run again after it was cut short: it makes the same ids as the first time,
    /// whose randomness `entropy` repeats and which began at `begun`.
    pub fn repeated(&self, key: &str, entropy: Arc<dyn Entropy>, begun: Timestamp) -> Self {
        self.with(|inner| {
            inner.write_key = Some(WriteKey(key.into()));
            inner.ambient.entropy = entropy;
            inner.begun = Some(begun);
        })
    }

    /// Whom to ask whether the caller's credential still stands.
    pub fn watched(&self, standing: Arc<dyn Standing>) -> Self {
        self.with(|inner| inner.standing = Some(standing))
    }

    /// Takes down the version of the aggregate that the request is about, and keeps it to the one that its caller has read.
    pub fn versioned(&self, versions: &Arc<Versions>) -> Self {
        self.with(|inner| inner.versions = Some(Arc::clone(versions)))
    }

    /// What is known of the version of the aggregate that the request is about; none where nobody asks.
    pub fn versions(&self) -> Option<&Versions> {
        self.0.versions.as_deref()
    }

    /// Whether the caller's credential still stands, asked anew: for answers that go on for long, such as streams.
    pub async fn still_stands(&self) -> Result<(), Problem> {
        match &self.0.standing {
            Some(standing) => standing.check().await,
            None => Err(Problem::internal("nobody watches whether the credential of this context still stands")),
        }
    }

    /// Marks what happens here as caused by an event.
    pub fn caused_by(&self, event: &str, correlation: &str) -> Self {
        self.with(|inner| {
            inner.causation = Some(event.into());
            inner.correlation = Some(correlation.into());
        })
    }

    /// The same act inside a tenant, for those who act across tenants: services in their reactions, and use cases of the
    /// platform through [`Granted::within`].
    pub fn within(&self, tenant: TenantId) -> Result<Self, Problem> {
        match self.caller() {
            Caller::Service { .. } => Ok(self.with(|inner| inner.scope = Scope::Tenant(tenant))),
            _ => Err(self.refusal("acting inside a tenant")),
        }
    }

    /// The scope.
    pub fn scope(&self) -> Scope {
        self.0.scope
    }

    /// The tenant; a problem in the platform's scope, where a route that needs one cannot lead.
    pub fn tenant(&self) -> Result<TenantId, Problem> {
        self.0.scope.tenant().ok_or_else(|| {
            Problem::new(ProblemKind::Invalid, "tenant_required", "this request needs a tenant")
                .hint("use the tenant's own address, or send its id or slug in X-Tenant")
        })
    }

    /// Who asks.
    pub fn caller(&self) -> Caller {
        self.0.caller
    }

    /// The person who asks; a problem where it is none.
    pub fn user(&self) -> Result<UserId, Problem> {
        self.0.caller.user().ok_or_else(|| {
            Problem::new(ProblemKind::Denied, "person_required", "only a signed-in person can do this")
                .hint("sign in; keys and clients have no profile of their own")
        })
    }

    /// What the caller may do.
    pub fn grants(&self) -> &Grants {
        &self.0.grants
    }

    /// The present instant by the clock of this context: a sandbox tenant's test clock, else real time. For what belongs
    /// to the business: trials, periods, when something happened.
    pub fn now(&self) -> Timestamp {
        let test = self.scope().tenant().and_then(|tenant| self.0.ambient.test_clocks.of(tenant));
        test.unwrap_or_else(|| self.real_now())
    }

    /// The present instant in real time, whatever a test clock says. For what belongs to the machine and to security: the
    /// end of tokens, sessions, links and pauses, retries, leases, deadlines.
    pub fn real_now(&self) -> Timestamp {
        self.0.ambient.clock.now()
    }

    /// The surroundings.
    pub fn ambient(&self) -> &Ambient {
        &self.0.ambient
    }

    /// A new id.
    pub fn new_id<K: IdKind>(&self) -> Id<K> {
        Id::from_uuid(self.0.ambient.entropy.uuid_v7(self.0.begun.unwrap_or_else(|| self.real_now())))
    }

    /// Fresh random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.ambient.entropy.fill(&mut bytes);
        bytes
    }

    /// The trace.
    pub fn trace(&self) -> TraceId {
        self.0.trace
    }

    /// The key that makes writes repeatable, if any.
    pub fn write_key(&self) -> Option<&WriteKey> {
        self.0.write_key.as_ref()
    }

    /// The event that caused this, if any.
    pub fn causation(&self) -> Option<&str> {
        self.0.causation.as_deref()
    }

    /// What all that follows from one request has in common: the first trace.
    pub fn correlation(&self) -> String {
        self.0.correlation.as_deref().map_or_else(|| self.0.trace.to_string(), str::to_owned)
    }

    /// How long is left; a problem when it is over.
    pub fn remaining(&self) -> Result<Option<Duration>, Problem> {
        let Some(deadline) = self.0.deadline else { return Ok(None) };
        let left = deadline.as_millisecond().saturating_sub(self.real_now().as_millisecond());
        match u64::try_from(left) {
            Ok(left) if left > 0 => Ok(Some(Duration::from_millis(left))),
            _ => Err(Problem::new(ProblemKind::Timeout, "deadline_exceeded", "the time for this request is over")
                .hint("send it again with the same Idempotency-Key")),
        }
    }

    /// The one place where authority is made: checks that this caller may run `U` in this scope.
    pub fn authorize<U: UseCase>(&self) -> Result<Granted<U>, Problem> {
        if self.scope().kind() != U::SCOPE {
            return Err(match U::SCOPE {
                ScopeKind::Tenant => self.tenant().err().unwrap_or_else(|| Problem::internal("scope kinds disagree")),
                ScopeKind::Platform => Problem::new(
                    ProblemKind::Invalid,
                    "platform_scope_required",
                    "this request is about the installation, not about a tenant",
                )
                .hint("use the platform's own address, without X-Tenant"),
            });
        }
        let condition = self.grants().of(U::NEEDS).ok_or_else(|| self.refusal(U::NEEDS.name()))?;
        Ok(Granted { cx: self.acting(U::NAME, U::EFFECT), condition, use_case: PhantomData })
    }

    /// The answer to a caller who lacks `permission`: sign in if nobody is, else no. It is counted for the audit log.
    pub fn refusal(&self, permission: &str) -> Problem {
        self.0.ambient.notices.refused(self.scope(), &self.caller(), permission);
        if matches!(self.caller(), Caller::Visitor) {
            Problem::new(ProblemKind::Unauthenticated, "sign_in_required", "this needs a signed-in caller")
                .hint("sign in, or send an access token or API key in the Authorization header")
        } else {
            Problem::new(ProblemKind::Denied, "permission_denied", format!("the permission {permission} is missing"))
                .hint("ask someone who administers this tenant for a role that holds it")
        }
    }
}

impl fmt::Debug for Cx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cx({}, {}, trace {})", self.scope(), self.caller(), self.trace())
    }
}

/// The authority to run one use case, and nothing else. Only [`Cx::authorize`] makes it.
pub struct Granted<U> {
    cx: Cx,
    condition: Condition,
    use_case: PhantomData<fn() -> U>,
}

impl<U: UseCase> Granted<U> {
    /// Checks the condition of the permission against what was loaded.
    pub fn permit<A: Aggregate>(&self, aggregate: &A) -> Result<(), Problem> {
        self.permit_owner(aggregate.owner())
    }

    /// The same for what is known to belong to a person, before or without an aggregate.
    pub fn permit_owner(&self, owner: Option<UserId>) -> Result<(), Problem> {
        match self.condition {
            Condition::Always => Ok(()),
            Condition::Own if owner.is_some() && self.cx.caller().user() == owner => Ok(()),
            Condition::Own => Err(self.cx.refusal(U::NEEDS.name())),
        }
    }

    /// For lists: `None` sees all, `Some(user)` only what belongs to that person.
    pub fn only_of(&self) -> Result<Option<UserId>, Problem> {
        match self.condition {
            Condition::Always => Ok(None),
            Condition::Own => self.cx.user().map(Some),
        }
    }

    /// Goes on inside a tenant, under the authority for a use case of the platform that names it.
    pub fn within(&self, tenant: TenantId) -> Result<Cx, Problem> {
        if U::SCOPE != ScopeKind::Platform {
            return Err(Problem::internal(format!("{} belongs to one tenant", U::NAME)));
        }
        if U::EFFECT == Effect::Tell && matches!(self.caller(), Caller::Operator { .. }) {
            // What is changed is told by its event; of a look there is none.
            self.ambient().notices.entered(tenant, &self.caller(), U::NAME);
        }
        Ok(self.cx.with(|inner| inner.scope = Scope::Tenant(tenant)))
    }

    /// The plain context, to pass on to another context's use case.
    pub fn cx(&self) -> &Cx {
        &self.cx
    }
}

impl<U> Deref for Granted<U> {
    type Target = Cx;
    fn deref(&self) -> &Cx {
        &self.cx
    }
}
