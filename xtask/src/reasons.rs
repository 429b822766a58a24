//! Lists of exceptions, each with its reason.

use std::path::Path;

use anyhow::{Context, Result};

/// A file of a few entries, one a line: `key reason`. Blank lines and those that begin with `#` say nothing.
pub(crate) fn read(file: &Path) -> Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines
        .map(|line| line.split_once(char::is_whitespace).unwrap_or((line, "")))
        .map(|(key, reason)| (key.to_owned(), reason.trim().to_owned()))
        .collect())
}
