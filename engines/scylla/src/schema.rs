//! The tables, and why they are keyed as they are.

/// A core is one partition: what a commit guards and writes is static, so that one conditional batch does all, and one
/// `SELECT DISTINCT` reads all. Rows are its events (`e`) and the marks of its commit ids (`m`).
///
/// Everything but `cores`, `claims`, `leases` and `feed` is a projection of cores, written plainly with a timestamp that
/// grows with the core's version, so that slow and doubled writers converge. What is written conditionally is never
/// written plainly.
pub(crate) const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS cores (space text, kind text, id text, rt text, rk text, v blob, version bigint static,
       fence bigint static, deleted boolean static, body blob static, parts blob static, expires bigint static,
       incarnation bigint static, PRIMARY KEY ((space, kind, id), rt, rk))",
    "CREATE TABLE IF NOT EXISTS claims (space text, claim text, okind text, oid text, bv bigint, bf bigint,
       PRIMARY KEY ((space, claim)))",
    // By time slot, so that no partition gathers the tombstones of all markers there ever were.
    "CREATE TABLE IF NOT EXISTS dirty (slot bigint, h int, mid uuid, space text, kind text, id text, bv bigint,
       bf bigint, touched blob, at bigint, PRIMARY KEY ((slot, h), mid)) WITH gc_grace_seconds = 3600",
    "CREATE TABLE IF NOT EXISTS repaired (one int PRIMARY KEY, slot bigint)",
    "CREATE TABLE IF NOT EXISTS terms (space text, kind text, idx text, value text, sort text, id text,
       PRIMARY KEY ((space, kind, idx, value), sort, id))",
    "CREATE TABLE IF NOT EXISTS timers (part int, due bigint, space text, kind text, id text, name text,
       PRIMARY KEY ((part), due, space, kind, id, name))",
    "CREATE TABLE IF NOT EXISTS timers_of (space text, due bigint, kind text, id text, name text,
       PRIMARY KEY ((space), due, kind, id, name))",
    "CREATE TABLE IF NOT EXISTS waiting (part int, space text, kind text, id text, ts bigint,
       PRIMARY KEY ((part), space, kind, id)) WITH gc_grace_seconds = 3600",
    "CREATE TABLE IF NOT EXISTS changes (space text, kind text, id text, version bigint, ts bigint,
       PRIMARY KEY ((space), kind, id)) WITH gc_grace_seconds = 3600",
    "CREATE TABLE IF NOT EXISTS feed (space text, pos bigint, kind text, id text, version bigint, next bigint static,
       PRIMARY KEY ((space), pos))",
    "CREATE TABLE IF NOT EXISTS directory (space text, shard int, kind text, id text,
       PRIMARY KEY ((space, shard), kind, id))",
    "CREATE TABLE IF NOT EXISTS leases (part int PRIMARY KEY, holder text, epoch bigint, until bigint)",
];
