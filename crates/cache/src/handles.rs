//! One shared thing a key, for as long as somebody uses it.

use std::{hash::Hash, sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One shared thing a key: made when it is first asked for, let go when nobody has asked for a while.
pub struct Handles<K, V>(moka::sync::Cache<K, Arc<V>>);

impl<K, V> Handles<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Keeps at most so many, each until it was not asked for so long.
    pub fn new(most: u64, idle: Duration) -> Self {
        Self(moka::sync::Cache::builder().max_capacity(most).time_to_idle(idle).build())
    }

    /// The one of a key.
    pub fn of(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        self.0.get_with(key, || Arc::new(make()))
    }
}

/// Lets those in one by one who are about to do the same, in the order in which they came: of many at once each waits for
/// the ones before. Another process is kept apart by the store alone.
pub struct Turns<K>(Handles<K, Semaphore>);

/// A place in the line of one key.
pub struct Turn(Arc<Semaphore>);

impl<K: Hash + Eq + Send + Sync + 'static> Turns<K> {
    /// Lines of at most so many keys.
    pub fn new(most: u64) -> Self {
        Self(Handles::new(most, Duration::from_mins(1)))
    }

    /// The line of a key.
    pub fn of(&self, key: K) -> Turn {
        Turn(self.0.of(key, || Semaphore::new(1)))
    }
}

impl Turn {
    /// Waits until it is one's turn, which is over when what this gives is dropped.
    pub async fn begin(self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes these semaphores: it is always a permit.
        self.0.acquire_owned().await.ok()
    }
}
