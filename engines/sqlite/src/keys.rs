//! Wrapped keys in a file of their own, apart from all that they open: a backup of the data holds none of them. What is
//! deleted is overwritten, and the write-ahead log is emptied, so that a destroyed key is in no page of the file.

use std::path::Path;

use async_trait::async_trait;
use keys::{KeyError, Wrapped, WrappedKeys};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{schema, unavailable, writer::Writer};

/// The file of wrapped keys.
pub struct SqliteKeys(Writer);

fn failed(error: impl std::fmt::Display) -> KeyError {
    KeyError::Unavailable(error.to_string())
}

fn standing(db: &Connection, name: &str) -> rusqlite::Result<Option<Wrapped>> {
    let mut select = db.prepare_cached("SELECT key FROM keys WHERE name=?")?;
    let row = select.query_row([name], |row| row.get::<_, Option<Vec<u8>>>(0)).optional()?;
    Ok(row.map(|key| key.map_or(Wrapped::Destroyed, Wrapped::Key)))
}

impl SqliteKeys {
    /// Opens or creates the file.
    pub fn open(file: &Path) -> Result<Self, KeyError> {
        let db = schema::open(file, schema::Cache::Large).map_err(failed)?;
        let table = "CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, key BLOB) WITHOUT ROWID";
        db.execute_batch(table).map_err(failed)?;
        Writer::start(db).map(Self).map_err(failed)
    }
}

#[async_trait]
impl WrappedKeys for SqliteKeys {
    async fn get(&self, name: &str) -> Result<Option<Wrapped>, KeyError> {
        let name = name.to_owned();
        self.0.run("keys", move |db| standing(db, &name).map_err(|error| unavailable(&error))).await.map_err(failed)
    }

    async fn add(&self, name: &str, key: Vec<u8>) -> Result<Wrapped, KeyError> {
        let name = name.to_owned();
        let add = move |db: &Connection| -> rusqlite::Result<Wrapped> {
            // Below a destroyed name no key is made either.
            let above = name.split_once('/').map(|(above, _)| standing(db, above)).transpose()?.flatten();
            if above == Some(Wrapped::Destroyed) {
                return Ok(Wrapped::Destroyed);
            }
            let sql = "INSERT OR IGNORE INTO keys (name, key) VALUES (?,?)";
            db.prepare_cached(sql)?.execute(params![name, key])?;
            Ok(standing(db, &name)?.unwrap_or(Wrapped::Destroyed))
        };
        self.0.run("keys", move |db| add(db).map_err(|error| unavailable(&error))).await.map_err(failed)
    }

    async fn destroy(&self, name: &str) -> Result<(), KeyError> {
        let name = name.to_owned();
        let destroy = move |db: &Connection| -> rusqlite::Result<()> {
            db.execute("DELETE FROM keys WHERE name >= ?1 || '/' AND name < ?1 || '0'", [&name])?;
            db.execute("INSERT OR REPLACE INTO keys (name, key) VALUES (?, NULL)", [&name]).map(drop)
        };
        self.0.run("keys", move |db| destroy(db).map_err(|error| unavailable(&error))).await.map_err(failed)?;
        self.0.outside(|db| db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")).await.map_err(failed)
    }
}
