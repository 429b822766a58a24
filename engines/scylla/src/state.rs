//! A core as its partition tells it.

use kernel::Timestamp;
use store::{Base, Core, CoreKey, Parts, StoreError, TermKey, TimerKey};

use crate::{
    ScyllaEngine,
    cql::{Columns, Value, big, text},
};

pub(crate) fn of(key: &CoreKey) -> Vec<Value> {
    vec![text(key.space.as_str()), text(&key.kind), text(&key.id)]
}

/// The stored form of a version or a fence in conditions: what was never written is NULL, and never 0.
pub(crate) fn guard(base: Base) -> [Value; 2] {
    let never = |number: u64| (number > 0).then(|| i64::try_from(number).unwrap_or(i64::MAX)).and_then(big);
    [never(base.version), never(u64::from(base.fence))]
}

pub(crate) fn base_of(row: &Columns, at: usize) -> Base {
    let number = |at| u64::try_from(row.big(at).unwrap_or_default()).unwrap_or_default();
    Base { version: number(at), fence: u32::try_from(number(at + 1)).unwrap_or(u32::MAX) }
}

pub(crate) fn instant(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

/// What stands in the partition of a core, tombstone and fence included.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) base: Base,
    /// When this id first came to be: projections carry `incarnation + version` as timestamp, so that an id that was
    /// erased and comes back is not hidden by the deletions of its former life.
    pub(crate) incarnation: i64,
    pub(crate) core: Option<Core>,
}

impl State {
    pub(crate) fn timestamp(&self) -> i64 {
        self.incarnation.saturating_add(i64::try_from(self.base.version).unwrap_or(i64::MAX))
    }

    pub(crate) fn holds(&self, claim: &str) -> bool {
        self.core.as_ref().is_some_and(|core| core.claims.iter().any(|held| held.0 == claim))
    }

    pub(crate) fn carries(&self, term: &TermKey) -> bool {
        self.core.as_ref().is_some_and(|core| core.terms.contains(term))
    }

    pub(crate) fn has_set(&self, timer: &TimerKey) -> bool {
        self.parts().timers.contains(timer)
    }

    /// Names, terms and timers; when the core ends stands among the timers under the name [`ENDS`].
    pub(crate) fn parts(&self) -> Parts {
        self.core.as_ref().map(parts_of).unwrap_or_default()
    }
}

/// The timer of the end of an ephemeral core.
pub(crate) const ENDS: &str = "";

pub(crate) fn parts_of(core: &Core) -> Parts {
    let mut parts = Parts::of(core);
    parts.timers.extend(core.expires.map(|due| TimerKey { name: ENDS.to_owned(), due }));
    parts
}

impl ScyllaEngine {
    pub(crate) async fn state(&self, key: &CoreKey) -> Result<State, StoreError> {
        let sql = "SELECT DISTINCT space, kind, id, version, fence, deleted, body, parts, expires, incarnation
                   FROM cores WHERE space=? AND kind=? AND id=?";
        let rows = self.cql.settled(sql, of(key)).await?;
        let Some(row) = rows.first() else { return Ok(State::default()) };
        let base = base_of(row, 3);
        let incarnation = row.big(9).unwrap_or_default();
        // A fence can stand where no core ever was.
        if base.version == 0 || row.truth(5) {
            return Ok(State { base, incarnation, core: None });
        }
        let Parts { claims, terms, timers } = Parts::decode(&row.blob(7))?;
        let core = Core { base, body: row.blob(6), claims, terms, timers, expires: row.big(8).map(instant) };
        Ok(State { base, incarnation, core: Some(core) })
    }
}
