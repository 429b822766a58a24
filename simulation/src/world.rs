//! What outlives a process: all that is durable, the clock, chance, and what is known of it all.

use std::sync::{Arc, Mutex, PoisonError};

use events::model::ModelLog;
use facts::model::ModelFacts;
use freehold::Parts;
use identity::Hashing;
use kernel::{cx::Ambient, entropy::SeededEntropy};
use keys::{Keyring, Keys, model::ModelKeys};
use store::model::ModelEngine;

use crate::{
    banks::{Banks, Remote},
    clock::VirtualClock,
    dice::Dice,
    faults::Faults,
    ledger::Ledger,
    ports::Shaky,
    site::Answer,
    streams::Mailbox,
    trace::Trace,
};

/// One run's world.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) clock: VirtualClock,
    pub(crate) entropy: Arc<SeededEntropy>,
    pub(crate) engine: ModelEngine,
    pub(crate) log: ModelLog,
    pub(crate) keys: ModelKeys,
    pub(crate) facts: ModelFacts,
    pub(crate) mailbox: Mailbox,
    pub(crate) banks: Banks,
    pub(crate) faults: Faults,
    pub(crate) ledger: Ledger,
    pub(crate) trace: Trace,
    /// The answer to somebody else, for whom answers are mixed on purpose.
    other: Mutex<Option<Answer>>,
    /// What does not hold, in the order in which it was found.
    broken: Mutex<Vec<String>>,
}

impl World {
    /// The world of a seed, empty.
    pub(crate) fn of(seed: u64, faults: Faults, keeps_trace: bool) -> Arc<Self> {
        let clock = VirtualClock::begin();
        Arc::new(Self {
            seed,
            clock,
            entropy: Arc::new(SeededEntropy::new(seed ^ 0x5eed)),
            engine: ModelEngine::default(),
            log: ModelLog::default(),
            keys: ModelKeys::default(),
            facts: ModelFacts::default(),
            mailbox: Mailbox::default(),
            banks: Banks::default(),
            faults,
            ledger: Ledger::default(),
            trace: Trace::new(clock, keeps_trace),
            other: Mutex::default(),
            broken: Mutex::default(),
        })
    }

    /// A stream of chance.
    pub(crate) fn dice(&self, stream: &str) -> Dice {
        Dice::of(self.seed, stream)
    }

    /// What a process finds when it starts. It remembers nothing of the one before.
    pub(crate) fn parts(self: &Arc<Self>) -> Parts {
        let shaky = Arc::new(Shaky(Arc::clone(self)));
        let ambient = Ambient::new(Arc::new(self.clock), Arc::clone(&self.entropy) as _);
        Parts {
            keys: Keys::new(Keyring::of([7; 32]), shaky.clone(), Arc::clone(&ambient.entropy)),
            ambient,
            engine: shaky.clone(),
            upkeep: shaky.clone(),
            outbox: shaky.clone(),
            waiting: Arc::default(),
            homes: Arc::new(tenants::OnePlace),
            log: shaky.clone(),
            appended: Arc::default(),
            facts: shaky.clone(),
            mail: shaky.clone(),
            gateways: billing::Gateways::new(Remote::all(self), Vec::new()),
            control: shaky,
            hashing: Hashing::Simulated,
        }
    }

    /// The answer of before, in the place of this one.
    pub(crate) fn swapped(&self, answer: Answer) -> Answer {
        let mut other = self.other.lock().unwrap_or_else(PoisonError::into_inner);
        other.replace(answer.clone()).unwrap_or(answer)
    }

    /// Something does not hold.
    pub(crate) fn breaks(&self, what: String) {
        self.trace.tell(format_args!("BROKEN {what}"));
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// All that does not hold.
    pub(crate) fn broken(&self) -> Vec<String> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
