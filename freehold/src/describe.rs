//! What the program knows of itself, as JSON: what `cargo xtask generate` makes schemas and reference pages from.

use kernel::{Context, Envelope, EventDecl, PermissionDecl};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use crate::config::{self, Config};

/// The OpenAPI document.
pub(crate) fn openapi(contexts: &[Context]) -> Value {
    web::document(contexts, env!("CARGO_PKG_VERSION"))
}

/// Contexts, events, settings, and the OpenAPI document.
pub(crate) fn all(contexts: &[Context]) -> Value {
    json!({
        "openapi": openapi(contexts),
        "contexts": contexts.iter().map(context).collect::<Vec<_>>(),
        "events": contracts::events::ALL.iter().map(event).collect::<Vec<_>>(),
        "envelope": schema(Envelope::json_schema),
        "configuration": { "schema": schema(Config::json_schema), "defaults": config::defaults() },
    })
}

fn context(context: &Context) -> Value {
    let reactions = context.reactions.iter().map(|it| json!({ "name": it.name, "on": it.on }));
    json!({
        "name": context.name,
        "about": context.about,
        "permissions": context.permissions.iter().map(permission).collect::<Vec<_>>(),
        "reactions": reactions.collect::<Vec<_>>(),
    })
}

fn permission(it: &PermissionDecl) -> Value {
    let held_by = it.held_by.iter().map(|(role, condition)| json!({ "role": role, "condition": condition }));
    json!({ "name": it.permission.name(), "meaning": it.meaning, "held_by": held_by.collect::<Vec<_>>() })
}

fn event(it: &EventDecl) -> Value {
    json!({ "type": it.r#type, "schema": schema(it.schema) })
}

/// A schema with the definitions that it refers to.
fn schema(of: fn(&mut SchemaGenerator) -> schemars::Schema) -> Value {
    let mut generator = SchemaGenerator::default();
    let schema = of(&mut generator);
    json!({ "schema": schema, "definitions": generator.take_definitions(true) })
}
