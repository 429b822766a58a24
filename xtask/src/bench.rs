//! The bench is a program of its own, `bench/`, built with optimisation: its load must not be what is measured.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::{Verdict, places};

pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    for package in ["freehold", "freehold-bench", "freehold-closing"] {
        let mut build = Command::new("cargo");
        build.current_dir(places::root()).args(["build", "--release", "--package", package]);
        anyhow::ensure!(build.status().context("cannot run cargo")?.success(), "{package} cannot be built");
    }
    let target = places::metadata()?.target_directory.join("release");
    let mut bench = with_core(target.join("freehold-bench").as_str());
    bench.current_dir(places::root()).arg("--binary").arg(target.join("freehold")).args(arguments);
    let good = bench.status().context("cannot run the bench")?.success();
    Ok(if good { Verdict::Good } else { Verdict::Bad })
}

/// The load on the second core, where there is one and `taskset` can say so; the server takes the first.
fn with_core(program: &str) -> Command {
    let several = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    let there = Command::new("taskset").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !several || !there {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", "1", program]);
    command
}
