//! What changes the file: appending, sealing, erasing, forgetting.

use std::collections::{BTreeMap, BTreeSet};

use facts::Fact;
use kernel::Scope;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::{
    schema,
    segment::{self, Fault, Numbers},
};

/// So many rows of a name and day make a segment.
pub(crate) const FULL: i64 = 4_096;
/// The microseconds of a day.
const DAY: i64 = 86_400_000_000;

fn begin(db: &Connection) -> rusqlite::Result<Transaction<'_>> {
    Transaction::new_unchecked(db, TransactionBehavior::Immediate)
}

/// Adds the facts whose ids are not known, and seals what is full.
pub(crate) fn append<'a>(db: &Connection, facts: impl Iterator<Item = &'a Fact>) -> Result<(), Fault> {
    let tx = begin(db)?;
    let mut scopes: BTreeMap<Scope, i64> = BTreeMap::new();
    let mut touched: BTreeSet<(i64, &str, i64)> = BTreeSet::new();
    {
        let mut know = tx.prepare_cached("INSERT OR IGNORE INTO ids (scope, id) VALUES (?,?)")?;
        let sql = "INSERT INTO recent (scope, name, at, id, person, value, labels) VALUES (?,?,?,?,?,?,?)";
        let mut add = tx.prepare_cached(sql)?;
        for fact in facts {
            let scope = match scopes.get(&fact.scope) {
                Some(number) => *number,
                None => numbered(&tx, fact.scope)?,
            };
            scopes.insert(fact.scope, scope);
            if know.execute(params![scope, fact.id])? == 1 {
                let (at, labels) = (fact.at.as_microsecond(), serde_json::to_string(&fact.labels)?);
                add.execute(params![scope, fact.name, at, fact.id, fact.person, fact.value, labels])?;
                touched.insert((scope, &fact.name, at / DAY));
            }
        }
    }
    for (scope, name, day) in touched {
        seal_if_full(&tx, scope, name, day * DAY)?;
    }
    Ok(tx.commit()?)
}

fn numbered(db: &Connection, scope: Scope) -> rusqlite::Result<i64> {
    db.prepare_cached("INSERT OR IGNORE INTO scopes (scope) VALUES (?)")?.execute([scope.to_string()])?;
    db.prepare_cached("SELECT no FROM scopes WHERE scope = ?")?.query_row([scope.to_string()], |row| row.get(0))
}

/// A column of texts being put together.
#[derive(Default)]
struct Texts {
    numbers: Numbers<String>,
    of: Vec<u32>,
}

impl Texts {
    /// Says what stands at `place`; places before it that nobody spoke of have none.
    fn set(&mut self, place: usize, text: String) {
        self.of.resize(place, 0);
        self.of.push(self.numbers.of(text));
    }

    fn put(mut self, db: &Connection, segment: i64, facts: usize, parts: [&str; 2]) -> Result<(), Fault> {
        self.of.resize(facts, 0);
        let [texts, numbers] = parts;
        segment::put(db, segment, texts, &segment::write_texts(&self.numbers.texts()))?;
        segment::put(db, segment, numbers, &segment::write_numbers(&self.of))
    }
}

fn seal_if_full(db: &Connection, scope: i64, name: &str, day: i64) -> Result<(), Fault> {
    const DAYS: &str = "FROM recent WHERE scope = ? AND name = ? AND at >= ? AND at < ?";
    let days = params![scope, name, day, day + DAY];
    let rows: i64 = db.prepare_cached(&format!("SELECT count(*) {DAYS}"))?.query_row(days, |row| row.get(0))?;
    if rows < FULL {
        return Ok(());
    }
    let (mut instants, mut values) = (Vec::new(), Vec::new());
    let (mut persons, mut labels) = (Texts::default(), BTreeMap::<String, Texts>::new());
    {
        let mut read = db.prepare_cached(&format!("SELECT at, value, person, labels {DAYS} ORDER BY at"))?;
        let mut rows = read.query(days)?;
        while let Some(row) = rows.next()? {
            let place = instants.len();
            instants.push(row.get(0)?);
            values.push(row.get(1)?);
            if let Some(person) = row.get(2)? {
                persons.set(place, person);
            }
            let of: BTreeMap<String, String> = serde_json::from_str(row.get_ref(3)?.as_str().map_err(sqlite)?)?;
            for (label, value) in of {
                labels.entry(label).or_default().set(place, value);
            }
        }
    }
    let (first, last) = instants.first().zip(instants.last()).ok_or(Fault::Damaged)?;
    let sql = "INSERT INTO segments (scope, name, first, last, facts) VALUES (?,?,?,?,?)";
    db.prepare_cached(sql)?.execute(params![scope, name, first, last, rows])?;
    let (segment, facts) = (db.last_insert_rowid(), instants.len());
    segment::put(db, segment, "at", &segment::write_instants(&instants))?;
    segment::put(db, segment, "value", &segment::write_values(&values))?;
    persons.put(db, segment, facts, ["persons", "person"])?;
    for (label, texts) in labels {
        texts.put(db, segment, facts, [&format!("label/{label}"), &format!("is/{label}")])?;
    }
    db.prepare_cached(&format!("DELETE {DAYS}"))?.execute(days)?;
    Ok(())
}

fn sqlite(error: rusqlite::types::FromSqlError) -> Fault {
    Fault::Sqlite(error.into())
}

/// Removes a scope.
pub(crate) fn erase(db: &Connection, scope: Scope) -> Result<(), Fault> {
    let tx = begin(db)?;
    if let Some(scope) = schema::number(&tx, scope)? {
        for sql in [
            "DELETE FROM columns WHERE segment IN (SELECT no FROM segments WHERE scope = ?)",
            "DELETE FROM segments WHERE scope = ?",
            "DELETE FROM recent WHERE scope = ?",
            "DELETE FROM ids WHERE scope = ?",
            "DELETE FROM scopes WHERE no = ?",
        ] {
            tx.execute(sql, [scope])?;
        }
    }
    Ok(tx.commit()?)
}

/// Takes a person out: in rows, and in the text of each segment that knows them.
pub(crate) fn forget(db: &Connection, scope: Scope, person: &str) -> Result<(), Fault> {
    let tx = begin(db)?;
    if let Some(scope) = schema::number(&tx, scope)? {
        tx.execute("UPDATE recent SET person = NULL WHERE scope = ? AND person = ?", params![scope, person])?;
        let segments: Vec<i64> = tx
            .prepare_cached("SELECT no FROM segments WHERE scope = ?")?
            .query_map([scope], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for segment in segments {
            let mut texts = segment::read_texts(&segment::must(&tx, segment, "persons")?)?;
            if let Some(known) = texts.iter_mut().find(|text| *text == person) {
                known.clear();
                segment::put(&tx, segment, "persons", &segment::write_texts(&texts))?;
            }
        }
    }
    Ok(tx.commit()?)
}
