//! The simulation is a program of its own, `simulation/`: it knows the whole platform, and the commands build alone.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{Verdict, places};

pub(crate) fn run(release: bool, arguments: &[String]) -> Result<Verdict> {
    let mut simulation = Command::new("cargo");
    simulation.current_dir(places::root()).args(["run", "--quiet", "--package", "freehold-simulation"]);
    // Many seeds are worth the longer build.
    simulation.args(release.then_some("--release")).arg("--").args(arguments);
    let good = simulation.status().context("cannot run the simulation")?.success();
    Ok(if good { Verdict::Good } else { Verdict::Bad })
}
