//! The aggregate store and the event log in one SQLite file: WAL, durable commits (`synchronous=FULL`), one writer thread
//! that groups commits into one flush, and many readers. A commit appends its events to the log itself.

pub mod backup;
mod keys;
mod lanes;
mod log;
mod rows;
mod schema;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use kernel::Timestamp;
use rusqlite::{Connection, ErrorCode};
use store::{
    Base, Change, ClaimKey, Commit, Core, CoreKey, DueTimer, Engine, Hit, Outcome, Scan, Space, StoreError, Upkeep,
};

pub use keys::SqliteKeys;
use tokio::sync::Notify;
use writer::Writer;

/// One SQLite file as an engine of the store.
pub struct SqliteEngine {
    file: PathBuf,
    writer: Writer,
    idle: Arc<Mutex<Vec<Connection>>>,
    appended: Arc<Notify>,
}

fn unavailable(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(error.to_string()),
        Some(ErrorCode::DiskFull) => StoreError::Full(error.to_string()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}

impl SqliteEngine {
    /// Opens or creates the file.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        schema::sound(file)?;
        let connection = schema::open(file).map_err(|error| unavailable(&error))?;
        schema::versioned(&connection)?;
        schema::create(&connection).map_err(|error| unavailable(&error))?;
        let writer = Writer::start(connection)?;
        Ok(Self { file: file.to_owned(), writer, idle: Arc::default(), appended: Arc::default() })
    }

    /// Wakes the readers of the log when a commit has appended to it.
    pub fn appended(&self) -> Arc<Notify> {
        Arc::clone(&self.appended)
    }

    /// A read of one row, where the caller stands: handing it to another thread costs several times the read, whose
    /// pages are in the cache of the operating system as a rule.
    fn read_one<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let pooled = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = pooled.map_or_else(|| schema::open(&self.file), Ok).map_err(|error| unavailable(&error))?;
        let answer = query(&connection);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        answer.map_err(|error| unavailable(&error))
    }

    /// A read of many rows, off the runtime's threads.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (idle, file) = (Arc::clone(&self.idle), self.file.clone());
        let take = move || {
            let pooled = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = pooled.map_or_else(|| schema::open(&file), Ok)?;
            let answer = query(&connection);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            answer
        };
        let answer = tokio::task::spawn_blocking(take).await;
        answer.map_err(|error| StoreError::Unavailable(error.to_string()))?.map_err(|error| unavailable(&error))
    }
}

#[async_trait]
impl Engine for SqliteEngine {
    async fn get(&self, key: &CoreKey) -> Result<Option<Core>, StoreError> {
        self.read_one(|db| rows::core(db, key))
    }

    async fn base(&self, key: &CoreKey) -> Result<Base, StoreError> {
        self.read_one(|db| rows::base(db, key))
    }

    async fn find(&self, space: &Space, claim: &ClaimKey) -> Result<Option<(CoreKey, Core)>, StoreError> {
        self.read_one(|db| rows::holder(db, space, claim))
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Hit>, StoreError> {
        let scan = scan.clone();
        self.read(move |db| rows::scan(db, &scan)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        commit.check()?;
        let (tells, appended) = (!commit.events.is_empty(), Arc::clone(&self.appended));
        let lane = commit.key.space.as_str().to_owned();
        let wake = move |outcome: &Outcome| {
            if tells && *outcome == Outcome::Done {
                appended.notify_waiters();
            }
        };
        self.writer.run_then(&lane, move |db| rows::commit(db, &commit), wake).await
    }

    async fn changed_since(&self, space: &Space, cursor: u64, limit: usize) -> Result<Vec<Change>, StoreError> {
        let space = space.clone();
        self.read(move |db| rows::changes(db, &space, cursor, limit)).await
    }

    async fn export(
        &self,
        space: &Space,
        after: Option<&CoreKey>,
        limit: usize,
    ) -> Result<Vec<(CoreKey, Core)>, StoreError> {
        let (space, after) = (space.clone(), after.cloned());
        self.read(move |db| rows::export(db, &space, after.as_ref(), limit)).await
    }

    async fn import(&self, key: &CoreKey, core: Core) -> Result<(), StoreError> {
        let of = key.clone();
        self.writer.run(key.space.as_str(), move |db| rows::import(db, &of, &core)).await
    }

    async fn erase(&self, space: &Space) -> Result<u64, StoreError> {
        let gone = space.clone();
        self.writer.run(space.as_str(), move |db| rows::erase(db, &gone)).await
    }
}

#[async_trait]
impl Upkeep for SqliteEngine {
    async fn due(&self, space: Option<&Space>, now: Timestamp, limit: usize) -> Result<Vec<DueTimer>, StoreError> {
        let space = space.cloned();
        self.read(move |db| rows::due(db, space.as_ref(), now, limit)).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.writer.run("sweep", move |db| rows::sweep(db, now, limit)).await
    }

    async fn repair(&self, _now: Timestamp, _grace: Duration) -> Result<u64, StoreError> {
        Ok(0)
    }
}
