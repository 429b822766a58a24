//! What happened, line by line, and one digest over all of it: two runs of one seed must have the same.

use std::{
    fmt::Display,
    sync::{Mutex, PoisonError},
};

use kernel::Clock;

use crate::clock::VirtualClock;

struct Told {
    count: u64,
    digest: ring::digest::Context,
    lines: Option<Vec<String>>,
}

/// The trace of a run.
pub(crate) struct Trace {
    clock: VirtualClock,
    told: Mutex<Told>,
}

impl Trace {
    /// An empty trace, which keeps its lines or only their digest.
    pub(crate) fn new(clock: VirtualClock, keeps: bool) -> Self {
        let digest = ring::digest::Context::new(&ring::digest::SHA256);
        Self { clock, told: Mutex::new(Told { count: 0, digest, lines: keeps.then(Vec::new) }) }
    }

    /// Tells one thing.
    pub(crate) fn tell(&self, what: impl Display) {
        let line = format!("{} {what}\n", self.clock.now().as_millisecond());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.digest.update(line.as_bytes());
        if let Some(lines) = &mut told.lines {
            lines.push(line);
        }
    }

    /// A number that was not given before.
    pub(crate) fn next(&self) -> u64 {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.count += 1;
        told.count
    }

    /// The digest up to now, and the lines where they are kept.
    pub(crate) fn end(&self) -> (String, Vec<String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = data_encoding::HEXLOWER.encode(told.digest.clone().finish().as_ref());
        (digest, told.lines.take().unwrap_or_default())
    }
}
