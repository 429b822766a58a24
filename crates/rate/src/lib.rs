//! How often something may happen, by key: the generic cell rate algorithm (ITU-T I.371): for each key one instant, up to which its cells are spent. Memory is
//! bounded; what is forgotten first is what is nearest to being unused.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Deserialize;

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// A second, over time. Nought counts as one.
    pub per_second: u32,
    /// At once, after a rest. Nought counts as one.
    pub burst: u32,
}

impl Rate {
    /// Ten seconds' worth at once.
    pub const fn of(per_second: u32) -> Self {
        Self { per_second, burst: per_second.saturating_mul(10) }
    }

    /// The nanoseconds of one ask; whoever may ask more often than that has no limit to speak of.
    fn cell(self) -> u64 {
        (1_000_000_000 / u64::from(self.per_second.max(1))).max(1)
    }

    /// At once, and in how many seconds all of it is there again.
    pub fn policy(self) -> (u32, u64) {
        let burst = self.burst.max(1);
        (burst, (u64::from(burst) * self.cell()).div_ceil(1_000_000_000).max(1))
    }
}

/// What became of one ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// How many more may come at once.
    pub left: u32,
    /// Until all of the burst is there again.
    pub whole_in: Duration,
    /// How long to wait, where it was refused.
    pub wait: Option<Duration>,
}

const SHARDS: usize = 64;
/// 262,144 keys in all, about 6 MB.
const KEYS_A_SHARD: usize = 4_096;

/// What each key has spent.
pub struct Cells {
    shards: Vec<Mutex<HashMap<u64, u64>>>,
    /// Keyed anew in each process, so that nobody can aim at another's cell.
    hasher: RandomState,
    begun: Instant,
}

impl Default for Cells {
    fn default() -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { shards, hasher: RandomState::new(), begun: Instant::now() }
    }
}

/// The rule: the instant up to which cells are spent, before and after one more.
fn one_more(spent: u64, now: u64, rate: Rate) -> (u64, Taken) {
    let (cell, burst) = (rate.cell(), u64::from(rate.burst.max(1)));
    let room = cell * burst;
    let begins = spent.max(now);
    let ends = begins + cell;
    let over = (ends - now).saturating_sub(room);
    let kept = if over > 0 { begins } else { ends };
    let debt = kept - now;
    let taken = Taken {
        left: u32::try_from(room.saturating_sub(debt) / cell).unwrap_or(u32::MAX),
        whole_in: Duration::from_nanos(debt),
        wait: (over > 0).then(|| Duration::from_nanos(over)),
    };
    (kept, taken)
}

impl Cells {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX / 4)
    }

    fn with<R>(&self, key: impl Hash, act: impl FnOnce(&mut HashMap<u64, u64>, u64) -> R) -> Option<R> {
        let key = self.hasher.hash_one(key);
        let place = usize::try_from(key % SHARDS as u64).unwrap_or_default();
        let shard = self.shards.get(place)?;
        Some(act(&mut shard.lock().unwrap_or_else(PoisonError::into_inner), key))
    }

    /// Takes one cell of a key, if there is one.
    pub fn take(&self, key: impl Hash, rate: Rate) -> Taken {
        let now = self.now();
        let took = self.with(key, |spent, key| {
            if spent.len() >= KEYS_A_SHARD && !spent.contains_key(&key) {
                make_room(spent, now);
            }
            let of_key = spent.entry(key).or_insert(0);
            let (kept, taken) = one_more(*of_key, now, rate);
            *of_key = kept;
            taken
        });
        took.unwrap_or(Taken { left: 0, whole_in: Duration::ZERO, wait: None })
    }

    /// How long a key must wait for its next cell, without taking one.
    pub fn wait(&self, key: impl Hash, rate: Rate) -> Option<Duration> {
        let now = self.now();
        self.with(key, |spent, key| one_more(spent.get(&key).copied().unwrap_or(0), now, rate).1.wait)?
    }
}

/// Forgets who owes nothing any more; if that is not enough, who owes less than most.
fn make_room(spent: &mut HashMap<u64, u64>, now: u64) {
    spent.retain(|_, until| *until > now);
    if spent.len() >= KEYS_A_SHARD {
        let total: u128 = spent.values().map(|until| u128::from(*until)).sum();
        let mean = total / spent.len().max(1) as u128;
        spent.retain(|_, until| u128::from(*until) > mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A bucket of `burst` that fills at `per_second`, in exact nanoseconds of cells.
    struct Bucket {
        level: u64,
        at: u64,
    }

    proptest! {
        #[test]
        fn it_is_a_bucket_that_fills(per_second in 1_u32..2_000, burst in 1_u32..50, steps in prop::collection::vec(0_u64..2_000_000_000, 1..200)) {
            let rate = Rate { per_second, burst };
            let (cell, room) = (rate.cell(), rate.cell() * u64::from(burst));
            let mut bucket = Bucket { level: room, at: 0 };
            let (mut spent, mut now) = (0, 0);
            for step in steps {
                now += step / u64::from(per_second);
                bucket.level = room.min(bucket.level + (now - bucket.at));
                bucket.at = now;
                let allowed = bucket.level >= cell;
                if allowed {
                    bucket.level -= cell;
                }
                let (kept, taken) = one_more(spent, now, rate);
                spent = kept;
                prop_assert_eq!(taken.wait.is_none(), allowed);
                prop_assert_eq!(u64::from(taken.left), bucket.level / cell);
                if let Some(wait) = taken.wait {
                    let later = now + u64::try_from(wait.as_nanos()).unwrap();
                    prop_assert!(one_more(spent, later, rate).1.wait.is_none(), "who waits as told gets in");
                    prop_assert!(one_more(spent, later - 1, rate).1.wait.is_some(), "and not sooner");
                }
            }
        }
    }

    #[test]
    fn the_highest_rate_refuses_nobody() {
        let cells = Cells::default();
        assert!((0..1_000).all(|_| cells.take("a", Rate::of(u32::MAX)).wait.is_none()));
    }

    #[test]
    fn memory_is_bounded_and_the_greedy_are_remembered() {
        let cells = Cells::default();
        let rate = Rate { per_second: 1, burst: 5 };
        while cells.take("greedy", rate).wait.is_none() {}
        for stranger in 0..(SHARDS * KEYS_A_SHARD * 2) {
            cells.take(stranger, Rate { per_second: 1, burst: 5 });
        }
        let kept: usize = cells.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= SHARDS * KEYS_A_SHARD, "{kept}");
        assert!(cells.wait("greedy", Rate { per_second: 1, burst: 1 }).is_some(), "a flood of others does not absolve");
    }
}
