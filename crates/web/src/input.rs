//! The input of a use case: path, query and body as one JSON object. Text from path and query becomes what the schema
//! of the field says.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{header, request::Parts};
use kernel::{Problem, ProblemKind, Target};
use schemars::SchemaGenerator;
use serde_json::{Map, Value};

/// What the fields of an input are, as far as their text form needs to know.
#[derive(Default)]
pub(crate) struct Types(BTreeMap<String, Vec<String>>);

impl Types {
    pub(crate) fn of(target: &Target) -> Self {
        let Target::UseCase(operation) = target else { return Self::default() };
        let schema = (operation.input)(&mut SchemaGenerator::default());
        let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let kinds = |schema: &Value| match schema.get("type") {
            Some(Value::String(kind)) => vec![kind.clone()],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        Self(properties.iter().map(|(name, schema)| (name.clone(), kinds(schema))).collect())
    }

    fn typed(&self, name: &str, text: String) -> Value {
        let is = |kind: &str| self.0.get(name).is_some_and(|kinds| kinds.iter().any(|it| it == kind));
        let number = || text.parse::<i64>().ok().map(Value::from);
        if is("integer")
            && let Some(number) = number()
        {
            return number;
        }
        match text.as_str() {
            "true" if is("boolean") => Value::Bool(true),
            "false" if is("boolean") => Value::Bool(false),
            _ => Value::String(text),
        }
    }
}

fn body_object(parts: &Parts, body: &Bytes) -> Result<Map<String, Value>, Problem> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let media = parts.headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if media != "application/json" {
        return Err(Problem::new(ProblemKind::Unsupported, "media_type_unsupported", "the body is not JSON")
            .hint("send Content-Type: application/json"));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Problem::invalid_field("", "the body must be a JSON object")),
        Err(error) => Err(Problem::invalid_field("", format!("the body is not JSON: {error}"))),
    }
}

/// Path, query and body as one object; a name that comes twice is refused.
pub(crate) fn merge(
    parts: &Parts,
    params: Vec<(String, String)>,
    body: &Bytes,
    types: &Types,
) -> Result<Value, Problem> {
    let mut fields = body_object(parts, body)?;
    let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned();
    for (name, text) in params.into_iter().chain(query) {
        let value = types.typed(&name, text);
        if fields.insert(name.clone(), value).is_some() {
            return Err(Problem::invalid_field(format!("/{name}"), "given twice"));
        }
    }
    Ok(Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_what_the_schema_says() {
        let types = Types(BTreeMap::from([("a".to_owned(), vec!["integer".to_owned(), "null".to_owned()])]));
        assert_eq!(types.typed("a", "12".to_owned()), Value::from(12));
        assert_eq!(types.typed("b", "12".to_owned()), Value::from("12"));
    }
}
