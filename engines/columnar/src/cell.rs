//! What a row of an answer is made from. Cells of parts of the facts are merged into those of all.

use std::collections::BTreeMap;

use facts::{EXACT_VALUES, Measure};

/// How far a value may be from the middle of its class, relative to it: within [`facts::PERCENTILE_ERROR`].
const ACCURACY: f64 = 0.0099;
/// Classes of positive values begin here, those of negative ones end at its negative; zero is between.
const OFFSET: i32 = 100_000;

/// One cell.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Count(u64),
    Unique(Persons),
    Sum(f64),
    Average { sum: f64, facts: u64 },
    Min(f64),
    Max(f64),
    Percentile(u8, Values),
}

impl Cell {
    pub(crate) fn new(measure: Measure) -> Self {
        match measure {
            Measure::Count => Self::Count(0),
            Measure::Unique => Self::Unique(Persons::default()),
            Measure::Sum => Self::Sum(0.0),
            Measure::Average => Self::Average { sum: 0.0, facts: 0 },
            Measure::Min => Self::Min(f64::INFINITY),
            Measure::Max => Self::Max(f64::NEG_INFINITY),
            Measure::Percentile(percent) => Self::Percentile(percent, Values::default()),
        }
    }

    /// Adds a fact: its value, and the number of its person or 0.
    pub(crate) fn add(&mut self, value: f64, person: u32) {
        match self {
            Self::Count(facts) => *facts += 1,
            Self::Unique(_) if person == 0 => {}
            Self::Unique(persons) => persons.add(person),
            Self::Sum(sum) => *sum += value,
            Self::Average { sum, facts } => (*sum, *facts) = (*sum + value, *facts + 1),
            Self::Min(low) => *low = low.min(value),
            Self::Max(high) => *high = high.max(value),
            Self::Percentile(_, values) => values.add(value),
        }
    }

    /// Adds what is in another of the same measure.
    pub(crate) fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Count(facts), Self::Count(more)) => *facts += more,
            (Self::Unique(persons), Self::Unique(more)) => persons.merge(more),
            (Self::Sum(sum), Self::Sum(more)) => *sum += more,
            (Self::Average { sum, facts }, Self::Average { sum: more, facts: many }) => {
                (*sum, *facts) = (*sum + more, *facts + many);
            }
            (Self::Min(low), Self::Min(other)) => *low = low.min(*other),
            (Self::Max(high), Self::Max(other)) => *high = high.max(*other),
            (Self::Percentile(_, values), Self::Percentile(_, more)) => values.merge(more),
            _ => debug_assert!(false, "cells of one question have one measure"),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "no file holds 2^53 facts")]
    pub(crate) fn measured(&self) -> f64 {
        match self {
            Self::Count(facts) => *facts as f64,
            Self::Unique(persons) => persons.count() as f64,
            Self::Sum(of) | Self::Min(of) | Self::Max(of) => *of,
            Self::Average { sum, facts } => sum / *facts as f64,
            Self::Percentile(percent, values) => values.percentile(*percent),
        }
    }

    /// About how many bytes it takes beside itself.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Unique(persons) => persons.few.len() * 4 + persons.many.len() * 8,
            Self::Percentile(_, values) => values.exact.len() * 8 + values.classes.len() * 32,
            _ => 0,
        }
    }
}

/// A set of persons, exact: their numbers while they are few, else a bit for each number there is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Persons {
    few: Vec<u32>,
    /// How many of `few` are sorted and different; the others came since.
    sorted: usize,
    many: Vec<u64>,
}

impl Persons {
    fn add(&mut self, person: u32) {
        if self.many.is_empty() {
            if self.few.last() != Some(&person) {
                self.few.push(person);
            }
            if self.few.len() >= 64 && self.few.len() >= 2 * self.sorted {
                self.tidy();
            }
        } else {
            self.set(person);
        }
    }

    fn set(&mut self, person: u32) {
        let word = (person / 64) as usize;
        if word >= self.many.len() {
            self.many.resize(word + 1, 0);
        }
        if let Some(word) = self.many.get_mut(word) {
            *word |= 1 << (person % 64);
        }
    }

    fn tidy(&mut self) {
        self.few.sort_unstable();
        self.few.dedup();
        self.sorted = self.few.len().max(32);
        // Numbers take 32 bits each, and a set of all takes one bit for each up to the largest.
        if self.few.last().is_some_and(|largest| self.few.len() * 32 > *largest as usize) {
            for person in std::mem::take(&mut self.few) {
                self.set(person);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        if self.many.len() < other.many.len() {
            let few = std::mem::take(&mut self.few);
            self.many.resize(other.many.len(), 0);
            for person in few {
                self.set(person);
            }
        }
        self.many.iter_mut().zip(&other.many).for_each(|(word, other)| *word |= other);
        other.few.iter().for_each(|person| self.add(*person));
    }

    fn count(&self) -> usize {
        let mut few = self.few.clone();
        few.sort_unstable();
        few.dedup();
        few.len() + self.many.iter().map(|word| word.count_ones() as usize).sum::<usize>()
    }
}

/// Values for percentiles: each of them while they are few, else how many there are of each class (DDSketch, Masson,
/// Rim and Lee 2019): classes grow with the value, so that the error is relative.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values {
    exact: Vec<f64>,
    classes: BTreeMap<i32, u64>,
}

fn growth() -> f64 {
    (1.0 + ACCURACY) / (1.0 - ACCURACY)
}

#[expect(clippy::cast_possible_truncation, reason = "logarithms of f64 to this base are within 40,000 of 0")]
fn class(value: f64) -> i32 {
    let size = || (value.abs().ln() / growth().ln()).ceil() as i32;
    match value.total_cmp(&0.0) {
        _ if value == 0.0 => 0,
        std::cmp::Ordering::Less => -(size() + OFFSET),
        _ => size() + OFFSET,
    }
}

fn middle(class: i32) -> f64 {
    let size = |class: i32| (growth().powi(class - OFFSET) * 2.0 / (growth() + 1.0)).min(f64::MAX);
    match class {
        0 => 0.0,
        ..0 => -size(-class),
        1.. => size(class),
    }
}

impl Values {
    fn add(&mut self, value: f64) {
        if self.classes.is_empty() && self.exact.len() < EXACT_VALUES {
            self.exact.push(value);
        } else {
            self.classify();
            *self.classes.entry(class(value)).or_default() += 1;
        }
    }

    fn classify(&mut self) {
        for value in std::mem::take(&mut self.exact) {
            *self.classes.entry(class(value)).or_default() += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        if !other.classes.is_empty() {
            self.classify();
            other.classes.iter().for_each(|(class, many)| *self.classes.entry(*class).or_default() += many);
        }
        other.exact.iter().for_each(|value| self.add(*value));
    }

    fn percentile(&self, percent: u8) -> f64 {
        let rank = |facts: u64| (facts * u64::from(percent)).div_ceil(100).max(1);
        if self.classes.is_empty() {
            let mut values = self.exact.clone();
            values.sort_unstable_by(f64::total_cmp);
            let place = usize::try_from(rank(values.len() as u64)).unwrap_or(usize::MAX) - 1;
            return values.get(place).copied().unwrap_or_default();
        }
        let mut left = rank(self.classes.values().sum());
        for (class, many) in &self.classes {
            match left.checked_sub(*many) {
                None | Some(0) => return middle(*class),
                Some(after) => left = after,
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn persons_are_counted_exactly_in_any_parts(parts in prop::collection::vec(
            prop::collection::vec(prop_oneof![1_u32..200, 1_u32..100_000], 0..400), 1..5)) {
            let mut all = Persons::default();
            for part in &parts {
                let mut persons = Persons::default();
                for person in part {
                    persons.add(*person);
                }
                prop_assert_eq!(persons.count(), part.iter().collect::<BTreeSet<_>>().len());
                all.merge(&persons);
            }
            prop_assert_eq!(all.count(), parts.iter().flatten().collect::<BTreeSet<_>>().len());
        }

        #[test]
        fn the_middle_of_a_class_is_near_all_its_values(value in prop_oneof![
            -1e12..1e12_f64, -1e-9..1e-9_f64, Just(0.0), Just(f64::MAX), Just(-f64::MIN_POSITIVE)]) {
            let off = (middle(class(value)) - value).abs();
            prop_assert!(off <= value.abs() * facts::PERCENTILE_ERROR, "{} for {value}", middle(class(value)));
        }

        #[test]
        fn classes_are_in_the_order_of_values(one in -1e6..1e6_f64, other in -1e6..1e6_f64) {
            prop_assert!(one > other || class(one) <= class(other));
        }
    }
}
