//! The origins of other sites whose pages may ask, as a tenant names them.

use http::Uri;
use kernel::{Aggregate, Problem, ScopeKind};
use serde::{Deserialize, Serialize};

/// Which pages on other sites may ask.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AllowedOrigins {
    pub(crate) origins: Vec<String>,
}

impl AllowedOrigins {
    pub(crate) const ID: &'static str = "origins";

    /// Takes whole origins only (RFC 6454, section 6.2): no patterns, no paths.
    pub(crate) fn parse(origins: Vec<String>) -> Result<Self, Problem> {
        let whole = |text: &String| {
            let uri: Uri = text.parse().ok()?;
            let (scheme, authority) = (uri.scheme_str()?, uri.authority()?.as_str());
            let fits = matches!(scheme, "http" | "https") && !authority.contains(['@', '*']) && text.len() <= 253;
            (fits && *text == format!("{scheme}://{authority}").to_ascii_lowercase()).then_some(())
        };
        if origins.len() > 50 {
            return Err(Problem::invalid_field("/origins", "expected at most 50"));
        }
        match origins.iter().position(|text| whole(text).is_none()) {
            Some(place) => {
                let why = "expected an origin in lower case, such as https://app.example.com";
                Err(Problem::invalid_field(format!("/origins/{place}"), why))
            }
            None => Ok(Self { origins }),
        }
    }
}

impl Aggregate for AllowedOrigins {
    type Id = String;
    const KIND: &'static str = "gateway.allowed_origins";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_whole() {
        let parsed = |origin: &str| AllowedOrigins::parse(vec![origin.to_owned()]).is_ok();
        assert!(parsed("https://app.example.com") && parsed("http://localhost:3000"));
        for refused in
            ["*", "https://*.example.com", "https://a.example.com/", "null", "https://A.example.com", "a.com"]
        {
            assert!(!parsed(refused), "{refused}");
        }
    }
}
