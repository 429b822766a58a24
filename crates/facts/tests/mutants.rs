//! The suite must be able to fail: each of these breaks one promise, and is refused.

use async_trait::async_trait;
use freehold_facts::{
    Bucket, Fact, Facts, FactsError, Funnel, Measure, Query, Reached, Row, Trend, contract, model::ModelFacts,
};
use kernel::{Scope, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    MixesScopes,
    CountsIdsTwice,
    KeepsTheLastOfAnId,
    TakesHalfABatch,
    IgnoresTheZone,
    IgnoresFilters,
    IgnoresNot,
    IncludesTheEnd,
    IgnoresTheLimit,
    IgnoresTop,
    IgnoresTrends,
    ForgetsAGroup,
    AnswersInReverse,
    RoundsPercentiles,
    HoldsAnyNumberOfRows,
    FunnelsWithoutAWindow,
    FunnelsAcrossPersons,
    PrunesTooMuch,
    PrunesNothing,
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

    fn spoil(&self, query: &mut Query) {
        match self.1 {
            Fault::IgnoresTheZone => "UTC".clone_into(&mut query.time_zone),
            Fault::IgnoresFilters => query.filters.clear(),
            Fault::IgnoresNot => query.filters.iter_mut().for_each(|it| it.not = false),
            Fault::IncludesTheEnd => {
                query.until = query.until.map(|until| until + std::time::Duration::from_micros(1));
            }
            Fault::IgnoresTheLimit => query.limit = 10_000,
            Fault::IgnoresTop => query.top = None,
            Fault::IgnoresTrends if query.trend == Some(Trend::Cumulative) => query.trend = None,
            Fault::ForgetsAGroup => query.group_by.truncate(2),
            Fault::CountsPersonsAsFacts if query.bucket == Some(Bucket::Day) && query.measure == Measure::Unique => {
                query.measure = Measure::Count;
            }
            _ => {}
        }
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

    async fn answer(&self, scope: Scope, mut queries: Vec<Query>) -> Result<Vec<Vec<Row>>, FactsError> {
        freehold_facts::checked(&queries)?;
        let scope = if self.has(Fault::MixesScopes) { Scope::Platform } else { scope };
        for query in &mut queries {
            self.spoil(query);
        }
        if self.has(Fault::HoldsAnyNumberOfRows) && queries.iter().any(|it| it.limit == 1_000) {
            let told = self.0.answer(scope, queries.clone()).await;
            return Ok(told.unwrap_or_else(|_| vec![Vec::new(); queries.len()]));
        }
        let mut told = self.0.answer(scope, queries).await?;
        if self.has(Fault::AnswersInReverse) {
            told.reverse();
        }
        if self.has(Fault::RoundsPercentiles) {
            told.iter_mut().flatten().for_each(|row| row.value = row.value.round());
        }
        Ok(told)
    }

    async fn funnel(&self, scope: Scope, mut funnel: Funnel) -> Result<Vec<Reached>, FactsError> {
        funnel.check()?;
        if self.has(Fault::FunnelsWithoutAWindow) {
            funnel.within = 31_622_400;
        }
        let mut told = self.0.funnel(scope, funnel).await?;
        if self.has(Fault::FunnelsAcrossPersons) {
            for reached in &mut told {
                reached.people = reached.people.min(1);
            }
        }
        Ok(told)
    }

    async fn prune(&self, scope: Scope, before: Timestamp) -> Result<(), FactsError> {
        match self.1 {
            Fault::PrunesNothing => Ok(()),
            Fault::PrunesTooMuch => self.0.prune(scope, before + std::time::Duration::from_micros(1)).await,
            _ => self.0.prune(scope, before).await,
        }
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
        Fault::IgnoresFilters,
        Fault::IgnoresNot,
        Fault::IncludesTheEnd,
        Fault::IgnoresTheLimit,
        Fault::IgnoresTop,
        Fault::IgnoresTrends,
        Fault::ForgetsAGroup,
        Fault::AnswersInReverse,
        Fault::RoundsPercentiles,
        Fault::HoldsAnyNumberOfRows,
        Fault::FunnelsWithoutAWindow,
        Fault::FunnelsAcrossPersons,
        Fault::PrunesTooMuch,
        Fault::PrunesNothing,
        Fault::ErasesNothing,
        Fault::ForgetsNobody,
        Fault::ForgetsTheFacts,
        Fault::CountsPersonsAsFacts,
    ] {
        assert!(!survives(fault).await, "{fault:?} went unnoticed");
    }
}
