//! Whom a page is shown for.

use contracts::tenants::{BrandingView, ReadBranding};
use kernel::{Calls, Cx, Scope, text::EmailAddress};

/// A name, and what a tenant chose beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brand {
    /// What is written at the top.
    pub name: String,
    /// The path of the logo that stands for the name.
    pub logo: Option<String>,
    /// The path of the stylesheet with its colours.
    pub style: Option<String>,
    /// Where people find help.
    pub support: Option<EmailAddress>,
}

impl From<BrandingView> for Brand {
    fn from(it: BrandingView) -> Self {
        Self { name: it.shown.to_string(), logo: it.logo, style: it.style, support: it.support }
    }
}

impl Brand {
    /// The installation's own.
    pub fn platform() -> Self {
        Self { name: "Freehold".to_owned(), logo: None, style: None, support: None }
    }

    /// Of the tenant that the caller is at. Nobody is kept from signing in because a logo cannot be read: where the brand
    /// is not told, the page looks as the platform has it.
    pub async fn of(calls: &Calls, cx: &Cx) -> Self {
        match cx.scope() {
            Scope::Platform => Self::platform(),
            Scope::Tenant(_) => calls.call(ReadBranding {}, cx).await.map_or_else(|_| Self::platform(), Self::from),
        }
    }

    /// A link that writes to whoever helps.
    pub fn support_link(&self) -> Option<String> {
        // RFC 6068, section 2: what has a meaning in an address of the web is encoded.
        let encode = |byte: u8| {
            let plain = byte.is_ascii_alphanumeric() || b"@.-_~".contains(&byte);
            if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        let support = self.support.as_ref()?;
        Some(format!("mailto:{}", support.as_str().bytes().map(encode).collect::<String>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_support_address_adds_nothing_to_a_mail() {
        let support = "a?cc=b&body=%41+c@example.com".parse().ok();
        let brand = Brand { support, ..Brand::platform() };
        assert_eq!(brand.support_link().unwrap(), "mailto:a%3Fcc%3Db%26body%3D%2541%2Bc@example.com");
        assert_eq!(Brand::platform().support_link(), None);
    }
}
