//! Copies of the files of an installation, taken as one cut while it runs, and what proves a copy.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ring::digest::{Context, SHA256};
use rusqlite::{Connection, OpenFlags, backup::Backup, params};
use serde::{Deserialize, Serialize};
use store::Space;

use crate::{
    placement::{self, State},
    shards::{HOMES, STORE},
};

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

/// What was copied of the files that belong to one scope each, by their names below the folder of the data.
#[derive(Debug, Default)]
pub struct Copied {
    /// These.
    pub homes: Vec<String>,
    /// Not these, which are broken. The backup is good for all others.
    pub left_out: Vec<(String, BackupError)>,
}

/// Waits for whoever writes to a file, and lets nobody else.
fn locked(file: &Path) -> Result<Connection, BackupError> {
    let db = existing(file)?;
    db.execute_batch("BEGIN IMMEDIATE").map_err(of(file))?;
    Ok(db)
}

/// A snapshot begins with the first read.
fn snapshot(file: &Path) -> Result<Connection, BackupError> {
    let db = existing(file)?;
    db.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;").map_err(of(file))?;
    Ok(db)
}

fn copy(snapshot: &Connection, to: &Path) -> Result<(), BackupError> {
    let mut copy = Connection::open(to).map_err(of(to))?;
    let pages = Backup::new(snapshot, &mut copy).map_err(of(to))?;
    pages.run_to_completion(PAGES, Duration::ZERO, None).map_err(of(to))?;
    drop(pages);
    // One file, which can be read from a medium that cannot be written.
    copy.pragma_update(None, "journal_mode", "DELETE").map_err(of(to))?;
    copy.close().map_err(|(_, error)| of(to)(error))?;
    std::fs::File::open(to).and_then(|file| file.sync_all()).map_err(|error| failed(to, &error))
}

fn failed(file: &Path, error: &std::io::Error) -> BackupError {
    BackupError::Damaged { file: file.display().to_string(), what: error.to_string() }
}

/// Copies the store with the files that belong to one scope each, and others, as they stood at one instant. For a moment
/// no process can commit to any of them: the write locks of all are held until a snapshot of each is open. The copying
/// itself holds up nobody.
pub fn copy_together(data: &Path, to: &Path, others: &[(PathBuf, PathBuf)]) -> Result<Copied, BackupError> {
    let mut files = vec![(data.join(STORE), to.join(STORE))];
    files.extend_from_slice(others);
    let mut copied = Copied::default();
    // The store first: while it is locked, no such file is made, and none is given up.
    let store = locked(&data.join(STORE))?;
    let names = homes_of(&store).map_err(of(&data.join(STORE)))?;
    let mut barrier = others.iter().map(|(from, _)| locked(from)).collect::<Result<Vec<_>, _>>()?;
    for name in names {
        match locked(&data.join(&name)) {
            Ok(lock) => {
                barrier.push(lock);
                copied.homes.push(name);
            }
            Err(error) => copied.left_out.push((name, error)),
        }
    }
    let snapshots = files.iter().map(|(from, _)| snapshot(from)).collect::<Result<Vec<_>, _>>()?;
    let homes: Vec<_> = copied.homes.drain(..).map(|name| (snapshot(&data.join(&name)), name)).collect();
    drop((store, barrier));
    for ((_, to), snapshot) in files.iter().zip(&snapshots) {
        copy(snapshot, to)?;
    }
    let folder = to.join(HOMES);
    if !homes.is_empty() {
        std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    }
    for (opened, name) in homes {
        let target = to.join(&name);
        match opened.and_then(|snapshot| copy(&snapshot, &target)).and_then(|()| check(&target)) {
            Ok(()) => copied.homes.push(name),
            Err(error) => {
                drop(std::fs::remove_file(&target));
                copied.left_out.push((name, error));
            }
        }
    }
    Ok(copied)
}

/// The files that belong to one scope each, by their names below the folder of the data. What a store says of them; they
/// may be missing.
pub fn homes(store: &Path) -> Result<Vec<String>, BackupError> {
    homes_of(&existing(store)?).map_err(of(store))
}

fn homes_of(store: &Connection) -> rusqlite::Result<Vec<String>> {
    if !store.table_exists(None, "homes")? {
        return Ok(Vec::new());
    }
    let made = placement::all(store)?.into_iter().filter(|(_, placement)| placement.state == State::Made);
    Ok(made.map(|(space, placement)| format!("{HOMES}/{}", placement::file_name(&space, placement.epoch))).collect())
}

/// Whether a name can be that of such a file, and of none outside their folder.
pub fn is_home(name: &str) -> bool {
    let parts = name.strip_prefix(HOMES).and_then(|name| name.strip_prefix('/')?.strip_suffix(".sqlite"));
    parts.and_then(|name| name.rsplit_once('.')).is_some_and(|(space, epoch)| {
        epoch.parse().is_ok_and(|epoch: u64| {
            Space::parse(space).is_some_and(|it| name.ends_with(&format!("/{}", placement::file_name(&it, epoch))))
        })
    })
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

/// The digest of a store in a folder, with the files that belong to one scope each.
pub fn digest(folder: &Path, homes: &[String]) -> Result<StoreDigest, BackupError> {
    let (mut digest, mut counted) = (Context::new(&SHA256), (0, 0));
    let names = [STORE].into_iter().chain(homes.iter().map(String::as_str));
    for name in names {
        let file = folder.join(name);
        digest_of(&existing(&file)?, &mut digest, &mut counted).map_err(of(&file))?;
    }
    let sha256 = data_encoding::HEXLOWER.encode(digest.finish().as_ref());
    Ok(StoreDigest { aggregates: counted.0, events: counted.1, sha256 })
}

fn digest_of(db: &Connection, digest: &mut Context, counted: &mut (u64, u64)) -> rusqlite::Result<()> {
    let sql =
        "SELECT space, kind, id, version, fence, deleted, body, parts, expires FROM cores ORDER BY space, kind, id";
    let mut cores = db.prepare(sql)?;
    let mut rows = cores.query([])?;
    while let Some(row) = rows.next()? {
        for column in 0..3 {
            feed(digest, row.get_ref(column)?.as_bytes()?);
        }
        for column in 3..6 {
            feed(digest, &row.get::<_, i64>(column)?.to_be_bytes());
        }
        feed(digest, row.get_ref(6)?.as_bytes()?);
        feed(digest, row.get_ref(7)?.as_bytes()?);
        feed(digest, &row.get::<_, Option<i64>>(8)?.unwrap_or(-1).to_be_bytes());
        counted.0 += u64::from(!row.get::<_, bool>(5)?);
    }
    // Events stand in the log of the common file, or wait in the outbox of another.
    for (table, sql) in [
        ("log", "SELECT position, space, envelope FROM log ORDER BY position"),
        ("outbox", "SELECT version, id, envelope FROM outbox ORDER BY partition, kind, id, version, place"),
    ] {
        if !db.table_exists(None, table)? {
            continue;
        }
        let mut events = db.prepare(sql)?;
        let mut rows = events.query([])?;
        while let Some(row) = rows.next()? {
            feed(digest, &row.get::<_, i64>(0)?.to_be_bytes());
            feed(digest, row.get_ref(1)?.as_bytes()?);
            feed(digest, row.get_ref(2)?.as_bytes()?);
            counted.1 += 1;
        }
    }
    if db.table_exists(None, "homes")? {
        for (space, placement) in placement::all(db)? {
            feed(digest, format!("{}/{}/{}", space.as_str(), placement.epoch, placement.state.name()).as_bytes());
        }
    }
    Ok(())
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
    let mut db = crate::schema::open(keys, crate::schema::Cache::Large).map_err(of(keys))?;
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
