//! Header fields on their way through: what belongs to one hop stays, what the gateway alone may say is not taken from
//! others, and credentials go no further than the route lets them.

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use routes::route::{Credentials, IDENTITY};

use crate::visit::Visit;

/// How the names of the platform's own cookies begin: those of sessions, and of devices that are known.
const OUR_COOKIES: &str = "freehold_";

/// Fields of one connection (RFC 9110, section 7.6.1), beside those that `Connection` names.
const OF_ONE_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Fields that only the gateway may write, or that it has used up.
const OURS: [HeaderName; 8] = [
    IDENTITY,
    header::FORWARDED,
    header::EXPECT,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-tenant"),
    // Some frameworks route by these, past the path that was looked at here.
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

/// What one hop alone never names: what frames the message, says what it is, or who asks.
const OF_THE_WHOLE_WAY: [HeaderName; 6] =
    [header::HOST, header::CONTENT_LENGTH, header::CONTENT_TYPE, header::AUTHORIZATION, header::COOKIE, IDENTITY];

/// Whether a field is the gateway's to write. An underscore counts as a hyphen for whoever reads fields as variables
/// (RFC 3875, section 4.1.18), so a name that has one could stand for any of ours.
fn is_ours(name: &HeaderName) -> bool {
    let text = name.as_str();
    OURS.contains(name) || text.starts_with("x-forwarded-") || text.contains('_')
}

fn strip_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| !OF_THE_WHOLE_WAY.contains(name))
        .collect();
    for name in named.iter().chain(&OF_ONE_HOP) {
        headers.remove(name);
    }
}

/// Whether a request asks to become a WebSocket (RFC 6455, section 4.1).
pub(crate) fn wants_websocket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn without_our_cookies(line: &HeaderValue) -> Option<HeaderValue> {
    let line = line.to_str().ok()?;
    let ours = |pair: &&str| {
        // A cookie without a name is sent as its value alone (RFC 6265bis, section 5.8.3).
        pair.trim().trim_start_matches('=').trim_start().starts_with(OUR_COOKIES)
    };
    let kept: Vec<&str> = line.split(';').filter(|pair| !ours(pair)).map(str::trim).collect();
    HeaderValue::from_str(&kept.join("; ")).ok().filter(|it| !it.is_empty())
}

fn keep_credentials(headers: &mut HeaderMap) {
    headers.remove(header::AUTHORIZATION);
    let kept: Vec<_> = headers.get_all(header::COOKIE).iter().filter_map(without_our_cookies).collect();
    headers.remove(header::COOKIE);
    for line in kept {
        headers.append(header::COOKIE, line);
    }
}

/// The fields that an upstream gets, but for `Host` and the identity.
pub(super) fn outgoing(
    parts: &Parts,
    credentials: Credentials,
    scheme: &str,
    visit: &Visit,
    span: [u8; 8],
) -> HeaderMap {
    let mut headers = parts.headers.clone();
    let websocket = wants_websocket(&headers);
    let host = headers.remove(header::HOST);
    strip_hop(&mut headers);
    let ours: Vec<HeaderName> = headers.keys().filter(|name| is_ours(name)).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
    if credentials == Credentials::Kept {
        keep_credentials(&mut headers);
    }
    if websocket {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    let span = data_encoding::HEXLOWER.encode(&span);
    let written = [
        ("x-forwarded-for", HeaderValue::try_from(visit.address.to_string()).ok()),
        ("x-forwarded-proto", HeaderValue::from_str(scheme).ok()),
        ("x-forwarded-host", host),
        ("traceparent", HeaderValue::try_from(format!("00-{}-{span}-01", visit.trace)).ok()),
        ("x-request-id", crate::visit::request_id(&parts.headers, visit.trace)),
    ];
    for (name, value) in written {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    headers
}

/// Takes from an answer what a client must not get: the fields of one hop, and a session that the gateway did not give.
pub(super) fn incoming(headers: &mut HeaderMap) {
    strip_hop(headers);
    headers.remove(IDENTITY);
    let ours = |line: &HeaderValue| {
        let bytes = line.as_bytes().trim_ascii_start();
        let named = bytes.strip_prefix(b"=").unwrap_or(bytes).trim_ascii_start();
        named.starts_with(OUR_COOKIES.as_bytes())
    };
    if headers.get_all(header::SET_COOKIE).iter().any(ours) {
        let kept: Vec<_> = headers.get_all(header::SET_COOKIE).iter().filter(|line| !ours(line)).cloned().collect();
        headers.remove(header::SET_COOKIE);
        for line in kept {
            headers.append(header::SET_COOKIE, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{OPERATOR_COOKIE, SESSION_COOKIE};
    use kernel::cx::TraceId;

    fn sent(fields: &[(&str, &str)]) -> Parts {
        let builder = fields.iter().fold(http::Request::builder(), |it, (name, value)| it.header(*name, *value));
        builder.body(()).unwrap().into_parts().0
    }

    fn passed(parts: &Parts, credentials: Credentials) -> HeaderMap {
        outgoing(parts, credentials, "https", &Visit::new("192.0.2.1".parse().unwrap(), TraceId([1; 16])), [2; 8])
    }

    #[test]
    fn what_only_the_gateway_may_say_is_not_taken_from_others() {
        let parts = sent(&[
            ("host", "acme.test"),
            ("connection", "close, x-private, X-Freehold-Identity, content-type"),
            ("x-private", "1"),
            ("x-freehold-identity", "forged"),
            ("x-forwarded-for", "1.2.3.4"),
            ("forwarded", "for=1.2.3.4"),
            ("transfer-encoding", "chunked"),
            ("accept", "text/html"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x-forwarded-prefix", "/admin"),
            ("x-real-ip", "1.2.3.4"),
            ("x-original-url", "/admin"),
            ("content-type", "text/plain"),
        ]);
        let headers = passed(&parts, Credentials::Kept);
        for gone in [
            "host",
            "connection",
            "x-private",
            "x-freehold-identity",
            "forwarded",
            "transfer-encoding",
            "x_forwarded_for",
            "x-forwarded-prefix",
            "x-real-ip",
            "x-original-url",
        ] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert_eq!(headers["content-type"], "text/plain", "which a client cannot have taken off by naming it");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1");
        assert_eq!(headers["x-forwarded-host"], "acme.test");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["accept"], "text/html");
        assert_eq!(headers["traceparent"], format!("00-{}-{}-01", "01".repeat(16), "02".repeat(8)).as_str());
    }

    #[test]
    fn credentials_stay_unless_the_route_says_so() {
        let cookie =
            format!("theme=dark; {SESSION_COOKIE}=secret;lang=en; {OPERATOR_COOKIE}=secret; freehold_device=d");
        let parts = sent(&[("authorization", "Bearer secret"), ("cookie", &cookie)]);
        let headers = passed(&parts, Credentials::Kept);
        assert!(!headers.contains_key("authorization"));
        assert_eq!(headers["cookie"], "theme=dark; lang=en");
        let headers = passed(&parts, Credentials::Passed);
        assert_eq!(
            (headers["authorization"].as_bytes(), headers["cookie"].as_bytes()),
            (&b"Bearer secret"[..], cookie.as_bytes())
        );
    }

    #[test]
    fn an_upstream_gives_no_session() {
        let mut headers = sent(&[
            ("set-cookie", "theme=dark"),
            ("set-cookie", &format!(" {SESSION_COOKIE} =fixed; Path=/")),
            ("set-cookie", &format!("={SESSION_COOKIE}=fixed; Path=/")),
            ("connection", "x-hop"),
            ("x-hop", "1"),
        ])
        .headers;
        incoming(&mut headers);
        assert_eq!(headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["theme=dark"]);
        assert!(!headers.contains_key("x-hop"));
    }
}
