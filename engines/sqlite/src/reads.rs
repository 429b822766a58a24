//! The connections that read a file: a bounded number, kept for the next read.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use store::StoreError;
use tokio::sync::Semaphore;

use crate::{schema, unavailable};

/// The readers of one file.
#[derive(Clone)]
pub(crate) struct Reads {
    file: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    turns: Arc<Semaphore>,
    most: u32,
    cache: schema::Cache,
}

impl Reads {
    pub(crate) fn of(file: &Path, most: u32, cache: schema::Cache) -> Self {
        let turns = Arc::new(Semaphore::new(most as usize));
        Self { file: file.to_owned(), idle: Arc::default(), turns, most, cache }
    }

    fn with<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let pooled = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let opened = pooled.map_or_else(|| schema::existing(&self.file, self.cache), Ok);
        let connection = opened.map_err(|error| unavailable(&error))?;
        let answer = query(&connection);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.most as usize {
            idle.push(connection);
        }
        answer.map_err(|error| unavailable(&error))
    }

    /// A read of one row, where the caller stands: handing it to another thread costs several times the read, whose
    /// pages are in the cache of the operating system as a rule.
    pub(crate) fn one<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.with(query)
    }

    /// A read of many rows, off the runtime's threads.
    pub(crate) async fn many<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let stopped = |error: &dyn std::fmt::Display| StoreError::Unavailable(error.to_string());
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|error| stopped(&error))?;
        let reads = self.clone();
        // The turn ends with the read, also where nobody waits for its answer any more.
        let read = move || {
            let answer = reads.with(query);
            drop(turn);
            answer
        };
        tokio::task::spawn_blocking(read).await.map_err(|error| stopped(&error))?
    }

    /// Waits until no read is under way.
    pub(crate) async fn settled(&self) {
        drop(self.turns.acquire_many(self.most).await);
    }
}
