//! Money: whole minor units of one currency. Nothing here rounds unseen, overflows or mixes currencies.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use kernel::text::TextError;

/// Currencies of ISO 4217 by the number of digits after the point.
const DIGITS: [(u8, &str); 4] = [
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    (
        2,
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC \
         CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR \
         JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD \
         NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN \
         SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW ZWG",
    ),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
];

/// A currency of ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    code: [u8; 3],
    digits: u8,
}

impl Currency {
    /// How many digits its minor unit has after the point.
    pub const fn digits(self) -> u8 {
        self.digits
    }

    /// Its three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or_default()
    }
}

impl FromStr for Currency {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let known = |all: &str| all.split_whitespace().any(|code| code == text);
        let (digits, _) = DIGITS
            .iter()
            .find(|(_, all)| known(all))
            .ok_or(TextError("expected a currency of ISO 4217, such as EUR"))?;
        let code = text.as_bytes().try_into().map_err(|_| TextError("expected three letters"))?;
        Ok(Self { code, digits: *digits })
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Currency".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let all: Vec<&str> = DIGITS.iter().flat_map(|(_, all)| all.split_whitespace()).collect();
        json_schema!({ "type": "string", "enum": all, "description": "A currency of ISO 4217." })
    }
}

/// Why a sum cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// It is larger than can be kept.
    #[error("the amount is too large")]
    Overflow,
    /// Two currencies cannot be added.
    #[error("{0} and {1} are different currencies")]
    Mismatch(Currency, Currency),
    /// Nothing can be divided among nobody.
    #[error("there is nothing to divide by")]
    NoParts,
}

/// An amount of one currency, in its minor unit inside, `{ "amount": "12.30", "currency": "EUR" }` outside.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

/// `numerator / denominator`, halves away from zero, as people round. The denominator is positive.
pub fn round_half_away(numerator: i128, denominator: i128) -> i128 {
    let (quotient, rest) = (numerator / denominator, (numerator % denominator).abs());
    if rest >= denominator - rest { quotient + numerator.signum() } else { quotient }
}

impl Money {
    /// So many minor units.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// The minor units.
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.minor == 0
    }

    /// Whether it is less than nothing.
    pub const fn is_negative(self) -> bool {
        self.minor < 0
    }

    /// The currency of both.
    fn with(self, other: Self) -> Result<Currency, MoneyError> {
        if self.currency == other.currency {
            Ok(self.currency)
        } else {
            Err(MoneyError::Mismatch(self.currency, other.currency))
        }
    }

    fn of(minor: Option<i64>, currency: Currency) -> Result<Self, MoneyError> {
        minor.map(|minor| Self { minor, currency }).ok_or(MoneyError::Overflow)
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        Self::of(self.minor.checked_add(other.minor), self.with(other)?)
    }

    /// The difference.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        Self::of(self.minor.checked_sub(other.minor), self.with(other)?)
    }

    /// The same with the other sign.
    pub fn negated(self) -> Result<Self, MoneyError> {
        Self::of(self.minor.checked_neg(), self.currency)
    }

    /// The smaller of two.
    pub fn least(self, other: Self) -> Result<Self, MoneyError> {
        self.with(other)?;
        Ok(if other.minor < self.minor { other } else { self })
    }

    /// `part / whole` of it, halves away from zero.
    pub fn share(self, part: u64, whole: u64) -> Result<Self, MoneyError> {
        if whole == 0 {
            return Err(MoneyError::NoParts);
        }
        let product = i128::from(self.minor).checked_mul(i128::from(part)).ok_or(MoneyError::Overflow)?;
        Self::of(i64::try_from(round_half_away(product, i128::from(whole))).ok(), self.currency)
    }

    /// The sum of all.
    pub fn sum(currency: Currency, all: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        all.into_iter().try_fold(Self::zero(currency), Self::plus)
    }

    /// Divides it in proportion to weights, by the largest remainder: the parts sum to the whole, and each is its exact
    /// share rounded down or up. Of equal remainders the first come first.
    pub fn allocate(self, weights: &[u64]) -> Result<Vec<Self>, MoneyError> {
        let all: u128 = weights.iter().map(|it| u128::from(*it)).sum();
        let all = i128::try_from(all).map_err(|_| MoneyError::Overflow)?;
        if all == 0 {
            return Err(MoneyError::NoParts);
        }
        let mut parts = Vec::with_capacity(weights.len());
        let mut left = i128::from(self.minor);
        for (place, weight) in weights.iter().enumerate() {
            let exact = i128::from(self.minor).checked_mul(i128::from(*weight)).ok_or(MoneyError::Overflow)?;
            left -= exact.div_euclid(all);
            parts.push((place, exact.div_euclid(all), exact.rem_euclid(all)));
        }
        parts.sort_by_key(|(place, _, rest)| (std::cmp::Reverse(*rest), *place));
        for (_, part, _) in parts.iter_mut().take(usize::try_from(left).map_err(|_| MoneyError::Overflow)?) {
            *part += 1;
        }
        parts.sort_by_key(|(place, ..)| *place);
        parts.into_iter().map(|(_, part, _)| Self::of(i64::try_from(part).ok(), self.currency)).collect()
    }

    /// The amount as text, such as `12.30`.
    pub fn amount(self) -> String {
        let digits = usize::from(self.currency.digits);
        let sign = if self.minor < 0 { "-" } else { "" };
        let text = format!("{:0>width$}", self.minor.unsigned_abs(), width = digits + 1);
        let (whole, part) = text.split_at(text.len() - digits);
        if digits == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
    }

    /// The amount that a text tells.
    pub fn parse(amount: &str, currency: Currency) -> Result<Self, TextError> {
        const REFUSED: TextError = TextError("expected an amount such as 12.30, with the digits that the currency has");
        let (sign, text) = amount.strip_prefix('-').map_or((1, amount), |rest| (-1, rest));
        let (whole, part) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
        let digits = usize::from(currency.digits);
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
        if whole.len() > 18 || !is_number(whole) || part.is_some_and(|it| it.len() > digits || !is_number(it)) {
            return Err(REFUSED);
        }
        let minor: i128 = format!("{whole}{:0<digits$}", part.unwrap_or_default()).parse().map_err(|_| REFUSED)?;
        Ok(Self::new(i64::try_from(sign * minor).map_err(|_| REFUSED)?, currency))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount(), self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    amount: String,
    currency: Currency,
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire { amount: self.amount(), currency: self.currency }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        Self::parse(&wire.amount, wire.currency).map_err(de::Error::custom)
    }
}

impl JsonSchema for Money {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Money".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let currency = generator.subschema_for::<Currency>();
        json_schema!({
            "type": "object",
            "description": "An amount of one currency.",
            "properties": {
                "amount": { "type": "string", "pattern": "^-?[0-9]{1,18}(\\.[0-9]{1,4})?$", "examples": ["12.30"] },
                "currency": currency,
            },
            "required": ["amount", "currency"],
            "additionalProperties": false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        for (minor, code, text) in [(1230, "EUR", "12.30"), (-5, "EUR", "-0.05"), (7, "JPY", "7"), (1, "BHD", "0.001")]
        {
            let money = Money::new(minor, currency(code));
            assert_eq!(money.amount(), text);
            assert_eq!(Money::parse(text, currency(code)), Ok(money));
        }
        assert_eq!(Money::parse("12.3", currency("EUR")), Ok(Money::new(1230, currency("EUR"))));
        for refused in
            ["", "-", ".5", "1.", "1.234", "1e3", "+1", "1,5", " 1", "9999999999999999999", "99999999999999999.99"]
        {
            assert!(Money::parse(refused, currency("EUR")).is_err(), "{refused:?}");
        }
        assert!(Money::parse("1.5", currency("JPY")).is_err() && "eur".parse::<Currency>().is_err());
        let json = serde_json::json!({ "amount": "12.30", "currency": "EUR" });
        assert_eq!(serde_json::to_value(Money::new(1230, currency("EUR"))).unwrap(), json);
    }

    #[test]
    fn currencies_do_not_mix_and_nothing_overflows() {
        let (euro, yen) = (Money::new(1, currency("EUR")), Money::new(1, currency("JPY")));
        assert_eq!(euro.plus(yen), Err(MoneyError::Mismatch(currency("EUR"), currency("JPY"))));
        let most = Money::new(i64::MAX, currency("EUR"));
        assert_eq!(most.plus(euro), Err(MoneyError::Overflow));
        assert_eq!(most.share(2, 1), Err(MoneyError::Overflow));
        assert_eq!(Money::new(i64::MIN, currency("EUR")).negated(), Err(MoneyError::Overflow));
        assert_eq!(euro.allocate(&[0, 0]), Err(MoneyError::NoParts));
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_whole(minor: i64, weights in prop::collection::vec(0_u64..1_000_000, 1..20)) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let whole = Money::new(minor, currency("EUR"));
            let parts = whole.allocate(&weights).unwrap();
            let sum: i128 = parts.iter().map(|part| i128::from(part.minor())).sum();
            prop_assert_eq!(sum, i128::from(minor));
            let all: i128 = weights.iter().map(|it| i128::from(*it)).sum();
            for (part, weight) in parts.iter().zip(&weights) {
                let exact = i128::from(minor) * i128::from(*weight);
                let off = (i128::from(part.minor()) * all - exact).abs();
                prop_assert!(off < all, "each part is its share, rounded");
            }
        }

        #[test]
        fn text_and_back(minor: i64, code in prop::sample::select(vec!["EUR", "JPY", "KWD", "CLF"])) {
            let money = Money::new(minor / 100_000, currency(code));
            prop_assert_eq!(Money::parse(&money.amount(), money.currency()), Ok(money));
        }
    }
}
