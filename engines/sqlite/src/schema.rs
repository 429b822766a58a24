//! The file: its pragmas and tables.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

/// How much of a file a connection keeps in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cache {
    /// 2 MiB: there are few such files.
    Large,
    /// 256 KiB: there are many.
    Small,
}

/// A connection with the durability that commits promise.
pub(crate) fn open(file: &Path, cache: Cache) -> rusqlite::Result<Connection> {
    with_pragmas(Connection::open(file)?, cache)
}

/// The same, where the file must be there.
pub(crate) fn existing(file: &Path, cache: Cache) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    with_pragmas(Connection::open_with_flags(file, flags)?, cache)
}

fn with_pragmas(db: Connection, cache: Cache) -> rusqlite::Result<Connection> {
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "secure_delete", "ON")?;
    if matches!(cache, Cache::Small) {
        db.pragma_update(None, "cache_size", -256)?;
    }
    // Plans do not depend on what is bound: else each use of a statement would be planned anew.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// The largest file that is read through at each start; a larger one only on demand (`freehold doctor`).
const READ_THROUGH: u64 = 16 << 20;

/// Refuses a file with a broken page before anything is written to it.
pub(crate) fn sound(file: &Path) -> Result<(), store::StoreError> {
    let Ok(known) = std::fs::metadata(file) else { return Ok(()) };
    if known.len() == 0 || known.len() > READ_THROUGH {
        return Ok(());
    }
    let damaged = |what: String| store::StoreError::Corrupt(format!("{}: {what}", file.display()));
    let db = Connection::open(file).map_err(|error| crate::unavailable(&error))?;
    let verdict = db.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match verdict {
        Ok(verdict) if verdict == "ok" => Ok(()),
        Ok(verdict) => Err(damaged(verdict)),
        Err(error) => Err(damaged(error.to_string())),
    }
}

/// Of the tables; a file of another one was written by another release.
const VERSION: i64 = 3;

/// Refuses a file that this release would misread, and marks a new one.
pub(crate) fn versioned(db: &Connection) -> Result<(), store::StoreError> {
    let unavailable = |error: rusqlite::Error| crate::unavailable(&error);
    let version = db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).map_err(unavailable)?;
    let empty = || db.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get::<_, bool>(0));
    if version == VERSION {
        return Ok(());
    }
    if version == 0 && empty().map_err(unavailable)? {
        return db.pragma_update(None, "user_version", VERSION).map_err(unavailable);
    }
    Err(store::StoreError::Corrupt(format!(
        "its tables have version {version} and this release reads version {VERSION}: use the release that wrote them"
    )))
}

/// Names, terms and timers stand in the core as well: reading one is reading one row.
pub(crate) fn create(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS cores (
           space TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, fence INTEGER NOT NULL,
           deleted INTEGER NOT NULL, body BLOB NOT NULL, parts BLOB NOT NULL, expires INTEGER, changed INTEGER NOT NULL,
           PRIMARY KEY (space, kind, id)) WITHOUT ROWID;
         CREATE INDEX IF NOT EXISTS cores_feed ON cores (space, changed);
         CREATE INDEX IF NOT EXISTS cores_expires ON cores (expires) WHERE expires IS NOT NULL;
         CREATE TABLE IF NOT EXISTS feed (last INTEGER NOT NULL);
         INSERT INTO feed SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM feed);
         CREATE TABLE IF NOT EXISTS claims (space TEXT NOT NULL, claim TEXT NOT NULL, kind TEXT NOT NULL,
           id TEXT NOT NULL, PRIMARY KEY (space, claim)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS terms (space TEXT NOT NULL, kind TEXT NOT NULL, idx TEXT NOT NULL,
           value TEXT NOT NULL, sort TEXT NOT NULL, id TEXT NOT NULL,
           PRIMARY KEY (space, kind, idx, value, sort, id)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS timers (space TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
           name TEXT NOT NULL, due INTEGER NOT NULL,
           PRIMARY KEY (space, kind, id, name)) WITHOUT ROWID;
         CREATE INDEX IF NOT EXISTS timers_due ON timers (due);
         CREATE INDEX IF NOT EXISTS timers_space_due ON timers (space, due);
         CREATE TABLE IF NOT EXISTS marks (space TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
           commit_id BLOB NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (space, kind, id, commit_id)) WITHOUT ROWID;
         CREATE INDEX IF NOT EXISTS marks_until ON marks (until);",
    )
}
