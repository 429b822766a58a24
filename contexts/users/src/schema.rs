//! What a definition of fields may be: a JSON Schema that is small, refers to nothing, and runs in linear time.

use jsonschema::{PatternOptions, Validator, error::ValidationErrorKind};
use kernel::{Problem, text::Key};
use serde_json::{Map, Value};

use crate::fields::{Editor, MOST_BYTES, Visibility};

/// The most fields.
const MOST_FIELDS: usize = 64;
/// The deepest that a schema nests.
const DEEPEST: usize = 12;
/// The most bytes of a compiled pattern.
const PATTERN: usize = 64 * 1024;
/// The dialect that is spoken.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

fn refused(pointer: &str, detail: impl Into<String>) -> Problem {
    Problem::invalid_field(format!("/schema{pointer}"), detail)
}

/// What is wrong, without the value: it may be long, and private.
pub(crate) fn plain(error: &jsonschema::ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::Enum { options } => format!("expected one of {options}"),
        _ => error.masked_with("the value").to_string(),
    }
}

/// What a field says under a word of ours.
pub(crate) fn annotation<T: serde::de::DeserializeOwned>(field: &Value, name: &str) -> Option<T> {
    field.get(name).and_then(|value| serde_json::from_value(value.clone()).ok())
}

/// Patterns run in linear time, whatever they are given; nothing is fetched, since nothing can be referred to.
pub(crate) fn compiled(field: &Value) -> Result<Validator, String> {
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN).dfa_size_limit(PATTERN))
        .build(field)
        .map_err(|error| error.to_string())
}

/// Whether a definition of fields can be used.
pub(crate) fn check(schema: &Value) -> Result<(), Problem> {
    let size = schema.to_string().len();
    if size > MOST_BYTES {
        return Err(refused("", format!("a schema has at most {MOST_BYTES} bytes, this one {size}")));
    }
    let Value::Object(top) = schema else { return Err(refused("", "expected an object")) };
    let none = Map::new();
    let mut fields = &none;
    for (keyword, value) in top {
        match (keyword.as_str(), value) {
            ("$schema", Value::String(dialect)) if dialect == DIALECT => {}
            ("title" | "description", Value::String(_)) | ("additionalProperties", Value::Bool(false)) => {}
            ("type", Value::String(kind)) if kind == "object" => {}
            ("properties", Value::Object(properties)) => fields = properties,
            ("required", Value::Array(names)) => required(names, top)?,
            ("$schema", _) => return Err(refused("/$schema", format!("expected {DIALECT}"))),
            _ => {
                return Err(refused(
                    &format!("/{keyword}"),
                    "expected an object with title, description, properties, required, additionalProperties: false",
                ));
            }
        }
    }
    if top.get("type").is_none() {
        return Err(refused("/type", "expected \"object\""));
    }
    if fields.len() > MOST_FIELDS {
        return Err(refused("/properties", format!("at most {MOST_FIELDS} fields")));
    }
    fields.iter().try_for_each(|(name, field)| check_field(name, field))
}

fn required(names: &[Value], top: &Map<String, Value>) -> Result<(), Problem> {
    let declared = |name: &Value| {
        name.as_str().is_some_and(|name| top.get("properties").is_some_and(|fields| fields.get(name).is_some()))
    };
    match names.iter().position(|name| !declared(name)) {
        Some(place) => Err(refused(&format!("/required/{place}"), "not the name of a field")),
        None => Ok(()),
    }
}

fn check_field(name: &str, field: &Value) -> Result<(), Problem> {
    let pointer = format!("/properties/{name}");
    name.parse::<Key>().map_err(|error| refused(&pointer, error.to_string()))?;
    if !field.is_object() {
        return Err(refused(&pointer, "expected an object"));
    }
    plain_words(field, &pointer, 1)?;
    if field.get("x-visibility").is_some() && annotation::<Visibility>(field, "x-visibility").is_none() {
        return Err(refused(&format!("{pointer}/x-visibility"), "expected \"members\" or \"private\""));
    }
    if field.get("x-editable").is_some() && annotation::<Editor>(field, "x-editable").is_none() {
        return Err(refused(&format!("{pointer}/x-editable"), "expected \"self\" or \"admins\""));
    }
    compiled(field).map(drop).map_err(|why| refused(&pointer, why))
}

/// No references, here or elsewhere, and no deeper than is bearable.
fn plain_words(value: &Value, pointer: &str, depth: usize) -> Result<(), Problem> {
    if depth > DEEPEST {
        return Err(refused(pointer, format!("nested more than {DEEPEST} deep")));
    }
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
            if name.starts_with('$') {
                return Err(refused(&pointer, "references and anchors are not followed: write it out"));
            }
            plain_words(value, &pointer, depth + 1)
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(place, value)| plain_words(value, &format!("{pointer}/{place}"), depth + 1)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(refused: &Problem) -> Vec<String> {
        refused.document(None).errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn schemas_that_refer_elsewhere_or_cost_too_much_are_refused() {
        let field = |field: Value| json!({ "type": "object", "properties": { "a": field } });
        let deep = (0..20).fold(json!({ "type": "string" }), |inner, _| json!({ "items": inner }));
        let many: Map<String, Value> = (0..65).map(|number| (format!("f{number}"), json!({}))).collect();
        for (schema, pointer) in [
            (field(json!({ "$ref": "http://evil.example/schema" })), "/schema/properties/a/$ref"),
            (field(json!({ "allOf": [{ "$dynamicRef": "#x" }] })), "/schema/properties/a/allOf/0/$dynamicRef"),
            (field(json!({ "pattern": "(" })), "/schema/properties/a"),
            (field(json!({ "pattern": "(a{1000}){1000}" })), "/schema/properties/a"),
            (field(json!({ "pattern": "(?=look)ahead" })), "/schema/properties/a"),
            (field(json!({ "type": "text" })), "/schema/properties/a"),
            (field(json!({ "x-visibility": "everyone" })), "/schema/properties/a/x-visibility"),
            (json!({ "type": "object", "properties": { "A": {} } }), "/schema/properties/A"),
            (json!({ "type": "object", "properties": many }), "/schema/properties"),
            (json!({ "type": "object", "required": ["b"], "properties": { "a": {} } }), "/schema/required/0"),
            (json!({ "type": "object", "if": {} }), "/schema/if"),
            (json!({ "$schema": "http://json-schema.org/draft-07/schema#", "type": "object" }), "/schema/$schema"),
            (json!({ "properties": {} }), "/schema/type"),
            (json!([]), "/schema"),
            (json!({ "type": "object", "description": "x".repeat(MOST_BYTES) }), "/schema"),
        ] {
            assert_eq!(pointers(&check(&schema).unwrap_err()), [pointer], "{schema}");
        }
        let refused = check(&field(deep)).unwrap_err();
        assert!(refused.document(None).errors[0].detail.contains("deep"));
    }
}
