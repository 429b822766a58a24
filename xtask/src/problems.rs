//! The problems that the code can answer with: kind, code, what happened, what to do. Gathered from the calls of
//! `Problem::new`, whose kind and code are literals, so that the list cannot differ from the program.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::json;

use crate::{
    places,
    sources::{Source, Token},
};

/// All that was found.
#[derive(Default)]
pub(crate) struct Problems {
    codes: BTreeMap<String, Entry>,
    pub(crate) findings: Vec<String>,
}

#[derive(Default)]
struct Entry {
    kinds: BTreeSet<String>,
    details: BTreeSet<String>,
    hints: BTreeSet<String>,
    crates: BTreeSet<String>,
}

/// The kinds as `kernel::ProblemKind` has them: name, status, title, whether the same request may be sent again, and
/// what helps where nothing more is said.
const KINDS: &[(&str, u16, &str, bool, &str)] = &[
    ("Invalid", 400, "Invalid request", false, "correct the request and send it again"),
    ("Unauthenticated", 401, "Not signed in", false, "sign in, or send another credential"),
    ("Denied", 403, "Not permitted", false, "ask someone who administers this tenant"),
    ("NotFound", 404, "Not found", false, "check the id and the tenant of the request"),
    ("MethodNotAllowed", 405, "Method not allowed", false, "use a method that /openapi.json lists"),
    ("Conflict", 409, "Conflict", false, "read the present state and decide anew"),
    ("Gone", 410, "Gone", false, "nothing can bring it back"),
    ("Precondition", 412, "Changed meanwhile", false, "read it again and repeat the change"),
    ("TooLarge", 413, "Too large", false, "send less at once"),
    ("Unsupported", 415, "Media type not supported", false, "send the media type that /openapi.json names"),
    ("Refused", 422, "Refused", false, "the detail names the rule that refused it"),
    ("Limited", 429, "Limit reached", true, "wait as long as Retry-After says"),
    ("Internal", 500, "Internal error", false, "try again; if it stays, report the trace id"),
    ("Unavailable", 503, "Temporarily unavailable", true, "send the request again"),
    ("Timeout", 504, "Took too long", true, "send the request again"),
];

/// Where `Problem::new` itself stands, and problems of another process are made anew.
const HOME: &str = "crates/kernel/src/problem.rs";

/// Looks through all sources.
pub(crate) fn gather(sources: &[Source]) -> Problems {
    let mut problems = Problems::default();
    for source in sources {
        gather_one(source, &mut problems);
    }
    for (code, entry) in &problems.codes {
        if entry.kinds.len() > 1 {
            let kinds: Vec<_> = entry.kinds.iter().map(String::as_str).collect();
            problems.findings.push(format!("the code {code} has several kinds: {}", kinds.join(", ")));
        }
    }
    problems
}

fn gather_one(source: &Source, problems: &mut Problems) {
    let row = &source.product;
    let starts: Vec<usize> = (0..row.len()).filter(|at| literal_at(row, *at).is_some()).collect();
    let mut known = BTreeSet::new();
    for (place, start) in starts.iter().enumerate() {
        let Some((kind, code, after)) = literal_at(row, *start) else { continue };
        known.insert(*start);
        let end = starts.get(place + 1).copied().unwrap_or(row.len());
        let end = end_of_function(row, after).min(end);
        let rest = row.get(after..end).unwrap_or_default();
        let entry = problems.codes.entry(code.to_owned()).or_default();
        entry.kinds.insert(kind.to_owned());
        entry.crates.insert(places::unit(&source.path));
        entry.details.extend(detail(rest));
        entry.hints.extend(hint(rest));
    }
    if source.path == HOME {
        return;
    }
    let calls = (0..row.len()).filter_map(|at| call_at(row, at));
    let unknown = calls.filter(|at| !known.contains(at)).count();
    if unknown > 0 {
        problems.findings.push(format!(
            "{}: {unknown} calls of Problem::new whose kind and code are not literals: write them at the call",
            source.path
        ));
    }
}

/// `ProblemKind::X, "code",` at a place: kind, code, and where it goes on.
fn literal_at(row: &[Token], at: usize) -> Option<(&str, &str, usize)> {
    let [kind_type, colon, second, kind, comma, code, ..] = row.get(at..)? else { return None };
    let shaped = kind_type.is("ProblemKind") && colon.is(":") && second.is(":") && comma.is(",");
    Some((kind.word().filter(|_| shaped)?, code.text()?, at + 6))
}

/// The place of the kind in a call of `Problem::new`.
fn call_at(row: &[Token], at: usize) -> Option<usize> {
    let [problem, colon, second, new, open, ..] = row.get(at..)? else { return None };
    let called = problem.is("Problem") && colon.is(":") && second.is(":") && new.is("new") && open.is("(");
    let first = at + 5;
    // `kernel::ProblemKind` as well as `ProblemKind`.
    let skip = if row.get(first).is_some_and(|it| it.is("kernel")) { 3 } else { 0 };
    called.then_some(first + skip)
}

/// Where the function ends in which this stands: at the next `fn`.
fn end_of_function(row: &[Token], from: usize) -> usize {
    let next = row.get(from..).and_then(|rest| rest.iter().position(|token| token.is("fn")));
    next.map_or(row.len(), |next| from + next)
}

/// The sentence: a text, or the text of a `format!`.
fn detail(rest: &[Token]) -> Option<String> {
    let texts = match rest {
        [comma, Token::Text(text), ..] if comma.is(",") => Some(text),
        [comma, format, not, open, Token::Text(text), ..]
            if comma.is(",") && format.is("format") && not.is("!") && open.is("(") =>
        {
            Some(text)
        }
        _ => None,
    };
    texts.map(|text| named_places(text))
}

fn hint(rest: &[Token]) -> Option<String> {
    let at = rest.windows(2).position(|pair| matches!(pair, [hint, open] if hint.is("hint") && open.is("(")))?;
    match rest.get(at + 2..)? {
        [Token::Text(text), ..] => Some(named_places(text)),
        [format, not, open, Token::Text(text), ..] if format.is("format") && not.is("!") && open.is("(") => {
            Some(named_places(text))
        }
        _ => None,
    }
}

/// `{name}` of a format as `…`.
fn named_places(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        out.push('…');
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    out + rest
}

impl Entry {
    fn kind(&self) -> (&str, u16, &str, bool, &str) {
        let name = self.kinds.first().map_or("Internal", String::as_str);
        KINDS.iter().find(|kind| kind.0 == name).copied().unwrap_or(("Internal", 500, "Internal error", false, ""))
    }

    fn remedies(&self) -> Vec<&str> {
        let said: Vec<_> = self.hints.iter().map(String::as_str).collect();
        if said.is_empty() { vec![self.kind().4] } else { said }
    }
}

/// What the program serves under `/problems/`.
pub(crate) fn json(problems: &Problems) -> Result<String> {
    let entries: serde_json::Map<_, _> = problems
        .codes
        .iter()
        .map(|(code, entry)| {
            let (kind, status, title, retryable, _) = entry.kind();
            let told = json!({
                "code": code, "kind": snake(kind), "status": status, "title": title, "retryable": retryable,
                "meanings": entry.details, "remedies": entry.remedies(),
            });
            (code.clone(), told)
        })
        .collect();
    Ok(serde_json::to_string_pretty(&entries)? + "\n")
}

fn snake(kind: &str) -> String {
    let mut out = String::new();
    for letter in kind.chars() {
        if letter.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

/// `docs/problems.md`.
pub(crate) fn page(problems: &Problems) -> String {
    let mut page = String::from(
        "# Problems\n\nGenerated by `cargo xtask generate` from the code; not edited by hand.\n\n\
         A request that fails is answered with `application/problem+json` (RFC 9457). `code` is stable, and is the last\n\
         part of `type`; the program serves each of these at `/problems/<code>`. `kind` decides the status, and whether\n\
         the same request may succeed later without being changed. `hint` says what to do, `errors` names fields by JSON\n\
         pointer, and `trace_id` leads to the log.\n\n| code | status | again? |\n| --- | --- | --- |\n",
    );
    for (code, entry) in &problems.codes {
        let (_, status, title, again, _) = entry.kind();
        let again = if again { "yes" } else { "" };
        page.extend([format!("| [`{code}`](#{}) | {status} {title} | {again} |\n", anchor(code))]);
    }
    for (code, entry) in &problems.codes {
        let (kind, status, title, again, _) = entry.kind();
        let again = if again { "the same request may be sent again" } else { "the same request fails again" };
        page.extend([format!("\n## `{code}`\n\n{status} {title} (`{}`); {again}.\n\n", snake(kind))]);
        for meaning in &entry.details {
            page.extend([format!("* What happened: {meaning}.\n")]);
        }
        for remedy in entry.remedies() {
            page.extend([format!("* What to do: {remedy}.\n")]);
        }
        let from: Vec<_> = entry.crates.iter().map(|name| format!("`{name}`")).collect();
        page.extend([format!("* From: {}.\n", from.join(", "))]);
    }
    page
}

/// How a heading in backquotes is linked to.
fn anchor(code: &str) -> String {
    code.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::tokens;

    fn gathered(text: &str) -> Problems {
        let source =
            Source { path: "contexts/a/src/b.rs".to_owned(), product: tokens(text).unwrap(), tests: String::new() };
        gather(&[source])
    }

    #[test]
    fn a_problem_is_found_with_what_it_says() {
        let found = gathered(
            "fn a() { Problem::new(kernel::ProblemKind::Refused, \"a.no\", format!(\"no {x} left\")).hint(\"buy one\") }\n\
             fn b() { Self::new(ProblemKind::Gone, \"a.gone\", error.to_string()) }",
        );
        assert!(found.findings.is_empty(), "{:?}", found.findings);
        let no = &found.codes["a.no"];
        assert_eq!((no.kind().1, no.details.first().unwrap().as_str()), (422, "no … left"));
        assert_eq!(no.remedies(), ["buy one"]);
        assert_eq!(
            found.codes["a.gone"].remedies(),
            ["nothing can bring it back"],
            "the hint of another is not its own"
        );
    }

    #[test]
    fn what_cannot_be_read_and_what_contradicts_is_told() {
        assert_eq!(gathered("fn a() { Problem::new(kind, \"a.b\", \"\") }").findings.len(), 1);
        assert_eq!(gathered("fn a() { Problem::new(ProblemKind::Gone, code, \"\") }").findings.len(), 1);
        let twice =
            "fn a() { Problem::new(ProblemKind::Gone, \"c\", \"\"); Problem::new(ProblemKind::Denied, \"c\", \"\") }";
        assert!(gathered(twice).findings.join("").contains("several kinds"));
    }

    #[test]
    fn the_kinds_are_those_of_the_kernel() {
        let kernel = std::fs::read_to_string(crate::places::root().join(HOME)).unwrap();
        for (kind, status, title, ..) in KINDS {
            assert!(kernel.contains(&format!("Self::{kind} => {status},")), "{kind}");
            assert!(kernel.contains(&format!("Self::{kind} => \"{title}\",")), "{kind}");
        }
        assert_eq!(kernel.matches(" => \"").count(), KINDS.len());
    }
}
