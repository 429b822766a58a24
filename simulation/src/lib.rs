//! The whole platform in one process under simulated time, with faults by seed.
//!
//! Several tenants' people work at once: they send requests to the real gateway, and remember what they were told. On
//! the way to what is durable, acts are refused, done and not confirmed, late, or done after whoever asked has died; the
//! process dies and starts again. In the end nothing goes wrong any more, all that was begun comes to its end, and then
//! what was acknowledged must be there, once, and nobody may have seen a word of another tenant.
//!
//! Time moves only when everybody waits, chance comes from the seed, and all runs on one thread: a seed gives the same
//! run each time, to the byte.

mod arrival;
mod banks;
mod check;
mod client;
mod clock;
mod dice;
mod faults;
mod ledger;
mod memory;
mod money;
mod ports;
mod run;
mod site;
mod streams;
mod trace;
mod work;
mod world;

pub use faults::Sabotage;
pub use run::{Plan, Report, run};

/// How many tenants there are.
pub(crate) const TENANTS: usize = 2;

/// Something that must hold, and does not.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);
