//! Every test, with the servers and clients it needs.
//!
//! Tests find what they need in the environment (see `backends`). A test that lacks something appends a line
//! `SKIPPED: <what>: <reason>` to the file that `FREEHOLD_SKIPS` names and returns; under `CI` that is a failure.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::backends::{Equipment, Servers};
use crate::totals::Totals;
use crate::{Verdict, places};

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Starts no PostgreSQL and no Cassandra: their tests are skipped
    #[arg(long)]
    skip_engines: bool,
    /// Only the tests of this package (may be given more than once)
    #[arg(short, long)]
    package: Vec<String>,
    /// Only tests whose name contains this
    filter: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<Verdict> {
    let verdict = attempt(options, 0);
    if let Err(error) = &verdict {
        eprintln!("error: {error:#}");
        println!("{}", Totals { failed: 1, ..Totals::default() });
        return Ok(Verdict::Bad);
    }
    verdict
}

/// The tests as the last of all checks. A check that failed counts as a failure in the totals: the line that people
/// read never says that all is well when it is not.
pub(crate) fn after_checks(failed: &[&str]) -> Result<Verdict> {
    let count = u64::try_from(failed.len()).unwrap_or(u64::MAX);
    if count > 0 {
        eprintln!("failed before the tests, and counted with them: {}", failed.join(", "));
    }
    let verdict = attempt(&Options::default(), count);
    if let Err(error) = &verdict {
        eprintln!("error: {error:#}");
        println!("{}", Totals { failed: count.saturating_add(1), ..Totals::default() });
        return Ok(Verdict::Bad);
    }
    verdict
}

fn attempt(options: &Options, failed_before: u64) -> Result<Verdict> {
    let equipment = Equipment::install(options.skip_engines)?;
    let mut servers = if options.skip_engines { Servers::none() } else { Servers::start(&equipment)? };
    let built = cargo_test(options, &["--no-run"]).status()?.success();
    servers.wait_ready()?;

    let skips = Skips::open()?;
    let mut totals = Totals { failed: failed_before, ..Totals::default() };
    let mut command = cargo_test(options, &["--no-fail-fast"]);
    command.envs(equipment.variables()).envs(servers.variables()).env("FREEHOLD_SKIPS", &skips.file);
    if let Some(filter) = &options.filter {
        command.args(["--", filter]);
    }
    // What does not build has said so already, and would only say it again.
    let good = built && stream(&mut command, &mut totals)?;
    drop(servers);

    if !good && totals.failed == failed_before {
        eprintln!("cargo test failed without a failed test: counted as one");
        totals.failed += 1;
    }
    let skipped = skips.report()?;
    totals.skipped += skipped;
    let refused = places::strict() && skipped > 0;
    if refused {
        eprintln!("under CI nothing may be skipped for want of a server");
        totals.failed += 1;
    }
    println!("{totals}");
    Ok(if totals.failed == 0 { Verdict::Good } else { Verdict::Bad })
}

fn cargo_test(options: &Options, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(places::root()).arg("test").args(arguments);
    if options.package.is_empty() {
        command.arg("--workspace");
    }
    for package in &options.package {
        command.args(["--package", package]);
    }
    command
}

/// Passes the output on, line by line, and counts. Whether the command succeeded.
fn stream(command: &mut Command, totals: &mut Totals) -> Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        totals.add_line(&line);
        println!("{line}");
    }
    Ok(child.wait()?.success())
}

/// The file in which tests say what they could not run.
struct Skips {
    file: PathBuf,
}

impl Skips {
    fn open() -> Result<Self> {
        let dir = places::cache()?.join("run");
        std::fs::create_dir_all(&dir)?;
        let file = dir.join(format!("skips-{}", std::process::id()));
        std::fs::write(&file, "")?;
        Ok(Self { file })
    }

    /// Prints what was skipped, and how many.
    fn report(self) -> Result<u64> {
        let lines = read_lines(&self.file)?;
        for line in &lines {
            eprintln!("{line}");
        }
        Ok(u64::try_from(lines.len())?)
    }
}

impl Drop for Skips {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.file));
    }
}

fn read_lines(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file)?;
    Ok(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
}
