//! OpenAPI 3.1 from the tables.

mod answers;

use http::Method;
use kernel::{
    Condition, Context, DefaultRole, Effect, Endpoint, Operation, Permission, PermissionDecl, ScopeKind, Target,
    context::Route,
};
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use answers::Answers;

const INTRODUCTION: &str = "The interface of a Freehold installation. A request names its tenant by the host name (the \
    tenant's subdomain) or by `X-Tenant`; without one it is about the installation. A person's browser is known by its \
    session cookie, a program by an access token or API key in `Authorization: Bearer`. Each operation names the permission \
    that it needs. A failure is a problem (RFC 9457): `code` is stable and explained at `/problems/<code>`, `hint` says what \
    to do. A change that is sent with an `Idempotency-Key` takes effect once, however often it is sent. Lists are paged: \
    `next` of an answer is `after` of the next request.";

const ONCE: &str = "The answer shows a secret this once: sent again under the same `Idempotency-Key` after some seconds, \
    the request has no second effect and is refused with `answer_not_kept`.";

/// The document of these contexts.
pub fn document(contexts: &[Context], version: &str) -> Value {
    let mut generator = SchemaSettings::draft2020_12().with(|it| it.definitions_path = "/components/schemas".into());
    generator.meta_schema = None;
    let mut generator = generator.into_generator();
    let answers = Answers::new(&mut generator);
    let mut it = Describer { contexts, generator, answers };
    let mut paths: Map<String, Value> = Map::new();
    for context in contexts {
        for route in &context.routes {
            let operation = it.route(context, route);
            let item = paths.entry(route.path.to_owned()).or_insert_with(|| json!({}));
            item.as_object_mut().map(|item| item.insert(route.method.as_str().to_lowercase(), operation.into()));
        }
    }
    let mut schemas = it.generator.take_definitions(true);
    schemas.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Freehold", "version": version, "description": INTRODUCTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The host that serves this document." }],
        "tags": contexts.iter().map(|context| tag(context, &it.answers)).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": { "Tenant": tenant(), "IdempotencyKey": idempotency_key(), "IfMatch": if_match() },
            "responses": it.answers.components(),
            "securitySchemes": security_schemes(),
        },
    })
}

fn tag(context: &Context, answers: &Answers) -> Value {
    let own = answers.own(context.name);
    let list: Vec<_> = own.iter().map(|code| format!("`{code}`")).collect();
    let of_its_own =
        if list.is_empty() { String::new() } else { format!(" Problems of its own: {}.", list.join(", ")) };
    json!({ "name": context.name, "description": format!("{}{of_its_own}", context.about) })
}

fn tenant() -> Value {
    json!({
        "name": "X-Tenant", "in": "header", "required": false,
        "description": "The tenant's id or slug, where the host name does not say it.",
        "schema": { "type": "string", "minLength": 3, "maxLength": 64, "pattern": "^[a-z][a-z0-9_-]+$" },
    })
}

fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key", "in": "header", "required": false,
        "description": "Sent again with the same key and input, the request takes effect once.",
        "schema": { "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$" },
    })
}

fn if_match() -> Value {
    json!({
        "name": "If-Match", "in": "header", "required": false,
        "description": "The `ETag` of what was read: the change is refused with 412 if it was changed since.",
        "schema": { "type": "string", "maxLength": 256 },
    })
}

fn security_schemes() -> Value {
    let cookie =
        |name: &str, what: &str| json!({ "type": "apiKey", "in": "cookie", "name": name, "description": what });
    json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "An access token, or an API key." },
        "session": cookie("freehold_session", "The session of a person who signed in at the tenant's address."),
        "operator": cookie("freehold_operator", "The session of an operator who signed in at the installation's address."),
    })
}

struct Describer<'a> {
    contexts: &'a [Context],
    generator: SchemaGenerator,
    answers: Answers,
}

/// What is said of an operation beside its input and output.
struct Outline<'a> {
    route: &'a Route,
    public: bool,
    in_path: Vec<&'a str>,
}

impl Describer<'_> {
    fn route(&mut self, context: &Context, route: &Route) -> Map<String, Value> {
        let declared = self.declaration(route.target.needs());
        let public = declared.is_some_and(|it| it.held_by.iter().any(|(role, _)| *role == DefaultRole::Visitor));
        let parts = route.path.split('/');
        let in_path = parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let outline = Outline { route, public, in_path };
        let mut operation = match &route.target {
            Target::UseCase(it) => self.use_case(it, &outline),
            Target::Endpoint(it) => self.endpoint(it, &outline),
        };
        let tenant = route.target.scope() == ScopeKind::Tenant;
        let said = text(&operation, "description");
        let description = [said, permitted(route.target.needs(), declared)].join("\n\n");
        if tenant && let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
            parameters.push(json!({ "$ref": "#/components/parameters/Tenant" }));
        }
        let credential = if tenant { "session" } else { "operator" };
        let security = if public { json!([]) } else { json!([{ "bearer": [] }, { credential: [] }]) };
        let mut first = Map::from_iter([
            ("operationId".to_owned(), Value::from(route.target.name())),
            ("tags".to_owned(), json!([context.name])),
            ("summary".to_owned(), operation.shift_remove("summary").unwrap_or_default()),
            ("description".to_owned(), description.trim().into()),
            ("x-permission".to_owned(), route.target.needs().name().into()),
            ("x-scope".to_owned(), if tenant { "tenant" } else { "platform" }.into()),
            ("security".to_owned(), security),
        ]);
        operation.shift_remove("description");
        first.append(&mut operation);
        first
    }

    fn declaration(&self, permission: Permission) -> Option<&'static PermissionDecl> {
        self.contexts.iter().flat_map(|it| it.permissions).find(|it| it.permission == permission)
    }

    fn endpoint(&mut self, endpoint: &Endpoint, outline: &Outline<'_>) -> Map<String, Value> {
        let parameters = outline.in_path.iter().map(|name| path_parameter(name, json!({ "type": "string" })));
        let mut operation = Map::from_iter([
            ("summary".to_owned(), endpoint.summary.into()),
            ("parameters".to_owned(), parameters.collect::<Vec<_>>().into()),
        ]);
        if let Some(media_type) = endpoint.accepts {
            let content = json!({ media_type: { "schema": { "type": "object" } } });
            operation.insert("requestBody".to_owned(), json!({ "required": false, "content": content }));
        }
        operation.insert("responses".to_owned(), self.answers.of_endpoint(endpoint.produces).into());
        operation
    }

    fn use_case(&mut self, it: &Operation, outline: &Outline<'_>) -> Map<String, Value> {
        let mut input = (it.input)(&mut self.generator);
        let description = input.remove("description").unwrap_or_default();
        let summary = description.as_str().and_then(|text| text.split(['.', ':', ';']).next()).unwrap_or_default();
        let mut operation = Map::from_iter([("summary".to_owned(), Value::from(summary))]);
        let mut parameters = fields_in_path(&mut input, outline);
        let changes = it.effect != Effect::Tell;
        let with_body = !matches!(outline.route.method, Method::GET | Method::DELETE);
        if with_body {
            operation.insert("requestBody".to_owned(), request_body(&input));
        } else {
            parameters.extend(query(&input));
        }
        if changes {
            parameters.push(json!({ "$ref": "#/components/parameters/IdempotencyKey" }));
        }
        if changes && it.versioned.is_some() {
            parameters.push(json!({ "$ref": "#/components/parameters/IfMatch" }));
        }
        let description = match (it.effect, description) {
            (Effect::Reveal, Value::String(text)) => format!("{text}\n\n{ONCE}").into(),
            (_, description) => description,
        };
        operation.insert("parameters".to_owned(), parameters.into());
        let output = (it.output)(&mut self.generator);
        let asked = answers::Asked {
            tenant: it.scope == ScopeKind::Tenant,
            public: outline.public,
            names_one: !outline.in_path.is_empty(),
            changes,
            versioned: it.versioned.is_some(),
            with_body,
        };
        operation.insert("responses".to_owned(), self.answers.of_use_case(&asked, &output).into());
        operation.insert("description".to_owned(), description);
        operation
    }
}

fn text(operation: &Map<String, Value>, name: &str) -> String {
    operation.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Which permission it needs, what that allows, and who holds it from the start.
fn permitted(needs: Permission, declared: Option<&PermissionDecl>) -> String {
    let Some(declared) = declared else { return format!("Needs `{needs}`.") };
    let holders = declared.held_by.iter().map(|(role, condition)| match condition {
        Condition::Own => format!("{} (their own)", role.name()),
        Condition::Always => role.name().to_owned(),
    });
    let holders = holders.collect::<Vec<_>>().join(", ");
    format!("Needs `{needs}` ({}), held by: {holders}.", declared.meaning)
}

fn path_parameter(name: &str, schema: Value) -> Value {
    parameter(name, "path", true, schema)
}

/// A parameter; what describes its schema describes it.
fn parameter(name: &str, place: &str, required: bool, mut schema: Value) -> Value {
    let description = schema.as_object_mut().and_then(|schema| schema.shift_remove("description"));
    let mut parameter = json!({ "name": name, "in": place, "required": required });
    if let Some(fields) = parameter.as_object_mut() {
        fields.extend(description.map(|description| ("description".to_owned(), description)));
        fields.insert("schema".to_owned(), schema);
    }
    parameter
}

/// The fields that stand in the path, taken out of the input.
fn fields_in_path(input: &mut Schema, outline: &Outline<'_>) -> Vec<Value> {
    let mut taken = Vec::new();
    let properties = input.ensure_object().get_mut("properties").and_then(Value::as_object_mut);
    let mut none = Map::new();
    let properties = properties.unwrap_or(&mut none);
    for name in &outline.in_path {
        let schema = properties.shift_remove(*name).unwrap_or_else(|| json!({ "type": "string" }));
        taken.push(path_parameter(name, schema));
    }
    if let Some(required) = input.ensure_object().get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| !outline.in_path.iter().any(|it| name == it));
    }
    taken
}

fn query(input: &Schema) -> Vec<Value> {
    let required = input.get("required").and_then(Value::as_array);
    let fields = input.get("properties").and_then(Value::as_object).into_iter().flatten();
    let needed = |name: &str| required.is_some_and(|all| all.iter().any(|it| it == name));
    fields.map(|(name, schema)| parameter(name, "query", needed(name), without_null(schema.clone()))).collect()
}

/// What may be missing from a query is left out of it: null cannot be written there.
fn without_null(mut schema: Value) -> Value {
    if let Some(Value::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            schema.as_object_mut().and_then(|schema| schema.insert("type".to_owned(), only));
        }
    }
    schema
}

fn request_body(input: &Schema) -> Value {
    let properties = input.get("properties").cloned().unwrap_or_else(|| json!({}));
    let required = input.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    let needed = !required.is_empty();
    if let (true, Some(schema)) = (needed, schema.as_object_mut()) {
        schema.insert("required".to_owned(), required.into());
    }
    json!({ "required": needed, "content": { "application/json": { "schema": schema } } })
}
