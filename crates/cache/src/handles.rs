//! One shared thing a key, for as long as somebody uses it.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

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
pub struct Turns<K>(Lines<K>);

/// The lines in which somebody stands.
type Lines<K> = Arc<Mutex<HashMap<K, Arc<Semaphore>>>>;

/// A place in the line of one key.
pub struct Turn<K: Hash + Eq> {
    key: K,
    line: Arc<Semaphore>,
    lines: Lines<K>,
}

/// One's turn, until it is dropped.
pub struct Begun<K: Hash + Eq> {
    // Dropped in this order: the line goes with the last who stood in it.
    _permit: Option<OwnedSemaphorePermit>,
    _turn: Turn<K>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Hash + Eq + Clone> Turns<K> {
    /// The line of a key.
    pub fn of(&self, key: K) -> Turn<K> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = Arc::clone(lines.entry(key.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))));
        Turn { key, line, lines: Arc::clone(&self.0) }
    }

    #[cfg(test)]
    pub(crate) fn lines(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl<K: Hash + Eq> Turn<K> {
    /// Waits until it is one's turn.
    pub async fn begin(self) -> Begun<K> {
        // Nobody closes these semaphores: it is always a permit.
        let permit = Arc::clone(&self.line).acquire_owned().await.ok();
        Begun { _permit: permit, _turn: self }
    }
}

impl<K: Hash + Eq> Drop for Turn<K> {
    fn drop(&mut self) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's and this one: nobody else stands in it, and whoever comes waits for the lock.
        if Arc::strong_count(&self.line) == 2 {
            lines.remove(&self.key);
        }
    }
}
