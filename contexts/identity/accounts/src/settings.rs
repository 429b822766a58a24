//! How the installation is reached, and how its passwords are kept.

use proofs::Hashing;

/// How the installation is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `http` or `https`.
    pub scheme: String,
    /// The host name; tenants are its subdomains.
    pub host: String,
    /// The port in addresses, where it is not the scheme's own.
    pub port: Option<u16>,
    /// How passwords are hashed.
    pub hashing: Hashing,
}

impl Settings {
    /// Whether cookies travel over TLS only.
    pub fn secure(&self) -> bool {
        self.scheme == "https"
    }

    /// The origin of a tenant.
    pub fn origin(&self, slug: &str) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{slug}.{}{port}", self.scheme, self.host)
    }

    /// The origin of the installation itself.
    pub fn platform_origin(&self) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}", self.scheme, self.host)
    }
}
