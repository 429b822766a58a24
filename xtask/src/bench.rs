//! The bench is a program of its own, `bench/`, built with optimisation: its load must not be what is measured.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{Verdict, places};

pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    for package in ["freehold", "freehold-bench"] {
        let mut build = Command::new("cargo");
        build.current_dir(places::root()).args(["build", "--release", "--package", package]);
        anyhow::ensure!(build.status().context("cannot run cargo")?.success(), "{package} cannot be built");
    }
    let target = places::metadata()?.target_directory.join("release");
    let mut bench = Command::new(target.join("freehold-bench"));
    bench.current_dir(places::root()).arg("--binary").arg(target.join("freehold")).args(arguments);
    let good = bench.status().context("cannot run the bench")?.success();
    Ok(if good { Verdict::Good } else { Verdict::Bad })
}
