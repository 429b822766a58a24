//! What is known of a scope's own file without opening it: when a timer of it is due, when something in it ends, and
//! whether events of it wait. Never later than what is so; what is too early is set right by the next look.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering},
};

use kernel::Timestamp;
use store::{Commit, Core, TimerKey, Write, port::outbox_partition};
use tokio::sync::Notify;

/// Nothing comes.
pub(crate) const NEVER: i64 = i64::MAX;

/// What a commit adds to what is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Added {
    due: i64,
    ends: i64,
    waiting: u8,
}

fn first(timers: &[TimerKey]) -> i64 {
    timers.iter().map(|timer| timer.due.as_microsecond()).min().unwrap_or(NEVER)
}

impl Added {
    pub(crate) fn by(commit: &Commit) -> Self {
        let remembered = i64::try_from(commit.id.remember.as_micros()).unwrap_or(NEVER);
        let forgotten = commit.at.as_microsecond().saturating_add(remembered);
        let forgotten = if commit.id.remember.is_zero() { NEVER } else { forgotten };
        let (due, ends) = match &commit.write {
            Write::Put { timers, expires, .. } => (first(timers), expires.map_or(NEVER, Timestamp::as_microsecond)),
            Write::Delete => (NEVER, NEVER),
        };
        let waiting = if commit.events.is_empty() { 0 } else { bit(outbox_partition(&commit.key)) };
        Self { due, ends: ends.min(forgotten), waiting }
    }

    pub(crate) fn by_import(core: &Core) -> Self {
        let ends = core.expires.map_or(NEVER, Timestamp::as_microsecond);
        Self { due: first(&core.timers), ends, waiting: 0 }
    }
}

pub(crate) fn bit(partition: u16) -> u8 {
    1_u8.checked_shl(u32::from(partition)).unwrap_or(0)
}

pub(crate) struct Known {
    /// In microseconds.
    due: AtomicI64,
    ends: AtomicI64,
    waiting: AtomicU8,
    /// Whether all this was read from the file, or written by this process.
    looked: AtomicBool,
    relay: Arc<Notify>,
}

impl Known {
    /// Of a file that is new, or that nobody has looked into yet.
    pub(crate) fn of(new: bool, relay: &Arc<Notify>) -> Self {
        let (due, ends) = (AtomicI64::new(NEVER), AtomicI64::new(NEVER));
        Self { due, ends, waiting: AtomicU8::new(0), looked: AtomicBool::new(new), relay: Arc::clone(relay) }
    }

    pub(crate) fn add(&self, added: Added) {
        self.due.fetch_min(added.due, Ordering::SeqCst);
        self.ends.fetch_min(added.ends, Ordering::SeqCst);
        if added.waiting != 0 {
            self.waiting.fetch_or(added.waiting, Ordering::SeqCst);
            self.relay.notify_one();
        }
    }

    pub(crate) fn looked(&self) -> bool {
        self.looked.load(Ordering::SeqCst)
    }

    /// What was read from the file, as far as nothing was added meanwhile.
    pub(crate) fn learn(&self, due: i64, ends: i64, waiting: u8) {
        self.add(Added { due, ends, waiting });
        self.looked.store(true, Ordering::SeqCst);
    }

    pub(crate) fn due(&self) -> i64 {
        self.due.load(Ordering::SeqCst)
    }

    pub(crate) fn ends(&self) -> i64 {
        self.ends.load(Ordering::SeqCst)
    }

    pub(crate) fn waits(&self, partition: u16) -> bool {
        self.waiting.load(Ordering::SeqCst) & bit(partition) != 0
    }

    /// Before a look: what is written from now on is added to what it finds.
    pub(crate) fn forget_due(&self) {
        self.due.store(NEVER, Ordering::SeqCst);
    }

    pub(crate) fn forget_ends(&self) {
        self.ends.store(NEVER, Ordering::SeqCst);
    }

    pub(crate) fn forget_waiting(&self, partition: u16) {
        self.waiting.fetch_and(!bit(partition), Ordering::SeqCst);
    }

    pub(crate) fn due_at(&self, micros: i64) {
        self.due.fetch_min(micros, Ordering::SeqCst);
    }

    pub(crate) fn ends_at(&self, micros: i64) {
        self.ends.fetch_min(micros, Ordering::SeqCst);
    }

    pub(crate) fn still_waits(&self, partition: u16) {
        self.waiting.fetch_or(bit(partition), Ordering::SeqCst);
    }

    /// Nothing of it comes any more.
    pub(crate) fn clear(&self) {
        self.forget_due();
        self.forget_ends();
        self.waiting.store(0, Ordering::SeqCst);
        self.looked.store(true, Ordering::SeqCst);
    }
}
