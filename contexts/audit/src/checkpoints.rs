//! What a log commits to, that it only grows, and who else has seen it.

use data_encoding::BASE64;
use kernel::{Cx, Granted, Handle, Problem, ProblemKind, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Audit, log::Logs, operator::LogName, permissions::READ};

/// A checkpoint.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CheckpointView {
    /// Which log it is: names the installation and the scope by their ids.
    origin: String,
    /// How many entries.
    size: u64,
    /// The root over them, in Base64.
    root: String,
    /// All of it, signed (C2SP tlog-checkpoint).
    checkpoint: String,
    /// The key that verifies it (C2SP signed-note).
    key: String,
    /// The newest checkpoint that witnesses have cosigned, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    witnessed: Option<String>,
}

/// A proof that a log only grew.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ConsistencyView {
    /// The smaller size.
    old: u64,
    /// Its root, in Base64.
    old_root: String,
    /// The larger size.
    new: u64,
    /// Its root, in Base64.
    new_root: String,
    /// The hashes (RFC 9162, section 2.1.4), each in Base64.
    proof: Vec<String>,
}

impl Logs {
    pub(crate) async fn checkpoint(&self, cx: &Cx) -> Result<CheckpointView, Problem> {
        let edge = self.edge(cx).await?;
        Ok(CheckpointView {
            origin: self.origin(cx.scope()),
            size: edge.size(),
            root: BASE64.encode(&edge.root()),
            checkpoint: self.signed(cx.scope(), edge.size(), edge.root())?.written(),
            key: self.verifier(cx.scope())?.written(),
            witnessed: self.witnessed(cx).await?.map(|note| note.written()),
        })
    }

    async fn consistency(&self, cx: &Cx, old: u64, new: Option<u64>) -> Result<ConsistencyView, Problem> {
        let size = self.edge(cx).await?.size();
        let new = new.unwrap_or(size);
        if new > size || old > new {
            let detail = format!("the log has {size} entries, and sizes grow from old to new");
            let field = if new > size { "/new" } else { "/old" };
            return Err(Problem::new(ProblemKind::Refused, "audit.no_such_size", detail)
                .hint(
                    "take sizes from checkpoints of this log; a checkpoint of more entries than it has now is evidence",
                )
                .field(field, "not a size that this log had"));
        }
        let spans = tlog::consistency(old, new).unwrap_or_default();
        let proof = self.hashes(cx, spans, new).await?;
        Ok(ConsistencyView {
            old,
            old_root: BASE64.encode(&self.root(cx, old).await?),
            new,
            new_root: BASE64.encode(&self.root(cx, new).await?),
            proof: proof.iter().map(|hash| BASE64.encode(hash)).collect(),
        })
    }
}

/// What the audit log commits to now. Whoever keeps it can prove later that nothing before it was rewritten.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadCheckpoint {}

use_case!(ReadCheckpoint => CheckpointView, "audit.checkpoint.read", Tenant, READ, Tell);

impl Handle<ReadCheckpoint> for Audit {
    async fn handle(&self, _: ReadCheckpoint, cx: Granted<ReadCheckpoint>) -> Result<CheckpointView, Problem> {
        self.logs.checkpoint(&cx).await
    }
}

/// The same of a tenant's log, or the platform's own, for an operator.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadCheckpointOf {
    /// Whose log: a tenant's id, or `platform`.
    log: LogName,
}

use_case!(ReadCheckpointOf => CheckpointView, "audit.logs.checkpoint", Platform, READ, Tell, |it| it.log.resource());

impl Handle<ReadCheckpointOf> for Audit {
    async fn handle(&self, it: ReadCheckpointOf, cx: Granted<ReadCheckpointOf>) -> Result<CheckpointView, Problem> {
        let inside = self.inside(&cx, it.log).await?;
        self.logs.checkpoint(&inside).await
    }
}

/// Proves that the log of a larger size goes on from that of a smaller one: that nothing in between was rewritten.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProveConsistency {
    /// The smaller size.
    old: u64,
    /// The larger size; that of now where nothing is said.
    new: Option<u64>,
}

use_case!(ProveConsistency => ConsistencyView, "audit.consistency.prove", Tenant, READ, Tell);

impl Handle<ProveConsistency> for Audit {
    async fn handle(&self, it: ProveConsistency, cx: Granted<ProveConsistency>) -> Result<ConsistencyView, Problem> {
        self.logs.consistency(&cx, it.old, it.new).await
    }
}

/// The same of a tenant's log, or the platform's own, for an operator.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProveConsistencyOf {
    /// Whose log: a tenant's id, or `platform`.
    log: LogName,
    /// The smaller size.
    old: u64,
    /// The larger size; that of now where nothing is said.
    new: Option<u64>,
}

use_case!(ProveConsistencyOf => ConsistencyView, "audit.logs.consistency", Platform, READ, Tell, |it| it.log.resource());

impl Handle<ProveConsistencyOf> for Audit {
    async fn handle(
        &self,
        it: ProveConsistencyOf,
        cx: Granted<ProveConsistencyOf>,
    ) -> Result<ConsistencyView, Problem> {
        let inside = self.inside(&cx, it.log).await?;
        self.logs.consistency(&inside, it.old, it.new).await
    }
}
