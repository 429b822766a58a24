//! Finishes what crashed and stalled writers left, slot by slot from where the last repair ended.

use std::time::Duration;

use async_trait::async_trait;
use kernel::Timestamp;
use store::{CoreKey, DueTimer, Parts, Space, StoreError, TimerKey, Upkeep, port::OUTBOX_PARTITIONS};

use crate::{
    ScyllaEngine,
    commit::{Marker, SLOT, SLOT_PARTITIONS},
    cql::{Columns, big, int, text},
    lookups::ENDS_FROM,
    state::{ENDS, base_of, instant},
};

fn key_of(row: &Columns, at: usize) -> Option<CoreKey> {
    Some(CoreKey { space: Space::parse(&row.text(at))?, kind: row.text(at + 1), id: row.text(at + 2) })
}

impl ScyllaEngine {
    /// Where repair goes on. The first to ask begins now: there are no markers from before the tables.
    async fn watermark(&self) -> Result<i64, StoreError> {
        let sql = "SELECT slot FROM repaired WHERE one=1";
        let rows = self.cql.settled(sql, Vec::new()).await?;
        rows.first().and_then(|row| row.big(0)).ok_or_else(|| StoreError::Corrupt("no slot to repair from".to_owned()))
    }

    /// Settles one marker: its attempt landed, or never can.
    async fn settle(&self, row: &Columns, slot: i64, partition: i32) -> Result<(), StoreError> {
        let marker = Marker { slot, partition, id: row.raw(0) };
        let Some(key) = key_of(row, 1) else { return self.clear(marker).await };
        let (attempted, touched) = (base_of(row, 4), Parts::decode(&row.blob(6))?);
        let mut state = self.state(&key).await?;
        if state.base == attempted {
            self.fence(&key, attempted).await?;
            state = self.state(&key).await?;
        }
        self.finish(&key, &state, &touched, marker).await
    }
}

#[async_trait]
impl Upkeep for ScyllaEngine {
    async fn due(&self, space: Option<&Space>, now: Timestamp, limit: usize) -> Result<Vec<DueTimer>, StoreError> {
        let (now, limited) = (big(now.as_microsecond()), int(i32::try_from(limit).unwrap_or(i32::MAX)));
        let mut due = Vec::new();
        if let Some(space) = space {
            let sql = "SELECT due, kind, id, name FROM timers_of WHERE space=? AND due<=? LIMIT ?";
            for row in self.cql.read(sql, vec![text(space.as_str()), now, limited]).await? {
                let key = CoreKey { space: space.clone(), kind: row.text(1), id: row.text(2) };
                let timer = TimerKey { name: row.text(3), due: instant(row.big(0).unwrap_or_default()) };
                due.push(DueTimer { key, timer });
            }
        } else {
            let sql = "SELECT due, space, kind, id, name FROM timers WHERE part=? AND due<=? LIMIT ?";
            let plenty = int(i32::try_from(limit.saturating_mul(10)).unwrap_or(i32::MAX));
            for part in 0..i32::from(OUTBOX_PARTITIONS) {
                for row in self.cql.read(sql, vec![int(part), now.clone(), plenty.clone()]).await? {
                    let timer = TimerKey { name: row.text(4), due: instant(row.big(0).unwrap_or_default()) };
                    due.extend(key_of(&row, 1).map(|key| DueTimer { key, timer }));
                }
            }
        }
        due.retain(|it| it.timer.name != ENDS);
        // Of each partition the longest due: one space can still crowd out others beyond that many.
        Ok(store::port::in_turns(due, limit))
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let limited = int(i32::try_from(limit).unwrap_or(i32::MAX));
        let sql = "SELECT space, kind, id FROM timers WHERE part=? AND due<? LIMIT ?";
        let mut swept = 0;
        for part in ENDS_FROM..ENDS_FROM + i32::from(OUTBOX_PARTITIONS) {
            let with = vec![int(part), big(now.as_microsecond()), limited.clone()];
            for key in self.cql.read(sql, with).await?.iter().filter_map(|row| key_of(row, 0)) {
                let state = self.state(&key).await?;
                let over = state.core.as_ref().and_then(|core| core.expires).is_some_and(|ends| ends < now);
                if over && self.remove(&key, &state).await? {
                    swept += 1;
                }
            }
        }
        Ok(swept)
    }

    async fn repair(&self, now: Timestamp, grace: Duration) -> Result<u64, StoreError> {
        let until = now.as_microsecond().saturating_sub(i64::try_from(grace.as_micros()).unwrap_or(i64::MAX));
        let first = self.watermark().await?;
        let last = until / 1_000_000 / SLOT;
        let mut settled = 0;
        for slot in first..=last {
            for partition in 0..SLOT_PARTITIONS {
                let sql = "SELECT mid, space, kind, id, bv, bf, touched, at FROM dirty WHERE slot=? AND h=?";
                for row in self.cql.read(sql, vec![big(slot), int(partition)]).await? {
                    if row.big(7).is_some_and(|at| at <= until) {
                        self.settle(&row, slot, partition).await?;
                        settled += 1;
                    }
                }
            }
        }
        if last > first {
            // The last slot may still get markers.
            let sql = "UPDATE repaired SET slot=? WHERE one=1 IF slot=?";
            self.cql.on_condition(sql, vec![big(last), big(first)]).await?;
        }
        Ok(settled)
    }
}
