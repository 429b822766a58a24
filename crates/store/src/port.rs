//! The engine port. Everything an engine sees is already sealed or hashed: it holds no key and reads no body.
//!
//! # Promises
//! * [`Engine::commit`] writes one **core** atomically: body, version, claims, terms, timers, events, and the mark of
//!   its commit id, guarded by the [`Base`] that the caller read. Same id again: applied once.
//! * [`Engine::get`] and [`Engine::find`] are linearizable. [`Engine::scan`] is so on transactional engines; elsewhere
//!   it may lag by the engine's stated bound, and re-checks each hit against its core.
//! * A claim is held by at most one core of a space at any time, and found only if that core holds it.
//! * Deleting leaves a tombstone: the version goes on from there when the id is used again.
//! * Events of one aggregate leave the outbox in the order of its versions, at least once, and none is ever skipped.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use kernel::{Scope, Timestamp};

/// A scope as engines see it: the first part of every key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space(String);

impl Space {
    /// The space of a scope.
    pub fn of(scope: Scope) -> Self {
        Self(scope.to_string())
    }

    /// The text that is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From the stored text; `None` for one that no scope has.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "platform" => Some(Self::of(Scope::Platform)),
            tenant => tenant.parse().ok().map(|tenant| Self::of(Scope::Tenant(tenant))),
        }
    }
}

/// The kind of an aggregate, `context.noun`.
pub type Kind = String;

/// What names one core.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoreKey {
    /// The scope.
    pub space: Space,
    /// The kind.
    pub kind: Kind,
    /// The id within the kind.
    pub id: String,
}

impl fmt::Display for CoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.space.as_str(), self.kind, self.id)
    }
}

/// A unique name within a space: the kind, the index, and the keyed hash of the value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimKey(pub String);

/// An index term: the index (with its kind), the keyed hash of the value, and the clear text that hits sort by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TermKey {
    /// Which index.
    pub index: String,
    /// The hashed value.
    pub value: String,
    /// What hits of one value sort by, before the id.
    pub sort: String,
}

/// A timer of an aggregate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerKey {
    /// Its name within the aggregate.
    pub name: String,
    /// When it is due.
    pub due: Timestamp,
}

/// What a writer read: nothing may have happened to the core since. A fence raised by a repairer refuses a writer that
/// stalled, without touching the body (which is sealed to its version).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Base {
    /// The version; 0 where there never was a core.
    pub version: u64,
    /// The fence.
    pub fence: u32,
}

/// Names an attempt to commit, so that sending it again applies it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId {
    /// The id.
    pub bytes: [u8; 16],
    /// For how long a repetition may come. [`Duration::ZERO`]: only while this call lasts, so that an engine whose
    /// outcomes are never unknown need not remember it.
    pub remember: Duration,
}

/// A core as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Core {
    /// What a writer must name to change it.
    pub base: Base,
    /// The sealed body.
    pub body: Vec<u8>,
    /// The names it holds.
    pub claims: Vec<ClaimKey>,
    /// What it is found by.
    pub terms: Vec<TermKey>,
    /// The timers it has set.
    pub timers: Vec<TimerKey>,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
}

/// What a commit does to the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Stores a body, with all the names, terms and timers it has from now on.
    Put {
        /// The sealed body.
        body: Vec<u8>,
        /// All names it holds.
        claims: Vec<ClaimKey>,
        /// All terms it is found by.
        terms: Vec<TermKey>,
        /// All timers it has set.
        timers: Vec<TimerKey>,
        /// When it ends by itself.
        expires: Option<Timestamp>,
    },
    /// Leaves a tombstone; names, terms and timers are freed.
    Delete,
}

/// One atomic change of one aggregate. The version after it is `base.version + 1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Names the attempt.
    pub id: CommitId,
    /// Which core.
    pub key: CoreKey,
    /// What the writer read.
    pub base: Base,
    /// The change.
    pub write: Write,
    /// Events, as sealed envelopes, in order.
    pub events: Vec<Vec<u8>>,
    /// The writer's time.
    pub at: Timestamp,
}

/// What came of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Applied now.
    Done,
    /// A commit with this id was applied before; nothing happened now.
    Already,
}

/// A hit of a scan, with its core, so that lists need no second round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// What it sorts by within the term.
    pub sort: String,
    /// The id.
    pub id: String,
    /// The core, which held the term when it was read.
    pub core: Core,
}

/// A range of one term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The scope.
    pub space: Space,
    /// The kind.
    pub kind: Kind,
    /// The index.
    pub index: String,
    /// The hashed value.
    pub value: String,
    /// Go on after this (sort, id).
    pub after: Option<(String, String)>,
    /// The other way round: the last first, going on before `after`.
    pub newest_first: bool,
    /// At most so many.
    pub limit: usize,
}

/// A core that changed, in the order of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where the feed goes on after this.
    pub cursor: u64,
    /// Which core.
    pub key: CoreKey,
    /// Its version when the entry was written (the core may have moved on).
    pub version: u64,
}

/// Puts due timers into the order that [`Upkeep::due`] promises for all spaces, and cuts.
pub fn in_turns(mut due: Vec<DueTimer>, limit: usize) -> Vec<DueTimer> {
    due.sort_by(|a, b| (&a.key.space, a.timer.due, &a.key).cmp(&(&b.key.space, b.timer.due, &b.key)));
    let mut turn = 0;
    let mut of: Option<Space> = None;
    let mut placed: Vec<(usize, DueTimer)> = Vec::with_capacity(due.len());
    for timer in due {
        turn = if of.as_ref() == Some(&timer.key.space) { turn + 1 } else { 0 };
        of = Some(timer.key.space.clone());
        placed.push((turn, timer));
    }
    placed.sort_by(|(a, left), (b, right)| (a, left.timer.due, &left.key).cmp(&(b, right.timer.due, &right.key)));
    placed.into_iter().map(|(_, timer)| timer).take(limit).collect()
}

/// A timer that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueTimer {
    /// Whose it is.
    pub key: CoreKey,
    /// Which.
    pub timer: TimerKey,
}

/// Why an engine did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The core moved on since it was read: load it again and decide again.
    #[error("the aggregate changed since it was read")]
    Conflict,
    /// Another core holds one of the names.
    #[error("another aggregate holds the name {0:?}")]
    Taken(ClaimKey),
    /// Not done, or not known whether it was: send the same commit again under the same id.
    #[error("the store did not answer: {0}")]
    Unavailable(String),
    /// There is no room for it: nothing was stored.
    #[error("there is no room left: {0}")]
    Full(String),
    /// What is stored cannot be right.
    #[error("the store holds something it cannot hold: {0}")]
    Corrupt(String),
    /// The commit breaks a bound of the port (too many events, too large a body).
    #[error("the commit is out of bounds: {0}")]
    Invalid(String),
}

/// The largest sealed body, in bytes.
pub const MAX_BODY: usize = 1 << 20;
/// The most events, names or terms of one commit.
pub const MAX_PARTS: usize = 1_000;

impl Commit {
    /// Checks the bounds that every engine relies on.
    pub fn check(&self) -> Result<(), StoreError> {
        let over = |what: &str| Err(StoreError::Invalid(what.to_owned()));
        if let Write::Put { body, claims, terms, timers, .. } = &self.write {
            if body.len() > MAX_BODY {
                return over("the body is larger than 1 MiB");
            }
            if claims.len().max(terms.len()).max(timers.len()) > MAX_PARTS {
                return over("more than 1,000 names, terms or timers");
            }
        }
        if self.events.len() > MAX_PARTS {
            return over("more than 1,000 events");
        }
        Ok(())
    }
}

/// Keeps cores. Seven verbs; see the promises above.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// The core, or `None` where there is none or only a tombstone.
    async fn get(&self, key: &CoreKey) -> Result<Option<Core>, StoreError>;

    /// What a writer must name as its base: also for tombstones, whose version goes on.
    async fn base(&self, key: &CoreKey) -> Result<Base, StoreError>;

    /// The core that holds a name, with its id and kind.
    async fn find(&self, space: &Space, claim: &ClaimKey) -> Result<Option<(CoreKey, Core)>, StoreError>;

    /// The hits of one term, in the order of (sort, id), each at most once.
    async fn scan(&self, scan: &Scan) -> Result<Vec<Hit>, StoreError>;

    /// Applies a commit, or nothing of it.
    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError>;

    /// Cores of a space that changed after `cursor` (0: from the beginning), oldest first, tombstones included.
    async fn changed_since(&self, space: &Space, cursor: u64, limit: usize) -> Result<Vec<Change>, StoreError>;

    /// Cores of a space in the order of (kind, id), after the given one, tombstones left out.
    async fn export(
        &self,
        space: &Space,
        after: Option<&CoreKey>,
        limit: usize,
    ) -> Result<Vec<(CoreKey, Core)>, StoreError>;

    /// Takes a core as it was exported: the same version and fence. Repeatable; refuses to go back to an older version.
    async fn import(&self, key: &CoreKey, core: Core) -> Result<(), StoreError>;

    /// Removes everything of a space: cores, tombstones, names, terms, timers, marks. Returns how many cores.
    async fn erase(&self, space: &Space) -> Result<u64, StoreError>;
}

/// Work that no context sees: due timers, ephemeral cores that ended, and what a crash left half done.
#[async_trait]
pub trait Upkeep: Send + Sync + 'static {
    /// Timers due at `now`. Of one space: the longest due first. Of all: first the one that is longest due in each space,
    /// then the second of each, so that a space with very many hides nobody else's.
    async fn due(&self, space: Option<&Space>, now: Timestamp, limit: usize) -> Result<Vec<DueTimer>, StoreError>;

    /// Removes ephemeral cores that ended before `now` and commit marks past their time. Returns how many cores.
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError>;

    /// Finishes what crashed or stalled writers left that began more than `grace` ago. Safe beside living writers:
    /// whoever is decided against is fenced first. Returns how many attempts were settled. Engines with transactions
    /// have nothing to do.
    async fn repair(&self, now: Timestamp, grace: Duration) -> Result<u64, StoreError>;
}

/// Counts who holds the lease of a partition; a relay whose epoch has passed can change nothing any more.
pub type Epoch = u64;

/// How many partitions the outbox of an engine has; an aggregate's events stay in one of them.
pub const OUTBOX_PARTITIONS: u16 = 8;

/// The partition of a core: by space and id, so that an aggregate's order holds.
pub fn outbox_partition(key: &CoreKey) -> u16 {
    // FNV-1a: stable across releases and machines, which std's hasher is not.
    let bytes = key.space.as_str().bytes().chain(key.kind.bytes()).chain(key.id.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    u16::try_from(hash % u64::from(OUTBOX_PARTITIONS)).unwrap_or(0)
}

/// An event that waits to be relayed to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEvent {
    /// Whose.
    pub key: CoreKey,
    /// The version of the aggregate after it.
    pub version: u64,
    /// Its place among the events of that version.
    pub place: u32,
    /// The sealed envelope.
    pub envelope: Vec<u8>,
}

/// Events recorded in cores and not yet in the log. An engine whose log is the same file writes both in one commit and
/// has no outbox.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Takes or renews the lease of a partition for `lasting`. `None` while someone else holds it.
    async fn lease(&self, partition: u16, holder: &str, lasting: Duration) -> Result<Option<Epoch>, StoreError>;

    /// Events of a partition, those of one aggregate in the order of (version, place); an event never comes before
    /// one of a lower version of its aggregate that is still waiting.
    async fn pending(&self, partition: u16, limit: usize) -> Result<Vec<OutboxEvent>, StoreError>;

    /// Forgets events that are in the log now. [`StoreError::Conflict`] when the epoch has passed: then nothing is forgotten.
    async fn relayed(&self, partition: u16, epoch: Epoch, events: &[OutboxEvent]) -> Result<(), StoreError>;
}
