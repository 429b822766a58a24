//! What reads the file: a question goes through the rows, then through the columns of each segment that it needs.

use std::collections::{BTreeMap, HashSet};

use facts::{Buckets, Measure, Query, Row, Span};
use kernel::{Scope, Timestamp};
use rusqlite::{Connection, named_params};

use crate::{
    schema,
    segment::{self, Fault, Numbers},
};

/// What a row of the answer is made from.
#[derive(Default)]
struct Cell {
    facts: u64,
    sum: f64,
    values: Vec<f64>,
    persons: HashSet<u32>,
}

/// Facts by column: those that the question does not need are empty.
#[derive(Default)]
struct Columns {
    facts: usize,
    /// Stands for all instants where these are not needed.
    first: i64,
    instants: Vec<i64>,
    values: Vec<f64>,
    /// The person's number within the question; 0 for none.
    persons: Vec<u32>,
    /// The place in `groups`, from 1 on; 0 for none.
    group: Vec<u32>,
    groups: Vec<String>,
    /// Labels by number, each with the number it must have.
    labels: Vec<(Vec<u32>, u32)>,
}

struct Sealed {
    no: i64,
    first: i64,
    last: i64,
    facts: i64,
}

struct Tally<'a> {
    query: &'a Query,
    buckets: Option<&'a Buckets>,
    from: i64,
    until: i64,
    persons: Numbers<String>,
    places: BTreeMap<(Option<Timestamp>, Option<String>), usize>,
    cells: Vec<Cell>,
}

/// Answers a question that was checked, as of one instant.
pub(crate) fn answer(
    db: &Connection,
    scope: Scope,
    query: &Query,
    buckets: Option<&Buckets>,
) -> Result<Vec<Row>, Fault> {
    // Sealing moves facts from one form to the other: both are read in one snapshot.
    let db = db.unchecked_transaction()?;
    let Some(scope) = schema::number(&db, scope)? else { return Ok(Vec::new()) };
    let mut tally = Tally {
        query,
        buckets,
        from: query.from.map_or(i64::MIN, Timestamp::as_microsecond),
        until: query.until.map_or(i64::MAX, Timestamp::as_microsecond),
        persons: Numbers::default(),
        places: BTreeMap::new(),
        cells: Vec::new(),
    };
    let recent = tally.recent(&db, scope)?;
    tally.add(&recent);
    for sealed in tally.segments(&db, scope)? {
        tally.segment(&db, &sealed)?;
    }
    Ok(tally.rows())
}

impl Tally<'_> {
    fn recent(&mut self, db: &Connection, scope: i64) -> Result<Columns, Fault> {
        let named = if self.query.name.is_some() { "name = :name" } else { ":name IS NULL" };
        let sql = format!(
            "SELECT at, value, person, labels FROM recent
             WHERE scope = :scope AND {named} AND at >= :from AND at < :until ORDER BY name, at"
        );
        let mut read = db.prepare_cached(&sql)?;
        let mut rows = read.query(
            named_params! { ":scope": scope, ":name": self.query.name, ":from": self.from, ":until": self.until },
        )?;
        let (mut columns, mut groups) = (Columns::default(), Numbers::<String>::default());
        let labelled = self.query.group_by.is_some() || !self.query.labels.is_empty();
        while let Some(row) = rows.next()? {
            if labelled {
                let text = row.get_ref(3)?.as_str().map_err(|error| Fault::Sqlite(error.into()))?;
                let labels: BTreeMap<String, String> = serde_json::from_str(text)?;
                if !self.query.labels.iter().all(|(key, value)| labels.get(key) == Some(value)) {
                    continue;
                }
                let group = self.query.group_by.as_ref().and_then(|label| labels.get(label));
                columns.group.push(group.map_or(0, |group| groups.of(group.clone())));
            }
            columns.facts += 1;
            columns.instants.push(row.get(0)?);
            columns.values.push(row.get(1)?);
            if self.query.measure == Measure::Unique {
                let person: Option<String> = row.get(2)?;
                columns.persons.push(person.map_or(0, |person| self.persons.of(person)));
            }
        }
        columns.groups = groups.texts();
        Ok(columns)
    }

    fn segments(&self, db: &Connection, scope: i64) -> Result<Vec<Sealed>, Fault> {
        let named = if self.query.name.is_some() { "name = :name" } else { ":name IS NULL" };
        let sql = format!(
            "SELECT no, first, last, facts FROM segments
             WHERE scope = :scope AND {named} AND first < :until AND last >= :from"
        );
        let sealed = |row: &rusqlite::Row<'_>| {
            Ok(Sealed { no: row.get(0)?, first: row.get(1)?, last: row.get(2)?, facts: row.get(3)? })
        };
        let mut read = db.prepare_cached(&sql)?;
        let found = read.query_map(
            named_params! { ":scope": scope, ":name": self.query.name, ":from": self.from, ":until": self.until },
            sealed,
        )?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Reads of a segment only the columns that the question needs.
    fn segment(&mut self, db: &Connection, it: &Sealed) -> Result<(), Fault> {
        let facts = usize::try_from(it.facts).map_err(|_| Fault::Damaged)?;
        let mut columns = Columns { facts, first: it.first, ..Columns::default() };
        for (label, value) in &self.query.labels {
            let Some(texts) = segment::get(db, it.no, &format!("label/{label}"))? else { return Ok(()) };
            let place = segment::read_texts(&texts)?.iter().position(|text| text == value);
            let Some(number) = place.and_then(|place| u32::try_from(place + 1).ok()) else { return Ok(()) };
            let numbers = segment::must(db, it.no, &format!("is/{label}"))?;
            columns.labels.push((segment::read_numbers(&numbers)?, number));
        }
        if let Some(label) = &self.query.group_by
            && let Some(texts) = segment::get(db, it.no, &format!("label/{label}"))?
        {
            columns.groups = segment::read_texts(&texts)?;
            columns.group = segment::read_numbers(&segment::must(db, it.no, &format!("is/{label}"))?)?;
        }
        let span = self.span(it.first);
        let inside = it.first >= self.from && it.last < self.until && span.contains(instant(it.last));
        if !inside {
            columns.instants = segment::read_instants(&segment::must(db, it.no, "at")?)?;
        }
        let whole = inside && columns.labels.is_empty() && columns.group.is_empty();
        match self.query.measure {
            Measure::Count if whole => {
                self.cell(&span, None).facts += facts as u64;
                return Ok(());
            }
            Measure::Unique => {
                let numbers = self.numbers(&segment::must(db, it.no, "persons")?)?;
                if whole {
                    let cell = self.cell(&span, None);
                    cell.facts += facts as u64;
                    cell.persons.extend(numbers.into_iter().filter(|number| *number != 0));
                    return Ok(());
                }
                let of = segment::read_numbers(&segment::must(db, it.no, "person")?)?;
                let number = |of: u32| if of == 0 { None } else { numbers.get(of as usize - 1).copied() };
                columns.persons = of.into_iter().map(|of| number(of).unwrap_or(0)).collect();
            }
            Measure::Count => {}
            _ => columns.values = segment::read_values(&segment::must(db, it.no, "value")?, facts)?,
        }
        columns.check()?;
        self.add(&columns);
        Ok(())
    }

    /// The numbers of a segment's persons within the question; 0 for those who were forgotten.
    fn numbers(&mut self, texts: &[u8]) -> Result<Vec<u32>, Fault> {
        let texts = segment::read_texts(texts)?;
        Ok(texts.into_iter().map(|text| if text.is_empty() { 0 } else { self.persons.of(text) }).collect())
    }

    fn add(&mut self, columns: &Columns) {
        let mut span: Option<Span> = None;
        // Where the cell of each group is, within the present span.
        let mut places: Vec<Option<usize>> = vec![None; columns.groups.len() + 1];
        let measure = self.query.measure;
        for fact in 0..columns.facts {
            let at = columns.instants.get(fact).copied().unwrap_or(columns.first);
            let wanted = |(of, number): &(Vec<u32>, u32)| of.get(fact) == Some(number);
            if at < self.from || at >= self.until || !columns.labels.iter().all(wanted) {
                continue;
            }
            let now = match span {
                Some(span) if span.contains(instant(at)) => span,
                _ => {
                    places.fill(None);
                    *span.insert(self.span(at))
                }
            };
            let group = columns.group.get(fact).map_or(0, |group| *group as usize);
            let place = match places.get(group).copied().flatten() {
                Some(place) => place,
                None => self.place(&now, group.checked_sub(1).and_then(|place| columns.groups.get(place))),
            };
            if let Some(known) = places.get_mut(group) {
                *known = Some(place);
            }
            if let Some(cell) = self.cells.get_mut(place) {
                let value = columns.values.get(fact).copied().unwrap_or_default();
                cell.add(measure, value, columns.persons.get(fact).copied().unwrap_or(0));
            }
        }
    }

    fn span(&self, at: i64) -> Span {
        let ever = Span { start: Timestamp::MIN, end: Timestamp::MAX };
        self.buckets.map_or(ever, |buckets| buckets.span(instant(at)))
    }

    fn place(&mut self, span: &Span, group: Option<&String>) -> usize {
        let bucket = self.buckets.map(|_| span.start);
        let place = *self.places.entry((bucket, group.cloned())).or_insert(self.cells.len());
        if place == self.cells.len() {
            self.cells.push(Cell::default());
        }
        place
    }

    fn cell(&mut self, span: &Span, group: Option<&String>) -> &mut Cell {
        let place = self.place(span, group);
        self.cells.get_mut(place).expect("a place is that of a cell")
    }

    fn rows(mut self) -> Vec<Row> {
        let (measure, limit) = (self.query.measure, self.query.limit as usize);
        let mut measured = |place: usize| self.cells.get_mut(place).map_or(0.0, |cell| cell.measured(measure));
        let row = |((bucket, group), place)| Row { bucket, group, value: measured(place) };
        self.places.into_iter().take(limit).map(row).collect()
    }
}

fn instant(at: i64) -> Timestamp {
    Timestamp::from_microsecond(at).unwrap_or(Timestamp::MAX)
}

impl Columns {
    /// Columns of one segment are equally long.
    fn check(&self) -> Result<(), Fault> {
        let labels = self.labels.iter().map(|(of, _)| of.len());
        let mut lengths = [self.instants.len(), self.values.len(), self.persons.len(), self.group.len()]
            .into_iter()
            .filter(|length| *length != 0)
            .chain(labels);
        if lengths.all(|length| length == self.facts) { Ok(()) } else { Err(Fault::Damaged) }
    }
}

impl Cell {
    fn add(&mut self, measure: Measure, value: f64, person: u32) {
        self.facts += 1;
        match measure {
            Measure::Count => {}
            Measure::Unique if person == 0 => {}
            Measure::Unique => drop(self.persons.insert(person)),
            Measure::Sum | Measure::Average => self.sum += value,
            Measure::Percentile(_) => self.values.push(value),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "no file holds 2^53 facts")]
    fn measured(&mut self, measure: Measure) -> f64 {
        match measure {
            Measure::Count => self.facts as f64,
            Measure::Unique => self.persons.len() as f64,
            Measure::Sum => self.sum,
            Measure::Average => self.sum / self.facts as f64,
            Measure::Percentile(percent) => {
                let rank = (self.values.len() * usize::from(percent)).div_ceil(100).max(1);
                self.values.sort_unstable_by(f64::total_cmp);
                self.values.get(rank - 1).copied().unwrap_or_default()
            }
        }
    }
}
