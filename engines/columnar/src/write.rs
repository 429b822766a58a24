//! What changes the file: appending, merging, pruning, erasing, forgetting.

use std::collections::{BTreeMap, HashMap, HashSet};

use facts::Fact;
use kernel::Scope;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::{
    column::{Fault, write_numbers},
    ids::Known,
    merge, schema,
    segment::{self, Batch, Head, Parts},
};

/// The most persons whose numbers are kept in memory.
const PERSONS: usize = 100_000;
/// After so many appends to a scope its segments are looked at.
const LOOK: u32 = 8;

/// The one that writes.
pub(crate) struct Writer {
    db: Connection,
    memory: Memory,
}

/// What the file need not be asked for.
struct Memory {
    known: Known,
    persons: HashMap<i64, HashMap<String, u32>>,
    appends: HashMap<i64, u32>,
}

impl Writer {
    pub(crate) fn open(db: Connection) -> Result<Self, Fault> {
        schema::create(&db)?;
        let known = Known::open(&db)?;
        Ok(Self { db, memory: Memory { known, persons: HashMap::new(), appends: HashMap::new() } })
    }

    /// Runs in a transaction. What memory knows is what is in the file: after a failure, nothing.
    fn whole<T>(&mut self, act: impl FnOnce(&mut Memory, &Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let tx = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)?;
        let outcome = act(&mut self.memory, &tx).and_then(|done| Ok(tx.commit().map(|()| done)?));
        if outcome.is_err() {
            self.memory.known.reset();
            self.memory.persons.clear();
        }
        outcome
    }

    /// Adds the facts whose ids are not known. Tells the scopes that it wrote to.
    pub(crate) fn append<'a>(&mut self, facts: impl Iterator<Item = &'a Fact>) -> Result<Vec<i64>, Fault> {
        let mut scopes: BTreeMap<Scope, Vec<&Fact>> = BTreeMap::new();
        facts.for_each(|fact| scopes.entry(fact.scope).or_default().push(fact));
        self.whole(|it, db| {
            let mut touched = Vec::new();
            for (scope, facts) in scopes {
                let scope = numbered(db, scope)?;
                it.append_to(db, scope, facts)?;
                touched.push(scope);
            }
            Ok(touched)
        })
    }

    /// Merges small segments of the scopes that were written to, now and then.
    pub(crate) fn settle(&mut self, scopes: &[i64]) -> Result<(), Fault> {
        for scope in scopes {
            let appends = self.memory.appends.entry(*scope).or_default();
            *appends += 1;
            if *appends >= LOOK {
                self.memory.appends.remove(scope);
                while merge::step(&self.db, *scope)? {}
            }
        }
        Ok(())
    }

    /// Removes a scope.
    pub(crate) fn erase(&mut self, scope: Scope) -> Result<(), Fault> {
        self.whole(|it, db| {
            let Some(scope) = schema::number(db, scope)? else { return Ok(()) };
            for sql in [
                "DELETE FROM columns WHERE segment IN (SELECT no FROM segments WHERE scope = ?)",
                "DELETE FROM segments WHERE scope = ?",
                "DELETE FROM pages WHERE run IN (SELECT no FROM runs WHERE scope = ?)",
                "DELETE FROM runs WHERE scope = ?",
                "DELETE FROM persons WHERE scope = ?",
                "DELETE FROM scopes WHERE no = ?",
            ] {
                db.execute(sql, [scope])?;
            }
            it.persons.remove(&scope);
            it.appends.remove(&scope);
            it.known.reset();
            Ok(())
        })?;
        self.overwrite()
    }

    /// Takes a person out: their name, and their number in each segment that has it.
    pub(crate) fn forget(&mut self, scope: Scope, person: &str) -> Result<(), Fault> {
        self.whole(|it, db| {
            let Some(scope) = schema::number(db, scope)? else { return Ok(()) };
            let Some(number) = person_number(db, scope, person)? else { return Ok(()) };
            let parts = Parts { persons: true, ..Parts::default() };
            for head in Head::within(db, scope, i64::MIN, i64::MAX)? {
                let mut persons = head.read(db, &parts)?.persons;
                if persons.contains(&number) {
                    persons.iter_mut().filter(|it| **it == number).for_each(|it| *it = 0);
                    segment::put(db, head.no, "person", &write_numbers(&persons))?;
                }
            }
            db.execute("DELETE FROM persons WHERE scope = ? AND person = ?", params![scope, person])?;
            it.persons.remove(&scope);
            Ok(())
        })?;
        self.overwrite()
    }

    /// Removes what lies before an instant, and the names of persons who have no fact any more.
    pub(crate) fn prune(&mut self, scope: Scope, before: i64) -> Result<(), Fault> {
        let removed = self.whole(|it, db| {
            let Some(scope) = schema::number(db, scope)? else { return Ok(false) };
            let older: Vec<Head> = Head::within(db, scope, i64::MIN, before)?;
            for head in &older {
                if head.last >= before {
                    let batch = head.read_whole(db)?;
                    let kept = batch.instants.partition_point(|at| *at < before)..batch.len();
                    batch.at(&kept.collect::<Vec<_>>()).put(db, scope)?;
                }
                head.remove(db)?;
            }
            if !older.is_empty() {
                forget_absent(db, scope)?;
                it.persons.remove(&scope);
            }
            Ok(!older.is_empty())
        })?;
        if removed { self.overwrite() } else { Ok(()) }
    }

    /// What was removed is zeroed in the file; the log, which holds older pages, is emptied.
    fn overwrite(&self) -> Result<(), Fault> {
        let busy: bool = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy { Err(Fault::Busy) } else { Ok(()) }
    }
}

impl Memory {
    fn append_to(&mut self, db: &Connection, scope: i64, facts: Vec<&Fact>) -> Result<(), Fault> {
        let (mut fresh, mut ids) = (Vec::with_capacity(facts.len()), Vec::with_capacity(facts.len()));
        let mut here = HashSet::with_capacity(facts.len());
        for fact in facts {
            let id = self.known.hash(&fact.id);
            if here.insert(id) && !self.known.has(db, scope, id)? {
                fresh.push(fact);
                ids.push(id);
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        fresh.sort_by_key(|fact| fact.at.as_microsecond());
        let mut batch = Batch::default();
        for (place, fact) in fresh.into_iter().enumerate() {
            batch.instants.push(fact.at.as_microsecond());
            batch.values.push(fact.value);
            let person = fact.person.as_deref().map_or(Ok(0), |person| self.person(db, scope, person))?;
            batch.persons.push(person);
            batch.names.set(place, &fact.name);
            for (label, value) in &fact.labels {
                match batch.labels.get_mut(label) {
                    Some(texts) => texts.set(place, value),
                    None => batch.labels.entry(label.clone()).or_default().set(place, value),
                }
            }
        }
        batch.put(db, scope)?;
        self.known.add(db, scope, ids)
    }

    /// The number of a person in a scope, from 1 on.
    fn person(&mut self, db: &Connection, scope: i64, person: &str) -> Result<u32, Fault> {
        if let Some(number) = self.persons.get(&scope).and_then(|of| of.get(person)) {
            return Ok(*number);
        }
        let number = if let Some(number) = person_number(db, scope, person)? {
            number
        } else {
            let sql = "UPDATE scopes SET persons = persons + 1 WHERE no = ? RETURNING persons";
            let number: u32 = db.prepare_cached(sql)?.query_row([scope], |row| row.get(0))?;
            let sql = "INSERT INTO persons (scope, person, no) VALUES (?,?,?)";
            db.prepare_cached(sql)?.execute(params![scope, person, number])?;
            number
        };
        if self.persons.values().map(HashMap::len).sum::<usize>() >= PERSONS {
            self.persons.clear();
        }
        self.persons.entry(scope).or_default().insert(person.to_owned(), number);
        Ok(number)
    }
}

/// Removes the names of persons whose number stands in no segment.
fn forget_absent(db: &Connection, scope: i64) -> Result<(), Fault> {
    let parts = Parts { persons: true, ..Parts::default() };
    let mut present = HashSet::new();
    for head in Head::within(db, scope, i64::MIN, i64::MAX)? {
        present.extend(head.read(db, &parts)?.persons);
    }
    let mut read = db.prepare_cached("SELECT person, no FROM persons WHERE scope = ?")?;
    let listed = read.query_map([scope], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let listed: Vec<(String, u32)> = listed.collect::<Result<_, _>>()?;
    for (person, _) in listed.iter().filter(|(_, number)| !present.contains(number)) {
        db.prepare_cached("DELETE FROM persons WHERE scope = ? AND person = ?")?.execute(params![scope, person])?;
    }
    Ok(())
}

/// The number of a person, if there is such a person.
pub(crate) fn person_number(db: &Connection, scope: i64, person: &str) -> Result<Option<u32>, Fault> {
    let mut find = db.prepare_cached("SELECT no FROM persons WHERE scope = ? AND person = ?")?;
    Ok(find.query_row(params![scope, person], |row| row.get(0)).optional()?)
}

fn numbered(db: &Connection, scope: Scope) -> rusqlite::Result<i64> {
    db.prepare_cached("INSERT OR IGNORE INTO scopes (scope) VALUES (?)")?.execute([scope.to_string()])?;
    db.prepare_cached("SELECT no FROM scopes WHERE scope = ?")?.query_row([scope.to_string()], |row| row.get(0))
}
