//! The configuration: defaults, then `freehold.toml`, then the environment (`FREEHOLD_…`), then the command line.

use std::{net::SocketAddr, path::PathBuf};

use figment::{
    Figment, Metadata,
    providers::{Env, Format, Serialized, Toml},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// What the command line can say.
#[derive(clap::Args, Serialize)]
pub(crate) struct Overrides {
    /// Where to listen
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    /// The folder of the data
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<PathBuf>,
    /// The configuration file
    #[arg(long, global = true, default_value = "freehold.toml")]
    #[serde(skip)]
    config: PathBuf,
}

/// A mail server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Smtp {
    /// Its host name; without one, mail is shown on the console.
    pub(crate) host: Option<String>,
    pub(crate) port: u16,
    /// Whether the connection is secured by TLS.
    pub(crate) tls: bool,
    pub(crate) user: Option<SecretString>,
    pub(crate) password: Option<SecretString>,
    /// The sender.
    pub(crate) from: String,
}

/// The effective configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) data: PathBuf,
    /// The host name of the installation; tenants are its subdomains.
    pub(crate) host: String,
    /// `http`, or `https` behind something that ends TLS.
    pub(crate) scheme: String,
    /// The port in addresses that people see; that of `listen` unless said otherwise, 0 for the scheme's own.
    pub(crate) public_port: Option<u16>,
    pub(crate) log: String,
    pub(crate) log_json: bool,
    /// Requests a second of one caller, over time; the other limits follow from it.
    pub(crate) rate: u32,
    /// For how many days events are kept in the log.
    pub(crate) event_days: u32,
    /// Other limits, where they differ.
    pub(crate) limits: gateway::Limits,
    /// Proxies whose word on a visitor's address counts: addresses, or blocks of them.
    pub(crate) trusted_proxies: Vec<gateway::Network>,
    /// The header in which they write it: `x-forwarded-for` or `forwarded`.
    pub(crate) forwarded_header: gateway::ForwardedHeader,
    /// Bounds of connections and requests.
    pub(crate) http: gateway::Http,
    /// Where metrics are served to whoever asks; nowhere unless said. Not for the open network.
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) smtp: Smtp,
    #[serde(skip)]
    explained: String,
}

fn defaults() -> serde_json::Value {
    serde_json::json!({
        "listen": "127.0.0.1:8080", "data": "./data", "host": "localhost", "scheme": "http", "public_port": null,
        "log": "info,access=off", "log_json": false, "rate": 200, "event_days": 30, "limits": {}, "trusted_proxies": [],
        "forwarded_header": "x-forwarded-for", "http": gateway::Http::default(), "metrics_listen": null,
        "smtp": { "host": null, "port": 587, "tls": true, "user": null, "password": null,
                  "from": "Freehold <no-reply@localhost>" },
    })
}

fn source(metadata: Option<&Metadata>) -> String {
    let Some(metadata) = metadata else { return "default".to_owned() };
    match metadata.name.as_ref() {
        "defaults" => "default".to_owned(),
        "command line" => "command line".to_owned(),
        name => metadata.source.as_ref().map_or_else(|| name.to_owned(), ToString::to_string),
    }
}

impl Config {
    /// Reads all sources.
    pub(crate) fn load(overrides: &Overrides) -> Result<Self, Box<figment::Error>> {
        struct Named<P>(P, &'static str);
        impl<P: figment::Provider> figment::Provider for Named<P> {
            fn metadata(&self) -> Metadata {
                Metadata::named(self.1)
            }
            fn data(&self) -> Result<figment::value::Map<figment::Profile, figment::value::Dict>, figment::Error> {
                self.0.data()
            }
        }
        let figment = Figment::from(Named(Serialized::defaults(defaults()), "defaults"))
            .merge(Toml::file(&overrides.config))
            .merge(
                Env::prefixed("FREEHOLD_")
                    .filter(|key| {
                        !key.starts_with("test_") && !key.starts_with("call_") && key != "cache" && key != "skips"
                    })
                    .split("__"),
            )
            .merge(Named(Serialized::defaults(overrides), "command line"));
        let mut config: Self = figment.extract().map_err(Box::new)?;
        let mut lines = Vec::new();
        for name in [
            "listen",
            "data",
            "host",
            "scheme",
            "public_port",
            "log",
            "log_json",
            "rate",
            "event_days",
            "limits",
            "trusted_proxies",
            "forwarded_header",
            "http",
            "metrics_listen",
            "smtp.host",
            "smtp.port",
            "smtp.tls",
            "smtp.user",
            "smtp.password",
            "smtp.from",
        ] {
            let value = figment.find_value(name).ok().and_then(|value| serde_json::to_value(value).ok());
            let shown = match value {
                Some(value) if name.ends_with("password") && !value.is_null() => "(hidden)".to_owned(),
                Some(value) => value.to_string(),
                None => "null".to_owned(),
            };
            let from = source(figment.find_metadata(name));
            lines.push(format!("{name:<14} = {shown:<34} # {from}\n"));
        }
        config.explained = lines.concat();
        Ok(config)
    }

    /// Each value with its source, secrets hidden.
    pub(crate) fn explained(&self) -> &str {
        &self.explained
    }

    /// The port in addresses, unless it is the scheme's own.
    pub(crate) fn port(&self) -> Option<u16> {
        let port = self.public_port.unwrap_or(self.listen.port());
        let own = if self.scheme == "https" { 443 } else { 80 };
        (port != own && port != 0).then_some(port)
    }

    /// The origin of the installation itself.
    pub(crate) fn origin(&self) -> String {
        let port = self.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}", self.scheme, self.host)
    }
}
