//! Versions of aggregates as HTTP tells and takes them: `ETag` and `If-Match` (RFC 9110, sections 8.8.3 and 13.1.1).

use axum::response::Response;
use http::{HeaderValue, header, request::Parts};
use kernel::{
    Problem,
    version::{IfMatch, Versions},
};

/// What the caller of a change takes. One that names a version where none is told is refused: it would not be kept to it.
pub(crate) fn expected(
    parts: &Parts,
    changes: bool,
    versioned: Option<&'static str>,
) -> Result<Option<IfMatch>, Problem> {
    let mut lines = parts.headers.get_all(header::IF_MATCH).iter().filter(|_| changes).peekable();
    if lines.peek().is_none() {
        return Ok(None);
    }
    if versioned.is_none() {
        return Err(Problem::invalid_field("If-Match", "no version is told of what this changes"));
    }
    let mut named = Vec::new();
    for line in lines {
        let tags =
            line.to_str().map_err(|_| Problem::invalid_field("If-Match", "expected tags that were given out"))?;
        for tag in tags.split(',').map(str::trim) {
            if tag == "*" {
                return Ok(Some(IfMatch::Any));
            }
            // Whatever else stands there is no tag of ours, so it matches nothing.
            named.extend(tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')?.parse::<u64>().ok()));
        }
    }
    Ok(Some(IfMatch::OneOf(named)))
}

/// Tells the version, where one was seen.
pub(crate) fn told(mut answer: Response, versions: &Versions) -> Response {
    if let Some(tag) = versions.now().and_then(|version| HeaderValue::try_from(format!("\"{version}\"")).ok()) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(lines: &[&str]) -> Parts {
        let request = lines.iter().fold(http::Request::builder(), |it, line| it.header("if-match", *line));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn tags_are_compared_strongly_and_never_left_unheard() {
        let of = |lines: &[&str]| expected(&sent(lines), true, Some("a.role"));
        assert_eq!(of(&[]).unwrap(), None);
        assert_eq!(of(&["\"3\", \"7\"", "\"9\""]).unwrap(), Some(IfMatch::OneOf(vec![3, 7, 9])));
        assert_eq!(of(&["*"]).unwrap(), Some(IfMatch::Any));
        for nothing in ["W/\"3\"", "3", "\"x\"", ""] {
            assert_eq!(of(&[nothing]).unwrap(), Some(IfMatch::OneOf(Vec::new())), "{nothing}");
        }
        assert!(expected(&sent(&["\"3\""]), true, None).is_err());
        assert_eq!(expected(&sent(&["\"3\""]), false, None).unwrap(), None, "what changes nothing can undo nothing");
    }
}
