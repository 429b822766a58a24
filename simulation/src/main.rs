//! Runs seeds, and tells which of them show something that does not hold.
#![expect(clippy::print_stdout, reason = "a command line tool speaks through its output")]

use std::{
    process::{Command, ExitCode},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use clap::{Parser, ValueEnum};
use simulation::{Plan, Report, Sabotage, run};

/// The most seeds of one process: what a platform holds when it is dropped in the midst of its work stays with the process.
const BATCH: u64 = 500;

/// Runs the whole platform under simulated time, seed by seed.
#[derive(Parser)]
#[command(name = "freehold-simulation")]
struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Prints the trace of the first seed
    #[arg(long)]
    trace: bool,
    /// Runs each seed twice, and tells where the second run differs
    #[arg(long)]
    twice: bool,
    /// Breaks something on purpose: in how many seeds is it found?
    #[arg(long)]
    sabotage: Option<Sabotage>,
}

/// One seed, once or twice.
fn one(seed: u64, arguments: &Arguments) -> Report {
    let plan = Plan { seed, sabotage: arguments.sabotage, keeps_trace: arguments.twice || arguments.trace };
    let mut report = run(plan);
    if arguments.twice {
        let again = run(plan);
        let differ = report.trace.iter().zip(&again.trace).find(|(one, other)| one != other);
        if let Some((one, other)) = differ {
            report.broken.push(format!("it is another run the second time:\n  {one}  {other}"));
        }
    }
    report
}

/// Very many seeds, one process after the other.
fn in_batches(arguments: &Arguments) -> std::io::Result<ExitCode> {
    let (program, end) = (std::env::current_exe()?, arguments.from + arguments.seeds);
    let mut good = true;
    for from in (arguments.from..end).step_by(usize::try_from(BATCH).unwrap_or(usize::MAX)) {
        let mut batch = Command::new(&program);
        batch.args(["--from", &from.to_string(), "--seeds", &BATCH.min(end - from).to_string()]);
        batch.args(arguments.twice.then_some("--twice"));
        if let Some(name) = arguments.sabotage.and_then(|it| it.to_possible_value()) {
            batch.args(["--sabotage", name.get_name()]);
        }
        good &= batch.status()?.success();
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.seeds > BATCH && !arguments.trace {
        return in_batches(&arguments).unwrap_or_else(|error| {
            println!("the next seeds cannot be run: {error}");
            ExitCode::FAILURE
        });
    }
    if arguments.trace {
        let report = one(arguments.from, &arguments);
        report.trace.iter().for_each(|line| print!("{line}"));
        return tell(&[report]);
    }
    let (next, end) = (AtomicU64::new(arguments.from), arguments.from + arguments.seeds);
    let reports = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let report = one(seed, &arguments);
                    for broken in &report.broken {
                        println!("seed {seed}: {broken}");
                    }
                    reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
                }
            });
        }
    });
    tell(&reports.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn tell(reports: &[Report]) -> ExitCode {
    let broken: Vec<_> = reports.iter().filter(|it| !it.broken.is_empty()).map(|it| it.seed).collect();
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let (commits, faults, hours) = (sum(|it| it.commits), sum(|it| it.faults), sum(|it| it.lasted.as_secs()) / 3_600);
    println!("{} seeds, {commits} commits, {faults} faults, {hours} simulated hours", reports.len());
    if broken.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("{} seeds show something that does not hold: {broken:?}", broken.len());
    println!("one of them again: cargo xtask simulate -- --from SEED --trace");
    ExitCode::FAILURE
}
