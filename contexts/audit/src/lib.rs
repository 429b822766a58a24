//! The audit log that nobody can rewrite: who did what to what, when.
//!
//! An **entry** is one act: an event, a change that no event tells of, a look of an operator into a tenant, or how often
//! something was refused. Its **record** is JSON that is never written again; a **leaf** commits to it under a **salt**. The
//! leaves of one scope make its **log**, a Merkle tree (RFC 6962) that only grows. A **checkpoint** is what a log commits to,
//! signed; a **witness** cosigns it, so that nobody is shown another past. Who holds a checkpoint can have an entry **proved**.
//!
//! * The **sequencer** follows the retained log; a **bundle** is what it appends at once. Nothing is appended by a request.
//! * A log has one continuation: of two who append at one place, one is refused.
//! * What is personal stands in a record as in the event: sealed under the person's key. Erasing leaves every proof valid.

mod bundle;
mod checkpoints;
mod endpoints;
mod entries;
mod export;
mod log;
mod noticed;
mod operator;
mod permissions;
mod record;
mod sequencer;
mod verify;
mod witness;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use kernel::{Calls, Context, Cx, Endpoint, Problem, ScopeKind, context::Body};
use store::Store;

use checkpoints::{ProveConsistency, ProveConsistencyOf, ReadCheckpoint, ReadCheckpointOf};
use entries::{ListEntries, ListEntriesOf, ProveEntry, ProveEntryOf};
use log::Logs;
pub use noticed::Noticed;
use permissions::{EXPORT, READ};
pub use sequencer::Sequencer;
pub use tlog;
pub use verify::{Known, Report, verify};
use witness::{AddWitness, CosignCheckpoint, ListWitnesses, RemoveWitness};

/// All permissions that this context declares.
pub const PERMISSIONS: &[kernel::PermissionDecl] = permissions::ALL;

/// The context.
pub(crate) struct Audit {
    pub(crate) logs: Logs,
    pub(crate) calls: Calls,
}

type Served = Result<Response<Body>, Problem>;

/// The context, with its table.
pub fn context(store: Store, calls: Calls) -> Context {
    let it = &Arc::new(Audit { logs: Logs { store }, calls });
    let table = Context::new("audit", PERMISSIONS)
        .about("Who did what, in a log that nobody can rewrite: entries, proofs, checkpoints, witnesses.")
        .route::<ListEntries, _>(Method::GET, "/v1/audit/entries", it)
        .route::<ProveEntry, _>(Method::GET, "/v1/audit/entries/{entry}", it)
        .route::<ReadCheckpoint, _>(Method::GET, "/v1/audit/checkpoint", it)
        .route::<ProveConsistency, _>(Method::GET, "/v1/audit/consistency", it)
        .route::<CosignCheckpoint, _>(Method::POST, "/v1/audit/cosignatures", it)
        .route::<ListWitnesses, _>(Method::GET, "/v1/audit/witnesses", it)
        .route::<AddWitness, _>(Method::POST, "/v1/audit/witnesses", it)
        .route::<RemoveWitness, _>(Method::DELETE, "/v1/audit/witnesses/{witness}", it)
        .route::<ListEntriesOf, _>(Method::GET, "/v1/audit/logs/{log}/entries", it)
        .route::<ProveEntryOf, _>(Method::GET, "/v1/audit/logs/{log}/entries/{entry}", it)
        .route::<ReadCheckpointOf, _>(Method::GET, "/v1/audit/logs/{log}/checkpoint", it)
        .route::<ProveConsistencyOf, _>(Method::GET, "/v1/audit/logs/{log}/consistency", it);
    tiles(exports(table, it), it)
}

fn served<F, R>(it: &Arc<Audit>, serve: F) -> impl Fn(Request<Bytes>, Cx) -> R + Send + Sync + 'static
where
    F: Fn(Arc<Audit>, Request<Bytes>, Cx) -> R + Send + Sync + 'static,
    R: Future<Output = Served> + Send + 'static,
{
    let it = Arc::clone(it);
    move |request, cx| serve(Arc::clone(&it), request, cx)
}

fn exports(table: Context, it: &Arc<Audit>) -> Context {
    const LINES: &str = "application/x-ndjson";
    let own = served(it, |it, _, cx| async move { it.export(cx).await });
    let of = served(it, |it, request, cx| async move { it.export_of(&request, cx).await });
    let own =
        Endpoint::new("audit.export", "All of the audit log, to be verified elsewhere", ScopeKind::Tenant, EXPORT, own);
    let of = Endpoint::new("audit.logs.export", "All of the audit log of a scope", ScopeKind::Platform, EXPORT, of);
    table.endpoint(Method::GET, "/v1/audit/export", own.produces(LINES)).endpoint(
        Method::GET,
        "/v1/audit/logs/{log}/export",
        of.produces(LINES),
    )
}

/// The log as C2SP tlog-tiles has it. A name of a tile has one to three parts, and one more where it is not full.
fn tiles(table: Context, it: &Arc<Audit>) -> Context {
    let checkpoint = served(it, |it, _, cx| async move { it.plain_checkpoint(&cx).await });
    let summary = "The checkpoint of the audit log, as text (C2SP tlog-checkpoint)";
    let checkpoint = Endpoint::new("audit.tlog.checkpoint", summary, ScopeKind::Tenant, READ, checkpoint);
    let table = table.endpoint(Method::GET, "/v1/audit/tlog/checkpoint", checkpoint.produces("text/plain"));
    let paths = [
        ("audit.tlog.tile", "/v1/audit/tlog/tile/{level}/{tile}"),
        ("audit.tlog.tile_2", "/v1/audit/tlog/tile/{level}/{group}/{tile}"),
        ("audit.tlog.tile_3", "/v1/audit/tlog/tile/{level}/{group}/{group_2}/{tile}"),
        ("audit.tlog.tile_4", "/v1/audit/tlog/tile/{level}/{group}/{group_2}/{group_3}/{tile}"),
    ];
    paths.into_iter().fold(table, |table, (name, path)| {
        let serve = served(it, |it, request, cx| async move { it.tile(&request, &cx).await });
        let summary = "Hashes of the audit log's tree, or leaves where the level is `entries` (C2SP tlog-tiles)";
        let endpoint = Endpoint::new(name, summary, ScopeKind::Tenant, READ, serve);
        table.endpoint(Method::GET, path, endpoint.produces("application/octet-stream"))
    })
}
