//! Chance that comes from the seed. Each use has a stream of its own, so that one more throw here changes nothing there.

use std::time::Duration;

use kernel::entropy::SeededEntropy;

/// A stream of chance.
pub(crate) struct Dice(SeededEntropy);

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Dice {
    /// The stream of a name.
    pub(crate) fn of(seed: u64, stream: &str) -> Self {
        Self(SeededEntropy::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ hash(stream)))
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.0.next() % bound.max(1)
    }

    /// True so many times in a thousand.
    pub(crate) fn in_a_thousand(&self, times: u64) -> bool {
        self.below(1_000) < times
    }

    /// One of several.
    pub(crate) fn one_of<T: Clone>(&self, all: &[T]) -> Option<T> {
        let place = self.below(all.len() as u64);
        usize::try_from(place).ok().and_then(|place| all.get(place)).cloned()
    }

    /// Up to so many milliseconds.
    pub(crate) fn millis(&self, most: u64) -> Duration {
        Duration::from_millis(self.below(most + 1))
    }
}
