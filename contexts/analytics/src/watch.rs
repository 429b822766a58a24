//! When the value of a day is unusual.
//!
//! What is usual on a day of the week is the median of the weeks before; how far values of the days before were from
//! what was usual, the median of that (times 1.4826: a standard deviation, were they normal) is the deviation. Medians
//! do not follow single days that were odd themselves. Beyond 3.5 deviations a value is unusual (Iglewicz and Hoaglin
//! 1993).

/// How many days are looked back at.
pub(crate) const DAYS: usize = 56;
/// How many of these must have passed since the first that had anything.
const LEAST: usize = 14;
const LIMIT: f64 = 3.5;
/// The least deviation, as a share of what is usual: where figures never varied, a little more is no alarm.
const FLOOR: f64 = 0.05;

/// What is unusual about a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Unusual {
    pub(crate) expected: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) deviations: f64,
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (middle, even) = (values.len() / 2, values.len().is_multiple_of(2));
    let upper = *values.get(middle)?;
    let lower = if even { values.get(middle.checked_sub(1)?).copied()? } else { upper };
    Some(f64::midpoint(lower, upper))
}

/// Judges a value by the days before it, the last of them yesterday; none where it is as usual, or too little is known.
pub(crate) fn judge(before: &[f64], value: f64) -> Option<Unusual> {
    let known: Vec<f64> = before.iter().copied().skip_while(|value| *value == 0.0).collect();
    if known.len() < LEAST {
        return None;
    }
    // The same day of the week is every seventh, counted back from today.
    let same_day = |back: usize| known.iter().rev().skip((back + 6) % 7).step_by(7).copied().collect::<Vec<_>>();
    let usual: Vec<f64> = (0..7).map(|back| median(same_day(back))).collect::<Option<_>>()?;
    let expected = *usual.first()?;
    let off = known.iter().rev().enumerate().filter_map(|(back, value)| {
        let usual = usual.get((back + 1) % 7)?;
        Some((value - usual).abs())
    });
    // Small counts vary by about their root, and by one at least.
    let least = (FLOOR * expected.abs()).max(expected.abs().sqrt()).max(1.0);
    let deviation = (1.4826 * median(off.collect())?).max(least);
    let deviations = (value - expected) / deviation;
    let reach = LIMIT * deviation;
    (deviations.abs() > LIMIT).then_some(Unusual {
        expected,
        low: expected - reach,
        high: expected + reach,
        deviations,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Weeks of five good days and a slow weekend; the next day is a Monday.
    fn weeks(weeks: usize, spread: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..weeks * 7).map(|day| if day % 7 < 5 { 1_000.0 } else { 300.0 } + spread(day)).collect()
    }

    #[test]
    fn a_slow_weekend_is_usual_and_a_slow_monday_is_not() {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let varied = weeks(8, |day| ((day * 37) % 41) as f64 - 20.0);
        assert_eq!(judge(&varied, 1_010.0), None);
        let low = judge(&varied, 300.0).unwrap();
        assert!(low.deviations < -LIMIT && low.low > 300.0 && low.expected > 900.0, "{low:?}");
        assert!(judge(&varied, 2_000.0).unwrap().deviations > LIMIT);
        let saturday = &varied[..varied.len() - 2];
        assert_eq!(judge(saturday, 300.0), None, "two days earlier the next day is a Saturday");
        assert!(judge(saturday, 1_000.0).is_some());
    }

    #[test]
    fn odd_days_before_do_not_hide_an_odd_day() {
        let mut varied = weeks(8, |day| if day.is_multiple_of(2) { 10.0 } else { -10.0 });
        for day in [3, 17, 31] {
            varied[day] = 20_000.0;
        }
        assert!(judge(&varied, 5_000.0).is_some() && judge(&varied, 1_020.0).is_none());
    }

    #[test]
    fn too_little_is_known_in_the_first_two_weeks() {
        let zeros = vec![0.0; 43];
        assert_eq!(judge(&[zeros.clone(), vec![5.0; 13]].concat(), 900.0), None);
        assert!(judge(&[zeros, vec![5.0; 14]].concat(), 900.0).is_some());
        assert_eq!(judge(&[0.0; 56], 3.0), None);
    }

    proptest! {
        #[test]
        fn what_repeats_every_week_is_usual(week in prop::collection::vec(0.0..1e6_f64, 7)) {
            let before: Vec<f64> = week.iter().copied().cycle().take(DAYS).collect();
            prop_assert_eq!(judge(&before, week[0]), None);
        }

        #[test]
        fn what_is_unusual_lies_outside_of_what_would_have_been_usual(
            before in prop::collection::vec(0.0..1e4_f64, DAYS), value in 0.0..1e6_f64,
        ) {
            if let Some(it) = judge(&before, value) {
                prop_assert!(value < it.low || value > it.high);
                prop_assert!(it.low <= it.expected && it.expected <= it.high);
            }
        }
    }
}
