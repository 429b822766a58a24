//! `freehold call`: any use case of a running installation, by its name. Everything it knows it reads from the OpenAPI
//! document of that installation.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::config::Config;

/// Calls a use case of the running installation
#[derive(clap::Args)]
pub(crate) struct Call {
    /// Its name, such as `tenants.suspend`; without one, all names are listed
    name: Option<String>,
    /// Its fields: `name=value`; a value that is JSON is taken as such
    fields: Vec<String>,
    /// The tenant: a subdomain or an id
    #[arg(long, env = "FREEHOLD_CALL_TENANT")]
    tenant: Option<String>,
    /// An access token
    #[arg(long, env = "FREEHOLD_CALL_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// A session cookie, as a browser sends it: `name=value`
    #[arg(long, env = "FREEHOLD_CALL_COOKIE", hide_env_values = true)]
    cookie: Option<String>,
    /// Tells what the use case does and which fields it has, and calls nothing
    #[arg(long)]
    describe: bool,
}

/// One operation of the document.
struct Found<'a> {
    method: &'a str,
    path: &'a str,
    operation: &'a Value,
}

fn operations(document: &Value) -> impl Iterator<Item = Found<'_>> {
    let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| Found { method, path, operation })
    })
}

fn name<'a>(found: &Found<'a>) -> &'a str {
    found.operation.get("operationId").and_then(Value::as_str).unwrap_or_default()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn describe(found: &Found<'_>) {
    println!("{} {}\n\n{}\n", found.method.to_uppercase(), found.path, text(found.operation, "/description"));
    let parameters = found.operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    for parameter in parameters.filter(|parameter| text(parameter, "/in") != "header") {
        println!("  {:<20} {}", text(parameter, "/name"), text(parameter, "/schema/description"));
    }
    let body = found.operation.pointer("/requestBody/content/application~1json/schema/properties");
    for (name, schema) in body.and_then(Value::as_object).into_iter().flatten() {
        println!("  {name:<20} {}", text(schema, "/description"));
    }
}

fn fields(given: &[String]) -> Result<Map<String, Value>> {
    given
        .iter()
        .map(|field| {
            let (name, value) = field.split_once('=').with_context(|| format!("{field}: expected name=value"))?;
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
            Ok((name.to_owned(), value))
        })
        .collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

async fn call(config: &Config, call: &Call) -> Result<ExitCode> {
    let base = format!("http://{}", config.listen);
    let http = reqwest::Client::new();
    let unreachable = || format!("nothing answers at {base}: start it with `freehold up`, or name it with --listen");
    let document = http.get(format!("{base}/openapi.json")).send().await.with_context(unreachable)?;
    let document: Value = document.json().await.context("the OpenAPI document")?;
    let Some(wanted) = &call.name else {
        let mut names: Vec<_> = operations(&document).map(|it| name(&it).to_owned()).collect();
        names.sort();
        println!("{}", names.join("\n"));
        return Ok(ExitCode::SUCCESS);
    };
    let Some(found) = operations(&document).find(|it| name(it) == wanted) else {
        bail!("no use case is called {wanted}: `freehold call` lists them");
    };
    if call.describe {
        describe(&found);
        return Ok(ExitCode::SUCCESS);
    }
    let mut fields = fields(&call.fields)?;
    let mut path = found.path.to_owned();
    for part in found.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        let value = fields.remove(part).with_context(|| format!("the field {part} is missing"))?;
        let value: String = form_urlencoded::byte_serialize(plain(&value).as_bytes()).collect();
        path = path.replace(&format!("{{{part}}}"), &value);
    }
    let mut request = http.request(found.method.to_uppercase().parse()?, format!("{base}{path}"));
    request = if found.operation.get("requestBody").is_some() {
        request.json(&fields)
    } else {
        let query = fields.iter().map(|(name, value)| (name, plain(value)));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        http.request(found.method.to_uppercase().parse()?, format!("{base}{path}?{query}"))
    };
    let headers = [
        ("x-tenant", call.tenant.clone()),
        ("cookie", call.cookie.clone()),
        ("authorization", call.token.as_ref().map(|token| format!("Bearer {token}"))),
    ];
    for (name, value) in headers {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    let answer = request.send().await.with_context(unreachable)?;
    let good = answer.status().is_success();
    let body = answer.text().await?;
    match serde_json::from_str::<Value>(&body) {
        Ok(json) => println!("{json:#}"),
        Err(_) => println!("{body}"),
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the call.
pub(crate) fn run(config: &Config, asked: &Call) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(call(config, asked))
}
