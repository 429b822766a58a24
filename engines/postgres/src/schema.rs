//! The tables. Nothing here or in the statements is PostgreSQL's alone: CockroachDB takes all but one word of it.

use store::StoreError;

use crate::{Client, unavailable};

/// Texts that are ordered are ordered by bytes on every server: PostgreSQL's default order follows the locale.
fn tables(text: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS cores (
           space {text} NOT NULL, kind {text} NOT NULL, id {text} NOT NULL, version BIGINT NOT NULL, fence BIGINT NOT NULL,
           deleted BOOLEAN NOT NULL, body BYTEA NOT NULL, parts BYTEA NOT NULL, expires BIGINT, changed BIGINT,
           PRIMARY KEY (space, kind, id));
         CREATE INDEX IF NOT EXISTS cores_feed ON cores (space, changed);
         CREATE INDEX IF NOT EXISTS cores_expires ON cores (expires) WHERE expires IS NOT NULL;
         CREATE TABLE IF NOT EXISTS feed (one INT PRIMARY KEY, last BIGINT NOT NULL);
         INSERT INTO feed (one, last) VALUES (1, 0) ON CONFLICT DO NOTHING;
         CREATE TABLE IF NOT EXISTS claims (space {text} NOT NULL, claim {text} NOT NULL, kind {text} NOT NULL,
           id {text} NOT NULL, PRIMARY KEY (space, claim));
         CREATE INDEX IF NOT EXISTS claims_of ON claims (space, kind, id);
         CREATE TABLE IF NOT EXISTS terms (space {text} NOT NULL, kind {text} NOT NULL, idx {text} NOT NULL,
           value {text} NOT NULL, sort {text} NOT NULL, id {text} NOT NULL,
           PRIMARY KEY (space, kind, idx, value, sort, id));
         CREATE INDEX IF NOT EXISTS terms_of ON terms (space, kind, id);
         CREATE TABLE IF NOT EXISTS timers (space {text} NOT NULL, kind {text} NOT NULL, id {text} NOT NULL,
           name {text} NOT NULL, due BIGINT NOT NULL, PRIMARY KEY (space, kind, id, name));
         CREATE INDEX IF NOT EXISTS timers_due ON timers (due);
         CREATE INDEX IF NOT EXISTS timers_space_due ON timers (space, due);
         CREATE TABLE IF NOT EXISTS marks (space {text} NOT NULL, kind {text} NOT NULL, id {text} NOT NULL,
           commit_id BYTEA NOT NULL, until BIGINT NOT NULL, PRIMARY KEY (space, kind, id, commit_id));
         CREATE INDEX IF NOT EXISTS marks_until ON marks (until);
         CREATE TABLE IF NOT EXISTS outbox (part INT NOT NULL, space {text} NOT NULL, kind {text} NOT NULL,
           id {text} NOT NULL, version BIGINT NOT NULL, place INT NOT NULL, envelope BYTEA NOT NULL,
           PRIMARY KEY (part, space, kind, id, version, place));
         CREATE INDEX IF NOT EXISTS outbox_space ON outbox (space);
         CREATE TABLE IF NOT EXISTS leases (part INT PRIMARY KEY, holder TEXT NOT NULL, epoch BIGINT NOT NULL,
           until TIMESTAMPTZ NOT NULL);
         CREATE TABLE IF NOT EXISTS log (position BIGINT PRIMARY KEY, id {text} NOT NULL UNIQUE, space {text} NOT NULL,
           at BIGINT NOT NULL, envelope BYTEA NOT NULL);
         CREATE INDEX IF NOT EXISTS log_space ON log (space, position);
         CREATE TABLE IF NOT EXISTS log_head (one INT PRIMARY KEY, last BIGINT NOT NULL);
         INSERT INTO log_head (one, last) VALUES (1, 0) ON CONFLICT DO NOTHING;
         CREATE TABLE IF NOT EXISTS readers (reader {text} PRIMARY KEY, position BIGINT NOT NULL);
         CREATE TABLE IF NOT EXISTS buried (reader {text} NOT NULL, position BIGINT NOT NULL, reason TEXT NOT NULL,
           at BIGINT NOT NULL, PRIMARY KEY (reader, position));
         CREATE TABLE IF NOT EXISTS gone (space {text} PRIMARY KEY);
         CREATE TABLE IF NOT EXISTS belongs (one INT PRIMARY KEY, mark BYTEA NOT NULL)"
    )
}

/// Creates what is missing. The catalogue refuses one of two that create at once; that one tries again.
pub(crate) async fn create(client: &Client) -> Result<(), StoreError> {
    let version: String = client.query_one("SELECT version()", &[]).await.map_err(unavailable)?.get(0);
    // CockroachDB orders by bytes and knows no collation of that name.
    let text = if version.contains("CockroachDB") { "TEXT" } else { "TEXT COLLATE \"C\"" };
    let mut created = client.batch_execute(&tables(text)).await;
    for _ in 0..3 {
        if created.is_ok() {
            break;
        }
        created = client.batch_execute(&tables(text)).await;
    }
    created.map_err(unavailable)
}
