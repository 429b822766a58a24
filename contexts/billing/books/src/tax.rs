//! Which tax is upon what is sold to whom: by the place of supply, as for services to businesses and consumers within the
//! European Union (Directive 2006/112/EC, articles 44, 58 and 196), from a table of rates.

use std::{collections::BTreeMap, fmt, str::FromStr};

use billing_rules::Refusal;
use contracts::billing::{BillingProfileUpdated, TaxRatesUpdated};
use kernel::{
    Aggregate, ScopeKind, UserId,
    text::{DisplayName, Note, TextError},
};
use money::Money;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The countries of the European Union.
const UNION: &str = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK";

/// A country, by its two letters (ISO 3166-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    fn in_union(self) -> bool {
        UNION.split(' ').any(|member| member == self.text())
    }
}

impl FromStr for Country {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let refused = TextError("expected the two capital letters of a country, such as AT");
        let letters: [u8; 2] = text.as_bytes().try_into().map_err(|_| refused)?;
        if letters.iter().all(u8::is_ascii_uppercase) { Ok(Self(letters)) } else { Err(refused) }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Country {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Country".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Z]{2}$", "examples": ["AT"] })
    }
}

/// A number that a tax office gave to a business: two letters of the country, then 2 to 13 letters or digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[A-Z]{2}[A-Z0-9]{2,13}$"))]
pub struct TaxId(String);

impl TryFrom<String> for TaxId {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        let fits = (4..=15).contains(&text.len())
            && text.bytes().take(2).all(|letter| letter.is_ascii_uppercase())
            && text.bytes().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit());
        if fits { Ok(Self(text)) } else { Err(TextError("expected a tax number such as ATU12345678")) }
    }
}

impl TaxId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<TaxId> for String {
    fn from(it: TaxId) -> Self {
        it.0
    }
}

impl TaxId {
    /// Greece writes EL.
    fn is_of(&self, country: Country) -> bool {
        let letters = self.0.get(..2).unwrap_or_default();
        letters == country.text() || (letters, country.text()) == ("EL", "GR")
    }
}

/// To whom invoices go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Buyer {
    /// The name of the company.
    pub name: DisplayName,
    /// Its address, as it stands on the invoice.
    pub address: Note,
    /// Its country, which decides about tax.
    pub country: Country,
    /// Its tax number, where it is a business that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_id: Option<TaxId>,
}

/// To whom a tenant's invoices go, and whether whoever runs the installation exempted it from tax.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Profile {
    /// To whom.
    pub buyer: Option<Buyer>,
    /// Why no tax is due.
    pub exempt: Option<Note>,
    /// Who is told of invoices and payments.
    #[serde(default)]
    pub contact: Option<UserId>,
}

impl Profile {
    /// The one of a tenant.
    pub const ID: &'static str = "profile";

    /// Says to whom invoices go.
    pub fn update(&mut self, buyer: Buyer) -> BillingProfileUpdated {
        let told = BillingProfileUpdated { country: buyer.country.to_string() };
        self.buyer = Some(buyer);
        told
    }
}

impl Aggregate for Profile {
    type Id = String;
    const KIND: &'static str = "billing.profile";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

/// Hundredths of a per cent: 2000 is 20 %.
pub type BasisPoints = u16;

/// Where the seller is, and the rate of each country where it has to charge tax.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// The seller's country.
    pub seller: Country,
    /// Country to rate, in hundredths of a per cent: 2000 is 20 %.
    #[schemars(extend("maxProperties" = 250))]
    pub rates: BTreeMap<Country, BasisPoints>,
}

impl Rates {
    /// The one of an installation.
    pub const ID: &'static str = "rates";

    /// Refuses rates over the whole, and a seller without one.
    pub fn check(&self) -> Result<TaxRatesUpdated, Refusal> {
        let fits = self.rates.len() <= 250 && self.rates.values().all(|rate| *rate <= 10_000);
        if !fits || !self.rates.contains_key(&self.seller) {
            return Err(Refusal::Terms("rates are at most 10000, and the seller's country has one"));
        }
        Ok(TaxRatesUpdated { seller: self.seller.to_string() })
    }
}

impl Aggregate for Rates {
    type Id = String;
    const KIND: &'static str = "billing.tax_rates";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

/// Why so much tax is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// No rates are set: the seller charges no tax.
    NotSet,
    /// The buyer is in the seller's country.
    Domestic,
    /// The buyer is elsewhere, where the seller has to charge tax.
    Destination,
    /// The buyer is a business elsewhere in the European Union, and owes the tax itself.
    ReverseCharge,
    /// The buyer is where the seller charges no tax.
    OutOfScope,
    /// The buyer is exempted.
    Exempt,
    /// Nobody said where the buyer is: as in the seller's country.
    Unknown,
}

/// The tax upon an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tax {
    /// Why.
    pub treatment: Treatment,
    /// The rate, in hundredths of a per cent.
    pub rate: BasisPoints,
    /// Upon how much.
    pub base: Money,
    /// How much.
    pub amount: Money,
}

/// The tax upon an amount.
pub fn assess(rates: Option<&Rates>, profile: &Profile, base: Money) -> Result<Tax, Refusal> {
    let (treatment, rate) = match rates {
        None => (Treatment::NotSet, 0),
        Some(_) if profile.exempt.is_some() => (Treatment::Exempt, 0),
        Some(table) => place(table, profile.buyer.as_ref()),
    };
    Ok(Tax { treatment, rate, base, amount: base.share(u64::from(rate), 10_000)? })
}

fn place(table: &Rates, buyer: Option<&Buyer>) -> (Treatment, BasisPoints) {
    let rate = |country| table.rates.get(&country).copied();
    let own = rate(table.seller).unwrap_or_default();
    let Some(buyer) = buyer else { return (Treatment::Unknown, own) };
    if buyer.country == table.seller {
        return (Treatment::Domestic, own);
    }
    let business = buyer.tax_id.as_ref().is_some_and(|id| id.is_of(buyer.country));
    match rate(buyer.country) {
        _ if business && table.seller.in_union() && buyer.country.in_union() => (Treatment::ReverseCharge, 0),
        Some(rate) => (Treatment::Destination, rate),
        // Within the Union a consumer is taxed: at the seller's own rate, while no other is set.
        None if table.seller.in_union() && buyer.country.in_union() => (Treatment::Destination, own),
        None => (Treatment::OutOfScope, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_supply_decides() {
        let rates = Rates {
            seller: "AT".parse().unwrap(),
            rates: [("AT", 2000), ("DE", 1900), ("CH", 810)].map(|(it, rate)| (it.parse().unwrap(), rate)).into(),
        };
        rates.check().unwrap();
        let base = Money::new(99_99, "EUR".parse().unwrap());
        let of = |country: &str, id: Option<&str>| {
            let (name, address) = ("Acme".parse().unwrap(), "Main Street 1".parse().unwrap());
            let tax_id = id.map(|id| TaxId::try_from(id.to_owned()).unwrap());
            let buyer = Some(Buyer { name, address, country: country.parse().unwrap(), tax_id });
            let tax = assess(Some(&rates), &Profile { buyer, ..Profile::default() }, base).unwrap();
            (tax.treatment, tax.amount.amount())
        };
        for (country, id, treatment, amount) in [
            ("AT", Some("ATU12345678"), Treatment::Domestic, "20.00"),
            ("DE", None, Treatment::Destination, "19.00"),
            ("DE", Some("DE123456789"), Treatment::ReverseCharge, "0.00"),
            ("DE", Some("ATU12345678"), Treatment::Destination, "19.00"),
            ("GR", Some("EL123456789"), Treatment::ReverseCharge, "0.00"),
            ("FR", None, Treatment::Destination, "20.00"),
            ("CH", Some("CHE123456789"), Treatment::Destination, "8.10"),
            ("US", None, Treatment::OutOfScope, "0.00"),
        ] {
            assert_eq!(of(country, id), (treatment, amount.to_owned()), "{country} {id:?}");
        }
        let exempt = Profile { exempt: Some("a school".parse().unwrap()), ..Profile::default() };
        assert_eq!(assess(Some(&rates), &exempt, base).unwrap().treatment, Treatment::Exempt);
        assert_eq!(assess(Some(&rates), &Profile::default(), base).unwrap().treatment, Treatment::Unknown);
        assert_eq!(assess(None, &Profile::default(), base).unwrap().treatment, Treatment::NotSet);
    }
}
