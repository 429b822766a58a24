//! One request on its way through the edge: what is known of it, and what was found out.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Instant,
};

use http::{HeaderMap, HeaderValue, request::Parts};
use kernel::{Caller, Permission, Scope, cx::TraceId};

use crate::limits::Verdict;

/// Whoever was let in, with what is needed to look again whether they still would be.
pub(crate) struct Admitted {
    pub(crate) scope: Scope,
    pub(crate) caller: Caller,
    /// The credential, where one was shown. Never logged.
    pub(crate) credential: Option<String>,
    /// Another each time that the credential was looked at; none for a visitor.
    pub(crate) number: u64,
    /// What a proxied route asks for besides.
    pub(crate) needs: OnceLock<Permission>,
}

pub(crate) struct Visit {
    pub(crate) address: IpAddr,
    pub(crate) trace: TraceId,
    pub(crate) begun: Instant,
    pub(crate) admitted: OnceLock<Arc<Admitted>>,
    /// The origin of a page that may read the answer.
    pub(crate) readable_by: OnceLock<HeaderValue>,
    verdict: Mutex<Option<Verdict>>,
}

impl Visit {
    pub(crate) fn new(address: IpAddr, trace: TraceId) -> Self {
        Self {
            address,
            trace,
            begun: Instant::now(),
            admitted: OnceLock::new(),
            readable_by: OnceLock::new(),
            verdict: Mutex::new(None),
        }
    }

    /// The visit of a request; one that did not come through the edge is nobody's in particular.
    pub(crate) fn of(parts: &Parts) -> Arc<Self> {
        let known = parts.extensions.get::<Arc<Self>>().map(Arc::clone);
        known.unwrap_or_else(|| Arc::new(Self::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), TraceId([0; 16]))))
    }

    /// Keeps what a limit said; of several, the tightest is told.
    pub(crate) fn judged(&self, verdict: Verdict) -> Result<(), Verdict> {
        let mut kept = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none_or(|kept| verdict.refuses() || verdict.tighter_than(&kept)) {
            *kept = Some(verdict);
        }
        if verdict.refuses() { Err(verdict) } else { Ok(()) }
    }

    pub(crate) fn verdict(&self) -> Option<Verdict> {
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The trace that the caller goes on with (W3C Trace Context, section 3.2), if what was sent is one.
pub(crate) fn trace(headers: &HeaderMap) -> Option<TraceId> {
    let mut sent = headers.get_all("traceparent").iter();
    let (sent, None) = (sent.next()?.to_str().ok()?, sent.next()) else { return None };
    let mut fields = sent.split('-');
    let (version, id, parent, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    // A later version may add fields; this one has none more.
    let shaped = version != "ff" && (version != "00" || fields.next().is_none());
    let hex = |text: &str, bytes: usize| {
        let decoded = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        (decoded.len() == bytes).then_some(decoded)
    };
    hex(version, 1)?;
    hex(flags, 1)?;
    let parent = hex(parent, 8)?;
    let id = <[u8; 16]>::try_from(hex(id, 16)?).ok()?;
    (shaped && id != [0; 16] && parent.iter().any(|byte| *byte != 0)).then_some(TraceId(id))
}

/// The name that the caller has given the request, where it is one that can be logged; else the trace.
pub(crate) fn request_id(headers: &HeaderMap, trace: TraceId) -> Option<HeaderValue> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let sent = headers.get("x-request-id").filter(|it| (1..=64).contains(&it.len()) && it.as_bytes().iter().all(plain));
    sent.cloned().or_else(|| HeaderValue::try_from(trace.to_string()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_traceparent_is_gone_on_with() {
        let of = |text: &str| {
            trace(&[(http::HeaderName::from_static("traceparent"), text.parse().unwrap())].into_iter().collect())
        };
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(of(&format!("00-{id}-00f067aa0ba902b7-01")).unwrap().to_string(), id);
        assert!(of(&format!("01-{id}-00f067aa0ba902b7-01-more")).is_some(), "a later version");
        for broken in [
            format!("00-{id}-00f067aa0ba902b7-01-more"),
            format!("ff-{id}-00f067aa0ba902b7-01"),
            format!("00-{id}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
            format!("00-{id}"),
            format!("0-{id}-00f067aa0ba902b7-01"),
        ] {
            assert!(of(&broken).is_none(), "{broken}");
        }
    }

    #[test]
    fn a_request_id_is_plain_or_replaced() {
        let of = |text: &str| {
            let headers =
                [(http::HeaderName::from_static("x-request-id"), text.parse().unwrap())].into_iter().collect();
            request_id(&headers, TraceId([1; 16])).unwrap()
        };
        assert_eq!(of("order-17.a_B"), "order-17.a_B");
        assert_eq!(of("a b"), "01".repeat(16).as_str());
        assert_eq!(of(&"x".repeat(65)), "01".repeat(16).as_str());
    }
}
