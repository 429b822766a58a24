//! A file that was sent with a form (RFC 7578), as browsers send it.

use bytes::Bytes;
use http::{Request, header};
use kernel::{Problem, ProblemKind};

fn refused(why: &'static str) -> Problem {
    Problem::new(ProblemKind::Invalid, "console.form_refused", why).hint("send the form from the page it stands on")
}

/// What separates the parts (RFC 2046, section 5.1.1).
fn boundary(media_type: &str) -> Option<&str> {
    let (essence, parameters) = media_type.split_once(';')?;
    let named = parameters.split(';').filter_map(|it| it.trim().split_once('='));
    let (_, boundary) = named.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("boundary"))?;
    let boundary = boundary.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(boundary);
    let fits = essence.trim().eq_ignore_ascii_case("multipart/form-data") && (1..=70).contains(&boundary.len());
    fits.then_some(boundary)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Whether the head of a part names this field.
fn names(head: &[u8], field: &str) -> bool {
    let Ok(head) = std::str::from_utf8(head) else { return false };
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut of = lines.filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"));
    of.any(|(_, value)| value.split(';').any(|it| it.trim() == format!("name=\"{field}\"")))
}

/// The bytes of a field.
pub(crate) fn file(request: &Request<Bytes>, field: &str) -> Result<Bytes, Problem> {
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let boundary = media_type.and_then(boundary).ok_or_else(|| refused("this is no form with a file"))?;
    let (first, next) = (format!("--{boundary}\r\n"), format!("\r\n--{boundary}"));
    let body = request.body();
    let mut rest = if body.starts_with(first.as_bytes()) { body.slice(first.len()..) } else { Bytes::new() };
    while let Some(end) = find(&rest, next.as_bytes()) {
        let part = rest.slice(..end);
        if let Some(head) = find(&part, b"\r\n\r\n")
            && names(&part.slice(..head), field)
        {
            return Ok(part.slice(head + 4..));
        }
        let after = rest.slice(end + next.len()..);
        rest = if after.starts_with(b"\r\n") { after.slice(2..) } else { Bytes::new() };
    }
    Err(refused("the form has no such file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(boundary: &str, body: Vec<u8>) -> Request<Bytes> {
        let media_type = format!("multipart/form-data; boundary={boundary}");
        Request::builder().header("content-type", media_type).body(body.into()).unwrap()
    }

    fn sent(content: &[u8]) -> Request<Bytes> {
        let mut body = b"--x1\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nlogo\r\n--x1\r\n\
            Content-Disposition: form-data; name=\"logo\"; filename=\"a;name=b.png\"\r\nContent-Type: image/png\r\n\r\n"
            .to_vec();
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n--x1--\r\n");
        request("x1", body)
    }

    #[test]
    fn the_file_of_a_field_and_no_other() {
        assert_eq!(file(&sent(b"\x89PNG\r\n\x1a\n\r\n\r\n--x"), "logo").unwrap(), &b"\x89PNG\r\n\x1a\n\r\n\r\n--x"[..]);
        assert_eq!(file(&sent(b""), "other").unwrap(), "logo");
        assert!(file(&sent(b"x"), "image").is_err() && file(&sent(b"x"), "b.png").is_err());
        let plain = Request::builder().header("content-type", "text/plain; boundary=x1").body(Bytes::new()).unwrap();
        assert!(file(&plain, "logo").is_err());
    }

    proptest! {
        #[test]
        fn what_was_sent_comes_out_and_nothing_breaks_it(content: Vec<u8>, cut: prop::sample::Index, any: Vec<u8>) {
            prop_assume!(find(&content, b"\r\n--x1").is_none());
            let whole = sent(&content);
            prop_assert_eq!(file(&whole, "logo").unwrap(), content);
            let body = whole.body().slice(..cut.index(whole.body().len()));
            let _ = file(&request("x1", body.to_vec()), "logo");
            let _ = file(&request("x1", any), "logo");
        }
    }
}
