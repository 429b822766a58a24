//! What is served in the forms of others: the export, and the log as C2SP tlog-tiles has it. Its entries are commitments, which
//! tell nothing of what they commit to.

use bytes::Bytes;
use http::{Request, Response, header};
use kernel::{Cx, Problem, context::Body};
use tlog::Tile;

use crate::{Audit, export::ExportOf, log::Logs, operator::LogName};

/// Where the tiles are.
pub(crate) const TILES: &str = "/v1/audit/tlog/tile/";

fn answer(media: &str, cache: &str, body: impl Into<Bytes>) -> Result<Response<Body>, Problem> {
    Response::builder()
        .header(header::CONTENT_TYPE, media)
        .header(header::CACHE_CONTROL, cache)
        .body(body.into().into())
        .map_err(Problem::internal)
}

impl Logs {
    async fn bundle_of(&self, cx: &Cx, tile: Tile) -> Result<Vec<u8>, Problem> {
        let low = tile.index * tlog::TILE;
        let entries = self.entries(cx, low, low + u64::from(tile.width)).await?;
        // Each entry with its length before it (C2SP tlog-tiles): a commitment has 32 bytes.
        Ok(entries.iter().flat_map(|(_, entry)| [&[0, 32], entry.commitment().as_slice()].concat()).collect())
    }
}

impl Audit {
    pub(crate) async fn export(&self, cx: Cx) -> Result<Response<Body>, Problem> {
        self.logs.export(cx.clone(), cx).await
    }

    pub(crate) async fn export_of(&self, request: &Request<Bytes>, cx: Cx) -> Result<Response<Body>, Problem> {
        let named = request.uri().path().split('/').nth(4).and_then(|log| log.parse::<LogName>().ok());
        let log = named.ok_or_else(|| Problem::not_found("log"))?;
        let granted = cx.authorize::<ExportOf>()?;
        let inside = self.inside(&granted, log).await?;
        self.logs.export(cx, inside).await
    }

    pub(crate) async fn plain_checkpoint(&self, cx: &Cx) -> Result<Response<Body>, Problem> {
        let edge = self.logs.edge(cx).await?;
        let note = self.logs.signed(cx.scope(), edge.size(), edge.root())?;
        answer("text/plain; charset=utf-8", "no-store", note.written())
    }

    pub(crate) async fn tile(&self, request: &Request<Bytes>, cx: &Cx) -> Result<Response<Body>, Problem> {
        let missing = || Problem::not_found("tile");
        let path = request.uri().path().strip_prefix(TILES).ok_or_else(missing)?;
        let (entries, tile) = Tile::parse(path).ok_or_else(missing)?;
        let size = self.logs.edge(cx).await?.size();
        let there = Tile::at(tile.level, tile.index, size).ok_or_else(missing)?;
        if tile.width > there.width {
            return Err(missing());
        }
        let bytes = if entries {
            self.logs.bundle_of(cx, tile).await?
        } else {
            self.logs.tile(cx, tile).await?.into_flattened()
        };
        answer("application/octet-stream", "private, max-age=31536000, immutable", bytes)
    }
}
