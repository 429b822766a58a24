//! The aggregate store. An [`Engine`] keeps cores: one aggregate, its names, terms, events and timers, in one atomic
//! commit. Bodies arrive sealed and names hashed: an engine holds no key.
//!
//! What an engine promises is written down twice: in the documentation of [`port`], and as the [`contract`] suite,
//! which every engine runs against a real server.

pub mod contract;
pub mod envelope;
mod list;
pub mod model;
pub mod parts;
pub mod port;
mod typed;

pub use list::{Listed, Page};
pub use parts::Parts;
pub use port::{
    Base, Change, ClaimKey, Commit, CommitId, Core, CoreKey, DueTimer, Engine, Epoch, Hit, Kind, Outbox, OutboxEvent,
    Outcome, Scan, Space, StoreError, TermKey, TimerKey, Upkeep, Write,
};
pub use typed::{Loaded, Scoped, Store, problem};
