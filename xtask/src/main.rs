//! The developer's commands: `cargo xtask --help`.
//!
//! One file a command. Nothing here is part of the product, and nothing is written inside the checkout: what the
//! commands download, build or start stands under `${FREEHOLD_CACHE:-$HOME/.cache/freehold}`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool speaks through its output")]

mod backends;
mod ci;
mod graph;
mod licences;
mod places;
mod run;
mod sizes;
mod spdx;
mod test;
mod totals;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The developer's commands.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Every test, with the servers and clients it needs; ends with `N passed, N failed, N skipped`
    Test(test::Options),
    /// The servers and clients that tests use, by hand
    #[command(subcommand)]
    Backends(backends::Command),
    /// The dependency arrows of the design
    Graph,
    /// Files, functions and crates that grew too long
    Sizes,
    /// Licences, duplicate versions, and the reason for each dependency
    Licences,
    /// Everything that must hold before a change is merged
    Ci,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test(options) => test::run(&options),
        Command::Backends(command) => backends::run(&command).map(|()| Verdict::Good),
        Command::Graph => graph::run(),
        Command::Sizes => sizes::run(),
        Command::Licences => licences::run(),
        Command::Ci => ci::run(),
    };
    match outcome {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What a check found, once it could be made at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Bad,
}

impl Verdict {
    /// Prints what was found, one line each, and a closing line.
    fn report(check: &str, findings: &[String]) -> Result<Self> {
        for finding in findings {
            eprintln!("{check}: {finding}");
        }
        if findings.is_empty() {
            println!("{check}: good");
            return Ok(Self::Good);
        }
        eprintln!("{check}: {} to mend", findings.len());
        Ok(Self::Bad)
    }
}
