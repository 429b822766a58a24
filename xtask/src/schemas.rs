//! The Avro schemas of all events and of their envelope, and what may change in them. What is built today must read what
//! was written before; and as a release runs beside the one before it, that one must read what today's writes. An event
//! that once was never goes.

use std::{collections::BTreeMap, process::Command};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    avro,
    generated::{self, Files, Mode},
    places,
    resolution::unreadable,
};

const FOLDER: &str = "schemas";

/// The files, as the program would have them.
fn files(told: &Value) -> Result<Files> {
    let mut files = Files::new();
    for event in told["events"].as_array().into_iter().flatten() {
        let r#type = event["type"].as_str().context("an event has no type")?;
        let [context, name, version] = r#type.split('.').collect::<Vec<_>>()[..] else {
            anyhow::bail!("{type} is not `context.Name.vN`");
        };
        let record = avro::record(&format!("freehold.{context}.{version}"), name, &event["schema"]);
        files.insert(format!("{FOLDER}/{context}/{name}.{version}.avsc"), text(&record)?);
    }
    let mut envelope = avro::record("freehold", "Envelope", &told["envelope"]);
    // Of any event: the bytes that the schema named by `type` reads.
    let fields = envelope.get_mut("fields").and_then(Value::as_array_mut).into_iter().flatten();
    for data in fields.filter(|field| field["name"] == "data") {
        *data = serde_json::json!({ "name": "data", "type": "bytes",
            "doc": "The fields of the event, in Avro, by the schema that `type` names." });
    }
    files.insert(format!("{FOLDER}/Envelope.avsc"), text(&envelope)?);
    Ok(files)
}

fn text(schema: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(schema)? + "\n")
}

/// Writes or compares them; a change that a reader of today could not bear is told, and not written.
pub(crate) fn settle(told: &Value, mode: Mode) -> Result<Vec<String>> {
    let mut files = files(told)?;
    let before = committed(mode)?;
    let mut found = refused(&before, &files);
    if !found.is_empty() {
        return Ok(found);
    }
    let present = checked_in()?;
    for path in present.keys().filter(|path| !files.contains_key(*path)) {
        match mode {
            Mode::Write => std::fs::remove_file(places::root().join(path))?,
            Mode::Check => found.push(format!("{path} belongs to no event: run `cargo xtask schemas`")),
        }
    }
    found.extend(generated::settle(&std::mem::take(&mut files), mode)?);
    Ok(found)
}

/// What is wrong with the step from one set of schemas to the next.
fn refused(before: &Files, after: &Files) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in after {
        let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
        let (Some(old), Some(new)) = (before.get(path).and_then(|old| parsed(old)), parsed(text)) else { continue };
        let backward =
            unreadable(&old, &new).map(|why| format!("what was written before cannot be read any more: {why}"));
        let forward = || unreadable(&new, &old).map(|why| format!("the release before cannot read it: {why}"));
        if let Some(why) = backward.or_else(forward) {
            found.push(format!("{path}: {why}; give the event a new version"));
        }
    }
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    found.extend(gone.map(|path| format!("{path}: an event that once was may stand in somebody's log: keep its type")));
    found
}

/// The schemas in the folder.
fn checked_in() -> Result<Files> {
    let mut found = Files::new();
    let Ok(folders) = std::fs::read_dir(places::root().join(FOLDER)) else { return Ok(found) };
    let mut folders: Vec<_> = folders.collect::<Result<_, _>>()?;
    while let Some(entry) = folders.pop() {
        if entry.path().is_dir() {
            folders.extend(std::fs::read_dir(entry.path())?.collect::<Result<Vec<_>, _>>()?);
        } else if entry.path().extension().is_some_and(|it| it == "avsc") {
            let path = entry.path().strip_prefix(places::root())?.to_string_lossy().into_owned();
            found.insert(path, std::fs::read_to_string(entry.path())?);
        }
    }
    Ok(found)
}

/// The schemas of the commit that a change is measured against: the last one while it is being written; where it is
/// checked, where this branch left `main`, or the commit before on `main` itself.
fn committed(mode: Mode) -> Result<Files> {
    let revision = match mode {
        Mode::Write => "HEAD".to_owned(),
        Mode::Check => base()?,
    };
    let mut found = BTreeMap::new();
    for path in git(&["ls-tree", "-r", "--name-only", &revision, "--", FOLDER])?.lines() {
        found.insert(path.to_owned(), git(&["show", &format!("{revision}:{path}")])?);
    }
    Ok(found)
}

fn base() -> Result<String> {
    let head = git(&["rev-parse", "HEAD"])?;
    for trunk in ["origin/main", "main"] {
        if let Ok(base) = git(&["merge-base", "HEAD", trunk])
            && base != head
        {
            return Ok(base);
        }
    }
    // A clone of one commit has none before it.
    Ok(git(&["rev-parse", "HEAD~1"]).unwrap_or(head))
}

fn git(arguments: &[&str]) -> Result<String> {
    let output =
        Command::new("git").arg("-C").arg(places::root()).args(arguments).output().context("cannot run git")?;
    anyhow::ensure!(
        output.status.success(),
        "git {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PATH: &str = "schemas/a/Happened.v1.avsc";

    fn with(fields: &Value) -> Files {
        let record = json!({ "type": "record", "name": "Happened", "namespace": "freehold.a.v1", "fields": fields });
        Files::from([(PATH.to_owned(), record.to_string())])
    }

    fn step(before: &Value, after: &Value) -> Vec<String> {
        refused(&with(before), &with(after))
    }

    #[test]
    fn what_both_can_read_may_change() {
        let user = json!({ "name": "user", "type": "string" });
        let note = json!({ "name": "note", "type": ["null", "string"], "default": null });
        let described = json!({ "name": "user", "type": "string", "doc": "Who." });
        for (before, after) in [
            (json!([user]), json!([user])),
            (json!([user]), json!([described])),
            (json!([user]), json!([user, note])),
            (json!([user, note]), json!([user])),
            (json!([user, note]), json!([note, user])),
        ] {
            assert_eq!(step(&before, &after), Vec::<String>::new(), "{before} -> {after}");
        }
    }

    #[test]
    fn what_one_of_them_could_not_read_is_refused() {
        let user = json!({ "name": "user", "type": "string" });
        let more = json!({ "name": "more", "type": "string" });
        let set =
            |symbols: &[&str]| json!({ "name": "why", "type": { "type": "enum", "name": "Why", "symbols": symbols } });
        let inner = |kind: &str| {
            let fields = json!([{ "name": "x", "type": kind }]);
            json!({ "name": "of", "type": { "type": "record", "name": "Of", "fields": fields } })
        };
        let list = |kind: &str| json!({ "name": "all", "type": { "type": "array", "items": kind } });
        let number = |kind: &str| json!({ "name": "n", "type": kind });
        for (before, after) in [
            // A field without a default that comes, goes, or has another name.
            (json!([user]), json!([user, more])),
            (json!([user, more]), json!([user])),
            (json!([user]), json!([{ "name": "who", "type": "string" }])),
            // Another type, a narrower or wider one, one that may be null, or may not any more.
            (json!([user]), json!([{ "name": "user", "type": "long" }])),
            (json!([number("long")]), json!([number("int")])),
            (json!([number("int")]), json!([number("long")])),
            (json!([{ "name": "n", "type": ["null", "string"] }]), json!([{ "name": "n", "type": "string" }])),
            (json!([{ "name": "n", "type": "string" }]), json!([{ "name": "n", "type": ["null", "string"] }])),
            // A symbol that is gone, or that the release before does not know; the same inside.
            (json!([set(&["a", "b"])]), json!([set(&["a"])])),
            (json!([set(&["a"])]), json!([set(&["a", "b"])])),
            (json!([inner("string")]), json!([inner("boolean")])),
            (json!([list("string")]), json!([list("boolean")])),
        ] {
            assert_eq!(step(&before, &after).len(), 1, "{before} -> {after}");
        }
        assert_eq!(refused(&with(&json!([user])), &Files::new()).len(), 1, "an event that goes");
    }
}
