//! Which tenant a request is for.

use http::{HeaderMap, header};
use kernel::Problem;

/// What a host name names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named<'a> {
    Platform,
    /// A subdomain of the installation.
    Slug(&'a str),
    /// A name of the tenant's own.
    Domain(&'a str),
}

/// The host name of a request, in lower case and without its port. What a client sends without one goes to the platform.
pub(crate) fn host(headers: &HeaderMap) -> String {
    let sent = headers.get(header::HOST).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let name = if sent.starts_with('[') { sent } else { sent.split(':').next().unwrap_or_default() };
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// By the host name: the installation's own, an address, a subdomain, or a domain that a tenant brought.
pub(crate) fn by_host<'a>(host: &'a str, own: &str) -> Result<Named<'a>, Problem> {
    if host.is_empty() || host == own || host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok() {
        return Ok(Named::Platform);
    }
    let label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(plain)
    };
    if host.len() > 253 || !host.split('.').all(label) {
        return Err(Problem::not_found("tenant"));
    }
    match host.strip_suffix(own).and_then(|rest| rest.strip_suffix('.')) {
        Some(slug) if !slug.contains('.') => Ok(Named::Slug(slug)),
        None if host.contains('.') => Ok(Named::Domain(host)),
        // A subdomain of a subdomain is nobody's, and no domain can be claimed below the installation's own.
        Some(_) | None => Err(Problem::not_found("tenant")),
    }
}

/// By the header.
pub(crate) fn by_header(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut sent = headers.get_all("x-tenant").iter();
    let refused = || Problem::invalid_field("X-Tenant", "expected one id or subdomain of a tenant");
    match (sent.next(), sent.next()) {
        (None, _) => Ok(None),
        (Some(name), None) => {
            name.to_str().ok().filter(|name| (3..=64).contains(&name.len())).map(Some).ok_or_else(refused)
        }
        (Some(_), Some(_)) => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> String {
        host(&[(header::HOST, text.parse().unwrap())].into_iter().collect())
    }

    #[test]
    fn host_names_name_one_tenant_or_none() {
        for platform in ["localhost", "LOCALHOST:8080", "localhost.", "127.0.0.1:8080", "[::1]:8080"] {
            assert_eq!(by_host(&sent(platform), "localhost").unwrap(), Named::Platform, "{platform}");
        }
        assert_eq!(by_host(&sent("Acme.localhost:8080"), "localhost").unwrap(), Named::Slug("acme"));
        for domain in ["acme.example.com", "evil.notlocalhost", "App.Example.com:443"] {
            let name = sent(domain);
            assert_eq!(by_host(&name, "localhost").unwrap(), Named::Domain(&name), "{domain}");
        }
        for nobody in [
            "a.b.localhost",
            ".localhost",
            "evillocalhost",
            "acme",
            "a..example.com",
            "a b.example.com",
            "ex/ample.com",
        ] {
            assert!(by_host(&sent(nobody), "localhost").is_err(), "{nobody}");
        }
    }
}
