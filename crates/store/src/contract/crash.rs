//! Death between any two writes of a commit, at every place there is. Only engines that write more than once a commit
//! can die there; the others say so by not being [`Mortal`].

use std::time::Duration;

use kernel::time::{Clock, SystemClock};

use super::{Base, ClaimKey, Draft, Outcome, StoreError, Subject, cores::everything, instant, told};
use crate::port::{Core, Space};

/// An engine whose process a test can let die.
pub trait Mortal: Send + Sync + 'static {
    /// Lets so many writes happen and none after them; `None`: lives again. Tells whether it had died, that is, whether
    /// the writes it was left were all used.
    fn die_after(&self, writes: Option<u32>) -> bool;
}

#[derive(Debug, Clone, Copy)]
enum Life {
    Created,
    Changed,
    Deleted,
    Refused,
}

/// What stands before, and the commit that is cut short.
async fn prepare(subject: &Subject, space: &Space, life: Life) -> (Option<Core>, Draft) {
    let first = Draft::create(space, "a", "old").claim("x").term("t", "1").timer("wake", instant(1)).event("old");
    let fresh = |base| {
        let draft = Draft::put(space, "a", base, "new").claim("y").term("t", "2").timer("wake", instant(2));
        draft.event("new 0").event("new 1")
    };
    let draft = match life {
        Life::Created => return (None, fresh(Base::default())),
        Life::Changed => fresh(first.done(subject).await),
        Life::Deleted => Draft::delete(space, "a", first.done(subject).await).event("new 0").event("new 1"),
        Life::Refused => {
            Draft::create(space, "holder", "").claim("z").done(subject).await;
            fresh(first.done(subject).await).claim("z")
        }
    };
    let before = subject.engine.get(draft.key()).await.expect("answers");
    (before, draft)
}

/// The names that are found are those that the core holds, and of no core else.
async fn names_are_believed(subject: &Subject, space: &Space, core: Option<&Core>, at: &str) {
    for name in ["x", "y"] {
        let claim = ClaimKey(name.to_owned());
        let found = subject.engine.find(space, &claim).await.expect("answers").is_some();
        assert_eq!(found, core.is_some_and(|core| core.claims.contains(&claim)), "the holder of {name}, {at}");
    }
}

async fn lookups_agree(subject: &Subject, space: &Space, core: Option<&Core>, at: &str) {
    let hits = subject.engine.scan(&everything(space)).await.expect("answers");
    let sorts: Vec<_> = hits.into_iter().map(|hit| hit.sort).collect();
    let terms: Vec<_> = core.iter().flat_map(|core| core.terms.iter().map(|term| term.sort.clone())).collect();
    assert_eq!(sorts, terms, "what is found by its term, {at}");
    let due = subject.upkeep.due(Some(space), instant(9), 9).await.expect("answers");
    let timers: Vec<_> = core.iter().flat_map(|core| core.timers.clone()).collect();
    assert_eq!(due.into_iter().map(|due| due.timer).collect::<Vec<_>>(), timers, "what is due, {at}");
}

/// The same commit again, after a fence on the base that stands now.
async fn again(subject: &Subject, draft: &Draft) -> Result<Outcome, StoreError> {
    let mut draft = draft.clone();
    for _ in 0..3 {
        match draft.send(subject).await {
            Err(StoreError::Conflict) => draft.0.base = subject.engine.base(draft.key()).await.expect("answers"),
            outcome => return outcome,
        }
    }
    Err(StoreError::Conflict)
}

async fn dies(subject: &Subject, mortal: &dyn Mortal, life: Life, writes: u32) -> bool {
    let (space, at) = (subject.space().await, format!("{life:?}, dead after {writes} writes"));
    let (before, draft) = prepare(subject, &space, life).await;
    mortal.die_after(Some(writes));
    drop(draft.send(subject).await);
    let died = mortal.die_after(None);
    let seen = subject.engine.get(draft.key()).await.expect("answers");
    let landed = subject.engine.base(draft.key()).await.expect("answers").version > draft.0.base.version;
    if !landed {
        assert_eq!(seen.as_ref().map(|core| &core.body), before.as_ref().map(|core| &core.body), "old, {at}");
    }
    names_are_believed(subject, &space, seen.as_ref(), &at).await;
    subject.upkeep.repair(SystemClock.now(), Duration::ZERO).await.expect("repairs");
    let seen = subject.engine.get(draft.key()).await.expect("answers");
    names_are_believed(subject, &space, seen.as_ref(), &at).await;
    lookups_agree(subject, &space, seen.as_ref(), &at).await;
    for name in ["x", "y"] {
        if !seen.as_ref().is_some_and(|core| core.claims.contains(&ClaimKey(name.to_owned()))) {
            let rival = Draft::create(&space, &format!("rival {name}"), "").claim(name);
            let base = rival.done(subject).await;
            Draft::delete(&space, &format!("rival {name}"), base).done(subject).await;
        }
    }
    if !landed && writes > 0 && !matches!(life, Life::Refused) {
        // A stalled writer is not a dead one: whoever repaired has decided against it for good.
        let late = draft.send(subject).await;
        assert!(matches!(late, Err(StoreError::Conflict)), "a writer that wakes after the repair, {at}: {late:?}");
    }
    let outcome = again(subject, &draft).await;
    let told = told(subject, &space).await;
    let old = before.as_ref().map(|_| "old".to_owned());
    if matches!(life, Life::Refused) {
        assert!(matches!(outcome, Err(StoreError::Taken(_))), "still refused, {at}: {outcome:?}");
        assert_eq!(told, old.into_iter().collect::<Vec<_>>(), "a refused commit tells nothing, {at}");
        return died;
    }
    let expected = if landed { Outcome::Already } else { Outcome::Done };
    assert_eq!(outcome.expect("the same commit again is applied once"), expected, "{at}");
    let all: Vec<_> = old.into_iter().chain(["new 0".to_owned(), "new 1".to_owned()]).collect();
    assert_eq!(told, all, "each event once, in order, {at}");
    died
}

pub(super) async fn a_crash_leaves_old_or_new(subject: &Subject) {
    let Some(mortal) = &subject.mortal else { return };
    for life in [Life::Created, Life::Changed, Life::Deleted, Life::Refused] {
        let mut writes = 0;
        while dies(subject, mortal.as_ref(), life, writes).await {
            writes += 1;
        }
        assert!(writes > 1, "a commit of more than one write can be cut short: {life:?}");
    }
}
