//! What was read a moment ago, kept in this process so that it need not be read again: bounded in number and in age.
//!
//! # Promises
//! * What [`Cache::get`] gives was read at most the cache's age ago, counted from **before** the read began, on the clock
//!   of the runtime (which a simulation moves).
//! * Of many who miss the same key at once one reads and the others wait for it; a read that fails or is dropped is not
//!   kept, and the next in turn reads.
//! * After [`Cache::forget`] nothing is given that was read before it, nor what was being read during it.
//! * "There is none" is an answer like any other: keep an `Option`, so that asking for what nobody has costs little.

mod handles;

use std::{
    any::Any,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash},
    marker::PhantomData,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use handles::{Begun, Handles, Turn, Turns};
use tokio::time::Instant;

/// How long a decision about a tenant, a person or a credential is used again. The rest of the second within which a
/// change is in force everywhere is for reading it.
pub const IN_FORCE: Duration = Duration::from_millis(900);

/// Keys share counters of changes: one that changes makes a few others read again.
const STRIPES: usize = 256;
/// After so long by the machine's clock, which a simulation does not move, the memory is freed.
const FORGOTTEN: Duration = Duration::from_mins(1);

/// Something that was read.
#[derive(Debug)]
pub struct Known<V> {
    it: V,
    at: Instant,
    changes: u64,
}

impl<V> Known<V> {
    /// When its reading began.
    pub fn at(&self) -> Instant {
        self.at
    }
}

impl<V> Deref for Known<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.it
    }
}

/// See the promises above.
pub struct Cache<K, V> {
    /// Of any type, so that the cache is compiled once for all that share a type of key.
    known: moka::sync::Cache<K, Arc<dyn Any + Send + Sync>>,
    reading: Turns<K>,
    lasts: Duration,
    changes: Box<[AtomicU64]>,
    all: AtomicU64,
    of: PhantomData<fn() -> V>,
    /// The same in each process, so that a simulation can be repeated: whoever aims at a counter has others read again.
    hasher: BuildHasherDefault<DefaultHasher>,
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Keeps at most so many, each for so long.
    pub fn new(most: u64, lasts: Duration) -> Self {
        Self::weighed(most, lasts, |_, _| 1)
    }

    /// Keeps as many as weigh at most so much together, each for so long.
    pub fn weighed(most: u64, lasts: Duration, weight: impl Fn(&K, &V) -> u32 + Send + Sync + 'static) -> Self {
        let weigher = move |key: &K, known: &Arc<dyn Any + Send + Sync>| {
            known.downcast_ref::<Known<V>>().map_or(1, |known| weight(key, known))
        };
        // This bound of age frees memory that nobody asks for; the other is checked at each look.
        let known = moka::sync::Cache::builder().max_capacity(most).time_to_live(lasts.max(FORGOTTEN)).weigher(weigher);
        Self {
            known: known.build(),
            reading: Turns::default(),
            lasts,
            changes: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            all: AtomicU64::new(0),
            of: PhantomData,
            hasher: BuildHasherDefault::default(),
        }
    }

    fn stripe(&self, key: &K) -> &AtomicU64 {
        let place = usize::try_from(self.hasher.hash_one(key) % STRIPES as u64).unwrap_or(0);
        self.changes.get(place).unwrap_or(&self.all)
    }

    /// How often a key was forgotten. Taken before it is read, so that what changes meanwhile shows.
    fn changes(&self, key: &K) -> u64 {
        self.all.load(Ordering::Acquire).wrapping_add(self.stripe(key).load(Ordering::Acquire))
    }

    /// What is known of a key and still good.
    pub fn get(&self, key: &K) -> Option<Arc<Known<V>>> {
        let known: Arc<Known<V>> = self.known.get(key)?.downcast().ok()?;
        (known.at.elapsed() < self.lasts && known.changes == self.changes(key)).then_some(known)
    }

    /// What is known of a key, or what `read` finds.
    pub async fn get_or<E>(&self, key: K, read: impl Future<Output = Result<V, E>>) -> Result<Arc<Known<V>>, E> {
        match self.get(&key) {
            Some(known) => Ok(known),
            // In a box: whoever finds it known carries no room for the reading.
            None => Box::pin(self.read(key, read)).await,
        }
    }

    async fn read<E>(&self, key: K, read: impl Future<Output = Result<V, E>>) -> Result<Arc<Known<V>>, E> {
        let _turn = self.reading.of(key.clone()).begin().await;
        if let Some(known) = self.get(&key) {
            return Ok(known);
        }
        let (at, changes) = (Instant::now(), self.changes(&key));
        let known = Arc::new(Known { it: read.await?, at, changes });
        self.known.insert(key, Arc::<Known<V>>::clone(&known));
        Ok(known)
    }

    /// Keeps what is known of a key without a read.
    pub fn keep(&self, key: K, it: V) {
        let (at, changes) = (Instant::now(), self.changes(&key));
        self.known.insert(key, Arc::new(Known { it, at, changes }));
    }

    /// What is known of a key holds no more.
    pub fn forget(&self, key: &K) {
        self.stripe(key).fetch_add(1, Ordering::AcqRel);
        self.known.invalidate(key);
    }

    /// Nothing that is known holds any more.
    pub fn forget_all(&self) {
        self.all.fetch_add(1, Ordering::AcqRel);
        self.known.invalidate_all();
    }
}

#[cfg(test)]
mod tests;
