//! The one writer: takes what waits, runs each in a savepoint of its own, flushes once for all, then answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use rusqlite::Connection;
use store::StoreError;
use tokio::sync::oneshot;

use crate::unavailable;

/// The most that one flush carries, so that the first of a group does not wait for ever.
const GROUP: usize = 256;
/// How many may wait before senders are held back.
const QUEUE: usize = 1_024;

/// Runs in the open transaction, if there is one; what it returns answers once the flush is done (or failed).
type Grouped = Box<dyn FnOnce(Option<&Connection>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

enum Job {
    Grouped(Grouped),
    /// Runs between two transactions.
    Alone(Box<dyn FnOnce(&Connection) + Send>),
}

pub(crate) struct Writer {
    queue: mpsc::SyncSender<Job>,
    /// Once a page was found broken, nothing is written any more: it could only get worse.
    damaged: Arc<AtomicBool>,
}

fn rolled_back() -> StoreError {
    StoreError::Unavailable("the transaction was rolled back".to_owned())
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the writer has stopped".to_owned())
}

impl Writer {
    pub(crate) fn start(db: Connection) -> Result<Self, StoreError> {
        let (sender, receiver) = mpsc::sync_channel::<Job>(QUEUE);
        let write = move || {
            while let Ok(first) = receiver.recv() {
                let mut group = Vec::new();
                for job in std::iter::once(first).chain(receiver.try_iter().take(GROUP - 1)) {
                    match job {
                        Job::Grouped(job) => group.push(job),
                        Job::Alone(job) => {
                            write_group(&db, std::mem::take(&mut group));
                            job(&db);
                        }
                    }
                }
                write_group(&db, group);
            }
        };
        let spawned = thread::Builder::new().name("sqlite-writer".to_owned()).spawn(write);
        spawned.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { queue: sender, damaged: Arc::default() })
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.damaged.load(Ordering::Relaxed) {
            return Err(StoreError::Corrupt("a broken page was found before: nothing is written any more".to_owned()));
        }
        let (sender, answer) = oneshot::channel();
        let damaged = Arc::clone(&self.damaged);
        let job: Grouped = Box::new(move |db| {
            let outcome = db.map_or_else(|| Err(rolled_back()), |db| in_savepoint(db, work));
            if matches!(outcome, Err(StoreError::Corrupt(_))) {
                damaged.store(true, Ordering::Relaxed);
            }
            Box::new(move |flushed| {
                // Who no longer waits has no use for the answer.
                drop(sender.send(outcome.and_then(|done| flushed.map(|()| done))));
            })
        });
        self.send(Job::Grouped(job)).await?;
        answer.await.map_err(|_| stopped())?
    }

    /// Runs what no transaction may surround.
    pub(crate) async fn outside(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), StoreError> {
        let (sender, answer) = oneshot::channel();
        let job = Box::new(move |db: &Connection| drop(sender.send(work(db).map_err(|error| unavailable(&error)))));
        self.send(Job::Alone(job)).await?;
        answer.await.map_err(|_| stopped())?
    }

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        // The queue is bounded: when it is full the sender waits off the runtime's threads.
        match self.queue.try_send(job) {
            Ok(()) => {}
            Err(mpsc::TrySendError::Full(job)) => {
                let queue = self.queue.clone();
                let sent = tokio::task::spawn_blocking(move || queue.send(job)).await;
                sent.map_err(|_| stopped())?.map_err(|_| stopped())?;
            }
            Err(mpsc::TrySendError::Disconnected(_)) => return Err(stopped()),
        }
        Ok(())
    }
}

fn write_group(db: &Connection, group: Vec<Grouped>) {
    if group.is_empty() {
        return;
    }
    let begun = db.execute_batch("BEGIN IMMEDIATE");
    // A full disk can end the transaction under a job (SQLITE_FULL). Whatever ran after that would commit by itself.
    let open = || begun.is_ok() && !db.is_autocommit();
    let answers: Vec<Answer> = group.into_iter().map(|job| job(open().then_some(db))).collect();
    let whole = open();
    let flushed = match &begun {
        Ok(()) if whole => db.execute_batch("COMMIT"),
        _ => begun,
    };
    if flushed.is_err() {
        // Nothing of the group is stored; a failing rollback means that there was no transaction.
        drop(db.execute_batch("ROLLBACK"));
    }
    for answer in answers {
        let flushed = flushed.as_ref().map(|&()| ()).map_err(unavailable);
        answer(flushed.and_then(|()| if whole { Ok(()) } else { Err(rolled_back()) }));
    }
}

fn in_savepoint<T>(db: &Connection, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
    db.execute_batch("SAVEPOINT job").map_err(|error| unavailable(&error))?;
    let outcome = work(db);
    let end = if outcome.is_ok() { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
    db.execute_batch(end).map_err(|error| unavailable(&error))?;
    outcome
}
