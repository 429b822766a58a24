//! The developer's commands: `cargo xtask --help`.
//!
//! One file a command. Nothing here is part of the product. Inside the checkout `generate` and `schemas` alone write,
//! and `bench --record`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool speaks through its output")]

mod avro;
mod bench;
mod check;
mod events;
mod generated;
mod graph;
mod licences;
mod openapi;
mod places;
mod problems;
mod reasons;
mod reference;
mod resolution;
mod schemas;
mod servers;
mod simulate;
mod sizes;
mod sources;
mod spdx;
mod test;
mod watch;

use std::{process::ExitCode, time::Duration};

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
    /// All that is made from the code: schemas, OpenAPI, reference pages, the list of events
    Generate {
        /// Only look whether what is checked in is what would be made
        #[arg(long)]
        check: bool,
    },
    /// The Avro schemas of all events, and whether they may change so
    Schemas {
        /// Only look whether what is checked in is what would be made
        #[arg(long)]
        check: bool,
    },
    /// All checks but the tests: format, clippy, graph, sizes, licences, what is generated, rustdoc
    Check,
    /// Sends to every operation of the interface what it allows and what it does not
    Fuzz {
        /// How many requests an operation
        #[arg(long, default_value_t = 30)]
        examples: u32,
    },
    /// Figures of the release build beside their targets and limits: `cargo xtask bench -- --help`
    Bench {
        /// What the bench itself is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The whole platform under simulated time, with faults by seed: `cargo xtask simulate -- --help`
    Simulate {
        /// Builds with optimisation, for very many seeds
        #[arg(long)]
        release: bool,
        /// What the simulation itself is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Every test, with the servers it needs; under CI=true a skipped one is a failure
    Test {
        /// Fail when a test is skipped
        #[arg(long, env = "CI")]
        strict: bool,
        /// After how many seconds without the end of any test the run is ended
        #[arg(long, default_value_t = 600)]
        patience: u64,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Generate { check } => generated::run(mode(check)),
        Command::Schemas { check } => generated::schemas_only(mode(check)),
        Command::Check => check::run(),
        Command::Fuzz { examples } => openapi::fuzz(examples),
        Command::Simulate { release, arguments } => simulate::run(release, &arguments),
        Command::Bench { arguments } => bench::run(&arguments),
        Command::Graph => graph::run(),
        Command::Sizes => sizes::run(),
        Command::Licences => licences::run(),
        Command::Test { strict, patience } => test::run(strict, Duration::from_secs(patience)),
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

fn mode(check: bool) -> generated::Mode {
    if check { generated::Mode::Check } else { generated::Mode::Write }
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
