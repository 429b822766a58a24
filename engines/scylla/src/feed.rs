//! Whole spaces: the feed of changes, export, import, erasure.

use futures::future::try_join_all;
use store::{Base, Change, Core, CoreKey, Parts, Space, StoreError};

use crate::{
    ScyllaEngine,
    cql::{Statements, big, int, text},
    lookups::SHARDS,
    state::{State, guard, of, parts_of},
};

/// How often a write is tried again that others' writes refuse.
const ATTEMPTS: usize = 20;

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: Option<i64>) -> u64 {
    u64::try_from(value.unwrap_or_default()).unwrap_or_default()
}

impl ScyllaEngine {
    /// Gives positions to changes that wait for one. Cores cannot get theirs in the commit, which knows no counter of
    /// the space; here one conditional batch moves the counter and writes the entries.
    async fn place_changes(&self, space: &Space, limit: usize) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            let limit = int(i32::try_from(limit.min(100)).unwrap_or(100));
            let sql = "SELECT kind, id, version, ts FROM changes WHERE space=? LIMIT ?";
            let waiting = self.cql.read(sql, vec![text(space.as_str()), limit]).await?;
            if waiting.is_empty() {
                return Ok(());
            }
            let sql = "SELECT DISTINCT space, next FROM feed WHERE space=?";
            let rows = self.cql.settled(sql, vec![text(space.as_str())]).await?;
            let next = rows.first().and_then(|row| row.big(1));
            let first = next.unwrap_or(1);
            let after = first + i64::try_from(waiting.len()).unwrap_or(i64::MAX);
            let guard = "UPDATE feed SET next=? WHERE space=? IF next=?";
            let mut batch: Statements<'_> = vec![(guard, vec![big(after), text(space.as_str()), next.and_then(big)])];
            for (place, row) in (first..).zip(&waiting) {
                let sql = "INSERT INTO feed (space, pos, kind, id, version) VALUES (?,?,?,?,?)";
                let with = vec![text(space.as_str()), big(place), text(&row.text(0)), text(&row.text(1)), row.raw(2)];
                batch.push((sql, with));
            }
            if self.cql.all_or_nothing(&batch).await? {
                let placed = waiting.iter().map(|row| {
                    let sql = "DELETE FROM changes USING TIMESTAMP ? WHERE space=? AND kind=? AND id=?";
                    (sql, vec![row.raw(3), text(space.as_str()), text(&row.text(0)), text(&row.text(1))])
                });
                self.cql.write_all(placed.collect()).await?;
                return Ok(());
            }
        }
        Err(StoreError::Unavailable("other readers place changes at the same time".to_owned()))
    }

    pub(crate) async fn changes(&self, space: &Space, cursor: u64, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.place_changes(space, limit).await?;
        let sql = "SELECT pos, kind, id, version FROM feed WHERE space=? AND pos>? LIMIT ?";
        let limit = int(i32::try_from(limit).unwrap_or(i32::MAX));
        let rows = self.cql.settled(sql, vec![text(space.as_str()), big(number(cursor)), limit]).await?;
        let change = |row: &crate::cql::Columns| Change {
            cursor: unsigned(row.big(0)),
            key: CoreKey { space: space.clone(), kind: row.text(1), id: row.text(2) },
            version: unsigned(row.big(3)),
        };
        Ok(rows.iter().filter(|row| row.big(0).is_some()).map(change).collect())
    }

    /// The next cores by (kind, id), tombstones included.
    async fn listed(&self, space: &Space, after: Option<&CoreKey>, limit: usize) -> Result<Vec<CoreKey>, StoreError> {
        let (kind, id) = after.map_or(("", ""), |key| (key.kind.as_str(), key.id.as_str()));
        let sql = "SELECT kind, id FROM directory WHERE space=? AND shard=? AND (kind, id) > (?, ?) LIMIT ?";
        let limited = int(i32::try_from(limit).unwrap_or(i32::MAX));
        let with = |shard| vec![text(space.as_str()), int(shard), text(kind), text(id), limited.clone()];
        let shards = try_join_all((0..SHARDS).map(|shard| self.cql.read(sql, with(shard)))).await?;
        let key = |row: &crate::cql::Columns| CoreKey { space: space.clone(), kind: row.text(0), id: row.text(1) };
        let mut keys: Vec<CoreKey> = shards.iter().flatten().map(key).collect();
        keys.sort();
        keys.truncate(limit);
        Ok(keys)
    }

    pub(crate) async fn page(
        &self,
        space: &Space,
        after: Option<&CoreKey>,
        limit: usize,
    ) -> Result<Vec<(CoreKey, Core)>, StoreError> {
        let (mut page, mut after) = (Vec::new(), after.cloned());
        while page.len() < limit {
            let keys = self.listed(space, after.as_ref(), limit - page.len()).await?;
            let Some(last) = keys.last().cloned() else { break };
            let states = try_join_all(keys.iter().map(|key| self.state(key))).await?;
            page.extend(keys.into_iter().zip(states).filter_map(|(key, state)| Some((key, state.core?))));
            after = Some(last);
        }
        Ok(page)
    }

    pub(crate) async fn take(&self, key: &CoreKey, core: Core) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            let standing = self.state(key).await?;
            if standing.base > core.base {
                return Err(StoreError::Conflict);
            }
            let incarnation =
                if standing.incarnation == 0 { self.clock.now().as_microsecond() } else { standing.incarnation };
            let next = State { base: core.base, incarnation, core: Some(core.clone()) };
            let touched = crate::commit::difference(&standing.parts(), &parts_of(&core));
            let reserved = self.dirty_and_reserved(key, standing.base, &touched, &parts_of(&core)).await?;
            if self.cql.all_or_nothing(&vec![Self::store_core(key, &next, standing.base)?]).await? {
                return self.finish(key, &next, &touched, reserved).await;
            }
        }
        Err(StoreError::Unavailable("the core changes while it is imported".to_owned()))
    }

    /// Removes a core with its rows, tombstone included. `false` where it moved on. A raised fence stays for a day:
    /// without it, a creation that stalled for the core's whole life could land now, or take back a name.
    pub(crate) async fn remove(&self, key: &CoreKey, state: &State) -> Result<bool, StoreError> {
        let unset =
            "UPDATE cores USING TTL 86400 SET version=NULL, fence=?, deleted=NULL, body=NULL, parts=NULL, expires=NULL,
                     incarnation=NULL WHERE space=? AND kind=? AND id=? IF version=? AND fence=?";
        let events = "DELETE FROM cores WHERE space=? AND kind=? AND id=? AND rt='e'";
        let marks = "DELETE FROM cores WHERE space=? AND kind=? AND id=? AND rt='m'";
        let fence = big(i64::from(state.base.fence) + 1);
        let guarded = [vec![fence], of(key), guard(state.base).to_vec()].concat();
        let batch = vec![(unset, guarded), (events, of(key)), (marks, of(key))];
        let removed = self.cql.all_or_nothing(&batch).await?;
        if removed {
            self.forget(key, state).await?;
        }
        Ok(removed)
    }

    pub(crate) async fn erase_all(&self, space: &Space) -> Result<u64, StoreError> {
        let mut erased = 0;
        loop {
            let keys = self.listed(space, None, 100).await?;
            if keys.is_empty() {
                break;
            }
            for key in keys {
                let mut state = self.state(&key).await?;
                while state.base.version > 0 && !self.remove(&key, &state).await? {
                    state = self.state(&key).await?;
                }
                if state.base.version == 0 {
                    // Only its entry is left, of a removal that was cut short.
                    let stale = State { incarnation: self.clock.now().as_microsecond(), ..State::default() };
                    self.forget(&key, &stale).await?;
                }
                erased += 1;
            }
        }
        let sql = "SELECT DISTINCT space, next FROM feed WHERE space=?";
        let rows = self.cql.settled(sql, vec![text(space.as_str())]).await?;
        if let Some(next) = rows.first().and_then(|row| row.big(1)) {
            // The counter goes on, so that a cursor from before never meets an entry from after.
            let guard =
                ("UPDATE feed SET next=? WHERE space=? IF next=?", vec![big(next), text(space.as_str()), big(next)]);
            let entries = ("DELETE FROM feed WHERE space=? AND pos<?", vec![text(space.as_str()), big(next)]);
            self.cql.all_or_nothing(&vec![guard, entries]).await?;
        }
        Ok(erased)
    }

    async fn dirty_and_reserved(
        &self,
        key: &CoreKey,
        base: Base,
        touched: &Parts,
        wanted: &Parts,
    ) -> Result<crate::commit::Marker, StoreError> {
        let marker = self.mark_dirty(key, base, touched).await?;
        for claim in wanted.claims.iter().filter(|claim| touched.claims.contains(claim)) {
            self.reserve(key, base, claim).await?;
        }
        Ok(marker)
    }
}
