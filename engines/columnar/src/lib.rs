//! Facts on one SQLite file of their own: WAL, durable appends (`synchronous=FULL`), and column segments.
//!
//! What comes first stands in rows. Once a name has enough of them on a day (UTC), they are sealed into a segment: a
//! column each for instants, values, persons and labels, so that a question reads the few columns it needs and no row.
//! Whichever form facts are in, each is in exactly one, and a question sees all of them at one instant.

mod query;
mod schema;
mod segment;
mod write;

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use facts::{Fact, Facts, FactsError, Query, Row};
use kernel::Scope;
use rusqlite::Connection;
use tokio::sync::oneshot;

type Answer = oneshot::Sender<Result<(), FactsError>>;

/// The embedded engine of facts.
pub struct ColumnarFacts(Arc<Inner>);

struct Inner {
    file: PathBuf,
    writer: Mutex<Connection>,
    /// Appends that share the next flush.
    waiting: Mutex<Vec<(Vec<Fact>, Answer)>>,
    idle: Mutex<Vec<Connection>>,
}

/// The most readers that are kept open.
const READERS: usize = 8;

fn unavailable(error: impl Display) -> FactsError {
    FactsError::Unavailable(error.to_string())
}

fn held<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ColumnarFacts {
    /// Opens or creates `facts.sqlite` in a folder that exists.
    pub fn open(folder: &Path) -> Result<Self, FactsError> {
        let file = folder.join("facts.sqlite");
        let writer = schema::open(&file).map_err(unavailable)?;
        schema::create(&writer).map_err(unavailable)?;
        let (writer, waiting, idle) = (Mutex::new(writer), Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { file, writer, waiting, idle })))
    }

    /// Runs off the runtime's threads.
    async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Inner) -> Result<T, FactsError> + Send + 'static,
    ) -> Result<T, FactsError> {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || act(&inner)).await.map_err(unavailable)?
    }
}

impl Inner {
    /// Appends all that waits in one transaction: one flush for many.
    fn flush(&self) {
        let db = held(&self.writer);
        let group = std::mem::take(&mut *held(&self.waiting));
        if group.is_empty() {
            return;
        }
        let outcome = write::append(&db, group.iter().flat_map(|(facts, _)| facts)).map_err(unavailable);
        for (_, answer) in group {
            // Who no longer waits has no use for the answer.
            drop(answer.send(outcome.clone()));
        }
    }

    fn read<T>(&self, ask: impl FnOnce(&Connection) -> Result<T, FactsError>) -> Result<T, FactsError> {
        let pooled = held(&self.idle).pop();
        let db = pooled.map_or_else(|| schema::open(&self.file), Ok).map_err(unavailable)?;
        let answer = ask(&db);
        let mut idle = held(&self.idle);
        if idle.len() < READERS {
            idle.push(db);
        }
        answer
    }

    /// Removes for good: what was overwritten is zeroed in the file, and the log that holds older pages is emptied.
    fn remove(&self, act: impl FnOnce(&Connection) -> Result<(), segment::Fault>) -> Result<(), FactsError> {
        let db = held(&self.writer);
        act(&db).map_err(unavailable)?;
        let busy: bool = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(unavailable)?;
        if busy { Err(unavailable("a reader still holds what was removed")) } else { Ok(()) }
    }
}

#[async_trait]
impl Facts for ColumnarFacts {
    async fn append(&self, facts: Vec<Fact>) -> Result<(), FactsError> {
        facts::check(&facts)?;
        let (sender, answer) = oneshot::channel();
        held(&self.0.waiting).push((facts, sender));
        self.run(|inner| {
            inner.flush();
            Ok(())
        })
        .await?;
        answer.await.map_err(unavailable)?
    }

    async fn query(&self, scope: Scope, query: Query) -> Result<Vec<Row>, FactsError> {
        let buckets = query.checked()?;
        self.run(move |inner| inner.read(|db| query::answer(db, scope, &query, buckets.as_ref()).map_err(unavailable)))
            .await
    }

    async fn erase(&self, scope: Scope) -> Result<(), FactsError> {
        self.run(move |inner| inner.remove(|db| write::erase(db, scope))).await
    }

    async fn forget(&self, scope: Scope, person: &str) -> Result<(), FactsError> {
        let person = person.to_owned();
        self.run(move |inner| inner.remove(|db| write::forget(db, scope, &person))).await
    }
}
