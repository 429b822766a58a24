//! Events in a file without a log: they wait in the commit's own transaction until the relay has moved them.

use rusqlite::{Connection, params};
use store::{Commit, CoreKey, OutboxEvent, Space, port::outbox_partition};

pub(crate) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS outbox (partition INTEGER NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
      version INTEGER NOT NULL, place INTEGER NOT NULL, envelope BLOB NOT NULL,
      PRIMARY KEY (partition, kind, id, version, place)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS home (space TEXT NOT NULL, epoch INTEGER NOT NULL);";

pub(crate) fn tell(db: &Connection, commit: &Commit) -> rusqlite::Result<()> {
    let sql = "INSERT INTO outbox (partition, kind, id, version, place, envelope) VALUES (?,?,?,?,?,?)";
    let (key, version) = (&commit.key, commit.base.version + 1);
    for (place, envelope) in commit.events.iter().enumerate() {
        let with = params![outbox_partition(key), key.kind, key.id, version, place, envelope];
        db.prepare_cached(sql)?.execute(with)?;
    }
    Ok(())
}

pub(crate) fn pending(
    db: &Connection,
    space: &Space,
    partition: u16,
    limit: usize,
) -> rusqlite::Result<Vec<OutboxEvent>> {
    let sql = "SELECT kind, id, version, place, envelope FROM outbox WHERE partition=?
               ORDER BY kind, id, version, place LIMIT ?";
    let mut select = db.prepare_cached(sql)?;
    let rows = select.query_map(params![partition, limit], |row| {
        let key = CoreKey { space: space.clone(), kind: row.get(0)?, id: row.get(1)? };
        Ok(OutboxEvent { key, version: row.get(2)?, place: row.get(3)?, envelope: row.get(4)? })
    })?;
    rows.collect()
}

pub(crate) fn forget(db: &Connection, partition: u16, events: &[OutboxEvent]) -> rusqlite::Result<()> {
    let sql = "DELETE FROM outbox WHERE partition=? AND kind=? AND id=? AND version=? AND place=?";
    for event in events {
        let with = params![partition, event.key.kind, event.key.id, event.version, event.place];
        db.prepare_cached(sql)?.execute(with)?;
    }
    Ok(())
}

/// Of which partitions something waits, as bits.
pub(crate) fn waiting(db: &Connection) -> rusqlite::Result<u8> {
    let mut select = db.prepare("SELECT DISTINCT partition FROM outbox")?;
    let partitions = select.query_map([], |row| row.get::<_, u8>(0))?;
    partitions.map(|partition| partition.map(|it| 1_u8.checked_shl(u32::from(it)).unwrap_or(0))).try_fold(0, or)
}

fn or(bits: u8, bit: rusqlite::Result<u8>) -> rusqlite::Result<u8> {
    bit.map(|bit| bits | bit)
}

/// Marks a new file as that of one life of a scope; of one that is marked, whether it is.
pub(crate) fn belongs(db: &Connection, space: &Space, epoch: u64) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO home (space, epoch) SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM home)";
    let (space, with) = (space.as_str(), params![space.as_str(), epoch]);
    db.execute(sql, with)?;
    db.query_row("SELECT space, epoch FROM home", [], |row| {
        Ok(row.get::<_, String>(0)? == space && row.get::<_, u64>(1)? == epoch)
    })
}
