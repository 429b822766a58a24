//! The file: its pragmas and tables.

use std::{path::Path, time::Duration};

use kernel::Scope;
use rusqlite::{Connection, OptionalExtension};

/// A connection with the durability that appends promise.
pub(crate) fn open(file: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(file)?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "secure_delete", "ON")?;
    db.set_prepared_statement_cache_capacity(32);
    Ok(db)
}

/// Instants are microseconds since 1970. Ids outlive their rows: they say what is known, in whichever form it is kept.
/// A column stands in a row of its own, so that reading one does not walk through the others.
pub(crate) fn create(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS scopes (no INTEGER PRIMARY KEY, scope TEXT NOT NULL UNIQUE);
         CREATE TABLE IF NOT EXISTS ids (scope INTEGER NOT NULL, id TEXT NOT NULL, PRIMARY KEY (scope, id))
           WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS recent (scope INTEGER NOT NULL, name TEXT NOT NULL, at INTEGER NOT NULL,
           id TEXT NOT NULL, person TEXT, value REAL NOT NULL, labels TEXT NOT NULL,
           PRIMARY KEY (scope, name, at, id)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS segments (no INTEGER PRIMARY KEY, scope INTEGER NOT NULL, name TEXT NOT NULL,
           first INTEGER NOT NULL, last INTEGER NOT NULL, facts INTEGER NOT NULL);
         CREATE INDEX IF NOT EXISTS segments_of ON segments (scope, name, first, last, facts);
         CREATE TABLE IF NOT EXISTS columns (segment INTEGER NOT NULL, part TEXT NOT NULL, data BLOB NOT NULL,
           UNIQUE (segment, part));",
    )
}

/// The short number of a scope, if it has facts.
pub(crate) fn number(db: &Connection, scope: Scope) -> rusqlite::Result<Option<i64>> {
    let mut find = db.prepare_cached("SELECT no FROM scopes WHERE scope = ?")?;
    find.query_row([scope.to_string()], |row| row.get(0)).optional()
}
