//! Seeds: the same run each time, nothing that does not hold, and whatever is broken on purpose is found.

#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

use std::{
    num::NonZero,
    sync::atomic::{AtomicU64, Ordering},
};

use simulation::{Plan, Report, Sabotage, run};

/// How many seeds run in CI.
const SEEDS: u64 = 200;

/// Runs seeds on all cores until `stop` has seen enough of them.
fn each(seeds: u64, plan: impl Fn(u64) -> Plan + Sync, stop: impl Fn(&Report) -> bool + Sync) -> Vec<Report> {
    let (next, cores) = (AtomicU64::new(0), std::thread::available_parallelism().map_or(2, NonZero::get));
    let runs = || {
        let mut reports = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return reports;
            }
            reports.push(run(plan(seed)));
            if reports.last().is_some_and(&stop) {
                next.store(seeds, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(runs)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn whatever_goes_wrong_all_that_was_promised_holds() {
    let reports = each(SEEDS, |seed| Plan { seed, ..Plan::default() }, |_| false);
    let broken: Vec<_> = reports.iter().filter(|it| !it.broken.is_empty()).map(|it| (it.seed, &it.broken)).collect();
    assert!(broken.is_empty(), "cargo xtask simulate -- --from SEED --trace tells how it came to it: {broken:#?}");
    assert!(reports.iter().map(|it| it.faults).sum::<u64>() > SEEDS, "hardly anything went wrong");
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    for seed in 0..6 {
        let plan = Plan { seed, keeps_trace: true, ..Plan::default() };
        let (one, other) = (run(plan), run(plan));
        let differ = one.trace.iter().zip(&other.trace).find(|(one, other)| one != other);
        assert!(differ.is_none(), "seed {seed}: {differ:?}");
        assert_eq!((one.digest, one.trace.len()), (other.digest, other.trace.len()), "seed {seed}");
    }
}

#[test]
fn what_is_broken_on_purpose_is_found() {
    for sabotage in Sabotage::ALL {
        let plan = |seed| Plan { seed, sabotage: Some(sabotage), ..Plan::default() };
        let reports = each(40, plan, |report| !report.broken.is_empty());
        assert!(reports.iter().any(|it| !it.broken.is_empty()), "{sabotage:?} is not found in 40 seeds");
    }
}
