//! The retained log. Positions are given under the lock of one row that is held until the commit: whoever sees a position
//! sees all below it, and no slow transaction can fill a place that a reader is past.

use async_trait::async_trait;
use events::{DeadLetter, Entry, Log, LogError, Logged};
use kernel::{Scope, Timestamp};
use store::{Space, StoreError};
use tokio_postgres::{Row, types::ToSql};

use crate::{
    PostgresEngine,
    commit::{Param, Pipeline, number},
    instant, limited, unavailable, version,
};

const PLACES: &str = "UPDATE log_head SET last = last + $1::BIGINT";
/// A statement of its own after the lock: it sees all that was committed before the lock was had.
const APPEND: &str = "INSERT INTO log (position, id, space, at, envelope)
    SELECT head.last - $1::BIGINT + it.place, it.id, it.space, extract(epoch FROM clock_timestamp())::BIGINT, it.envelope
    FROM log_head head, unnest($2::TEXT[], $3::TEXT[], $4::BYTEA[]) WITH ORDINALITY AS it (id, space, envelope, place)
    WHERE NOT EXISTS (SELECT 1 FROM gone WHERE gone.space = it.space) ON CONFLICT (id) DO NOTHING";
/// Whoever has not read yet is waited for. A reader of a single scope needs, and keeps, the events of that scope alone.
const TRIM: &str =
    "WITH common AS (SELECT coalesce(min(position), 0) AS passed FROM readers WHERE strpos(reader, '@') = 0),
      behind AS (SELECT substr(reader, strpos(reader, '@') + 1) AS space, min(position) AS passed
        FROM readers WHERE strpos(reader, '@') > 0 GROUP BY 1)
    DELETE FROM log WHERE position IN (
      SELECT l.position FROM log l LEFT JOIN behind ON behind.space = l.space WHERE l.at < $1
        AND l.position <= (SELECT passed FROM common) AND (behind.passed IS NULL OR l.position <= behind.passed)
      ORDER BY l.position LIMIT 10000)";

fn failed(error: impl std::fmt::Display) -> LogError {
    LogError(error.to_string())
}

fn logged(row: &Row) -> Logged {
    Logged { position: version(row, 0), envelope: row.get(1) }
}

impl PostgresEngine {
    async fn read_log(&self, sql: &str, with: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, LogError> {
        self.rows(sql, with).await.map_err(failed)
    }

    /// Statements of one transaction, which holds the log's lock.
    async fn locked(&self, places: usize, then: (&str, Vec<Param>)) -> Result<(), StoreError> {
        let client = self.client().await?;
        let mut pipeline = Pipeline::default();
        pipeline.add(&client, "BEGIN", Vec::new()).await?;
        pipeline.add(&client, PLACES, vec![Box::new(limited(places))]).await?;
        pipeline.add(&client, then.0, then.1).await?;
        pipeline.add(&client, "COMMIT", Vec::new()).await?;
        pipeline.run(&client).await.map_err(unavailable)
    }

    /// Gives up a scope for good: what a relay still holds of it stays out of the log. Repeatable.
    pub async fn give_up(&self, space: &Space) -> Result<(), StoreError> {
        let sql = "INSERT INTO gone (space) VALUES ($1) ON CONFLICT DO NOTHING";
        self.locked(0, (sql, vec![Box::new(space.as_str().to_owned())])).await
    }
}

#[async_trait]
impl Log for PostgresEngine {
    async fn append(&self, entries: Vec<Entry>) -> Result<(), LogError> {
        if entries.is_empty() {
            return Ok(());
        }
        let count = entries.len();
        let (mut ids, mut spaces, mut envelopes) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            ids.push(entry.id);
            spaces.push(entry.scope.to_string());
            envelopes.push(entry.envelope);
        }
        let with: Vec<Param> = vec![Box::new(limited(count)), Box::new(ids), Box::new(spaces), Box::new(envelopes)];
        self.locked(count, (APPEND, with)).await.map_err(failed)
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Logged>, LogError> {
        let sql = "SELECT position, envelope FROM log WHERE position > $1 ORDER BY position LIMIT $2";
        Ok(self.read_log(sql, &[&number(after), &limited(limit)]).await?.iter().map(logged).collect())
    }

    async fn read_of(&self, scope: Scope, after: u64, limit: usize) -> Result<Vec<Logged>, LogError> {
        let sql = "SELECT position, envelope FROM log WHERE space = $1 AND position > $2 ORDER BY position LIMIT $3";
        let rows = self.read_log(sql, &[&scope.to_string(), &number(after), &limited(limit)]).await?;
        Ok(rows.iter().map(logged).collect())
    }

    async fn position(&self, reader: &str) -> Result<u64, LogError> {
        let rows = self.read_log("SELECT position FROM readers WHERE reader = $1", &[&reader]).await?;
        Ok(rows.first().map_or(0, |row| version(row, 0)))
    }

    async fn advance(&self, reader: &str, position: u64) -> Result<(), LogError> {
        let sql = "INSERT INTO readers (reader, position) VALUES ($1, $2)
                   ON CONFLICT (reader) DO UPDATE SET position = excluded.position";
        self.read_log(sql, &[&reader, &number(position)]).await.map(drop)
    }

    async fn readers(&self, prefix: &str) -> Result<Vec<(String, u64)>, LogError> {
        let sql = "SELECT reader, position FROM readers WHERE left(reader, length($1::TEXT)) = $1 ORDER BY reader";
        let rows = self.read_log(sql, &[&prefix]).await?;
        Ok(rows.iter().map(|row| (row.get(0), version(row, 1))).collect())
    }

    async fn dismiss(&self, reader: &str) -> Result<(), LogError> {
        self.read_log("DELETE FROM readers WHERE reader = $1", &[&reader]).await.map(drop)
    }

    async fn head(&self) -> Result<u64, LogError> {
        let rows = self.read_log("SELECT coalesce(max(position), 0) FROM log", &[]).await?;
        Ok(rows.first().map_or(0, |row| version(row, 0)))
    }

    async fn bury(&self, letter: DeadLetter) -> Result<(), LogError> {
        let sql = "INSERT INTO buried (reader, position, reason, at) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (reader, position) DO UPDATE SET reason = excluded.reason, at = excluded.at";
        let with: [&(dyn ToSql + Sync); 4] =
            [&letter.reader, &number(letter.position), &letter.reason, &letter.at.as_microsecond()];
        self.read_log(sql, &with).await.map(drop)
    }

    async fn buried(&self, limit: usize) -> Result<Vec<DeadLetter>, LogError> {
        let sql = "SELECT reader, position, reason, at FROM buried ORDER BY at DESC LIMIT $1";
        let letter = |row: &Row| DeadLetter {
            reader: row.get(0),
            position: version(row, 1),
            reason: row.get(2),
            at: instant(row.get(3)),
        };
        Ok(self.read_log(sql, &[&limited(limit)]).await?.iter().map(letter).collect())
    }

    async fn exhume(&self, reader: &str, position: u64) -> Result<(), LogError> {
        let sql = "DELETE FROM buried WHERE reader = $1 AND position = $2";
        self.read_log(sql, &[&reader, &number(position)]).await.map(drop)
    }

    async fn trim(&self, before: Timestamp) -> Result<u64, LogError> {
        let client = self.client().await.map_err(failed)?;
        let trim = client.prepare_cached(TRIM).await.map_err(failed)?;
        client.execute(&trim, &[&before.as_second()]).await.map_err(failed)
    }

    async fn erase(&self, scope: Scope) -> Result<(), LogError> {
        self.read_log("DELETE FROM log WHERE space = $1", &[&scope.to_string()]).await.map(drop)
    }
}
