//! Requests held to an OpenAPI document (3.0 or 3.1): parameters of path, query and header, and bodies of JSON. All
//! schemas are compiled once. Problems name the field by JSON pointer: `/query/limit`, `/path/id`, `/header/x-a`, and
//! within the body as it is.

use std::{borrow::Cow, collections::HashMap};

use bytes::Bytes;
use http::{Method, header, request::Parts};
use jsonschema::{Draft, PatternOptions, Registry, Validator};
use kernel::{Problem, ProblemKind};
use serde_json::{Value, json};

const BASE: &str = "urn:freehold:document";
const LONGEST: usize = 262_144;
/// Problems of one request that are named.
const NAMED: usize = 20;

/// A document, compiled.
pub struct Checks(Vec<(Vec<Segment>, HashMap<Method, Operation>)>);

enum Segment {
    Is(String),
    Parameter(String),
}

/// What a document says of one method at one path.
pub struct Operation {
    parameters: Vec<Parameter>,
    body: Option<Body>,
    path: Vec<Option<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Path,
    Query,
    Header,
}

struct Parameter {
    place: Place,
    name: String,
    required: bool,
    types: Vec<String>,
    item_types: Vec<String>,
    schema: Validator,
}

struct Body {
    required: bool,
    /// By media type; without a schema anything goes.
    media: HashMap<String, Option<Validator>>,
}

/// Compiles parts of one document.
struct Source<'a> {
    document: &'a Value,
    registry: &'a Registry<'a>,
}

/// OpenAPI 3.0 says some things in words that JSON Schema no longer has.
fn modern(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                if let Some(Value::String(kind)) = fields.get("type") {
                    let kinds = json!([kind, "null"]);
                    fields.insert("type".to_owned(), kinds);
                }
                if let Some(Value::Array(values)) = fields.get_mut("enum") {
                    values.push(Value::Null);
                }
            }
            for (exclusive, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
                if let Some(Value::Bool(is)) = fields.get(exclusive).cloned() {
                    fields.remove(exclusive);
                    if let Some(bound) = fields.get(bound).cloned().filter(|_| is) {
                        fields.insert(exclusive.to_owned(), bound);
                    }
                }
            }
            fields.values_mut().for_each(modern);
        }
        Value::Array(items) => items.iter_mut().for_each(modern),
        _ => {}
    }
}

/// One step of a JSON pointer, as it stands in the fragment of a reference (RFC 6901, section 6).
fn step(name: &str) -> String {
    let escaped = name.replace('~', "~0").replace('/', "~1");
    let encoded = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    escaped.bytes().map(encoded).collect()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn kinds(schema: &Value) -> Vec<String> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind.clone()],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

impl Source<'_> {
    /// What a place holds, and where that stands: a reference is followed, within the document only.
    fn resolve<'a>(&'a self, pointer: String, value: &'a Value) -> Result<(String, &'a Value), String> {
        let mut found = (pointer, value);
        for _ in 0..8 {
            let Some(reference) = found.1.get("$ref").and_then(Value::as_str) else { return Ok(found) };
            let pointer = reference.strip_prefix('#').ok_or("a reference leads out of the document")?;
            let value = self.document.pointer(pointer).ok_or_else(|| format!("{reference} leads nowhere"))?;
            found = (
                pointer
                    .split('/')
                    .skip(1)
                    .flat_map(|it| ["/".to_owned(), step(&it.replace("~1", "/").replace("~0", "~"))])
                    .collect(),
                value,
            );
        }
        Err("references go round in a circle".to_owned())
    }

    fn compile(&self, pointer: &str) -> Result<Validator, String> {
        let options = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_registry(self.registry)
            // What a stranger sends must not be able to keep a pattern busy.
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(10_000));
        options.build(&json!({ "$ref": format!("{BASE}#{pointer}") })).map_err(|error| format!("{pointer}: {error}"))
    }

    fn parameter(&self, pointer: String, value: &Value) -> Result<Option<Parameter>, String> {
        let (pointer, value) = self.resolve(pointer, value)?;
        let place = match text(value, "in") {
            "path" => Place::Path,
            "query" => Place::Query,
            "header" => Place::Header,
            // Cookies are between the service and its pages.
            _ => return Ok(None),
        };
        let Some(schema) = value.get("schema") else { return Ok(None) };
        let (_, resolved) = self.resolve(String::new(), schema)?;
        let items = resolved.get("items").unwrap_or(&Value::Null);
        Ok(Some(Parameter {
            place,
            name: text(value, "name").to_owned(),
            required: value.get("required").and_then(Value::as_bool).unwrap_or(false),
            types: kinds(resolved),
            item_types: kinds(self.resolve(String::new(), items)?.1),
            schema: self.compile(&format!("{pointer}/schema"))?,
        }))
    }

    fn body(&self, pointer: String, value: &Value) -> Result<Body, String> {
        let (pointer, value) = self.resolve(pointer, value)?;
        let content = value.get("content").and_then(Value::as_object).ok_or("a request body has no content")?;
        let media = content.iter().map(|(media, described)| {
            let json = media == "application/json" || media.ends_with("+json");
            let schema = described
                .get("schema")
                .filter(|_| json)
                .map(|_| self.compile(&format!("{pointer}/content/{}/schema", step(media))));
            Ok((media.to_ascii_lowercase(), schema.transpose()?))
        });
        let required = value.get("required").and_then(Value::as_bool).unwrap_or(false);
        Ok(Body { required, media: media.collect::<Result<_, String>>()? })
    }

    fn operation(&self, path: &str, item: &Value, method: &str, described: &Value) -> Result<Operation, String> {
        let at = format!("/paths/{}", step(path));
        let mut parameters: Vec<Parameter> = Vec::new();
        for (base, of) in [(at.clone(), item), (format!("{at}/{method}"), described)] {
            for (place, value) in of.get("parameters").and_then(Value::as_array).into_iter().flatten().enumerate() {
                if let Some(found) = self.parameter(format!("{base}/parameters/{place}"), value)? {
                    parameters.retain(|it| it.place != found.place || it.name != found.name);
                    parameters.push(found);
                }
            }
        }
        let body = described.get("requestBody");
        let body = body.map(|body| self.body(format!("{at}/{method}/requestBody"), body)).transpose()?;
        let named = |segment| match segment {
            Segment::Parameter(name) => Some(name),
            Segment::Is(_) => None,
        };
        Ok(Operation { parameters, body, path: segments(path).into_iter().map(named).collect() })
    }
}

fn segments(path: &str) -> Vec<Segment> {
    let segment = |text: &str| match text.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
        Some(name) => Segment::Parameter(name.to_owned()),
        None => Segment::Is(text.to_owned()),
    };
    path.split('/').skip(1).map(segment).collect()
}

impl Checks {
    /// Compiles a document; a sentence where it cannot be.
    pub fn of(document: &str) -> Result<Self, String> {
        if document.len() > LONGEST {
            return Err(format!("expected at most {LONGEST} bytes"));
        }
        let mut document: Value = serde_json::from_str(document).map_err(|error| format!("not JSON: {error}"))?;
        match text(&document, "openapi") {
            version if version.starts_with("3.0") => modern(&mut document),
            version if version.starts_with("3.1") => {}
            _ => return Err("expected an OpenAPI document of version 3.0 or 3.1".to_owned()),
        }
        let registry = Registry::new().add(BASE, &document).and_then(|it| it.draft(Draft::Draft202012).prepare());
        let registry = registry.map_err(|error| error.to_string())?;
        let source = Source { document: &document, registry: &registry };
        let paths = document.get("paths").and_then(Value::as_object).ok_or("the document has no paths")?;
        let mut compiled = Vec::with_capacity(paths.len());
        for (path, item) in paths {
            let mut operations = HashMap::new();
            for (method, described) in item.as_object().into_iter().flatten() {
                let known = ["get", "put", "post", "delete", "options", "head", "patch"].contains(&method.as_str());
                let Some(name) = known.then(|| method.to_ascii_uppercase().parse().ok()).flatten() else { continue };
                operations.insert(name, source.operation(path, item, method, described)?);
            }
            compiled.push((segments(path), operations));
        }
        // Concrete paths before those with parameters (OpenAPI 3.1, section 4.8.8.2).
        let parameters =
            |path: &[Segment]| path.iter().map(|it| matches!(it, Segment::Parameter(_))).collect::<Vec<_>>();
        compiled.sort_by_key(|(path, _)| parameters(path));
        Ok(Self(compiled))
    }

    /// The operation of a request.
    pub fn find(&self, method: &Method, path: &str) -> Result<&Operation, Problem> {
        let sent: Vec<&str> = path.split('/').skip(1).collect();
        let fits = |wanted: &[Segment]| {
            let one = |(wanted, sent): (&Segment, &&str)| match wanted {
                Segment::Is(text) => text == sent,
                Segment::Parameter(_) => !sent.is_empty(),
            };
            wanted.len() == sent.len() && wanted.iter().zip(&sent).all(one)
        };
        let (_, operations) = self.0.iter().find(|(wanted, _)| fits(wanted)).ok_or_else(|| {
            Problem::not_found("path").hint("the document of the service behind this path does not describe it")
        })?;
        let asked = if method == Method::HEAD && !operations.contains_key(method) { &Method::GET } else { method };
        operations.get(asked).ok_or_else(|| {
            Problem::new(ProblemKind::MethodNotAllowed, "method_not_allowed", "this path has no such method")
                .hint("the document of the service behind this path does not describe it")
        })
    }
}

fn typed(text: &str, types: &[String]) -> Value {
    let is = |kind: &str| types.iter().any(|it| it == kind);
    let number = || serde_json::from_str::<Value>(text).ok().filter(Value::is_number);
    match text {
        "true" | "false" if is("boolean") => Value::Bool(text == "true"),
        _ if is("integer") || is("number") => number().unwrap_or_else(|| Value::String(text.to_owned())),
        _ => Value::String(text.to_owned()),
    }
}

impl Parameter {
    /// The value, out of its texts: a list is repeated in a query, and parted by commas elsewhere.
    fn value(&self, texts: &[Cow<'_, str>]) -> Option<Value> {
        let first = texts.first()?;
        if !self.types.iter().any(|it| it == "array") {
            return Some(typed(first, &self.types));
        }
        let items = texts.iter().flat_map(|text| {
            let parts: Vec<&str> = if texts.len() > 1 { vec![text] } else { text.split(',').collect() };
            parts.into_iter().map(|it| typed(it.trim(), &self.item_types)).collect::<Vec<_>>()
        });
        Some(Value::Array(items.collect()))
    }

    fn pointer(&self) -> String {
        let place = match self.place {
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "header",
        };
        format!("/{place}/{}", self.name.replace('~', "~0").replace('/', "~1"))
    }
}

/// What a schema says against a value; never the value itself, which goes to logs.
fn complaints(found: &mut Vec<(String, String)>, at: &str, schema: &Validator, value: &Value) {
    for error in schema.iter_errors(value).take(NAMED.saturating_sub(found.len())) {
        found.push((format!("{at}{}", error.instance_path()), error.masked().to_string()));
    }
}

impl Operation {
    /// Whether the body has to be read to check a request.
    pub fn wants_body(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.required || body.media.values().any(Option::is_some))
    }

    /// Checks a request, whose path is as the document has it.
    pub fn check(&self, path: &str, parts: &Parts, body: &Bytes) -> Result<(), Problem> {
        let mut found = Vec::new();
        let query: Vec<_> = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).collect();
        let segments: Vec<_> = path.split('/').skip(1).collect();
        for parameter in &self.parameters {
            let texts: Vec<Cow<'_, str>> = match parameter.place {
                Place::Query => {
                    query.iter().filter(|(name, _)| *name == parameter.name).map(|it| it.1.clone()).collect()
                }
                Place::Header => {
                    let lines = parts.headers.get_all(parameter.name.as_str()).iter();
                    lines.filter_map(|line| line.to_str().ok()).map(Cow::Borrowed).collect()
                }
                Place::Path => {
                    let place = self.path.iter().position(|name| name.as_ref() == Some(&parameter.name));
                    place.and_then(|place| segments.get(place)).map(|it| decoded(it)).into_iter().collect()
                }
            };
            match parameter.value(&texts) {
                Some(value) => complaints(&mut found, &parameter.pointer(), &parameter.schema, &value),
                None if parameter.required => found.push((parameter.pointer(), "is missing".to_owned())),
                None => {}
            }
        }
        if let Some(described) = &self.body {
            described.check(parts, body, &mut found)?;
        }
        if found.is_empty() {
            return Ok(());
        }
        let problem = Problem::new(ProblemKind::Invalid, "invalid_request", "a field of the request is not valid")
            .hint("correct the fields that are named and send the request again");
        Err(found.into_iter().take(NAMED).fold(problem, |problem, (pointer, why)| problem.field(pointer, why)))
    }
}

impl Body {
    fn check(&self, parts: &Parts, body: &Bytes, found: &mut Vec<(String, String)>) -> Result<(), Problem> {
        if body.is_empty() {
            if self.required && self.media.values().any(Option::is_some) {
                found.push((String::new(), "the body is missing".to_owned()));
            }
            return Ok(());
        }
        let sent = parts.headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let sent = sent.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let kind = sent.split('/').next().map(|kind| format!("{kind}/*"));
        let known = self.media.get(&sent).or_else(|| self.media.get(&kind?)).or_else(|| self.media.get("*/*"));
        let schema = known.ok_or_else(|| {
            Problem::new(ProblemKind::Unsupported, "media_type_unsupported", "this path takes no such body")
                .hint("the document of the service behind this path names the media types that it takes")
        })?;
        let Some(schema) = schema else { return Ok(()) };
        match serde_json::from_slice(body) {
            Ok(value) => complaints(found, "", schema, &value),
            Err(error) => found.push((String::new(), format!("the body is not JSON: {error}"))),
        }
        Ok(())
    }
}

fn decoded(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment);
    }
    // A plus stands for itself in a path.
    let pair = format!("x={}", segment.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(pair.as_bytes()).next().map_or(Cow::Borrowed(segment), |(_, it)| Cow::Owned(it.into_owned()))
}

#[cfg(test)]
mod tests;
