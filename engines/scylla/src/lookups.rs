//! What is derived from cores: terms, timers, the directory, the sets of changed cores and of cores with events.

use futures::future::try_join_all;
use store::{CoreKey, Hit, Parts, Scan, StoreError, TermKey, TimerKey, port::outbox_partition};

use crate::{
    ScyllaEngine,
    cql::{Statements, Value, big, int, text},
    state::{ENDS, State, of},
};

/// Partitions of the directory of one space.
pub(crate) const SHARDS: i32 = 4;
/// The queue of timers has a half for timers and one for the ends of ephemeral cores.
pub(crate) const ENDS_FROM: i32 = 8;

pub(crate) fn shard(key: &CoreKey) -> i32 {
    i32::from(outbox_partition(key)) % SHARDS
}

fn queue(key: &CoreKey, timer: &TimerKey) -> i32 {
    i32::from(outbox_partition(key)) + if timer.name == ENDS { ENDS_FROM } else { 0 }
}

fn term_statement(key: &CoreKey, term: &TermKey, there: bool, ts: i64) -> (&'static str, Vec<Value>) {
    let space = text(key.space.as_str());
    let place = [text(&key.kind), text(&term.index), text(&term.value), text(&term.sort), text(&key.id)];
    if there {
        let sql = "INSERT INTO terms (space, kind, idx, value, sort, id) VALUES (?,?,?,?,?,?) USING TIMESTAMP ?";
        return (sql, [&[space], &place[..], &[big(ts)]].concat());
    }
    let sql = "DELETE FROM terms USING TIMESTAMP ? WHERE space=? AND kind=? AND idx=? AND value=? AND sort=? AND id=?";
    (sql, [&[big(ts), space], &place[..]].concat())
}

fn timer_statements(key: &CoreKey, timer: &TimerKey, there: bool, ts: i64) -> Statements<'static> {
    let part = int(queue(key, timer));
    let (space, due) = (text(key.space.as_str()), big(timer.due.as_microsecond()));
    let rest = [text(&key.kind), text(&key.id), text(&timer.name)];
    let (queued, own) = ([part, due.clone(), space.clone()], [space, due]);
    if there {
        let queue = "INSERT INTO timers (part, due, space, kind, id, name) VALUES (?,?,?,?,?,?) USING TIMESTAMP ?";
        let of = "INSERT INTO timers_of (space, due, kind, id, name) VALUES (?,?,?,?,?) USING TIMESTAMP ?";
        return vec![(queue, [&queued[..], &rest, &[big(ts)]].concat()), (of, [&own[..], &rest, &[big(ts)]].concat())];
    }
    let queue =
        "DELETE FROM timers USING TIMESTAMP ? WHERE part=? AND due=? AND space=? AND kind=? AND id=? AND name=?";
    let of = "DELETE FROM timers_of USING TIMESTAMP ? WHERE space=? AND due=? AND kind=? AND id=? AND name=?";
    vec![(queue, [&[big(ts)], &queued[..], &rest].concat()), (of, [&[big(ts)], &own[..], &rest].concat())]
}

impl ScyllaEngine {
    /// Brings what was touched to what the core says now. Slow and doubled projections converge: each statement carries
    /// the core's version as its timestamp.
    pub(crate) async fn project(&self, key: &CoreKey, state: &State, touched: &Parts) -> Result<(), StoreError> {
        if state.base.version == 0 {
            return Ok(());
        }
        let ts = state.timestamp();
        let mut statements: Statements<'_> =
            touched.terms.iter().map(|term| term_statement(key, term, state.carries(term), ts)).collect();
        for timer in &touched.timers {
            statements.extend(timer_statements(key, timer, state.has_set(timer), ts));
        }
        let (space, id) = (text(key.space.as_str()), [text(&key.kind), text(&key.id)]);
        let directory = "INSERT INTO directory (space, shard, kind, id) VALUES (?,?,?,?) USING TIMESTAMP ?";
        statements.push((directory, [&[space.clone(), int(shard(key))], &id[..], &[big(ts)]].concat()));
        let version = i64::try_from(state.base.version).unwrap_or(i64::MAX);
        let changes = "INSERT INTO changes (space, kind, id, version, ts) VALUES (?,?,?,?,?) USING TIMESTAMP ?";
        statements.push((changes, [&[space], &id[..], &[big(version), big(ts), big(ts)]].concat()));
        let waiting = "INSERT INTO waiting (part, space, kind, id, ts) VALUES (?,?,?,?,?) USING TIMESTAMP ?";
        let part = int(i32::from(outbox_partition(key)));
        statements.push((waiting, [vec![part], of(key), vec![big(ts), big(ts)]].concat()));
        self.cql.write_all(statements).await
    }

    /// Takes every trace of a core that is gone out of the lookups.
    pub(crate) async fn forget(&self, key: &CoreKey, state: &State) -> Result<(), StoreError> {
        let (parts, ts) = (state.parts(), state.timestamp());
        let mut statements: Statements<'_> =
            parts.terms.iter().map(|term| term_statement(key, term, false, ts)).collect();
        statements.extend(parts.timers.iter().flat_map(|timer| timer_statements(key, timer, false, ts)));
        let (space, id) = (text(key.space.as_str()), [text(&key.kind), text(&key.id)]);
        let directory = "DELETE FROM directory USING TIMESTAMP ? WHERE space=? AND shard=? AND kind=? AND id=?";
        statements.push((directory, [&[big(ts), space.clone(), int(shard(key))], &id[..]].concat()));
        let changes = "DELETE FROM changes USING TIMESTAMP ? WHERE space=? AND kind=? AND id=?";
        statements.push((changes, [&[big(ts), space], &id[..]].concat()));
        self.cql.write_all(statements).await?;
        for claim in &parts.claims {
            self.let_go(key, &claim.0).await?;
        }
        Ok(())
    }

    /// Frees a name that the core does not hold, unless an attempt that may still land has reserved it.
    pub(crate) async fn let_go(&self, key: &CoreKey, claim: &str) -> Result<(), StoreError> {
        // First the reservation, then the core: whoever takes the name again in between moves the reservation's base,
        // and the condition fails.
        let Some(standing) = self.reservation(key, claim).await?.filter(|it| it.owner == *key) else { return Ok(()) };
        let state = self.state(key).await?;
        if state.holds(claim) || state.base == standing.base {
            return Ok(());
        }
        let sql = "DELETE FROM claims WHERE space=? AND claim=? IF okind=? AND oid=? AND bv=? AND bf=?";
        let version = i64::try_from(standing.base.version).unwrap_or(i64::MAX);
        let with = vec![text(key.space.as_str()), text(claim), text(&key.kind), text(&key.id)];
        let with = [with, vec![big(version), big(i64::from(standing.base.fence))]].concat();
        self.cql.on_condition(sql, with).await.map(drop)
    }

    /// Hits are read back from their cores: one that moved on since it was projected is left out.
    pub(crate) async fn hits(&self, scan: &Scan) -> Result<Vec<Hit>, StoreError> {
        let (than, order) = if scan.newest_first { ("<", "DESC") } else { (">", "ASC") };
        let (mut hits, mut after) = (Vec::new(), scan.after.clone());
        while hits.len() < scan.limit {
            let from = if after.is_some() { format!("AND (sort, id) {than} (?, ?)") } else { String::new() };
            let sql = format!(
                "SELECT sort, id FROM terms WHERE space=? AND kind=? AND idx=? AND value=? {from}
                 ORDER BY sort {order}, id {order} LIMIT ?"
            );
            let wanted = scan.limit - hits.len();
            let mut with = vec![text(scan.space.as_str()), text(&scan.kind), text(&scan.index), text(&scan.value)];
            with.extend(after.iter().flat_map(|(sort, id)| [text(sort), text(id)]));
            with.push(int(i32::try_from(wanted).unwrap_or(i32::MAX)));
            let rows = self.cql.read(&sql, with).await?;
            let places: Vec<(String, String)> = rows.iter().map(|row| (row.text(0), row.text(1))).collect();
            let Some(last) = places.last().cloned() else { break };
            let keys = places.iter().map(|(_, id)| CoreKey {
                space: scan.space.clone(),
                kind: scan.kind.clone(),
                id: id.clone(),
            });
            let keys: Vec<CoreKey> = keys.collect();
            let states = try_join_all(keys.iter().map(|key| self.state(key))).await?;
            let exhausted = places.len() < wanted;
            for ((sort, id), state) in places.into_iter().zip(states) {
                let term = TermKey { index: scan.index.clone(), value: scan.value.clone(), sort };
                if let Some(core) = state.core.filter(|core| core.terms.contains(&term)) {
                    hits.push(Hit { sort: term.sort, id, core });
                }
            }
            if exhausted {
                break;
            }
            after = Some(last);
        }
        Ok(hits)
    }
}
