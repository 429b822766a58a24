//! The common file, and the files of scopes that have one of their own: each scope's commits and questions go to where
//! its cores are. A broken file of a scope harms that scope alone.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rusqlite::Connection;
use store::{Space, StoreError};
use tokio::sync::{Notify, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit, Semaphore};

use crate::{
    SqliteEngine,
    home::{self, Home, Opened, Standing},
    known::NEVER,
    outbox, placement,
    placement::State,
    relayed::Leases,
    rows,
};

/// The common file, in the folder of the data.
pub const STORE: &str = "store.sqlite";
/// The folder of the files that belong to one scope each.
pub const HOMES: &str = "tenants";

/// How many files of scopes are open at once. Each has a writer, and up to two connections that read.
const OPEN: usize = 64;
/// All files of an installation, as one engine of the store.
pub struct Shards {
    pub(crate) common: Arc<SqliteEngine>,
    folder: PathBuf,
    homes: RwLock<HashMap<Space, Arc<Home>>>,
    room: Arc<Semaphore>,
    opened: Mutex<Vec<Arc<Home>>>,
    ticks: AtomicU64,
    relay: Arc<Notify>,
    pub(crate) leases: Leases,
    pub(crate) turn: AtomicUsize,
}

/// Where the cores of a scope are.
pub(crate) enum Place {
    Common(Arc<SqliteEngine>),
    Own(OwnedRwLockReadGuard<Standing, Opened>),
    /// It was erased.
    Gone,
}

impl Place {
    pub(crate) fn engine(&self) -> Option<&SqliteEngine> {
        match self {
            Self::Common(engine) => Some(engine),
            Self::Own(opened) => Some(&opened.engine),
            Self::Gone => None,
        }
    }
}

impl Shards {
    /// Opens or creates the common file in the folder of the data, and learns which scopes have files of their own.
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        Self::bounded(data, OPEN)
    }

    fn bounded(data: &Path, most: usize) -> Result<Self, StoreError> {
        let folder = data.join(HOMES);
        let common = Arc::new(SqliteEngine::open(&data.join(STORE))?);
        let (relay, known) = (Arc::new(Notify::new()), common.reads.one(placement::all)?);
        let home = |(space, placement): (Space, _)| (space.clone(), Arc::new(Home::new(space, placement, &relay)));
        let homes = RwLock::new(known.into_iter().map(home).collect());
        Ok(Self {
            common,
            folder,
            homes,
            room: Arc::new(Semaphore::new(most)),
            opened: Mutex::default(),
            ticks: AtomicU64::default(),
            relay,
            leases: Leases::default(),
            turn: AtomicUsize::default(),
        })
    }

    /// The common file, with the log.
    pub fn log(&self) -> Arc<SqliteEngine> {
        Arc::clone(&self.common)
    }

    /// Wakes the relay when events wait in a file without a log.
    pub fn waiting(&self) -> Arc<Notify> {
        Arc::clone(&self.relay)
    }

    /// Gives a scope a file of its own. Durable when this returns; nothing may be stored for the scope before. Repeatable.
    pub async fn dedicate(&self, space: &Space) -> Result<(), StoreError> {
        let planned = space.clone();
        let placement = self.common.writer.run(space.as_str(), move |db| placement::plan(db, &planned)).await?;
        let mut homes = self.homes.write().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(Home::new(space.clone(), placement, &self.relay));
        homes.entry(space.clone()).or_insert_with(fresh);
        Ok(())
    }

    /// Takes back what [`Shards::dedicate`] prepared for a scope that came to nothing. What holds something stays.
    pub async fn withdraw(&self, space: &Space) -> Result<(), StoreError> {
        let Some(home) = self.home(space) else { return Ok(()) };
        // Nobody makes the file meanwhile.
        let _standing = Arc::clone(&home.standing).write_owned().await;
        let planned = space.clone();
        if self.common.writer.run(space.as_str(), move |db| placement::withdraw(db, &planned)).await? {
            self.homes.write().unwrap_or_else(PoisonError::into_inner).remove(space);
        }
        Ok(())
    }

    /// Removes the file of a scope for good: nothing is stored for the scope any more. Where it has none, nothing is
    /// done. Repeatable; a crash leaves at most files that the next call removes.
    pub async fn close(&self, space: &Space) -> Result<(), StoreError> {
        match self.home(space) {
            Some(home) => self.end(&home, State::Gone).await.map(drop),
            None => Ok(()),
        }
    }

    /// First nobody believes the files any more, then they go.
    pub(crate) async fn end(&self, home: &Arc<Home>, next: State) -> Result<u64, StoreError> {
        let (mut standing, of) = (Arc::clone(&home.standing).write_owned().await, home.space.clone());
        let count = match &standing.opened {
            Some(opened) => opened.engine.reads.many(rows::count).await.unwrap_or(0),
            None => 0,
        };
        let ended = self.common.writer.run(home.space.as_str(), move |db| placement::end(db, &of, next)).await?;
        self.shut(home, &mut standing).await;
        if let Some(placement) = ended {
            standing.placement = placement;
        }
        home.known.clear();
        let (folder, space) = (self.folder.clone(), home.space.clone());
        let removed = tokio::task::spawn_blocking(move || home::remove(&folder, &space)).await;
        removed.map_err(|error| StoreError::Unavailable(error.to_string()))??;
        Ok(count)
    }

    pub(crate) fn home(&self, space: &Space) -> Option<Arc<Home>> {
        self.homes.read().unwrap_or_else(PoisonError::into_inner).get(space).cloned()
    }

    /// The homes of which something holds, as far as it is known without opening them.
    pub(crate) fn homes(&self, holds: impl Fn(&Home) -> bool) -> Vec<Arc<Home>> {
        let homes = self.homes.read().unwrap_or_else(PoisonError::into_inner);
        homes.values().filter(|home| holds(home) && home.trouble().is_none()).cloned().collect()
    }

    pub(crate) async fn at(&self, space: &Space) -> Result<Place, StoreError> {
        match self.home(space) {
            Some(home) => self.enter(&home).await,
            None => Ok(Place::Common(Arc::clone(&self.common))),
        }
    }

    /// The file of a scope, opened where it is not.
    pub(crate) async fn enter(&self, home: &Arc<Home>) -> Result<Place, StoreError> {
        home.used.store(self.ticks.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let standing = Arc::clone(&home.standing).read_owned().await;
        if standing.placement.state == State::Gone {
            return Ok(Place::Gone);
        }
        if let Ok(opened) = OwnedRwLockReadGuard::try_map(standing, |it| it.opened.as_ref()) {
            return Ok(Place::Own(opened));
        }
        if let Some(trouble) = home.trouble() {
            return Err(trouble);
        }
        let room = self.room().await?;
        let mut standing = Arc::clone(&home.standing).write_owned().await;
        if standing.placement.state == State::Gone {
            return Ok(Place::Gone);
        }
        if standing.opened.is_none() {
            standing.opened =
                Some(self.open_home(home, &mut standing, room).await.inspect_err(|error| home.troubled(error))?);
            home.open.store(true, Ordering::Relaxed);
            self.opened().push(Arc::clone(home));
        }
        let opened = OwnedRwLockReadGuard::try_map(standing.downgrade(), |it| it.opened.as_ref());
        opened.map(Place::Own).map_err(|_| StoreError::Unavailable("the file was closed".to_owned()))
    }

    async fn open_home(
        &self,
        home: &Home,
        standing: &mut OwnedRwLockWriteGuard<Standing>,
        room: OwnedSemaphorePermit,
    ) -> Result<Opened, StoreError> {
        let placement = standing.placement;
        let opened = home.engine(&self.folder, placement, room).await?;
        if placement.state == State::Planned {
            let (space, epoch) = (home.space.clone(), placement.epoch);
            let made = move |db: &Connection| placement::made(db, &space, epoch);
            self.common.writer.run(home.space.as_str(), made).await?;
            standing.placement.state = State::Made;
        }
        if !home.known.looked() {
            let learnt = |db: &Connection| Ok((rows::first_due(db)?, rows::first_end(db)?, outbox::waiting(db)?));
            let (due, ends, waiting) = opened.engine.reads.many(learnt).await?;
            home.known.learn(due.unwrap_or(NEVER), ends.unwrap_or(NEVER), waiting);
        }
        Ok(opened)
    }

    fn opened(&self) -> MutexGuard<'_, Vec<Arc<Home>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place among the files that may be open: where there is none, the one that was not used for longest is closed.
    async fn room(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        loop {
            if let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
                return Ok(room);
            }
            let longest = self.opened().iter().min_by_key(|home| home.used.load(Ordering::Relaxed)).cloned();
            match longest {
                Some(home) => {
                    let mut standing = Arc::clone(&home.standing).write_owned().await;
                    self.shut(&home, &mut standing).await;
                }
                // All are being opened at this moment.
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    async fn shut(&self, home: &Arc<Home>, standing: &mut Standing) {
        let Some(opened) = standing.opened.take() else { return };
        home.open.store(false, Ordering::Relaxed);
        self.opened().retain(|it| !Arc::ptr_eq(it, home));
        opened.close().await;
    }
}
