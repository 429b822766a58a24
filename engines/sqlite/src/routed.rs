//! Each verb of the ports, at the file where the scope is; upkeep, over all files.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use kernel::Timestamp;
use rusqlite::Connection;
use store::{
    Base, Change, ClaimKey, Commit, Core, CoreKey, DueTimer, Engine, Hit, Outcome, Scan, Space, StoreError, Upkeep,
    port::in_turns,
};

use crate::{home::Home, known::NEVER, placement::State, rows, shards::Shards, unavailable};

/// How many files are looked into side by side, and how many in one turn after a start.
const LANES: usize = 8;
const LOOKS: usize = 64;
/// A file that is closed is opened only for what ended longer ago.
const ENDED: Duration = Duration::from_hours(1);

#[async_trait]
impl Engine for Shards {
    async fn get(&self, key: &CoreKey) -> Result<Option<Core>, StoreError> {
        match self.at(&key.space).await?.engine() {
            Some(engine) => engine.get(key).await,
            None => Ok(None),
        }
    }

    async fn base(&self, key: &CoreKey) -> Result<Base, StoreError> {
        match self.at(&key.space).await?.engine() {
            Some(engine) => engine.base(key).await,
            None => Ok(Base::default()),
        }
    }

    async fn find(&self, space: &Space, claim: &ClaimKey) -> Result<Option<(CoreKey, Core)>, StoreError> {
        match self.at(space).await?.engine() {
            Some(engine) => engine.find(space, claim).await,
            None => Ok(None),
        }
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Hit>, StoreError> {
        match self.at(&scan.space).await?.engine() {
            Some(engine) => engine.scan(scan).await,
            None => Ok(Vec::new()),
        }
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        match self.at(&commit.key.space).await?.engine() {
            Some(engine) => engine.commit(commit).await,
            None => Err(StoreError::Conflict),
        }
    }

    async fn changed_since(&self, space: &Space, cursor: u64, limit: usize) -> Result<Vec<Change>, StoreError> {
        match self.at(space).await?.engine() {
            Some(engine) => engine.changed_since(space, cursor, limit).await,
            None => Ok(Vec::new()),
        }
    }

    async fn export(
        &self,
        space: &Space,
        after: Option<&CoreKey>,
        limit: usize,
    ) -> Result<Vec<(CoreKey, Core)>, StoreError> {
        match self.at(space).await?.engine() {
            Some(engine) => engine.export(space, after, limit).await,
            None => Ok(Vec::new()),
        }
    }

    async fn import(&self, key: &CoreKey, core: Core) -> Result<(), StoreError> {
        match self.at(&key.space).await?.engine() {
            Some(engine) => engine.import(key, core).await,
            None => Err(StoreError::Conflict),
        }
    }

    /// A file of its own is removed, whatever is wrong with it; the scope can begin another one.
    async fn erase(&self, space: &Space) -> Result<u64, StoreError> {
        match self.home(space) {
            Some(home) => {
                // To count what goes. One that cannot be opened goes all the same.
                drop(self.enter(&home).await);
                self.end(&home, State::Planned).await
            }
            None => self.common.erase(space).await,
        }
    }
}

impl Shards {
    /// The timers of one home that are due. A home that cannot be read has none for the moment.
    async fn due_of(&self, home: Arc<Home>, now: Timestamp, limit: usize) -> Vec<DueTimer> {
        let read = async {
            let place = self.enter(&home).await?;
            let Some(engine) = place.engine() else { return Ok(Vec::new()) };
            home.known.forget_due();
            let space = home.space.clone();
            let query = move |db: &Connection| Ok((rows::due(db, Some(&space), now, limit)?, rows::first_due(db)?));
            let (due, first) = engine.reads.many(query).await.inspect_err(|_| home.known.due_at(i64::MIN))?;
            home.known.due_at(first.unwrap_or(NEVER));
            Ok(due)
        };
        match read.await {
            Ok(due) => due,
            Err::<_, StoreError>(error) => {
                if home.trouble().is_none() {
                    home.troubled(&error);
                }
                Vec::new()
            }
        }
    }

    async fn sweep_of(&self, home: Arc<Home>, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let place = self.enter(&home).await?;
        let Some(engine) = place.engine() else { return Ok(0) };
        home.known.forget_ends();
        let sweep = move |db: &Connection| {
            let swept = rows::sweep(db, now, limit)?;
            Ok((swept, rows::first_end(db).map_err(|error| unavailable(&error))?))
        };
        let swept = engine.writer.run("sweep", sweep).await;
        let (count, first) = swept.inspect_err(|_| home.known.ends_at(i64::MIN))?;
        home.known.ends_at(first.unwrap_or(NEVER));
        Ok(count)
    }
}

#[async_trait]
impl Upkeep for Shards {
    async fn due(&self, space: Option<&Space>, now: Timestamp, limit: usize) -> Result<Vec<DueTimer>, StoreError> {
        if let Some(space) = space {
            return match self.at(space).await?.engine() {
                Some(engine) => engine.due(Some(space), now, limit).await,
                None => Ok(Vec::new()),
            };
        }
        let mut due = self.common.due(None, now, limit).await?;
        let mut homes = self.homes(|home| home.known.looked() && home.known.due() <= now.as_microsecond());
        homes.sort_by_key(|home| home.known.due());
        homes.truncate(limit);
        homes.extend(self.homes(|home| !home.known.looked()).into_iter().take(LOOKS));
        if homes.is_empty() {
            return Ok(due);
        }
        let looks = stream::iter(homes).map(|home| self.due_of(home, now, limit)).buffer_unordered(LANES);
        due.extend(looks.collect::<Vec<_>>().await.into_iter().flatten());
        Ok(in_turns(due, limit))
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let mut swept = self.common.sweep(now, limit).await?;
        let long_ago = now.checked_sub(ENDED).unwrap_or(Timestamp::MIN).as_microsecond();
        let ended = |home: &Home| {
            let before = if home.open.load(Ordering::Relaxed) { now.as_microsecond() } else { long_ago };
            home.known.looked() && home.known.ends() < before
        };
        let homes = self.homes(ended).into_iter().take(LOOKS);
        let sweeps = stream::iter(homes).map(|home| async move {
            let swept = self.sweep_of(Arc::clone(&home), now, limit).await;
            swept.inspect_err(|error| home.troubled(error)).unwrap_or(0)
        });
        swept += sweeps.buffer_unordered(LANES).collect::<Vec<_>>().await.iter().sum::<u64>();
        Ok(swept)
    }

    /// Commits are transactions: nothing is left half done.
    async fn repair(&self, _now: Timestamp, _grace: Duration) -> Result<u64, StoreError> {
        Ok(0)
    }
}
