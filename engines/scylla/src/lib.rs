//! The aggregate store on ScyllaDB, Cassandra, or another CQL server with lightweight transactions. A core is a
//! partition and a commit one conditional batch on it; lookups are projected after it, and a marker written before it
//! has a repairer finish what a crash leaves. `docs/decisions/` says why it is safe.

mod commit;
mod cql;
mod feed;
mod lookups;
mod outbox;
mod repair;
mod schema;
mod state;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use kernel::{
    entropy::{Entropy, SystemEntropy},
    time::{Clock, SystemClock},
};
use scylla::client::session_builder::SessionBuilder;
use store::{Base, Change, ClaimKey, Commit, Core, CoreKey, Engine, Hit, Outcome, Scan, Space, StoreError};

use crate::cql::{Cql, big};

/// How long a repairer leaves a marker alone, at the least: writers look at the age of their slot against it.
pub const GRACE: Duration = Duration::from_mins(1);

/// One keyspace as an engine of the store.
pub struct ScyllaEngine {
    cql: Cql,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

impl ScyllaEngine {
    /// Connects to a node (`host:port`) and creates the keyspace, with `replicas` copies in each data centre, and the
    /// tables that are missing.
    pub async fn connect(node: &str, keyspace: &str, replicas: u16) -> Result<Self, StoreError> {
        if keyspace.is_empty()
            || !keyspace.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_')
        {
            return Err(StoreError::Invalid("a keyspace is named in lower-case letters, digits and _".to_owned()));
        }
        let session = SessionBuilder::new().known_node(node).build().await.map_err(unavailable)?;
        let create = format!(
            "CREATE KEYSPACE IF NOT EXISTS {keyspace}
             WITH replication = {{'class': 'NetworkTopologyStrategy', 'replication_factor': {replicas}}}"
        );
        session.query_unpaged(create, ()).await.map_err(unavailable)?;
        session.use_keyspace(keyspace, false).await.map_err(unavailable)?;
        for table in schema::TABLES {
            session.query_unpaged(*table, ()).await.map_err(unavailable)?;
        }
        let engine =
            Self { cql: Cql::new(session), clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy::default()) };
        let first = engine.clock.now().as_microsecond() / 1_000_000 / commit::SLOT;
        let sql = "INSERT INTO repaired (one, slot) VALUES (1, ?) IF NOT EXISTS";
        engine.cql.on_condition(sql, vec![big(first)]).await?;
        Ok(engine)
    }
}

#[async_trait]
impl Engine for ScyllaEngine {
    async fn get(&self, key: &CoreKey) -> Result<Option<Core>, StoreError> {
        Ok(self.state(key).await?.core)
    }

    async fn base(&self, key: &CoreKey) -> Result<Base, StoreError> {
        Ok(self.state(key).await?.base)
    }

    async fn find(&self, space: &Space, claim: &ClaimKey) -> Result<Option<(CoreKey, Core)>, StoreError> {
        let anyone = CoreKey { space: space.clone(), kind: String::new(), id: String::new() };
        let Some(standing) = self.reservation(&anyone, &claim.0).await? else { return Ok(None) };
        let state = self.state(&standing.owner).await?;
        // A reservation alone is not believed: the core must hold the name.
        let held = state.holds(&claim.0);
        Ok(state.core.filter(|_| held).map(|core| (standing.owner, core)))
    }

    async fn scan(&self, scan: &Scan) -> Result<Vec<Hit>, StoreError> {
        self.hits(scan).await
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        commit.check()?;
        self.apply(&commit).await
    }

    async fn changed_since(&self, space: &Space, cursor: u64, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.changes(space, cursor, limit).await
    }

    async fn export(
        &self,
        space: &Space,
        after: Option<&CoreKey>,
        limit: usize,
    ) -> Result<Vec<(CoreKey, Core)>, StoreError> {
        self.page(space, after, limit).await
    }

    async fn import(&self, key: &CoreKey, core: Core) -> Result<(), StoreError> {
        self.take(key, core).await
    }

    async fn erase(&self, space: &Space) -> Result<u64, StoreError> {
        self.erase_all(space).await
    }
}

impl store::contract::Mortal for ScyllaEngine {
    fn die_after(&self, writes: Option<u32>) -> bool {
        self.cql.die_after(writes)
    }
}
