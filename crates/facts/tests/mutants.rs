//! The suite must be able to fail: each of these breaks one promise, and is refused.

use async_trait::async_trait;
use freehold_facts::{Bucket, Fact, Facts, FactsError, Measure, Query, Row, contract, model::ModelFacts};
use kernel::Scope;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    MixesScopes,
    CountsIdsTwice,
    KeepsTheLastOfAnId,
    TakesHalfABatch,
    IgnoresTheZone,
    IgnoresLabels,
    IncludesTheEnd,
    IgnoresTheLimit,
    ErasesNothing,
    ForgetsNobody,
    ForgetsTheFacts,
    CountsPersonsAsFacts,
}

struct Broken(ModelFacts, Fault, std::sync::atomic::AtomicU64);

impl Broken {
    fn new(fault: Fault) -> Self {
        Self(ModelFacts::default(), fault, 0.into())
    }

    fn has(&self, fault: Fault) -> bool {
        self.1 == fault
    }
}

#[async_trait]
impl Facts for Broken {
    async fn append(&self, mut facts: Vec<Fact>) -> Result<(), FactsError> {
        for fact in &mut facts {
            if self.has(Fault::MixesScopes) {
                fact.scope = Scope::Platform;
            }
            if self.has(Fault::CountsIdsTwice) && fact.id.len() < 190 && !fact.id.is_empty() {
                let next = self.2.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                fact.id = format!("{}{next}", fact.id);
            }
        }
        if self.has(Fault::KeepsTheLastOfAnId) {
            facts.reverse();
        }
        if self.has(Fault::TakesHalfABatch)
            && let Some(first) = facts.first()
        {
            self.0.append(vec![first.clone()]).await?;
        }
        self.0.append(facts).await
    }

    async fn query(&self, scope: Scope, mut query: Query) -> Result<Vec<Row>, FactsError> {
        query.checked()?;
        match self.1 {
            Fault::IgnoresTheZone => "UTC".clone_into(&mut query.time_zone),
            Fault::IgnoresLabels => query.labels.clear(),
            Fault::IncludesTheEnd => {
                query.until = query.until.map(|until| until + std::time::Duration::from_micros(1));
            }
            Fault::IgnoresTheLimit => query.limit = 10_000,
            Fault::CountsPersonsAsFacts if query.bucket == Some(Bucket::Day) && query.measure == Measure::Unique => {
                query.measure = Measure::Count;
            }
            _ => {}
        }
        self.0.query(if self.has(Fault::MixesScopes) { Scope::Platform } else { scope }, query).await
    }

    async fn erase(&self, scope: Scope) -> Result<(), FactsError> {
        if self.has(Fault::ErasesNothing) { Ok(()) } else { self.0.erase(scope).await }
    }

    async fn forget(&self, scope: Scope, person: &str) -> Result<(), FactsError> {
        match self.1 {
            Fault::ForgetsNobody => Ok(()),
            Fault::ForgetsTheFacts => self.0.erase(scope).await,
            _ => self.0.forget(scope, person).await,
        }
    }
}

async fn survives(fault: Fault) -> bool {
    tokio::spawn(async move { contract::run(&Broken::new(fault)).await }).await.is_ok()
}

#[tokio::test]
async fn every_broken_promise_is_noticed() {
    assert!(survives(Fault::None).await);
    for fault in [
        Fault::MixesScopes,
        Fault::CountsIdsTwice,
        Fault::KeepsTheLastOfAnId,
        Fault::TakesHalfABatch,
        Fault::IgnoresTheZone,
        Fault::IgnoresLabels,
        Fault::IncludesTheEnd,
        Fault::IgnoresTheLimit,
        Fault::ErasesNothing,
        Fault::ForgetsNobody,
        Fault::ForgetsTheFacts,
        Fault::CountsPersonsAsFacts,
    ] {
        assert!(!survives(fault).await, "{fault:?} went unnoticed");
    }
}
