//! How a tenant presents itself in mails. The context `tenants` tells of it; it is kept here, since each mail needs it.

use contracts::tenants::{BrandingUpdated, BrandingView, ReadBranding};
use kernel::{
    Cx, Problem,
    text::{DisplayName, EmailAddress},
};
use serde::{Deserialize, Serialize};

use crate::{Recipients, settings::Settings};

/// The platform's colours, for who has chosen none.
const ACCENT: (&str, &str) = ("#0a56a4", "#ffffff");

/// See above.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Brand {
    /// What it calls itself.
    pub name: Option<DisplayName>,
    /// Of buttons, and of text upon them.
    colours: Option<(String, String)>,
    /// Where its people find help.
    pub support: Option<EmailAddress>,
    /// The path of its logo.
    pub logo: Option<String>,
}

impl From<BrandingView> for Brand {
    fn from(it: BrandingView) -> Self {
        Self { name: it.name, colours: it.accent.zip(it.on_accent), support: it.support, logo: it.logo }
    }
}

impl Brand {
    /// The colour of buttons, and of text upon it.
    pub fn colours(&self) -> (String, String) {
        self.colours.clone().unwrap_or_else(|| (ACCENT.0.to_owned(), ACCENT.1.to_owned()))
    }

    /// What stands before the address that mail comes from. No name that looks like another address.
    pub fn sender(&self) -> Option<String> {
        self.name.as_ref().map(ToString::to_string).filter(|name| !name.contains('@'))
    }
}

impl Recipients {
    /// The tenant presents itself otherwise from now on.
    pub async fn rebranded(&self, _: BrandingUpdated, cx: Cx) -> Result<(), Problem> {
        let brand: Brand = self.calls.call(ReadBranding {}, &cx).await?.into();
        self.ensure_settings(&cx).await?;
        let rule = |it: &mut Settings| {
            it.brand = brand.clone();
            Ok(())
        };
        self.store.at(&cx).change(&Settings::ID.to_owned(), rule).await?;
        self.known.forget(&cx.scope());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sender_looks_like_an_address() {
        let brand = |name: &str| Brand { name: name.parse().ok(), ..Brand::default() };
        assert_eq!(brand("Acme Rockets").sender().as_deref(), Some("Acme Rockets"));
        assert_eq!(brand("ceo@bank.example").sender(), None);
        assert_eq!(brand("").sender(), None);
    }
}
