//! The arrows of the design: which crate of the workspace may know which, and where a technology may be named.

use anyhow::Result;
use cargo_metadata::{DependencyKind, Metadata, Package};

use crate::{Verdict, places};

/// The crates of `crates/`, lowest first: each may use those of a lower row only.
const ROWS: &[&[&str]] = &[
    &["kernel", "cache", "rate", "tlog"],
    &["money", "keys", "facts", "telemetry"],
    &["contracts"],
    &["store", "look"],
    &["events"],
    &["web", "mesh"],
];

const FOR_CONTEXTS: &[&str] =
    &["kernel", "cache", "rate", "tlog", "money", "contracts", "store", "events", "facts", "keys", "look"];
const FOR_ENGINES: &[&str] = &["kernel", "cache", "store", "events", "facts", "keys"];
const FOR_CONSOLE: &[&str] = &["kernel", "contracts", "look", "web", "mesh", "telemetry"];

/// A technology, and the folders that may name it. `freehold` and `e2e` put everything together and may name all.
const TECHNOLOGIES: &[(&str, &[&str])] = &[
    ("axum", &["crates/web"]),
    ("hyper", &["crates/web", "crates/mesh", "gateway"]),
    ("hyper-util", &["crates/web", "crates/mesh", "gateway"]),
    ("tower", &["crates/web", "crates/mesh", "gateway"]),
    ("rusqlite", &["engines/sqlite", "engines/columnar", "bench"]),
    ("tokio-postgres", &["engines/postgres"]),
    ("scylla", &["engines/scylla"]),
    ("lettre", &["contexts/notifications"]),
    ("anyhow", &["xtask", "bench"]),
    ("figment", &[]),
];

pub(crate) fn run() -> Result<Verdict> {
    Ok(Verdict::report("graph", &violations(&places::metadata()?)))
}

fn violations(metadata: &Metadata) -> Vec<String> {
    let members = metadata.workspace_packages();
    let mut found = Vec::new();
    for package in &members {
        let from = places::folder(package);
        for dependency in &package.dependencies {
            let member = members.iter().find(|it| it.name == dependency.name && dependency.path.is_some());
            let refused = match member {
                Some(to) => refused_member(&from, &places::folder(to), dependency.kind).map(str::to_owned),
                None => refused_technology(&from, &dependency.name),
            };
            if let Some(why) = refused {
                found.push(format!("{} -> {}: {why}", named(package), dependency.name));
            }
        }
    }
    found
}

fn named(package: &Package) -> String {
    format!("{} ({})", places::folder(package), package.name)
}

/// Why this arrow may not be, if it may not.
fn refused_member(from: &str, to: &str, kind: DependencyKind) -> Option<&'static str> {
    if kind == DependencyKind::Development {
        return refused_in_tests(from, to);
    }
    let part = |list: &[&str]| to.strip_prefix("crates/").is_some_and(|name| list.contains(&name));
    match (layer(from), layer(to)) {
        (_, "e2e" | "xtask" | "bench" | "simulation") => Some("nothing uses the tests or the developer's commands"),
        ("freehold" | "e2e" | "simulation", "contexts" | "gateway") if !is_whole(to) => {
            Some("the parts of a folder are its own: use the whole")
        }
        ("freehold" | "e2e", _) => None,
        ("simulation", other) if other != "engines" => None,
        ("xtask", _) => Some("the developer's commands build alone, so that they start at once"),
        ("bench", _) => Some("the bench knows the program from outside only"),
        (_, "engines") => Some("only `freehold` names engines"),
        (_, "freehold") => Some("`freehold` knows all others; none knows it"),
        ("contexts", "contexts") if !same_context(from, to) => Some("contexts meet only in `contracts`"),
        ("contexts", "contexts") if is_whole(to) => Some("a part of a context does not know the whole"),
        ("gateway", "gateway") if is_whole(to) => Some("a part of the gateway does not know the whole"),
        ("contexts", "contexts") | ("gateway", "gateway") => None,
        ("contexts", _) if !part(FOR_CONTEXTS) => Some("contexts use the kernel, contracts and ports, no server"),
        ("engines", _) if !part(FOR_ENGINES) => Some("an engine depends on the ports that it serves"),
        ("console", _) if !part(FOR_CONSOLE) => Some("the console calls use cases only"),
        ("gateway", other) if other != "crates" => Some("the gateway stands on `crates` alone"),
        ("crates", other) if other != "crates" => Some("arrows point down only"),
        ("crates", _) if row(to) >= row(from) => Some("arrows point down only: not a lower row of `crates`"),
        _ => None,
    }
}

/// Tests stand a part on whatever it runs on, but a context still does not know another.
fn refused_in_tests(from: &str, to: &str) -> Option<&'static str> {
    match (layer(from), layer(to)) {
        ("contexts", "contexts") if !same_context(from, to) => {
            Some("contexts meet only in `contracts`, in their tests too")
        }
        ("contexts", "contexts") | ("e2e", _) | (_, "crates" | "engines") => None,
        _ => Some("tests of a part stand on `crates` and `engines`; what needs more is a test of `e2e`"),
    }
}

fn refused_technology(from: &str, name: &str) -> Option<String> {
    let (_, homes) = TECHNOLOGIES.iter().find(|(technology, _)| *technology == name)?;
    let unit = places::unit(from);
    let allowed = matches!(from, "freehold" | "e2e") || homes.contains(&from) || homes.contains(&unit.as_str());
    (!allowed).then(|| format!("belongs in {}", [*homes, &["freehold"]].concat().join(", ")))
}

/// The first part of the folder: `crates`, `contexts`, `gateway`.
fn layer(folder: &str) -> &str {
    folder.split('/').next().unwrap_or(folder)
}

/// Whether both are crates of one context: `contexts/identity` and `contexts/identity/access`.
fn same_context(one: &str, other: &str) -> bool {
    places::unit(one) == places::unit(other)
}

/// Whether it is the crate that puts its folder together, not one of the parts below.
fn is_whole(folder: &str) -> bool {
    places::unit(folder) == folder
}

/// The row of a crate; one that the table does not know is above all, so that nothing but the layers above uses it.
fn row(folder: &str) -> usize {
    let name = folder.strip_prefix("crates/").unwrap_or(folder);
    ROWS.iter().position(|row| row.contains(&name)).unwrap_or(ROWS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_up_and_across_are_refused() {
        for (from, to) in [
            ("contexts/users", "contexts/tenants"),
            ("contexts/users", "contexts/identity/access"),
            ("contexts/identity/access", "contexts/users"),
            ("contexts/identity/access", "contexts/identity"),
            ("freehold", "contexts/identity/access"),
            ("gateway/proxy", "gateway"),
            ("contexts/users", "crates/web"),
            ("contexts/users", "engines/sqlite"),
            ("engines/sqlite", "engines/postgres"),
            ("engines/sqlite", "crates/web"),
            ("crates/store", "engines/sqlite"),
            ("crates/store", "crates/events"),
            ("crates/keys", "crates/facts"),
            ("crates/web", "gateway"),
            ("gateway", "contexts/tenants"),
            ("console", "crates/store"),
            ("console", "freehold"),
            ("freehold", "xtask"),
            ("xtask", "crates/kernel"),
            ("bench", "crates/kernel"),
            ("freehold", "bench"),
            ("simulation", "engines/sqlite"),
            ("freehold", "simulation"),
        ] {
            assert!(refused_member(from, to, DependencyKind::Normal).is_some(), "{from} -> {to}");
        }
    }

    #[test]
    fn arrows_down_are_good() {
        for (from, to) in [
            ("contexts/users", "crates/store"),
            ("contexts/identity", "contexts/identity/access"),
            ("contexts/identity/sign-in", "contexts/identity/access"),
            ("gateway", "gateway/proxy"),
            ("engines/sqlite", "crates/events"),
            ("crates/events", "crates/store"),
            ("gateway", "crates/mesh"),
            ("freehold", "engines/sqlite"),
            ("e2e", "freehold"),
            ("simulation", "freehold"),
        ] {
            assert_eq!(refused_member(from, to, DependencyKind::Normal), None, "{from} -> {to}");
        }
    }

    #[test]
    fn tests_may_stand_on_an_engine_but_not_on_another_context() {
        let kind = DependencyKind::Development;
        assert_eq!(refused_member("contexts/users", "engines/sqlite", kind), None);
        assert!(refused_member("contexts/users", "contexts/tenants", kind).is_some());
    }

    #[test]
    fn a_technology_has_a_home() {
        assert!(refused_technology("contexts/users", "tokio-postgres").is_some());
        assert!(refused_technology("contexts/users", "axum").is_some());
        assert_eq!(refused_technology("engines/postgres", "tokio-postgres"), None);
        assert_eq!(refused_technology("contexts/users", "serde"), None);
    }
}
