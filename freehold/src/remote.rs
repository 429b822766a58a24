//! Aggregates and events in a PostgreSQL database, in a program that was built with it.

#[cfg(feature = "postgres")]
pub(crate) use built::{Hold, inspect, open};
#[cfg(not(feature = "postgres"))]
pub(crate) use left_out::{Hold, inspect, open};

#[cfg(feature = "postgres")]
mod built {
    use std::sync::Arc;

    use anyhow::{Error, Result};
    use async_trait::async_trait;
    use contracts::tenants::Isolation;
    use kernel::{Problem, Scope, TenantId};
    use keys::Keys;
    use postgres::{PostgresEngine, Sole};
    use secrecy::{ExposeSecret, SecretString};
    use store::{Space, StoreError};

    use crate::{config::address, failure::Failure, parts::Kept};

    /// Enough to keep a server of many processors busy; a commit is one round trip.
    const CONNECTIONS: usize = 16;

    /// The only use of the database.
    pub(crate) struct Hold(Arc<PostgresEngine>, Sole);

    impl Hold {
        /// Ends when another process uses it.
        pub(crate) async fn lost(self) {
            self.0.keep(self.1).await;
        }
    }

    /// One place for all tenants; what was erased of one stays out of the log.
    struct OneDatabase(Arc<PostgresEngine>);

    #[async_trait]
    impl tenants::Homes for OneDatabase {
        async fn prepare(&self, tenant: TenantId, isolation: Isolation) -> Result<(), Problem> {
            tenants::OnePlace.prepare(tenant, isolation).await
        }

        async fn withdraw(&self, tenant: TenantId) -> Result<(), Problem> {
            tenants::OnePlace.withdraw(tenant).await
        }

        async fn close(&self, scope: Scope) -> Result<(), Problem> {
            self.0.give_up(&Space::of(scope)).await.map_err(store::problem)
        }
    }

    /// Opens the database, for this process alone.
    pub(crate) async fn open(url: &SecretString, keys: &Keys) -> Result<(Kept, Hold)> {
        let at = address(url.expose_secret());
        let failed = |error: StoreError| {
            let what = format!("{at}: {error}; run `freehold doctor`");
            Error::new(Failure::Store).context(what)
        };
        let engine = Arc::new(PostgresEngine::connect(url.expose_secret(), CONNECTIONS).await.map_err(failed)?);
        let Some(sole) = engine.sole().await.map_err(failed)? else {
            let what = format!("another process uses {at}: stop it, or name another database with `store`");
            return Err(Error::new(Failure::InUse).context(what));
        };
        if !engine.belongs(&keys.derived("store/belongs")).await.map_err(failed)? {
            let what = format!("{at} was sealed with other keys: put back the keyring of its data folder");
            return Err(Error::new(Failure::Keys).context(what));
        }
        let kept = Kept {
            engine: engine.clone(),
            upkeep: engine.clone(),
            outbox: engine.clone(),
            waiting: engine.waiting(),
            homes: Arc::new(OneDatabase(Arc::clone(&engine))),
            log: engine.clone(),
            appended: Arc::default(),
        };
        Ok((kept, Hold(engine, sole)))
    }

    /// What would keep it from running on that database.
    pub(crate) fn inspect(url: &SecretString) -> Vec<(bool, String)> {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return vec![(false, format!("the database cannot be looked at: {error}"))],
        };
        let found = runtime.block_on(postgres::inspect(url.expose_secret(), CONNECTIONS));
        found.into_iter().map(|it| (it.good, format!("{}: {}", address(url.expose_secret()), it.what))).collect()
    }
}

#[cfg(not(feature = "postgres"))]
mod left_out {
    use anyhow::{Error, Result};
    use keys::Keys;
    use secrecy::SecretString;

    use crate::{failure::Failure, parts::Kept};

    const WHY: &str =
        "this program was built without PostgreSQL, which `store` asks for: build it with --features postgres";

    /// Of a database that cannot be had.
    pub(crate) enum Hold {}

    impl Hold {
        #[expect(clippy::unused_async, reason = "as the other one")]
        pub(crate) async fn lost(self) {
            match self {}
        }
    }

    pub(crate) async fn open(_: &SecretString, _: &Keys) -> Result<(Kept, Hold)> {
        Err(Error::new(Failure::Store).context(WHY))
    }

    pub(crate) fn inspect(_: &SecretString) -> Vec<(bool, String)> {
        vec![(false, WHY.to_owned())]
    }
}
