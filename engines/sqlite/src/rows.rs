//! The statements: what each verb of the port reads and writes.

use kernel::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use store::{
    Base, Change, ClaimKey, Commit, Core, CoreKey, DueTimer, Hit, Outcome, Parts, Scan, Space, StoreError, TimerKey,
    Write,
};

use crate::unavailable;

type Rows<T> = rusqlite::Result<T>;

fn stored<T>(outcome: Rows<T>) -> Result<T, StoreError> {
    outcome.map_err(|error| unavailable(&error))
}

fn instant(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}

fn key(space: &Space, row: &Row<'_>, kind: usize, id: usize) -> Rows<CoreKey> {
    Ok(CoreKey { space: space.clone(), kind: row.get(kind)?, id: row.get(id)? })
}

fn all<T>(
    db: &Connection,
    sql: &str,
    with: impl rusqlite::Params,
    map: impl FnMut(&Row<'_>) -> Rows<T>,
) -> Rows<Vec<T>> {
    db.prepare_cached(sql)?.query_map(with, map)?.collect()
}

pub(crate) fn base(db: &Connection, key: &CoreKey) -> Rows<Base> {
    let sql = "SELECT version, fence FROM cores WHERE space=? AND kind=? AND id=?";
    let found = db.prepare_cached(sql)?.query_row(params![key.space.as_str(), key.kind, key.id], |row| {
        Ok(Base { version: row.get(0)?, fence: row.get(1)? })
    });
    Ok(found.optional()?.unwrap_or_default())
}

const CORE: &str = "c.version, c.fence, c.body, c.expires, c.parts";

/// From the columns of [`CORE`], beginning at one.
fn core_of(row: &Row<'_>, at: usize) -> Rows<Core> {
    let base = Base { version: row.get(at)?, fence: row.get(at + 1)? };
    let stored = row.get_ref(at + 4)?.as_blob()?;
    let parts = Parts::decode(stored).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(at + 4, rusqlite::types::Type::Blob, Box::new(error))
    })?;
    let Parts { claims, terms, timers } = parts;
    let expires = row.get::<_, Option<i64>>(at + 3)?.map(instant);
    Ok(Core { base, body: row.get(at + 2)?, claims, terms, timers, expires })
}

pub(crate) fn core(db: &Connection, key: &CoreKey) -> Rows<Option<Core>> {
    let sql = "SELECT c.version, c.fence, c.body, c.expires, c.parts FROM cores c
               WHERE c.space=? AND c.kind=? AND c.id=? AND c.deleted=0";
    let with = params![key.space.as_str(), key.kind, key.id];
    db.prepare_cached(sql)?.query_row(with, |row| core_of(row, 0)).optional()
}

pub(crate) fn holder(db: &Connection, space: &Space, claim: &ClaimKey) -> Rows<Option<(CoreKey, Core)>> {
    let sql = "SELECT c.kind, c.id, c.version, c.fence, c.body, c.expires, c.parts FROM claims h
               JOIN cores c ON c.space=h.space AND c.kind=h.kind AND c.id=h.id
               WHERE h.space=? AND h.claim=? AND c.deleted=0";
    let found = db
        .prepare_cached(sql)?
        .query_row(params![space.as_str(), claim.0], |row| Ok((key(space, row, 0, 1)?, core_of(row, 2)?)));
    found.optional()
}

pub(crate) fn scan(db: &Connection, scan: &Scan) -> Rows<Vec<Hit>> {
    let (than, order) = if scan.newest_first { ("<", "DESC") } else { (">", "ASC") };
    let from =
        if scan.after.is_some() { format!("AND (t.sort, t.id) {than} (?5, ?6)") } else { "AND ?5 IS ?6".to_owned() };
    let sql = format!(
        "SELECT t.sort, t.id, {CORE} FROM terms t JOIN cores c ON c.space=t.space AND c.kind=t.kind AND c.id=t.id
         WHERE t.space=?1 AND t.kind=?2 AND t.idx=?3 AND t.value=?4 {from}
         ORDER BY t.sort {order}, t.id {order} LIMIT ?7"
    );
    let (sort, id) = scan.after.clone().unzip();
    let with = params![scan.space.as_str(), scan.kind, scan.index, scan.value, sort, id, scan.limit];
    all(db, &sql, with, |row| Ok(Hit { sort: row.get(0)?, id: row.get(1)?, core: core_of(row, 2)? }))
}

/// The lookups follow the core: what is new in its parts comes, what is no more in them goes, and most commits touch none.
fn derive(db: &Connection, key: &CoreKey, before: &Parts, now: &Parts) -> Rows<()> {
    let (space, kind, id) = (key.space.as_str(), &key.kind, &key.id);
    for claim in before.claims.iter().filter(|it| !now.claims.contains(it)) {
        let sql = "DELETE FROM claims WHERE space=? AND claim=? AND kind=? AND id=?";
        db.prepare_cached(sql)?.execute(params![space, claim.0, kind, id])?;
    }
    for term in before.terms.iter().filter(|it| !now.terms.contains(it)) {
        let sql = "DELETE FROM terms WHERE space=? AND kind=? AND idx=? AND value=? AND sort=? AND id=?";
        db.prepare_cached(sql)?.execute(params![space, kind, term.index, term.value, term.sort, id])?;
    }
    for timer in before.timers.iter().filter(|it| !now.timers.contains(it)) {
        let sql = "DELETE FROM timers WHERE space=? AND kind=? AND id=? AND name=?";
        db.prepare_cached(sql)?.execute(params![space, kind, id, timer.name])?;
    }
    for claim in now.claims.iter().filter(|it| !before.claims.contains(it)) {
        let sql = "INSERT OR REPLACE INTO claims (space, claim, kind, id) VALUES (?,?,?,?)";
        db.prepare_cached(sql)?.execute(params![space, claim.0, kind, id])?;
    }
    for term in now.terms.iter().filter(|it| !before.terms.contains(it)) {
        let sql = "INSERT OR REPLACE INTO terms (space, kind, idx, value, sort, id) VALUES (?,?,?,?,?,?)";
        db.prepare_cached(sql)?.execute(params![space, kind, term.index, term.value, term.sort, id])?;
    }
    for timer in now.timers.iter().filter(|it| !before.timers.contains(it)) {
        let sql = "INSERT OR REPLACE INTO timers (space, kind, id, name, due) VALUES (?,?,?,?,?)";
        db.prepare_cached(sql)?.execute(params![space, kind, id, timer.name, timer.due.as_microsecond()])?;
    }
    Ok(())
}

/// Refuses names that another core holds.
fn taken(db: &Connection, key: &CoreKey, before: &Parts, now: &Parts) -> Result<(), StoreError> {
    for claim in now.claims.iter().filter(|it| !before.claims.contains(it)) {
        let sql = "SELECT 1 FROM claims WHERE space=? AND claim=? AND NOT (kind=? AND id=?)";
        let with = params![key.space.as_str(), claim.0, key.kind, key.id];
        if stored(db.prepare_cached(sql).and_then(|mut it| it.exists(with)))? {
            return Err(StoreError::Taken(claim.clone()));
        }
    }
    Ok(())
}

/// What stands at a key: a core, or the tombstone of one.
struct Present {
    base: Base,
    parts: Vec<u8>,
}

fn present(db: &Connection, key: &CoreKey) -> Rows<Option<Present>> {
    let sql = "SELECT version, fence, parts FROM cores WHERE space=? AND kind=? AND id=?";
    let with = params![key.space.as_str(), key.kind, key.id];
    let row =
        |row: &Row<'_>| Ok(Present { base: Base { version: row.get(0)?, fence: row.get(1)? }, parts: row.get(2)? });
    db.prepare_cached(sql)?.query_row(with, row).optional()
}

/// What is to stand at a key; without a body it is a tombstone.
struct Next<'a> {
    base: Base,
    body: Option<&'a [u8]>,
    parts: Parts,
    expires: Option<Timestamp>,
}

/// Refuses before it writes anything, or writes all.
fn put(db: &Connection, key: &CoreKey, present: Option<&Present>, next: &Next<'_>) -> Result<(), StoreError> {
    let stored_parts = present.map_or(&[] as &[u8], |it| &it.parts);
    let parts = if next.body.is_some() { next.parts.encode()? } else { Vec::new() };
    if parts == stored_parts {
        return stored(put_core(db, key, present, next, &parts));
    }
    let before = Parts::decode(stored_parts)?;
    taken(db, key, &before, &next.parts)?;
    stored(put_core(db, key, present, next, &parts).and_then(|()| derive(db, key, &before, &next.parts)))
}

fn put_core(db: &Connection, key: &CoreKey, present: Option<&Present>, next: &Next<'_>, parts: &[u8]) -> Rows<()> {
    db.prepare_cached("UPDATE feed SET last = last + 1")?.execute([])?;
    let sql = if present.is_some() {
        "UPDATE cores SET version=?4, fence=?5, deleted=?6, body=?7, parts=?8, expires=?9,
           changed=(SELECT last FROM feed) WHERE space=?1 AND kind=?2 AND id=?3"
    } else {
        "INSERT INTO cores (space, kind, id, version, fence, deleted, body, parts, expires, changed)
         VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9, (SELECT last FROM feed))"
    };
    let (deleted, body) = (next.body.is_none(), next.body.unwrap_or_default());
    let (Base { version, fence }, expires) = (next.base, next.expires.map(Timestamp::as_microsecond));
    let with = params![key.space.as_str(), key.kind, key.id, version, fence, deleted, body, parts, expires];
    db.prepare_cached(sql)?.execute(with).map(drop)
}

/// How the events of a commit are told, in its transaction.
pub(crate) type Tell = fn(&Connection, &Commit) -> Rows<()>;

pub(crate) fn commit(db: &Connection, commit: &Commit, tell: Tell) -> Result<Outcome, StoreError> {
    let (key, of) = (&commit.key, params![commit.key.space.as_str(), commit.key.kind, commit.key.id, commit.id.bytes]);
    let sql = "SELECT 1 FROM marks WHERE space=? AND kind=? AND id=? AND commit_id=?";
    if stored(db.prepare_cached(sql).and_then(|mut it| it.exists(of)))? {
        return Ok(Outcome::Already);
    }
    let present = stored(present(db, key))?;
    let Base { version, fence } = present.as_ref().map_or_else(Base::default, |it| it.base);
    if (Base { version, fence }) != commit.base {
        return Err(StoreError::Conflict);
    }
    let base = Base { version: version + 1, fence };
    let next = match &commit.write {
        Write::Put { body, claims, terms, timers, expires } => {
            let parts = Parts { claims: claims.clone(), terms: terms.clone(), timers: timers.clone() };
            Next { base, body: Some(body), parts, expires: *expires }
        }
        Write::Delete => Next { base, body: None, parts: Parts::default(), expires: None },
    };
    put(db, key, present.as_ref(), &next)?;
    // The outcome of a commit here is never unknown to a living caller: a mark is only for repetitions that may come.
    if !commit.id.remember.is_zero() {
        let remember = i64::try_from(commit.id.remember.as_micros()).unwrap_or(i64::MAX);
        let until = commit.at.as_microsecond().saturating_add(remember);
        let sql = "INSERT INTO marks (space, kind, id, commit_id, until) VALUES (?,?,?,?,?)";
        let with = params![key.space.as_str(), key.kind, key.id, commit.id.bytes, until];
        stored(db.prepare_cached(sql).and_then(|mut it| it.execute(with)))?;
    }
    stored(tell(db, commit))?;
    Ok(Outcome::Done)
}

pub(crate) fn changes(db: &Connection, space: &Space, cursor: u64, limit: usize) -> Rows<Vec<Change>> {
    let sql = "SELECT changed, kind, id, version FROM cores WHERE space=? AND changed>? ORDER BY changed LIMIT ?";
    all(db, sql, params![space.as_str(), cursor, limit], |row| {
        Ok(Change { cursor: row.get(0)?, key: key(space, row, 1, 2)?, version: row.get(3)? })
    })
}

pub(crate) fn export(
    db: &Connection,
    space: &Space,
    after: Option<&CoreKey>,
    limit: usize,
) -> Rows<Vec<(CoreKey, Core)>> {
    let (kind, id) = after.map_or(("", ""), |key| (key.kind.as_str(), key.id.as_str()));
    let sql = format!(
        "SELECT c.kind, c.id, {CORE} FROM cores c
         WHERE c.space=? AND c.deleted=0 AND (c.kind, c.id) > (?, ?) ORDER BY c.kind, c.id LIMIT ?"
    );
    let with = params![space.as_str(), kind, id, limit];
    all(db, &sql, with, |row| Ok((key(space, row, 0, 1)?, core_of(row, 2)?)))
}

pub(crate) fn import(db: &Connection, key: &CoreKey, core: &Core) -> Result<(), StoreError> {
    let present = stored(present(db, key))?;
    if present.as_ref().is_some_and(|it| it.base > core.base) {
        return Err(StoreError::Conflict);
    }
    let next = Next { base: core.base, body: Some(&core.body), parts: Parts::of(core), expires: core.expires };
    put(db, key, present.as_ref(), &next)
}

pub(crate) fn erase(db: &Connection, space: &Space) -> Result<u64, StoreError> {
    for table in ["claims", "terms", "timers", "marks", "log"] {
        stored(db.execute(&format!("DELETE FROM {table} WHERE space=?"), [space.as_str()]))?;
    }
    stored(db.execute("DELETE FROM cores WHERE space=?", [space.as_str()])).map(|count| count as u64)
}

pub(crate) fn due(db: &Connection, space: Option<&Space>, now: Timestamp, limit: usize) -> Rows<Vec<DueTimer>> {
    let sql = if space.is_some() {
        "SELECT space, kind, id, name, due FROM timers WHERE space = ?1 AND due <= ?2 ORDER BY due, kind, id LIMIT ?3"
    } else {
        "SELECT space, kind, id, name, due FROM (SELECT *, row_number() OVER (PARTITION BY space ORDER BY due, kind, id)
           AS turn FROM timers WHERE ?1 IS NULL AND due <= ?2) ORDER BY turn, due, space, kind, id LIMIT ?3"
    };
    let with = params![space.map(Space::as_str), now.as_microsecond(), limit];
    let rows = all(db, sql, with, |row| {
        let timer = TimerKey { name: row.get(3)?, due: instant(row.get(4)?) };
        Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, timer))
    })?;
    let due = |(space, kind, id, timer): (String, _, _, _)| {
        Space::parse(&space).map(|space| DueTimer { key: CoreKey { space, kind, id }, timer })
    };
    Ok(rows.into_iter().filter_map(due).collect())
}

pub(crate) fn count(db: &Connection) -> Rows<u64> {
    db.query_row("SELECT count(*) FROM cores", [], |row| row.get(0))
}

/// When the first timer of all is due, and when the first core or mark ends, in microseconds.
pub(crate) fn first_due(db: &Connection) -> Rows<Option<i64>> {
    db.query_row("SELECT min(due) FROM timers", [], |row| row.get(0))
}

pub(crate) fn first_end(db: &Connection) -> Rows<Option<i64>> {
    let sql = "SELECT min(at) FROM (SELECT min(expires) AS at FROM cores WHERE expires IS NOT NULL
               UNION ALL SELECT min(until) FROM marks)";
    db.query_row(sql, [], |row| row.get(0))
}

pub(crate) fn sweep(db: &Connection, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
    let now = now.as_microsecond();
    stored(db.execute("DELETE FROM marks WHERE until < ?", [now]))?;
    let sql = "SELECT space, kind, id, parts FROM cores WHERE expires < ? LIMIT ?";
    let row = |row: &Row<'_>| Ok(([row.get::<_, String>(0)?, row.get(1)?, row.get(2)?], row.get::<_, Vec<u8>>(3)?));
    let ended = stored(all(db, sql, params![now, limit], row))?;
    for ([space, kind, id], parts) in &ended {
        let Some(of) = Space::parse(space) else { continue };
        let key = CoreKey { space: of, kind: kind.clone(), id: id.clone() };
        stored(derive(db, &key, &Parts::decode(parts)?, &Parts::default()))?;
        let sql = "DELETE FROM cores WHERE space=? AND kind=? AND id=?";
        stored(db.prepare_cached(sql).and_then(|mut it| it.execute(params![space, kind, id])))?;
    }
    Ok(ended.len() as u64)
}
