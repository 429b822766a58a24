//! Which tenant a request is for.

use http::{header, request::Parts};
use kernel::Problem;

/// What a host name names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Platform,
    Tenant(String),
}

/// By the host name: the installation's own, an address, or a subdomain.
pub(crate) fn by_host(parts: &Parts, own: &str) -> Result<Named, Problem> {
    let sent = parts.headers.get(header::HOST).and_then(|it| it.to_str().ok()).or(parts.uri.host()).unwrap_or_default();
    let host = match sent.strip_prefix('[') {
        Some(_) => return Ok(Named::Platform),
        None => sent.split(':').next().unwrap_or_default().to_ascii_lowercase(),
    };
    if host.is_empty() || host == own || host.parse::<std::net::IpAddr>().is_ok() {
        return Ok(Named::Platform);
    }
    match host.strip_suffix(own).and_then(|rest| rest.strip_suffix('.')) {
        Some(name) if !name.is_empty() && !name.contains('.') => Ok(Named::Tenant(name.to_owned())),
        _ => Err(Problem::not_found("tenant")),
    }
}

/// By the header.
pub(crate) fn by_header(parts: &Parts) -> Result<Option<String>, Problem> {
    let mut sent = parts.headers.get_all("x-tenant").iter();
    let refused = || Problem::invalid_field("X-Tenant", "expected one id or subdomain of a tenant");
    match (sent.next(), sent.next()) {
        (None, _) => Ok(None),
        (Some(name), None) => {
            let name = name.to_str().ok().filter(|name| (3..=64).contains(&name.len())).ok_or_else(refused)?;
            Ok(Some(name.to_owned()))
        }
        (Some(_), Some(_)) => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_name_one_tenant_or_none() {
        let named = |host: &str| {
            by_host(&http::Request::builder().header("host", host).body(()).unwrap().into_parts().0, "localhost")
        };
        for platform in ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080"] {
            assert_eq!(named(platform).unwrap(), Named::Platform, "{platform}");
        }
        assert_eq!(named("Acme.localhost:8080").unwrap(), Named::Tenant("acme".to_owned()));
        for stranger in ["acme.example.com", "a.b.localhost", ".localhost", "evillocalhost"] {
            assert!(named(stranger).is_err(), "{stranger}");
        }
    }
}
