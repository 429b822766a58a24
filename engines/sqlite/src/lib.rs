//! The aggregate store and the event log in SQLite files: WAL, durable commits (`synchronous=FULL`), one writer thread a
//! file that groups commits into one flush, and many readers. In the common file, where the log is, a commit appends its
//! events to the log itself. A scope can have a file of its own ([`Shards`]); there its events wait in an outbox.

pub mod backup;
mod home;
mod keys;
mod known;
mod lanes;
mod log;
mod outbox;
mod placement;
mod reads;
mod relayed;
mod routed;
mod rows;
mod schema;
mod shards;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use kernel::Timestamp;
use rusqlite::{Connection, ErrorCode};
use store::{
    Base, Change, ClaimKey, Commit, Core, CoreKey, DueTimer, Engine, Hit, Outcome, Scan, Space, StoreError, Upkeep,
};

pub use keys::SqliteKeys;
pub use shards::{HOMES, STORE, Shards};
use tokio::sync::Notify;

use known::{Added, Known};
use reads::Reads;
use schema::Cache;
use writer::Writer;

/// How many reads of many rows run at once in the common file.
const READERS: u32 = 32;

/// What the present flush has appended to the log, and who waits for it. The writer's thread alone uses the mark.
#[derive(Clone, Default)]
struct Appended {
    readers: Arc<Notify>,
    any: Arc<AtomicBool>,
}

impl Appended {
    fn wake(&self) {
        if self.any.swap(false, Ordering::Relaxed) {
            self.readers.notify_waiters();
        }
    }
}

/// Where the events of commits go.
enum Telling {
    /// Into the log, whose readers are woken once for all that one flush has appended.
    Log(Appended),
    /// Into the outbox; what is known of the file is kept right.
    Outbox(Arc<Known>),
}

/// One SQLite file as an engine of the store.
pub struct SqliteEngine {
    writer: Writer,
    reads: Reads,
    telling: Telling,
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
        let connection = schema::open(file, Cache::Large).map_err(|error| unavailable(&error))?;
        schema::versioned(&connection)?;
        schema::create(&connection).map_err(|error| unavailable(&error))?;
        connection.execute_batch(log::TABLES).map_err(|error| unavailable(&error))?;
        connection.execute_batch(placement::TABLE).map_err(|error| unavailable(&error))?;
        Self::of(file, connection, (READERS, Cache::Large), Telling::Log(Appended::default()))
    }

    fn of(file: &Path, db: Connection, (most, cache): (u32, Cache), telling: Telling) -> Result<Self, StoreError> {
        let appended = match &telling {
            Telling::Log(appended) => appended.clone(),
            Telling::Outbox(_) => Appended::default(),
        };
        let writer = Writer::start(db, move || appended.wake())?;
        Ok(Self { writer, reads: Reads::of(file, most, cache), telling })
    }

    /// Wakes the readers of the log when a commit has appended to it.
    pub fn appended(&self) -> Arc<Notify> {
        match &self.telling {
            Telling::Log(appended) => Arc::clone(&appended.readers),
            Telling::Outbox(_) => Arc::default(),
        }
    }

    /// A commit, with how its events are told, and what is done once it is on the disk.
    async fn write_commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        let lane = commit.key.space.as_str().to_owned();
        let (tells, added) = (!commit.events.is_empty(), Added::by(&commit));
        match &self.telling {
            Telling::Log(appended) => {
                let appended = appended.clone();
                let note = move |outcome: &Outcome| {
                    if tells && *outcome == Outcome::Done {
                        appended.any.store(true, Ordering::Relaxed);
                    }
                };
                let work = move |db: &Connection| {
                    placement::here(db, &commit.key.space)?;
                    rows::commit(db, &commit, log::tell)
                };
                self.writer.run_then(&lane, work, note).await
            }
            Telling::Outbox(known) => {
                let known = Arc::clone(known);
                let note = move |_: &Outcome| known.add(added);
                self.writer.run_then(&lane, move |db| rows::commit(db, &commit, outbox::tell), note).await
            }
        }
    }
}

#[async_trait]
impl Engine for SqliteEngine {
    async fn get(&self, key: &CoreKey) -> Result<Option<Core>, StoreError> {
        self.reads.one(|db| rows::core(db, key))
    }

    async fn base(&self, key: &CoreKey) -> Result<Base, StoreError> {
        self.reads.one(|db| rows::base(db, key))
    }

    async fn find(&self, space: &Space, claim: &ClaimKey) -> Result<Option<(CoreKey, Core)>, StoreError> {
        self.reads.one(|db| rows::holder(db, space, claim))
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Hit>, StoreError> {
        let scan = scan.clone();
        self.reads.many(move |db| rows::scan(db, &scan)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        commit.check()?;
        self.write_commit(commit).await
    }

    async fn changed_since(&self, space: &Space, cursor: u64, limit: usize) -> Result<Vec<Change>, StoreError> {
        let space = space.clone();
        self.reads.many(move |db| rows::changes(db, &space, cursor, limit)).await
    }

    async fn export(
        &self,
        space: &Space,
        after: Option<&CoreKey>,
        limit: usize,
    ) -> Result<Vec<(CoreKey, Core)>, StoreError> {
        let (space, after) = (space.clone(), after.cloned());
        self.reads.many(move |db| rows::export(db, &space, after.as_ref(), limit)).await
    }

    async fn import(&self, key: &CoreKey, core: Core) -> Result<(), StoreError> {
        let (of, lane, added) = (key.clone(), key.space.as_str(), Added::by_import(&core));
        match &self.telling {
            Telling::Log(_) => {
                let work = move |db: &Connection| {
                    placement::here(db, &of.space)?;
                    rows::import(db, &of, &core)
                };
                self.writer.run(lane, work).await
            }
            Telling::Outbox(known) => {
                let known = Arc::clone(known);
                let note = move |(): &()| known.add(added);
                self.writer.run_then(lane, move |db| rows::import(db, &of, &core), note).await
            }
        }
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
        self.reads.many(move |db| rows::due(db, space.as_ref(), now, limit)).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.writer.run("sweep", move |db| rows::sweep(db, now, limit)).await
    }

    async fn repair(&self, _now: Timestamp, _grace: Duration) -> Result<u64, StoreError> {
        Ok(0)
    }
}
