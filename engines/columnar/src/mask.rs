//! Which facts of a segment a question is about: filters are asked of the different texts of a column, not of each fact.

use facts::{Field, Filter, Test};
use rusqlite::Connection;

use crate::{
    column::{Fault, Texts},
    segment::{Batch, Head, Parts},
    write::person_number,
};

/// The filters and the time of a question.
pub(crate) struct Mask {
    filters: Vec<Filter>,
    /// For each filter of persons, the numbers of those whom it names.
    persons: Vec<Vec<u32>>,
    pub(crate) from: i64,
    pub(crate) until: i64,
}

/// What passes of a segment.
pub(crate) enum Passing {
    All,
    Nothing,
    Some(Vec<bool>),
}

impl Passing {
    fn and(self, passes: impl Iterator<Item = bool>) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::All => Self::Some(passes.collect()),
            Self::Some(mut all) => {
                all.iter_mut().zip(passes).for_each(|(all, passes)| *all &= passes);
                Self::Some(all)
            }
        }
    }

    /// Whether the fact at a place does.
    pub(crate) fn has(&self, place: usize) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Some(passes) => passes.get(place).copied().unwrap_or(false),
        }
    }
}

impl Mask {
    pub(crate) fn new(
        db: &Connection,
        scope: i64,
        filters: Vec<Filter>,
        (from, until): (i64, i64),
    ) -> Result<Self, Fault> {
        let number = |person: &String| person_number(db, scope, person).transpose();
        let numbers = |filter: &Filter| match (&filter.field, &filter.test) {
            (Field::Person, Test::Is(person)) => number(person).into_iter().collect(),
            (Field::Person, Test::AnyOf(persons)) => persons.iter().filter_map(number).collect(),
            _ => Ok(Vec::new()),
        };
        let persons = filters.iter().map(numbers).collect::<Result<_, _>>()?;
        Ok(Self { filters, persons, from, until })
    }

    /// Whether a segment can have a fact that passes.
    pub(crate) fn may_pass(&self, head: &Head) -> bool {
        let name = |filter: &Filter| match &head.name {
            Some(name) if filter.field == Field::Name => filter.passes_text(Some(name)),
            _ => true,
        };
        let value = |filter: &Filter| match filter.test {
            Test::Between { at_least, below } if !filter.not => {
                at_least.is_none_or(|least| head.values.1 >= least) && below.is_none_or(|below| head.values.0 < below)
            }
            _ => true,
        };
        head.first < self.until && head.last >= self.from && self.filters.iter().all(|it| name(it) && value(it))
    }

    fn cuts(&self, head: &Head) -> bool {
        head.first < self.from || head.last >= self.until
    }

    /// Adds the columns that it looks at.
    pub(crate) fn needs(&self, head: &Head, parts: &mut Parts) {
        parts.instants |= self.cuts(head);
        for filter in &self.filters {
            match &filter.field {
                Field::Name => parts.names |= head.name.is_none(),
                Field::Person => parts.persons = true,
                Field::Value => parts.values = true,
                Field::Label(key) => drop(parts.labels.insert(key.clone())),
            }
        }
    }

    pub(crate) fn passing(&self, head: &Head, batch: &Batch) -> Passing {
        let mut passing = Passing::All;
        if self.cuts(head) {
            passing = passing.and(batch.instants.iter().map(|at| (self.from..self.until).contains(at)));
        }
        for (filter, persons) in self.filters.iter().zip(&self.persons) {
            passing = match &filter.field {
                Field::Name if head.name.is_some() => passing,
                Field::Name => with_texts(passing, filter, Some(&batch.names)),
                Field::Label(key) => with_texts(passing, filter, batch.labels.get(key)),
                Field::Value => passing.and(batch.values.iter().map(|value| filter.passes_value(*value))),
                Field::Person => {
                    let there = filter.test == Test::Present;
                    let passes = |of: &u32| (if there { *of != 0 } else { persons.contains(of) }) != filter.not;
                    passing.and(batch.persons.iter().map(passes))
                }
            };
        }
        passing
    }
}

fn with_texts(passing: Passing, filter: &Filter, texts: Option<&Texts>) -> Passing {
    let missing = filter.passes_text(None);
    let Some(texts) = texts else { return if missing { passing } else { Passing::Nothing } };
    let known = texts.texts.iter().map(|text| filter.passes_text(Some(text)));
    let passes: Vec<bool> = std::iter::once(missing).chain(known).collect();
    if passes.iter().all(|it| *it) {
        return passing;
    }
    if passes.iter().all(|it| !*it) {
        return Passing::Nothing;
    }
    passing.and(texts.of.iter().map(|of| passes.get(*of as usize).copied().unwrap_or(false)))
}
