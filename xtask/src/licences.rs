//! What the workspace stands on: licences, crates that are never to come in, duplicate versions, and a reason for each
//! direct dependency.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use cargo_metadata::Metadata;

use crate::{Verdict, places, reasons, spdx};

const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "BlueOak-1.0.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// TLS and cryptography are rustls and ring, and no second one.
const REFUSED: &[&str] = &["aws-lc-rs", "aws-lc-sys", "aws-lc-fips-sys", "native-tls", "openssl", "openssl-sys"];

pub(crate) fn run() -> Result<Verdict> {
    let metadata = places::metadata()?;
    let mut found = licences(&metadata);
    found.extend(refused(&metadata));
    found.extend(duplicates(&places::shipped_metadata()?)?);
    found.extend(undocumented(&metadata)?);
    Ok(Verdict::report("licences", &found))
}

fn licences(metadata: &Metadata) -> Vec<String> {
    let mut found = Vec::new();
    for package in &metadata.packages {
        let licence = package.license.as_deref().unwrap_or_default();
        if !spdx::satisfied(licence, ALLOWED) {
            found.push(format!("{} {}: licence `{licence}` is not allowed", package.name, package.version));
        }
    }
    found
}

fn refused(metadata: &Metadata) -> Vec<String> {
    let names = metadata.packages.iter().map(|package| package.name.to_string());
    names.filter(|name| REFUSED.contains(&name.as_str())).map(|name| format!("{name}: refused, see REFUSED")).collect()
}

/// Crates that come in more than one version, apart from those that `duplicates.txt` gives a reason for.
fn duplicates(metadata: &Metadata) -> Result<Vec<String>> {
    let resolved = metadata.resolve.as_ref().context("cargo metadata resolved nothing")?;
    let in_use: BTreeSet<_> = resolved.nodes.iter().map(|node| &node.id).collect();
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in metadata.packages.iter().filter(|package| in_use.contains(&package.id)) {
        versions.entry(package.name.to_string()).or_default().insert(package.version.to_string());
    }
    versions.retain(|_, all| all.len() > 1);
    let mut found = Vec::new();
    let excused = reasons::read(&places::root().join("xtask/duplicates.txt"))?;
    for (name, reason) in &excused {
        match versions.remove(name) {
            None => found.push(format!("xtask/duplicates.txt: {name} is no duplicate any more")),
            Some(_) if reason.is_empty() => found.push(format!("xtask/duplicates.txt: {name} has no reason")),
            Some(_) => {}
        }
    }
    for (name, all) in versions {
        let all: Vec<_> = all.into_iter().collect();
        found.push(format!("{name} comes in {} versions: {}", all.len(), all.join(", ")));
    }
    Ok(found)
}

/// Direct dependencies without a line in `docs/dependencies.md`, and lines without a dependency.
fn undocumented(metadata: &Metadata) -> Result<Vec<String>> {
    let page = places::root().join("docs/dependencies.md");
    let text = std::fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    let direct: BTreeSet<String> = metadata
        .workspace_packages()
        .iter()
        .flat_map(|package| &package.dependencies)
        .filter(|dependency| dependency.path.is_none())
        .map(|dependency| dependency.name.clone())
        .collect();
    Ok(compare(&direct, &text))
}

fn compare(direct: &BTreeSet<String>, page: &str) -> Vec<String> {
    let said: BTreeMap<&str, &str> = page.lines().filter_map(entry).collect();
    let missing = direct
        .iter()
        .filter(|name| said.get(name.as_str()).is_none_or(|reason| reason.is_empty()))
        .map(|name| format!("docs/dependencies.md: no reason for {name}"));
    let stale = said
        .keys()
        .filter(|name| !direct.contains(**name))
        .map(|name| format!("docs/dependencies.md: {name} is no dependency of the workspace"));
    missing.chain(stale).collect()
}

/// A line of the page: `- name: reason`, the name in backquotes.
fn entry(line: &str) -> Option<(&str, &str)> {
    let (name, reason) = line.strip_prefix("- `")?.split_once('`')?;
    Some((name, reason.trim_start_matches(':').trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_and_the_workspace_must_agree() {
        let direct = BTreeSet::from(["bytes".to_owned(), "http".to_owned(), "ring".to_owned()]);
        let page = "# Title\n- `bytes`: shared buffers\n- `http`:\n- `gone`: was good once\n";
        let found = compare(&direct, page);
        assert_eq!(
            found,
            [
                "docs/dependencies.md: no reason for http",
                "docs/dependencies.md: no reason for ring",
                "docs/dependencies.md: gone is no dependency of the workspace",
            ]
        );
    }
}
