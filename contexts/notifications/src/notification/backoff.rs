//! How long to wait between attempts at one delivery: four times as long each time, up to six hours, for about a day.

use std::time::Duration;

/// The pause after the first attempt.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_hours(6);
/// After so many attempts it is given up.
pub(crate) const ATTEMPTS: u32 = 11;

/// The pause after so many attempts; none when it is given up. A fifth more or less by chance, so that what failed at the
/// same moment does not come back at the same moment.
pub(crate) fn pause(attempts: u32, random: u8) -> Option<Duration> {
    if attempts == 0 || attempts >= ATTEMPTS {
        return None;
    }
    let exact = FIRST.saturating_mul(4_u32.saturating_pow(attempts - 1)).min(LONGEST);
    let share = 800 + u32::from(random) * 400 / 255;
    Some(exact.saturating_mul(share) / 1000)
}

/// How long one waits that could not begin, because too many attempts at its receiver run.
pub(crate) fn turn(random: u8) -> Duration {
    Duration::from_millis(1_000 + u64::from(random) * 30)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pauses_grow_within_their_bounds(attempts in 1..ATTEMPTS, random: u8, other: u8) {
            let it = pause(attempts, random).unwrap();
            prop_assert!(it >= FIRST.mul_f64(0.8) && it <= LONGEST.mul_f64(1.2));
            if attempts < 7 {
                prop_assert!(pause(attempts + 1, other).unwrap() > it, "chance never turns the order");
            }
        }

        #[test]
        fn it_is_tried_for_about_a_day(random in prop::collection::vec(any::<u8>(), 10)) {
            let pauses = (1..).zip(&random).map_while(|(attempts, random)| pause(attempts, *random));
            let hours = pauses.sum::<Duration>().as_secs_f64() / 3_600.0;
            prop_assert!((20.0..31.0).contains(&hours), "{hours} hours");
        }

        #[test]
        fn there_is_an_end(attempts in ATTEMPTS.., random: u8) {
            prop_assert_eq!(pause(attempts, random), None);
        }
    }
}
