//! Avro from JSON Schema, as far as events need it.
//!
//! An object is a record, one that holds a value for any name a map; a text of a closed set is an enum. What may be
//! missing or null is a union with null, whose default is null. A personal value is a text or null. A shape that Avro has
//! no word for (a choice between objects, any JSON) is the JSON as a text, marked by `"json": true`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The record of a type: `schema` is what the program tells of it, with its definitions.
pub(crate) fn record(namespace: &str, name: &str, schema: &Value) -> Value {
    let mut it = Converter { definitions: schema["definitions"].clone(), named: BTreeSet::new() };
    let mut record = it.object(name, &schema["schema"]);
    if let Some(fields) = record.as_object_mut() {
        fields.shift_insert(2, "namespace".to_owned(), namespace.into());
    }
    record
}

struct Converter {
    definitions: Value,
    /// Names that stand in the schema already: from then on they are written as names.
    named: BTreeSet<String>,
}

impl Converter {
    fn object(&mut self, name: &str, schema: &Value) -> Value {
        self.named.insert(name.to_owned());
        let required: BTreeSet<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = schema["properties"].as_object().into_iter().flatten();
        let fields = properties.map(|(field, of)| self.field(field, of, required.contains(field.as_str())));
        let fields: Vec<_> = fields.collect();
        let mut record = described("record", name, schema);
        record.insert("fields".to_owned(), fields.into());
        record.into()
    }

    fn field(&mut self, name: &str, schema: &Value, required: bool) -> Value {
        let target = &self.target(schema);
        let personal = target["x-personal"] == true;
        let nullable = personal || !required || is_nullable(target);
        let doc = schema["description"].as_str().or_else(|| target["description"].as_str()).unwrap_or_default();
        let mut doc = one_line(doc);
        let kind = if personal {
            doc += " Personal: sealed under the person's key (base64); null once the person was erased.";
            json!("string")
        } else {
            self.kind(schema, name)
        };
        let mut field = Map::from_iter([("name".to_owned(), name.into())]);
        if !doc.is_empty() {
            field.insert("doc".to_owned(), doc.into());
        }
        let default = schema.get("default").filter(|it| !it.is_null());
        match (nullable, default) {
            (true, Some(default)) => {
                field.insert("type".to_owned(), json!([kind, "null"]));
                field.insert("default".to_owned(), default.clone());
            }
            (true, None) => {
                field.insert("type".to_owned(), json!(["null", kind]));
                field.insert("default".to_owned(), Value::Null);
            }
            (false, _) => drop(field.insert("type".to_owned(), kind)),
        }
        if personal {
            field.insert("personal".to_owned(), true.into());
        }
        field.into()
    }

    /// What a reference leads to.
    fn target(&self, schema: &Value) -> Value {
        let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
        name.and_then(|name| self.definitions.get(name)).unwrap_or(schema).clone()
    }

    /// The type itself, without null.
    fn kind(&mut self, schema: &Value, name: &str) -> Value {
        if let Some(definition) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            let target = self.target(schema);
            return self.kind(&target, definition);
        }
        if let Some(choices) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
            let real: Vec<_> = choices.iter().filter(|it| it["type"] != "null").collect();
            if let [only] = real.as_slice() {
                return self.kind(only, name);
            }
        }
        if let Some(symbols) = symbols(schema) {
            return self.closed_set(name, schema, &symbols);
        }
        let kinds: Vec<&str> = match &schema["type"] {
            Value::String(kind) => vec![kind],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
            _ => Vec::new(),
        };
        match kinds.as_slice() {
            ["string"] => json!("string"),
            ["boolean"] => json!("boolean"),
            ["number"] => json!("double"),
            ["integer"] => match schema["format"].as_str() {
                Some("uint8" | "int8" | "uint16" | "int16" | "int32") => json!("int"),
                _ => json!("long"),
            },
            ["array"] => json!({ "type": "array", "items": self.item(&schema["items"], name) }),
            ["object"] if schema["properties"].is_object() => self.named_object(name, schema),
            ["object"] if schema["additionalProperties"].is_object() => {
                json!({ "type": "map", "values": self.item(&schema["additionalProperties"], name) })
            }
            _ => json!({ "type": "string", "json": true }),
        }
    }

    fn item(&mut self, schema: &Value, name: &str) -> Value {
        let kind = self.kind(schema, &format!("{name}_item"));
        if is_nullable(&self.target(schema)) { json!(["null", kind]) } else { kind }
    }

    fn named_object(&mut self, name: &str, schema: &Value) -> Value {
        if self.named.contains(name) { name.into() } else { self.object(name, schema) }
    }

    fn closed_set(&mut self, name: &str, schema: &Value, symbols: &[String]) -> Value {
        if !self.named.insert(name.to_owned()) {
            return name.into();
        }
        let mut set = described("enum", name, schema);
        set.insert("symbols".to_owned(), symbols.into());
        set.into()
    }
}

fn described(kind: &str, name: &str, schema: &Value) -> Map<String, Value> {
    let mut it = Map::from_iter([("type".to_owned(), Value::from(kind)), ("name".to_owned(), name.into())]);
    if let Some(doc) = schema["description"].as_str() {
        it.insert("doc".to_owned(), one_line(doc).into());
    }
    it
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_nullable(schema: &Value) -> bool {
    let null = |it: &Value| it == "null";
    let choices = ["anyOf", "oneOf"].iter().filter_map(|key| schema[*key].as_array()).flatten();
    schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(null))
        || choices.into_iter().any(|it| null(&it["type"]))
}

/// The texts of a closed set, if all of them can be symbols (`[A-Za-z_][A-Za-z0-9_]*`).
fn symbols(schema: &Value) -> Option<Vec<String>> {
    let listed = schema["enum"].as_array().cloned();
    let constants = || {
        let choices = schema["oneOf"].as_array()?;
        choices.iter().map(|it| it.get("const").or_else(|| it["enum"].get(0)).cloned()).collect::<Option<Vec<_>>>()
    };
    let texts = listed.or_else(constants)?;
    let symbol = |it: &Value| {
        let text = it.as_str()?;
        let letters = text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        (letters && !text.starts_with(|first: char| first.is_ascii_digit()) && !text.is_empty())
            .then(|| text.to_owned())
    };
    texts.iter().filter(|it| !it.is_null()).map(symbol).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_has_its_type() {
        let told = json!({
            "definitions": {
                "UserId": { "type": "string", "pattern": "^usr_" },
                "PersonalName": { "x-personal": true, "description": "Personal data.", "oneOf": [{ "type": "null" }] },
                "Why": { "oneOf": [{ "const": "verify", "type": "string" }, { "const": "invite", "type": "string" }] },
                "Line": { "type": "object", "properties": { "n": { "type": "integer", "format": "uint8" } }, "required": ["n"] },
            },
            "schema": {
                "type": "object", "description": "It\nhappened.", "required": ["user", "name", "why", "lines", "more", "any"],
                "properties": {
                    "user": { "$ref": "#/$defs/UserId", "description": "Who." },
                    "name": { "$ref": "#/$defs/PersonalName", "description": "The name." },
                    "why": { "$ref": "#/$defs/Why" },
                    "lines": { "type": "array", "items": { "$ref": "#/$defs/Line" } },
                    "more": { "type": "object", "additionalProperties": { "$ref": "#/$defs/Line" } },
                    "any": true,
                    "note": { "type": ["string", "null"] },
                },
            },
        });
        let record = record("freehold.a.v1", "Happened", &told);
        let personal = "The name. Personal: sealed under the person's key (base64); null once the person was erased.";
        let expected = json!({
            "type": "record", "name": "Happened", "namespace": "freehold.a.v1", "doc": "It happened.",
            "fields": [
                { "name": "user", "doc": "Who.", "type": "string" },
                { "name": "name", "doc": personal, "type": ["null", "string"], "default": null, "personal": true },
                { "name": "why", "type": { "type": "enum", "name": "Why", "symbols": ["verify", "invite"] } },
                { "name": "lines", "type": { "type": "array", "items": { "type": "record", "name": "Line",
                    "fields": [{ "name": "n", "type": "int" }] } } },
                { "name": "more", "type": { "type": "map", "values": "Line" } },
                { "name": "any", "type": { "type": "string", "json": true } },
                { "name": "note", "type": ["null", "string"], "default": null },
            ],
        });
        assert_eq!(record, expected);
    }
}
