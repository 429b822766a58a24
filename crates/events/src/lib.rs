//! From commits to what follows from them. Where store and log are one file a commit appends its events itself; elsewhere
//! the [`Relay`] moves them from the outbox into the retained log. Contexts react to what they read there ([`Reactions`])
//! and to timers that come due ([`Timers`]). What an operator does about all this is a context of its own ([`operations`]).

pub mod contract;
mod digest;
mod housekeeping;
mod log;
pub mod model;
pub mod operations;
mod reactions;
mod relay;
mod tail;
mod timers;

pub use digest::Services;
pub use housekeeping::Housekeeping;
pub use log::{DeadLetter, Entry, Log, LogError, Logged, scope_of};
pub use reactions::Reactions;
pub use relay::Relay;
pub use tail::Tail;
pub use timers::Timers;
