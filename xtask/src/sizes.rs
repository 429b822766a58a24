//! Files, functions and crates that grew too long. A scan of lines is good enough for what rustfmt has laid out.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::{Verdict, places, reasons, sources};

/// Over the first it is printed, over the second it fails unless `sizes.txt` gives a reason. A crate over its bound fails.
const FILE: (usize, usize) = (300, 500);
const FUNCTION: (usize, usize) = (50, 80);
const CRATE: usize = 3_000;
const KERNEL: usize = 2_500;

/// The folders of the workspace that hold source.
const FOLDERS: &[&str] =
    &["freehold", "gateway", "console", "crates", "engines", "contexts", "xtask", "e2e", "bench", "simulation"];

/// Something over its bound.
#[derive(Debug, PartialEq, Eq)]
struct Long {
    /// `path`, `path:function`, or the folder of a crate.
    key: String,
    lines: usize,
    fails: bool,
}

pub(crate) fn run() -> Result<Verdict> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        sources::rust_files(&places::root().join(folder), &mut files)?;
    }
    files.sort();
    let mut long = Vec::new();
    let mut crates: BTreeMap<String, usize> = BTreeMap::new();
    for file in &files {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let path = file.strip_prefix(places::root()).unwrap_or(file).to_string_lossy().into_owned();
        long.extend(measure(&path, &text));
        if let Some((home, lines)) = source_lines(&path, &text) {
            *crates.entry(home).or_default() += lines;
        }
    }
    long.extend(crates.into_iter().filter_map(|(home, lines)| outgrown(home, lines)));
    let excused = reasons::read(&places::root().join("xtask/sizes.txt"))?;
    Ok(Verdict::report("sizes", &judge(&long, &excused)))
}

/// The crate that a file belongs to and how many lines of it are not tests.
fn source_lines(path: &str, text: &str) -> Option<(String, usize)> {
    let (home, within) = path.split_once("/src/")?;
    let is_test = within.ends_with("tests.rs") || within.contains("tests/");
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
    Some((home.to_owned(), if is_test { 0 } else { lines }))
}

/// A crate that is to be several: it has no soft bound.
fn outgrown(key: String, lines: usize) -> Option<Long> {
    let bound = if key == "crates/kernel" { KERNEL } else { CRATE };
    (lines > bound).then_some(Long { key, lines, fails: true })
}

fn measure(path: &str, text: &str) -> Vec<Long> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    if lines.len() > FILE.0 {
        found.push(Long { key: path.to_owned(), lines: lines.len(), fails: lines.len() > FILE.1 });
    }
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let length = lines.get(at..).map_or(0, function_length);
        if length > FUNCTION.0 {
            found.push(Long { key: format!("{path}:{name}"), lines: length, fails: length > FUNCTION.1 });
        }
    }
    found
}

/// The name, if a function begins on this line.
fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    if let Some(after) = rest.strip_prefix("pub") {
        rest = match after.strip_prefix('(') {
            Some(scoped) => scoped.split_once(')')?.1.trim_start(),
            None => after.strip_prefix(' ')?,
        };
    }
    for word in ["const ", "async "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    name.split(['(', '<']).next()
}

/// How many lines a function takes, from its first to the closing brace at the same depth.
fn function_length(lines: &[&str]) -> usize {
    let Some(first) = lines.first() else { return 0 };
    let depth = first.len() - first.trim_start().len();
    let closes = |line: &str| {
        let indented = line.len() - line.trim_start().len();
        indented == depth && line.trim_start().starts_with('}')
    };
    let mut opened = false;
    for (at, line) in lines.iter().enumerate() {
        let end = line.trim_end();
        if (at == 0 && end.ends_with('}')) || (!opened && end.ends_with(';')) || (at > 0 && closes(end)) {
            return at + 1;
        }
        opened |= end.ends_with('{');
    }
    lines.len()
}

/// What fails: too long without a reason, a reason that is missing, an entry that nothing needs.
fn judge(long: &[Long], excused: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for it in long {
        let reason = excused.iter().find(|(key, _)| *key == it.key).map(|(_, reason)| reason.as_str());
        match reason {
            None if it.fails => {
                found.push(format!("{}: {} lines, too long without a reason in sizes.txt", it.key, it.lines));
            }
            None => println!("sizes: {}: {} lines", it.key, it.lines),
            Some(reason) => println!("sizes: {}: {} lines: {reason}", it.key, it.lines),
        }
    }
    for (key, reason) in excused {
        if reason.is_empty() {
            found.push(format!("xtask/sizes.txt: {key} has no reason"));
        } else if !long.iter().any(|it| it.key == *key) {
            found.push(format!("xtask/sizes.txt: {key} is no longer too long, or no longer there"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_their_first_line() {
        for line in
            ["fn a()", "    pub fn a<T>(", "pub(crate) async fn a(", "const fn a() -> u8 {", "pub const async fn a("]
        {
            assert_eq!(function_name(line), Some("a"), "{line}");
        }
        for line in ["let fn_a = 1;", "// fn a()", "published fn a()", "type A = fn(u8);"] {
            assert_eq!(function_name(line), None, "{line}");
        }
    }

    #[test]
    fn functions_end_at_their_own_brace() {
        let source = "    fn a(\n        x: u8,\n    ) -> u8 {\n        if x > 1 {\n            x\n        }\n    }\n    fn b();";
        // The bracket that ends the arguments stands at the same depth, but is no brace.
        assert_eq!(function_length(&source.lines().collect::<Vec<_>>()), 7);
        assert_eq!(function_length(&["fn a() {}", "fn b() {", "}"]), 1);
        assert_eq!(function_length(&["    fn a(", "        x: u8,", "    ) -> u8;", "    fn b() {", "    }"]), 3);
    }

    #[test]
    fn long_ones_need_a_reason_and_reasons_a_need() {
        let body = "    x();\n".repeat(90);
        let long = measure("a/src/b.rs", &format!("fn c() {{\n{body}}}\n"));
        assert_eq!(long, [Long { key: "a/src/b.rs:c".to_owned(), lines: 92, fails: true }]);
        assert_eq!(judge(&long, &[]).len(), 1);
        let entry = |reason: &str| vec![("a/src/b.rs:c".to_owned(), reason.to_owned())];
        assert_eq!(judge(&long, &entry("a table")).len(), 0);
        assert_eq!(judge(&long, &entry("")).len(), 1);
        assert_eq!(judge(&[], &entry("a table")).len(), 1);
    }

    #[test]
    fn a_crate_that_outgrew_its_bound_fails() {
        let long: Vec<Long> =
            [3_000, 3_001].into_iter().filter_map(|lines| outgrown("contexts/a".to_owned(), lines)).collect();
        assert_eq!(long, [Long { key: "contexts/a".to_owned(), lines: 3_001, fails: true }]);
        assert_eq!(judge(&long, &[]).len(), 1);
        assert!(outgrown("crates/kernel".to_owned(), KERNEL + 1).is_some());
    }

    #[test]
    fn tests_are_not_source() {
        let text = "a\nb\n#[cfg(test)]\nmod tests {\n}\n";
        assert_eq!(source_lines("crates/x/src/y.rs", text), Some(("crates/x".to_owned(), 2)));
        assert_eq!(source_lines("crates/x/src/y/tests.rs", text), Some(("crates/x".to_owned(), 0)));
        assert_eq!(source_lines("crates/x/tests/y.rs", text), None);
    }
}
