//! Segments: some facts of a scope by column, in the order of their instants.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::column::{
    Fault, Texts, read_instants, read_numbers, read_texts, read_values, write_instants, write_numbers, write_texts,
    write_values,
};

/// What is known of a segment without its columns: enough to leave most of them alone.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) no: i64,
    /// The name of all its facts, where they have the same.
    pub(crate) name: Option<String>,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) facts: usize,
    /// The smallest and the largest value.
    pub(crate) values: (f64, f64),
}

/// Which columns are read.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each column")]
pub(crate) struct Parts {
    pub(crate) instants: bool,
    pub(crate) values: bool,
    pub(crate) persons: bool,
    pub(crate) names: bool,
    pub(crate) labels: BTreeSet<String>,
}

/// Facts by column; those that are not read are empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    pub(crate) instants: Vec<i64>,
    pub(crate) values: Vec<f64>,
    /// The number of the person in the scope; 0 for none.
    pub(crate) persons: Vec<u32>,
    pub(crate) names: Texts,
    pub(crate) labels: BTreeMap<String, Texts>,
}

impl Head {
    /// The columns of [`HEADS`].
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            no: row.get(0)?,
            name: row.get(1)?,
            first: row.get(2)?,
            last: row.get(3)?,
            facts: row.get(4)?,
            values: (row.get(5)?, row.get(6)?),
        })
    }

    /// The segments of a scope that may have facts within a time, by their first instants.
    pub(crate) fn within(db: &Connection, scope: i64, from: i64, until: i64) -> Result<Vec<Self>, Fault> {
        let sql = "SELECT no, name, first, last, facts, low, high FROM segments
                   WHERE scope = ? AND first < ? AND last >= ? ORDER BY first, no";
        let mut read = db.prepare_cached(sql)?;
        let heads = read.query_map([scope, until, from], Self::of)?;
        Ok(heads.collect::<Result<_, _>>()?)
    }

    /// Reads what is asked for; labels that no fact of it has are not among the answer.
    pub(crate) fn read(&self, db: &Connection, parts: &Parts) -> Result<Batch, Fault> {
        let mut batch = Batch::default();
        if parts.instants {
            batch.instants = self.need(db, "at", read_instants)?;
        }
        if parts.values {
            batch.values = self.need(db, "value", |data| read_values(data, self.facts))?;
        }
        if parts.persons {
            batch.persons = self.need(db, "person", |data| read_numbers(data, self.facts))?;
        }
        if parts.names {
            batch.names = match &self.name {
                Some(name) => Texts::read(vec![name.clone()], vec![1; self.facts]),
                None => self.texts(db, "names", "name")?.ok_or(Fault::Damaged)?,
            };
        }
        for label in &parts.labels {
            if let Some(texts) = self.texts(db, &format!("label/{label}"), &format!("is/{label}"))? {
                batch.labels.insert(label.clone(), texts);
            }
        }
        let lengths = [batch.instants.len(), batch.values.len(), batch.persons.len(), batch.names.of.len()];
        let labels = batch.labels.values().map(|texts| texts.of.len());
        let whole = lengths.into_iter().filter(|length| *length != 0).chain(labels).all(|it| it == self.facts);
        if whole { Ok(batch) } else { Err(Fault::Damaged) }
    }

    /// All of it.
    pub(crate) fn read_whole(&self, db: &Connection) -> Result<Batch, Fault> {
        let mut find = db.prepare_cached("SELECT part FROM columns WHERE segment = ?")?;
        let parts = find.query_map([self.no], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        let labels = parts.iter().filter_map(|part| part.strip_prefix("label/").map(str::to_owned)).collect();
        self.read(db, &Parts { instants: true, values: true, persons: true, names: true, labels })
    }

    fn texts(&self, db: &Connection, texts: &str, numbers: &str) -> Result<Option<Texts>, Fault> {
        let Some(texts) = get(db, self.no, texts, read_texts)? else { return Ok(None) };
        let of = self.need(db, numbers, |data| read_numbers(data, self.facts))?;
        let known = u32::try_from(texts.len()).map_err(|_| Fault::Damaged)?;
        if of.iter().any(|number| *number > known) { Err(Fault::Damaged) } else { Ok(Some(Texts::read(texts, of))) }
    }

    fn need<T>(&self, db: &Connection, part: &str, read: impl Fn(&[u8]) -> Result<T, Fault>) -> Result<T, Fault> {
        get(db, self.no, part, read)?.ok_or(Fault::Damaged)
    }

    /// Takes it away.
    pub(crate) fn remove(&self, db: &Connection) -> Result<(), Fault> {
        db.prepare_cached("DELETE FROM columns WHERE segment = ?")?.execute([self.no])?;
        db.prepare_cached("DELETE FROM segments WHERE no = ?")?.execute([self.no])?;
        Ok(())
    }
}

fn get<T>(
    db: &Connection,
    segment: i64,
    part: &str,
    read: impl Fn(&[u8]) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let mut find = db.prepare_cached("SELECT sum, data FROM columns WHERE segment = ? AND part = ?")?;
    let found = find.query_row(params![segment, part], |row| {
        let sum: u32 = row.get(0)?;
        let data = row.get_ref(1)?.as_blob()?;
        Ok(if crc32fast::hash(data) == sum { read(data) } else { Err(Fault::Damaged) })
    });
    found.optional()?.transpose()
}

/// Stores a column in place of the one before.
pub(crate) fn put(db: &Connection, segment: i64, part: &str, data: &[u8]) -> Result<(), Fault> {
    let sql = "INSERT INTO columns (segment, part, sum, data) VALUES (?,?,?,?)
               ON CONFLICT (segment, part) DO UPDATE SET sum = excluded.sum, data = excluded.data";
    db.prepare_cached(sql)?.execute(params![segment, part, crc32fast::hash(data), data])?;
    Ok(())
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.instants.len()
    }

    /// Adds the facts of another.
    pub(crate) fn extend(&mut self, other: &Self) {
        let before = self.len();
        self.instants.extend(&other.instants);
        self.values.extend(&other.values);
        self.persons.extend(&other.persons);
        self.names.extend(before, &other.names);
        for (label, texts) in &other.labels {
            self.labels.entry(label.clone()).or_default().extend(before, texts);
        }
    }

    /// The facts at some places, in that order.
    pub(crate) fn at(&self, places: &[usize]) -> Self {
        let gathered = |of: &[u32]| places.iter().map(|place| of.get(*place).copied().unwrap_or(0)).collect();
        let texts = |texts: &Texts| {
            let (mut taken, of): (Texts, Vec<u32>) = (Texts::default(), gathered(&texts.of));
            let mut numbers = vec![0; texts.texts.len() + 1];
            let number = |old: u32| -> u32 {
                let (Some(known), Some(text)) = (numbers.get_mut(old as usize), texts.text(old)) else { return 0 };
                if *known == 0 {
                    *known = taken.number(text);
                }
                *known
            };
            let of = of.into_iter().map(number).collect();
            taken.of = of;
            taken
        };
        let labels = self.labels.iter().map(|(label, column)| (label.clone(), texts(column)));
        Self {
            instants: places.iter().filter_map(|place| self.instants.get(*place).copied()).collect(),
            values: places.iter().filter_map(|place| self.values.get(*place).copied()).collect(),
            persons: gathered(&self.persons),
            names: texts(&self.names),
            labels: labels.filter(|(_, column)| !column.texts.is_empty()).collect(),
        }
    }

    /// Stores it as a segment; its facts are in the order of their instants.
    pub(crate) fn put(&self, db: &Connection, scope: i64) -> Result<i64, Fault> {
        let (first, last) = self.instants.first().zip(self.instants.last()).ok_or(Fault::Damaged)?;
        let low = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let only = if let [name] = self.names.texts.as_slice() { Some(name) } else { None };
        let sql = "INSERT INTO segments (scope, name, first, last, facts, low, high) VALUES (?,?,?,?,?,?,?)";
        db.prepare_cached(sql)?.execute(params![scope, only, first, last, self.len(), low, high])?;
        let segment = db.last_insert_rowid();
        put(db, segment, "at", &write_instants(&self.instants))?;
        put(db, segment, "value", &write_values(&self.values))?;
        put(db, segment, "person", &write_numbers(&self.persons))?;
        if only.is_none() {
            put(db, segment, "names", &write_texts(&self.names.texts))?;
            put(db, segment, "name", &write_numbers(&self.names.of))?;
        }
        for (label, texts) in &self.labels {
            let mut of = texts.of.clone();
            of.resize(self.len(), 0);
            put(db, segment, &format!("label/{label}"), &write_texts(&texts.texts))?;
            put(db, segment, &format!("is/{label}"), &write_numbers(&of))?;
        }
        Ok(segment)
    }
}
