//! What pages and protocol endpoints read and answer.

use std::collections::HashMap;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use kernel::{Problem, ProblemKind, context::Body};

/// The pairs of the query; of a name that comes twice, the first.
pub fn query(request: &Request<Bytes>) -> HashMap<String, String> {
    pairs(request.uri().query().unwrap_or_default().as_bytes())
}

fn pairs(encoded: &[u8]) -> HashMap<String, String> {
    let mut pairs = HashMap::new();
    for (name, value) in form_urlencoded::parse(encoded).into_owned() {
        pairs.entry(name).or_insert(value);
    }
    pairs
}

/// The fields of a form.
pub fn form(request: &Request<Bytes>) -> Result<HashMap<String, String>, Problem> {
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    if !media.starts_with("application/x-www-form-urlencoded") {
        return Err(Problem::new(ProblemKind::Unsupported, "media_type_unsupported", "the body is not a form")
            .hint("send Content-Type: application/x-www-form-urlencoded"));
    }
    Ok(pairs(request.body()))
}

/// Sends a browser on.
pub fn redirect(to: &str) -> Result<Response<Body>, Problem> {
    let answer = Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, to);
    answer.body(Bytes::new().into()).map_err(Problem::internal)
}

/// A path of this site, and nothing that a browser would take for another.
pub fn local(path: &str) -> &str {
    let fits =
        path.starts_with('/') && !path.starts_with("//") && !path.contains('\\') && !path.contains(char::is_control);
    if fits { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn nobody_is_sent_to_another_site() {
        assert_eq!(local("/oauth/authorize?a=b"), "/oauth/authorize?a=b");
        for elsewhere in ["//evil.example", "https://evil.example", "/\\evil.example", "", "/\tx"] {
            assert_eq!(local(elsewhere), "/", "{elsewhere}");
        }
    }
}
