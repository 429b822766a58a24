//! The aggregate store and the retained log on PostgreSQL and CockroachDB. A commit is one round trip; serialization failures are retried;
//! the relay's lease is a row whose epoch is checked in the transaction that forgets.

mod commit;
mod connect;
mod log;
mod schema;
mod tls;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use commit::{Pipeline, number};
use kernel::Timestamp;
use store::{
    Base, Change, ClaimKey, Commit, Core, CoreKey, DueTimer, Engine, Epoch, Hit, Outbox, OutboxEvent, Outcome, Parts,
    Scan, Space, StoreError, TimerKey, Upkeep,
};
use tokio::sync::Notify;
use tokio_postgres::{Row, error::SqlState, types::ToSql};

pub use connect::{Finding, Sole, inspect};

pub(crate) type Client = deadpool_postgres::Object;

/// One database as an engine of the store.
pub struct PostgresEngine {
    pool: deadpool_postgres::Pool,
    waiting: Arc<Notify>,
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn unavailable(error: tokio_postgres::Error) -> StoreError {
    let told = error.as_db_error().map(|it| format!("{} ({})", it.message(), it.code().code()));
    StoreError::Unavailable(told.unwrap_or_else(|| error.to_string()))
}

fn instant(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn version(row: &Row, at: usize) -> u64 {
    u64::try_from(row.get::<_, i64>(at)).unwrap_or_default()
}

fn base_of(row: &Row, at: usize) -> Base {
    Base { version: version(row, at), fence: u32::try_from(row.get::<_, i64>(at + 1)).unwrap_or(u32::MAX) }
}

/// From `version, fence, body, parts, expires`, beginning at a column.
fn core_of(row: &Row, at: usize) -> Result<Core, StoreError> {
    let Parts { claims, terms, timers } = Parts::decode(row.get(at + 3))?;
    let expires = row.get::<_, Option<i64>>(at + 4).map(instant);
    Ok(Core { base: base_of(row, at), body: row.get(at + 2), claims, terms, timers, expires })
}

fn key_of(space: &Space, row: &Row, at: usize) -> CoreKey {
    CoreKey { space: space.clone(), kind: row.get(at), id: row.get(at + 1) }
}

impl PostgresEngine {
    /// Connects with a connection string or URL (`postgresql://user@host:port/database`), keeps at most `connections`,
    /// and creates the tables that are missing.
    pub async fn connect(url: &str, connections: usize) -> Result<Self, StoreError> {
        let engine = Self { pool: connect::pool(url, connections)?, waiting: Arc::default() };
        schema::create(&engine.client().await?).await?;
        Ok(engine)
    }

    /// Wakes whoever moves events into the log.
    pub fn waiting(&self) -> Arc<Notify> {
        Arc::clone(&self.waiting)
    }

    pub(crate) async fn client(&self) -> Result<Client, StoreError> {
        self.pool.get().await.map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    async fn rows(&self, sql: &str, with: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StoreError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(sql).await.map_err(unavailable)?;
        client.query(&statement, with).await.map_err(unavailable)
    }

    /// Gives positions to changes that have none yet. They get theirs here, under the lock of one row and after they
    /// were committed, and not when they were written: a slow commit would get a place that readers are already past.
    async fn place_changes(&self, space: &Space, limit: usize) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let tx = client.transaction().await.map_err(unavailable)?;
        let waiting = "SELECT 1 FROM cores WHERE space=$1 AND changed IS NULL LIMIT 1";
        if tx.query_opt(waiting, &[&space.as_str()]).await.map_err(unavailable)?.is_none() {
            return Ok(());
        }
        let last: i64 = tx.query_one("SELECT last FROM feed FOR UPDATE", &[]).await.map_err(unavailable)?.get(0);
        let place = "WITH fresh AS (SELECT kind, id, row_number() OVER (ORDER BY kind, id) AS place FROM cores
                       WHERE space=$1 AND changed IS NULL ORDER BY kind, id LIMIT $3)
                     UPDATE cores SET changed = $2::BIGINT + fresh.place FROM fresh
                     WHERE cores.space=$1 AND cores.kind=fresh.kind AND cores.id=fresh.id AND cores.changed IS NULL";
        tx.execute(place, &[&space.as_str(), &last, &limited(limit)]).await.map_err(unavailable)?;
        tx.execute("UPDATE feed SET last = last + $1::BIGINT", &[&limited(limit)]).await.map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)
    }
}

#[async_trait]
impl Engine for PostgresEngine {
    async fn get(&self, key: &CoreKey) -> Result<Option<Core>, StoreError> {
        let sql = "SELECT version, fence, body, parts, expires FROM cores WHERE space=$1 AND kind=$2 AND id=$3 AND NOT deleted";
        let rows = self.rows(sql, &[&key.space.as_str(), &key.kind, &key.id]).await?;
        rows.first().map(|row| core_of(row, 0)).transpose()
    }

    async fn base(&self, key: &CoreKey) -> Result<Base, StoreError> {
        let sql = "SELECT version, fence FROM cores WHERE space=$1 AND kind=$2 AND id=$3";
        let rows = self.rows(sql, &[&key.space.as_str(), &key.kind, &key.id]).await?;
        Ok(rows.first().map(|row| base_of(row, 0)).unwrap_or_default())
    }

    async fn find(&self, space: &Space, claim: &ClaimKey) -> Result<Option<(CoreKey, Core)>, StoreError> {
        let sql = "SELECT c.kind, c.id, c.version, c.fence, c.body, c.parts, c.expires FROM claims h
                   JOIN cores c ON c.space=h.space AND c.kind=h.kind AND c.id=h.id
                   WHERE h.space=$1 AND h.claim=$2 AND NOT c.deleted";
        let rows = self.rows(sql, &[&space.as_str(), &claim.0]).await?;
        rows.first().map(|row| Ok((key_of(space, row, 0), core_of(row, 2)?))).transpose()
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Hit>, StoreError> {
        let (than, order) = if scan.newest_first { ("<", "DESC") } else { (">", "ASC") };
        let from = if scan.after.is_some() { format!("AND (t.sort, t.id) {than} ($6, $7)") } else { String::new() };
        let sql = format!(
            "SELECT t.sort, t.id, c.version, c.fence, c.body, c.parts, c.expires FROM terms t
             JOIN cores c ON c.space=t.space AND c.kind=t.kind AND c.id=t.id
             WHERE t.space=$1 AND t.kind=$2 AND t.idx=$3 AND t.value=$4 {from}
             ORDER BY t.sort {order}, t.id {order} LIMIT $5"
        );
        let limit = limited(scan.limit);
        let space = scan.space.as_str();
        let mut with: Vec<&(dyn ToSql + Sync)> = vec![&space, &scan.kind, &scan.index, &scan.value, &limit];
        if let Some((sort, id)) = &scan.after {
            with.extend([sort as &(dyn ToSql + Sync), id]);
        }
        let rows = self.rows(&sql, &with).await?;
        rows.iter().map(|row| Ok(Hit { sort: row.get(0), id: row.get(1), core: core_of(row, 2)? })).collect()
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        commit.check()?;
        let outcome = self.apply(&commit).await?;
        if !commit.events.is_empty() {
            self.waiting.notify_one();
        }
        Ok(outcome)
    }

    async fn changed_since(&self, space: &Space, cursor: u64, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.place_changes(space, limit).await?;
        let sql =
            "SELECT changed, kind, id, version FROM cores WHERE space=$1 AND changed > $2 ORDER BY changed LIMIT $3";
        let rows = self.rows(sql, &[&space.as_str(), &number(cursor), &limited(limit)]).await?;
        let change =
            |row: &Row| Change { cursor: version(row, 0), key: key_of(space, row, 1), version: version(row, 3) };
        Ok(rows.iter().map(change).collect())
    }

    async fn export(
        &self,
        space: &Space,
        after: Option<&CoreKey>,
        limit: usize,
    ) -> Result<Vec<(CoreKey, Core)>, StoreError> {
        let (kind, id) = after.map_or(("", ""), |key| (key.kind.as_str(), key.id.as_str()));
        let sql = "SELECT kind, id, version, fence, body, parts, expires FROM cores
                   WHERE space=$1 AND NOT deleted AND (kind, id) > ($2, $3) ORDER BY kind, id LIMIT $4";
        let rows = self.rows(sql, &[&space.as_str(), &kind, &id, &limited(limit)]).await?;
        rows.iter().map(|row| Ok((key_of(space, row, 0), core_of(row, 2)?))).collect()
    }

    async fn import(&self, key: &CoreKey, core: Core) -> Result<(), StoreError> {
        self.take(key, &core).await
    }

    async fn erase(&self, space: &Space) -> Result<u64, StoreError> {
        let mut client = self.client().await?;
        let tx = client.transaction().await.map_err(unavailable)?;
        for table in ["claims", "terms", "timers", "marks", "outbox"] {
            let sql = format!("DELETE FROM {table} WHERE space=$1");
            tx.execute(&sql, &[&space.as_str()]).await.map_err(unavailable)?;
        }
        let cores = tx.execute("DELETE FROM cores WHERE space=$1", &[&space.as_str()]).await.map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)?;
        Ok(cores)
    }
}

#[async_trait]
impl Upkeep for PostgresEngine {
    async fn due(&self, space: Option<&Space>, now: Timestamp, limit: usize) -> Result<Vec<DueTimer>, StoreError> {
        let sql = if space.is_some() {
            "SELECT space, kind, id, name, due FROM timers WHERE due <= $1 AND space=$3 ORDER BY due, kind, id LIMIT $2"
        } else {
            "SELECT space, kind, id, name, due FROM (SELECT *, row_number() OVER (PARTITION BY space ORDER BY due, kind, id)
               AS turn FROM timers WHERE due <= $1) AS it ORDER BY turn, due, space, kind, id LIMIT $2"
        };
        let (now, limit, space) = (now.as_microsecond(), limited(limit), space.map(Space::as_str));
        let mut with: Vec<&(dyn ToSql + Sync)> = vec![&now, &limit];
        with.extend(space.as_ref().map(|space| space as &(dyn ToSql + Sync)));
        let due = |row: &Row| {
            let timer = TimerKey { name: row.get(3), due: instant(row.get(4)) };
            Space::parse(row.get(0)).map(|space| DueTimer { key: key_of(&space, row, 1), timer })
        };
        Ok(self.rows(sql, &with).await?.iter().filter_map(due).collect())
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let now = now.as_microsecond();
        let mut client = self.client().await?;
        client.execute("DELETE FROM marks WHERE until < $1", &[&now]).await.map_err(unavailable)?;
        let tx = client.transaction().await.map_err(unavailable)?;
        let ended = "SELECT space, kind, id FROM cores WHERE expires < $1 LIMIT $2 FOR UPDATE";
        let ended = tx.query(ended, &[&now, &limited(limit)]).await.map_err(unavailable)?;
        let column = |at: usize| ended.iter().map(|row| row.get(at)).collect::<Vec<String>>();
        let (spaces, kinds, ids) = (column(0), column(1), column(2));
        for table in ["claims", "terms", "timers", "cores"] {
            let sql = format!(
                "DELETE FROM {table} WHERE (space, kind, id) IN
                   (SELECT it.space, it.kind, it.id FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[]) AS it (space, kind, id))"
            );
            tx.execute(&sql, &[&spaces, &kinds, &ids]).await.map_err(unavailable)?;
        }
        tx.commit().await.map_err(unavailable)?;
        Ok(ended.len() as u64)
    }

    async fn repair(&self, _now: Timestamp, _grace: Duration) -> Result<u64, StoreError> {
        Ok(0)
    }
}

#[async_trait]
impl Outbox for PostgresEngine {
    async fn lease(&self, partition: u16, holder: &str, lasting: Duration) -> Result<Option<Epoch>, StoreError> {
        // By the server's clock, which all holders share.
        let sql = "INSERT INTO leases (part, holder, epoch, until)
                   VALUES ($1, $2, 1, clock_timestamp() + $3::DOUBLE PRECISION * INTERVAL '1 second')
                   ON CONFLICT (part) DO UPDATE SET holder = excluded.holder, until = excluded.until,
                     epoch = leases.epoch + CASE WHEN leases.holder = excluded.holder
                                                  AND leases.until > clock_timestamp() THEN 0 ELSE 1 END
                   WHERE leases.holder = excluded.holder OR leases.until <= clock_timestamp() RETURNING epoch";
        let rows = self.rows(sql, &[&i32::from(partition), &holder, &lasting.as_secs_f64()]).await?;
        Ok(rows.first().map(|row| version(row, 0)))
    }

    async fn pending(&self, partition: u16, limit: usize) -> Result<Vec<OutboxEvent>, StoreError> {
        let sql = "SELECT space, kind, id, version, place, envelope FROM outbox WHERE part=$1
                   ORDER BY space, kind, id, version, place LIMIT $2";
        let event = |row: &Row| {
            let place = u32::try_from(row.get::<_, i32>(4)).unwrap_or_default();
            let waiting = |space| (key_of(&space, row, 1), version(row, 3));
            Space::parse(row.get(0)).map(waiting).map(|(key, version)| OutboxEvent {
                key,
                version,
                place,
                envelope: row.get(5),
            })
        };
        Ok(self.rows(sql, &[&i32::from(partition), &limited(limit)]).await?.iter().filter_map(event).collect())
    }

    async fn relayed(&self, partition: u16, epoch: Epoch, events: &[OutboxEvent]) -> Result<(), StoreError> {
        let client = self.client().await?;
        let mut pipeline = Pipeline::default();
        pipeline.add(&client, "BEGIN", Vec::new()).await?;
        // The row is the lock and the fence: nobody can take the lease before this transaction ends.
        let held =
            "WITH held AS (UPDATE leases SET until = until WHERE part=$1 AND epoch=$2 AND until > clock_timestamp()
                    RETURNING 1) SELECT 1 / count(*) FROM held";
        pipeline.add(&client, held, vec![Box::new(i32::from(partition)), Box::new(number(epoch))]).await?;
        let forget = "DELETE FROM outbox WHERE part=$1 AND (space, kind, id, version, place) IN
                      (SELECT it.space, it.kind, it.id, it.version, it.place FROM unnest($2::TEXT[], $3::TEXT[], $4::TEXT[],
                       $5::BIGINT[], $6::INT[]) AS it (space, kind, id, version, place))";
        let text = |pick: fn(&OutboxEvent) -> &str| events.iter().map(|it| pick(it).to_owned()).collect::<Vec<_>>();
        let versions: Vec<i64> = events.iter().map(|it| number(it.version)).collect();
        let places: Vec<i32> = events.iter().map(|it| i32::try_from(it.place).unwrap_or(i32::MAX)).collect();
        let (spaces, kinds, ids) = (text(|it| it.key.space.as_str()), text(|it| &it.key.kind), text(|it| &it.key.id));
        let with: Vec<commit::Param> = vec![
            Box::new(i32::from(partition)),
            Box::new(spaces),
            Box::new(kinds),
            Box::new(ids),
            Box::new(versions),
            Box::new(places),
        ];
        pipeline.add(&client, forget, with).await?;
        pipeline.add(&client, "COMMIT", Vec::new()).await?;
        pipeline.run(&client).await.map_err(|error| match error.code() {
            Some(&SqlState::DIVISION_BY_ZERO) => StoreError::Conflict,
            _ => unavailable(error),
        })
    }
}
