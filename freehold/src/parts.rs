//! What the platform stands on: the embedded parts, or those that the configuration names.

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
use secrecy::ExposeSecret as _;
use sqlite::{Shards, SqliteKeys};
use store::{Engine, Outbox, Space, StoreError, Upkeep};
use tokio::sync::Notify;

use crate::{
    config::{Config, address},
    domains::Challenger,
    failure::Failure,
    mail, payments, remote,
};

/// Says in the data folder that its store is in a database, and in which.
const ELSEWHERE: &str = "store-is-elsewhere";

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
    /// The payment gateways.
    pub gateways: billing::Gateways,
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

/// What keeps a second process from the same data, as long as it lives.
pub(crate) struct Hold {
    _folder: File,
    pub(crate) database: Option<remote::Hold>,
}

impl Hold {
    /// Ends if another process took the data over all the same; never for a folder.
    pub(crate) async fn lost(self) {
        match self.database {
            Some(hold) => hold.lost().await,
            None => std::future::pending().await,
        }
    }
}

/// Where aggregates and events are kept.
pub(crate) struct Kept {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) upkeep: Arc<dyn Upkeep>,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) waiting: Arc<Notify>,
    pub(crate) homes: Arc<dyn tenants::Homes>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) appended: Arc<Notify>,
}

impl Kept {
    fn embedded(config: &Config) -> Result<Self> {
        let shards = Arc::new(Shards::open(&config.data).map_err(|error| match error {
            StoreError::Corrupt(_) => anyhow::Error::new(Failure::Data).context(error.to_string()),
            other => anyhow::Error::new(other).context("the store"),
        })?);
        Ok(Self {
            engine: shards.clone(),
            upkeep: shards.clone(),
            outbox: shards.clone(),
            waiting: shards.waiting(),
            appended: shards.log().appended(),
            log: shards.log(),
            homes: Arc::new(Files(shards)),
        })
    }
}

/// Keys are in the data folder, apart from all that they open.
fn keys(config: &Config, ambient: &Ambient) -> Result<Keys> {
    let file = config.data.join("keyring");
    let keyring = Keyring::open(&file, ambient.entropy.as_ref()).map_err(|error| {
        let what = format!("{}: {error}; put back the file from the backup of the keys", file.display());
        anyhow::Error::new(Failure::Keys).context(what)
    })?;
    let wrapped = SqliteKeys::open(&config.data.join("keys.sqlite"));
    let wrapped =
        wrapped.map_err(|error| anyhow::Error::new(Failure::Keys).context(format!("keys.sqlite: {error}")))?;
    Ok(Keys::new(keyring, Arc::new(wrapped), Arc::clone(&ambient.entropy)))
}

impl Parts {
    /// The parts that the configuration names.
    pub(crate) async fn open(config: &Config) -> Result<(Self, Hold)> {
        let mark = config.data.join(ELSEWHERE);
        let Some(url) = &config.store else {
            if let Ok(place) = std::fs::read_to_string(&mark) {
                let what = format!("what belongs to {} is in {place}: name it with `store`", config.data.display());
                return Err(anyhow::Error::new(Failure::Data).context(what));
            }
            let (parts, folder) = Self::embedded(config, Ambient::system())?;
            return Ok((parts, Hold { _folder: folder, database: None }));
        };
        let folder = lock(config)?;
        let there = config.data.join(sqlite::STORE);
        if there.exists() {
            return Err(anyhow::Error::new(Failure::Data).context(format!(
                "{} is an installation of its own: take `store` out of the configuration, or choose another folder",
                there.display()
            )));
        }
        let ambient = Ambient::system();
        let keys = keys(config, &ambient)?;
        let (kept, hold) = remote::open(url, &keys).await?;
        std::fs::write(&mark, address(url.expose_secret()))
            .with_context(|| format!("cannot write {}", mark.display()))?;
        Ok((Self::around(config, ambient, keys, kept)?, Hold { _folder: folder, database: Some(hold) }))
    }

    /// The embedded parts, in the data folder. Whoever has the file keeps it: no second process opens the same data.
    ///
    /// # Errors
    /// Where another process has the folder, or it cannot be read or written.
    pub fn embedded(config: &Config, ambient: Ambient) -> Result<(Self, File)> {
        let lock = lock(config)?;
        let keys = keys(config, &ambient)?;
        let kept = Kept::embedded(config)?;
        Ok((Self::around(config, ambient, keys, kept)?, lock))
    }

    fn around(config: &Config, ambient: Ambient, keys: Keys, kept: Kept) -> Result<Self> {
        let facts = ColumnarFacts::open(&config.data).context("the facts")?;
        // One processor is left to all other work.
        let at_once = std::thread::available_parallelism().map_or(1, |all| all.get().saturating_sub(1).max(1));
        Ok(Self {
            ambient,
            keys,
            engine: kept.engine,
            upkeep: kept.upkeep,
            outbox: kept.outbox,
            waiting: kept.waiting,
            appended: kept.appended,
            log: kept.log,
            homes: kept.homes,
            facts: Arc::new(facts),
            mail: mail::carrier(config)?,
            gateways: payments::gateways(config)?,
            control: Arc::new(Challenger::new(&config.tenants)),
            hashing: Hashing::Argon2id { at_once },
        })
    }
}
