//! What goes wrong, by seed: at the ports, and with the process itself.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use crate::dice::Dice;

/// Something that is broken on purpose, to see whether it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sabotage {
    /// Now and then a commit is acknowledged and not stored.
    LosesCommits,
    /// A commit that is sent again under its id is taken for another.
    ForgetsCommits,
    /// Now and then a reader of the log is not shown an event.
    HidesEvents,
    /// Now and then what waits in the outbox is forgotten and not moved.
    LosesEvents,
    /// A fact that comes again counts again.
    DoublesFacts,
    /// Now and then one gets the answer that was meant for another.
    MixesAnswers,
    /// Erasing removes nothing.
    KeepsTheErased,
    /// Destroying a key leaves it in place.
    KeepsKeys,
    /// The payment gateways take money and say that they did not.
    HidesPayments,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::LosesCommits,
        Self::ForgetsCommits,
        Self::HidesEvents,
        Self::LosesEvents,
        Self::DoublesFacts,
        Self::MixesAnswers,
        Self::KeepsTheErased,
        Self::KeepsKeys,
        Self::HidesPayments,
    ];
}

/// What becomes of one act at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Done and answered.
    Good,
    /// Not done, and answered so.
    Refused,
    /// Done, and answered as if it were not known.
    Torn,
    /// Not known, and done later, whoever has died meanwhile.
    Adrift,
}

/// Chance of what goes wrong.
pub(crate) struct Faults {
    dice: Dice,
    /// How often, in a thousand acts.
    often: u64,
    on: AtomicBool,
    happened: AtomicU64,
    pub(crate) sabotage: Option<Sabotage>,
}

/// How much more often something goes wrong at a payment gateway.
const FAR: u64 = 8;
/// The longest that an act is adrift.
const ADRIFT: u64 = 3_000;

impl Faults {
    /// The faults of a seed; of eight seeds one is calm.
    pub(crate) fn of(seed: u64, sabotage: Option<Sabotage>) -> Self {
        let dice = Dice::of(seed, "faults");
        let often = dice.one_of(&[0, 5, 5, 10, 10, 20, 40, 80]).unwrap_or(0);
        Self { dice, often, on: AtomicBool::new(true), happened: AtomicU64::new(0), sabotage }
    }

    /// From now on nothing goes wrong any more.
    pub(crate) fn end(&self) {
        self.on.store(false, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn happened(&self) -> u64 {
        self.happened.load(Ordering::Relaxed)
    }

    /// Whether something goes wrong now.
    pub(crate) fn strikes(&self) -> bool {
        self.strikes_of(self.often)
    }

    fn strikes_of(&self, often: u64) -> bool {
        let strikes = self.on.load(Ordering::Relaxed) && self.dice.in_a_thousand(often);
        self.happened.fetch_add(u64::from(strikes), Ordering::Relaxed);
        strikes
    }

    /// What becomes of an act that changes something.
    pub(crate) fn fate(&self) -> Fate {
        self.fate_of(self.often)
    }

    /// The same of an act that goes through the network of others.
    pub(crate) fn fate_far_away(&self) -> Fate {
        self.fate_of(self.often * FAR)
    }

    fn fate_of(&self, often: u64) -> Fate {
        if self.strikes_of(often) {
            self.dice.one_of(&[Fate::Refused, Fate::Torn, Fate::Adrift]).unwrap_or(Fate::Refused)
        } else {
            Fate::Good
        }
    }

    /// Whether it is the turn of what is broken on purpose.
    pub(crate) fn breaks(&self, what: Sabotage) -> bool {
        self.sabotage == Some(what) && self.on.load(Ordering::Relaxed) && self.dice.in_a_thousand(30)
    }

    /// How long something takes: nothing as a rule, and sometimes long.
    pub(crate) async fn takes(&self) {
        let time = match self.dice.below(100) {
            0..60 => return,
            60..98 => self.dice.millis(4),
            _ if self.on.load(Ordering::Relaxed) => self.dice.millis(800),
            _ => return,
        };
        tokio::time::sleep(time).await;
    }

    /// How long an act is adrift.
    pub(crate) fn adrift(&self) -> Duration {
        self.dice.millis(ADRIFT)
    }
}
