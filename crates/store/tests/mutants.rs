//! The suite must be able to fail: each engine here breaks one promise, and is refused.

use std::time::Duration;

use async_trait::async_trait;
use freehold_store::{
    Base, Change, ClaimKey, Commit, Core, CoreKey, DueTimer, Engine, Epoch, Hit, Outbox, OutboxEvent, Outcome, Scan,
    Space, StoreError, Upkeep, Write, contract, model::ModelEngine,
};
use kernel::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    IgnoresTheBase,
    AppliesTwice,
    IgnoresClaims,
    ForgetsTheTombstone,
    LosesAnEvent,
    ScansUnordered,
    ScansFromTheStart,
    KeepsTimers,
    MixesSpaces,
    ErasesNothing,
    SweepsNothing,
    ExportsWithoutClaims,
    HidesDeletions,
    LeasesToAnyone,
    IgnoresTheEpoch,
    TurnsEventsRound,
}

struct Broken(ModelEngine, Fault);

impl Broken {
    fn has(&self, fault: Fault) -> bool {
        self.1 == fault
    }
}

#[async_trait]
impl Engine for Broken {
    async fn get(&self, key: &CoreKey) -> Result<Option<Core>, StoreError> {
        self.0.get(key).await
    }

    async fn base(&self, key: &CoreKey) -> Result<Base, StoreError> {
        let base = self.0.base(key).await?;
        let hidden = self.has(Fault::ForgetsTheTombstone) && self.0.get(key).await?.is_none();
        Ok(if hidden { Base::default() } else { base })
    }

    async fn find(&self, space: &Space, claim: &ClaimKey) -> Result<Option<(CoreKey, Core)>, StoreError> {
        self.0.find(space, claim).await
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Hit>, StoreError> {
        let mut scan = scan.clone();
        if self.has(Fault::ScansFromTheStart) {
            scan.after = scan.after.filter(|_| scan.limit > 2);
            scan.limit = scan.limit.max(3);
        }
        let mut hits = self.0.scan(&scan).await?;
        if self.has(Fault::ScansUnordered) {
            hits.reverse();
        }
        Ok(hits)
    }

    async fn commit(&self, mut commit: Commit) -> Result<Outcome, StoreError> {
        if self.has(Fault::IgnoresTheBase) {
            commit.base = self.0.base(&commit.key).await?;
        }
        if self.has(Fault::AppliesTwice) {
            commit.id.bytes[0] ^= u8::try_from(self.0.base(&commit.key).await?.version).unwrap_or(0);
            commit.base = self.0.base(&commit.key).await?;
        }
        if self.has(Fault::LosesAnEvent) {
            commit.events.pop();
        }
        if let Write::Put { claims, .. } = &mut commit.write
            && self.has(Fault::IgnoresClaims)
        {
            claims.clear();
        }
        self.0.commit(commit).await
    }

    async fn changed_since(&self, space: &Space, cursor: u64, limit: usize) -> Result<Vec<Change>, StoreError> {
        let mut changes = self.0.changed_since(space, cursor, limit).await?;
        if self.has(Fault::HidesDeletions) {
            let mut live = Vec::new();
            for change in changes {
                if self.0.get(&change.key).await?.is_some() {
                    live.push(change);
                }
            }
            changes = live;
        }
        Ok(changes)
    }

    async fn export(
        &self,
        space: &Space,
        after: Option<&CoreKey>,
        limit: usize,
    ) -> Result<Vec<(CoreKey, Core)>, StoreError> {
        let mut page = self.0.export(space, after, limit).await?;
        if self.has(Fault::ExportsWithoutClaims) {
            for (_, core) in &mut page {
                core.claims.clear();
            }
        }
        Ok(page)
    }

    async fn import(&self, key: &CoreKey, core: Core) -> Result<(), StoreError> {
        self.0.import(key, core).await
    }

    async fn erase(&self, space: &Space) -> Result<u64, StoreError> {
        if self.has(Fault::ErasesNothing) { Ok(0) } else { self.0.erase(space).await }
    }
}

#[async_trait]
impl Upkeep for Broken {
    async fn due(&self, space: Option<&Space>, now: Timestamp, limit: usize) -> Result<Vec<DueTimer>, StoreError> {
        let now = if self.has(Fault::KeepsTimers) { now + Duration::from_secs(1_000) } else { now };
        self.0.due(space.filter(|_| !self.has(Fault::MixesSpaces)), now, limit).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        if self.has(Fault::SweepsNothing) { Ok(0) } else { self.0.sweep(now, limit).await }
    }

    async fn repair(&self, now: Timestamp, grace: Duration) -> Result<u64, StoreError> {
        self.0.repair(now, grace).await
    }
}

#[async_trait]
impl Outbox for Broken {
    async fn lease(&self, partition: u16, holder: &str, lasting: Duration) -> Result<Option<Epoch>, StoreError> {
        let leased = self.0.lease(partition, holder, lasting).await?;
        Ok(if self.has(Fault::LeasesToAnyone) { leased.or(Some(1)) } else { leased })
    }

    async fn pending(&self, partition: u16, limit: usize) -> Result<Vec<OutboxEvent>, StoreError> {
        let mut pending = self.0.pending(partition, limit).await?;
        if self.has(Fault::TurnsEventsRound) {
            pending.reverse();
        }
        Ok(pending)
    }

    async fn relayed(&self, partition: u16, epoch: Epoch, events: &[OutboxEvent]) -> Result<(), StoreError> {
        match self.0.relayed(partition, epoch, events).await {
            Err(StoreError::Conflict) if self.has(Fault::IgnoresTheEpoch) => Ok(()),
            outcome => outcome,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_promise_is_noticed() {
    use Fault::*;
    let faults = [
        IgnoresTheBase,
        AppliesTwice,
        IgnoresClaims,
        ForgetsTheTombstone,
        LosesAnEvent,
        ScansUnordered,
        ScansFromTheStart,
        KeepsTimers,
        MixesSpaces,
        ErasesNothing,
        SweepsNothing,
        ExportsWithoutClaims,
        HidesDeletions,
        LeasesToAnyone,
        IgnoresTheEpoch,
        TurnsEventsRound,
    ];
    let run = |fault| async move {
        let subject = contract::Subject::new(Broken(ModelEngine::default(), fault));
        tokio::spawn(async move { contract::run(&subject).await }).await.is_err()
    };
    let runs = faults.map(|fault| (fault, tokio::spawn(tokio::time::timeout(Duration::from_mins(1), run(fault)))));
    let mut unnoticed = Vec::new();
    for (fault, run) in runs {
        // A check that waits for ever on what never comes has noticed as well.
        if !run.await.unwrap().unwrap_or(true) {
            unnoticed.push(fault);
        }
    }
    assert_eq!(unnoticed, [], "the suite lets these pass");
}
