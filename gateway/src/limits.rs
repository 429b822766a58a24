//! Who may ask how often. Five classes, each asked in its turn: all that comes from an address, before anything is
//! looked up for it; a visitor at a tenant; a caller who has shown a credential; a tenant as a whole; and credentials
//! that were not good, by the address that sent them.

use std::{net::IpAddr, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use kernel::{Caller, Problem, ProblemKind, Scope, TenantId, cx::TraceId};
use rate::{Cells, Rate, Taken};
use serde::Deserialize;
use web::{Body, Response};

use crate::address::counted;

/// Limits where they differ from what follows from the rate of a caller.
#[derive(Debug, Clone, Copy, Default, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// All that comes from one address; an IPv6 network of 64 bits is one. By default five callers' worth.
    pub address: Option<Rate>,
    /// One address that has not signed in, at one tenant. By default a caller's worth.
    pub visitor: Option<Rate>,
    /// One person, key or client.
    pub caller: Option<Rate>,
    /// All of one tenant. By default fifty callers' worth.
    pub tenant: Option<Rate>,
    /// Credentials of one address that were not good. By default a twentieth of a caller's worth.
    pub failures: Option<Rate>,
}

/// What a tenant may ask in all, where it is not what everybody may.
#[async_trait]
pub trait Allowances: Send + Sync + 'static {
    /// The rate of a tenant; `None` is the installation's.
    async fn of(&self, tenant: TenantId) -> Option<Rate>;
}

/// The same for every tenant.
pub struct Even;

#[async_trait]
impl Allowances for Even {
    async fn of(&self, _: TenantId) -> Option<Rate> {
        None
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    Address,
    Visitor,
    Caller,
    Tenant,
    Failures,
}

impl Class {
    pub(crate) const ALL: [Self; 5] = [Self::Address, Self::Visitor, Self::Caller, Self::Tenant, Self::Failures];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Visitor => "visitor",
            Self::Caller => "caller",
            Self::Tenant => "tenant",
            Self::Failures => "failures",
        }
    }
}

/// What a class said to one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict {
    pub(crate) class: Class,
    rate: Rate,
    taken: Taken,
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

impl Verdict {
    pub(crate) fn refuses(&self) -> bool {
        self.taken.wait.is_some()
    }

    /// Whether less is left of this than of another, in proportion.
    pub(crate) fn tighter_than(&self, other: &Self) -> bool {
        let (mine, theirs) = (u64::from(self.rate.policy().0), u64::from(other.rate.policy().0));
        u64::from(self.taken.left) * theirs < u64::from(other.taken.left) * mine
    }

    /// The fields of draft-ietf-httpapi-ratelimit-headers-10.
    pub(crate) fn announce(&self, headers: &mut HeaderMap) {
        let ((quota, window), name) = (self.rate.policy(), self.class.name());
        let policy = format!("\"{name}\";q={quota};w={window}");
        let left = format!("\"{name}\";r={};t={}", self.taken.left, seconds(self.taken.whole_in));
        for (field, value) in [("ratelimit-policy", policy), ("ratelimit", left)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(field), value);
            }
        }
    }

    fn wait(&self) -> u64 {
        self.taken.wait.map_or(0, seconds)
    }

    /// The refusal, for those who answer with problems.
    pub(crate) fn problem(&self) -> Problem {
        Problem::new(ProblemKind::Limited, "rate_limited", "too many requests in a short time")
            .hint("wait as long as Retry-After says, then send fewer at once")
            .retry_after(u32::try_from(self.wait()).unwrap_or(u32::MAX))
    }

    /// The same refusal in one piece, for a flood: nothing of it is built anew but its two numbers.
    pub(crate) fn response(&self, trace: TraceId) -> Response {
        let wait = self.wait();
        let body = format!(
            "{{\"type\":\"/problems/{CODE}\",\"title\":\"Limit reached\",\"status\":429,\"detail\":\"{DETAIL}\",\
             \"code\":\"{CODE}\",\"kind\":\"limited\",\"hint\":\"{HINT}\",\"trace_id\":\"{trace}\",\
             \"retry_after\":{wait}}}"
        );
        let mut response = Response::new(Body::from(Bytes::from(body)));
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
        response
    }
}

const CODE: &str = "rate_limited";
const DETAIL: &str = "too many requests in a short time";
const HINT: &str = "wait as long as Retry-After says, then send fewer at once";

/// The limits in force.
pub(crate) struct Gate {
    address: Rate,
    visitor: Rate,
    caller: Rate,
    tenant: Rate,
    failures: Rate,
    cells: Cells,
}

impl Gate {
    /// What `limits` leaves open follows from the rate of a caller.
    pub(crate) fn new(per_second: u32, limits: &Limits) -> Self {
        let times = |factor: u32| Rate::of(per_second.saturating_mul(factor));
        let few = Rate { per_second: per_second.div_ceil(20), burst: per_second };
        Self {
            address: limits.address.unwrap_or(times(5)),
            visitor: limits.visitor.unwrap_or(times(1)),
            caller: limits.caller.unwrap_or(times(1)),
            tenant: limits.tenant.unwrap_or(times(50)),
            failures: limits.failures.unwrap_or(few),
            cells: Cells::default(),
        }
    }

    fn take(&self, class: Class, rate: Rate, key: (u128, u128)) -> Verdict {
        Verdict { class, rate, taken: self.cells.take((class, key), rate) }
    }

    pub(crate) fn address(&self, address: IpAddr) -> Verdict {
        self.take(Class::Address, self.address, (0, counted(address)))
    }

    pub(crate) fn tenant(&self, tenant: TenantId, allowed: Option<Rate>) -> Verdict {
        self.take(Class::Tenant, allowed.unwrap_or(self.tenant), (tenant.uuid().as_u128(), 0))
    }

    pub(crate) fn caller(&self, scope: Scope, caller: Caller, address: IpAddr) -> Verdict {
        let scope = scope.tenant().map_or(0, |tenant| tenant.uuid().as_u128());
        let (class, rate, who) = match caller {
            Caller::Visitor | Caller::Service { .. } => (Class::Visitor, self.visitor, counted(address)),
            Caller::User { id, .. } => (Class::Caller, self.caller, id.uuid().as_u128()),
            Caller::ApiKey { id } => (Class::Caller, self.caller, id.uuid().as_u128()),
            Caller::Client { id } => (Class::Caller, self.caller, id.uuid().as_u128()),
            Caller::Operator { id } => (Class::Caller, self.caller, id.uuid().as_u128()),
        };
        self.take(class, rate, (scope, who))
    }

    /// A credential of this address was not good.
    pub(crate) fn failed(&self, address: IpAddr) {
        self.take(Class::Failures, self.failures, (0, counted(address)));
    }

    /// Whether an address may show another credential: not after too many that were not good.
    pub(crate) fn may_try(&self, address: IpAddr) -> Result<(), Verdict> {
        let wait = self.cells.wait((Class::Failures, (0_u128, counted(address))), self.failures);
        let taken = Taken { left: 0, whole_in: wait.unwrap_or_default(), wait };
        if wait.is_none() { Ok(()) } else { Err(Verdict { class: Class::Failures, rate: self.failures, taken }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Option<Rate> = Some(Rate { per_second: 1, burst: 2 });

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn the_short_refusal_says_what_the_long_one_says() {
        let gate = Gate::new(1, &Limits { address: Some(Rate { per_second: 1, burst: 1 }), ..Limits::default() });
        gate.address(ip("192.0.2.1"));
        let verdict = gate.address(ip("192.0.2.1"));
        assert!(verdict.refuses());
        let trace = TraceId([7; 16]);
        let body = web::read(verdict.response(trace).into_body()).await.unwrap();
        let short: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let long = serde_json::to_value(verdict.problem().document(Some(&trace.to_string()))).unwrap();
        assert_eq!(short, long);
    }

    #[test]
    fn the_fields_tell_quota_window_and_rest() {
        let gate = Gate::new(10, &Limits::default());
        let mut headers = HeaderMap::new();
        gate.caller(Scope::Platform, Caller::Visitor, ip("192.0.2.1")).announce(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"visitor\";q=100;w=10");
        assert_eq!(headers["ratelimit"], "\"visitor\";r=99;t=1");
    }

    #[test]
    fn bad_credentials_close_the_door_for_their_address_alone() {
        let gate = Gate::new(100, &Limits { failures: STRICT, ..Limits::default() });
        for _ in 0..2 {
            assert!(gate.may_try(ip("2001:db8::1")).is_ok());
            gate.failed(ip("2001:db8::1"));
        }
        assert!(gate.may_try(ip("2001:db8::2")).is_err(), "another address of the same network");
        assert!(gate.may_try(ip("2001:db8:0:1::1")).is_ok(), "another network");
    }

    #[test]
    fn a_visitor_at_one_tenant_leaves_the_others_alone() {
        let gate = Gate::new(100, &Limits { visitor: STRICT, tenant: STRICT, ..Limits::default() });
        let tenant = |number| TenantId::from_uuid(uuid::Uuid::from_u128(number));
        let at = |number, address| gate.caller(Scope::Tenant(tenant(number)), Caller::Visitor, ip(address)).refuses();
        assert!(!at(1, "192.0.2.1") && !at(1, "192.0.2.1") && at(1, "192.0.2.1"));
        assert!(!at(2, "192.0.2.1") && !at(1, "192.0.2.2"));
        assert!(!gate.tenant(tenant(1), None).refuses() && !gate.tenant(tenant(1), None).refuses());
        assert!(gate.tenant(tenant(1), None).refuses() && !gate.tenant(tenant(2), None).refuses());
        let more = Some(Rate { per_second: 1, burst: 9 });
        assert!(!gate.tenant(tenant(1), more).refuses(), "what a tenant was granted counts for it");
    }
}
