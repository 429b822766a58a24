//! Freehold as a program: its command line, its configuration, and the composition of the parts. `freehold up`, which is
//! the default, runs everything in one process.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool speaks through its output")]

mod backup;
mod call;
mod config;
mod describe;
mod doctor;
mod domains;
mod failure;
mod mail;
mod parts;
mod payments;
mod platform;
mod remote;
mod serve;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use config::Overrides;

pub use config::Config;
pub use parts::Parts;
pub use platform::{Following, Platform};

/// Sign-in, users, tenants, billing, notifications, analytics and an audit log for a start-up, in one process
#[derive(Parser)]
#[command(name = "freehold", version)]
struct Arguments {
    #[command(flatten)]
    overrides: Overrides,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs everything (the default)
    Up,
    /// Looks for what would keep it from running, and says what to do
    Doctor,
    /// Shows the effective configuration, and where each value comes from
    Config,
    Call(call::Call),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Audit(verify::Audit),
    /// Prints the OpenAPI document
    Openapi,
    /// Prints what the program knows of itself; schemas and reference pages are made from it
    #[command(hide = true)]
    Describe,
}

/// As many open files as the system grants: connections need them, and tenants with files of their own.
fn raise_open_files() {
    let mut limits = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limits.current = limits.maximum;
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Nofile, limits) {
        eprintln!("warning: the limit of open files stays as it is: {error}");
    }
}

/// The program.
#[must_use]
pub struct App(());

/// The program as it stands, to be run.
pub fn app() -> App {
    App(())
}

impl App {
    /// Does what the command line says. The first thing in `main`.
    pub fn run(self) -> ExitCode {
        // One provider for all TLS in the process, before anything can ask for one.
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            eprintln!("error: a TLS provider was installed before");
            return ExitCode::FAILURE;
        }
        raise_open_files();
        let arguments = Arguments::parse();
        let outcome =
            Config::load(&arguments.overrides).map_err(anyhow::Error::from).and_then(|config| {
                match arguments.command.unwrap_or(Command::Up) {
                    Command::Up => serve::run(config),
                    Command::Doctor => Ok(doctor::run(&config)),
                    Command::Config => {
                        print!("{}", config.explained());
                        Ok(ExitCode::SUCCESS)
                    }
                    Command::Backup(asked) => backup::take(&config, &asked),
                    Command::Restore(asked) => backup::restore(&config, &asked),
                    Command::Audit(asked) => verify::run(&asked),
                    Command::Call(asked) => call::run(&config, &asked),
                    Command::Openapi => serve::print(config, describe::openapi),
                    Command::Describe => serve::print(config, describe::all),
                }
            });
        outcome.unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            failure::Failure::of(&error)
        })
    }
}
