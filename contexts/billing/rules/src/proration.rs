//! What a part of a period costs.
//!
//! Everything is told by one function: what is left of a price from an instant to the period's end, rounded once. A part
//! in the middle costs the difference of two of these. So the parts of a period sum to its whole, wherever it is cut,
//! and what a change gives back and charges anew cancels to nothing where the price stays.

use kernel::Timestamp;
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Refusal,
    period::{Period, day},
};

/// How a change within a period is charged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proration {
    /// By the second.
    #[default]
    Second,
    /// By the day of the tenant's time zone; the day of the change counts for what comes.
    Day,
    /// Not at all: what changes within a period is charged from the next on.
    None,
}

/// A part of a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// How much is left.
    pub left: u64,
    /// Of how much.
    pub whole: u64,
    /// Seconds, or days.
    pub unit: &'static str,
}

impl Proration {
    /// What of the period is left at an instant.
    pub fn left(self, period: &Period, at: Timestamp, zone: &str) -> Result<Part, Refusal> {
        let at = at.clamp(period.start, period.end);
        let (left, whole, unit) = match self {
            Self::Second => {
                let until = |from: Timestamp| period.end.as_second() - from.as_second();
                (until(at), until(period.start), "seconds")
            }
            Self::Day => {
                let end = day(period.end, zone)?;
                let until = |from: Timestamp| Ok::<_, Refusal>(i64::from((end - day(from, zone)?).get_days()));
                (until(at)?, until(period.start)?, "days")
            }
            Self::None => (0, 1, "periods"),
        };
        let count = |number: i64| u64::try_from(number).map_err(|_| Refusal::Overflow);
        // A period of less than a day has no day to divide.
        Ok(Part { left: count(left)?, whole: count(whole)?.max(1), unit })
    }
}

impl Part {
    /// What of a price is left.
    pub fn of(self, price: Money) -> Result<Money, Refusal> {
        Ok(price.share(self.left, self.whole)?)
    }

    /// As people read it.
    pub fn words(self) -> String {
        format!("{} of {} {}", self.left, self.whole, self.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn period() -> Period {
        let at = |text: &str| text.parse().unwrap();
        Period { number: 1, start: at("2026-03-15T09:00:00Z"), end: at("2026-04-15T08:00:00Z") }
    }

    #[test]
    fn by_the_second_and_by_the_day() {
        let (period, price) = (period(), Money::new(31_00, "EUR".parse().unwrap()));
        let at: Timestamp = "2026-04-01T20:00:00Z".parse().unwrap();
        let of = |rule: Proration| rule.left(&period, at, "Europe/Vienna").unwrap();
        assert_eq!(of(Proration::Day).words(), "14 of 31 days");
        assert_eq!(of(Proration::Day).of(price).unwrap().amount(), "14.00");
        assert_eq!(of(Proration::Second).words(), "1166400 of 2674800 seconds", "the hour of summer time is missing");
        assert_eq!(of(Proration::Second).of(price).unwrap().amount(), "13.52");
        assert!(of(Proration::None).of(price).unwrap().is_zero());
    }

    proptest! {
        #[test]
        fn parts_of_a_period_sum_to_the_whole(
            minor in -1_000_000_000_i64..1_000_000_000,
            mut cuts in prop::collection::vec(0_i64..2_674_800, 0..12),
            rule in prop::sample::select(vec![Proration::Second, Proration::Day]),
        ) {
            let (period, price) = (period(), Money::new(minor, "EUR".parse().unwrap()));
            cuts.extend([0, 2_674_800]);
            cuts.sort_unstable();
            let left: Vec<Money> = cuts.iter().map(|cut| {
                let at = period.start + jiff::SignedDuration::from_secs(*cut);
                rule.left(&period, at, "Europe/Vienna").unwrap().of(price).unwrap()
            }).collect();
            let parts = left.windows(2).map(|pair| pair[0].minus(pair[1]).unwrap());
            prop_assert_eq!(Money::sum(price.currency(), parts).unwrap(), price);
            prop_assert!(left.iter().all(|it| it.minor().abs() <= minor.abs()), "never more than the period");
        }
    }
}
