//! The retained log, in the file of the store: commits write to it themselves. [`Log::append`] serves events that come
//! from elsewhere, which bring an id.

use async_trait::async_trait;
use events::{DeadLetter, Entry, Log, LogError, Logged};
use kernel::{Scope, Timestamp};
use rusqlite::{OptionalExtension, params};

use crate::{SqliteEngine, unavailable};

pub(crate) const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS log (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT,
      space TEXT NOT NULL, at INTEGER NOT NULL DEFAULT (unixepoch()), envelope BLOB NOT NULL);
    CREATE UNIQUE INDEX IF NOT EXISTS log_id ON log (id) WHERE id IS NOT NULL;
    CREATE INDEX IF NOT EXISTS log_space ON log (space, position);
    CREATE TABLE IF NOT EXISTS readers (reader TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS buried (reader TEXT NOT NULL, position INTEGER NOT NULL, reason TEXT NOT NULL,
      at INTEGER NOT NULL, PRIMARY KEY (reader, position)) WITHOUT ROWID;";

/// The log is in the same file: no outbox, no relay, and no event of a slow commit can be overtaken.
pub(crate) fn tell(db: &rusqlite::Connection, commit: &store::Commit) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached("INSERT INTO log (space, envelope) VALUES (?,?)")?;
    for envelope in &commit.events {
        insert.execute(params![commit.key.space.as_str(), envelope])?;
    }
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> LogError {
    LogError(error.to_string())
}

fn logged(row: &rusqlite::Row<'_>) -> rusqlite::Result<Logged> {
    Ok(Logged { position: row.get(0)?, envelope: row.get(1)? })
}

impl SqliteEngine {
    async fn log_write(
        &self,
        lane: &str,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), LogError> {
        self.writer.run(lane, move |db| work(db).map_err(|error| unavailable(&error))).await.map_err(failed)
    }
}

#[async_trait]
impl Log for SqliteEngine {
    async fn append(&self, entries: Vec<Entry>) -> Result<(), LogError> {
        self.log_write("log", move |db| {
            // What a relay still held when its scope was erased stays out.
            let sql = "INSERT OR IGNORE INTO log (id, space, envelope) SELECT ?1, ?2, ?3
                       WHERE NOT EXISTS (SELECT 1 FROM homes WHERE space=?2 AND state='gone')";
            let mut insert = db.prepare_cached(sql)?;
            for entry in &entries {
                insert.execute(params![entry.id, entry.scope.to_string(), entry.envelope])?;
            }
            Ok(())
        })
        .await
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Logged>, LogError> {
        let read = self.reads.many(move |db| {
            let sql = "SELECT position, envelope FROM log WHERE position > ? ORDER BY position LIMIT ?";
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map(params![after, limit], logged)?;
            rows.collect()
        });
        read.await.map_err(failed)
    }

    async fn read_of(&self, scope: Scope, after: u64, limit: usize) -> Result<Vec<Logged>, LogError> {
        let read = self.reads.many(move |db| {
            let sql = "SELECT position, envelope FROM log WHERE space = ? AND position > ? ORDER BY position LIMIT ?";
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map(params![scope.to_string(), after, limit], logged)?;
            rows.collect()
        });
        read.await.map_err(failed)
    }

    async fn readers(&self, prefix: &str) -> Result<Vec<(String, u64)>, LogError> {
        let prefix = prefix.to_owned();
        let read = self.reads.many(move |db| {
            let mut statement =
                db.prepare_cached("SELECT reader, position FROM readers WHERE substr(reader, 1, ?) = ?")?;
            let rows =
                statement.query_map(params![prefix.chars().count(), prefix], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        });
        read.await.map_err(failed)
    }

    async fn dismiss(&self, reader: &str) -> Result<(), LogError> {
        let of = reader.to_owned();
        let work = |db: &rusqlite::Connection| {
            db.prepare_cached("DELETE FROM readers WHERE reader = ?")?.execute([of]).map(drop)
        };
        self.log_write(reader, work).await
    }

    async fn position(&self, reader: &str) -> Result<u64, LogError> {
        let reader = reader.to_owned();
        let read = self.reads.many(move |db| {
            let sql = "SELECT position FROM readers WHERE reader=?";
            db.prepare_cached(sql)?.query_row([reader], |row| row.get(0)).optional()
        });
        read.await.map(Option::unwrap_or_default).map_err(failed)
    }

    async fn advance(&self, reader: &str, position: u64) -> Result<(), LogError> {
        let of = reader.to_owned();
        self.log_write(reader, move |db| {
            let sql = "INSERT OR REPLACE INTO readers (reader, position) VALUES (?,?)";
            db.prepare_cached(sql)?.execute(params![of, position]).map(drop)
        })
        .await
    }

    async fn head(&self) -> Result<u64, LogError> {
        let read = self.reads.many(|db| {
            db.prepare_cached("SELECT coalesce(max(position), 0) FROM log")?.query_row([], |row| row.get(0))
        });
        read.await.map_err(failed)
    }

    async fn bury(&self, letter: DeadLetter) -> Result<(), LogError> {
        let lane = letter.reader.clone();
        self.log_write(&lane, move |db| {
            let sql = "INSERT OR REPLACE INTO buried (reader, position, reason, at) VALUES (?,?,?,?)";
            let at = letter.at.as_microsecond();
            db.prepare_cached(sql)?.execute(params![letter.reader, letter.position, letter.reason, at]).map(drop)
        })
        .await
    }

    async fn buried(&self, limit: usize) -> Result<Vec<DeadLetter>, LogError> {
        let read = self.reads.many(move |db| {
            let sql = "SELECT reader, position, reason, at FROM buried ORDER BY at DESC LIMIT ?";
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map([limit], |row| {
                let at = Timestamp::from_microsecond(row.get(3)?).unwrap_or(Timestamp::MAX);
                Ok(DeadLetter { reader: row.get(0)?, position: row.get(1)?, reason: row.get(2)?, at })
            })?;
            rows.collect()
        });
        read.await.map_err(failed)
    }

    async fn exhume(&self, reader: &str, position: u64) -> Result<(), LogError> {
        let of = reader.to_owned();
        self.log_write(reader, move |db| {
            let sql = "DELETE FROM buried WHERE reader=? AND position=?";
            db.prepare_cached(sql)?.execute(params![of, position]).map(drop)
        })
        .await
    }

    async fn trim(&self, before: Timestamp) -> Result<u64, LogError> {
        // Whoever has not read yet is waited for: a reader that is slow loses nothing. One of a single scope needs, and
        // keeps, the events of that scope alone.
        let work = move |db: &rusqlite::Connection| {
            let sql = "
                WITH common AS (SELECT coalesce(min(position), 0) AS passed FROM readers WHERE instr(reader, '@') = 0),
                  behind AS MATERIALIZED (SELECT substr(reader, instr(reader, '@') + 1) AS space, min(position) AS passed
                    FROM readers WHERE instr(reader, '@') > 0 GROUP BY 1)
                DELETE FROM log WHERE position IN (
                  SELECT position FROM log LEFT JOIN behind USING (space) WHERE at < ?
                    AND position <= (SELECT passed FROM common) AND (behind.passed IS NULL OR position <= behind.passed)
                  ORDER BY position LIMIT 10000)";
            db.execute(sql, [before.as_second()]).map(|count| count as u64)
        };
        self.writer.run("trim", move |db| work(db).map_err(|error| unavailable(&error))).await.map_err(failed)
    }

    async fn erase(&self, scope: Scope) -> Result<(), LogError> {
        let space = scope.to_string();
        let lane = space.clone();
        self.log_write(&lane, move |db| db.execute("DELETE FROM log WHERE space=?", [space]).map(drop)).await
    }
}
