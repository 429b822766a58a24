//! Facts in memory, plainly: what the contract suite compares engines with, and what tests of contexts use.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use kernel::{Scope, Timestamp};

use crate::{Fact, Facts, FactsError, Measure, Query, Row};

/// Keeps facts as long as it lives.
#[derive(Debug, Default)]
pub struct ModelFacts(Mutex<BTreeMap<(Scope, String), Fact>>);

impl ModelFacts {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<(Scope, String), Fact>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn matches(fact: &Fact, query: &Query) -> bool {
    let at = fact.at.as_microsecond();
    query.name.as_ref().is_none_or(|name| fact.name == *name)
        && query.labels.iter().all(|(key, value)| fact.labels.get(key) == Some(value))
        && query.from.is_none_or(|from| at >= from.as_microsecond())
        && query.until.is_none_or(|until| at < until.as_microsecond())
}

#[expect(clippy::cast_precision_loss, reason = "no engine holds 2^53 facts of a scope")]
fn measured(measure: Measure, facts: &[Fact]) -> f64 {
    let count = facts.len() as f64;
    let sum = || facts.iter().map(|fact| fact.value).sum::<f64>();
    match measure {
        Measure::Count => count,
        Measure::Unique => facts.iter().filter_map(|fact| fact.person.as_ref()).collect::<BTreeSet<_>>().len() as f64,
        Measure::Sum => sum(),
        Measure::Average => sum() / count,
        Measure::Percentile(percent) => {
            let mut values: Vec<f64> = facts.iter().map(|fact| fact.value).collect();
            values.sort_by(f64::total_cmp);
            let rank = (values.len() * usize::from(percent)).div_ceil(100).max(1);
            values.get(rank - 1).copied().unwrap_or_default()
        }
    }
}

#[async_trait]
impl Facts for ModelFacts {
    async fn append(&self, facts: Vec<Fact>) -> Result<(), FactsError> {
        crate::check(&facts)?;
        self.with(|kept| {
            for fact in facts {
                kept.entry((fact.scope, fact.id.clone())).or_insert(fact);
            }
        });
        Ok(())
    }

    async fn query(&self, scope: Scope, query: Query) -> Result<Vec<Row>, FactsError> {
        let buckets = query.checked()?;
        let mut rows: BTreeMap<(Option<Timestamp>, Option<String>), Vec<Fact>> = BTreeMap::new();
        let matching: Vec<Fact> = self
            .with(|kept| kept.values().filter(|fact| fact.scope == scope && matches(fact, &query)).cloned().collect());
        for fact in matching {
            let bucket = buckets.as_ref().map(|buckets| buckets.span(fact.at).start);
            let group = query.group_by.as_ref().and_then(|label| fact.labels.get(label).cloned());
            rows.entry((bucket, group)).or_default().push(fact);
        }
        let row =
            |((bucket, group), facts): (_, Vec<Fact>)| Row { bucket, group, value: measured(query.measure, &facts) };
        Ok(rows.into_iter().map(row).take(query.limit as usize).collect())
    }

    async fn erase(&self, scope: Scope) -> Result<(), FactsError> {
        self.with(|kept| kept.retain(|(of, _), _| *of != scope));
        Ok(())
    }

    async fn forget(&self, scope: Scope, person: &str) -> Result<(), FactsError> {
        self.with(|kept| {
            let theirs = |fact: &&mut Fact| fact.scope == scope && fact.person.as_deref() == Some(person);
            kept.values_mut().filter(theirs).for_each(|fact| fact.person = None);
        });
        Ok(())
    }
}
