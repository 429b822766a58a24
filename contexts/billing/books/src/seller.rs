//! Who sells: the legal entity of whoever runs the installation, as it stands on invoices.

use billing_rules::Refusal;
use contracts::billing::SellerUpdated;
use kernel::{
    Aggregate, ScopeKind,
    text::{DisplayName, EmailAddress, Note},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tax::{Country, TaxId};

/// An account to which is transferred.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BankAccount {
    /// Whose it is.
    pub holder: DisplayName,
    /// Its number (ISO 13616), without spaces.
    #[schemars(extend("pattern" = "^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$"))]
    pub iban: String,
    /// The bank (ISO 9362), where that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[A-Z0-9]{8}([A-Z0-9]{3})?$"))]
    pub bic: Option<String>,
}

/// The rest of a number by 97, letters counted as two digits (ISO 13616, ISO 7064). None of what is no such number.
fn rest(iban: &str) -> Option<u32> {
    let (head, body) = iban.split_at_checked(4)?;
    body.chars().chain(head.chars()).try_fold(0, |rest, letter| {
        let digit = letter.to_digit(36).filter(|_| !letter.is_ascii_lowercase())?;
        Some((rest * if digit > 9 { 100 } else { 10 } + digit) % 97)
    })
}

impl BankAccount {
    /// Whether its numbers can be right.
    pub fn check(&self) -> Result<(), Refusal> {
        let iban = (15..=34).contains(&self.iban.len()) && rest(&self.iban) == Some(1);
        let letters = |it: &String| it.bytes().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit());
        let bic = self.bic.as_ref().is_none_or(|it| matches!(it.len(), 8 | 11) && letters(it));
        if iban && bic { Ok(()) } else { Err(Refusal::Terms("expected the numbers of a bank account, without spaces")) }
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seller {
    /// Its name.
    pub name: DisplayName,
    /// Its address, as it stands on the invoice.
    pub address: Note,
    /// Its country.
    pub country: Country,
    /// Its tax number, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_id: Option<TaxId>,
    /// Its number in a register of companies, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<DisplayName>,
    /// Where it is asked about invoices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
    /// The account to which is transferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank_account: Option<BankAccount>,
}

impl Seller {
    /// The one of an installation.
    pub const ID: &'static str = "seller";

    /// Whether it can be right.
    pub fn check(&self) -> Result<SellerUpdated, Refusal> {
        self.bank_account.as_ref().map_or(Ok(()), BankAccount::check)?;
        Ok(SellerUpdated { country: self.country.to_string() })
    }
}

impl Aggregate for Seller {
    type Id = String;
    const KIND: &'static str = "billing.seller";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_an_account_is_checked() {
        let of = |iban: &str, bic: Option<&str>| {
            let (iban, bic) = (iban.to_owned(), bic.map(str::to_owned));
            BankAccount { holder: "Freehold".parse().unwrap(), iban, bic }.check().is_ok()
        };
        assert!(of("DE89370400440532013000", Some("COBADEFFXXX")) && of("GB82WEST12345698765432", None));
        assert!(of("NO9386011117947", Some("DNBANOKK")));
        for wrong in [
            "DE89370400440532013001",
            "DE89 3704 0044 0532 0130 00",
            "de89370400440532013000",
            "DE",
            "ßE89370400440532013000",
        ] {
            assert!(!of(wrong, None), "{wrong}");
        }
        assert!(!of("DE89370400440532013000", Some("COBA")));
    }
}
