//! Funnels, and what prunes.

use super::{add, at, expect, fact, of, scope};
use crate::{Fact, Facts, FactsError, Field, Filter, Funnel, Measure, Query, Reached, Step, Test};

fn did(scope: kernel::Scope, id: u32, person: &str, name: &str, second: u32) -> Fact {
    let instant = format!("2026-03-01T10:{:02}:{:02}Z", second / 60, second % 60);
    Fact { name: name.to_owned(), ..of(fact(scope, &id.to_string(), &instant), person, 1.0, "de") }
}

fn funnel(steps: &[&str], within: u32) -> Funnel {
    let steps = steps.iter().map(|name| Step { name: (*name).to_owned(), filters: Vec::new() }).collect();
    Funnel { steps, within, from: None, until: None }
}

fn reached(people: u64, median_seconds: Option<f64>) -> Reached {
    Reached { people, median_seconds }
}

pub(super) async fn funnels_follow_persons_through_steps(facts: &dyn Facts) {
    let scope = scope();
    let done = [
        // All three, in order; the last first step counts.
        ("ada", "a", 0),
        ("ada", "a", 10),
        ("ada", "b", 20),
        ("ada", "c", 70),
        // The second before the first, and again after it, at the window's last second; the third too late.
        ("bob", "b", 0),
        ("bob", "a", 5),
        ("bob", "b", 65),
        ("bob", "c", 66),
        // Both at one instant are no way.
        ("eve", "a", 30),
        ("eve", "b", 30),
        // One fact is one step.
        ("joe", "a", 40),
        ("pat", "c", 1),
    ];
    let mut batch: Vec<Fact> =
        done.iter().zip(1..).map(|((who, name, second), id)| did(scope, id, who, name, *second)).collect();
    batch.push(Fact { person: None, ..did(scope, 90, "nobody", "a", 0) });
    add(facts, batch).await;
    let told = facts.funnel(scope, funnel(&["a", "b", "c"], 60)).await.expect("an answer");
    let expected = [reached(4, None), reached(2, Some(10.0)), reached(1, Some(60.0))];
    assert_eq!(told, expected, "each step later than the one before, all within the window");
    let told = facts.funnel(scope, funnel(&["a", "a"], 60)).await.expect("an answer");
    assert_eq!(told, [reached(4, None), reached(1, Some(10.0))], "the same step twice needs two facts");
    let cut = Funnel { from: Some(at("2026-03-01T10:00:06Z")), ..funnel(&["a", "b"], 60) };
    let told = facts.funnel(scope, cut).await.expect("an answer");
    assert_eq!(told, [reached(3, None), reached(1, Some(10.0))], "only what lies in the time counts");
    let mut filtered = funnel(&["a", "b"], 60);
    filtered.steps.iter_mut().for_each(|step| step.filters.push(Filter::is(Field::label("country"), "fr")));
    let told = facts.funnel(scope, filtered).await.expect("an answer");
    assert_eq!(told, [reached(0, None), reached(0, None)], "a step is what passes its filters");
}

pub(super) async fn funnels_that_mean_nothing_are_refused(facts: &dyn Facts) {
    let number = Filter { field: Field::Name, test: Test::Between { at_least: None, below: None }, not: false };
    let mut bad = vec![funnel(&["a"], 60), funnel(&["a"; 11], 60), funnel(&["a", "b"], 0), funnel(&["a", "b"], 60)];
    if let Some(step) = bad.last_mut().and_then(|last| last.steps.first_mut()) {
        step.filters.push(number);
    }
    for bad in bad {
        let refused = facts.funnel(scope(), bad.clone()).await;
        assert!(matches!(refused, Err(FactsError::Invalid { .. })), "{refused:?} for {bad:?}");
    }
}

pub(super) async fn pruning_removes_what_is_older(facts: &dyn Facts) {
    let (scope, other) = (scope(), scope());
    let batch = |scope| (0..10).map(|id| did(scope, id, "ada", "a", id)).collect::<Vec<_>>();
    add(facts, [batch(scope), batch(other)].concat()).await;
    for _ in 0..2 {
        facts.prune(scope, at("2026-03-01T10:00:04Z")).await.expect("facts can be pruned, and again");
    }
    expect(facts, scope, &Query::new(Measure::Count), Some(6.0), "what is as old as said stays, older goes").await;
    expect(facts, other, &Query::new(Measure::Count), Some(10.0), "pruning one scope leaves the others").await;
    facts.prune(scope, at("2027-01-01T00:00:00Z")).await.expect("all can be pruned");
    expect(facts, scope, &Query::new(Measure::Count), None, "nothing is left").await;
}
