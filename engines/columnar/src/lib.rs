//! Facts on one SQLite file of their own: WAL, durable appends (`synchronous=FULL`), and column segments.
//!
//! What is appended together is written as a segment: a column each for instants, values, persons, names and labels, so
//! that a question reads the few columns it needs and no row. Small segments are merged into large ones in the
//! background of the writer. Each fact is in exactly one segment, and a question sees all of them at one instant.

mod cell;
mod column;
mod funnel;
mod ids;
mod mask;
mod merge;
mod schema;
mod segment;
mod tally;
mod write;

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
};

use async_trait::async_trait;
use column::Fault;
use facts::{Fact, Facts, FactsError, Funnel, Query, Reached, Row};
use kernel::{Scope, Timestamp};
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};
use write::Writer;

/// The most questions that are answered at once; more wait. Each holds a segment's columns and its own cells.
const READERS: usize = 4;
/// How many changes may wait before those who send them are held back.
const QUEUE: usize = 1_024;
/// The most appends that share one flush, so that the first of them does not wait for ever.
const GROUP: usize = 256;

type Answer = oneshot::Sender<Result<(), FactsError>>;
type Act = Box<dyn FnOnce(&mut Writer) -> Result<(), Fault> + Send>;

enum Job {
    Append(Vec<Fact>, Answer),
    Act(Act, Answer),
}

/// The embedded engine of facts.
pub struct ColumnarFacts {
    writer: mpsc::SyncSender<Job>,
    readers: Arc<Readers>,
}

struct Readers {
    file: PathBuf,
    idle: Mutex<Vec<Connection>>,
    turns: Semaphore,
}

fn unavailable(error: impl Display) -> FactsError {
    FactsError::Unavailable(error.to_string())
}

impl From<Fault> for FactsError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(refused) => refused,
            other => unavailable(other),
        }
    }
}

fn held<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ColumnarFacts {
    /// Opens or creates `facts.sqlite` in a folder that exists.
    pub fn open(folder: &Path) -> Result<Self, FactsError> {
        let file = folder.join("facts.sqlite");
        let writer = Writer::open(schema::open(&file).map_err(unavailable)?)?;
        let (sender, jobs) = mpsc::sync_channel(QUEUE);
        let spawned = thread::Builder::new().name("facts-writer".to_owned()).spawn(move || serve(writer, &jobs));
        spawned.map_err(unavailable)?;
        let readers = Readers { file, idle: Mutex::default(), turns: Semaphore::new(READERS) };
        Ok(Self { writer: sender, readers: Arc::new(readers) })
    }

    async fn send(&self, job: impl FnOnce(Answer) -> Job) -> Result<(), FactsError> {
        let (sender, answer) = oneshot::channel();
        let mut job = job(sender);
        // Full once in a thousand waiting appends: whoever comes then looks again, and nothing is queued beyond it.
        while let Err(refused) = self.writer.try_send(job) {
            match refused {
                mpsc::TrySendError::Full(back) => job = back,
                mpsc::TrySendError::Disconnected(_) => return Err(unavailable("the writer has stopped")),
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        answer.await.map_err(unavailable)?
    }

    async fn act(&self, act: impl FnOnce(&mut Writer) -> Result<(), Fault> + Send + 'static) -> Result<(), FactsError> {
        self.send(|answer| Job::Act(Box::new(act), answer)).await
    }

    /// Asks off the runtime's threads.
    async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, FactsError> {
        let readers = Arc::clone(&self.readers);
        let _turn = self.readers.turns.acquire().await.map_err(unavailable)?;
        let answered = tokio::task::spawn_blocking(move || {
            let pooled = held(&readers.idle).pop();
            let db = pooled.map_or_else(|| schema::open(&readers.file), Ok)?;
            let answer = ask(&db);
            held(&readers.idle).push(db);
            answer
        });
        Ok(answered.await.map_err(unavailable)??)
    }
}

/// Takes what waits until nobody can send any more: appends together, in one transaction with one flush; else alone.
fn serve(mut writer: Writer, jobs: &mpsc::Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let mut group: Vec<(Vec<Fact>, Answer)> = Vec::new();
        for job in std::iter::once(first).chain(jobs.try_iter().take(GROUP - 1)) {
            match job {
                Job::Append(facts, answer) => group.push((facts, answer)),
                Job::Act(act, answer) => {
                    flush(&mut writer, std::mem::take(&mut group));
                    // Who no longer waits has no use for the answer.
                    drop(answer.send(act(&mut writer).map_err(Into::into)));
                }
            }
        }
        flush(&mut writer, group);
    }
}

fn flush(writer: &mut Writer, group: Vec<(Vec<Fact>, Answer)>) {
    if group.is_empty() {
        return;
    }
    let outcome = writer.append(group.iter().flat_map(|(facts, _)| facts));
    let (touched, outcome) = match outcome {
        Ok(touched) => (touched, Ok(())),
        Err(fault) => (Vec::new(), Err(FactsError::from(fault))),
    };
    for (_, answer) in group {
        drop(answer.send(outcome.clone()));
    }
    // What cannot be merged now stays as it is, and is looked at again.
    drop(writer.settle(&touched));
}

#[async_trait]
impl Facts for ColumnarFacts {
    async fn append(&self, facts: Vec<Fact>) -> Result<(), FactsError> {
        facts::check(&facts)?;
        self.send(|answer| Job::Append(facts, answer)).await
    }

    async fn answer(&self, scope: Scope, queries: Vec<Query>) -> Result<Vec<Vec<Row>>, FactsError> {
        let buckets = facts::checked(&queries)?;
        self.read(move |db| tally::answer(db, scope, &queries, &buckets)).await
    }

    async fn funnel(&self, scope: Scope, funnel: Funnel) -> Result<Vec<Reached>, FactsError> {
        funnel.check()?;
        self.read(move |db| funnel::answer(db, scope, &funnel)).await
    }

    async fn prune(&self, scope: Scope, before: Timestamp) -> Result<(), FactsError> {
        let before = before.as_microsecond();
        self.act(move |writer| writer.prune(scope, before)).await
    }

    async fn erase(&self, scope: Scope) -> Result<(), FactsError> {
        self.act(move |writer| writer.erase(scope)).await
    }

    async fn forget(&self, scope: Scope, person: &str) -> Result<(), FactsError> {
        let person = person.to_owned();
        self.act(move |writer| writer.forget(scope, &person)).await
    }
}
