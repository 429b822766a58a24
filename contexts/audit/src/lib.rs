//! The audit log.

mod bundle;
mod log;
mod record;
mod sequencer;

pub use sequencer::Sequencer;
