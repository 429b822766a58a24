//! Wrapped keys in a file of their own, apart from all that they open: a backup of the data holds none of them. What is
//! deleted is overwritten, and the write-ahead log is emptied, so that a destroyed key is in no page of the file.

use std::path::Path;

use async_trait::async_trait;
use keys::{KeyError, Wrapped, WrappedKeys};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{schema, unavailable, writer::Writer};

const BUSY: std::ffi::c_int = rusqlite::ffi::SQLITE_BUSY;

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
        Writer::start(db, || {}).map(Self).map_err(failed)
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
        // While somebody reads (a backup), the write-ahead log cannot be emptied: that is told by a row and no error. The
        // key is out of use then, and whoever destroys it comes again until its bytes are gone.
        let emptied = |db: &Connection| {
            let kept: bool = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            if kept { Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(BUSY), None)) } else { Ok(()) }
        };
        self.0.outside(emptied).await.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_not_said_to_be_gone_while_a_reader_keeps_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.sqlite");
        let keys = SqliteKeys::open(&file).unwrap();
        let secret = b"the bytes of a wrapped key".to_vec();
        keys.add("ten_a/usr_a", secret.clone()).await.unwrap();
        let holds = || {
            let files = std::fs::read_dir(folder.path()).unwrap().map(|it| std::fs::read(it.unwrap().path()).unwrap());
            files.into_iter().any(|bytes| bytes.windows(secret.len()).any(|window| window == secret))
        };
        let reader = Connection::open(&file).unwrap();
        reader.execute_batch("BEGIN; SELECT * FROM keys").unwrap();
        assert!(keys.destroy("ten_a/usr_a").await.is_err() && holds());
        assert_eq!(keys.get("ten_a/usr_a").await.unwrap(), Some(Wrapped::Destroyed), "but it is used no more");
        reader.execute_batch("COMMIT").unwrap();
        keys.destroy("ten_a/usr_a").await.unwrap();
        assert!(!holds());
    }
}
