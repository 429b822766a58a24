//! Files that are made from the code: written, or compared with what is checked in.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{Verdict, events, openapi, places, problems, reference, schemas, sources};

/// Whether to write what is made or to look whether it is what is checked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Check,
}

/// Files by their path from the root.
pub(crate) type Files = BTreeMap<String, String>;

/// All of them.
pub(crate) fn run(mode: Mode) -> Result<Verdict> {
    let mut found = from_sources(mode)?;
    let told = describe()?;
    let sources = sources::read()?;
    let page = events::page(&told, &sources)?;
    found.extend(page.findings);
    let mut files = Files::from([("docs/domain/events.md".to_owned(), page.text)]);
    files.extend(reference::files(&told)?);
    files.extend(openapi::files(&told));
    found.extend(settle(&files, mode)?);
    found.extend(schemas::settle(&told, mode)?);
    Ok(Verdict::report("generated", &found))
}

/// The Avro schemas alone.
pub(crate) fn schemas_only(mode: Mode) -> Result<Verdict> {
    let mut found = from_sources(mode)?;
    found.extend(schemas::settle(&describe()?, mode)?);
    Ok(Verdict::report("schemas", &found))
}

/// What the program is built from, and so must be there before it can be asked.
fn from_sources(mode: Mode) -> Result<Vec<String>> {
    let sources = sources::read()?;
    let (list, mut found) = events::list(&sources);
    let told = problems::gather(&sources);
    found.extend(told.findings.iter().cloned());
    let files = Files::from([
        ("crates/contracts/src/events.rs".to_owned(), list),
        ("crates/web/src/problems.json".to_owned(), problems::json(&told)?),
        ("docs/problems.md".to_owned(), problems::page(&told)),
    ]);
    found.extend(settle(&files, mode)?);
    Ok(found)
}

/// What the program knows of itself.
fn describe() -> Result<Value> {
    let mut command = Command::new("cargo");
    command.current_dir(places::root()).args(["run", "--quiet", "--package", "freehold", "--", "describe"]);
    // Without a file of the developer's own, which could be refused.
    command.args(["--config", "/nonexistent/freehold.toml"]);
    let output = command.stderr(std::process::Stdio::inherit()).output().context("cannot run cargo")?;
    ensure!(output.status.success(), "the program does not describe itself");
    serde_json::from_slice(&output.stdout).context("what the program says of itself is not JSON")
}

/// Writes files, or tells which are not what is checked in.
pub(crate) fn settle(files: &Files, mode: Mode) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (path, text) in files {
        let file = places::root().join(path);
        if std::fs::read_to_string(&file).is_ok_and(|present| present == *text) {
            continue;
        }
        match mode {
            Mode::Write => write(&file, text)?,
            Mode::Check => found.push(format!("{path} is out of date: run `cargo xtask generate`")),
        }
    }
    Ok(found)
}

pub(crate) fn write(file: &Path, text: &str) -> Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
