//! A commit: marker, reservations, core, projections, and the marker cleared. A crash between any two steps leaves the
//! core old or new, and a marker from which [`crate::repair`] finishes the rest.

use std::time::Duration;

use scylla::value::CqlValue;
use store::{Base, ClaimKey, Commit, Core, CoreKey, Outcome, Parts, StoreError, TermKey, TimerKey, Write};

use crate::{
    ScyllaEngine,
    cql::{Statements, Value, big, blob, int, text},
    state::{State, guard, of, parts_of},
};

/// Seconds of one slot of markers.
pub(crate) const SLOT: i64 = 10;
/// Partitions of one slot.
pub(crate) const SLOT_PARTITIONS: i32 = 4;
/// A marker acknowledged later than this after its slot began is written again: a repairer that waits
/// [`GRACE`](crate::GRACE) may be past the slot by then.
const FRESH: i64 = 20;
/// How long a foreign reservation that is not decided is waited for before its owner is fenced.
const PATIENCE: Duration = Duration::from_millis(150);
const POLL: Duration = Duration::from_millis(15);
/// How often a batch whose answer was lost is sent again.
const RESENDS: usize = 3;
/// Ids that no caller repeats are remembered while this engine itself may repeat them.
const REMEMBER: Duration = Duration::from_mins(10);

/// Where a marker stands.
pub(crate) struct Marker {
    pub(crate) slot: i64,
    pub(crate) partition: i32,
    pub(crate) id: Value,
}

/// What two versions of a core do not share: all that a commit changes in the lookups.
pub(crate) fn difference(old: &Parts, new: &Parts) -> Parts {
    fn apart<T: PartialEq + Clone>(left: &[T], right: &[T]) -> Vec<T> {
        let only = |of: &[T], other: &[T]| of.iter().filter(|it| !other.contains(it)).cloned().collect::<Vec<T>>();
        [only(left, right), only(right, left)].concat()
    }
    Parts {
        claims: apart::<ClaimKey>(&old.claims, &new.claims),
        terms: apart::<TermKey>(&old.terms, &new.terms),
        timers: apart::<TimerKey>(&old.timers, &new.timers),
    }
}

const SET: &str = "UPDATE cores SET version=?, fence=?, deleted=?, body=?, parts=?, expires=?, incarnation=?
    WHERE space=? AND kind=? AND id=? IF version=? AND fence=?";
const MARK: &str =
    "INSERT INTO cores (space, kind, id, rt, rk, v) VALUES (?, ?, ?, 'm', ?, 0x01) IF NOT EXISTS USING TTL ?";
const TELL: &str = "INSERT INTO cores (space, kind, id, rt, rk, v) VALUES (?, ?, ?, 'e', ?, ?)";
const MARKED: &str = "SELECT rk FROM cores WHERE space=? AND kind=? AND id=? AND rt='m' AND rk=?";
const RESERVE: &str = "INSERT INTO claims (space, claim, okind, oid, bv, bf) VALUES (?, ?, ?, ?, ?, ?) IF NOT EXISTS";
const TAKE_OVER: &str = "UPDATE claims SET okind=?, oid=?, bv=?, bf=? WHERE space=? AND claim=?
    IF okind=? AND oid=? AND bv=? AND bf=?";
const FENCE: &str = "UPDATE cores SET fence=? WHERE space=? AND kind=? AND id=? IF version=? AND fence=?";

pub(crate) fn hex(bytes: &[u8; 16]) -> String {
    uuid::Uuid::from_bytes(*bytes).simple().to_string()
}

fn plain(base: Base) -> [Value; 2] {
    [big(i64::try_from(base.version).unwrap_or(i64::MAX)), big(i64::from(base.fence))]
}

/// A reservation of a name: by whom, and what its attempt had read. The base is its identity: attempts of one owner
/// with the same base exclude each other in the core.
pub(crate) struct Reservation {
    pub(crate) owner: CoreKey,
    pub(crate) base: Base,
}

impl ScyllaEngine {
    fn micros(&self) -> i64 {
        self.clock.now().as_microsecond()
    }

    pub(crate) async fn mark_dirty(&self, key: &CoreKey, base: Base, touched: &Parts) -> Result<Marker, StoreError> {
        loop {
            let at = self.micros();
            let mut random = [0; 16];
            self.entropy.fill(&mut random);
            let id = Some(CqlValue::Uuid(uuid::Builder::from_random_bytes(random).into_uuid()));
            let partition = i32::from(random[0]) % SLOT_PARTITIONS;
            let marker = Marker { slot: at / 1_000_000 / SLOT, partition, id: id.clone() };
            let sql =
                "INSERT INTO dirty (slot, h, mid, space, kind, id, bv, bf, touched, at) VALUES (?,?,?,?,?,?,?,?,?,?)";
            let with = [vec![big(marker.slot), int(partition), id], of(key), plain(base).to_vec()];
            let with = [with.concat(), vec![blob(touched.encode()?), big(at)]].concat();
            self.cql.write(sql, with).await?;
            if self.micros() / 1_000_000 - marker.slot * SLOT < FRESH {
                return Ok(marker);
            }
        }
    }

    pub(crate) async fn clear(&self, marker: Marker) -> Result<(), StoreError> {
        let with = vec![big(marker.slot), int(marker.partition), marker.id];
        self.cql.write("DELETE FROM dirty WHERE slot=? AND h=? AND mid=?", with).await
    }

    pub(crate) async fn reservation(&self, of: &CoreKey, claim: &str) -> Result<Option<Reservation>, StoreError> {
        let sql = "SELECT okind, oid, bv, bf FROM claims WHERE space=? AND claim=?";
        let rows = self.cql.settled(sql, vec![text(of.space.as_str()), text(claim)]).await?;
        let found = rows.first().filter(|row| row.big(2).is_some());
        let owner = |row: &crate::cql::Columns| CoreKey { space: of.space.clone(), kind: row.text(0), id: row.text(1) };
        Ok(found.map(|row| Reservation { owner: owner(row), base: crate::state::base_of(row, 2) }))
    }

    /// After this no attempt that read `base` can land. The caller reads the core again: it may have landed before.
    pub(crate) async fn fence(&self, key: &CoreKey, base: Base) -> Result<(), StoreError> {
        let with = [vec![big(i64::from(base.fence) + 1)], of(key), guard(base).to_vec()].concat();
        self.cql.on_condition(FENCE, with).await.map(drop)
    }

    async fn take_over(&self, claim: &str, from: &Reservation, key: &CoreKey, base: Base) -> Result<bool, StoreError> {
        let with = [
            vec![text(&key.kind), text(&key.id)],
            plain(base).to_vec(),
            vec![text(key.space.as_str()), text(claim), text(&from.owner.kind), text(&from.owner.id)],
            plain(from.base).to_vec(),
        ];
        self.cql.on_condition(TAKE_OVER, with.concat()).await
    }

    pub(crate) async fn reserve(&self, key: &CoreKey, base: Base, claim: &ClaimKey) -> Result<(), StoreError> {
        let mut waited = Duration::ZERO;
        loop {
            let with =
                [vec![text(key.space.as_str()), text(&claim.0), text(&key.kind), text(&key.id)], plain(base).to_vec()];
            if self.cql.on_condition(RESERVE, with.concat()).await? {
                return Ok(());
            }
            let Some(standing) = self.reservation(key, &claim.0).await? else { continue };
            if standing.owner == *key {
                match standing.base.cmp(&base) {
                    std::cmp::Ordering::Equal => return Ok(()),
                    std::cmp::Ordering::Greater => return Err(StoreError::Conflict),
                    std::cmp::Ordering::Less if self.take_over(&claim.0, &standing, key, base).await? => return Ok(()),
                    std::cmp::Ordering::Less => continue,
                }
            }
            let owner = self.state(&standing.owner).await?;
            if owner.holds(&claim.0) {
                return Err(StoreError::Taken(claim.clone()));
            }
            if owner.base != standing.base {
                // Its attempt is decided, and does not hold the name.
                if self.take_over(&claim.0, &standing, key, base).await? {
                    return Ok(());
                }
            } else if waited < PATIENCE {
                tokio::time::sleep(POLL).await;
                waited += POLL;
            } else {
                self.fence(&standing.owner, standing.base).await?;
            }
        }
    }

    async fn was_applied(&self, commit: &Commit) -> Result<bool, StoreError> {
        let with = [of(&commit.key), vec![text(&hex(&commit.id.bytes))]].concat();
        Ok(!self.cql.settled(MARKED, with).await?.is_empty())
    }

    async fn already_or_conflict(&self, commit: &Commit) -> Result<Outcome, StoreError> {
        if self.was_applied(commit).await? { Ok(Outcome::Already) } else { Err(StoreError::Conflict) }
    }

    /// The statements that store a core, guarded by what stands there.
    pub(crate) fn store_core(
        key: &CoreKey,
        next: &State,
        standing: Base,
    ) -> Result<(&'static str, Vec<Value>), StoreError> {
        let core = next.core.as_ref();
        let parts = core.map(Parts::of).unwrap_or_default();
        let [version, fence] = guard(next.base);
        let with = [
            vec![version, fence, Some(CqlValue::Boolean(core.is_none())), core.and_then(|it| blob(it.body.clone()))],
            vec![blob(parts.encode()?), core.and_then(|it| it.expires).and_then(|at| big(at.as_microsecond()))],
            vec![big(next.incarnation)],
            of(key),
            guard(standing).to_vec(),
        ];
        Ok((SET, with.concat()))
    }

    /// Sends until the answer is known. "Not there" after a lost answer settles nothing, since the request may still be
    /// under way; the same batch again does: at most one of them finds the base it was guarded by.
    async fn send_core(&self, batch: &Statements<'_>) -> Result<bool, StoreError> {
        let mut sent = self.cql.all_or_nothing(batch).await;
        for _ in 0..RESENDS {
            if sent.is_ok() {
                break;
            }
            sent = self.cql.all_or_nothing(batch).await;
        }
        sent
    }

    pub(crate) async fn apply(&self, commit: &Commit) -> Result<Outcome, StoreError> {
        let key = &commit.key;
        let standing = self.state(key).await?;
        if standing.base != commit.base {
            return self.already_or_conflict(commit).await;
        }
        let base = Base { version: commit.base.version + 1, fence: commit.base.fence };
        let incarnation = if standing.incarnation == 0 { self.micros() } else { standing.incarnation };
        let core = match commit.write.clone() {
            Write::Put { body, claims, terms, timers, expires } => {
                Some(Core { base, body, claims, terms, timers, expires })
            }
            Write::Delete => None,
        };
        let next = State { base, incarnation, core };
        let (old, new) = (standing.parts(), next.core.as_ref().map(parts_of).unwrap_or_default());
        let touched = difference(&old, &new);
        let marker = self.mark_dirty(key, commit.base, &touched).await?;
        let mut wanted: Vec<&ClaimKey> = new.claims.iter().filter(|claim| !old.claims.contains(claim)).collect();
        wanted.sort();
        for (place, claim) in wanted.iter().enumerate() {
            if let Err(error) = self.reserve(key, commit.base, claim).await {
                // What was reserved before is left to the next who wants it, or to the repairer: another attempt with
                // the same base may rely on it. With nothing reserved there is nothing to repair.
                if place == 0 && !matches!(error, StoreError::Unavailable(_)) {
                    self.clear(marker).await?;
                }
                return Err(error);
            }
        }
        let remember = commit.id.remember.max(REMEMBER).as_secs();
        let ttl = int(i32::try_from(remember).unwrap_or(i32::MAX));
        let mut batch = vec![Self::store_core(key, &next, commit.base)?];
        batch.push((MARK, [of(key), vec![text(&hex(&commit.id.bytes)), ttl]].concat()));
        for (place, envelope) in commit.events.iter().enumerate() {
            let row = crate::outbox::event_row(base.version, place);
            batch.push((TELL, [of(key), vec![text(&row), blob(envelope.clone())]].concat()));
        }
        if !self.send_core(&batch).await? {
            let outcome = self.already_or_conflict(commit).await;
            if matches!(outcome, Err(StoreError::Conflict)) {
                self.finish(key, &self.state(key).await?, &touched, marker).await?;
            }
            return outcome;
        }
        // Done, whatever becomes of the rest: the marker has it finished.
        if let Err(error) = self.finish(key, &next, &touched, marker).await {
            tracing::warn!(%key, %error, "a commit is left to the repairer");
        }
        Ok(Outcome::Done)
    }

    /// Brings the lookups to what the core says, lets go of names it does not hold, and clears the marker.
    pub(crate) async fn finish(
        &self,
        key: &CoreKey,
        state: &State,
        touched: &Parts,
        marker: Marker,
    ) -> Result<(), StoreError> {
        self.project(key, state, touched).await?;
        for claim in &touched.claims {
            if !state.holds(&claim.0) {
                self.let_go(key, &claim.0).await?;
            }
        }
        self.clear(marker).await
    }
}
