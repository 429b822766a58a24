use super::*;

fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "paths": {
            "/orders/{id}": {
                "parameters": [{ "$ref": "#/components/parameters/id" }],
                "get": { "parameters": [
                    { "name": "limit", "in": "query", "schema": { "type": "integer", "maximum": 10 } },
                    { "name": "tag", "in": "query", "schema": { "type": "array", "items": { "type": "integer" } } },
                    { "name": "X-Mode", "in": "header", "required": true, "schema": { "enum": ["a", "b"] } },
                ] },
            },
            "/orders": { "post": { "requestBody": { "required": true, "content": {
                "application/json": { "schema": { "$ref": "#/components/schemas/Order" } } } } } },
            "/orders/new": { "get": {} },
        },
        "components": {
            "parameters": { "id": { "name": "id", "in": "path", "required": true, "schema": { "type": "integer" } } },
            "schemas": {
                "Order": { "type": "object", "required": ["lines"], "properties": {
                    "lines": { "type": "array", "items": { "$ref": "#/components/schemas/Line" } } } },
                "Line": { "type": "object", "properties": { "sku": { "type": "string", "pattern": "^(a+)+$" } } },
            },
        },
    })
}

fn asked(checks: &Checks, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Vec<(String, String)> {
    let builder = fields.iter().fold(http::Request::builder(), |it, (name, value)| it.header(*name, *value));
    let (parts, ()) = builder.method(method).uri(target).body(()).unwrap().into_parts();
    let path = parts.uri.path().to_owned();
    let operation = checks.find(&parts.method, &path);
    match operation.and_then(|it| it.check(&path, &parts, &Bytes::from(body.to_owned()))) {
        Ok(()) => Vec::new(),
        Err(problem) => {
            let document = problem.document(None);
            let fields = document.errors.into_iter().map(|it| (it.pointer, it.detail)).collect::<Vec<_>>();
            if fields.is_empty() { vec![(document.code, String::new())] } else { fields }
        }
    }
}

fn pointers(found: &[(String, String)]) -> Vec<&str> {
    found.iter().map(|(pointer, _)| pointer.as_str()).collect()
}

#[test]
fn fields_that_are_wrong_are_named_by_pointer() {
    let checks = Checks::of(&document().to_string()).unwrap();
    let mode = [("x-mode", "a")];
    let get = |target: &str, fields: &[(&str, &str)]| asked(&checks, "GET", target, fields, "");
    assert_eq!(get("/orders/7?limit=3&tag=1&tag=2", &mode), []);
    assert_eq!(get("/orders/new", &[]), [], "the concrete path comes first");
    assert_eq!(
        pointers(&get("/orders/x?limit=11&tag=1,b", &[])),
        ["/path/id", "/query/limit", "/query/tag/1", "/header/X-Mode"].into_iter().collect::<Vec<_>>()
    );
    assert_eq!(pointers(&get("/other", &mode)), ["not_found"]);
    assert_eq!(pointers(&asked(&checks, "DELETE", "/orders/7", &mode, "")), ["method_not_allowed"]);
    let post = |body: &str, media: &str| asked(&checks, "POST", "/orders", &[("content-type", media)], body);
    let json = "application/json; charset=utf-8";
    assert_eq!(post(r#"{ "lines": [{ "sku": "aa" }] }"#, json), []);
    assert_eq!(pointers(&post(r#"{ "lines": [{}, { "sku": 7 }] }"#, json)), ["/lines/1/sku"]);
    assert_eq!(pointers(&post("{}", json)), [""]);
    assert_eq!(pointers(&post("", json)), [""]);
    assert_eq!(pointers(&post("{", json)), [""]);
    assert_eq!(pointers(&post("{}", "text/plain")), ["media_type_unsupported"]);
}

#[test]
fn what_was_sent_is_not_repeated_and_a_pattern_cannot_be_kept_busy() {
    let checks = Checks::of(&document().to_string()).unwrap();
    let body = format!(r#"{{ "lines": [{{ "sku": "{}!" }}] }}"#, "a".repeat(40));
    let found = asked(&checks, "POST", "/orders", &[("content-type", "application/json")], &body);
    assert_eq!(pointers(&found), ["/lines/0/sku"]);
    assert!(!found[0].1.contains("aaaa"), "{found:?}");
}

#[test]
fn the_older_version_is_understood() {
    let schema = json!({ "type": "object", "properties": {
        "note": { "type": "string", "nullable": true },
        "price": { "type": "number", "minimum": 0, "exclusiveMinimum": true },
    } });
    let checks = Checks::of(
        &json!({ "openapi": "3.0.3", "paths": { "/a": { "post": { "requestBody": { "content": {
        "application/json": { "schema": schema } } } } } } })
        .to_string(),
    )
    .unwrap();
    let post = |body: &str| asked(&checks, "POST", "/a", &[("content-type", "application/json")], body);
    assert_eq!(post(r#"{ "note": null, "price": 0.1 }"#), []);
    assert_eq!(pointers(&post(r#"{ "note": 1, "price": 0 }"#)), ["/note", "/price"]);
}

#[test]
fn documents_that_cannot_be_kept_to_are_refused() {
    for broken in [
        json!({ "openapi": "2.0", "paths": {} }),
        json!({ "openapi": "3.1.0" }),
        json!({ "openapi": "3.1.0", "paths": { "/a": { "get": { "parameters": [{ "$ref": "#/nowhere" }] } } } }),
        json!({ "openapi": "3.1.0", "paths": { "/a": { "get": { "parameters": [{ "$ref": "https://a/b#/c" }] } } } }),
        json!({ "openapi": "3.1.0", "paths": { "/a": { "get": { "parameters": [
            { "name": "a", "in": "query", "schema": { "$ref": "https://a.example/b" } }] } } } }),
    ] {
        assert!(Checks::of(&broken.to_string()).is_err(), "{broken}");
    }
}
