//! Seeds.

use simulation::{Plan, run};

#[test]
fn a_seed_gives_the_same_run_each_time() {
    for seed in 0..4 {
        let plan = Plan { seed, keeps_trace: true, ..Plan::default() };
        let (one, other) = (run(plan), run(plan));
        let differ = one.trace.iter().zip(&other.trace).enumerate().find(|(_, (one, other))| one != other);
        assert!(differ.is_none(), "seed {seed}: {differ:?}");
        assert_eq!((one.digest, one.trace.len()), (other.digest, other.trace.len()), "seed {seed}");
    }
}
