//! The configuration: defaults, then `freehold.toml`, then the environment (`FREEHOLD_…`), then the command line.

use std::{net::SocketAddr, path::PathBuf};

use figment::{
    Figment, Metadata,
    providers::{Env, Format, Serialized, Toml},
};
use schemars::JsonSchema;
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
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Smtp {
    /// Its host name; without one, mail is shown on the console.
    pub(crate) host: Option<String>,
    /// Its port.
    pub(crate) port: u16,
    /// Whether the connection is secured by TLS.
    pub(crate) tls: bool,
    /// The name to sign in there with.
    #[schemars(with = "Option<String>")]
    pub(crate) user: Option<SecretString>,
    /// The password to sign in there with.
    #[schemars(with = "Option<String>")]
    pub(crate) password: Option<SecretString>,
    /// The sender of all mail, `Name <address>`.
    pub(crate) from: String,
}

/// An account at Stripe.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfStripe {
    /// Where its interface is.
    pub(crate) url: String,
    /// The secret key, `sk_…`, or one restricted to customers, payment methods, payment intents, refunds and checkout
    /// sessions. Without one, Stripe is not connected.
    #[schemars(with = "Option<String>")]
    pub(crate) key: Option<SecretString>,
    /// The secrets that sign its notices to `/v1/payment-notices/stripe`, `whsec_…`; two while one takes the place of the other.
    #[schemars(with = "Vec<String>")]
    pub(crate) signing: Vec<SecretString>,
}

/// An account at Mollie.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfMollie {
    /// Where its interface is.
    pub(crate) url: String,
    /// The key, `live_…` or `test_…`. Without one, Mollie is not connected.
    #[schemars(with = "Option<String>")]
    pub(crate) key: Option<SecretString>,
    /// The secrets that sign its notices to `/v1/payment-notices/mollie`.
    #[schemars(with = "Vec<String>")]
    pub(crate) signing: Vec<SecretString>,
}

/// How invoices are paid.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfPayments {
    pub(crate) stripe: OfStripe,
    pub(crate) mollie: OfMollie,
    /// Which gateway is offered to whom: a list of `gateway`, `currencies` and `countries`, of which the first that fits
    /// decides.
    pub(crate) routing: Vec<billing::Routing>,
}

/// Tenants.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfTenants {
    /// How many days a tenant that signed up is on trial; 0 for not at all.
    pub(crate) trial_days: u16,
    /// How the data of a tenant that signed up is kept: `pooled` with that of others, or `dedicated`, in a file of its own.
    pub(crate) isolation: contracts::tenants::Isolation,
    /// Whether a domain may lead to an address that is not public: for development alone.
    pub(crate) private_domains: bool,
    /// The port at which the challenge of a domain is asked for.
    pub(crate) domain_port: u16,
}

/// The effective configuration. The reference page and the sample file are made from this type and `defaults`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address and port to listen on.
    #[schemars(with = "String")]
    pub(crate) listen: SocketAddr,
    /// The folder of all data and keys. It is made where it is missing.
    pub(crate) data: PathBuf,
    /// A PostgreSQL database that keeps aggregates and events, `postgres://user:password@host/database`. Without one they
    /// are in the data folder, where keys and facts are in any case. To another machine it is secured by TLS.
    #[schemars(with = "Option<String>")]
    pub(crate) store: Option<SecretString>,
    /// The host name of the installation; tenants are its subdomains.
    pub(crate) host: String,
    /// `http`, or `https` behind something that ends TLS.
    pub(crate) scheme: String,
    /// The port in addresses that people see; that of `listen` unless said otherwise, 0 for the scheme's own.
    pub(crate) public_port: Option<u16>,
    /// How much is logged: `error`, `warn`, `info`, `debug`, `trace`, or such a level for a part, `info,store=debug`.
    pub(crate) log: String,
    /// Whether log lines are JSON objects, for programs that read them.
    pub(crate) log_json: bool,
    /// Requests a second of one caller, over time; ten times as many at once. The other limits follow from it.
    pub(crate) rate: u32,
    /// For how many days events are kept in the log.
    pub(crate) event_days: u32,
    /// Other limits, where they differ.
    pub(crate) limits: gateway::Limits,
    /// Proxies whose word on a visitor's address counts: addresses, or blocks of them.
    #[schemars(with = "Vec<String>")]
    pub(crate) trusted_proxies: Vec<gateway::Network>,
    /// The header in which they write it: `x-forwarded-for` or `forwarded`.
    pub(crate) forwarded_header: gateway::ForwardedHeader,
    /// Bounds of connections and requests.
    pub(crate) http: gateway::Http,
    /// Requests that go to services of one's own, by the name of the route.
    pub(crate) routes: std::collections::BTreeMap<kernel::text::Key, gateway::Route>,
    /// Where metrics are served to whoever asks; nowhere unless said. Not for the open network.
    #[schemars(with = "Option<String>")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Whether webhook endpoints and mail servers of tenants may be on this machine or in its network, and without TLS:
    /// for development only.
    pub(crate) private_targets: bool,
    /// For how many days a person can call off the erasure that they ordered for themselves.
    pub(crate) erasure_grace_days: u16,
    /// The mail server.
    pub(crate) smtp: Smtp,
    pub(crate) tenants: OfTenants,
    pub(crate) payments: OfPayments,
    #[serde(skip)]
    explained: String,
}

/// What holds while nobody says otherwise.
pub(crate) fn defaults() -> serde_json::Value {
    serde_json::json!({
        "listen": "127.0.0.1:8080", "data": "./data", "store": null, "host": "localhost", "scheme": "http", "public_port": null,
        "log": "info,access=off", "log_json": false, "rate": 200, "event_days": 30,
        "limits": { "address": null, "visitor": null, "caller": null, "tenant": null, "failures": null }, "trusted_proxies": [],
        "forwarded_header": "x-forwarded-for", "http": gateway::Http::default(), "routes": {}, "metrics_listen": null,
        "private_targets": false, "erasure_grace_days": 7,
        "smtp": { "host": null, "port": 587, "tls": true, "user": null, "password": null,
                  "from": "Freehold <no-reply@localhost>" },
        "payments": { "stripe": { "url": "https://api.stripe.com", "key": null, "signing": [] },
                      "mollie": { "url": "https://api.mollie.com", "key": null, "signing": [] }, "routing": [] },
        "tenants": { "trial_days": 0, "isolation": "pooled", "private_domains": false, "domain_port": 80 },
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

/// Whether a setting is not for others to read.
fn is_secret(name: &str) -> bool {
    ["password", ".key", ".signing"].iter().any(|it| name.ends_with(it))
}

/// An address without what it is opened with: of a URL the parts before and after the credentials, and nothing of what is
/// no URL.
pub(crate) fn address(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "(hidden)".to_owned() };
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    format!("{scheme}://{}", place.split('?').next().unwrap_or_default())
}

impl Config {
    /// The defaults with these settings, named as `freehold config` names them, and nothing of the surroundings.
    pub fn given(settings: &[(&str, serde_json::Value)]) -> Result<Self, Box<figment::Error>> {
        let figment = Figment::from(Serialized::defaults(defaults()));
        let merge = |figment: Figment, (name, value): &(&str, serde_json::Value)| {
            figment.merge(Serialized::default(name, value))
        };
        settings.iter().fold(figment, merge).extract().map_err(Box::new)
    }

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
            "store",
            "host",
            "scheme",
            "public_port",
            "log",
            "log_json",
            "rate",
            "event_days",
            "private_targets",
            "erasure_grace_days",
            "limits",
            "trusted_proxies",
            "forwarded_header",
            "http",
            "routes",
            "metrics_listen",
            "smtp.host",
            "smtp.port",
            "smtp.tls",
            "smtp.user",
            "smtp.password",
            "smtp.from",
            "tenants.trial_days",
            "tenants.isolation",
            "tenants.private_domains",
            "tenants.domain_port",
            "payments.stripe.url",
            "payments.stripe.key",
            "payments.stripe.signing",
            "payments.mollie.url",
            "payments.mollie.key",
            "payments.mollie.signing",
            "payments.routing",
        ] {
            let value = figment.find_value(name).ok().and_then(|value| serde_json::to_value(value).ok());
            let shown = match value {
                Some(value) if is_secret(name) && !value.is_null() => "(hidden)".to_owned(),
                Some(serde_json::Value::String(url)) if name == "store" => address(&url),
                Some(value) => value.to_string(),
                None => "null".to_owned(),
            };
            let from = source(figment.find_metadata(name));
            lines.push(format!("{name:<23} = {shown:<34} # {from}\n"));
        }
        config.explained = lines.concat();
        Ok(config)
    }

    /// Each value with its source, secrets hidden.
    pub(crate) fn explained(&self) -> &str {
        &self.explained
    }

    /// For how long one's own erasure can be called off.
    pub(crate) fn erasure_grace(&self) -> std::time::Duration {
        std::time::Duration::from_hours(u64::from(self.erasure_grace_days) * 24)
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn leaves(schema: &Value, of: &Value) -> Vec<(String, bool)> {
        let properties = schema["properties"].as_object().into_iter().flatten();
        let read = properties.flat_map(|(name, it)| {
            let target = it["$ref"].as_str().and_then(|path| of.pointer(path.trim_start_matches('#')));
            let inside = target.map(|target| leaves(target, of)).filter(|inside| !inside.is_empty());
            match inside {
                Some(inside) => inside.into_iter().map(|(leaf, said)| (format!("{name}.{leaf}"), said)).collect(),
                None => vec![(name.clone(), it["description"].is_string())],
            }
        });
        read.collect()
    }

    #[test]
    fn an_address_tells_no_secret() {
        for url in
            ["postgres://u:s3cret@db/one", "postgres://u:a/s3cret?@db/one?x=y", "postgres://db/one?password=s3cret"]
        {
            assert_eq!(address(url), "postgres://db/one", "{url}");
        }
        assert_eq!(address("host=db password=s3cret"), "(hidden)");
    }

    #[test]
    fn each_setting_has_a_default_and_a_description() {
        let schema = schemars::schema_for!(Config).to_value();
        let found = leaves(&schema, &schema);
        assert!(found.iter().any(|(name, _)| name == "smtp.port"), "{found:?}");
        for (name, described) in found {
            assert!(described, "{name} is not described");
            let pointer = format!("/{}", name.replace('.', "/"));
            assert!(defaults().pointer(&pointer).is_some(), "{name} has no default");
        }
    }
}
