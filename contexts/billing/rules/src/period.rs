//! Periods: the months (or whatever the cadence is) of one subscription, counted from its anchor by the calendar of the
//! tenant's time zone.
//!
//! Each boundary is counted from the anchor itself, never from the boundary before: what begins on 31 January ends on
//! 28 February, and then on 31 March. The wall clock of the anchor is kept, so a period over the change to summer time is
//! an hour shorter.

use jiff::{Span as Calendar, ToSpan as _, civil::Date, tz::TimeZone};
use kernel::Timestamp;
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Refusal;

/// A unit of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Days.
    Day,
    /// Weeks.
    Week,
    /// Months.
    Month,
    /// Years.
    Year,
}

/// How long a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cadence {
    /// How many units.
    #[schemars(range(min = 1, max = 366))]
    pub every: u16,
    /// Of what.
    pub unit: Unit,
}

impl Cadence {
    /// A month.
    pub const MONTHLY: Self = Self { every: 1, unit: Unit::Month };

    /// What an amount for each period makes in a month, of which a year has twelve.
    pub fn monthly(self, amount: Money) -> Result<Money, Refusal> {
        let every = u64::from(self.every.max(1));
        let (part, whole) = match self.unit {
            Unit::Day => (365, 12 * every),
            Unit::Week => (52, 12 * every),
            Unit::Month => (1, every),
            Unit::Year => (1, 12 * every),
        };
        Ok(amount.share(part, whole)?)
    }

    fn times(self, number: i64) -> Result<Calendar, Refusal> {
        let many = number.checked_mul(i64::from(self.every)).ok_or(Refusal::Overflow)?;
        let span = Calendar::new();
        let span = match self.unit {
            Unit::Day => span.try_days(many),
            Unit::Week => span.try_weeks(many),
            Unit::Month => span.try_months(many),
            Unit::Year => span.try_years(many),
        };
        span.map_err(|_| Refusal::Overflow)
    }

    /// As people read it: `month`, `3 months`.
    pub fn words(self) -> String {
        let unit = match self.unit {
            Unit::Day => "day",
            Unit::Week => "week",
            Unit::Month => "month",
            Unit::Year => "year",
        };
        if self.every == 1 { unit.to_owned() } else { format!("{} {unit}s", self.every) }
    }
}

/// One period: from its first instant to the first after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Period {
    /// Its number: 0 is a trial, 1 the first that is charged for.
    pub number: u32,
    /// The first instant.
    #[schemars(with = "String")]
    pub start: Timestamp,
    /// The first instant after it.
    #[schemars(with = "String")]
    pub end: Timestamp,
}

impl Period {
    /// Whether an instant lies within it.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

/// The zone of a name.
pub fn zone(name: &str) -> Result<TimeZone, Refusal> {
    TimeZone::get(name).map_err(|_| Refusal::Terms("there is no such time zone"))
}

/// Counts periods from an anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Periods {
    anchor: Timestamp,
    cadence: Cadence,
    zone: String,
    /// The number of the period that begins at the anchor.
    first: u32,
}

impl Periods {
    /// Periods of a length from an instant on, of which the first has this number.
    pub fn new(anchor: Timestamp, cadence: Cadence, zone: &str, first: u32) -> Self {
        Self { anchor, cadence, zone: zone.to_owned(), first }
    }

    /// How long one is.
    pub const fn cadence(&self) -> Cadence {
        self.cadence
    }

    /// The boundary after so many periods.
    fn boundary(&self, number: i64) -> Result<Timestamp, Refusal> {
        let wall = zone(&self.zone)?.to_datetime(self.anchor);
        let then = wall.checked_add(self.cadence.times(number)?).map_err(|_| Refusal::Overflow)?;
        let then = zone(&self.zone)?.to_timestamp(then).map_err(|_| Refusal::Overflow)?;
        // The anchor may be the second of two equal wall clocks: the first boundary is the anchor itself.
        Ok(if number == 0 { self.anchor } else { then })
    }

    /// The period of a number, not below the first.
    pub fn of(&self, number: u32) -> Result<Period, Refusal> {
        let number = number.max(self.first);
        let place = i64::from(number - self.first);
        Ok(Period { number, start: self.boundary(place)?, end: self.boundary(place + 1)? })
    }

    /// The period in which an instant lies; the first, for what lies before it.
    pub fn at(&self, at: Timestamp) -> Result<Period, Refusal> {
        let (mut low, mut high) = (self.first, self.first.saturating_add(1));
        while self.of(high)?.start <= at {
            let wider = (high - self.first).checked_mul(2).and_then(|wider| wider.checked_add(self.first));
            (low, high) = (high, wider.ok_or(Refusal::Overflow)?);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.of(middle)?.start <= at { low = middle } else { high = middle }
        }
        self.of(low)
    }
}

/// The instant after a number of days by the calendar of a zone.
pub fn days_after(at: Timestamp, days: u16, name: &str) -> Result<Timestamp, Refusal> {
    let zone = zone(name)?;
    let then = zone.to_datetime(at).checked_add(i64::from(days).days());
    then.and_then(|then| zone.to_timestamp(then)).map_err(|_| Refusal::Overflow)
}

/// The day of an instant.
pub fn day(at: Timestamp, name: &str) -> Result<Date, Refusal> {
    Ok(zone(name)?.to_datetime(at).date())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn starts(anchor: &str, unit: Unit, zone: &str, numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
        let periods = Periods::new(at(anchor), Cadence { every: 1, unit }, zone, 1);
        numbers.into_iter().map(|number| periods.of(number).unwrap().start.to_string()).collect()
    }

    #[test]
    fn short_months_and_leap_days_do_not_move_the_anchor() {
        let months = starts("2028-01-31T10:00:00Z", Unit::Month, "UTC", 1..=4);
        assert_eq!(
            months,
            ["2028-01-31T10:00:00Z", "2028-02-29T10:00:00Z", "2028-03-31T10:00:00Z", "2028-04-30T10:00:00Z"]
        );
        let years = starts("2028-02-29T00:00:00Z", Unit::Year, "UTC", [2, 5]);
        assert_eq!(years, ["2029-02-28T00:00:00Z", "2032-02-29T00:00:00Z"]);
    }

    #[test]
    fn the_wall_clock_is_kept_over_summer_time() {
        let days = starts("2026-03-28T08:00:00Z", Unit::Day, "Europe/Vienna", 1..=3);
        assert_eq!(days, ["2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z", "2026-03-30T07:00:00Z"]);
        // 02:30 does not exist on that night, and is an hour later for once.
        let gap = starts("2026-03-28T01:30:00Z", Unit::Day, "Europe/Vienna", 1..=3);
        assert_eq!(gap, ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]);
        assert!(Periods::new(at("2026-01-01T00:00:00Z"), Cadence::MONTHLY, "Mars/Base", 1).of(1).is_err());
    }

    proptest! {
        #[test]
        fn every_instant_lies_in_one_period(
            anchor in 0_i64..2_000_000_000,
            later in 0_i64..600_000_000,
            every in 1_u16..14,
            unit in prop::sample::select(vec![Unit::Day, Unit::Week, Unit::Month, Unit::Year]),
            zone in prop::sample::select(vec!["UTC", "Europe/Vienna", "America/New_York", "Australia/Lord_Howe"]),
        ) {
            let anchor = Timestamp::from_second(anchor).unwrap();
            let instant = anchor + jiff::SignedDuration::from_secs(later);
            let periods = Periods::new(anchor, Cadence { every, unit }, zone, 3);
            let period = periods.at(instant).unwrap();
            prop_assert!(period.contains(instant), "{:?} {}", period, instant);
            prop_assert_eq!(periods.of(period.number + 1).unwrap().start, period.end);
            prop_assert_eq!(periods.of(3).unwrap().start, anchor);
        }
    }
}
