//! Copies of the files of an installation, taken as one cut while it runs, and what proves a copy.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ring::digest::{Context, SHA256};
use rusqlite::{Connection, OpenFlags, backup::Backup, params};
use serde::{Deserialize, Serialize};

/// Why a copy could not be made or is not good.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// SQLite refused.
    #[error("{file}: {error}")]
    Sqlite {
        /// Which file.
        file: String,
        /// What SQLite says.
        error: rusqlite::Error,
    },
    /// The file is damaged.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// Which file.
        file: String,
        /// The first thing that is wrong.
        what: String,
    },
}

fn of(file: &Path) -> impl Fn(rusqlite::Error) -> BackupError + '_ {
    |error| BackupError::Sqlite { file: file.display().to_string(), error }
}

/// How long a running installation may keep the barrier waiting.
const BARRIER: Duration = Duration::from_secs(20);
const PAGES: i32 = 4_096;

fn existing(file: &Path) -> Result<Connection, BackupError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags).map_err(of(file))?;
    db.busy_timeout(BARRIER).map_err(of(file))?;
    Ok(db)
}

/// Copies files as they stood at one instant. For a moment no process can commit to any of them: the write locks of all
/// are held until a snapshot of each is open. The copying itself holds up nobody.
pub fn copy_together(files: &[(PathBuf, PathBuf)]) -> Result<(), BackupError> {
    let mut barrier = Vec::with_capacity(files.len());
    for (from, _) in files {
        let db = existing(from)?;
        db.execute_batch("BEGIN IMMEDIATE").map_err(of(from))?;
        barrier.push(db);
    }
    let mut snapshots = Vec::with_capacity(files.len());
    for (from, _) in files {
        let db = existing(from)?;
        // A snapshot begins with the first read.
        db.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;").map_err(of(from))?;
        snapshots.push(db);
    }
    drop(barrier);
    for ((_, to), snapshot) in files.iter().zip(&snapshots) {
        let mut copy = Connection::open(to).map_err(of(to))?;
        let pages = Backup::new(snapshot, &mut copy).map_err(of(to))?;
        pages.run_to_completion(PAGES, Duration::ZERO, None).map_err(of(to))?;
        drop(pages);
        // One file, which can be read from a medium that cannot be written.
        copy.pragma_update(None, "journal_mode", "DELETE").map_err(of(to))?;
        copy.close().map_err(|(_, error)| of(to)(error))?;
        std::fs::File::open(to)
            .and_then(|file| file.sync_all())
            .map_err(|error| BackupError::Damaged { file: to.display().to_string(), what: error.to_string() })?;
    }
    Ok(())
}

/// Reads every page and index.
pub fn check(file: &Path) -> Result<(), BackupError> {
    let damaged = |what: String| BackupError::Damaged { file: file.display().to_string(), what };
    let verdict = existing(file)?.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match verdict {
        Ok(verdict) if verdict == "ok" => Ok(()),
        Ok(verdict) => Err(damaged(verdict)),
        Err(error) => Err(damaged(error.to_string())),
    }
}

/// What a store holds, whatever pages it stands in: equal stores have equal digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreDigest {
    /// How many aggregates, deleted ones not counted.
    pub aggregates: u64,
    /// How many events.
    pub events: u64,
    /// SHA-256 over all aggregates and events in order, in hexadecimal digits.
    pub sha256: String,
}

fn feed(digest: &mut Context, bytes: &[u8]) {
    digest.update(&(bytes.len() as u64).to_be_bytes());
    digest.update(bytes);
}

/// The digest of a store.
pub fn digest(file: &Path) -> Result<StoreDigest, BackupError> {
    digest_of(&existing(file)?).map_err(of(file))
}

fn digest_of(db: &Connection) -> rusqlite::Result<StoreDigest> {
    let mut digest = Context::new(&SHA256);
    let (mut aggregates, mut events) = (0, 0);
    let sql =
        "SELECT space, kind, id, version, fence, deleted, body, parts, expires FROM cores ORDER BY space, kind, id";
    let mut cores = db.prepare(sql)?;
    let mut rows = cores.query([])?;
    while let Some(row) = rows.next()? {
        for column in 0..3 {
            feed(&mut digest, row.get_ref(column)?.as_bytes()?);
        }
        for column in 3..6 {
            feed(&mut digest, &row.get::<_, i64>(column)?.to_be_bytes());
        }
        feed(&mut digest, row.get_ref(6)?.as_bytes()?);
        feed(&mut digest, row.get_ref(7)?.as_bytes()?);
        feed(&mut digest, &row.get::<_, Option<i64>>(8)?.unwrap_or(-1).to_be_bytes());
        aggregates += u64::from(!row.get::<_, bool>(5)?);
    }
    let mut log = db.prepare("SELECT position, space, envelope FROM log ORDER BY position")?;
    let mut rows = log.query([])?;
    while let Some(row) = rows.next()? {
        feed(&mut digest, &row.get::<_, i64>(0)?.to_be_bytes());
        feed(&mut digest, row.get_ref(1)?.as_bytes()?);
        feed(&mut digest, row.get_ref(2)?.as_bytes()?);
        events += 1;
    }
    let sha256 = data_encoding::HEXLOWER.encode(digest.finish().as_ref());
    Ok(StoreDigest { aggregates, events, sha256 })
}

/// The names of keys that were destroyed, in a file of wrapped keys.
pub fn destroyed(keys: &Path) -> Result<Vec<String>, BackupError> {
    let db = existing(keys)?;
    let names = |db: &Connection| {
        let mut select = db.prepare("SELECT name FROM keys WHERE key IS NULL ORDER BY name")?;
        let names = select.query_map([], |row| row.get(0))?;
        names.collect::<rusqlite::Result<Vec<String>>>()
    };
    names(&db).map_err(of(keys))
}

/// Destroys keys in a file that no process uses, as they were destroyed where the names come from.
pub fn destroy(keys: &Path, names: &[String]) -> Result<(), BackupError> {
    let mut db = crate::schema::open(keys).map_err(of(keys))?;
    let work = |db: &mut Connection| {
        let all = db.transaction()?;
        for name in names {
            all.execute("DELETE FROM keys WHERE name >= ?1 || '/' AND name < ?1 || '0'", [name])?;
            all.execute("INSERT OR REPLACE INTO keys (name, key) VALUES (?, NULL)", params![name])?;
        }
        all.commit()?;
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
    };
    work(&mut db).map_err(of(keys))
}
