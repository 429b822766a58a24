//! The retained log as a port. It gives positions; everybody reads the log, nobody the outbox.

use async_trait::async_trait;
use kernel::{Scope, Timestamp};
use serde::Serialize;

/// Why the log did not do it.
#[derive(Debug, thiserror::Error)]
#[error("the log did not answer: {0}")]
pub struct LogError(pub String);

/// An event on its way into the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Unique: an event that comes again is not written again.
    pub id: String,
    /// The scope it belongs to, and goes with.
    pub scope: Scope,
    /// The sealed envelope, as JSON.
    pub envelope: Vec<u8>,
}

/// An event in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its position; they grow, and none is given out after a higher one was read.
    pub position: u64,
    /// The sealed envelope.
    pub envelope: Vec<u8>,
}

/// An event that a reaction could not digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// The reader that failed.
    pub reader: String,
    /// The event's position.
    pub position: u64,
    /// Why, as the problem's code.
    pub reason: String,
    /// When it was given up.
    pub at: Timestamp,
}

/// The scope whose events alone a reader reads: what stands behind the `@` of its name, where there is one.
pub fn scope_of(reader: &str) -> Option<Scope> {
    match reader.split_once('@')?.1 {
        "platform" => Some(Scope::Platform),
        tenant => tenant.parse().ok().map(Scope::Tenant),
    }
}

/// Keeps events in order, and how far each reader has come.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Writes events, in this order; those whose id it knows are left out.
    async fn append(&self, entries: Vec<Entry>) -> Result<(), LogError>;

    /// Events after a position.
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Logged>, LogError>;

    /// Events of one scope after a position.
    async fn read_of(&self, scope: Scope, after: u64, limit: usize) -> Result<Vec<Logged>, LogError>;

    /// How far a reader has come; 0 at first.
    async fn position(&self, reader: &str) -> Result<u64, LogError>;

    /// Remembers how far a reader has come.
    async fn advance(&self, reader: &str, position: u64) -> Result<(), LogError>;

    /// The readers whose names begin so, with how far they have come.
    async fn readers(&self, prefix: &str) -> Result<Vec<(String, u64)>, LogError>;

    /// Forgets a reader.
    async fn dismiss(&self, reader: &str) -> Result<(), LogError>;

    /// The position of the newest event.
    async fn head(&self) -> Result<u64, LogError>;

    /// Puts an event aside for a reader that cannot digest it.
    async fn bury(&self, letter: DeadLetter) -> Result<(), LogError>;

    /// Events that were put aside.
    async fn buried(&self, limit: usize) -> Result<Vec<DeadLetter>, LogError>;

    /// Takes an event from the list of those put aside, once it was digested or is given up for good.
    async fn exhume(&self, reader: &str, position: u64) -> Result<(), LogError>;

    /// One event, if it is still there.
    async fn at(&self, position: u64) -> Result<Option<Logged>, LogError> {
        let read = self.read(position.saturating_sub(1), 1).await?;
        Ok(read.into_iter().find(|event| event.position == position))
    }

    /// Removes events that came before an instant and that every reader has passed; at most 10,000. Returns how many.
    /// For a reader of one scope (see [`scope_of`]) the events of that scope alone are kept.
    async fn trim(&self, before: Timestamp) -> Result<u64, LogError>;

    /// Removes the events of a scope.
    async fn erase(&self, scope: Scope) -> Result<(), LogError>;
}
