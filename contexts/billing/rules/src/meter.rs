//! Meters: what becomes of many reports of use. The order in which they come changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use kernel::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tlog::{Edge, Hash};

use crate::{Refusal, decimal::Quantity};

/// The most different subjects of a period that are told apart: more count as so many.
pub const MOST_SUBJECTS: usize = 100_000;

/// What is made of the values of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// How many reports.
    Count,
    /// The sum of their values.
    Sum,
    /// The largest value.
    Max,
    /// The value of the latest.
    Last,
    /// How many different subjects they name.
    Unique,
}

/// One report of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Names it, so that it counts once.
    pub id: String,
    /// When it was.
    pub at: Timestamp,
    /// How much.
    pub value: Quantity,
    /// Of what, for meters that count different ones.
    pub subject: Option<String>,
}

impl Use {
    /// What stands in the tree of its hour: the JSON array of id, instant, value and subject.
    pub fn leaf(&self) -> Hash {
        let Self { id, at, value, subject } = self;
        tlog::leaf(serde_json::json!([id, at, value, subject]).to_string().as_bytes())
    }
}

/// What is known of the use of a meter in some time. Of several times, the merger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    events: u64,
    sum: Quantity,
    /// By how much the operator corrected counts and sums.
    #[serde(default)]
    corrected: Quantity,
    max: Option<Quantity>,
    last: Option<(Timestamp, String, Quantity)>,
    #[serde(default)]
    subjects: BTreeSet<String>,
    /// Hour to the root of its tree, where several hours were merged.
    #[serde(skip)]
    hours: BTreeMap<u32, Hash>,
}

impl Tally {
    /// How many reports.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Adds one report that it does not hold yet.
    pub fn add(&mut self, it: Use) -> Result<(), Refusal> {
        if it.value.is_negative() {
            return Err(Refusal::NegativeUsage);
        }
        self.sum = self.sum.plus(it.value)?;
        self.events = self.events.checked_add(1).ok_or(Refusal::Overflow)?;
        self.max = self.max.max(Some(it.value));
        self.know(it.subject);
        let last = Some((it.at, it.id, it.value));
        self.last = self.last.take().max(last);
        Ok(())
    }

    /// Corrects counts and sums.
    pub fn correct(&mut self, by: Quantity) -> Result<(), Refusal> {
        self.corrected = self.corrected.plus(by)?;
        Ok(())
    }

    /// This and another together.
    pub fn merge(&mut self, other: &Self) -> Result<(), Refusal> {
        self.sum = self.sum.plus(other.sum)?;
        self.corrected = self.corrected.plus(other.corrected)?;
        self.events = self.events.checked_add(other.events).ok_or(Refusal::Overflow)?;
        self.max = self.max.max(other.max);
        self.last = self.last.take().max(other.last.clone());
        self.know(other.subjects.iter().cloned());
        Ok(())
    }

    /// It was counted from this hour too, whose tree has this root.
    pub fn prove(&mut self, hour: u32, root: Hash) {
        self.hours.insert(hour, root);
    }

    /// The root over the trees of all hours that it was counted from: a tree (RFC 9162) of which each leaf is the number of
    /// the hour and the root of its tree in hexadecimal, with a space in between. In hexadecimal.
    pub fn evidence(&self) -> Option<String> {
        let mut tree = Edge::of(0, Vec::new())?;
        for (hour, root) in &self.hours {
            tree.append(tlog::leaf(format!("{hour} {}", HEXLOWER.encode(root)).as_bytes()));
        }
        (!self.hours.is_empty()).then(|| HEXLOWER.encode(&tree.root()))
    }

    fn know(&mut self, subjects: impl IntoIterator<Item = String>) {
        for subject in subjects {
            if self.subjects.len() < MOST_SUBJECTS {
                self.subjects.insert(subject);
            }
        }
    }

    /// The sum of the values, as they were reported.
    pub const fn sum(&self) -> Quantity {
        self.sum
    }

    /// What a meter shows; never less than nothing.
    pub fn value(&self, aggregation: Aggregation) -> Result<Quantity, Refusal> {
        let shown = match aggregation {
            Aggregation::Count => Quantity::whole(self.events)?.plus(self.corrected)?,
            Aggregation::Sum => self.sum.plus(self.corrected)?,
            Aggregation::Max => self.max.unwrap_or_default(),
            Aggregation::Last => self.last.as_ref().map(|(.., value)| *value).unwrap_or_default(),
            Aggregation::Unique => Quantity::whole(u64::try_from(self.subjects.len()).unwrap_or(u64::MAX))?,
        };
        Ok(shown.max(Quantity::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn used(id: u32, second: i64, value: u32) -> Use {
        Use {
            id: id.to_string(),
            at: Timestamp::from_second(second).unwrap(),
            value: Quantity::whole(value.into()).unwrap(),
            subject: Some((value % 5).to_string()),
        }
    }

    fn shown(tally: &Tally) -> Vec<Quantity> {
        use Aggregation::{Count, Last, Max, Sum, Unique};
        [Count, Sum, Max, Last, Unique].into_iter().map(|it| tally.value(it).unwrap()).collect()
    }

    #[test]
    fn what_meters_show() {
        let mut tally = Tally::default();
        for it in [used(1, 100, 7), used(2, 300, 3), used(3, 200, 12)] {
            tally.add(it).unwrap();
        }
        let expected = ["3", "22", "12", "3", "2"].map(|it| it.parse().unwrap());
        assert_eq!(shown(&tally), expected);
        tally.correct("-30".parse().unwrap()).unwrap();
        assert_eq!(tally.value(Aggregation::Sum).unwrap(), Quantity::ZERO, "never less than nothing");
        let negative = Use { value: "-1".parse().unwrap(), ..used(4, 1, 1) };
        assert_eq!(tally.add(negative), Err(Refusal::NegativeUsage));
    }

    proptest! {
        #[test]
        fn neither_order_nor_grouping_changes_anything(
            reports in prop::collection::vec((0_i64..1_000, 0_u32..1_000), 1..40),
            cut: prop::sample::Index, turn: prop::sample::Index,
        ) {
            let reports: Vec<Use> = (0_u32..).zip(&reports).map(|(id, (at, value))| used(id, *at, *value)).collect();
            let mut straight = Tally::default();
            let add = |tally: &mut Tally, all: &[Use]| all.iter().try_for_each(|it| tally.add(it.clone())).unwrap();
            add(&mut straight, &reports);
            let mut turned = reports.clone();
            turned.rotate_left(turn.index(reports.len()));
            turned.reverse();
            let (left, right) = turned.split_at(cut.index(reports.len()));
            let [mut one, mut other] = [Tally::default(), Tally::default()];
            add(&mut one, left);
            add(&mut other, right);
            one.merge(&other).unwrap();
            prop_assert_eq!(one, straight);
        }
    }
}
