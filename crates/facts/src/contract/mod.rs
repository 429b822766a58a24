//! The definition of an engine of facts: every promise of the port as a check. Each works in scopes of its own, so the
//! suite can run on a server that holds other facts.

mod oracle;
mod rows;
mod ways;

use kernel::{
    Id, Scope, Timestamp,
    entropy::{Entropy, SystemEntropy},
};

use crate::{Bucket, Fact, Facts, FactsError, Field, Filter, Measure, Query, Row, Test, Trend};

/// Runs every check; the first that fails panics with what was promised.
pub async fn run(facts: &dyn Facts) {
    measures(facts).await;
    names_labels_and_time_select(facts).await;
    filters_select(facts).await;
    the_same_id_counts_once(facts).await;
    scopes_are_apart(facts).await;
    a_refused_batch_leaves_nothing(facts).await;
    questions_that_mean_nothing_are_refused(facts).await;
    buckets_follow_the_calendar_of_the_zone(facts).await;
    rows_are_ordered_and_limited(facts).await;
    rows::rows_are_grouped_by_several(facts).await;
    rows::the_largest_groups_stay_and_the_others_are_one(facts).await;
    rows::trends_look_back(facts).await;
    rows::percentiles_of_many_values_are_nearly_exact(facts).await;
    rows::several_questions_have_their_answers_in_order(facts).await;
    rows::too_many_rows_are_refused(facts).await;
    ways::funnels_follow_persons_through_steps(facts).await;
    ways::funnels_that_mean_nothing_are_refused(facts).await;
    ways::pruning_removes_what_is_older(facts).await;
    erasing_leaves_nothing(facts).await;
    forgetting_keeps_the_count(facts).await;
    for seed in 1..=3 {
        oracle::agrees_with_the_model(facts, seed).await;
    }
    oracle::agrees_on_many_facts_of_a_day(facts).await;
}

/// A scope nobody else uses.
fn scope() -> Scope {
    Scope::Tenant(Id::from_uuid(SystemEntropy::default().uuid_v7(at("2026-01-01T00:00:00Z"))))
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant as RFC 3339 writes it")
}

fn fact(scope: Scope, id: &str, instant: &str) -> Fact {
    let (id, name) = (id.to_owned(), "page.seen".to_owned());
    Fact { id, scope, name, at: at(instant), person: None, value: 1.0, labels: std::collections::BTreeMap::new() }
}

fn of(mut fact: Fact, person: &str, value: f64, label: &str) -> Fact {
    (fact.person, fact.value) = (Some(person.to_owned()), value);
    fact.labels.insert("country".to_owned(), label.to_owned());
    fact
}

async fn add(facts: &dyn Facts, batch: Vec<Fact>) {
    facts.append(batch).await.expect("facts that are in order are taken");
}

async fn rows(facts: &dyn Facts, scope: Scope, query: &Query) -> Vec<Row> {
    facts.query(scope, query.clone()).await.expect("a question that is in order is answered")
}

/// The one value of a question without buckets and groups; none where no fact matches.
async fn value(facts: &dyn Facts, scope: Scope, query: &Query) -> Option<f64> {
    let rows = rows(facts, scope, query).await;
    assert!(rows.len() <= 1, "a question without buckets and groups has one row at most");
    rows.first().map(|row| row.value)
}

fn same(left: Option<f64>, right: Option<f64>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => (left - right).abs() <= 1e-9 * left.abs().max(1.0),
        (left, right) => left.is_none() && right.is_none(),
    }
}

async fn expect(facts: &dyn Facts, scope: Scope, query: &Query, expected: Option<f64>, promise: &str) {
    let told = value(facts, scope, query).await;
    assert!(same(told, expected), "{promise}: {told:?} instead of {expected:?} for {query:?}");
}

fn some_facts(scope: Scope) -> Vec<Fact> {
    vec![
        of(fact(scope, "1", "2026-03-01T10:00:00Z"), "ada", 4.0, "de"),
        of(fact(scope, "2", "2026-03-01T11:00:00Z"), "ada", 1.0, "de"),
        of(fact(scope, "3", "2026-03-02T10:00:00Z"), "bob", 2.5, "fr"),
        fact(scope, "4", "2026-03-03T10:00:00.000001Z"),
    ]
}

async fn measures(facts: &dyn Facts) {
    let scope = scope();
    let all = Query::new(Measure::Count);
    expect(facts, scope, &all, None, "no facts, no row").await;
    add(facts, some_facts(scope)).await;
    let expected = [
        (Measure::Count, 4.0),
        (Measure::Unique, 2.0),
        (Measure::Sum, 8.5),
        (Measure::Average, 2.125),
        (Measure::Min, 1.0),
        (Measure::Max, 4.0),
        (Measure::Percentile(1), 1.0),
        (Measure::Percentile(50), 1.0),
        (Measure::Percentile(51), 2.5),
        (Measure::Percentile(100), 4.0),
    ];
    for (measure, value) in expected {
        expect(facts, scope, &Query::new(measure), Some(value), "each measure is what it says").await;
    }
    let nobody = Query { from: Some(at("2026-03-03T00:00:00Z")), ..Query::new(Measure::Unique) };
    expect(facts, scope, &nobody, Some(0.0), "facts of nobody make a row that counts no person").await;
}

async fn names_labels_and_time_select(facts: &dyn Facts) {
    let scope = scope();
    let mut other = of(fact(scope, "5", "2026-03-01T10:00:00Z"), "eve", 1.0, "de");
    "page.left".clone_into(&mut other.name);
    other.labels.insert("plan".to_owned(), String::new());
    add(facts, [some_facts(scope), vec![other]].concat()).await;
    let count = || Query::new(Measure::Count);
    let label = |key: &str, value: &str| Filter::is(Field::label(key), value);
    let instant = |text: &str| Some(at(text));
    let cases = [
        (count(), Some(5.0)),
        (Query { name: Some("page.seen".into()), ..count() }, Some(4.0)),
        (Query { name: Some("page".into()), ..count() }, None),
        (Query { filters: vec![label("country", "de")], ..count() }, Some(3.0)),
        (Query { filters: vec![label("country", "")], ..count() }, None),
        (Query { filters: vec![label("country", "de"), label("plan", "")], ..count() }, Some(1.0)),
        (Query { from: instant("2026-03-01T11:00:00Z"), ..count() }, Some(3.0)),
        (Query { until: instant("2026-03-01T11:00:00Z"), ..count() }, Some(2.0)),
        (Query { from: instant("2026-03-03T10:00:00.000001Z"), ..count() }, Some(1.0)),
        (Query { from: instant("2026-03-03T10:00:00.000002Z"), ..count() }, None),
    ];
    for (query, expected) in cases {
        expect(facts, scope, &query, expected, "only what matches counts").await;
    }
}

async fn filters_select(facts: &dyn Facts) {
    let scope = scope();
    let mut other = of(fact(scope, "5", "2026-03-01T10:00:00Z"), "eve", -2.0, "dé");
    "page.left".clone_into(&mut other.name);
    add(facts, [some_facts(scope), vec![other]].concat()).await;
    let texts = |texts: &[&str]| Test::AnyOf(texts.iter().map(|text| (*text).to_owned()).collect());
    let is = |text: &str| Test::Is(text.to_owned());
    let begins = |text: &str| Test::Prefix(text.to_owned());
    let between = |at_least, below| Test::Between { at_least, below };
    let country = || Field::label("country");
    let cases = [
        (Field::Name, begins("page."), 5.0, 0.0),
        (Field::Name, begins("page.l"), 1.0, 4.0),
        (Field::Name, is("page.left"), 1.0, 4.0),
        (Field::Name, texts(&["page.left", "page.seen", "none"]), 5.0, 0.0),
        (Field::Person, is("ada"), 2.0, 3.0),
        (Field::Person, texts(&["ada", "bob", "joe"]), 3.0, 2.0),
        (Field::Person, Test::Present, 4.0, 1.0),
        (Field::Value, between(Some(1.0), Some(4.0)), 3.0, 2.0),
        (Field::Value, between(None, Some(0.0)), 1.0, 4.0),
        (Field::Value, between(Some(2.5), None), 2.0, 3.0),
        (country(), begins("d"), 3.0, 2.0),
        (country(), begins(""), 4.0, 1.0),
        (country(), texts(&["fr", "dé"]), 2.0, 3.0),
        (country(), Test::Present, 4.0, 1.0),
        (Field::label("none"), Test::Present, 0.0, 5.0),
    ];
    for (field, test, passing, failing) in cases {
        for (not, count) in [(false, passing), (true, failing)] {
            let filters = vec![Filter { field: field.clone(), test: test.clone(), not }];
            let query = Query { filters, ..Query::new(Measure::Count) };
            let expected = (count > 0.0).then_some(count);
            expect(facts, scope, &query, expected, "a filter takes what passes, and its contrary the rest").await;
        }
    }
}

async fn the_same_id_counts_once(facts: &dyn Facts) {
    let (scope, other) = (scope(), scope());
    let one = of(fact(scope, "1", "2026-03-01T10:00:00Z"), "ada", 1.0, "de");
    let changed = of(fact(scope, "1", "2026-03-02T10:00:00Z"), "bob", 5.0, "fr");
    add(facts, vec![one.clone(), one.clone()]).await;
    add(facts, vec![changed, one, fact(other, "1", "2026-03-01T10:00:00Z")]).await;
    expect(facts, scope, &Query::new(Measure::Count), Some(1.0), "an id counts once").await;
    expect(facts, scope, &Query::new(Measure::Sum), Some(1.0), "the first of an id stays").await;
    expect(facts, other, &Query::new(Measure::Count), Some(1.0), "ids of scopes are apart").await;
}

async fn scopes_are_apart(facts: &dyn Facts) {
    let (mine, theirs) = (scope(), scope());
    add(facts, some_facts(mine)).await;
    add(facts, vec![of(fact(theirs, "9", "2026-03-01T10:00:00Z"), "ada", 100.0, "it")]).await;
    for (measure, expected) in [(Measure::Count, 1.0), (Measure::Sum, 100.0), (Measure::Unique, 1.0)] {
        expect(facts, theirs, &Query::new(measure), Some(expected), "a scope sees its own facts").await;
    }
    expect(facts, mine, &Query::new(Measure::Sum), Some(8.5), "a scope sees its own facts").await;
    facts.forget(theirs, "bob").await.expect("whom nobody knows can be forgotten");
    expect(facts, mine, &Query::new(Measure::Unique), Some(2.0), "forgetting in one scope is none in another").await;
}

async fn a_refused_batch_leaves_nothing(facts: &dyn Facts) {
    let scope = scope();
    let good = || fact(scope, "good", "2026-03-01T10:00:00Z");
    let label = |key: String| (key, String::new());
    let bad = [
        Fact { id: String::new(), ..good() },
        Fact { id: "x".repeat(201), ..good() },
        Fact { name: String::new(), ..good() },
        Fact { name: "a\0b".to_owned(), ..good() },
        Fact { person: Some(String::new()), ..good() },
        Fact { value: f64::NAN, ..good() },
        Fact { value: f64::INFINITY, ..good() },
        Fact { at: at("1969-12-31T23:59:59.999Z"), ..good() },
        Fact { at: at("2200-01-01T00:00:00Z"), ..good() },
        Fact { labels: (0..17).map(|it| label(it.to_string())).collect(), ..good() },
        Fact { labels: [label("x".repeat(65))].into(), ..good() },
    ];
    for bad in bad {
        let refused = facts.append(vec![good(), bad.clone()]).await;
        assert!(matches!(refused, Err(FactsError::Invalid { .. })), "{refused:?} for {bad:?}");
    }
    expect(facts, scope, &Query::new(Measure::Count), None, "nothing of a refused batch is kept").await;
    add(facts, Vec::new()).await;
}

async fn questions_that_mean_nothing_are_refused(facts: &dyn Facts) {
    let (scope, instant) = (scope(), Some(at("2026-03-01T10:00:00Z")));
    let count = || Query::new(Measure::Count);
    let bad = [
        Query::new(Measure::Percentile(0)),
        Query::new(Measure::Percentile(101)),
        Query { name: Some(String::new()), ..count() },
        Query { name: Some("a".repeat(121)), ..count() },
        Query { limit: 0, ..count() },
        Query { limit: 10_001, ..count() },
        Query { from: instant, until: instant, ..count() },
        Query { time_zone: "Europe/Atlantis".to_owned(), bucket: Some(Bucket::Day), ..count() },
        Query { time_zone: "../etc/passwd".to_owned(), ..count() },
        Query { group_by: vec![Field::Person], ..count() },
        Query { group_by: vec![Field::Name; 4], ..count() },
        Query { top: Some(1), ..count() },
        Query { top: Some(101), group_by: vec![Field::Name], ..count() },
        Query { trend: Some(Trend::Cumulative), ..count() },
        Query { trend: Some(Trend::MovingAverage(1)), bucket: Some(Bucket::Day), ..count() },
        Query { filters: vec![Filter::is(Field::Value, "1")], ..count() },
        Query { filters: vec![Filter::named("a"); 17], ..count() },
        Query { filters: vec![Filter { test: Test::Prefix("a".into()), ..Filter::is(Field::Person, "") }], ..count() },
    ];
    for bad in bad {
        let refused = facts.query(scope, bad.clone()).await;
        assert!(matches!(refused, Err(FactsError::Invalid { .. })), "{refused:?} for {bad:?}");
    }
}

async fn buckets_follow_the_calendar_of_the_zone(facts: &dyn Facts) {
    // In Berlin clocks go forward on 29 March 2026 at 01:00 UTC and back on 25 October at 01:00 UTC.
    let cases: [(Bucket, &str, &str, &str); 17] = [
        (Bucket::Minute, "Asia/Kolkata", "2026-03-01T10:29:59Z", "2026-03-01T10:29:00Z"),
        (Bucket::Quarter, "Europe/Berlin", "2026-03-31T21:59:59Z", "2025-12-31T23:00:00Z"),
        (Bucket::Quarter, "Europe/Berlin", "2026-03-31T22:00:00Z", "2026-03-31T22:00:00Z"),
        (Bucket::Year, "America/New_York", "2026-01-01T04:59:59Z", "2025-01-01T05:00:00Z"),
        (Bucket::Day, "UTC", "2026-03-29T23:59:59.999999Z", "2026-03-29T00:00:00Z"),
        (Bucket::Day, "Europe/Berlin", "2026-03-28T22:59:59Z", "2026-03-27T23:00:00Z"),
        (Bucket::Day, "Europe/Berlin", "2026-03-29T21:59:59Z", "2026-03-28T23:00:00Z"),
        (Bucket::Day, "Europe/Berlin", "2026-03-29T22:00:00Z", "2026-03-29T22:00:00Z"),
        (Bucket::Day, "Europe/Berlin", "2026-10-25T22:59:59Z", "2026-10-24T22:00:00Z"),
        (Bucket::Hour, "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z"),
        (Bucket::Hour, "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z"),
        (Bucket::Hour, "Asia/Kolkata", "2026-03-01T10:29:59Z", "2026-03-01T09:30:00Z"),
        (Bucket::Week, "UTC", "2026-03-01T10:00:00Z", "2026-02-23T00:00:00Z"),
        (Bucket::Week, "America/New_York", "2026-03-09T03:59:59Z", "2026-03-02T05:00:00Z"),
        (Bucket::Week, "America/New_York", "2026-03-09T04:00:00Z", "2026-03-09T04:00:00Z"),
        (Bucket::Month, "Europe/Berlin", "2026-03-31T22:00:00Z", "2026-03-31T22:00:00Z"),
        (Bucket::Month, "Europe/Berlin", "2026-03-31T21:59:59Z", "2026-02-28T23:00:00Z"),
    ];
    for (bucket, zone, instant, begins) in cases {
        let scope = scope();
        add(facts, vec![fact(scope, "1", instant)]).await;
        let query = Query { bucket: Some(bucket), time_zone: zone.to_owned(), ..Query::new(Measure::Count) };
        let told = rows(facts, scope, &query).await;
        let expected = vec![Row { bucket: Some(at(begins)), groups: Vec::new(), other: false, value: 1.0 }];
        assert_eq!(told, expected, "{instant} in a bucket of {bucket:?} in {zone}");
    }
}

async fn rows_are_ordered_and_limited(facts: &dyn Facts) {
    let scope = scope();
    let mut shuffled = some_facts(scope);
    shuffled.reverse();
    shuffled.push(of(fact(scope, "6", "2026-03-02T09:00:00Z"), "eve", 1.0, "at"));
    add(facts, shuffled).await;
    let by = Query {
        bucket: Some(Bucket::Week),
        group_by: vec![Field::label("country")],
        limit: 3,
        ..Query::new(Measure::Count)
    };
    let row = |bucket: &str, group: Option<&str>, value| Row {
        bucket: Some(at(bucket)),
        groups: vec![group.map(str::to_owned)],
        other: false,
        value,
    };
    let expected = [
        row("2026-02-23T00:00:00Z", Some("de"), 2.0),
        row("2026-03-02T00:00:00Z", None, 1.0),
        row("2026-03-02T00:00:00Z", Some("at"), 1.0),
    ];
    assert_eq!(rows(facts, scope, &by).await, expected, "rows come by bucket, then group, none first, up to the limit");
}

async fn erasing_leaves_nothing(facts: &dyn Facts) {
    let (gone, stays) = (scope(), scope());
    add(facts, [some_facts(gone), some_facts(stays)].concat()).await;
    for _ in 0..2 {
        facts.erase(gone).await.expect("a scope can be erased, and again");
    }
    expect(facts, gone, &Query::new(Measure::Count), None, "nothing is left of an erased scope").await;
    expect(facts, stays, &Query::new(Measure::Count), Some(4.0), "erasing one scope leaves the others").await;
    add(facts, some_facts(gone)).await;
    expect(facts, gone, &Query::new(Measure::Count), Some(4.0), "not even the ids are left").await;
}

async fn forgetting_keeps_the_count(facts: &dyn Facts) {
    let scope = scope();
    add(facts, some_facts(scope)).await;
    for _ in 0..2 {
        facts.forget(scope, "ada").await.expect("a person can be forgotten, and again");
    }
    add(facts, some_facts(scope)).await;
    expect(facts, scope, &Query::new(Measure::Unique), Some(1.0), "nothing says whose the facts were").await;
    expect(facts, scope, &Query::new(Measure::Sum), Some(8.5), "facts of a forgotten person count").await;
}
