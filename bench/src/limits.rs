//! What this machine can do at best, measured in the same run: raw group commit by SQLite of rows like those of the
//! platform, as durable as its own (`synchronous=FULL`).

use std::time::{Duration, Instant};

use anyhow::Result;
use rusqlite::Connection;

/// Commits that one flush holds: as many as there are writers.
pub(crate) const GROUP: u32 = 64;

/// Rows a second in groups, each group one transaction: a core that is replaced and an event that is added, of the sizes
/// that a small aggregate has.
pub(crate) fn group_commit(lasts: Duration) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let mut store = Connection::open(folder.path().join("raw.sqlite"))?;
    store.pragma_update(None, "journal_mode", "WAL")?;
    store.pragma_update(None, "synchronous", "FULL")?;
    store.execute_batch(
        "CREATE TABLE core (key BLOB PRIMARY KEY, version INTEGER, body BLOB) WITHOUT ROWID;
         CREATE TABLE event (id BLOB PRIMARY KEY, body BLOB) WITHOUT ROWID;",
    )?;
    let (core, event) = (vec![7_u8; 400], vec![7_u8; 700]);
    let (begun, mut groups) = (Instant::now(), 0_u32);
    while begun.elapsed() < lasts {
        let all = store.transaction()?;
        {
            let mut replace = all.prepare_cached("INSERT OR REPLACE INTO core VALUES (?1, ?2, ?3)")?;
            let mut add = all.prepare_cached("INSERT INTO event VALUES (?1, ?2)")?;
            for writer in 0..GROUP {
                let id = u64::from(groups) * u64::from(GROUP) + u64::from(writer);
                replace.execute((writer.to_be_bytes(), groups, &core))?;
                add.execute((ring::digest::digest(&ring::digest::SHA256, &id.to_be_bytes()).as_ref(), &event))?;
            }
        }
        all.commit()?;
        groups += 1;
    }
    Ok(f64::from(groups) * f64::from(GROUP) / begun.elapsed().as_secs_f64())
}

/// Batches that one flush holds: as many as there are senders.
const BATCHES: u32 = 16;

/// Events a second in batches of 100, as many batches in a transaction as wait at once, each event left out whose id is
/// known.
pub(crate) fn batches(lasts: Duration) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let mut store = Connection::open(folder.path().join("raw.sqlite"))?;
    store.pragma_update(None, "journal_mode", "WAL")?;
    store.pragma_update(None, "synchronous", "FULL")?;
    store
        .execute_batch("CREATE TABLE fact (id BLOB PRIMARY KEY, at INTEGER, name TEXT, person BLOB) WITHOUT ROWID;")?;
    let (begun, mut count) = (Instant::now(), 0_u32);
    while begun.elapsed() < lasts {
        let all = store.transaction()?;
        {
            let mut add = all.prepare_cached("INSERT OR IGNORE INTO fact VALUES (?1, ?2, ?3, ?4)")?;
            for _ in 0..BATCHES * 100 {
                let id = ring::digest::digest(&ring::digest::SHA256, &count.to_be_bytes());
                add.execute((id.as_ref(), count, "report.opened", id.as_ref()))?;
                count += 1;
            }
        }
        all.commit()?;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}
