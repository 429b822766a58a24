//! OpenAPI 3.1 from the tables.

use kernel::{Context, ScopeKind, Target, context::Route, problem::ProblemDocument};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// The document of these contexts.
pub fn document(contexts: &[Context], version: &str) -> Value {
    let mut generator = SchemaSettings::draft2020_12().with(|it| it.definitions_path = "/components/schemas".into());
    generator.meta_schema = None;
    let mut generator = generator.into_generator();
    let problem = generator.subschema_for::<ProblemDocument>();
    let mut paths: Map<String, Value> = Map::new();
    for context in contexts {
        for route in &context.routes {
            let item = paths.entry(route.path.to_owned()).or_insert_with(|| json!({}));
            let operation = operation(context, route, &mut generator, problem.as_value());
            item.as_object_mut().map(|item| item.insert(route.method.as_str().to_lowercase(), operation));
        }
    }
    let mut schemas = generator.take_definitions(true);
    schemas.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Freehold", "version": version, "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" } },
        "servers": [{ "url": "/" }],
        "tags": contexts.iter().map(|context| json!({ "name": context.name })).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": "freehold_session" }
            }
        },
        "security": [{ "bearer": [] }, { "session": [] }, {}]
    })
}

fn parameters(route: &Route) -> Vec<&str> {
    let parts = route.path.split('/');
    parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect()
}

fn problems(problem: &Value) -> Vec<(&'static str, Value)> {
    let answer =
        |what: &str| json!({ "description": what, "content": { "application/problem+json": { "schema": problem } } });
    vec![
        ("4XX", answer("The request is refused; `code` and `hint` say why and what to do.")),
        ("5XX", answer("The request failed; it may be sent again with the same Idempotency-Key.")),
    ]
}

#[expect(clippy::indexing_slicing, reason = "serde_json inserts what is assigned to a key of an object")]
fn operation(context: &Context, route: &Route, generator: &mut SchemaGenerator, problem: &Value) -> Value {
    let in_path = parameters(route);
    let mut answers = Map::new();
    let mut described = json!({
        "operationId": route.target.name(),
        "tags": [context.name],
        "x-permission": route.target.needs().name(),
        "x-scope": if route.target.scope() == ScopeKind::Tenant { "tenant" } else { "platform" },
    });
    let path_parameter =
        |name: &str, schema: Value| json!({ "name": name, "in": "path", "required": true, "schema": schema });
    let mut declared: Vec<Value> = Vec::new();
    match &route.target {
        Target::Endpoint(endpoint) => {
            described["summary"] = endpoint.summary.into();
            declared.extend(in_path.iter().map(|name| path_parameter(name, json!({ "type": "string" }))));
            let content = json!({ endpoint.produces: {} });
            answers.insert("200".to_owned(), json!({ "description": "The answer.", "content": content }));
            answers.insert("3XX".to_owned(), json!({ "description": "Goes on elsewhere, or nothing changed." }));
            // A standard, or a page, has a form of its own for some refusals.
            let refused = json!({ endpoint.produces: {}, "application/problem+json": { "schema": problem } });
            answers.insert("4XX".to_owned(), json!({ "description": "The request is refused.", "content": refused }));
        }
        Target::UseCase(operation) => {
            let mut input = (operation.input)(generator);
            let text = input.remove("description").unwrap_or_default();
            described["description"] = text.clone();
            described["summary"] =
                text.as_str().and_then(|text| text.split(['.', ':']).next()).unwrap_or_default().into();
            let required: Vec<Value> = input.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            let mut fields = input.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
            for name in &in_path {
                declared.push(path_parameter(name, fields.shift_remove(*name).unwrap_or_default()));
            }
            let reads = route.method == http::Method::GET || route.method == http::Method::DELETE;
            if reads {
                for (name, schema) in fields {
                    let needed = required.contains(&Value::from(name.as_str()));
                    declared.push(json!({ "name": name, "in": "query", "required": needed, "schema": schema }));
                }
            } else {
                let required: Vec<_> =
                    required.into_iter().filter(|it| !in_path.iter().any(|name| it == name)).collect();
                let mut schema = json!({ "type": "object", "properties": fields, "additionalProperties": false });
                if !required.is_empty() {
                    schema["required"] = required.into();
                }
                described["requestBody"] =
                    json!({ "required": true, "content": { "application/json": { "schema": schema } } });
                declared.push(json!({ "name": "Idempotency-Key", "in": "header", "required": false,
                    "description": "Sent again with the same key, the request takes effect once.",
                    "schema": { "type": "string", "maxLength": 128 } }));
            }
            let schema = (operation.output)(generator);
            let content = json!({ "application/json": { "schema": schema } });
            answers.insert("200".to_owned(), json!({ "description": "Done.", "content": content }));
        }
    }
    for (status, answer) in problems(problem) {
        answers.entry(status).or_insert(answer);
    }
    if !declared.is_empty() {
        described["parameters"] = declared.into();
    }
    described["responses"] = answers.into();
    described
}
