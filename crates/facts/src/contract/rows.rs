//! What becomes of rows: groups, the largest of them, trends, and bounds.

use std::collections::BTreeMap;

use kernel::Scope;

use super::{add, at, fact, of, rows, same, scope, value};
use crate::{
    Bucket, EXACT_VALUES, Fact, Facts, FactsError, Field, MOST_ROWS, Measure, PERCENTILE_ERROR, Query, Row, Trend,
};

fn row(bucket: &str, groups: &[Option<&str>], value: f64) -> Row {
    let groups = groups.iter().map(|group| group.map(str::to_owned)).collect();
    Row { bucket: (!bucket.is_empty()).then(|| at(bucket)), groups, other: false, value }
}

fn left_over(bucket: &str, groups: usize, value: f64) -> Row {
    Row { other: true, ..row(bucket, &vec![None; groups], value) }
}

fn sold(scope: Scope, id: u32, day: u32, person: &str, country: &str) -> Fact {
    of(fact(scope, &id.to_string(), &format!("2026-03-0{day}T10:00:00Z")), person, 1.0, country)
}

pub(super) async fn rows_are_grouped_by_several(facts: &dyn Facts) {
    let scope = scope();
    let mut bought = sold(scope, 4, 2, "eve", "fr");
    "bought".clone_into(&mut bought.name);
    bought.labels.insert("plan".to_owned(), "team".to_owned());
    let batch = vec![sold(scope, 1, 1, "ada", "de"), sold(scope, 2, 1, "bob", "de"), sold(scope, 3, 2, "ada", "fr")];
    add(facts, [batch, vec![bought]].concat()).await;
    let group_by = vec![Field::label("plan"), Field::Name, Field::label("country")];
    let told = rows(facts, scope, &Query { group_by, ..Query::new(Measure::Unique) }).await;
    let expected = [
        row("", &[None, Some("page.seen"), Some("de")], 2.0),
        row("", &[None, Some("page.seen"), Some("fr")], 1.0),
        row("", &[Some("team"), Some("bought"), Some("fr")], 1.0),
    ];
    assert_eq!(told, expected, "a row for each combination that has facts");
}

pub(super) async fn the_largest_groups_stay_and_the_others_are_one(facts: &dyn Facts) {
    let scope = scope();
    // By persons over all days: de 3, fr 2, it 2, at 1. Ada is among the facts of both fr and it.
    let people = [
        (1, "ada", "de"),
        (1, "bob", "de"),
        (2, "eve", "de"),
        (1, "ada", "fr"),
        (2, "bob", "fr"),
        (2, "ada", "it"),
        (2, "joe", "it"),
        (2, "ada", "at"),
    ];
    let batch = people.iter().zip(1..).map(|((day, person, country), id)| sold(scope, id, *day, person, country));
    add(facts, batch.collect()).await;
    let by = Query { group_by: vec![Field::label("country")], top: Some(2), ..Query::new(Measure::Unique) };
    let expected = [row("", &[Some("de")], 3.0), row("", &[Some("fr")], 2.0), left_over("", 1, 2.0)];
    assert_eq!(rows(facts, scope, &by).await, expected, "who is in several groups is one person of what is left over");
    let daily = Query { bucket: Some(Bucket::Day), ..by };
    let (first, second) = ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z");
    let expected = [
        row(first, &[Some("de")], 2.0),
        row(first, &[Some("fr")], 1.0),
        row(second, &[Some("de")], 1.0),
        row(second, &[Some("fr")], 1.0),
        left_over(second, 1, 2.0),
    ];
    assert_eq!(rows(facts, scope, &daily).await, expected, "the largest are those of all time");
}

pub(super) async fn trends_look_back(facts: &dyn Facts) {
    let scope = scope();
    let people = [(1, "ada"), (1, "bob"), (2, "ada"), (4, "eve"), (4, "ada")];
    let batch = people.iter().zip(1..).map(|((day, person), id)| sold(scope, id, *day, person, "de"));
    add(facts, batch.collect()).await;
    let days = ["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", "2026-03-04T00:00:00Z"];
    let told = |values: [f64; 3]| days.iter().zip(values).map(|(day, it)| row(day, &[], it)).collect::<Vec<_>>();
    let daily = |trend| Query { bucket: Some(Bucket::Day), trend: Some(trend), ..Query::new(Measure::Unique) };
    let cumulative = rows(facts, scope, &daily(Trend::Cumulative)).await;
    assert_eq!(cumulative, told([2.0, 2.0, 3.0]), "each person counts from when they came");
    let moving = rows(facts, scope, &daily(Trend::MovingAverage(2))).await;
    assert_eq!(moving, told([1.0, 1.5, 1.0]), "a bucket without facts is 0");
}

pub(super) async fn percentiles_of_many_values_are_nearly_exact(facts: &dyn Facts) {
    let scope = scope();
    let many = u32::try_from(EXACT_VALUES).expect("a small number") + 2_000;
    let all: Vec<Fact> =
        (1..=many).map(|id| Fact { value: f64::from(id) - 1_000.0, ..sold(scope, id, 1, "ada", "de") }).collect();
    for batch in all.chunks(5_000) {
        add(facts, batch.to_vec()).await;
    }
    for percent in [1, 50, 90, 95, 99, 100] {
        let exact = f64::from((many * u32::from(percent)).div_ceil(100)) - 1_000.0;
        let told = value(facts, scope, &Query::new(Measure::Percentile(percent))).await.expect("a row");
        let off = (told - exact).abs();
        assert!(off <= exact.abs() * PERCENTILE_ERROR, "the {percent}th percentile is {exact}, told is {told}");
    }
}

pub(super) async fn several_questions_have_their_answers_in_order(facts: &dyn Facts) {
    let scope = scope();
    add(facts, vec![sold(scope, 1, 1, "ada", "de"), sold(scope, 2, 1, "ada", "fr")]).await;
    let named = Query { name: Some("none".to_owned()), ..Query::new(Measure::Count) };
    let asked = vec![Query::new(Measure::Unique), named, Query::new(Measure::Count)];
    let told = facts.answer(scope, asked).await.expect("an answer");
    assert_eq!(told, [vec![row("", &[], 1.0)], vec![], vec![row("", &[], 2.0)]], "an answer for each question");
    let many = vec![Query::new(Measure::Count); crate::MOST_QUERIES + 1];
    assert!(matches!(facts.answer(scope, many).await, Err(FactsError::Invalid { .. })), "too many are refused");
}

pub(super) async fn too_many_rows_are_refused(facts: &dyn Facts) {
    let scope = scope();
    let all: Vec<Fact> = (0..=MOST_ROWS)
        .map(|id| {
            let labels = BTreeMap::from([("order".to_owned(), id.to_string())]);
            Fact { labels, ..fact(scope, &id.to_string(), "2026-03-01T10:00:00Z") }
        })
        .collect();
    for batch in all.chunks(10_000) {
        add(facts, batch.to_vec()).await;
    }
    let by = Query { group_by: vec![Field::label("order")], ..Query::new(Measure::Count) };
    let refused = facts.query(scope, by).await;
    assert!(matches!(refused, Err(FactsError::Invalid { field: "/group_by", .. })), "what does not fit is refused");
    let told = value(facts, scope, &Query::new(Measure::Count)).await;
    assert!(same(told, Some(20_001.0)), "and all else is answered: {told:?}");
}
