//! The log of one scope, as stored: where it ends, its entries, the hashes of its tree, proofs and checkpoints.

use std::fmt;

use data_encoding::HEXLOWER;
use futures::future::BoxFuture;
use kernel::{Cx, Problem, ProblemKind, Scope};
use store::{Page, Store};
use tlog::{Algorithm, Checkpoint, Edge, Hash, Note, Signer, Span, Subtree, TILE, Tile, Verifier};

use crate::bundle::{ALL, Bundle, Entry, Hashes, StoredTile, padded};

fn damaged(what: &'static str) -> Problem {
    Problem::internal(format!("the audit log is damaged: {what}"))
}

/// How a log ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub(crate) edge: Edge,
    /// Up to which position of the retained log all is in.
    pub(crate) reached: u64,
    /// The leaves after the last full tile.
    pub(crate) tail: Vec<Hash>,
}

/// What names an entry: where it is, and the id of its record, so that the index of one log names nothing in another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryId {
    pub(crate) index: u64,
    pub(crate) record: String,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.index, self.record)
    }
}

impl EntryId {
    /// From what it is written as.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (index, record) = text.split_once('-').filter(|_| text.len() <= 100)?;
        let it = Self { index: index.parse().ok().filter(|it| *it < u64::MAX >> 12)?, record: record.to_owned() };
        (it.to_string() == text).then_some(it)
    }
}

/// The logs of all scopes: which one is said by the context of the caller.
#[derive(Clone)]
pub(crate) struct Logs {
    pub(crate) store: Store,
}

impl Logs {
    /// The bundle in which an index is, or the last one before it.
    pub(crate) async fn bundle_at(&self, cx: &Cx, index: u64) -> Result<Option<Bundle>, Problem> {
        let page = Page { limit: 1, newest_first: true, after: None }.after_id(&padded(index.saturating_add(1)));
        let listed = self.store.at(cx).list::<Bundle>(ALL, "", &page).await?;
        Ok(listed.items.into_iter().next().map(store::Loaded::into_inner))
    }

    async fn last(&self, cx: &Cx) -> Result<Option<Bundle>, Problem> {
        self.bundle_at(cx, u64::MAX >> 12).await
    }

    /// The right edge of the tree as it is now.
    pub(crate) async fn edge(&self, cx: &Cx) -> Result<Edge, Problem> {
        match self.last(cx).await? {
            Some(last) => last.edge().ok_or_else(|| damaged("its edge")),
            None => Ok(Edge::default()),
        }
    }

    /// All that is needed to append.
    pub(crate) async fn head(&self, cx: &Cx) -> Result<Head, Problem> {
        let Some(last) = self.last(cx).await? else { return Ok(Head::default()) };
        let edge = last.edge().ok_or_else(|| damaged("its edge"))?;
        let tail = self.leaves(cx, edge.size() / TILE * TILE, edge.size()).await?;
        Ok(Head { edge, reached: last.reached, tail })
    }

    /// Entries from `low` to `high` (without), with the index of each; fewer where the log ends before.
    pub(crate) async fn entries(&self, cx: &Cx, low: u64, high: u64) -> Result<Vec<(u64, Entry)>, Problem> {
        let Some(first) = self.bundle_at(cx, low).await? else { return Ok(Vec::new()) };
        let mut page = Page { limit: 1, ..Page::default() }.after_id(&padded(first.first));
        let (mut found, mut bundles) = (Vec::new(), vec![first]);
        loop {
            for bundle in bundles {
                let numbered = (bundle.first..).zip(bundle.entries);
                found.extend(numbered.filter(|(index, _)| (low..high).contains(index)));
            }
            if found.len() as u64 >= high.saturating_sub(low) {
                return Ok(found);
            }
            let listed = self.store.at(cx).list::<Bundle>(ALL, "", &page).await?;
            bundles = listed.items.into_iter().map(store::Loaded::into_inner).collect();
            if bundles.is_empty() {
                return Ok(found);
            }
            // Bundles may be small or large: twice as many each time reads at most twice what is needed.
            page = Page { limit: (page.limit * 2).min(64), after: listed.next, ..page };
            if page.after.is_none() {
                page.after = bundles.last().and_then(|last| Page::default().after_id(&padded(last.first)).after);
            }
        }
    }

    async fn leaves(&self, cx: &Cx, low: u64, high: u64) -> Result<Vec<Hash>, Problem> {
        let entries = self.entries(cx, low, high).await?;
        let leaves: Vec<_> = entries.iter().map(|(_, entry)| entry.leaf()).collect();
        if leaves.len() as u64 == high.saturating_sub(low) { Ok(leaves) } else { Err(damaged("entries are missing")) }
    }

    /// The entry of an id, with its index.
    pub(crate) async fn find(&self, cx: &Cx, id: &EntryId) -> Result<Option<(u64, Entry)>, Problem> {
        let found = self.entries(cx, id.index, id.index.saturating_add(1)).await?;
        let is = |entry: &Entry| entry.read().is_ok_and(|record| record.id == id.record);
        Ok(found.into_iter().find(|(_, entry)| is(entry)))
    }

    /// The hashes of a tile: those that are stored, and those that are not yet, made from what is below.
    pub(crate) fn tile<'a>(&'a self, cx: &'a Cx, tile: Tile) -> BoxFuture<'a, Result<Vec<Hash>, Problem>> {
        Box::pin(async move {
            let stored = if tile.level > 0 || tile.is_full() {
                self.store.at(cx).try_load::<StoredTile>(&StoredTile::id_of(tile.level, tile.index)).await?
            } else {
                None
            };
            let mut hashes = stored.map(|it| it.into_inner().hashes.0).unwrap_or_default();
            let width = usize::from(tile.width);
            hashes.truncate(width);
            let begins = tile.index * TILE;
            if tile.level == 0 && hashes.len() < width {
                return self.leaves(cx, begins, begins + u64::from(tile.width)).await;
            }
            while hashes.len() < width {
                let below = Tile { level: tile.level - 1, index: begins + hashes.len() as u64, width: 256 };
                hashes.push(root_of(&self.tile(cx, below).await?));
            }
            Ok(hashes)
        })
    }

    /// Stores the tiles that a log of `size` entries has filled, and those above that grew by it, going up from the tile of
    /// the lowest level with this index. Doing it twice is doing it once.
    pub(crate) async fn keep_tiles(&self, cx: &Cx, index: u64, leaves: Vec<Hash>) -> Result<(), Problem> {
        let (mut level, mut index, mut hashes) = (0, index, leaves);
        loop {
            self.keep_tile(cx, level, index, &hashes).await?;
            if hashes.len() as u64 != TILE {
                return Ok(());
            }
            let width = u16::try_from(index % TILE + 1).unwrap_or(256);
            (level, index) = (level + 1, index / TILE);
            hashes = self.tile(cx, Tile { level, index, width }).await?;
        }
    }

    async fn keep_tile(&self, cx: &Cx, level: u8, index: u64, hashes: &[Hash]) -> Result<(), Problem> {
        let (store, id) = (self.store.at(cx), StoredTile::id_of(level, index));
        let kept = match store.try_load::<StoredTile>(&id).await? {
            Some(stored) if stored.hashes.0.len() >= hashes.len() => return Ok(()),
            Some(mut stored) => {
                stored.hashes = Hashes(hashes.to_vec());
                store.save(stored, ()).await
            }
            None => store.create(StoredTile { id, hashes: Hashes(hashes.to_vec()) }, ()).await,
        };
        match kept {
            // Someone else was faster, with the same hashes.
            Err(conflict) if conflict.kind() == ProblemKind::Conflict => Ok(()),
            kept => kept.map(drop),
        }
    }

    async fn subtree(&self, cx: &Cx, it: Subtree, size: u64) -> Result<Hash, Problem> {
        let (level, index, range) = tlog::in_tile(it);
        let tile = Tile::at(level, index, size).ok_or_else(|| damaged("a tile is missing"))?;
        let hashes = self.tile(cx, tile).await?;
        hashes.get(range).map(root_of).ok_or_else(|| damaged("a tile is too short"))
    }

    /// The hashes of a proof within a tree of `size` entries.
    pub(crate) async fn hashes(&self, cx: &Cx, proof: Vec<Span>, size: u64) -> Result<Vec<Hash>, Problem> {
        let mut hashes = Vec::with_capacity(proof.len());
        for span in proof {
            let mut roots = Vec::new();
            for it in span.subtrees() {
                roots.push(self.subtree(cx, it, size).await?);
            }
            hashes.push(tlog::fold(&roots));
        }
        Ok(hashes)
    }

    /// The root of the tree when it had `size` entries.
    pub(crate) async fn root(&self, cx: &Cx, size: u64) -> Result<Hash, Problem> {
        let hashes = self.hashes(cx, vec![Span { low: 0, high: size }], size).await?;
        hashes.first().copied().ok_or_else(|| damaged("it has no root"))
    }

    /// What a scope's log is called wherever it is named: by ids, which stay.
    pub(crate) fn origin(&self, scope: Scope) -> String {
        let installation = self.store.keys().derived("audit/installation");
        let installation: String = HEXLOWER.encode(&installation).chars().take(16).collect();
        format!("freehold/{installation}/{scope}")
    }

    /// The key of a scope's log: derived, so that it is the same after a restore, and for as long as the keyring is.
    fn signer(&self, scope: Scope) -> Result<Signer, Problem> {
        let seed = self.store.keys().derived(&format!("audit/log/{scope}"));
        Signer::new(&self.origin(scope), &seed).ok_or_else(|| damaged("it has no key"))
    }

    /// What verifies a scope's checkpoints.
    pub(crate) fn verifier(&self, scope: Scope) -> Result<Verifier, Problem> {
        Ok(self.signer(scope)?.verifier(Algorithm::Log))
    }

    /// The checkpoint of a tree, signed by the log.
    pub(crate) fn signed(&self, scope: Scope, size: u64, root: Hash) -> Result<Note, Problem> {
        let text = Checkpoint { origin: self.origin(scope), size, root }.text();
        Ok(Note { signatures: vec![self.signer(scope)?.sign(&text)], text })
    }
}

/// The root over as many hashes of one level as a complete subtree has.
fn root_of(hashes: impl AsRef<[Hash]>) -> Hash {
    let mut edge = Edge::default();
    for hash in hashes.as_ref() {
        edge.append(*hash);
    }
    edge.root()
}
