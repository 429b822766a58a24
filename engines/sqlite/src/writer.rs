//! The one writer: takes what waits, runs all of it in one transaction, flushes once, then answers. What waits stands in
//! lanes, one for each scope, and of each lane one is taken in turn.
//!
//! Work refuses before it writes, or writes all: a savepoint for each would copy every page that it touches. One that fails
//! half way (the disk) takes its group with it; nothing of a group that is rolled back was answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rusqlite::Connection;
use store::StoreError;
use tokio::sync::oneshot;

use crate::{
    lanes::{GROUP, Lanes},
    unavailable,
};

const SEVERAL: usize = 4;
const MOMENT: Duration = Duration::from_millis(2);

/// Runs in the open transaction, if there is one; what it returns answers once the flush is done (or failed).
type Grouped = Box<dyn FnOnce(Option<&Connection>) -> Ran + Send>;
struct Ran {
    answer: Answer,
    /// It failed after it had written something.
    halfway: bool,
}
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

/// Where several were flushed together more are on their way, and every flush writes again the pages that all share: so
/// the next waits a moment for them. Who writes alone is not held up.
fn gather(last: usize) -> Duration {
    if last < SEVERAL { Duration::ZERO } else { MOMENT }
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
            let mut last = 0;
            while let Some(taken) = jobs.take(GROUP, gather(last)) {
                last = taken.len();
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
            let before = db.map(Connection::total_changes);
            let outcome = db.map_or_else(|| Err(rolled_back()), work);
            let halfway = outcome.is_err() && db.map(Connection::total_changes) != before;
            if matches!(outcome, Err(StoreError::Corrupt(_))) {
                damaged.store(true, Ordering::Relaxed);
            }
            let answer = Box::new(move |flushed: Result<(), StoreError>| {
                let outcome = match flushed {
                    Ok(()) => outcome,
                    // A refusal may rest on what another of the group had written, and is undone with it.
                    Err(lost) => Err(match outcome {
                        Ok(_) | Err(StoreError::Conflict | StoreError::Taken(_)) => lost,
                        Err(own) => own,
                    }),
                };
                if let Ok(done) = &outcome {
                    then(done);
                }
                // Who no longer waits has no use for the answer.
                drop(sender.send(outcome));
            });
            Ran { answer, halfway }
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
    let begun = begin(db);
    // A full disk can end the transaction under a job (SQLITE_FULL). Whatever ran after that would commit by itself.
    let mut whole = begun.is_ok();
    let mut answers: Vec<Answer> = Vec::with_capacity(group.len());
    for job in group {
        let ran = job(whole.then_some(db));
        whole = whole && !ran.halfway && !db.is_autocommit();
        answers.push(ran.answer);
    }
    let flushed = match &begun {
        Ok(()) if whole => db.prepare_cached("COMMIT").and_then(|mut it| it.execute([])).map(drop),
        _ => begun,
    };
    if !whole || flushed.is_err() {
        // Nothing of the group is stored; a failing rollback means that there was no transaction.
        drop(db.execute_batch("ROLLBACK"));
    }
    for answer in answers {
        let flushed = flushed.as_ref().map(|&()| ()).map_err(unavailable);
        answer(flushed.and_then(|()| if whole { Ok(()) } else { Err(rolled_back()) }));
    }
}

fn begin(db: &Connection) -> rusqlite::Result<()> {
    db.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
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

    /// Three jobs of one group, of which the one in the middle fails; how many rows stand after it.
    async fn group_with(
        fails: impl FnOnce(&Connection) -> Result<(), StoreError> + Send + 'static,
    ) -> (Vec<bool>, i64) {
        let (writer, go) = held().await;
        let table = |db: &Connection| {
            db.execute_batch("CREATE TABLE IF NOT EXISTS rows (n)").map_err(|error| unavailable(&error))
        };
        let row = move |db: &Connection| table(db).and_then(|()| insert(db));
        let jobs = async {
            let (first, second, third) =
                tokio::join!(writer.run("a", row), writer.run("b", fails), writer.run("c", row));
            vec![first.is_ok(), second.is_ok(), third.is_ok()]
        };
        let released = async {
            while ["a", "b", "c"].iter().any(|lane| writer.lanes.in_lane(lane) == 0) {
                tokio::task::yield_now().await;
            }
            go.send(()).unwrap();
        };
        let (done, ()) = tokio::join!(jobs, released);
        let count = move |db: &Connection| {
            table(db)?;
            db.query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).map_err(|error| unavailable(&error))
        };
        (done, writer.run("count", count).await.unwrap())
    }

    fn insert(db: &Connection) -> Result<(), StoreError> {
        db.execute("INSERT INTO rows VALUES (1)", []).map(drop).map_err(|error| unavailable(&error))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_refuses_before_he_writes_costs_the_others_nothing() {
        assert_eq!(group_with(|_| Err(StoreError::Conflict)).await, (vec![true, false, true], 2));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_fails_half_way_leaves_nothing_of_his_group() {
        let halfway = |db: &Connection| insert(db).and(Err(StoreError::Unavailable("the disk".to_owned())));
        assert_eq!(group_with(halfway).await, (vec![false, false, false], 0));
    }
}
