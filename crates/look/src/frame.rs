//! Pages that stand by themselves: one thing to do, below the name of whoever asks for it.

use askama::Template;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use kernel::{Calls, Cx, Problem, ProblemKind, context::Body};

use crate::{Answer, Brand, Policy, TOKENS, page, policy};

const STYLE: &str = include_str!("../templates/frame.css");

static POLICY: Policy = Policy::of(|| policy(&[TOKENS, STYLE]));

/// What stands in a frame. It travels as an extension of the answer, so that who makes it need not know whom it is for.
#[derive(Debug, Clone)]
struct Content {
    title: String,
    html: String,
}

#[derive(Template)]
#[template(path = "frame.html")]
struct Frame<'a> {
    brand: &'a Brand,
    support: Option<String>,
    title: &'a str,
    content: &'a str,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Told {
    title: &'static str,
    sentences: Vec<String>,
    trace: String,
}

/// A page without its frame.
pub fn content(status: StatusCode, title: &str, content: &impl Template) -> Answer {
    let html = content.render().map_err(Problem::internal)?;
    let mut answer = Response::new(Body::from(Bytes::new()));
    *answer.status_mut() = status;
    answer.extensions_mut().insert(Content { title: title.to_owned(), html });
    Ok(answer)
}

/// The answer of an endpoint of pages as whoever asks sees it: in the frame of the tenant that they are at. What goes wrong
/// is told `to_person` as a page too; a fault of ours stays one, and is logged.
pub async fn shown(answer: Answer, to_person: bool, calls: &Calls, cx: &Cx) -> Answer {
    let answer = match answer {
        Err(told) if to_person && told.kind() != ProblemKind::Internal => problem(&told, &cx.trace().to_string())?,
        answer => answer?,
    };
    if answer.extensions().get::<Content>().is_none() {
        return Ok(answer);
    }
    framed(answer, &Brand::of(calls, cx).await)
}

/// The page in its frame, whatever headers it has.
fn framed(mut answer: Response<Body>, brand: &Brand) -> Answer {
    let Some(Content { title, html }) = answer.extensions_mut().remove() else { return Ok(answer) };
    let frame = Frame { brand, support: brand.support_link(), title: &title, content: &html };
    let (parts, body) = page(answer.status(), &frame, &POLICY)?.into_parts();
    answer.headers_mut().extend(parts.headers);
    *answer.body_mut() = body;
    Ok(answer)
}

/// Whether it is a browser that asks, to show the answer to somebody.
pub fn wants_pages(request: &Request<Bytes>) -> bool {
    let accepts = request.headers().get(header::ACCEPT).and_then(|it| it.to_str().ok());
    accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// What went wrong, as a page without its frame.
fn problem(problem: &Problem, trace: &str) -> Answer {
    use ProblemKind::{Denied, Limited, NotFound, Timeout, TooLarge, Unauthenticated, Unavailable};
    let title = match problem.kind() {
        NotFound => "There is nothing here",
        Denied | Unauthenticated => "You cannot do this",
        Limited | Unavailable | Timeout => "Try again in a moment",
        TooLarge => "That is too much",
        _ => "That did not work",
    };
    let document = problem.document(None);
    let fields = document.errors.iter().map(|it| it.detail.as_str());
    let all = std::iter::once(document.detail.as_str()).chain(fields).chain(document.hint.as_deref());
    let sentences = all.map(sentence).collect();
    let status = StatusCode::from_u16(problem.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = content(status, title, &Told { title, sentences, trace: trace.to_owned() })?;
    if let Some(seconds) = problem.retry_seconds() {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Template)]
    #[template(source = "<h1>{{ said }}</h1>", ext = "html")]
    struct Said {
        said: &'static str,
    }

    fn shown(brand: &Brand) -> (String, String) {
        let answer = content(StatusCode::OK, "A & B", &Said { said: "<script>" }).unwrap();
        let answer = framed(answer, brand).unwrap();
        let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        let Body::Full(body) = answer.into_body() else { panic!("a page is whole") };
        (String::from_utf8(body.to_vec()).unwrap(), policy)
    }

    #[test]
    fn what_a_tenant_wrote_is_text() {
        let name = "\"><script>alert(1)</script>".to_owned();
        let (html, _) = shown(&Brand { name, support: "a'b@example.com".parse().ok(), ..Brand::platform() });
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("A &#38; B · ") && html.contains("mailto:a%27b@example.com"), "{html}");
        assert!(!html.contains("style=") && !html.contains("rel=\"stylesheet\""), "{html}");
    }

    #[test]
    fn the_policy_lets_through_the_styles_of_the_page_and_no_other() {
        let (html, policy) = shown(&Brand::platform());
        let styles: Vec<_> = html.split("<style>").skip(1).map(|it| it.split("</style>").next().unwrap()).collect();
        assert_eq!(policy, super::policy(&styles), "a style that the policy does not know is not applied");
        assert!(!policy.contains("unsafe") && !policy.contains("script"), "{policy}");
    }
}
