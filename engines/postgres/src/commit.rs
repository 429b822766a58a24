//! A commit in one round trip. All statements of the transaction are sent without waiting for an answer; each is
//! written so that it *fails* where the commit must not happen, which makes the server refuse the rest. Which statement
//! failed says why.

use std::time::Duration;

use futures::future::join_all;
use kernel::Timestamp;
use store::{
    Commit, Core, CoreKey, Outcome, Parts, StoreError, Write,
    port::{Base, outbox_partition},
};
use tokio_postgres::{Statement, error::SqlState, types::ToSql};

use crate::{Client, PostgresEngine, unavailable};

/// After a cut connection nobody knows whether the commit happened, so even an id that no caller repeats is remembered
/// for as long as this engine itself sends it again.
const RESEND: Duration = Duration::from_mins(10);

pub(crate) type Param = Box<dyn ToSql + Sync + Send>;

/// Statements of one transaction, with their parameters.
#[derive(Default)]
pub(crate) struct Pipeline(Vec<(Statement, Vec<Param>)>);

impl Pipeline {
    pub(crate) async fn add(&mut self, client: &Client, sql: &str, with: Vec<Param>) -> Result<(), StoreError> {
        let statement = client.prepare_cached(sql).await.map_err(unavailable)?;
        self.0.push((statement, with));
        Ok(())
    }

    /// Sends all, in order, at once; the first error is why nothing happened.
    pub(crate) async fn run(self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let sent = self.0.iter().map(|(statement, with)| async move {
            let with: Vec<&(dyn ToSql + Sync)> = with.iter().map(|it| it.as_ref() as _).collect();
            client.execute(statement, &with).await
        });
        // Polled in order for the first time, and sent on that poll.
        join_all(sent).await.into_iter().collect::<Result<Vec<_>, _>>().map(drop)
    }
}

fn param(value: impl ToSql + Sync + Send + 'static) -> Param {
    Box::new(value)
}

fn of(key: &CoreKey) -> Vec<Param> {
    vec![param(key.space.as_str().to_owned()), param(key.kind.clone()), param(key.id.clone())]
}

pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

const MARK: &str = "INSERT INTO marks (space, kind, id, commit_id, until) VALUES ($1,$2,$3,$4,$5)";
const CREATE: &str = "INSERT INTO cores (space, kind, id, version, fence, deleted, body, parts, expires)
    VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)";
/// Fails by division where the guard does not hold.
const CHANGE: &str =
    "WITH guarded AS (UPDATE cores SET version=$4, fence=$5, deleted=$6, body=$7, parts=$8, expires=$9,
      changed=NULL WHERE space=$1 AND kind=$2 AND id=$3 AND version=$10 AND fence=$11 RETURNING 1)
    SELECT 1 / count(*) FROM guarded";
/// An import goes forward only; the same again is no error.
const IMPORT: &str = "WITH guarded AS (INSERT INTO cores (space, kind, id, version, fence, deleted, body, parts, expires)
      VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9) ON CONFLICT (space, kind, id) DO UPDATE SET version=excluded.version,
      fence=excluded.fence, deleted=excluded.deleted, body=excluded.body, parts=excluded.parts, expires=excluded.expires,
      changed=NULL WHERE (cores.version, cores.fence) <= (excluded.version, excluded.fence) RETURNING 1)
    SELECT 1 / count(*) FROM guarded";
/// What stays is not touched: no dead rows for an unchanged name or term.
const DROP_CLAIMS: &str = "DELETE FROM claims WHERE space=$1 AND kind=$2 AND id=$3 AND NOT claim = ANY($4::TEXT[])";
const ADD_CLAIMS: &str = "INSERT INTO claims (space, claim, kind, id) SELECT $1, it.claim, $2, $3
    FROM unnest($4::TEXT[]) AS it (claim)
    WHERE NOT EXISTS (SELECT 1 FROM claims c WHERE c.space=$1 AND c.claim=it.claim AND c.kind=$2 AND c.id=$3)";
const DROP_TERMS: &str = "DELETE FROM terms WHERE space=$1 AND kind=$2 AND id=$3 AND NOT EXISTS (SELECT 1
    FROM unnest($4::TEXT[], $5::TEXT[], $6::TEXT[]) AS it (idx, value, sort)
    WHERE it.idx=terms.idx AND it.value=terms.value AND it.sort=terms.sort)";
const ADD_TERMS: &str =
    "INSERT INTO terms (space, kind, id, idx, value, sort) SELECT $1, $2, $3, it.idx, it.value, it.sort
    FROM unnest($4::TEXT[], $5::TEXT[], $6::TEXT[]) AS it (idx, value, sort) ON CONFLICT DO NOTHING";
const DROP_TIMERS: &str = "DELETE FROM timers WHERE space=$1 AND kind=$2 AND id=$3 AND NOT name = ANY($4::TEXT[])";
const ADD_TIMERS: &str = "INSERT INTO timers (space, kind, id, name, due) SELECT $1, $2, $3, it.name, it.due
    FROM unnest($4::TEXT[], $5::BIGINT[]) AS it (name, due)
    ON CONFLICT (space, kind, id, name) DO UPDATE SET due = excluded.due";
const TELL: &str = "INSERT INTO outbox (part, space, kind, id, version, place, envelope)
    SELECT $4, $1, $2, $3, $5, it.place, it.envelope FROM unnest($6::INT[], $7::BYTEA[]) AS it (place, envelope)";

async fn derive(
    pipeline: &mut Pipeline,
    client: &Client,
    key: &CoreKey,
    parts: &Parts,
    fresh: bool,
) -> Result<(), StoreError> {
    // In one order everywhere, so that two commits cannot wait for each other's names.
    let mut claims: Vec<String> = parts.claims.iter().map(|claim| claim.0.clone()).collect();
    claims.sort();
    claims.dedup();
    let term = |pick: fn(&store::TermKey) -> &String| parts.terms.iter().map(pick).cloned().collect::<Vec<_>>();
    let terms = [term(|it| &it.index), term(|it| &it.value), term(|it| &it.sort)];
    let names: Vec<String> = parts.timers.iter().map(|timer| timer.name.clone()).collect();
    let dues: Vec<i64> = parts.timers.iter().map(|timer| timer.due.as_microsecond()).collect();
    let with = |more: Vec<Param>| of(key).into_iter().chain(more).collect();
    let three = || terms.iter().cloned().map(param).collect::<Vec<_>>();
    // A core that never was has nothing to drop.
    if !fresh {
        pipeline.add(client, DROP_CLAIMS, with(vec![param(claims.clone())])).await?;
        pipeline.add(client, DROP_TERMS, with(three())).await?;
        pipeline.add(client, DROP_TIMERS, with(vec![param(names.clone())])).await?;
    }
    if !claims.is_empty() {
        pipeline.add(client, ADD_CLAIMS, with(vec![param(claims)])).await?;
    }
    if !parts.terms.is_empty() {
        pipeline.add(client, ADD_TERMS, with(three())).await?;
    }
    if !names.is_empty() {
        pipeline.add(client, ADD_TIMERS, with(vec![param(names), param(dues)])).await?;
    }
    Ok(())
}

fn stored(
    key: &CoreKey,
    base: Base,
    body: Option<&[u8]>,
    parts: &Parts,
    expires: Option<Timestamp>,
) -> Result<Vec<Param>, StoreError> {
    let mut with = of(key);
    with.extend([param(number(base.version)), param(i64::from(base.fence)), param(body.is_none())]);
    with.extend([param(body.unwrap_or_default().to_vec()), param(parts.encode()?)]);
    with.push(param(expires.map(Timestamp::as_microsecond)));
    Ok(with)
}

async fn statements(client: &Client, commit: &Commit) -> Result<Pipeline, StoreError> {
    let (key, base) = (&commit.key, commit.base);
    let next = Base { version: base.version + 1, fence: base.fence };
    let (body, parts, expires) = match &commit.write {
        Write::Put { body, claims, terms, timers, expires } => {
            let parts = Parts { claims: claims.clone(), terms: terms.clone(), timers: timers.clone() };
            (Some(body.as_slice()), parts, *expires)
        }
        Write::Delete => (None, Parts::default(), None),
    };
    let mut pipeline = Pipeline::default();
    pipeline.add(client, "BEGIN", Vec::new()).await?;
    let remember = i64::try_from(commit.id.remember.max(RESEND).as_micros()).unwrap_or(i64::MAX);
    let mut mark = of(key);
    mark.extend([param(commit.id.bytes.to_vec()), param(commit.at.as_microsecond().saturating_add(remember))]);
    pipeline.add(client, MARK, mark).await?;
    let fresh = base == Base::default();
    let mut core = stored(key, next, body, &parts, expires)?;
    if !fresh {
        core.extend([param(number(base.version)), param(i64::from(base.fence))]);
    }
    pipeline.add(client, if fresh { CREATE } else { CHANGE }, core).await?;
    derive(&mut pipeline, client, key, &parts, fresh).await?;
    if !commit.events.is_empty() {
        let places: Vec<i32> = (0..).take(commit.events.len()).collect();
        let mut tell = of(key);
        tell.extend([param(i32::from(outbox_partition(key))), param(number(next.version))]);
        tell.extend([param(places), param(commit.events.clone())]);
        pipeline.add(client, TELL, tell).await?;
    }
    pipeline.add(client, "COMMIT", Vec::new()).await?;
    Ok(pipeline)
}

/// What a refused transaction means.
enum Refused {
    Already,
    Conflict,
    Taken,
    /// Serialization failure or deadlock: nothing happened, and the same may succeed now.
    Again,
    Unknown(StoreError),
}

fn refused(error: tokio_postgres::Error) -> Refused {
    let Some(told) = error.as_db_error() else { return Refused::Unknown(unavailable(error)) };
    match (told.code(), told.constraint()) {
        (&SqlState::UNIQUE_VIOLATION, Some("marks_pkey")) => Refused::Already,
        (&SqlState::UNIQUE_VIOLATION, Some("claims_pkey")) => Refused::Taken,
        (&SqlState::UNIQUE_VIOLATION, Some("cores_pkey")) | (&SqlState::DIVISION_BY_ZERO, _) => Refused::Conflict,
        (&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED, _) => Refused::Again,
        _ => Refused::Unknown(unavailable(error)),
    }
}

const ATTEMPTS: usize = 20;

impl PostgresEngine {
    /// The first of these names that another core holds now.
    async fn rival(&self, key: &CoreKey, claims: &[store::ClaimKey]) -> Result<Option<store::ClaimKey>, StoreError> {
        for claim in claims {
            if let Some((holder, _)) = store::Engine::find(self, &key.space, claim).await?
                && holder != *key
            {
                return Ok(Some(claim.clone()));
            }
        }
        Ok(None)
    }

    pub(crate) async fn apply(&self, commit: &Commit) -> Result<Outcome, StoreError> {
        for _ in 0..ATTEMPTS {
            let client = self.client().await?;
            let Err(error) = statements(&client, commit).await?.run(&client).await else { return Ok(Outcome::Done) };
            Self::close(&client).await;
            match refused(error) {
                Refused::Already => return Ok(Outcome::Already),
                Refused::Conflict => return Err(StoreError::Conflict),
                Refused::Unknown(error) => return Err(error),
                Refused::Again => {}
                Refused::Taken => {
                    drop(client);
                    let Write::Put { claims, .. } = &commit.write else { continue };
                    // A holder that let go in between is none: try again.
                    if let Some(claim) = self.rival(&commit.key, claims).await? {
                        return Err(StoreError::Taken(claim));
                    }
                }
            }
        }
        Err(StoreError::Unavailable(format!("refused {ATTEMPTS} times for other transactions")))
    }

    pub(crate) async fn take(&self, key: &CoreKey, core: &Core) -> Result<(), StoreError> {
        let parts = Parts::of(core);
        for _ in 0..ATTEMPTS {
            let client = self.client().await?;
            let mut pipeline = Pipeline::default();
            pipeline.add(&client, "BEGIN", Vec::new()).await?;
            pipeline.add(&client, IMPORT, stored(key, core.base, Some(&core.body), &parts, core.expires)?).await?;
            derive(&mut pipeline, &client, key, &parts, false).await?;
            pipeline.add(&client, "COMMIT", Vec::new()).await?;
            let Err(error) = pipeline.run(&client).await else { return Ok(()) };
            Self::close(&client).await;
            match refused(error) {
                Refused::Conflict | Refused::Already => return Err(StoreError::Conflict),
                Refused::Unknown(error) => return Err(error),
                Refused::Again => {}
                Refused::Taken => {
                    drop(client);
                    if let Some(claim) = self.rival(key, &parts.claims).await? {
                        return Err(StoreError::Taken(claim));
                    }
                }
            }
        }
        Err(StoreError::Unavailable(format!("refused {ATTEMPTS} times for other transactions")))
    }

    /// A pipeline always ends in COMMIT, which ends a refused transaction too; a connection that was cut is beyond help.
    async fn close(client: &Client) {
        drop(client.batch_execute("ROLLBACK").await);
    }
}
