//! The developer's commands: `cargo xtask --help`.
//!
//! One file a command. Nothing here is part of the product, and nothing is written inside the checkout.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool speaks through its output")]

mod graph;
mod licences;
mod places;
mod reasons;
mod servers;
mod sizes;
mod spdx;
mod test;

use std::process::ExitCode;

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
    /// The dependency arrows of the design
    Graph,
    /// Files, functions and crates that grew too long
    Sizes,
    /// Licences, duplicate versions, and the reason for each dependency
    Licences,
    /// Every test, with the servers it needs; under CI=true a skipped one is a failure
    Test {
        /// Fail when a test is skipped
        #[arg(long, env = "CI")]
        strict: bool,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Graph => graph::run(),
        Command::Sizes => sizes::run(),
        Command::Licences => licences::run(),
        Command::Test { strict } => test::run(strict),
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
    fn report(check: &str, findings: &[String]) -> Self {
        for finding in findings {
            eprintln!("{check}: {finding}");
        }
        if findings.is_empty() {
            println!("{check}: good");
            return Self::Good;
        }
        eprintln!("{check}: {} to mend", findings.len());
        Self::Bad
    }
}
