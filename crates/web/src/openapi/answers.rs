//! The answers of an operation: which problems it can have follows from what it is.

use std::collections::BTreeMap;

use kernel::problem::ProblemDocument;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::reference;

/// What decides which problems are possible.
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own about one operation")]
pub(super) struct Asked {
    pub(super) tenant: bool,
    pub(super) public: bool,
    /// Its path names one thing.
    pub(super) names_one: bool,
    pub(super) changes: bool,
    /// It tells the version of what it is about.
    pub(super) versioned: bool,
    pub(super) with_body: bool,
}

/// The answers that all operations share.
pub(super) struct Answers {
    problem: Value,
    known: Map<String, Value>,
}

impl Answers {
    pub(super) fn new(generator: &mut SchemaGenerator) -> Self {
        let problem = generator.subschema_for::<ProblemDocument>().to_value();
        Self { problem, known: reference::problems() }
    }

    /// The codes that are one context's own.
    pub(super) fn own(&self, context: &str) -> Vec<&str> {
        let of = |code: &&String| code.split_once('.').is_some_and(|(owner, _)| owner == context);
        self.known.keys().filter(of).map(String::as_str).collect()
    }

    /// By status, the problems that are no context's own, each with an example.
    pub(super) fn components(&self) -> Map<String, Value> {
        let mut by_status: BTreeMap<String, Vec<(&String, &Value)>> = BTreeMap::new();
        for (code, it) in self.known.iter().filter(|(code, _)| !code.contains('.')) {
            by_status.entry(it["status"].to_string()).or_default().push((code, it));
        }
        let mut components: Map<_, _> =
            by_status.iter().map(|(status, all)| (format!("Problem{status}"), self.component(all))).collect();
        let rest = |what: &str| json!({ "description": what, "content": self.content(&Value::Null) });
        components.insert("Refused".to_owned(), rest("Refused; `code` and `hint` say why and what to do."));
        components.insert("Failed".to_owned(), rest("Failed; it may be sent again with the same Idempotency-Key."));
        components
    }

    fn component(&self, all: &[(&String, &Value)]) -> Value {
        let codes: Vec<_> = all.iter().map(|(code, _)| format!("`{code}`")).collect();
        let title = all.first().and_then(|(_, it)| it["title"].as_str()).unwrap_or_default();
        let examples: Map<_, _> = all.iter().map(|(code, it)| ((*code).clone(), example(code, it))).collect();
        let mut component = json!({
            "description": format!("{title}: {}.", codes.join(", ")),
            "content": self.content(&examples.into()),
        });
        let limited = all.iter().any(|(_, it)| it["retryable"] == true);
        if let (true, Some(component)) = (limited, component.as_object_mut()) {
            let schema = json!({ "type": "integer", "minimum": 0 });
            let header = json!({ "description": "After how many seconds to try again.", "schema": schema });
            component.insert("headers".to_owned(), json!({ "Retry-After": header }));
        }
        component
    }

    fn content(&self, examples: &Value) -> Value {
        let mut media = json!({ "schema": self.problem });
        if let (false, Some(media)) = (examples.is_null(), media.as_object_mut()) {
            media.insert("examples".to_owned(), examples.clone());
        }
        json!({ "application/problem+json": media })
    }

    fn has(&self, status: u16) -> bool {
        self.known.iter().any(|(code, it)| !code.contains('.') && it["status"] == status)
    }

    pub(super) fn of_use_case(&self, asked: &Asked, output: &Schema) -> Map<String, Value> {
        let mut done = json!({ "description": "Done.", "content": { "application/json": { "schema": output } } });
        if let (true, Some(done)) = (asked.versioned, done.as_object_mut()) {
            let tag = json!({ "description": "The version of what the answer shows.", "schema": { "type": "string" } });
            done.insert("headers".to_owned(), json!({ "ETag": tag }));
        }
        let mut answers = Map::from_iter([("200".to_owned(), done)]);
        let possible = [
            (400, true),
            (401, true),
            (403, asked.tenant || !asked.public),
            (404, asked.tenant || asked.names_one),
            (409, asked.changes),
            (410, asked.changes),
            (412, asked.changes && asked.versioned),
            (413, asked.with_body),
            (415, asked.with_body),
            (422, asked.changes),
            (429, true),
        ];
        for (status, _) in possible.into_iter().filter(|(status, can)| *can && self.has(*status)) {
            answers.insert(status.to_string(), reference_to(&format!("Problem{status}")));
        }
        answers.insert("4XX".to_owned(), reference_to("Refused"));
        answers.insert("5XX".to_owned(), reference_to("Failed"));
        answers
    }

    /// Those of a standard or a page, which have a form of their own for some refusals.
    pub(super) fn of_endpoint(&self, produces: &str) -> Map<String, Value> {
        let refused = json!({ produces: {}, "application/problem+json": { "schema": self.problem } });
        Map::from_iter([
            ("200".to_owned(), json!({ "description": "The answer.", "content": { produces: {} } })),
            ("3XX".to_owned(), json!({ "description": "Goes on elsewhere, or nothing changed." })),
            ("4XX".to_owned(), json!({ "description": "The request is refused.", "content": refused })),
            ("5XX".to_owned(), reference_to("Failed")),
        ])
    }
}

fn reference_to(component: &str) -> Value {
    json!({ "$ref": format!("#/components/responses/{component}") })
}

fn example(code: &str, it: &Value) -> Value {
    json!({ "summary": it.pointer("/meanings/0").and_then(Value::as_str).unwrap_or(code), "value": {
        "type": format!("/problems/{code}"), "title": it["title"], "status": it["status"],
        "detail": it.pointer("/meanings/0").and_then(Value::as_str).unwrap_or_default(), "code": code, "kind": it["kind"],
        "hint": it.pointer("/remedies/0"),
    } })
}
