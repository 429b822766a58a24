//! Numbers with a fixed count of digits after the point: how much was used, and what one of it costs.

use std::{fmt, str::FromStr};

use kernel::text::TextError;
use money::{Currency, Money, round_half_away};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Refusal;

/// How much: seats, calls, hours. Six digits after the point.
pub type Quantity = Decimal<6>;
/// What one costs, in the currency's major unit. Twelve digits after the point.
pub type Price = Decimal<12>;
/// A price times a quantity, with nothing rounded away.
pub type Exact = Decimal<18>;

/// The digits before the point that are taken from outside: so many that a price times a quantity cannot overflow.
const WHOLE: usize = 12;

/// A number with `PLACES` digits after the point.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal<const PLACES: u32>(i128);

impl<const PLACES: u32> Decimal<PLACES> {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    const ONE: i128 = 10_i128.pow(PLACES);

    /// A whole number.
    pub fn whole(number: u64) -> Result<Self, Refusal> {
        i128::from(number).checked_mul(Self::ONE).map(Self).ok_or(Refusal::Overflow)
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Result<Self, Refusal> {
        self.0.checked_add(other.0).map(Self).ok_or(Refusal::Overflow)
    }

    /// The difference.
    pub fn minus(self, other: Self) -> Result<Self, Refusal> {
        self.0.checked_sub(other.0).map(Self).ok_or(Refusal::Overflow)
    }

    /// Whether it is less than nothing.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

impl Quantity {
    /// How many packages of a size it takes.
    pub fn packages(self, size: Self) -> Result<Self, Refusal> {
        if size.0 <= 0 {
            return Err(Refusal::Terms("a package holds more than nothing"));
        }
        let packages = self.0.max(0).checked_add(size.0 - 1).ok_or(Refusal::Overflow)? / size.0;
        packages.checked_mul(Self::ONE).map(Self).ok_or(Refusal::Overflow)
    }
}

impl Price {
    /// The price of so many.
    pub fn of(self, quantity: Quantity) -> Result<Exact, Refusal> {
        self.0.checked_mul(quantity.0).map(Decimal).ok_or(Refusal::Overflow)
    }
}

impl Exact {
    /// Rounded to the currency's minor unit, halves away from zero.
    pub fn rounded(self, currency: Currency) -> Result<Money, Refusal> {
        let minor = round_half_away(self.0, 10_i128.pow(18 - u32::from(currency.digits())));
        Ok(Money::new(i64::try_from(minor).map_err(|_| Refusal::Overflow)?, currency))
    }
}

impl<const PLACES: u32> FromStr for Decimal<PLACES> {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        const REFUSED: TextError = TextError("expected a number such as 12.5, with few enough digits");
        let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (whole, part) = text.split_once('.').map_or((text, ""), |(whole, part)| (whole, part));
        let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
        let fits = (1..=WHOLE).contains(&whole.len()) && part.len() <= PLACES as usize && !text.ends_with('.');
        if !fits || !digits(whole) || !digits(part) {
            return Err(REFUSED);
        }
        let number: i128 = format!("{whole}{part:0<places$}", places = PLACES as usize).parse().map_err(|_| REFUSED)?;
        Ok(Self(sign * number))
    }
}

impl<const PLACES: u32> fmt::Display for Decimal<PLACES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, sign) = (self.0.unsigned_abs(), if self.0 < 0 { "-" } else { "" });
        let one = Self::ONE.unsigned_abs();
        let part = format!("{:0>places$}", number % one, places = PLACES as usize);
        match part.trim_end_matches('0') {
            "" => write!(f, "{sign}{}", number / one),
            part => write!(f, "{sign}{}.{part}", number / one),
        }
    }
}

impl<const PLACES: u32> fmt::Debug for Decimal<PLACES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const PLACES: u32> Serialize for Decimal<PLACES> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const PLACES: u32> Deserialize<'de> for Decimal<PLACES> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl<const PLACES: u32> JsonSchema for Decimal<PLACES> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Decimal{PLACES}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": format!("^-?[0-9]{{1,{WHOLE}}}(\\.[0-9]{{1,{PLACES}}})?$"),
            "description": format!("A number as text, with up to {PLACES} digits after the point."),
            "examples": ["12.5"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts() {
        for (text, shown) in [("0.0004", "0.0004"), ("12", "12"), ("-1.50", "-1.5"), ("000.1", "0.1")] {
            assert_eq!(text.parse::<Price>().unwrap().to_string(), shown);
        }
        for refused in ["", ".", "1.", ".5", "1e3", "0.0000001", "1234567890123", "--1", "1,5", "-"] {
            assert!(refused.parse::<Quantity>().is_err(), "{refused:?}");
        }
    }

    proptest! {
        #[test]
        fn the_largest_price_of_the_largest_quantity_is_told_or_refused(
            price in "[0-9]{1,12}(\\.[0-9]{1,12})?", quantity in "[0-9]{1,12}(\\.[0-9]{1,6})?",
        ) {
            let price: Price = price.parse().unwrap();
            if let Ok(exact) = price.of(quantity.parse().unwrap()) {
                let (up, euro) = (exact.rounded("EUR".parse().unwrap()), "0.005".parse::<Price>().unwrap());
                prop_assert!(up.is_ok() || up == Err(Refusal::Overflow));
                prop_assert!(!euro.is_negative());
            }
        }
    }
}
