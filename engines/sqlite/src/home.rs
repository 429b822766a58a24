//! The file of one scope: opened when something is asked of it, closed when others need the room, removed with its scope.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use store::{Space, StoreError};
use tokio::sync::{Notify, OwnedSemaphorePermit, RwLock};

use crate::{
    SqliteEngine, Telling,
    known::Known,
    outbox, placement,
    placement::{Placement, State},
    schema::{self, Cache},
    unavailable,
};

/// How many reads of many rows run at once in one such file.
const READERS: u32 = 2;
/// A file that could not be opened is left alone for so long.
const REST: Duration = Duration::from_secs(5);

/// A file that is open, and its place among those that may be.
pub(crate) struct Opened {
    pub(crate) engine: SqliteEngine,
    _room: OwnedSemaphorePermit,
}

pub(crate) struct Standing {
    pub(crate) placement: Placement,
    pub(crate) opened: Option<Opened>,
}

pub(crate) struct Home {
    pub(crate) space: Space,
    pub(crate) known: Arc<Known>,
    /// Whoever works in the file holds it for reading; whoever opens, closes or removes the file, for writing.
    pub(crate) standing: Arc<RwLock<Standing>>,
    pub(crate) open: AtomicBool,
    pub(crate) used: AtomicU64,
    /// Read through once; later openings trust it.
    sound: AtomicBool,
    trouble: Mutex<Option<(Instant, StoreError)>>,
}

/// The same error for the next who asks.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(what) => StoreError::Corrupt(what.clone()),
        StoreError::Full(what) => StoreError::Full(what.clone()),
        other => StoreError::Unavailable(other.to_string()),
    }
}

impl Home {
    pub(crate) fn new(space: Space, placement: Placement, relay: &Arc<Notify>) -> Self {
        let known = Arc::new(Known::of(placement.state != State::Made, relay));
        let standing = Arc::new(RwLock::new(Standing { placement, opened: None }));
        Self {
            space,
            known,
            standing,
            open: AtomicBool::default(),
            used: AtomicU64::default(),
            sound: AtomicBool::default(),
            trouble: Mutex::default(),
        }
    }

    /// What kept it from being used a moment ago; others are not held up by it.
    pub(crate) fn trouble(&self) -> Option<StoreError> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().filter(|(until, _)| *until > Instant::now()).map(|(_, error)| again(error))
    }

    /// Remembers what went wrong, and tells it once in the log.
    pub(crate) fn troubled(&self, error: &StoreError) {
        tracing::error!(scope = self.space.as_str(), %error, "the file of this scope cannot be used; others can");
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now() + REST, again(error)));
    }

    /// Opens the file; one that was planned is made. Off the runtime's threads.
    pub(crate) async fn engine(
        &self,
        folder: &Path,
        placement: Placement,
        room: OwnedSemaphorePermit,
    ) -> Result<Opened, StoreError> {
        let file = folder.join(placement::file_name(&self.space, placement.epoch));
        let (space, known) = (self.space.clone(), Arc::clone(&self.known));
        let sound = self.sound.load(Ordering::Relaxed);
        let open = move || open(&file, &space, placement, known, sound);
        let engine = tokio::task::spawn_blocking(open).await;
        let engine = engine.map_err(|error| StoreError::Unavailable(error.to_string()))??;
        self.sound.store(true, Ordering::Relaxed);
        Ok(Opened { engine, _room: room })
    }
}

fn open(
    file: &Path,
    space: &Space,
    Placement { epoch, state }: Placement,
    known: Arc<Known>,
    sound: bool,
) -> Result<SqliteEngine, StoreError> {
    let failed = |error: rusqlite::Error| unavailable(&error);
    if state == State::Made && !file.exists() {
        return Err(StoreError::Corrupt(format!("{} is missing", file.display())));
    }
    if state == State::Planned {
        room_for(file)?;
    }
    if !sound {
        schema::sound(file)?;
    }
    let db = schema::open(file, Cache::Small).map_err(failed)?;
    schema::versioned(&db)?;
    schema::create(&db).map_err(failed)?;
    db.execute_batch(outbox::TABLES).map_err(failed)?;
    if !outbox::belongs(&db, space, epoch).map_err(failed)? {
        return Err(StoreError::Corrupt(format!("{} is the file of another scope or time", file.display())));
    }
    if state == State::Planned {
        synced(file.parent().unwrap_or(Path::new(".")))?;
    }
    SqliteEngine::of(file, db, (READERS, Cache::Small), Telling::Outbox(known))
}

fn failed(at: &Path) -> impl Fn(std::io::Error) -> StoreError + '_ {
    |error| match error.kind() {
        ErrorKind::StorageFull => StoreError::Full(format!("{}: {error}", at.display())),
        _ => StoreError::Unavailable(format!("{}: {error}", at.display())),
    }
}

/// What is entered in a folder is on the disk.
fn synced(folder: &Path) -> Result<(), StoreError> {
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))
}

/// The folder of a file, for its owner alone, and itself on the disk.
fn room_for(file: &Path) -> Result<(), StoreError> {
    let folder = file.parent().unwrap_or(Path::new("."));
    if !folder.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        synced(folder.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

impl Opened {
    /// Waits for the last reads and writes, and closes the file.
    pub(crate) async fn close(self) {
        self.engine.reads.settled().await;
        // The writer is waited for, and the write-ahead log goes into the file.
        drop(tokio::task::spawn_blocking(move || drop(self)).await);
    }
}

/// Removes all files of all lives of a scope. Repeatable; whatever a crash leaves, the next call removes.
pub(crate) fn remove(folder: &Path, space: &Space) -> Result<(), StoreError> {
    if !folder.exists() {
        return Ok(());
    }
    let own = format!("{}.", space.as_str());
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let entry = entry.map_err(failed(folder))?;
        if entry.file_name().to_string_lossy().starts_with(&own) {
            files.push(entry.path());
        }
    }
    // The write-ahead log before its file: without the one the other is read as it stood, never the other way round.
    files.sort_by_key(|file| std::cmp::Reverse(file.as_os_str().len()));
    for file in files {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(&file)(error)),
            _ => {}
        }
    }
    synced(folder)
}
