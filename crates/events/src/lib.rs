//! From commits to what follows from them: the relay moves events from cores into the retained log, and contexts react
//! to what they read there.

pub mod contract;
mod log;
pub mod model;
mod reactions;
mod relay;
mod timers;

pub use log::{DeadLetter, Entry, Log, LogError, Logged};
pub use reactions::{Reactions, Services};
pub use relay::Relay;
pub use timers::Timers;
