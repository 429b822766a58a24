//! Rates (GCRA): per caller, or per tenant for those who have not signed in.

use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use http::request::Parts;
use kernel::{Caller, Problem, ProblemKind, Scope};

pub(crate) struct Limits {
    callers: DefaultKeyedRateLimiter<String>,
    clock: governor::clock::DefaultClock,
}

impl Limits {
    /// So many a second over time; ten times as many at once.
    pub(crate) fn new(per_second: u32) -> Self {
        let rate = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        let burst = NonZeroU32::new(per_second.saturating_mul(10)).unwrap_or(NonZeroU32::MIN);
        let callers = RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst));
        Self { callers, clock: governor::clock::DefaultClock::default() }
    }

    pub(crate) fn check(&self, scope: Scope, caller: Caller, parts: &Parts) -> Result<(), Problem> {
        let key = match caller {
            // The address of the connection; what a client says of itself in a header decides nothing.
            Caller::Visitor => {
                let peer = parts.extensions.get::<std::net::SocketAddr>().map(|peer| peer.ip().to_string());
                format!("{scope}|{}", peer.unwrap_or_default())
            }
            caller => format!("{scope}|{caller}"),
        };
        if self.callers.len() > 200_000 {
            self.callers.retain_recent();
        }
        self.callers.check_key(&key).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now()).as_secs().saturating_add(1);
            Problem::new(ProblemKind::Limited, "rate_limited", "too many requests in a short time")
                .hint("wait as long as Retry-After says, then send fewer at once")
                .retry_after(u32::try_from(wait).unwrap_or(u32::MAX))
        })
    }
}
