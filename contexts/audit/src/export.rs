//! All of a log, as lines of JSON: what it is and the checkpoint that it is of, then each entry, then what narrows down where a
//! change is. [`crate::verify`] reads it.

use std::collections::VecDeque;

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use futures::stream;
use http::{Response, header};
use kernel::{Cx, Problem, Resource, context::Body, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tlog::{Edge, Hash, TILE};

use crate::{bundle::Hashes, log::Logs, operator::LogName, permissions::EXPORT};

/// The form of the file.
pub(crate) const FORMAT: &str = "freehold/audit/1";

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct First {
    pub(crate) format: String,
    /// The key that verifies the checkpoint, for whoever has it from elsewhere too.
    pub(crate) key: String,
    pub(crate) checkpoint: String,
    /// The newest checkpoint that witnesses have cosigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) witnessed: Option<String>,
}

/// A line for each entry.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) index: u64,
    pub(crate) salt: String,
    /// The commitment, so that a record that was changed is told apart from one that was left out.
    pub(crate) leaf: String,
    pub(crate) record: String,
}

/// The last line: the roots of all full blocks of 256 entries. They lead to the root of the checkpoint, so they cannot be
/// changed with the entries.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Last {
    pub(crate) blocks: Hashes,
}

/// For the log of another scope: see [`crate::operator`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportOf {
    /// Whose log: a tenant's id, or `platform`.
    pub(crate) log: LogName,
}

use_case!(ExportOf => (), "audit.logs.export", Platform, EXPORT, Tell, |it| Resource::one("log", it.log));

/// An export under way: nothing is held but the page that is sent.
struct Export {
    logs: Logs,
    /// Who asked, in whose name it goes on only while they may still ask.
    asked: Cx,
    inside: Cx,
    at: u64,
    size: u64,
    block: Edge,
    blocks: Vec<Hash>,
    ready: VecDeque<Bytes>,
    ended: bool,
}

fn line<T: Serialize>(it: &T) -> Result<Bytes, Problem> {
    let mut text = serde_json::to_vec(it).map_err(Problem::internal)?;
    text.push(b'\n');
    Ok(text.into())
}

impl Export {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        if let Some(ready) = self.ready.pop_front() {
            return Ok(Some(ready));
        }
        if self.at >= self.size {
            let last =
                (!self.ended).then(|| line(&Last { blocks: Hashes(std::mem::take(&mut self.blocks)) })).transpose();
            self.ended = true;
            return last;
        }
        self.asked.still_stands().await?;
        let entries = self.logs.entries(&self.inside, self.at, self.size.min(self.at + TILE)).await?;
        let mut page = Vec::new();
        for (index, entry) in entries {
            let commitment = entry.commitment();
            self.block.append(tlog::leaf(&commitment));
            if self.block.size() == TILE {
                self.blocks.push(std::mem::take(&mut self.block).root());
            }
            let (salt, leaf) = (HEXLOWER.encode(&entry.salt), BASE64.encode(&commitment));
            page.extend(line(&Line { index, salt, leaf, record: entry.record.get().to_owned() })?);
            self.at = index + 1;
        }
        if page.is_empty() { Err(Problem::internal("entries are missing")) } else { Ok(Some(page.into())) }
    }
}

impl Logs {
    /// All of the log of `inside`, for whoever asked. Where it fails on the way it ends early, which a verifier sees.
    pub(crate) async fn export(&self, asked: Cx, inside: Cx) -> Result<Response<Body>, Problem> {
        let (scope, edge) = (inside.scope(), self.edge(&inside).await?);
        let first = First {
            format: FORMAT.to_owned(),
            key: self.verifier(scope)?.written(),
            checkpoint: self.signed(scope, edge.size(), edge.root())?.written(),
            witnessed: self.witnessed(&inside).await?.map(|note| note.written()),
        };
        let export = Export {
            logs: self.clone(),
            asked,
            inside,
            at: 0,
            size: edge.size(),
            block: Edge::default(),
            blocks: Vec::new(),
            ready: VecDeque::from([line(&first)?]),
            ended: false,
        };
        let pieces = stream::unfold(export, |mut export| async move {
            match export.next().await {
                Ok(piece) => piece.map(|piece| (piece, export)),
                Err(problem) => {
                    tracing::warn!(code = problem.code(), cause = problem.source_text(), "an export ends early");
                    None
                }
            }
        });
        Response::builder()
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"audit-{scope}.jsonl\""))
            .body(Body::stream(pieces))
            .map_err(Problem::internal)
    }
}
