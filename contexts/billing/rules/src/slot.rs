//! What was reported of one meter in one hour of a period: the reports that are known, and what they come to.

use std::{collections::BTreeSet, fmt, str::FromStr};

use contracts::billing::{UsageCorrected, UsageRecorded};
use data_encoding::HEXLOWER;
use kernel::{
    Aggregate, AnyEvent, ScopeKind, Term, Timestamp,
    text::{Key, Note},
};
use serde::{Deserialize, Serialize};
use tlog::{Edge, Hash};

use crate::{
    Refusal,
    decimal::Quantity,
    meter::{Tally, Use},
    period::Period,
};

/// The most reports of one meter and hour: whoever has more sends sums.
pub const MOST_REPORTS: usize = 20_000;
/// The largest sum of one meter and hour: with [`LARGEST_PERIOD`], whatever is accepted can be charged.
const LARGEST: u64 = 10_000_000_000;
/// No period has more: a year of such hours.
pub const LARGEST_PERIOD: u64 = 100_000_000_000_000;
const HOUR: i64 = 3_600;

/// Which hour of which period of a subscription, of which meter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotId {
    /// `subscription/period`, by which all of a period are found.
    pub period: String,
    /// The meter.
    pub meter: Key,
    /// The hour, from the beginning of the period on.
    pub hour: u32,
}

impl SlotId {
    /// The slot of an instant.
    pub fn of(period: &Period, of_period: String, meter: Key, at: Timestamp) -> Result<Self, Refusal> {
        let seconds = at.as_second() - period.start.as_second();
        let hour = u32::try_from(seconds.div_euclid(HOUR)).map_err(|_| Refusal::TooLate)?;
        Ok(Self { period: of_period, meter, hour })
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.period, self.hour, self.meter)
    }
}

impl FromStr for SlotId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const REFUSED: &str = "expected subscription/period/hour/meter";
        let (rest, meter) = text.rsplit_once('/').ok_or(REFUSED)?;
        let (period, hour) = rest.rsplit_once('/').ok_or(REFUSED)?;
        let (meter, hour) = (meter.parse().map_err(|_| REFUSED)?, hour.parse().map_err(|_| REFUSED)?);
        Ok(Self { period: period.to_owned(), meter, hour })
    }
}

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UsageSlot {
    period: String,
    meter: Key,
    hour: u32,
    start: Timestamp,
    known: BTreeSet<String>,
    tally: Tally,
    /// The tree of what was counted, in the order in which it came: how many leaves, and the roots at its edge (RFC 9162).
    #[serde(default)]
    leaves: u64,
    #[serde(default)]
    edge: Vec<Hash>,
}

impl UsageSlot {
    /// A slot of which nothing is known.
    pub fn new(id: SlotId, period: &Period) -> Self {
        let start = period.start + std::time::Duration::from_secs(u64::from(id.hour) * 3_600);
        let (known, tally) = (BTreeSet::new(), Tally::default());
        let (leaves, edge) = (0, Vec::new());
        Self { period: id.period, meter: id.meter, hour: id.hour, start, known, tally, leaves, edge }
    }

    fn grow(&mut self, grown: impl IntoIterator<Item = Hash>) {
        let Some(mut tree) = Edge::of(self.leaves, std::mem::take(&mut self.edge)) else { return };
        for leaf in grown {
            tree.append(leaf);
        }
        (self.leaves, self.edge) = (tree.size(), tree.roots().to_vec());
    }

    /// The root of the tree of what was counted.
    pub fn root(&self) -> Hash {
        if self.edge.is_empty() { tlog::empty() } else { tlog::fold(&self.edge) }
    }

    /// The tree, as events tell it.
    fn told(&self) -> (Option<u64>, Option<String>) {
        (Some(self.leaves), Some(HEXLOWER.encode(&self.root())))
    }

    /// Takes reports; those that are known change nothing.
    pub fn record(&mut self, reports: &[Use]) -> Result<Vec<AnyEvent>, Refusal> {
        let (mut events, mut sum, mut grown) = (0_u32, Quantity::ZERO, Vec::new());
        for it in reports {
            if self.known.insert(it.id.clone()) {
                sum = sum.plus(it.value)?;
                grown.push(it.leaf());
                self.tally.add(it.clone())?;
                events += 1;
            }
        }
        if self.known.len() > MOST_REPORTS || self.tally.sum() > Quantity::whole(LARGEST)? {
            return Err(Refusal::TooManyReports);
        }
        self.grow(grown);
        let (meter, quantity) = (self.meter.to_string(), sum.to_string());
        let (size, root) = self.told();
        let told = UsageRecorded { meter, from: self.start, events, quantity, size, root };
        Ok((events > 0).then(|| told.into()).into_iter().collect())
    }

    /// Corrects what was counted, once under an id.
    pub fn correct(&mut self, id: &str, at: Timestamp, by: Quantity, reason: &Note) -> Result<Vec<AnyEvent>, Refusal> {
        if !self.known.insert(format!("correction/{id}")) {
            return Ok(Vec::new());
        }
        self.tally.correct(by)?;
        self.grow([tlog::leaf(serde_json::json!([id, at, by, reason]).to_string().as_bytes())]);
        let (meter, quantity, reason) = (self.meter.to_string(), by.to_string(), reason.to_string());
        let (size, root) = self.told();
        Ok(vec![UsageCorrected { meter, at, quantity, reason, size, root }.into()])
    }

    /// The number of its hour in the period.
    pub const fn hour(&self) -> u32 {
        self.hour
    }

    /// The beginning of its hour.
    pub const fn start(&self) -> Timestamp {
        self.start
    }

    /// How many leaves its tree has.
    pub const fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Its meter.
    pub const fn meter(&self) -> &Key {
        &self.meter
    }

    /// What its reports come to.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Aggregate for UsageSlot {
    type Id = SlotId;
    const KIND: &'static str = "billing.usage_slot";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> SlotId {
        SlotId { period: self.period.clone(), meter: self.meter.clone(), hour: self.hour }
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("period", self.period.clone())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_counts_once() {
        let start: Timestamp = "2026-03-01T00:30:00Z".parse().unwrap();
        let period = Period { number: 1, start, end: start + std::time::Duration::from_hours(24) };
        let at = start + std::time::Duration::from_mins(61);
        let id = SlotId::of(&period, "sub/1".to_owned(), "calls".parse().unwrap(), at).unwrap();
        assert_eq!((id.hour, id.to_string().parse()), (1, Ok(id.clone())));
        let mut slot = UsageSlot::new(id, &period);
        let used = |id: &str, value: &str| Use { id: id.to_owned(), at, value: value.parse().unwrap(), subject: None };
        assert_eq!(slot.record(&[used("a", "2"), used("a", "2"), used("b", "3")]).unwrap().len(), 1);
        assert!(slot.record(&[used("b", "9")]).unwrap().is_empty());
        // Whoever has the events makes the same root of them.
        let mut tree = Edge::of(0, Vec::new()).unwrap();
        for it in [used("a", "2"), used("b", "3")] {
            tree.append(it.leaf());
        }
        assert_eq!((slot.root(), slot.leaves()), (tree.root(), 2));
        let sum = |slot: &UsageSlot| slot.tally().value(crate::meter::Aggregation::Sum).unwrap().to_string();
        assert_eq!(sum(&slot), "5");
        let why = "counted twice".parse().unwrap();
        assert_eq!(slot.correct("c", at, "-1.5".parse().unwrap(), &why).unwrap().len(), 1);
        assert!(slot.correct("c", at, "-1.5".parse().unwrap(), &why).unwrap().is_empty());
        assert_eq!(sum(&slot), "3.5");
        assert_eq!(slot.leaves(), 3, "a correction is a leaf too");
        assert_ne!(slot.root(), tree.root());
    }
}
