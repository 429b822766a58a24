//! What pages read from a request and from the answers of use cases, and what they answer.

use std::collections::HashMap;

use askama::Template;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use jiff::{Timestamp, tz::TimeZone};
use kernel::{Condition, Cx, Problem, ProblemKind};
pub(crate) use look::Answer;
use serde_json::Value;

/// The fields of a form or of a query.
pub(crate) type Sent = HashMap<String, String>;

pub(crate) fn redirect(to: &str) -> Answer {
    let answer = Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, to);
    answer.body(Bytes::new().into()).map_err(Problem::internal)
}

/// How these pages are laid out.
pub(crate) const STYLE: &str = include_str!("../templates/style.css");

static POLICY: look::Policy = look::Policy::of(|| look::policy(&[look::TOKENS, STYLE]));

/// A page; with the status of what was refused, if something was.
pub(crate) fn html(page: &impl Template, refused: Option<&Problem>) -> Answer {
    let status = refused.map_or(200, |problem| problem.kind().status());
    look::page(StatusCode::from_u16(status).map_err(Problem::internal)?, page, &POLICY)
}

pub(crate) fn text(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(crate) fn flag(value: &Value, field: &str) -> bool {
    value.get(field).and_then(Value::as_bool).unwrap_or_default()
}

pub(crate) fn number(value: &Value, field: &str) -> u64 {
    value.get(field).and_then(Value::as_u64).unwrap_or(0)
}

/// An amount of money as people read it.
pub(crate) fn amount(value: &Value) -> String {
    let (amount, currency) = (text(value, "amount"), text(value, "currency"));
    if currency.is_empty() { amount } else { format!("{currency} {amount}") }
}

/// The amount of money in a field; nothing where there is none.
pub(crate) fn money(value: &Value, field: &str) -> String {
    value.get(field).map(amount).unwrap_or_default()
}

pub(crate) fn items(value: &Value) -> &[Value] {
    value.get("items").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn texts(value: &Value, field: &str) -> Vec<String> {
    let all = value.get(field).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

pub(crate) fn form(request: &Request<Bytes>) -> Sent {
    form_urlencoded::parse(request.body()).into_owned().collect()
}

pub(crate) fn query(request: &Request<Bytes>) -> Sent {
    form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect()
}

pub(crate) fn get<'a>(sent: &'a Sent, name: &str) -> &'a str {
    sent.get(name).map(|text| text.trim()).unwrap_or_default()
}

/// The part of the path at a place, counted from 0.
pub(crate) fn segment(request: &Request<Bytes>, place: usize) -> String {
    request.uri().path().trim_matches('/').split('/').nth(place).unwrap_or_default().to_owned()
}

/// The address of the next page of a list.
pub(crate) fn next_page(path: &str, listed: &Value, kept: &[(&str, &str)]) -> String {
    let Some(after) = listed.get("next").and_then(Value::as_str) else { return String::new() };
    let mut fields = form_urlencoded::Serializer::new(String::new());
    fields.extend_pairs(kept.iter().filter(|(_, value)| !value.is_empty()));
    format!("{path}?{}", fields.append_pair("after", after).finish())
}

/// `None` where the caller may not see it, or no context here serves it.
pub(crate) fn shown(answer: Result<Value, Problem>) -> Result<Option<Value>, Problem> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(problem) if matches!(problem.kind(), ProblemKind::Denied | ProblemKind::NotFound) => Ok(None),
        Err(problem) if problem.code() == "context_not_served" => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// Whether the caller holds a permission, for all there is.
pub(crate) fn holds(cx: &Cx, permission: &str) -> bool {
    cx.grants().iter().any(|(name, condition)| name == permission && condition == Condition::Always)
}

/// What is wrong, for the person who asked for it: what happened, which field, what to do.
pub(crate) fn told(problem: &Problem) -> String {
    let document = problem.document(None);
    let fields = document.errors.iter().map(|it| it.detail.clone());
    let sentences = std::iter::once(document.detail.clone()).chain(fields).chain(document.hint);
    let begun = |sentence: String| {
        let mut letters = sentence.chars();
        let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
        format!("{first}{}.", letters.as_str())
    };
    sentences.map(begun).collect::<Vec<_>>().join(" ")
}

/// Whether a page can be shown again with what is wrong.
pub(crate) fn is_told(problem: &Problem) -> bool {
    !matches!(problem.kind(), ProblemKind::Internal | ProblemKind::NotFound | ProblemKind::Unauthenticated)
}

/// An instant as people of a time zone read it.
pub(crate) fn instant(text: &str, zone: &TimeZone) -> String {
    let Ok(at) = text.parse::<Timestamp>() else { return String::new() };
    zone.to_datetime(at).strftime("%-d %b %Y, %H:%M").to_string()
}
