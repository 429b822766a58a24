//! Every test, with the servers it needs, and one line of totals at the end.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{Verdict, places, servers};

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

/// Runs the tests of the workspace. Under `CI` a test that lacks its server is a failure.
pub(crate) fn run(strict: bool) -> Result<Verdict> {
    let (servers, missing) = servers::start_all();
    for why in &missing {
        eprintln!("server: {why}");
    }
    let clients = [
        ("FREEHOLD_TEST_OIDC_CLIENT", servers::client("oidc", "sign_in.mjs")),
        ("FREEHOLD_TEST_OFREP_CLIENT", servers::client("ofrep", "evaluate.mjs")),
    ];
    let skips = std::env::temp_dir().join(format!("freehold-skips-{}", std::process::id()));
    std::fs::write(&skips, "")?;
    let mut command = Command::new("cargo");
    command.current_dir(places::root()).args(["test", "--workspace", "--no-fail-fast"]).stdout(Stdio::piped());
    command.env("FREEHOLD_SKIPS", &skips).envs(servers.iter().map(|server| (server.variable.0, &server.variable.1)));
    for (variable, client) in clients {
        match client {
            Ok(folder) => drop(command.env(variable, folder)),
            Err(why) => eprintln!("client: {why:#}"),
        }
    }
    let mut child = command.spawn().context("cannot run cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut totals = Totals::default();
    for line in BufReader::new(output).lines() {
        let line = line?;
        totals.add(&line);
        println!("{line}");
    }
    let good = child.wait()?.success();
    drop(servers);
    let lines = std::fs::read_to_string(&skips)?;
    drop(std::fs::remove_file(&skips));
    for line in lines.lines() {
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
    Ok(if good && !refused { Verdict::Good } else { Verdict::Bad })
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
}
