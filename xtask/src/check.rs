//! All that a change must pass beside the tests. Each is made, so that one run tells all.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{Verdict, generated, graph, licences, places, sizes};

pub(crate) fn run() -> Result<Verdict> {
    let mut verdicts = vec![
        cargo("fmt", &["fmt", "--all", "--check"], &[])?,
        graph::run()?,
        sizes::run()?,
        licences::run()?,
        cargo("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])?,
        generated::run(generated::Mode::Check)?,
        cargo("doc", &["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])?,
    ];
    verdicts.retain(|verdict| *verdict == Verdict::Bad);
    Ok(if verdicts.is_empty() { Verdict::Good } else { Verdict::Bad })
}

fn cargo(check: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Verdict> {
    let mut command = Command::new("cargo");
    command.current_dir(places::root()).args(arguments).envs(environment.iter().copied());
    let good = command.status().context("cannot run cargo")?.success();
    let findings = if good { Vec::new() } else { vec!["cargo tells above what is wrong".to_owned()] };
    Ok(Verdict::report(check, &findings))
}
