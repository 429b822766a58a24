//! Which ids are known. Of each, a keyed hash of 64 bits is kept, in sorted runs; what is appended together makes a run,
//! and eight of about the same size are merged. A filter in memory tells of nearly every id that is new that it is, so
//! that the file is not asked.
//!
//! Runs belong to a generation. Once one has [`KNOWN_IDS`], the next begins, and the one before the last is removed:
//! what is kept of a scope stays within twice as many.

use std::collections::{BTreeMap, HashMap};

use facts::KNOWN_IDS;
use ring::hmac;
use rusqlite::{Connection, OptionalExtension, params};

use crate::column::Fault;

/// So many runs of a size are merged.
const MANY: usize = 8;
/// The hashes of a page of a run.
const PAGE: usize = 1_024;
/// The bytes that filters may take; those of scopes are loaded again when they are needed.
const MOST_BYTES: usize = 48 << 20;

/// Tells that an id is not in a run, or that it may be: one in some hundreds is taken for one that is.
struct Filter(Vec<[u64; 8]>);

impl Filter {
    fn sized(ids: usize) -> Self {
        Self(vec![[0; 8]; ids.div_ceil(40).max(1)])
    }

    /// The block of an id, and six of its 512 bits.
    fn bits(&self, id: i64) -> (usize, [u32; 6]) {
        let hash = id.cast_unsigned();
        let block = (u128::from(hash) * self.0.len() as u128) >> 64;
        let low = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let bit = |which: u32| u32::try_from((low >> (9 * which + 8)) & 511).unwrap_or(0);
        (usize::try_from(block).unwrap_or(0), [0, 1, 2, 3, 4, 5].map(bit))
    }

    fn add(&mut self, id: i64) {
        let (block, bits) = self.bits(id);
        if let Some(block) = self.0.get_mut(block) {
            for (word, bit) in bits.map(|bit| ((bit / 64) as usize, bit % 64)) {
                if let Some(word) = block.get_mut(word) {
                    *word |= 1 << bit;
                }
            }
        }
    }

    fn may_have(&self, id: i64) -> bool {
        let (block, bits) = self.bits(id);
        self.0.get(block).is_some_and(|block| {
            bits.iter().all(|bit| block.get((bit / 64) as usize).is_some_and(|word| word & (1 << (bit % 64)) != 0))
        })
    }
}

struct Run {
    no: i64,
    generation: i64,
    ids: usize,
    filter: Filter,
}

/// The ids of the scopes that were written to of late.
pub(crate) struct Known {
    secret: hmac::Key,
    scopes: HashMap<i64, Vec<Run>>,
}

impl Known {
    pub(crate) fn open(db: &Connection) -> Result<Self, Fault> {
        let secret: Vec<u8> = db.query_row("SELECT bytes FROM secret", [], |row| row.get(0))?;
        Ok(Self { secret: hmac::Key::new(hmac::HMAC_SHA256, &secret), scopes: HashMap::new() })
    }

    pub(crate) fn hash(&self, id: &str) -> i64 {
        let tag = hmac::sign(&self.secret, id.as_bytes());
        tag.as_ref().first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes))
    }

    /// Forgets what is in memory; the file has it all.
    pub(crate) fn reset(&mut self) {
        self.scopes.clear();
    }

    fn runs(&mut self, db: &Connection, scope: i64) -> Result<&mut Vec<Run>, Fault> {
        if !self.scopes.contains_key(&scope) {
            let bytes = |runs: &Vec<Run>| runs.iter().map(|run| run.filter.0.len() * 64).sum::<usize>();
            if self.scopes.values().map(bytes).sum::<usize>() > MOST_BYTES {
                self.scopes.clear();
            }
            let mut read = db.prepare_cached("SELECT no, generation, ids FROM runs WHERE scope = ?")?;
            let found = read.query_map([scope], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            let mut runs = Vec::new();
            for found in found {
                let (no, generation, ids) = found?;
                let mut filter = Filter::sized(ids);
                each(db, no, |id| filter.add(id))?;
                runs.push(Run { no, generation, ids, filter });
            }
            self.scopes.insert(scope, runs);
        }
        self.scopes.get_mut(&scope).ok_or(Fault::Damaged)
    }

    /// Whether an id is known.
    pub(crate) fn has(&mut self, db: &Connection, scope: i64, id: i64) -> Result<bool, Fault> {
        for run in self.runs(db, scope)?.iter().filter(|run| run.filter.may_have(id)) {
            if stored(db, run.no, id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds ids that are not known.
    pub(crate) fn add(&mut self, db: &Connection, scope: i64, mut ids: Vec<i64>) -> Result<(), Fault> {
        ids.sort_unstable();
        let sql = "SELECT generation FROM scopes WHERE no = ?";
        let mut generation: i64 = db.prepare_cached(sql)?.query_row([scope], |row| row.get(0))?;
        let runs = self.runs(db, scope)?;
        let held: usize = runs.iter().filter(|run| run.generation == generation).map(|run| run.ids).sum();
        if held as u64 >= KNOWN_IDS {
            generation += 1;
            db.execute("UPDATE scopes SET generation = ? WHERE no = ?", [generation, scope])?;
            for old in runs.extract_if(.., |run| run.generation + 1 < generation) {
                remove(db, old.no)?;
            }
        }
        runs.push(write(db, scope, generation, &ids)?);
        while let Some(chosen) = same_size(runs, generation) {
            let mut merged = Vec::new();
            for old in runs.extract_if(.., |run| chosen.contains(&run.no)) {
                each(db, old.no, |id| merged.push(id))?;
                remove(db, old.no)?;
            }
            merged.sort_unstable();
            runs.push(write(db, scope, generation, &merged)?);
        }
        Ok(())
    }
}

fn same_size(runs: &[Run], generation: i64) -> Option<Vec<i64>> {
    let mut tiers: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.generation == generation) {
        tiers.entry((run.ids / 64).max(1).ilog(8)).or_default().push(run.no);
    }
    tiers.into_values().find(|runs| runs.len() >= MANY)
}

fn write(db: &Connection, scope: i64, generation: i64, sorted: &[i64]) -> Result<Run, Fault> {
    let sql = "INSERT INTO runs (scope, generation, ids) VALUES (?,?,?)";
    db.prepare_cached(sql)?.execute(params![scope, generation, sorted.len()])?;
    let (no, mut filter) = (db.last_insert_rowid(), Filter::sized(sorted.len()));
    let mut put = db.prepare_cached("INSERT INTO pages (run, first, ids) VALUES (?,?,?)")?;
    for page in sorted.chunks(PAGE) {
        let bytes: Vec<u8> = page.iter().flat_map(|id| id.to_le_bytes()).collect();
        put.execute(params![no, page.first(), bytes])?;
        for id in page {
            filter.add(*id);
        }
    }
    Ok(Run { no, generation, ids: sorted.len(), filter })
}

fn each(db: &Connection, run: i64, mut take: impl FnMut(i64)) -> Result<(), Fault> {
    let mut read = db.prepare_cached("SELECT ids FROM pages WHERE run = ? ORDER BY first")?;
    let mut rows = read.query([run])?;
    while let Some(row) = rows.next()? {
        let bytes = row.get_ref(0)?.as_blob().map_err(|_| Fault::Damaged)?;
        bytes.as_chunks().0.iter().for_each(|id| take(i64::from_le_bytes(*id)));
    }
    Ok(())
}

fn stored(db: &Connection, run: i64, id: i64) -> Result<bool, Fault> {
    let sql = "SELECT ids FROM pages WHERE run = ? AND first <= ? ORDER BY first DESC LIMIT 1";
    let mut find = db.prepare_cached(sql)?;
    let found = find.query_row([run, id], |row| {
        let page = row.get_ref(0)?.as_blob()?;
        Ok(page.as_chunks().0.binary_search_by_key(&id, |bytes| i64::from_le_bytes(*bytes)).is_ok())
    });
    Ok(found.optional()?.unwrap_or(false))
}

fn remove(db: &Connection, run: i64) -> Result<(), Fault> {
    db.prepare_cached("DELETE FROM pages WHERE run = ?")?.execute([run])?;
    db.prepare_cached("DELETE FROM runs WHERE no = ?")?.execute([run])?;
    Ok(())
}
