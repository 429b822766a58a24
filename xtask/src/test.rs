//! Every test, with the servers it needs, and one line of totals at the end.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    Verdict, places,
    servers::{self, Server},
    watch::{self, End},
};

/// How many of the slowest tests are shown.
const SHOWN: usize = 15;

/// Counts of tests.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Totals {
    /// Adds what a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …` says.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let counts = result.split(['.', ';']).filter_map(|part| part.trim().split_once(' '));
        for (count, what) in counts {
            let count = count.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.skipped += count,
                _ => {}
            }
        }
    }
}

/// What a run has told so far.
#[derive(Debug, Default)]
struct Told {
    totals: Totals,
    /// Seconds, and which test of which program.
    times: Vec<(f64, String)>,
    /// The program whose tests run.
    program: String,
    /// Tests that run for over a minute.
    late: Vec<String>,
}

impl Told {
    fn line(&mut self, line: &str) {
        self.totals.add(line);
        if let Some((_, program)) = line.trim_start().split_once("Running ") {
            let program = program.split(" (").next().unwrap_or(program);
            program.trim_start_matches("unittests ").clone_into(&mut self.program);
            self.late.clear();
        }
        let Some((test, outcome)) = line.strip_prefix("test ").and_then(|test| test.split_once(" ... ")) else {
            let late = line.strip_prefix("test ").and_then(|test| test.split_once(" has been running for over "));
            self.late.extend(late.map(|(test, _)| test.to_owned()));
            return;
        };
        self.late.retain(|late| late != test);
        let seconds = outcome.rsplit_once('<').and_then(|(_, time)| time.trim_end_matches("s>").parse().ok());
        self.times.extend(seconds.map(|seconds: f64| (seconds, format!("{} {test}", self.program))));
    }

    fn show_slowest(&mut self) {
        self.times.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (seconds, test) in self.times.iter().take(SHOWN).filter(|(seconds, _)| *seconds >= 1.0) {
            println!("slow: {seconds:>7.1} s  {test}");
        }
    }
}

/// What is run once more with aggregates and events on a PostgreSQL database.
const ON_POSTGRES: &[&str] =
    &["--features=postgres", "--test=journey", "--test=isolation", "--test=crash", "--test=postgres"];

/// `cargo test` with what the tests are told of their servers.
fn cargo(packages: &str, servers: &[Server], clients: &[(&'static str, PathBuf)], skips: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(places::root()).args(["test", packages, "--no-fail-fast"]);
    command.env("FREEHOLD_SKIPS", skips).envs(servers.iter().map(|server| (server.variable.0, &server.variable.1)));
    command.envs(clients.iter().map(|(variable, folder)| (variable, folder)));
    // The test programs alone are run so, not the compiler: of them `--report-time` is asked, which is not stable yet.
    command.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "env RUSTC_BOOTSTRAP=1");
    command
}

/// Runs the tests of the workspace. Under `CI` a test that lacks its server is a failure; so is, everywhere, a run of
/// which no test has ended for as long as `patience`.
pub(crate) fn run(strict: bool, patience: Duration) -> Result<Verdict> {
    let (servers, missing) = servers::start_all();
    for why in &missing {
        eprintln!("server: {why}");
    }
    let (clients, missing) = servers::install_clients();
    for why in &missing {
        eprintln!("client: {why}");
    }
    let skips = std::env::temp_dir().join(format!("freehold-skips-{}", std::process::id()));
    std::fs::write(&skips, "")?;
    let command = || cargo("--workspace", &servers, &clients, &skips);
    let on_postgres = || {
        let mut command = cargo("--package=freehold", &servers, &clients, &skips);
        command.args(ON_POSTGRES).env("FREEHOLD_TEST_ENGINE", "postgres");
        command
    };
    // Built first: only tests are expected to say something now and then.
    let built = command().arg("--no-run").status().context("cannot run cargo")?.success()
        && on_postgres().arg("--no-run").status().context("cannot run cargo")?.success();
    let mut told = Told::default();
    let mut good = built;
    let timed = ["--", "-Z", "unstable-options", "--report-time"];
    let (mut all, mut again, mut documents) = (command(), on_postgres(), command());
    all.args(["--lib", "--bins", "--tests", "--examples"]).args(timed);
    again.args(timed);
    documents.arg("--doc");
    for part in [&mut all, &mut again, &mut documents] {
        let line = |line: &str| {
            told.line(line);
            println!("{line}");
        };
        let end = if built { watch::follow(part, patience, line)? } else { End::Bad };
        if end == End::Silent {
            told.totals.failed += 1;
            let (late, program) = (told.late.join(", "), &told.program);
            eprintln!("hung: {program}: no test ended for {} s; running: {late}", patience.as_secs());
        }
        good &= end == End::Good;
    }
    drop(servers);
    let lines = std::fs::read_to_string(&skips)?;
    drop(std::fs::remove_file(&skips));
    told.show_slowest();
    Ok(judge(told.totals, &lines, good, strict))
}

/// The closing line, and whether all is as it must be.
fn judge(mut totals: Totals, skips: &str, good: bool, strict: bool) -> Verdict {
    for line in skips.lines() {
        println!("skipped: {line}");
        totals.skipped += 1;
        // The test returned early, and was counted as one that passed.
        totals.passed = totals.passed.saturating_sub(1);
    }
    if !good && totals.failed == 0 {
        totals.failed = 1;
        eprintln!("cargo test failed without a failed test, which counts as one");
    }
    println!("{} passed, {} failed, {} skipped", totals.passed, totals.failed, totals.skipped);
    let refused = strict && totals.skipped > 0;
    if refused {
        eprintln!("under CI nothing may be skipped");
    }
    if good && !refused { Verdict::Good } else { Verdict::Bad }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up() {
        let mut totals = Totals::default();
        totals.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        totals.add("test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out");
        totals.add("test something ... ok");
        assert_eq!(totals, Totals { passed: 5, failed: 4, skipped: 1 });
    }

    #[test]
    fn times_and_late_tests_are_known() {
        let mut told = Told::default();
        for line in [
            "     Running tests/journey.rs (/t/debug/deps/journey-1f2e)",
            "test quick ... ok <0.004s>",
            "test moves_in has been running for over 60 seconds",
            "test stuck has been running for over 60 seconds",
            "test moves_in ... FAILED <61.500s>",
        ] {
            told.line(line);
        }
        assert_eq!(told.times[1], (61.5, "tests/journey.rs moves_in".to_owned()));
        assert_eq!(told.late, ["stuck"]);
    }

    #[test]
    fn a_skipped_test_is_none_that_passed() {
        let totals = || Totals { passed: 3, failed: 0, skipped: 0 };
        assert_eq!(judge(totals(), "", true, true), Verdict::Good);
        assert_eq!(judge(totals(), "a\n", true, false), Verdict::Good);
        assert_eq!(judge(totals(), "a\n", true, true), Verdict::Bad);
        assert_eq!(judge(totals(), "", false, false), Verdict::Bad);
    }
}
