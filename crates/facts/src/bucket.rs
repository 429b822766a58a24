//! Minutes to years by the calendar of a time zone.

use jiff::{SignedDuration, Span as Calendar, ToSpan, civil::Date, tz::TimeZone};
use kernel::Timestamp;

use crate::{FactsError, query::Bucket};

/// From an instant on until another. Spans of the same buckets never overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first instant of it.
    pub start: Timestamp,
    /// The first instant after it.
    pub end: Timestamp,
}

impl Span {
    /// Whether the instant lies within it.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

/// Divides time.
#[derive(Debug, Clone)]
pub struct Buckets {
    bucket: Bucket,
    zone: TimeZone,
}

impl Buckets {
    /// Buckets of a length by the calendar of a time zone.
    pub const fn new(bucket: Bucket, zone: TimeZone) -> Self {
        Self { bucket, zone }
    }

    /// The time zone of an IANA name.
    pub fn zone(name: &str) -> Result<TimeZone, FactsError> {
        let unknown = || FactsError::invalid("/time_zone", "expected an IANA time zone such as Europe/Berlin");
        let fits = name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_alphabetic());
        if fits { TimeZone::get(name).map_err(|_| unknown()) } else { Err(unknown()) }
    }

    /// The bucket before one.
    pub fn before(&self, span: &Span) -> Span {
        self.span(span.start.saturating_sub(SignedDuration::from_nanos(1)).unwrap_or(Timestamp::MIN))
    }

    /// The bucket of an instant.
    pub fn span(&self, at: Timestamp) -> Span {
        let date = self.zone.to_datetime(at).date();
        match self.bucket {
            Bucket::Minute => self.clock(at, 60),
            Bucket::Hour => self.clock(at, 3_600),
            Bucket::Day => self.days(at, date, 1.day()),
            Bucket::Week => {
                let monday = date.checked_sub(i64::from(date.weekday().to_monday_zero_offset()).days());
                self.days(at, monday.unwrap_or(date), 1.week())
            }
            Bucket::Month => self.days(at, date.first_of_month(), 1.month()),
            Bucket::Quarter => {
                let first = Date::new(date.year(), (date.month() - 1) / 3 * 3 + 1, 1);
                self.days(at, first.unwrap_or(date), 3.months())
            }
            Bucket::Year => self.days(at, date.first_of_year(), 1.year()),
        }
    }

    fn days(&self, at: Timestamp, first: Date, length: Calendar) -> Span {
        let begins = |date: Date| self.zone.to_timestamp(date.at(0, 0, 0, 0)).unwrap_or(Timestamp::MAX);
        let mut next = first.saturating_add(length);
        let mut span = Span { start: begins(first), end: begins(next) };
        // Where clocks were set back across midnight the date falls back too; the bucket that has begun goes on.
        while span.end <= at && span.end < Timestamp::MAX {
            next = next.saturating_add(length);
            span = Span { start: span.end, end: begins(next) };
        }
        span
    }

    /// An hour ends early where clocks are set by less than one, so that no two have the same instant; so does a minute.
    fn clock(&self, at: Timestamp, length: i64) -> Span {
        let second = at.as_second();
        let into = (second + i64::from(self.zone.to_offset(at).seconds())).rem_euclid(length);
        let instant = |second| Timestamp::from_second(second).unwrap_or(at);
        let (mut start, mut end) = (instant(second - into), instant(second - into + length));
        let just_after = at.saturating_add(SignedDuration::from_nanos(1)).unwrap_or(at);
        if let Some(set) = self.zone.preceding(just_after).next() {
            start = start.max(set.timestamp());
        }
        if let Some(set) = self.zone.following(at).next() {
            end = end.min(set.timestamp());
        }
        Span { start, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ZONES: [&str; 7] = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "America/St_Johns",
        "America/Havana",
    ];

    const BUCKETS: [Bucket; 7] =
        [Bucket::Minute, Bucket::Hour, Bucket::Day, Bucket::Week, Bucket::Month, Bucket::Quarter, Bucket::Year];

    proptest! {
        #[test]
        fn spans_hold_their_instants_and_follow_one_another(
            second in 0_i64..4_000_000_000,
            zone in prop::sample::select(ZONES.as_slice()),
            bucket in prop::sample::select(BUCKETS.as_slice()),
        ) {
            let buckets = Buckets::new(bucket, Buckets::zone(zone).unwrap());
            let at = Timestamp::from_second(second).unwrap();
            let span = buckets.span(at);
            prop_assert!(span.contains(at));
            prop_assert_eq!(buckets.span(span.start), span);
            prop_assert_eq!(buckets.span(span.end).start, span.end);
            prop_assert_eq!(buckets.before(&span).end, span.start);
        }
    }

    #[test]
    fn the_half_hour_that_is_set_back_at_lord_howe_is_a_bucket_of_its_own() {
        let buckets = Buckets::new(Bucket::Hour, Buckets::zone("Australia/Lord_Howe").unwrap());
        let set_back: Timestamp = "2026-04-04T15:00:00Z".parse().unwrap();
        let span = buckets.span(set_back);
        assert_eq!(span, Span { start: set_back, end: "2026-04-04T15:30:00Z".parse().unwrap() });
    }
}
