//! Verifies an export of a log, trusting nobody: everything is computed again from the entries, and compared with what was
//! signed. Of the file no more than one line is held.

use std::io::BufRead;

use data_encoding::{BASE64, HEXLOWER};
use tlog::{Checkpoint, Edge, Hash, Note, TILE, Verifier};

use crate::{
    export::{FORMAT, First, Last, Line},
    record::{Record, Salt, commitment},
};

/// The longest line that is read.
const LONGEST: u64 = 4 << 20;
/// So many findings are told; more say nothing new.
const TOLD: usize = 100;

/// What is known from elsewhere.
#[derive(Debug, Default)]
pub struct Known {
    /// The key of the log.
    pub key: Option<Verifier>,
    /// Checkpoints of the log that were kept: it must have had these roots.
    pub kept: Vec<Note>,
    /// Witnesses; each must have cosigned a checkpoint of the file.
    pub witnesses: Vec<Verifier>,
}

/// What an export is found to be.
#[derive(Debug, Default)]
pub struct Report {
    /// Which log it says it is.
    pub origin: String,
    /// How many entries its checkpoint has.
    pub size: u64,
    /// The key that verified the checkpoint.
    pub key: String,
    /// What is wrong; nothing, where nothing is.
    pub findings: Vec<String>,
}

impl Report {
    fn finds(&mut self, what: String) {
        if self.findings.len() < TOLD {
            self.findings.push(what);
        }
    }
}

/// A checkpoint that somebody vouches for, and who.
struct Vouched {
    checkpoint: Checkpoint,
    by: String,
}

/// Reads and verifies. An error is one of reading; what is wrong with the log stands in the report.
pub fn verify(mut file: impl BufRead, known: &Known) -> std::io::Result<Report> {
    let mut report = Report::default();
    let Some(vouched) = first_line(&mut file, known, &mut report)? else { return Ok(report) };
    let mut tree = Tree::default();
    let mut last = None;
    while let Some(text) = next_line(&mut file)? {
        if last.is_some() {
            report.finds("there is more after the last line".to_owned());
            break;
        }
        match (serde_json::from_str::<Line>(&text), serde_json::from_str::<Last>(&text)) {
            (Ok(line), _) => tree.entry(&line, &vouched, &mut report),
            (_, Ok(end)) => last = Some(end.blocks.0),
            _ => report.finds(format!("what should be entry {} cannot be read", tree.expected)),
        }
    }
    tree.end(last.as_deref(), &vouched, &mut report);
    Ok(report)
}

fn next_line(file: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut text = Vec::new();
    let read = std::io::Read::take(&mut *file, LONGEST).read_until(b'\n', &mut text)?;
    if read == 0 {
        return Ok(None);
    }
    // What is no text is no line either, and is told as such.
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// What the file says it is: the checkpoints that must hold, the file's own first. None where it says nothing that could be
/// verified.
fn first_line(file: &mut impl BufRead, known: &Known, report: &mut Report) -> std::io::Result<Option<Vec<Vouched>>> {
    let text = next_line(file)?.unwrap_or_default();
    let Some(first) = serde_json::from_str::<First>(&text).ok().filter(|it| it.format == FORMAT) else {
        report.finds(format!("the first line is not that of an export ({FORMAT})"));
        return Ok(None);
    };
    let parsed = Note::parse(&first.checkpoint).and_then(|note| Ok((Checkpoint::parse(&note.text)?, note)));
    let (Ok((checkpoint, note)), Ok(own)) = (parsed, Verifier::parse(&first.key)) else {
        report.finds("the checkpoint, or the key, is in no form that could be verified".to_owned());
        return Ok(None);
    };
    let key = known.key.clone().unwrap_or(own);
    if let Err(error) = key.verify(&note) {
        report.finds(format!("the checkpoint is not signed by {}: {error}", key.written()));
    }
    if checkpoint.origin != key.name() {
        report.finds(format!("the key is that of {}, and the log is {}", key.name(), checkpoint.origin));
    }
    (report.origin, report.size, report.key) = (checkpoint.origin.clone(), checkpoint.size, key.written());
    let witnessed = first.witnessed.as_deref().and_then(|text| Note::parse(text).ok());
    for witness in &known.witnesses {
        if witnessed.as_ref().is_none_or(|note| witness.verify(note).is_err()) {
            report.finds(format!("the witness {} has cosigned no checkpoint of this file", witness.name()));
        }
    }
    let mut vouched = vec![Vouched { checkpoint, by: "its own checkpoint".to_owned() }];
    let others = known.kept.iter().map(|note| (note, "a checkpoint that was kept"));
    for (note, by) in others.chain(witnessed.iter().map(|note| (note, "the checkpoint that witnesses saw"))) {
        match Checkpoint::parse(&note.text) {
            Ok(it) if it.origin == report.origin && key.verify(note).is_ok() => {
                vouched.push(Vouched { checkpoint: it, by: by.to_owned() });
            }
            _ => report.finds(format!("{by} is none of this log, or not signed by its key")),
        }
    }
    Ok(Some(vouched))
}

/// The tree as it is computed from the entries.
#[derive(Default)]
struct Tree {
    edge: Edge,
    block: Edge,
    blocks: Vec<Hash>,
    expected: u64,
    /// All entries up to here were there, in order.
    broken: bool,
}

impl Tree {
    fn entry(&mut self, line: &Line, vouched: &[Vouched], report: &mut Report) {
        let index = line.index;
        if index != self.expected {
            let expected = self.expected;
            report.finds(match index.checked_sub(expected) {
                Some(1) => format!("entry {expected} is missing"),
                Some(_) => format!("entries {expected} to {} are missing", index - 1),
                None => format!("entry {index} is not in its place, or comes twice"),
            });
            self.broken = true;
        }
        self.expected = self.expected.max(index.saturating_add(1));
        let salt = HEXLOWER.decode(line.salt.as_bytes()).ok().and_then(|it| Salt::try_from(it.as_slice()).ok());
        let leaf = BASE64.decode(line.leaf.as_bytes()).ok().and_then(|it| Hash::try_from(it.as_slice()).ok());
        let (Some(salt), Some(leaf)) = (salt, leaf) else {
            report.finds(format!("entry {index}: its salt or leaf is in no form that could be verified"));
            self.broken = true;
            return;
        };
        if commitment(&salt, &line.record) != leaf {
            report.finds(format!("entry {index} was changed: the log committed to another record"));
        }
        let scope = report.origin.rsplit('/').next().unwrap_or_default();
        if !serde_json::from_str::<Record<'_>>(&line.record).is_ok_and(|record| record.scope == scope) {
            report.finds(format!("entry {index} is no record of this log"));
        }
        let leaf = tlog::leaf(&leaf);
        self.edge.append(leaf);
        self.block.append(leaf);
        if self.block.size() == TILE {
            self.blocks.push(std::mem::take(&mut self.block).root());
        }
        let kept = vouched.iter().skip(1).filter(|it| it.checkpoint.size == self.edge.size());
        for it in kept.filter(|it| !self.broken && it.checkpoint.root != self.edge.root()) {
            report.finds(format!(
                "{}, of {} entries, does not hold: what came before was rewritten",
                it.by, it.checkpoint.size
            ));
        }
    }

    fn end(self, blocks: Option<&[Hash]>, vouched: &[Vouched], report: &mut Report) {
        let size = report.size;
        if self.expected < size || blocks.is_none() {
            report.finds(format!("it is cut short: {} entries of {size} are there", self.expected));
        } else if self.expected > size {
            report.finds(format!("it has {} entries, and its checkpoint {size}", self.expected));
        }
        for it in vouched.iter().filter(|it| it.checkpoint.size > size) {
            report.finds(format!("{} has {} entries: the log was cut back to {size}", it.by, it.checkpoint.size));
        }
        let root = vouched.first().map(|it| it.checkpoint.root);
        if self.broken || self.expected != size || root == Some(self.edge.root()) {
            return;
        }
        report.finds("the entries do not lead to the root of the checkpoint".to_owned());
        // The last line leads there, or was changed as well; then there is nothing to narrow it down by.
        let Some(blocks) = blocks.filter(|it| it.len() == self.blocks.len()) else { return };
        for (place, _) in blocks.iter().zip(&self.blocks).enumerate().filter(|(_, (told, is))| told != is) {
            let first = place as u64 * TILE;
            report.finds(format!("one of the entries {first} to {} was replaced, with its leaf", first + TILE - 1));
        }
    }
}
