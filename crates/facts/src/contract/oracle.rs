//! Random facts and questions, answered by the engine and by the model.

use std::collections::BTreeMap;

use kernel::{Scope, Timestamp, entropy::SeededEntropy};

use super::{add, at, same, scope};
use crate::{Bucket, Fact, Facts, Field, Filter, Funnel, Measure, Query, Step, Test, Trend, model::ModelFacts};

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

    fn filter(&self) -> Filter {
        let text = |text: &str| text.to_owned();
        let country = || Field::label("country");
        let (field, test) = match self.below(7) {
            0 => (country(), Test::Is(text(self.one(&["de", "fr", "", "none"])))),
            1 => (country(), Test::AnyOf(vec![text("de"), text(self.one(&["fr", "", "none"]))])),
            2 => (Field::label("plan"), Test::Prefix(text(self.one(&["t", "të", "x"])))),
            3 => (Field::Name, Test::Prefix(text(self.one(&["a", "ab", "x"])))),
            4 => (Field::Person, Test::Present),
            5 => (Field::Person, Test::Is(format!("person-{}", self.below(300)))),
            _ => (Field::Value, Test::Between { at_least: self.one(&[None, Some(-20.25)]), below: Some(70.5) }),
        };
        Filter { field, test, not: self.one(&[true, false]) }
    }

    fn filters(&self) -> Vec<Filter> {
        (0..self.one(&[0, 0, 1, 2])).map(|_| self.filter()).collect()
    }

    fn time(&self, within: u64) -> (Option<Timestamp>, Option<Timestamp>) {
        let (one, other) = (self.instant(within), self.instant(within));
        (self.one(&[None, Some(one.min(other))]), self.one(&[None, Some(one.max(other))]).filter(|_| one != other))
    }

    fn query(&self, within: u64) -> Query {
        let percent = u8::try_from(self.below(100) + 1).expect("at most 100");
        let measures = [Measure::Count, Measure::Unique, Measure::Sum, Measure::Average, Measure::Min, Measure::Max];
        let measure = self.one(&[self.one(&measures), self.one(&measures), Measure::Percentile(percent)]);
        let buckets = [Bucket::Minute, Bucket::Hour, Bucket::Day, Bucket::Week, Bucket::Month, Bucket::Quarter];
        let bucket = self.one(&[None, Some(self.one(&buckets))]);
        let zones = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"];
        let fields = [Field::label("country"), Field::label("plan"), Field::Name, Field::label("none")];
        let group_by: Vec<Field> = fields.into_iter().filter(|_| self.below(3) == 0).take(3).collect();
        let trend = self.one(&[None, None, Some(Trend::Cumulative), Some(Trend::MovingAverage(3))]);
        let (from, until) = self.time(within);
        Query {
            name: self.one(&[None, Some("a"), Some("ab"), Some("none")]).map(str::to_owned),
            filters: self.filters(),
            from,
            until,
            bucket,
            time_zone: self.one(&zones).to_owned(),
            top: self.one(&[None, Some(1), Some(3)]).filter(|_| !group_by.is_empty()),
            trend: trend.filter(|_| bucket.is_some_and(|it| it != Bucket::Minute)),
            group_by,
            limit: self.one(&[1, 7, 10_000]),
            ..Query::new(measure)
        }
    }

    fn funnel(&self, within: u64) -> Funnel {
        let (from, until) = self.time(within);
        let step = |_| Step { name: self.one(&["a", "b", "ab"]).to_owned(), filters: self.filters() };
        let steps = (0..self.one(&[2, 3, 4])).map(step).collect();
        Funnel { steps, within: self.one(&[60, 86_400, 31_622_400]), from, until }
    }

    async fn ask(&self, facts: &dyn Facts, model: &ModelFacts, scope: Scope, within: u64) {
        let queries: Vec<Query> = (0..self.one(&[1, 3])).map(|_| self.query(within)).collect();
        let told = facts.answer(scope, queries.clone()).await.expect("questions that are in order are answered");
        let expected = model.answer(scope, queries.clone()).await.expect("the model answers what is in order");
        for ((query, told), expected) in queries.iter().zip(&told).zip(&expected) {
            let agree = told.len() == expected.len()
                && told.iter().zip(expected).all(|(told, expected)| {
                    (told.bucket, &told.groups, told.other) == (expected.bucket, &expected.groups, expected.other)
                        && same(Some(told.value), Some(expected.value))
                });
            assert!(agree, "the model answers {query:?} with {expected:?}, not {told:?}");
        }
        let funnel = self.funnel(within);
        let told = facts.funnel(scope, funnel.clone()).await.expect("a funnel that is in order is answered");
        let expected = model.funnel(scope, funnel.clone()).await.expect("the model answers what is in order");
        assert_eq!(told, expected, "the model answers otherwise: {funnel:?}");
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
    let (pruned, before) = (dice.one(&scopes), dice.instant(WITHIN));
    for facts in [facts, &model as &dyn Facts] {
        facts.prune(pruned, before).await.expect("a scope can be pruned");
    }
    for _ in 0..12 {
        dice.ask(facts, &model, pruned, WITHIN).await;
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
