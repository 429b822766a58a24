//! Facts in memory, plainly: what the contract suite compares engines with, and what tests of contexts use.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use kernel::{Scope, Timestamp};

use crate::{
    Buckets, Fact, Facts, FactsError, Field, Filter, Funnel, MOST_ROWS, Measure, Query, Reached, Row, Trend,
    too_many_rows,
};

/// Keeps facts as long as it lives.
#[derive(Debug, Default)]
pub struct ModelFacts(Mutex<BTreeMap<(Scope, String), Fact>>);

/// The place of a row: its bucket; whether it is what is left over; its groups.
type Place = (Option<Timestamp>, bool, Vec<Option<String>>);
type Rows = BTreeMap<Place, Vec<Fact>>;

impl ModelFacts {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<(Scope, String), Fact>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn matching(
        &self,
        scope: Scope,
        filters: &[Filter],
        (from, until): (Option<Timestamp>, Option<Timestamp>),
    ) -> Vec<Fact> {
        let wanted = |fact: &&Fact| {
            let at = fact.at.as_microsecond();
            fact.scope == scope
                && filters.iter().all(|filter| passes(filter, fact))
                && from.is_none_or(|from| at >= from.as_microsecond())
                && until.is_none_or(|until| at < until.as_microsecond())
        };
        self.with(|kept| kept.values().filter(wanted).cloned().collect())
    }

    fn one(&self, scope: Scope, query: &Query, buckets: Option<&Buckets>) -> Result<Vec<Row>, FactsError> {
        let mut rows = Rows::new();
        for fact in self.matching(scope, &query.all_filters(), (query.from, query.until)) {
            let bucket = buckets.map(|buckets| buckets.span(fact.at).start);
            let groups = query.group_by.iter().map(|field| text(field, &fact).map(str::to_owned)).collect();
            rows.entry((bucket, false, groups)).or_default().push(fact);
        }
        if rows.len() > MOST_ROWS {
            return Err(too_many_rows());
        }
        if let Some(top) = query.top {
            rows = topped(rows, query.measure, top as usize);
        }
        if query.trend == Some(Trend::Cumulative) {
            cumulate(&mut rows);
        }
        let values = rows.into_iter().map(|(place, facts)| (place, measured(query.measure, &facts))).collect();
        let values = match (query.trend, buckets) {
            (Some(Trend::MovingAverage(over)), Some(buckets)) => moving(&values, over, buckets),
            _ => values,
        };
        let row = |((bucket, other, groups), value)| Row { bucket, groups, other, value };
        Ok(values.into_iter().map(row).take(query.limit as usize).collect())
    }
}

fn text<'a>(field: &Field, fact: &'a Fact) -> Option<&'a str> {
    match field {
        Field::Name => Some(&fact.name),
        Field::Person => fact.person.as_deref(),
        Field::Label(key) => fact.labels.get(key).map(String::as_str),
        Field::Value => None,
    }
}

fn passes(filter: &Filter, fact: &Fact) -> bool {
    match &filter.field {
        Field::Value => filter.passes_value(fact.value),
        field => filter.passes_text(text(field, fact)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "no engine holds 2^53 facts of a scope")]
fn measured(measure: Measure, facts: &[Fact]) -> f64 {
    let count = facts.len() as f64;
    let values = || facts.iter().map(|fact| fact.value);
    match measure {
        Measure::Count => count,
        Measure::Unique => facts.iter().filter_map(|fact| fact.person.as_ref()).collect::<BTreeSet<_>>().len() as f64,
        Measure::Sum => values().sum(),
        Measure::Average => values().sum::<f64>() / count,
        Measure::Min => values().fold(f64::INFINITY, f64::min),
        Measure::Max => values().fold(f64::NEG_INFINITY, f64::max),
        Measure::Percentile(percent) => {
            let mut values: Vec<f64> = values().collect();
            values.sort_by(f64::total_cmp);
            let rank = (values.len() * usize::from(percent)).div_ceil(100).max(1);
            values.get(rank - 1).copied().unwrap_or_default()
        }
    }
}

fn topped(rows: Rows, measure: Measure, top: usize) -> Rows {
    let mut groups: BTreeMap<Vec<Option<String>>, Vec<Fact>> = BTreeMap::new();
    for ((_, _, group), facts) in &rows {
        groups.entry(group.clone()).or_default().extend(facts.iter().cloned());
    }
    let mut ranked: Vec<(f64, Vec<Option<String>>)> =
        groups.into_iter().map(|(group, facts)| (measured(measure, &facts), group)).collect();
    ranked.sort_by(|left, right| right.0.total_cmp(&left.0).then_with(|| left.1.cmp(&right.1)));
    let kept: BTreeSet<_> = ranked.into_iter().take(top).map(|(_, group)| group).collect();
    let mut told = Rows::new();
    for ((bucket, _, group), facts) in rows {
        let other = !kept.contains(&group);
        let group = if other { vec![None; group.len()] } else { group };
        told.entry((bucket, other, group)).or_default().extend(facts);
    }
    told
}

fn cumulate(rows: &mut Rows) {
    let mut before: BTreeMap<(bool, Vec<Option<String>>), Vec<Fact>> = BTreeMap::new();
    for ((_, other, groups), facts) in rows {
        let sofar = before.entry((*other, groups.clone())).or_default();
        sofar.append(facts);
        facts.clone_from(sofar);
    }
}

fn moving(values: &BTreeMap<Place, f64>, over: u16, buckets: &Buckets) -> BTreeMap<Place, f64> {
    let mean = |(place, value): (&Place, &f64)| {
        let (bucket, other, groups) = place;
        let (mut sum, mut span) = (*value, buckets.span(bucket.unwrap_or_default()));
        for _ in 1..over {
            span = buckets.before(&span);
            sum += values.get(&(Some(span.start), *other, groups.clone())).copied().unwrap_or(0.0);
        }
        (place.clone(), sum / f64::from(over))
    };
    values.iter().map(mean).collect()
}

/// When each fact that ends a chain of steps was, with the latest fact that such a chain begins with.
fn chains(facts: &[Fact], funnel: &Funnel) -> Vec<Vec<(i64, i64)>> {
    let mut steps: Vec<Vec<(i64, i64)>> = Vec::new();
    for step in &funnel.steps {
        let filters = step.all_filters();
        let matching = facts.iter().filter(|fact| filters.iter().all(|filter| passes(filter, fact)));
        let ending = matching.filter_map(|fact| {
            let at = fact.at.as_microsecond();
            let start = match steps.last() {
                None => at,
                Some(before) => before.iter().filter(|(end, _)| *end < at).map(|(_, start)| *start).max()?,
            };
            (at - start <= funnel.window()).then_some((at, start))
        });
        let ending = ending.collect();
        steps.push(ending);
    }
    steps
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

    async fn answer(&self, scope: Scope, queries: Vec<Query>) -> Result<Vec<Vec<Row>>, FactsError> {
        let buckets = crate::checked(&queries)?;
        queries.iter().zip(&buckets).map(|(query, buckets)| self.one(scope, query, buckets.as_ref())).collect()
    }

    async fn funnel(&self, scope: Scope, funnel: Funnel) -> Result<Vec<Reached>, FactsError> {
        funnel.check()?;
        let mut persons: BTreeMap<String, Vec<Fact>> = BTreeMap::new();
        for fact in self.matching(scope, &[], (funnel.from, funnel.until)) {
            if let Some(person) = fact.person.clone() {
                persons.entry(person).or_default().push(fact);
            }
        }
        let ways: Vec<_> = persons.values().map(|facts| chains(facts, &funnel)).collect();
        let reached = |step: usize| {
            let first = ways.iter().filter_map(|steps| steps.get(step)?.iter().min());
            let took: Vec<i64> = first.map(|(end, start)| end - start).collect();
            Reached::new(took.len() as u64, if step == 0 { Vec::new() } else { took })
        };
        Ok((0..funnel.steps.len()).map(reached).collect())
    }

    async fn prune(&self, scope: Scope, before: Timestamp) -> Result<(), FactsError> {
        let before = before.as_microsecond();
        self.with(|kept| kept.retain(|(of, _), fact| *of != scope || fact.at.as_microsecond() >= before));
        Ok(())
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
