//! The ports as the platform sees them: what is behind them keeps everything, and on the way there something goes wrong.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use kernel::{Timestamp, entropy::Entropy};
use keys::{KeyError, Wrapped, WrappedKeys};
use store::{
    Base, Change, ClaimKey, Commit, Core, CoreKey, DueTimer, Engine, Epoch, Hit, Outbox, OutboxEvent, Outcome, Scan,
    Space, StoreError, Upkeep,
};

use crate::{
    faults::{Fate, Sabotage},
    world::World,
};

/// A port of the world, with its faults.
#[derive(Clone)]
pub(crate) struct Shaky(pub(crate) Arc<World>);

fn away<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("simulated".to_owned()))
}

impl Shaky {
    /// A read: it takes a while, and sometimes fails.
    pub(crate) async fn reads(&self) -> bool {
        self.0.faults.takes().await;
        !self.0.faults.strikes()
    }

    async fn apply(&self, mut commit: Commit) -> Result<Outcome, StoreError> {
        if self.0.faults.breaks(Sabotage::LosesCommits) {
            return Ok(Outcome::Done);
        }
        if self.0.faults.sabotage == Some(Sabotage::ForgetsCommits) {
            self.0.entropy.fill(&mut commit.id.bytes);
        }
        let outcome = self.0.engine.commit(commit.clone()).await;
        let (key, base) = (&commit.key, commit.base.version);
        self.0.trace.tell(format_args!("commit {key} after {base}: {outcome:?}"));
        if matches!(outcome, Ok(Outcome::Done)) {
            self.0.ledger.committed(&commit);
        }
        outcome
    }
}

#[async_trait]
impl Engine for Shaky {
    async fn get(&self, key: &CoreKey) -> Result<Option<Core>, StoreError> {
        if self.reads().await { self.0.engine.get(key).await } else { away() }
    }

    async fn base(&self, key: &CoreKey) -> Result<Base, StoreError> {
        if self.reads().await { self.0.engine.base(key).await } else { away() }
    }

    async fn find(&self, space: &Space, claim: &ClaimKey) -> Result<Option<(CoreKey, Core)>, StoreError> {
        if self.reads().await { self.0.engine.find(space, claim).await } else { away() }
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Hit>, StoreError> {
        if self.reads().await { self.0.engine.scan(scan).await } else { away() }
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        self.0.faults.takes().await;
        match self.0.faults.fate() {
            Fate::Good => {
                let outcome = self.apply(commit).await;
                // Whoever dies here has stored it and told nobody.
                self.0.faults.takes().await;
                outcome
            }
            Fate::Refused => away(),
            Fate::Torn => {
                drop(self.apply(commit).await);
                away()
            }
            Fate::Adrift => {
                let (it, time) = (self.clone(), self.0.faults.adrift());
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    drop(it.apply(commit).await);
                });
                away()
            }
        }
    }

    async fn changed_since(&self, space: &Space, cursor: u64, limit: usize) -> Result<Vec<Change>, StoreError> {
        if self.reads().await { self.0.engine.changed_since(space, cursor, limit).await } else { away() }
    }

    async fn export(
        &self,
        space: &Space,
        after: Option<&CoreKey>,
        limit: usize,
    ) -> Result<Vec<(CoreKey, Core)>, StoreError> {
        if self.reads().await { self.0.engine.export(space, after, limit).await } else { away() }
    }

    async fn import(&self, key: &CoreKey, core: Core) -> Result<(), StoreError> {
        self.0.engine.import(key, core).await
    }

    async fn erase(&self, space: &Space) -> Result<u64, StoreError> {
        self.0.faults.takes().await;
        let fate = self.0.faults.fate();
        if matches!(fate, Fate::Refused | Fate::Adrift) {
            return away();
        }
        if self.0.faults.sabotage == Some(Sabotage::KeepsTheErased) {
            return Ok(0);
        }
        let erased = self.0.engine.erase(space).await;
        self.0.trace.tell(format_args!("erased {}: {erased:?}", space.as_str()));
        if fate == Fate::Torn { away() } else { erased }
    }
}

#[async_trait]
impl Upkeep for Shaky {
    async fn due(&self, space: Option<&Space>, now: Timestamp, limit: usize) -> Result<Vec<DueTimer>, StoreError> {
        if self.reads().await { self.0.engine.due(space, now, limit).await } else { away() }
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        if self.reads().await { self.0.engine.sweep(now, limit).await } else { away() }
    }

    async fn repair(&self, now: Timestamp, grace: Duration) -> Result<u64, StoreError> {
        self.0.engine.repair(now, grace).await
    }
}

#[async_trait]
impl Outbox for Shaky {
    async fn lease(&self, partition: u16, holder: &str, lasting: Duration) -> Result<Option<Epoch>, StoreError> {
        if self.reads().await { self.0.engine.lease(partition, holder, lasting).await } else { away() }
    }

    async fn pending(&self, partition: u16, limit: usize) -> Result<Vec<OutboxEvent>, StoreError> {
        // An empty outbox is looked at very often: only what there is takes time.
        let pending = self.0.engine.pending(partition, limit).await?;
        if pending.is_empty() || self.reads().await { Ok(pending) } else { away() }
    }

    async fn relayed(&self, partition: u16, epoch: Epoch, events: &[OutboxEvent]) -> Result<(), StoreError> {
        self.0.faults.takes().await;
        match self.0.faults.fate() {
            Fate::Good => self.0.engine.relayed(partition, epoch, events).await,
            Fate::Torn => {
                self.0.engine.relayed(partition, epoch, events).await?;
                away()
            }
            Fate::Refused | Fate::Adrift => away(),
        }
    }
}

#[async_trait]
impl WrappedKeys for Shaky {
    async fn get(&self, name: &str) -> Result<Option<Wrapped>, KeyError> {
        if self.reads().await { self.0.keys.get(name).await } else { keys_away() }
    }

    async fn add(&self, name: &str, key: Vec<u8>) -> Result<Wrapped, KeyError> {
        self.0.faults.takes().await;
        match self.0.faults.fate() {
            Fate::Good => self.0.keys.add(name, key).await,
            Fate::Torn => {
                self.0.keys.add(name, key).await?;
                keys_away()
            }
            Fate::Refused | Fate::Adrift => keys_away(),
        }
    }

    async fn destroy(&self, name: &str) -> Result<(), KeyError> {
        self.0.faults.takes().await;
        let fate = self.0.faults.fate();
        if matches!(fate, Fate::Refused | Fate::Adrift) {
            return keys_away();
        }
        if self.0.faults.sabotage == Some(Sabotage::KeepsKeys) {
            return Ok(());
        }
        self.0.keys.destroy(name).await?;
        if fate == Fate::Torn { keys_away() } else { Ok(()) }
    }
}

fn keys_away<T>() -> Result<T, KeyError> {
    Err(KeyError::Unavailable("simulated".to_owned()))
}
