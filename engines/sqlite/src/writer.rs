//! The one writer: takes what waits, runs each in a savepoint of its own, flushes once for all, then answers. What waits
//! stands in lanes, one for each scope, and of each lane one is taken in turn.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rusqlite::Connection;
use store::StoreError;
use tokio::sync::oneshot;

use crate::{
    lanes::{GROUP, Lanes},
    unavailable,
};

/// Runs in the open transaction, if there is one; what it returns answers once the flush is done (or failed).
type Grouped = Box<dyn FnOnce(Option<&Connection>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

enum Job {
    Grouped(Grouped),
    /// Runs between two transactions.
    Alone(Box<dyn FnOnce(&Connection) + Send>),
}

pub(crate) struct Writer {
    lanes: Arc<Lanes<Job>>,
    thread: Option<thread::JoinHandle<()>>,
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
    /// `flushed` runs after each group, once all of it were told what came of it.
    pub(crate) fn start(db: Connection, flushed: impl Fn() + Send + 'static) -> Result<Self, StoreError> {
        let lanes = Arc::new(Lanes::default());
        let jobs = Arc::clone(&lanes);
        let write = move || {
            while let Some(taken) = jobs.take(GROUP) {
                let mut group = Vec::with_capacity(taken.len());
                for job in taken {
                    match job {
                        Job::Grouped(job) => group.push(job),
                        Job::Alone(job) => {
                            write_group(&db, std::mem::take(&mut group));
                            job(&db);
                        }
                    }
                }
                write_group(&db, group);
                flushed();
            }
        };
        let spawned = thread::Builder::new().name("sqlite-writer".to_owned()).spawn(write);
        let thread = Some(spawned.map_err(|error| StoreError::Unavailable(error.to_string()))?);
        Ok(Self { lanes, thread, damaged: Arc::default() })
    }

    /// Runs work in a transaction; `lane` names whose it is, for whom others do not wait.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        lane: &str,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run_then(lane, work, |_| {}).await
    }

    /// The same; `then` runs once it is on the disk, also where nobody waits for the answer any more.
    pub(crate) async fn run_then<T: Send + 'static>(
        &self,
        lane: &str,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        then: impl FnOnce(&T) + Send + 'static,
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
                let outcome = outcome.and_then(|done| flushed.map(|()| done));
                if let Ok(done) = &outcome {
                    then(done);
                }
                // Who no longer waits has no use for the answer.
                drop(sender.send(outcome));
            })
        });
        self.lanes.put(lane, Job::Grouped(job)).await;
        answer.await.map_err(|_| stopped())?
    }

    /// Runs what no transaction may surround.
    pub(crate) async fn outside(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), StoreError> {
        let (sender, answer) = oneshot::channel();
        let job = Box::new(move |db: &Connection| drop(sender.send(work(db).map_err(|error| unavailable(&error)))));
        self.lanes.put("outside", Job::Alone(job)).await;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    /// What waits is still written; then the file is closed.
    fn drop(&mut self) {
        self.lanes.stop();
        drop(self.thread.take().map(thread::JoinHandle::join));
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

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;
    use crate::lanes::LANE;

    /// Whose was written, in order.
    type Written = Arc<Mutex<Vec<String>>>;

    async fn write(writer: &Writer, lane: &str, written: &Written) {
        let (name, written) = (lane.to_owned(), Arc::clone(written));
        let work = move |_: &Connection| {
            written.lock().unwrap().push(name);
            Ok(())
        };
        writer.run(lane, work).await.unwrap();
    }

    /// A writer that stands still until it is let go.
    async fn held() -> (Arc<Writer>, mpsc::Sender<()>) {
        let writer = Arc::new(Writer::start(Connection::open_in_memory().unwrap(), || {}).unwrap());
        let (go, gate) = mpsc::channel::<()>();
        let (began, begun) = oneshot::channel();
        let holder = Arc::clone(&writer);
        tokio::spawn(async move {
            let stand_still = move |_: &Connection| {
                assert!(began.send(()).is_ok());
                gate.recv().ok();
                Ok(())
            };
            holder.run("gate", stand_still).await
        });
        begun.await.unwrap();
        (writer, go)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_flood_of_one_scope_costs_another_one_group_at_most() {
        let (writer, go) = held().await;
        let written = Written::default();
        let flood: Vec<_> = (0..10_000)
            .map(|_| {
                let (writer, written) = (Arc::clone(&writer), Arc::clone(&written));
                tokio::spawn(async move { write(&writer, "flood", &written).await })
            })
            .collect();
        while writer.lanes.in_lane("flood") < LANE {
            tokio::task::yield_now().await;
        }
        let drop_of_another = write(&writer, "drop", &written);
        let released = async {
            while writer.lanes.in_lane("drop") == 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(writer.lanes.in_lane("flood"), LANE, "a lane is bounded");
            go.send(()).unwrap();
        };
        tokio::join!(drop_of_another, released);
        let place = written.lock().unwrap().iter().position(|lane| lane == "drop").unwrap();
        assert!(place <= 1, "{place} of the flood's were written before it");
        for one in flood {
            one.await.unwrap();
        }
        assert_eq!(written.lock().unwrap().len(), 10_001, "and the flood is written as well");
    }
}
