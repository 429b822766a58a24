//! What the platform stands on, and the embedded parts that it stands on in one process.

use std::{fs::File, sync::Arc};

use anyhow::{Context as _, Result};
use columnar::ColumnarFacts;
use events::Log;
use facts::Facts;
use identity::Hashing;
use kernel::cx::Ambient;
use keys::{Keyring, Keys};
use notifications::Carrier;
use sqlite::{SqliteEngine, SqliteKeys};
use store::{Engine, Outbox, StoreError, Upkeep};
use tokio::sync::Notify;

use crate::{config::Config, domains::Challenger, failure::Failure, mail};

/// How events come from commits into the log.
pub enum Queue {
    /// A commit appends them to the log itself.
    InTheCommit,
    /// They wait in an outbox, from which they are moved.
    Outbox(Arc<dyn Outbox>),
}

/// All that the platform stands on: whatever keeps something, and whatever reaches the world outside.
pub struct Parts {
    /// Clock and randomness.
    pub ambient: Ambient,
    /// Seals.
    pub keys: Keys,
    /// Keeps aggregates.
    pub engine: Arc<dyn Engine>,
    /// Keeps the engine in order, and tells which timers are due.
    pub upkeep: Arc<dyn Upkeep>,
    /// How events leave the engine.
    pub queue: Queue,
    /// Keeps events.
    pub log: Arc<dyn Log>,
    /// Wakes the readers of the log.
    pub appended: Arc<Notify>,
    /// Keeps facts.
    pub facts: Arc<dyn Facts>,
    /// Carries mail.
    pub mail: Arc<dyn Carrier>,
    /// Looks whether a tenant controls a domain.
    pub control: Arc<dyn tenants::Control>,
    /// How passwords are hashed.
    pub hashing: Hashing,
}

pub(crate) fn lock(config: &Config) -> Result<File> {
    let folder = config.data.display();
    std::fs::create_dir_all(&config.data).with_context(|| format!("cannot create the data folder {folder}"))?;
    let file = File::create(config.data.join("lock")).with_context(|| format!("cannot write to {folder}"))?;
    if file.try_lock().is_err() {
        return Err(anyhow::Error::new(Failure::InUse)
            .context(format!("another process uses {folder}: stop it, or choose another folder with --data")));
    }
    Ok(file)
}

impl Parts {
    /// The embedded parts, in the data folder. Whoever has the file keeps it: no second process opens the same data.
    pub(crate) fn embedded(config: &Config) -> Result<(Self, File)> {
        let lock = lock(config)?;
        let ambient = Ambient::system();
        let file = config.data.join("keyring");
        let keyring = Keyring::open(&file, ambient.entropy.as_ref()).map_err(|error| {
            let what = format!("{}: {error}; put back the file from the backup of the keys", file.display());
            anyhow::Error::new(Failure::Keys).context(what)
        })?;
        let wrapped = SqliteKeys::open(&config.data.join("keys.sqlite"));
        let wrapped =
            wrapped.map_err(|error| anyhow::Error::new(Failure::Keys).context(format!("keys.sqlite: {error}")))?;
        let engine = SqliteEngine::open(&config.data.join("store.sqlite"));
        let engine = Arc::new(engine.map_err(|error| match error {
            StoreError::Corrupt(_) => anyhow::Error::new(Failure::Data).context(error.to_string()),
            other => anyhow::Error::new(other).context("the store"),
        })?);
        let facts = ColumnarFacts::open(&config.data).context("the facts")?;
        // One processor is left to all other work.
        let at_once = std::thread::available_parallelism().map_or(1, |all| all.get().saturating_sub(1).max(1));
        let parts = Self {
            keys: Keys::new(keyring, Arc::new(wrapped), Arc::clone(&ambient.entropy)),
            ambient,
            engine: engine.clone(),
            upkeep: engine.clone(),
            queue: Queue::InTheCommit,
            appended: engine.appended(),
            log: engine,
            facts: Arc::new(facts),
            mail: mail::carrier(config)?,
            control: Arc::new(Challenger::new(&config.tenants)),
            hashing: Hashing::Argon2id { at_once },
        };
        Ok((parts, lock))
    }
}
