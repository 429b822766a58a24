//! What the platform stands on, and the embedded parts that it stands on in one process.

use std::{fs::File, sync::Arc};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use columnar::ColumnarFacts;
use contracts::tenants::Isolation;
use events::Log;
use facts::Facts;
use identity::Hashing;
use kernel::{Problem, Scope, TenantId, cx::Ambient};
use keys::{Keyring, Keys};
use notifications::Carrier;
use sqlite::{Shards, SqliteKeys};
use store::{Engine, Outbox, Space, StoreError, Upkeep};
use tokio::sync::Notify;

use crate::{config::Config, domains::Challenger, failure::Failure, mail};

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
    /// Where the engine's events wait until they are moved into the log. Nothing waits there of what a commit appends to
    /// the log itself.
    pub outbox: Arc<dyn Outbox>,
    /// Wakes whoever moves them; they are looked for in any case.
    pub waiting: Arc<Notify>,
    /// Gives tenants places of their own.
    pub homes: Arc<dyn tenants::Homes>,
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

/// The files of tenants that have one of their own.
struct Files(Arc<Shards>);

#[async_trait]
impl tenants::Homes for Files {
    async fn prepare(&self, tenant: TenantId, isolation: Isolation) -> Result<(), Problem> {
        match isolation {
            Isolation::Pooled => Ok(()),
            Isolation::Dedicated => self.0.dedicate(&Space::of(Scope::Tenant(tenant))).await.map_err(store::problem),
        }
    }

    async fn withdraw(&self, tenant: TenantId) -> Result<(), Problem> {
        self.0.withdraw(&Space::of(Scope::Tenant(tenant))).await.map_err(store::problem)
    }

    async fn close(&self, scope: Scope) -> Result<(), Problem> {
        self.0.close(&Space::of(scope)).await.map_err(store::problem)
    }
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
        let shards = Arc::new(Shards::open(&config.data).map_err(|error| match error {
            StoreError::Corrupt(_) => anyhow::Error::new(Failure::Data).context(error.to_string()),
            other => anyhow::Error::new(other).context("the store"),
        })?);
        let facts = ColumnarFacts::open(&config.data).context("the facts")?;
        // One processor is left to all other work.
        let at_once = std::thread::available_parallelism().map_or(1, |all| all.get().saturating_sub(1).max(1));
        let parts = Self {
            keys: Keys::new(keyring, Arc::new(wrapped), Arc::clone(&ambient.entropy)),
            ambient,
            engine: shards.clone(),
            upkeep: shards.clone(),
            outbox: shards.clone(),
            waiting: shards.waiting(),
            appended: shards.log().appended(),
            log: shards.log(),
            homes: Arc::new(Files(shards)),
            facts: Arc::new(facts),
            mail: mail::carrier(config)?,
            control: Arc::new(Challenger::new(&config.tenants)),
            hashing: Hashing::Argon2id { at_once },
        };
        Ok((parts, lock))
    }
}
