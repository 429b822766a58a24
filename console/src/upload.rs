//! A file that was sent with a form (RFC 7578), as browsers send it.

use std::{convert::Infallible, future::ready};

use bytes::Bytes;
use futures::stream;
use http::{Request, header};
use kernel::{Problem, ProblemKind};
use multer::Multipart;

fn refused(why: &'static str) -> Problem {
    Problem::new(ProblemKind::Invalid, "console.form_refused", why).hint("send the form from the page it stands on")
}

/// The bytes of a field.
pub(crate) async fn file(request: &Request<Bytes>, field: &str) -> Result<Bytes, Problem> {
    let broken = |_| refused("this is no form with a file");
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(media_type).map_err(broken)?;
    let body = stream::once(ready(Ok::<_, Infallible>(request.body().clone())));
    let mut parts = Multipart::new(body, boundary);
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        if part.name() == Some(field) {
            return part.bytes().await.map_err(broken);
        }
    }
    Err(refused("the form has no such file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(media_type: &str, content: &str) -> Request<Bytes> {
        let body = format!(
            "--x1\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nlogo\r\n--x1\r\nContent-Disposition: form-data; \
             name=\"logo\"; filename=\"a;name=b.png\"\r\nContent-Type: image/png\r\n\r\n{content}\r\n--x1--\r\n"
        );
        Request::builder().header("content-type", media_type).body(body.into()).unwrap()
    }

    #[tokio::test]
    async fn a_field_has_its_bytes_and_what_is_no_form_is_refused() {
        let form = sent("multipart/form-data; boundary=x1", "the image");
        assert_eq!(file(&form, "logo").await.unwrap(), "the image");
        assert_eq!(file(&form, "other").await.unwrap(), "logo");
        assert!(file(&form, "b.png").await.is_err());
        for media_type in ["text/plain; boundary=x1", "multipart/form-data", "multipart/form-data; boundary=x2"] {
            assert!(file(&sent(media_type, ""), "logo").await.is_err(), "{media_type}");
        }
    }
}
