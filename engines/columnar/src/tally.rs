//! One question, answered by adding up segments.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use facts::{Buckets, Field, MOST_ROWS, Measure, Query, Row, Span, Trend, too_many_rows};
use kernel::{Scope, Timestamp};
use rusqlite::Connection;

use crate::{
    cell::Cell,
    column::Fault,
    mask::Mask,
    schema,
    segment::{Batch, Head, Parts},
};

/// The bytes that the sets and values of one question may take.
const MOST_BYTES: usize = 256 << 20;
/// The combinations of labels of a segment that are counted by place; more are numbered as they come.
const PLACES: usize = 1 << 16;

/// The place of a row: its bucket; whether it is what is left over; its groups.
type Place = (Option<Timestamp>, bool, Vec<Option<String>>);

pub(crate) struct Tally<'a> {
    query: &'a Query,
    buckets: Option<&'a Buckets>,
    mask: Mask,
    places: HashMap<Place, usize>,
    cells: Vec<Cell>,
}

fn instant(at: i64) -> Timestamp {
    Timestamp::from_microsecond(at).unwrap_or(Timestamp::MAX)
}

/// The microseconds of a time.
pub(crate) fn time(from: Option<Timestamp>, until: Option<Timestamp>) -> (i64, i64) {
    (from.map_or(i64::MIN, Timestamp::as_microsecond), until.map_or(i64::MAX, Timestamp::as_microsecond))
}

/// Answers questions that were checked, as of one instant: each segment is read once, with the columns that any of them
/// needs.
pub(crate) fn answer(
    db: &Connection,
    scope: Scope,
    queries: &[Query],
    buckets: &[Option<Buckets>],
) -> Result<Vec<Vec<Row>>, Fault> {
    // Merging moves facts from one segment to another: all are read in one snapshot.
    let db = db.unchecked_transaction()?;
    let Some(scope) = schema::number(&db, scope)? else { return Ok(vec![Vec::new(); queries.len()]) };
    let mut tallies = Vec::with_capacity(queries.len());
    for (query, buckets) in queries.iter().zip(buckets) {
        tallies.push(Tally::new(&db, scope, query, buckets.as_ref())?);
    }
    let from = tallies.iter().map(|it| it.mask.from).min().unwrap_or(i64::MAX);
    let until = tallies.iter().map(|it| it.mask.until).max().unwrap_or(i64::MIN);
    for head in Head::within(&db, scope, from, until)? {
        let mut parts = Parts::default();
        let mut asking: Vec<_> = tallies.iter_mut().filter(|it| it.mask.may_pass(&head)).collect();
        for it in &asking {
            it.needs(&head, &mut parts);
        }
        if asking.is_empty() {
            continue;
        }
        let batch = head.read(&db, &parts)?;
        asking.iter_mut().try_for_each(|it| it.add(&head, &batch))?;
    }
    Ok(tallies.into_iter().map(Tally::rows).collect())
}

impl<'a> Tally<'a> {
    fn new(db: &Connection, scope: i64, query: &'a Query, buckets: Option<&'a Buckets>) -> Result<Self, Fault> {
        let mask = Mask::new(db, scope, query.all_filters(), time(query.from, query.until))?;
        Ok(Self { query, buckets, mask, places: HashMap::new(), cells: Vec::new() })
    }

    fn needs(&self, head: &Head, parts: &mut Parts) {
        self.mask.needs(head, parts);
        parts.instants |=
            self.buckets.is_some_and(|buckets| !buckets.span(instant(head.first)).contains(instant(head.last)));
        for field in &self.query.group_by {
            match field {
                Field::Label(key) => drop(parts.labels.insert(key.clone())),
                _ => parts.names = true,
            }
        }
        match self.query.measure {
            Measure::Count => {}
            Measure::Unique => parts.persons = true,
            _ => parts.values = true,
        }
    }

    fn add(&mut self, head: &Head, batch: &Batch) -> Result<(), Fault> {
        let passing = self.mask.passing(head, batch);
        let combined = Combined::of(&self.query.group_by, batch, head.facts);
        // Where the cell of each combination is, within the present span.
        let mut known: Vec<usize> = vec![usize::MAX; combined.many];
        let mut touched: Vec<usize> = Vec::new();
        let mut span = Span { start: Timestamp::MIN, end: Timestamp::MIN };
        let (mut starts, mut ends) = (i64::MAX, i64::MIN);
        for place in (0..head.facts).filter(|place| passing.has(*place)) {
            let at = batch.instants.get(place).copied().unwrap_or(head.first);
            if at < starts || at >= ends {
                span = self.span(at);
                (starts, ends) = (span.start.as_microsecond(), ceiling(span.end));
                touched.drain(..).for_each(|code| known.iter_mut().skip(code).take(1).for_each(|it| *it = usize::MAX));
            }
            let code = combined.code(place);
            let mut cell = known.get(code).copied().unwrap_or(usize::MAX);
            if cell == usize::MAX {
                cell = self.place(&span, batch, place)?;
                if let Some(known) = known.get_mut(code) {
                    *known = cell;
                    touched.push(code);
                }
            }
            if let Some(cell) = self.cells.get_mut(cell) {
                let value = batch.values.get(place).copied().unwrap_or_default();
                cell.add(value, batch.persons.get(place).copied().unwrap_or(0));
            }
        }
        let held = || self.cells.iter().map(Cell::bytes).sum::<usize>();
        if matches!(self.query.measure, Measure::Unique | Measure::Percentile(_)) && held() > MOST_BYTES {
            let detail = "the answer takes too much memory: filter, or ask for a shorter time";
            return Err(Fault::Refused(facts::FactsError::invalid("/group_by", detail)));
        }
        Ok(())
    }

    fn span(&self, at: i64) -> Span {
        let ever = Span { start: Timestamp::MIN, end: Timestamp::MAX };
        self.buckets.map_or(ever, |buckets| buckets.span(instant(at)))
    }

    /// The cell of the groups that the fact at a place has.
    fn place(&mut self, span: &Span, batch: &Batch, place: usize) -> Result<usize, Fault> {
        let text = |field: &Field| match field {
            Field::Label(key) => batch.labels.get(key).and_then(|texts| texts.at(place)),
            _ => batch.names.at(place),
        };
        let groups = self.query.group_by.iter().map(|field| text(field).map(str::to_owned)).collect();
        let next = self.cells.len();
        let cell = *self.places.entry((self.buckets.map(|_| span.start), false, groups)).or_insert(next);
        if cell == next {
            if next >= MOST_ROWS {
                return Err(Fault::Refused(too_many_rows()));
            }
            self.cells.push(Cell::new(self.query.measure));
        }
        Ok(cell)
    }

    fn rows(self) -> Vec<Row> {
        let (places, cells) = (self.places, self.cells);
        let mut rows: BTreeMap<Place, Cell> =
            places.into_iter().filter_map(|(place, cell)| Some((place, cells.get(cell)?.clone()))).collect();
        if let Some(top) = self.query.top {
            rows = topped(rows, top as usize);
        }
        if self.query.trend == Some(Trend::Cumulative) {
            cumulate(&mut rows);
        }
        let values: BTreeMap<Place, f64> = rows.into_iter().map(|(place, cell)| (place, cell.measured())).collect();
        let values = match (self.query.trend, self.buckets) {
            (Some(Trend::MovingAverage(over)), Some(buckets)) => moving(&values, over, buckets),
            _ => values,
        };
        let row = |((bucket, other, groups), value)| Row { bucket, groups, other, value };
        values.into_iter().map(row).take(self.query.limit as usize).collect()
    }
}

/// The first microsecond that is not before an instant.
fn ceiling(at: Timestamp) -> i64 {
    at.as_microsecond().saturating_add(i64::from(at.subsec_nanosecond() % 1_000 != 0))
}

/// The different combinations of some columns, numbered.
struct Combined {
    codes: Vec<u32>,
    many: usize,
}

impl Combined {
    fn of(fields: &[Field], batch: &Batch, facts: usize) -> Self {
        let mut combined = Self { codes: Vec::new(), many: 1 };
        for field in fields {
            let texts = match field {
                Field::Label(key) => batch.labels.get(key),
                _ => Some(&batch.names),
            };
            let Some(texts) = texts else { continue };
            combined.and(&texts.of, texts.texts.len() + 1, facts);
        }
        combined
    }

    fn and(&mut self, of: &[u32], texts: usize, facts: usize) {
        if self.codes.is_empty() {
            self.codes.resize(facts, 0);
        }
        let pairs = self.codes.iter_mut().zip(of);
        if self.many * texts <= PLACES {
            let width = u32::try_from(texts).unwrap_or(u32::MAX);
            pairs.for_each(|(code, of)| *code = *code * width + of);
            self.many *= texts;
        } else {
            let mut numbers: HashMap<(u32, u32), u32> = HashMap::new();
            pairs.for_each(|(code, of)| {
                let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                *code = *numbers.entry((*code, *of)).or_insert(next);
            });
            self.many = numbers.len();
        }
    }

    fn code(&self, place: usize) -> usize {
        self.codes.get(place).map_or(0, |code| *code as usize)
    }
}

/// Leaves the groups with the largest measure over all time, and makes one of the others.
fn topped(rows: BTreeMap<Place, Cell>, top: usize) -> BTreeMap<Place, Cell> {
    let mut groups: BTreeMap<&[Option<String>], Cell> = BTreeMap::new();
    for ((_, _, group), cell) in &rows {
        groups.entry(group).and_modify(|all| all.merge(cell)).or_insert_with(|| cell.clone());
    }
    let mut ranked: Vec<(f64, &[Option<String>])> =
        groups.into_iter().map(|(group, cell)| (cell.measured(), group)).collect();
    ranked.sort_by(|left, right| right.0.total_cmp(&left.0).then_with(|| left.1.cmp(right.1)));
    let kept: BTreeSet<Vec<Option<String>>> = ranked.into_iter().take(top).map(|(_, group)| group.to_vec()).collect();
    let mut told: BTreeMap<Place, Cell> = BTreeMap::new();
    for ((bucket, _, group), cell) in rows {
        let other = !kept.contains(&group);
        let group = if other { vec![None; group.len()] } else { group };
        told.entry((bucket, other, group)).and_modify(|all| all.merge(&cell)).or_insert(cell);
    }
    told
}

/// Adds to each row what its group had before.
fn cumulate(rows: &mut BTreeMap<Place, Cell>) {
    let mut before: BTreeMap<(bool, Vec<Option<String>>), Cell> = BTreeMap::new();
    for ((_, other, groups), cell) in rows {
        if let Some(sofar) = before.get_mut(&(*other, groups.clone())) {
            sofar.merge(cell);
            cell.clone_from(sofar);
        } else {
            before.insert((*other, groups.clone()), cell.clone());
        }
    }
}

/// Makes each value the mean of its bucket and of those before it.
fn moving(values: &BTreeMap<Place, f64>, over: u16, buckets: &Buckets) -> BTreeMap<Place, f64> {
    let mean = |(place, value): (&Place, &f64)| {
        let (mut sum, mut earlier) = (*value, place.clone());
        let mut span = buckets.span(place.0.unwrap_or_default());
        for _ in 1..over {
            span = buckets.before(&span);
            earlier.0 = Some(span.start);
            sum += values.get(&earlier).copied().unwrap_or(0.0);
        }
        (place.clone(), sum / f64::from(over))
    };
    values.iter().map(mean).collect()
}
