//! The store in memory: the oracle of the property tests, and what context tests run on. One lock, no tricks: what it
//! does is what the port means.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use kernel::Timestamp;
use tokio::time::Instant;

use crate::port::{
    Base, Change, ClaimKey, Commit, Core, CoreKey, DueTimer, Engine, Epoch, Hit, OUTBOX_PARTITIONS, Outbox,
    OutboxEvent, Outcome, Scan, Space, StoreError, Upkeep, Write, in_turns, outbox_partition,
};

#[derive(Default)]
struct State {
    /// A tombstone is a base without a core.
    cores: BTreeMap<CoreKey, (Base, Option<Core>)>,
    claims: HashMap<(Space, ClaimKey), CoreKey>,
    marks: HashMap<(CoreKey, [u8; 16]), Timestamp>,
    /// Positions are cursors, so an erased entry leaves a gap.
    feed: Vec<Option<(CoreKey, u64)>>,
    outbox: BTreeSet<(CoreKey, u64, u32)>,
    envelopes: HashMap<(CoreKey, u64, u32), Vec<u8>>,
    leases: HashMap<u16, (String, Epoch, Instant)>,
}

/// An engine that forgets everything when it is dropped.
#[derive(Default)]
pub struct ModelEngine(Mutex<State>);

impl ModelEngine {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn release(&mut self, key: &CoreKey, core: &Core) {
        for claim in &core.claims {
            let named = (key.space.clone(), claim.clone());
            if self.claims.get(&named) == Some(key) {
                self.claims.remove(&named);
            }
        }
    }

    fn put(&mut self, key: &CoreKey, base: Base, core: Option<Core>) {
        if let Some((_, Some(before))) = self.cores.get(key).cloned() {
            self.release(key, &before);
        }
        for claim in core.iter().flat_map(|core| &core.claims) {
            self.claims.insert((key.space.clone(), claim.clone()), key.clone());
        }
        self.cores.insert(key.clone(), (base, core));
        self.feed.push(Some((key.clone(), base.version)));
    }

    fn taken(&self, key: &CoreKey, claims: &[ClaimKey]) -> Option<ClaimKey> {
        let foreign = |claim: &&ClaimKey| {
            self.claims.get(&(key.space.clone(), (*claim).clone())).is_some_and(|holder| holder != key)
        };
        claims.iter().find(foreign).cloned()
    }
}

#[async_trait]
impl Engine for ModelEngine {
    async fn get(&self, key: &CoreKey) -> Result<Option<Core>, StoreError> {
        Ok(self.state().cores.get(key).and_then(|(_, core)| core.clone()))
    }

    async fn base(&self, key: &CoreKey) -> Result<Base, StoreError> {
        Ok(self.state().cores.get(key).map(|(base, _)| *base).unwrap_or_default())
    }

    async fn find(&self, space: &Space, claim: &ClaimKey) -> Result<Option<(CoreKey, Core)>, StoreError> {
        let state = self.state();
        let holder = state.claims.get(&(space.clone(), claim.clone()));
        let core = |key: &CoreKey| state.cores.get(key).and_then(|(_, core)| core.clone());
        Ok(holder.and_then(|key| core(key).map(|core| (key.clone(), core))))
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Hit>, StoreError> {
        let state = self.state();
        let mut hits: Vec<Hit> = state
            .cores
            .iter()
            .filter(|(key, _)| key.space == scan.space && key.kind == scan.kind)
            .filter_map(|(key, (_, core))| core.as_ref().map(|core| (key, core)))
            .flat_map(|(key, core)| {
                let of_term = |term: &&crate::port::TermKey| term.index == scan.index && term.value == scan.value;
                let hit = |term: &crate::port::TermKey| Hit {
                    sort: term.sort.clone(),
                    id: key.id.clone(),
                    core: core.clone(),
                };
                core.terms.iter().filter(of_term).map(hit).collect::<Vec<_>>()
            })
            .collect();
        hits.sort_by(|a, b| (&a.sort, &a.id).cmp(&(&b.sort, &b.id)));
        if scan.newest_first {
            hits.reverse();
        }
        let later = |hit: &Hit| {
            scan.after.as_ref().is_none_or(|(sort, id)| {
                let (here, there) = ((&hit.sort, &hit.id), (sort, id));
                if scan.newest_first { here < there } else { here > there }
            })
        };
        hits.retain(later);
        hits.truncate(scan.limit);
        Ok(hits)
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        commit.check()?;
        let mut state = self.state();
        let mark = (commit.key.clone(), commit.id.bytes);
        if state.marks.contains_key(&mark) {
            return Ok(Outcome::Already);
        }
        let present = state.cores.get(&commit.key).map(|(base, _)| *base).unwrap_or_default();
        if present != commit.base {
            return Err(StoreError::Conflict);
        }
        let next = Base { version: present.version + 1, fence: present.fence };
        let core = match commit.write {
            Write::Put { body, claims, terms, timers, expires } => {
                if let Some(claim) = state.taken(&commit.key, &claims) {
                    return Err(StoreError::Taken(claim));
                }
                Some(Core { base: next, body, claims, terms, timers, expires })
            }
            Write::Delete => None,
        };
        state.put(&commit.key, next, core);
        let until = commit.at + jiff::SignedDuration::try_from(commit.id.remember).unwrap_or_default();
        state.marks.insert(mark, until);
        for (place, envelope) in (0_u32..).zip(commit.events) {
            let event = (commit.key.clone(), next.version, place);
            state.outbox.insert(event.clone());
            state.envelopes.insert(event, envelope);
        }
        Ok(Outcome::Done)
    }

    async fn changed_since(&self, space: &Space, cursor: u64, limit: usize) -> Result<Vec<Change>, StoreError> {
        let state = self.state();
        let entries = (1_u64..).zip(&state.feed).filter(|(at, _)| *at > cursor);
        let change = |(cursor, entry): (u64, &Option<(CoreKey, u64)>)| {
            let (key, version) = entry.clone()?;
            (key.space == *space).then_some(Change { cursor, key, version })
        };
        Ok(entries.filter_map(change).take(limit).collect())
    }

    async fn export(
        &self,
        space: &Space,
        after: Option<&CoreKey>,
        limit: usize,
    ) -> Result<Vec<(CoreKey, Core)>, StoreError> {
        let state = self.state();
        let cores = state.cores.iter().filter(|(key, _)| key.space == *space && after.is_none_or(|after| *key > after));
        Ok(cores.filter_map(|(key, (_, core))| core.clone().map(|core| (key.clone(), core))).take(limit).collect())
    }

    async fn import(&self, key: &CoreKey, core: Core) -> Result<(), StoreError> {
        let mut state = self.state();
        let present = state.cores.get(key).map(|(base, _)| *base).unwrap_or_default();
        if present > core.base {
            return Err(StoreError::Conflict);
        }
        if let Some(claim) = state.taken(key, &core.claims) {
            return Err(StoreError::Taken(claim));
        }
        state.put(key, core.base, Some(core));
        Ok(())
    }

    async fn erase(&self, space: &Space) -> Result<u64, StoreError> {
        let mut state = self.state();
        let before = state.cores.len();
        state.cores.retain(|key, _| key.space != *space);
        let erased = before - state.cores.len();
        state.claims.retain(|(of, _), _| of != space);
        state.marks.retain(|(key, _), _| key.space != *space);
        state.outbox.retain(|(key, ..)| key.space != *space);
        state.envelopes.retain(|(key, ..), _| key.space != *space);
        for entry in &mut state.feed {
            if entry.as_ref().is_some_and(|(key, _)| key.space == *space) {
                *entry = None;
            }
        }
        Ok(erased as u64)
    }
}

#[async_trait]
impl Upkeep for ModelEngine {
    async fn due(&self, space: Option<&Space>, now: Timestamp, limit: usize) -> Result<Vec<DueTimer>, StoreError> {
        let state = self.state();
        let mut due: Vec<DueTimer> = state
            .cores
            .iter()
            .filter(|(key, _)| space.is_none_or(|space| key.space == *space))
            .filter_map(|(key, (_, core))| core.as_ref().map(|core| (key, core)))
            .flat_map(|(key, core)| {
                core.timers.iter().map(move |timer| DueTimer { key: key.clone(), timer: timer.clone() })
            })
            .filter(|due| due.timer.due <= now)
            .collect();
        due.sort_by(|a, b| (a.timer.due, &a.key).cmp(&(b.timer.due, &b.key)));
        Ok(in_turns(due, limit))
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let mut state = self.state();
        state.marks.retain(|_, until| *until >= now);
        let ended = |core: &Option<Core>| core.as_ref().and_then(|core| core.expires).is_some_and(|at| at < now);
        let keys: Vec<CoreKey> =
            state.cores.iter().filter(|(_, (_, core))| ended(core)).map(|(key, _)| key.clone()).take(limit).collect();
        for key in &keys {
            if let Some((_, Some(core))) = state.cores.remove(key) {
                state.release(key, &core);
            }
        }
        Ok(keys.len() as u64)
    }

    async fn repair(&self, _now: Timestamp, _grace: Duration) -> Result<u64, StoreError> {
        Ok(0)
    }
}

#[async_trait]
impl Outbox for ModelEngine {
    async fn lease(&self, partition: u16, holder: &str, lasting: Duration) -> Result<Option<Epoch>, StoreError> {
        let mut state = self.state();
        let now = Instant::now();
        let (owner, epoch, until) = state.leases.get(&partition).cloned().unwrap_or((String::new(), 0, now));
        let renewed = owner == holder && until > now;
        if !renewed && until > now {
            return Ok(None);
        }
        let epoch = if renewed { epoch } else { epoch + 1 };
        state.leases.insert(partition, (holder.to_owned(), epoch, now + lasting));
        Ok(Some(epoch))
    }

    async fn pending(&self, partition: u16, limit: usize) -> Result<Vec<OutboxEvent>, StoreError> {
        let state = self.state();
        let mine = state.outbox.iter().filter(|(key, ..)| outbox_partition(key) == partition % OUTBOX_PARTITIONS);
        let event = |event: &(CoreKey, u64, u32)| OutboxEvent {
            key: event.0.clone(),
            version: event.1,
            place: event.2,
            envelope: state.envelopes.get(event).cloned().unwrap_or_default(),
        };
        Ok(mine.take(limit).map(event).collect())
    }

    async fn relayed(&self, partition: u16, epoch: Epoch, events: &[OutboxEvent]) -> Result<(), StoreError> {
        let mut state = self.state();
        let now = Instant::now();
        if !state.leases.get(&partition).is_some_and(|(_, held, until)| *held == epoch && *until > now) {
            return Err(StoreError::Conflict);
        }
        for event in events {
            let key = (event.key.clone(), event.version, event.place);
            state.outbox.remove(&key);
            state.envelopes.remove(&key);
        }
        Ok(())
    }
}
