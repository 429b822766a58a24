//! The aggregate store. An [`Engine`] keeps cores: one aggregate, its names, terms, events and timers, in one atomic
//! commit. Above it, [`Store`] gives contexts typed, sealed, scoped work: `store.at(&cx).load::<Tenant>(id)`.
//!
//! What an engine promises is written down twice: in the documentation of [`port`], and as the [`contract`] suite,
//! which every engine runs against a real server.

pub mod contract;
pub mod model;
pub mod port;

pub use port::{
    Base, Change, ClaimKey, Commit, CommitId, Core, CoreKey, DueTimer, Engine, Epoch, Hit, Kind, Outbox, OutboxEvent,
    Outcome, Scan, Space, StoreError, TermKey, TimerKey, Upkeep, Write,
};
