//! Where a scope's cores are: a row of the common file for each scope that has a file of its own. It is there before the
//! scope's first core, and stays when the scope is erased, so that nothing that comes late gets into the common file.

use rusqlite::{Connection, OptionalExtension};
use store::{Space, StoreError};

use crate::unavailable;

pub(crate) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS homes (space TEXT PRIMARY KEY, epoch INTEGER NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;";

/// How far a file of its own has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is made when something is first asked of it.
    Planned,
    /// It is there. A missing one is lost, and not made again.
    Made,
    /// The scope was erased; nothing is stored for it any more.
    Gone,
}

impl State {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Made => "made",
            Self::Gone => "gone",
        }
    }
}

/// A file of its own: which life of the scope it is for, and how far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) epoch: u64,
    pub(crate) state: State,
}

/// The name of a scope's file in the folder of such files. No two lives share one.
pub(crate) fn file_name(space: &Space, epoch: u64) -> String {
    format!("{}.{epoch}.sqlite", space.as_str())
}

fn stored<T>(outcome: rusqlite::Result<T>) -> Result<T, StoreError> {
    outcome.map_err(|error| unavailable(&error))
}

fn placement(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Placement> {
    let state = match row.get_ref(at + 1)?.as_str()? {
        "planned" => State::Planned,
        "made" => State::Made,
        _ => State::Gone,
    };
    Ok(Placement { epoch: row.get(at)?, state })
}

pub(crate) fn of(db: &Connection, space: &Space) -> rusqlite::Result<Option<Placement>> {
    let mut select = db.prepare_cached("SELECT epoch, state FROM homes WHERE space=?")?;
    select.query_row([space.as_str()], |row| placement(row, 0)).optional()
}

/// All scopes that have, or had, a file of their own.
pub(crate) fn all(db: &Connection) -> rusqlite::Result<Vec<(Space, Placement)>> {
    let mut select = db.prepare("SELECT space, epoch, state FROM homes ORDER BY space")?;
    let rows = select.query_map([], |row| Ok((row.get::<_, String>(0)?, placement(row, 1)?)))?;
    let known = |row: rusqlite::Result<(String, Placement)>| {
        row.map(|(space, placement)| Space::parse(&space).map(|space| (space, placement))).transpose()
    };
    rows.filter_map(known).collect()
}

/// Refuses what belongs into another file.
pub(crate) fn here(db: &Connection, space: &Space) -> Result<(), StoreError> {
    match stored(of(db, space))? {
        None => Ok(()),
        Some(Placement { state: State::Gone, .. }) => Err(StoreError::Conflict),
        Some(_) => Err(StoreError::Unavailable("the scope has a file of its own".to_owned())),
    }
}

/// Gives a scope that holds nothing yet a file of its own.
pub(crate) fn plan(db: &Connection, space: &Space) -> Result<Placement, StoreError> {
    if let Some(known) = stored(of(db, space))? {
        return if known.state == State::Gone { Err(StoreError::Conflict) } else { Ok(known) };
    }
    let mut cores = stored(db.prepare_cached("SELECT 1 FROM cores WHERE space=?"))?;
    if stored(cores.exists([space.as_str()]))? {
        return Err(StoreError::Invalid("the scope has cores in the common file".to_owned()));
    }
    stored(db.execute("INSERT INTO homes (space, epoch, state) VALUES (?, 1, 'planned')", [space.as_str()]))?;
    Ok(Placement { epoch: 1, state: State::Planned })
}

/// The file is there. Before anything is stored in it.
pub(crate) fn made(db: &Connection, space: &Space, epoch: u64) -> Result<(), StoreError> {
    let sql = "UPDATE homes SET state='made' WHERE space=? AND epoch=? AND state<>'gone'";
    match stored(db.execute(sql, rusqlite::params![space.as_str(), epoch]))? {
        0 => Err(StoreError::Conflict),
        _ => Ok(()),
    }
}

/// All in the file is done with: what is stored from now on belongs to another life of the scope, or there is none.
pub(crate) fn end(db: &Connection, space: &Space, next: State) -> Result<Option<Placement>, StoreError> {
    let sql = "UPDATE homes SET epoch = epoch + 1, state = ? WHERE space=? AND state<>'gone'";
    stored(db.execute(sql, [next.name(), space.as_str()]))?;
    stored(of(db, space))
}

/// Takes a plan back of which nothing was made. Whether there was one.
pub(crate) fn withdraw(db: &Connection, space: &Space) -> Result<bool, StoreError> {
    let sql = "DELETE FROM homes WHERE space=? AND epoch=1 AND state='planned'";
    stored(db.execute(sql, [space.as_str()])).map(|count| count > 0)
}
