//! Figures of the release build: CPU for each request, throughput, latency, beside the targets and the limits of this
//! machine in the same run. The load comes over loopback from another core. CPU for each request stays steadier than all
//! else where the machine is shared; wall-clock figures are for orientation.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool speaks through its output")]

mod audit;
mod billing;
mod closing;
mod growth;
mod limits;
mod load;
mod onward;
mod paths;
mod peers;
mod report;
mod server;
mod wire;
mod world;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Parser;

use load::Load;
use paths::Stage;
use report::{Report, Row};
use server::Server;
use wire::Ask;

/// No caller is refused for asking too often, but where that is what is measured.
pub(crate) const UNLIMITED: &[(&str, &str)] = &[("FREEHOLD_RATE", "100000000")];

/// Measures a release build.
#[derive(Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Arguments {
    /// The program that is measured
    #[arg(long)]
    binary: PathBuf,
    /// How long each path is loaded
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Also other programs that do the same, as far as the scripts of bench/peers find them here
    #[arg(long)]
    peers: bool,
    /// Grow to 10,000 tenants, not to 1,000 only
    #[arg(long)]
    large: bool,
    /// For how many tenants a period is closed
    #[arg(long, default_value_t = 10_000)]
    closing: u64,
    /// Also the CPU of a build from nothing, which takes long
    #[arg(long)]
    cold_build: bool,
    /// Only this part (may be said several times)
    #[arg(long)]
    only: Vec<Part>,
    /// Write the table to `bench/results/COMMIT.md`
    #[arg(long)]
    record: bool,
}

/// A part of the table.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// What one tenant asks
    Paths,
    /// Refusals by a limit
    Refusal,
    /// Requests that go on to an upstream
    Proxies,
    /// From an event to the endpoint that follows it
    Webhook,
    /// Until the audit log proves what was acknowledged
    Audit,
    /// Use and invoices
    Billing,
    /// The end of a period for many tenants at once
    Closing,
    /// Many tenants
    Growth,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(&arguments)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let commit = commit()?;
    println!("commit {commit}, {}\n\n{}", machine(), report::head().trim_end());
    let (binary, seconds) = (arguments.binary.canonicalize()?, arguments.seconds);
    let mut report = Report::default();
    let wanted = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    if wanted(Part::Paths) {
        raw(&mut report)?;
        fresh(&binary, seconds, &mut report).await?;
    }
    if wanted(Part::Refusal) {
        refusal(&binary, seconds, &mut report).await;
    }
    if wanted(Part::Proxies) {
        onward::proxied(&binary, seconds, &mut report).await;
    }
    if wanted(Part::Webhook) {
        onward::delivered(&binary, &mut report).await;
    }
    if wanted(Part::Audit) {
        audit::run(&binary, seconds, &mut report).await?;
    }
    if wanted(Part::Billing) {
        billing::run(&binary, seconds, &mut report).await?;
    }
    if wanted(Part::Closing) {
        closing::run(&binary, arguments.closing, &mut report)?;
    }
    if wanted(Part::Growth) {
        let steps: &[u64] = if arguments.large { &[10, 1_000, 10_000] } else { &[10, 1_000] };
        growth::run(&binary, UNLIMITED, steps, seconds, &mut report).await?;
    }
    if arguments.peers {
        peers::run(Path::new("bench/peers"), seconds, &mut report).await?;
    }
    if arguments.cold_build {
        cold_build(&mut report)?;
    }
    println!("\n{} of the targets missed", report.missed);
    if arguments.record {
        let text = format!("# Figures at {commit}\n\n{}\n\n{}", machine(), report.table());
        std::fs::create_dir_all("bench/results")?;
        std::fs::write(format!("bench/results/{commit}.md"), text)?;
    }
    Ok(())
}

/// What the machine can do without us.
fn raw(report: &mut Report) -> Result<()> {
    let lasts = Duration::from_secs(3);
    report.raw_commits = limits::group_commit(lasts)?;
    report.raw_batches = limits::batches(lasts)?;
    let commits = format!("{:.0}/s", report.raw_commits);
    report.figure("the limit: raw SQLite, durable, 64 commits of two rows a flush", &commits, "", None);
    let batches = format!("{:.0}/s", report.raw_batches);
    report.figure("the limit: raw SQLite, durable, 16 batches of 100 events a flush", &batches, "", None);
    Ok(())
}

/// All paths of one tenant, on an installation that nobody has used yet.
async fn fresh(binary: &Path, seconds: u64, report: &mut Report) -> Result<()> {
    let size = std::fs::metadata(binary)?.len() / (1 << 20);
    report.figure("size of the program", &format!("{size} MiB"), "", None);
    let (_folder, data) = server::folder()?;
    let server = Server::start(binary, &data, UNLIMITED)?;
    let operator = world::operator(&server).await?;
    let tenant = world::tenant(&server, "acme").await?;
    world::seats(&server, &operator, &tenant, 1_000_000).await?;
    let memory = server.memory()?;
    report.figure("memory after the first customer", &format!("{memory:.0} MiB"), "<= 80 MiB", Some(memory <= 80.0));
    paths::run(&Stage { server: &server, tenant: &tenant, seconds }, report).await
}

/// Whoever asks too often, at an installation that lets one request a second through.
async fn refusal(binary: &Path, seconds: u64, report: &mut Report) {
    let measured = async {
        let (_folder, data) = server::folder()?;
        let server = Server::start(binary, &data, &[("FREEHOLD_RATE", "1")])?;
        let ask = Ask::get(&format!("localhost:{}", server.port), "/v1/tenants");
        let lasts = Duration::from_secs(seconds);
        load::run(&server, &Load { lasts, ..Load::same(ask.bytes()).expects(429) }).await
    };
    report.measured(Row::cpu("refusal by a limit", 10.0), measured.await);
}

/// The CPU of a release build from nothing, in a folder of its own.
fn cold_build(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let before = children()?;
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--package", "freehold", "--target-dir"]).arg(folder.path());
    ensure!(build.status()?.success(), "the build failed");
    let minutes = children()?.saturating_sub(before).as_secs_f64() / 60.0;
    report.figure("release build from nothing", &format!("{minutes:.1} min"), "<= 25 min", Some(minutes <= 25.0));
    Ok(())
}

/// The CPU of all ended children: the 16th and 17th field of `/proc/self/stat`.
fn children() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, rest) = stat.rsplit_once(')').context("/proc has no times")?;
    let ticks: u64 = rest.split_whitespace().skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

fn commit() -> Result<String> {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output().context("cannot run git")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The processor, and how busy the machine was.
fn machine() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = about.matches("processor\t").count();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!("{cores} cores ({}), load before the run {load}", model.trim_start_matches(['\t', ' ', ':']).trim())
}
