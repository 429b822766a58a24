//! What a request shows of who sends it.

use http::{Method, header, request::Parts};
use kernel::{Problem, ProblemKind, Scope};

/// The cookie of a person's session.
pub const SESSION_COOKIE: &str = "freehold_session";
/// The cookie of an operator's session.
pub const OPERATOR_COOKIE: &str = "freehold_operator";
/// Longer than any credential that is given out: a program's own token names its permissions.
const LONGEST: usize = 8 * 1024;

/// A credential, by the way it came.
pub(crate) enum Credential {
    Bearer(String),
    Cookie(String),
}

impl Credential {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Bearer(text) | Self::Cookie(text) => text,
        }
    }
}

/// The answer to a credential that is not good (any more).
pub(crate) fn refused() -> Problem {
    Problem::new(ProblemKind::Unauthenticated, "credential_refused", "this credential is not valid, or not any more")
        .hint("sign in again, or use another key")
}

pub(crate) fn of(parts: &Parts, scope: Scope) -> Result<Option<Credential>, Problem> {
    if let Some(sent) = parts.headers.get(header::AUTHORIZATION) {
        let text = sent.to_str().map_err(|_| refused())?;
        let Some((scheme, token)) = text.split_once(' ') else { return Err(refused()) };
        // Basic belongs to OAuth clients at the token endpoint, which reads it itself.
        if scheme.eq_ignore_ascii_case("basic") {
            return Ok(None);
        }
        if !scheme.eq_ignore_ascii_case("bearer") || token.len() > LONGEST {
            return Err(refused());
        }
        return Ok(Some(Credential::Bearer(token.trim().to_owned())));
    }
    let wanted = if matches!(scope, Scope::Platform) { OPERATOR_COOKIE } else { SESSION_COOKIE };
    let cookies = parts.headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    let pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let found = pairs.filter(|(name, _)| *name == wanted).map(|(_, value)| value).next();
    Ok(found.filter(|value| value.len() <= LONGEST).map(|value| Credential::Cookie(value.to_owned())))
}

/// A browser sends cookies by itself: a change that carries them must come from our own pages (by `Sec-Fetch-Site`,
/// or by `Origin` where that is missing).
pub(crate) fn same_origin(parts: &Parts) -> Result<(), Problem> {
    // A WebSocket begins with a GET, and any page may open one: it is as good as a change.
    let opens = crate::proxy::wants_websocket(&parts.headers);
    if !opens && matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name: &str| parts.headers.get(name).and_then(|it| it.to_str().ok());
    let own = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => origin.split_once("://").is_some_and(|(_, host)| text("host") == Some(host)),
        // No browser of today sends a POST without either.
        (None, None) => true,
    };
    if own {
        return Ok(());
    }
    Err(Problem::new(ProblemKind::Denied, "cross_site_request", "this change was asked for by another site")
        .hint("make it from this installation's own pages, or with a token in the Authorization header"))
}

/// What a credential is remembered by: never the credential itself.
pub(crate) fn digest(scope: Scope, credential: &str) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(scope.to_string().as_bytes());
    context.update(b"|");
    context.update(credential.as_bytes());
    let mut digest = [0; 32];
    digest.iter_mut().zip(context.finish().as_ref()).for_each(|(byte, of)| *byte = *of);
    digest
}
