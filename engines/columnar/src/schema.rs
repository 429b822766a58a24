//! The file: its pragmas and tables.

use std::{path::Path, time::Duration};

use kernel::Scope;
use rusqlite::{Connection, OptionalExtension, config::DbConfig};

use crate::column::Fault;

/// The form of the file that this release writes and reads.
const FORM: i64 = 2;
/// Pages of the write-ahead log before they are moved into the file.
const LOGGED_PAGES: i64 = 2_000;

/// A connection with the durability that appends promise.
pub(crate) fn open(file: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(file)?;
    db.busy_timeout(Duration::from_secs(5))?;
    // Columns are read whole: larger pages are fewer reads. Decided when the file is made.
    db.pragma_update(None, "page_size", 16_384)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "secure_delete", "ON")?;
    db.pragma_update(None, "wal_autocheckpoint", LOGGED_PAGES)?;
    // Plans do not depend on what is bound: else each use of a statement would be planned anew.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.set_prepared_statement_cache_capacity(32);
    Ok(db)
}

/// Instants are microseconds since 1970. A column stands in a row of its own, so that reading one does not walk through
/// the others. `secret` keys the hashes of ids, so that nobody can make two that are the same.
pub(crate) fn create(db: &Connection) -> Result<(), Fault> {
    let form: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if form != FORM && tables != 0 {
        return Err(Fault::Form { form, expected: FORM });
    }
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS secret (bytes BLOB NOT NULL);
         INSERT INTO secret SELECT randomblob(32) WHERE NOT EXISTS (SELECT 1 FROM secret);
         CREATE TABLE IF NOT EXISTS scopes (no INTEGER PRIMARY KEY, scope TEXT NOT NULL UNIQUE,
           persons INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL DEFAULT 0);
         CREATE TABLE IF NOT EXISTS persons (scope INTEGER NOT NULL, person TEXT NOT NULL, no INTEGER NOT NULL,
           PRIMARY KEY (scope, person)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS segments (no INTEGER PRIMARY KEY, scope INTEGER NOT NULL, name TEXT,
           first INTEGER NOT NULL, last INTEGER NOT NULL, facts INTEGER NOT NULL, low REAL NOT NULL, high REAL NOT NULL);
         CREATE INDEX IF NOT EXISTS segments_of ON segments (scope, first);
         CREATE TABLE IF NOT EXISTS columns (segment INTEGER NOT NULL, part TEXT NOT NULL, sum INTEGER NOT NULL,
           data BLOB NOT NULL, UNIQUE (segment, part));
         CREATE TABLE IF NOT EXISTS runs (no INTEGER PRIMARY KEY, scope INTEGER NOT NULL, generation INTEGER NOT NULL,
           ids INTEGER NOT NULL);
         CREATE INDEX IF NOT EXISTS runs_of ON runs (scope);
         CREATE TABLE IF NOT EXISTS pages (run INTEGER NOT NULL, first INTEGER NOT NULL, ids BLOB NOT NULL,
           PRIMARY KEY (run, first)) WITHOUT ROWID;",
    )?;
    db.pragma_update(None, "user_version", FORM)?;
    Ok(())
}

/// The short number of a scope, if it has facts.
pub(crate) fn number(db: &Connection, scope: Scope) -> rusqlite::Result<Option<i64>> {
    let mut find = db.prepare_cached("SELECT no FROM scopes WHERE scope = ?")?;
    find.query_row([scope.to_string()], |row| row.get(0)).optional()
}
