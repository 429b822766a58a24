//! Turns at what costs much: a bounded number at once, and who waits is served in turn by tenant, so that a storm at one
//! costs the others a bounded share. Whoever would have to wait for long is sent away at once and told when to come back.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kernel::{Problem, ProblemKind, Scope};
use tokio::sync::oneshot;

/// How many may wait in all, and of one source.
const WAITING: usize = 64;
const OF_ONE_SOURCE: usize = 16;
/// The longest that anybody waits.
const PATIENCE: Duration = Duration::from_secs(5);

struct Waits {
    source: String,
    turn: oneshot::Sender<Turn>,
}

/// Who waits of one scope.
struct Line {
    scope: Scope,
    waiting: VecDeque<Waits>,
}

#[derive(Default)]
struct State {
    running: usize,
    lines: VecDeque<Line>,
}

/// Gives turns.
pub(crate) struct Turns {
    at_once: usize,
    state: Mutex<State>,
}

/// The right to run; the next has it once this is dropped.
pub(crate) struct Turn(Arc<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

fn busy() -> Problem {
    Problem::new(ProblemKind::Unavailable, "identity.busy", "too many people sign in at this moment")
        .hint("try again in a few seconds")
        .retry_after(2)
}

impl State {
    /// A place in the line of a scope. When all are taken, whoever came last to the longest line gives up theirs, if that
    /// line stays the longer one.
    fn join(&mut self, scope: Scope, source: &str) -> Result<oneshot::Receiver<Turn>, Problem> {
        for line in &mut self.lines {
            line.waiting.retain(|it| !it.turn.is_closed());
        }
        self.lines.retain(|line| !line.waiting.is_empty());
        let all = || self.lines.iter().flat_map(|line| &line.waiting);
        let total = all().count();
        if all().filter(|it| it.source == source).count() >= OF_ONE_SOURCE {
            return Err(busy());
        }
        if total >= WAITING {
            let own = self.lines.iter().find(|line| line.scope == scope).map_or(0, |line| line.waiting.len());
            let longest = self.lines.iter_mut().max_by_key(|line| line.waiting.len());
            let longest = longest.filter(|line| line.waiting.len() > own + 1).ok_or_else(busy)?;
            longest.waiting.pop_back();
        }
        let (turn, waits) = oneshot::channel();
        let it = Waits { source: source.to_owned(), turn };
        match self.lines.iter_mut().find(|line| line.scope == scope) {
            Some(line) => line.waiting.push_back(it),
            None => self.lines.push_back(Line { scope, waiting: VecDeque::from([it]) }),
        }
        Ok(waits)
    }

    /// Who comes next: of each line one, in turn.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        while let Some(mut line) = self.lines.pop_front() {
            let next = line.waiting.pop_front();
            if !line.waiting.is_empty() {
                self.lines.push_back(line);
            }
            if let Some(next) = next.filter(|next| !next.turn.is_closed()) {
                return Some(next.turn);
            }
        }
        None
    }
}

impl Turns {
    pub(crate) fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self { at_once: at_once.max(1), state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn.
    pub(crate) async fn take(self: &Arc<Self>, scope: Scope, source: &str) -> Result<Turn, Problem> {
        let waits = {
            let mut state = self.state();
            if state.running < self.at_once {
                state.running += 1;
                return Ok(Turn(Arc::clone(self)));
            }
            state.join(scope, source)?
        };
        let waited = tokio::time::timeout(PATIENCE, waits).await;
        waited.ok().and_then(Result::ok).ok_or_else(busy)
    }

    fn pass_on(self: &Arc<Self>) {
        let next = {
            let mut state = self.state();
            let next = state.next();
            state.running -= usize::from(next.is_none());
            next
        };
        // Whoever has gone meanwhile drops it, and so passes it on.
        next.map(|next| next.send(Turn(Arc::clone(self))).map_err(drop).ok());
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, future::join_all};
    use kernel::Id;

    use super::*;

    fn tenant(number: u128) -> Scope {
        Scope::Tenant(Id::from_uuid(uuid::Uuid::from_u128(number)))
    }

    #[tokio::test]
    async fn a_storm_at_one_tenant_costs_another_one_turn_and_no_place() {
        let turns = Turns::new(1);
        let first = turns.take(tenant(1), "a").await.unwrap();
        // From many places, so that no source is at its bound.
        let sources: Vec<String> = (0..WAITING).map(|place| format!("{}", place % 8)).collect();
        let mut storm: Vec<_> = sources.iter().map(|it| Box::pin(turns.take(tenant(1), it))).collect();
        assert!(storm.iter_mut().all(|it| it.now_or_never().is_none()));
        assert!(turns.take(tenant(1), "z").await.is_err(), "there is no place left for more of the same");
        let mut other = Box::pin(turns.take(tenant(2), "b"));
        assert!((&mut other).now_or_never().is_none(), "another tenant has one");
        let last = storm.pop().unwrap().await;
        assert_eq!(last.err().unwrap().retry_seconds(), Some(2), "at the cost of the one who came last");
        drop(first);
        let of_storm = storm.remove(0).await.unwrap();
        drop(of_storm);
        assert!(other.now_or_never().unwrap().is_ok(), "and is served after one of the storm, not after all");
        let served = join_all(storm.into_iter().map(|it| it.map(|turn| turn.map(drop)))).await;
        assert_eq!(served.iter().filter(|it| it.is_ok()).count(), WAITING - 2, "who waits is served");
    }

    #[tokio::test]
    async fn one_source_takes_a_part_of_the_places_whatever_tenants_it_names() {
        let turns = Turns::new(1);
        let _running = turns.take(tenant(0), "a").await.unwrap();
        let tenants = 1..=u128::try_from(OF_ONE_SOURCE).unwrap();
        let mut waiting: Vec<_> = tenants.map(|number| Box::pin(turns.take(tenant(number), "flood"))).collect();
        assert!(waiting.iter_mut().all(|it| it.now_or_never().is_none()));
        assert!(turns.take(tenant(99), "flood").await.is_err());
        assert!(turns.take(tenant(99), "calm").now_or_never().is_none(), "others find a place");
        drop(waiting);
        assert!(turns.take(tenant(99), "flood").now_or_never().is_none(), "who has gone takes none");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_and_a_turn_that_nobody_took_goes_on() {
        let turns = Turns::new(1);
        let running = turns.take(tenant(1), "a").await.unwrap();
        assert!(turns.take(tenant(1), "a").await.is_err(), "after its patience");
        let mut gone = Box::pin(turns.take(tenant(1), "a"));
        assert!((&mut gone).now_or_never().is_none());
        drop(running);
        drop(gone);
        assert!(turns.take(tenant(1), "a").await.is_ok());
    }
}
