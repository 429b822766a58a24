//! Whether one Avro schema reads what another wrote, by the rules of schema resolution (Avro 1.12, "Schema Resolution").
//!
//! A union that wrote is read only if each of its branches is: what may have been null is no plain text.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Why `reader` cannot read everything that `writer` wrote; nothing, if it can.
pub(crate) fn unreadable(writer: &Value, reader: &Value) -> Option<String> {
    let mut pair = Pair { writer: Names::of(writer), reader: Names::of(reader), assumed: BTreeSet::new() };
    pair.read(writer, reader, "").err()
}

/// The named types of a schema.
struct Names<'a>(BTreeMap<&'a str, &'a Value>);

impl<'a> Names<'a> {
    fn of(schema: &'a Value) -> Self {
        let mut names = Self(BTreeMap::new());
        names.collect(schema);
        names
    }

    fn collect(&mut self, schema: &'a Value) {
        match schema {
            Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            Value::Object(fields) => {
                if let (Some(name), true) = (schema["name"].as_str(), is_named(kind(schema))) {
                    self.0.insert(name, schema);
                }
                fields.values().for_each(|field| self.collect(field));
            }
            _ => {}
        }
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        schema.as_str().and_then(|name| self.0.get(name)).copied().unwrap_or(schema)
    }
}

fn is_named(kind: &str) -> bool {
    matches!(kind, "record" | "enum" | "fixed")
}

/// `string`, `record`; a union has none.
fn kind(schema: &Value) -> &str {
    schema.as_str().or_else(|| schema["type"].as_str()).unwrap_or_default()
}

struct Pair<'a> {
    writer: Names<'a>,
    reader: Names<'a>,
    /// Types that are compared further up, for those that contain themselves.
    assumed: BTreeSet<&'a str>,
}

impl<'a> Pair<'a> {
    fn read(&mut self, writer: &'a Value, reader: &'a Value, at: &str) -> Result<(), String> {
        let (writer, reader) = (self.writer.resolve(writer), self.reader.resolve(reader));
        if let Some(branches) = writer.as_array() {
            return branches.iter().try_for_each(|branch| self.read(branch, reader, at));
        }
        if let Some(branches) = reader.as_array() {
            let readable = branches.iter().any(|branch| self.read(writer, branch, at).is_ok());
            return if readable { Ok(()) } else { Err(format!("{at}: no branch reads {}", kind(writer))) };
        }
        let (wrote, reads) = (kind(writer), kind(reader));
        if wrote != reads {
            return if promoted(wrote, reads) { Ok(()) } else { Err(format!("{at}: {wrote} became {reads}")) };
        }
        if is_named(wrote) && writer["name"] != reader["name"] {
            return Err(format!("{at}: {} became {}", writer["name"], reader["name"]));
        }
        match wrote {
            "array" => self.read(&writer["items"], &reader["items"], &format!("{at}/items")),
            "map" => self.read(&writer["values"], &reader["values"], &format!("{at}/values")),
            "enum" => symbols(writer, reader, at),
            "record" => self.record(writer, reader, at),
            "fixed" if writer["size"] != reader["size"] => Err(format!("{at}: another size")),
            _ => Ok(()),
        }
    }

    fn record(&mut self, writer: &'a Value, reader: &'a Value, at: &str) -> Result<(), String> {
        let name = reader["name"].as_str().unwrap_or_default();
        if !self.assumed.insert(name) {
            return Ok(());
        }
        let outcome = self.fields(writer, reader, at);
        self.assumed.remove(name);
        outcome
    }

    fn fields(&mut self, writer: &'a Value, reader: &'a Value, at: &str) -> Result<(), String> {
        let written = |name: &Value| fields(writer).find(|field| field["name"] == *name);
        for field in fields(reader) {
            let at = format!("{at}/{}", field["name"].as_str().unwrap_or_default());
            match written(&field["name"]) {
                Some(before) => self.read(&before["type"], &field["type"], &at)?,
                None if field.get("default").is_none() => return Err(format!("{at}: missing, without a default")),
                None => {}
            }
        }
        Ok(())
    }
}

fn fields(record: &Value) -> impl Iterator<Item = &Value> {
    record["fields"].as_array().into_iter().flatten()
}

fn symbols(writer: &Value, reader: &Value, at: &str) -> Result<(), String> {
    let known = |symbol: &Value| reader["symbols"].as_array().is_some_and(|all| all.contains(symbol));
    let unknown = writer["symbols"].as_array().into_iter().flatten().find(|symbol| !known(symbol));
    match unknown {
        Some(symbol) if reader.get("default").is_none() => Err(format!("{at}: {symbol} is not known")),
        _ => Ok(()),
    }
}

fn promoted(wrote: &str, reads: &str) -> bool {
    matches!(
        (wrote, reads),
        ("int", "long" | "float" | "double")
            | ("long", "float" | "double")
            | ("float", "double")
            | ("string", "bytes")
            | ("bytes", "string")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_are_read_as_the_standard_says() {
        let of = |kind: Value| json!({ "type": "record", "name": "R", "fields": [{ "name": "x", "type": kind }] });
        let reads = |wrote: Value, reads: Value| unreadable(&of(wrote), &of(reads)).is_none();
        assert!(reads(json!("int"), json!("double")) && !reads(json!("long"), json!("int")));
        assert!(reads(json!("int"), json!(["null", "long"])) && !reads(json!(["null", "int"]), json!("int")));
        let set = |symbols: &[&str]| json!({ "type": "enum", "name": "E", "symbols": symbols });
        assert!(reads(set(&["a"]), set(&["b", "a"])) && !reads(set(&["a", "b"]), set(&["a"])));
        let with_default = json!({ "type": "enum", "name": "E", "symbols": ["a"], "default": "a" });
        assert!(reads(set(&["a", "b"]), with_default));
    }

    #[test]
    fn a_type_that_contains_itself_is_compared_once() {
        let tree = |leaf: &str| {
            json!({ "type": "record", "name": "Tree", "fields": [{ "name": "leaf", "type": leaf },
                { "name": "below", "type": { "type": "array", "items": "Tree" } }] })
        };
        assert_eq!(unreadable(&tree("int"), &tree("long")), None);
        assert!(unreadable(&tree("long"), &tree("int")).is_some());
    }
}
