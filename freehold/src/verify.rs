//! `freehold audit verify`: an export of an audit log, verified where nobody has to be asked or trusted.

use std::{fs::File, io::BufReader, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, anyhow};
use audit::tlog::{Note, Verifier};

/// What is done with audit logs, away from any installation
#[derive(clap::Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    Verify(Verify),
}

/// Verifies an export: that its entries are those that were signed, all of them, in order
#[derive(clap::Args)]
struct Verify {
    /// The export
    file: PathBuf,
    /// The key of the log, `name+id+key`, as it was learnt before; without it, only that the file agrees with itself is shown
    #[arg(long)]
    key: Option<String>,
    /// A checkpoint that was kept: the log must go on from it (may be said several times)
    #[arg(long)]
    checkpoint: Vec<PathBuf>,
    /// The key of a witness that must have cosigned (may be said several times)
    #[arg(long)]
    witness: Vec<String>,
}

fn verifier(text: &str) -> Result<Verifier> {
    Verifier::parse(text).map_err(|error| anyhow!("{text:?} is no key: {error}"))
}

impl Verify {
    fn known(&self) -> Result<audit::Known> {
        let kept = |file: &PathBuf| {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            Note::parse(&text).map_err(|error| anyhow!("{} is no checkpoint: {error}", file.display()))
        };
        Ok(audit::Known {
            key: self.key.as_deref().map(verifier).transpose()?,
            kept: self.checkpoint.iter().map(kept).collect::<Result<_>>()?,
            witnesses: self.witness.iter().map(|text| verifier(text)).collect::<Result<_>>()?,
        })
    }
}

/// Does it; the exit code is 1 where anything is wrong.
pub(crate) fn run(asked: &Audit) -> Result<ExitCode> {
    let What::Verify(asked) = &asked.what;
    let file = File::open(&asked.file).with_context(|| format!("cannot read {}", asked.file.display()))?;
    let report = audit::verify(BufReader::new(file), &asked.known()?)?;
    for finding in &report.findings {
        println!("wrong: {finding}");
    }
    if !report.findings.is_empty() {
        println!("{}: NOT verified", report.origin);
        return Ok(ExitCode::FAILURE);
    }
    println!("{}: {} entries, all as they were signed", report.origin, report.size);
    if asked.key.is_none() {
        println!("The key is the file's own ({}): compare it with the one that you know.", report.key);
    }
    Ok(ExitCode::SUCCESS)
}
