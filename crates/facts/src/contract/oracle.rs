//! Random facts and questions, answered by the engine and by the model.

use std::collections::BTreeMap;

use kernel::{Scope, Timestamp, entropy::SeededEntropy};

use super::{add, at, same, scope};
use crate::{Bucket, Fact, Facts, Measure, Query, model::ModelFacts};

/// More than any engine leaves in rows, so that its other form is asked too.
const MANY: u64 = 9_000;
const DAY: u64 = 86_400;

struct Dice(SeededEntropy);

impl Dice {
    fn below(&self, most: u64) -> u64 {
        self.0.next() % most
    }

    fn one<T: Copy>(&self, of: &[T]) -> T {
        let place = usize::try_from(self.below(of.len() as u64)).expect("a place in a slice");
        *of.get(place).expect("below the length")
    }

    fn instant(&self, within: u64) -> Timestamp {
        let micros = i64::try_from(self.below(within * 1_000_000)).expect("a few months");
        let start = at("2026-03-28T00:00:00Z").as_microsecond();
        Timestamp::from_microsecond(start + micros).expect("an instant of this century")
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let country = self.one(&[None, Some("de"), Some("fr"), Some("")]).map(|it| ("country", it));
        let plan = self.one(&[None, Some("team"), Some("tëam")]).map(|it| ("plan", it));
        country.into_iter().chain(plan).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// Values are quarters, so that sums are exact in any order.
    fn fact(&self, scope: Scope, id: u64, within: u64) -> Fact {
        let (name, at) = (self.one(&["a", "b", "ab"]).to_owned(), self.instant(within));
        let person = self.one(&[true, true, false]).then(|| format!("person-{}", self.below(300)));
        let quarters = i32::try_from(self.below(4_000)).expect("a small number") - 2_000;
        let value = f64::from(quarters) / 4.0;
        Fact { id: format!("fact-{id}"), scope, name, at, person, value, labels: self.labels() }
    }

    fn query(&self, within: u64) -> Query {
        let percent = u8::try_from(self.below(100) + 1).expect("at most 100");
        let measures = [Measure::Count, Measure::Unique, Measure::Sum, Measure::Average, Measure::Percentile(percent)];
        let buckets = [None, Some(Bucket::Hour), Some(Bucket::Day), Some(Bucket::Week), Some(Bucket::Month)];
        let zones = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"];
        let (one, other) = (self.instant(within), self.instant(within));
        let labels = if self.one(&[true, false]) { self.labels() } else { BTreeMap::new() };
        Query {
            name: self.one(&[None, Some("a"), Some("ab"), Some("none")]).map(str::to_owned),
            labels,
            from: self.one(&[None, Some(one.min(other))]),
            until: self.one(&[None, Some(one.max(other))]).filter(|_| one != other),
            bucket: self.one(&buckets),
            time_zone: self.one(&zones).to_owned(),
            group_by: self.one(&[None, Some("country"), Some("plan"), Some("none")]).map(str::to_owned),
            limit: self.one(&[1, 7, 10_000]),
            ..Query::new(self.one(&measures))
        }
    }

    async fn ask(&self, facts: &dyn Facts, model: &ModelFacts, scope: Scope, within: u64) {
        let query = self.query(within);
        let told = facts.query(scope, query.clone()).await.expect("a question that is in order is answered");
        let expected = model.query(scope, query.clone()).await.expect("the model answers what is in order");
        let agree = told.len() == expected.len()
            && told.iter().zip(&expected).all(|(told, expected)| {
                (told.bucket, &told.group) == (expected.bucket, &expected.group)
                    && same(Some(told.value), Some(expected.value))
            });
        assert!(agree, "the model answers {query:?} with {expected:?}, not {told:?}");
    }
}

async fn both(facts: &dyn Facts, model: &ModelFacts, batch: Vec<Fact>) {
    add(facts, batch.clone()).await;
    add(model, batch).await;
}

async fn forget(facts: &dyn Facts, model: &ModelFacts, scope: Scope, person: &str) {
    for facts in [facts, model as &dyn Facts] {
        facts.forget(scope, person).await.expect("a person can be forgotten");
    }
}

pub(super) async fn agrees_with_the_model(facts: &dyn Facts, seed: u64) {
    const WITHIN: u64 = 60 * DAY;
    let (dice, model, scopes) = (Dice(SeededEntropy::new(seed)), ModelFacts::default(), [scope(), scope()]);
    for _ in 0..12 {
        // Ids come again, so that some are known.
        let batch = (0..60).map(|_| dice.fact(dice.one(&scopes), dice.below(900), WITHIN)).collect();
        both(facts, &model, batch).await;
        for _ in 0..12 {
            dice.ask(facts, &model, dice.one(&scopes), WITHIN).await;
        }
        forget(facts, &model, dice.one(&scopes), &format!("person-{}", dice.below(300))).await;
    }
}

pub(super) async fn agrees_on_many_facts_of_a_day(facts: &dyn Facts) {
    const WITHIN: u64 = DAY + 7_200;
    let (dice, model, scope) = (Dice(SeededEntropy::new(7)), ModelFacts::default(), scope());
    for first in (0..MANY).step_by(500) {
        let mut batch: Vec<Fact> = (first..first + 500).map(|id| dice.fact(scope, id, WITHIN)).collect();
        // Two names would fill too slowly; and what came long before comes again, changed.
        batch.iter_mut().filter(|fact| fact.name == "b").for_each(|fact| "a".clone_into(&mut fact.name));
        batch.extend((0..20).map(|_| dice.fact(scope, dice.below(first + 1), WITHIN)));
        both(facts, &model, batch).await;
    }
    for round in 0..3 {
        for _ in 0..20 {
            dice.ask(facts, &model, scope, WITHIN).await;
        }
        for _ in 0..10 {
            forget(facts, &model, scope, &format!("person-{}", dice.below(300))).await;
        }
        let later = (0..200).map(|id| dice.fact(scope, MANY + round * 200 + id, WITHIN)).collect();
        both(facts, &model, later).await;
    }
    for facts in [facts, &model as &dyn Facts] {
        facts.erase(scope).await.expect("a scope can be erased");
    }
    dice.ask(facts, &model, scope, WITHIN).await;
}
