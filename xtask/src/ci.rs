//! Everything that must hold before a change is merged. All checks run, so that one sitting shows all there is to mend.

use std::process::Command;

use anyhow::Result;

use crate::{Verdict, graph, licences, places, sizes, test};

type Check = fn() -> Result<Verdict>;

const CHECKS: &[(&str, Check)] = &[
    ("fmt", || cargo(&["fmt", "--all", "--check"], None)),
    ("graph", graph::run),
    ("sizes", sizes::run),
    ("licences", licences::run),
    ("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], None)),
    ("doc", || cargo(&["doc", "--no-deps", "--workspace", "--locked"], Some(("RUSTDOCFLAGS", "-D warnings")))),
];

pub(crate) fn run() -> Result<Verdict> {
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        println!("==> {name}");
        match check() {
            Ok(Verdict::Good) => {}
            Ok(Verdict::Bad) => failed.push(*name),
            Err(error) => {
                eprintln!("{name}: {error:#}");
                failed.push(*name);
            }
        }
    }
    println!("==> test");
    test::after_checks(&failed)
}

fn cargo(arguments: &[&str], variable: Option<(&str, &str)>) -> Result<Verdict> {
    let mut command = Command::new("cargo");
    command.current_dir(places::root()).args(arguments).envs(variable);
    Ok(if command.status()?.success() { Verdict::Good } else { Verdict::Bad })
}
