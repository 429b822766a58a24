//! How the server is reached: what is refused before anything is sent, how long is waited, and who alone may use a
//! database.

use std::{net::IpAddr, str::FromStr, time::Duration};

use deadpool_postgres::{Manager, Object, Pool, Runtime, Timeouts};
use store::StoreError;
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

use crate::{PostgresEngine, tls::Secured, unavailable};

/// For a free connection, and for a new one.
const PATIENCE: Duration = Duration::from_secs(5);
/// A server or a network that says nothing for this long is gone.
const SILENCE: Duration = Duration::from_secs(10);
/// Bounds that the server itself keeps: no statement, and no transaction that was left, holds locks for longer; and a
/// process whose machine is gone is noticed.
const BOUNDS: &str = "-c statement_timeout=20s -c idle_in_transaction_session_timeout=20s -c tcp_keepalives_idle=10 \
                      -c tcp_keepalives_interval=5 -c tcp_keepalives_count=2";
/// How often is looked whether the connection that holds the database is still there.
const LOOK: Duration = Duration::from_millis(250);
/// For how long the one before, which was killed a moment ago, is waited for.
const GRACE: Duration = Duration::from_secs(3);
/// The advisory lock of the program in its database.
const LOCK: i64 = 0x0046_5245_4548_4F4C;

fn nearby(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|it| it.is_loopback()),
    }
}

/// What a URL says, with the bounds. To another machine a connection is secured unless the URL says `sslmode=disable`.
fn config(url: &str) -> Result<Config, StoreError> {
    let mut config = Config::from_str(url).map_err(unavailable)?;
    if config.get_ssl_mode() == SslMode::Prefer {
        let near = config.get_hosts().iter().all(nearby);
        config.ssl_mode(if near { SslMode::Disable } else { SslMode::Require });
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(PATIENCE);
    }
    let more = config.get_options().map(|it| format!(" {it}")).unwrap_or_default();
    config.options(format!("{BOUNDS}{more}")).application_name("freehold").tcp_user_timeout(SILENCE);
    config.keepalives_idle(SILENCE);
    Ok(config)
}

pub(crate) fn pool(url: &str, connections: usize) -> Result<Pool, StoreError> {
    let failed = |error: &dyn std::fmt::Display| StoreError::Unavailable(error.to_string());
    let secured = Secured::new().map_err(|error| failed(&error))?;
    let timeouts = Timeouts { wait: Some(PATIENCE), create: Some(PATIENCE), recycle: Some(PATIENCE) };
    let pool = Pool::builder(Manager::new(config(url)?, secured)).max_size(connections).timeouts(timeouts);
    pool.runtime(Runtime::Tokio1).build().map_err(|error| failed(&error))
}

/// The only use of a database. It ends with this value, or with its connection.
pub struct Sole {
    client: deadpool_postgres::ClientWrapper,
}

impl PostgresEngine {
    /// Takes the database for this process alone; `None` if another has it. CockroachDB has no such lock, and refuses
    /// nobody.
    pub async fn sole(&self) -> Result<Option<Sole>, StoreError> {
        let begun = tokio::time::Instant::now();
        loop {
            // A connection of its own, which the lock goes with.
            let client = Object::take(self.client().await?);
            let had = client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]).await.map_err(unavailable)?;
            if had.get(0) {
                return Ok(Some(Sole { client }));
            }
            if begun.elapsed() > GRACE {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Keeps the only use, also over a restart of the server. Ends when another process has it.
    pub async fn keep(&self, mut sole: Sole) {
        loop {
            while !sole.client.is_closed() {
                tokio::time::sleep(LOOK).await;
            }
            sole = loop {
                match self.sole().await {
                    Ok(Some(sole)) => break sole,
                    Ok(None) => return,
                    // Away: nobody else has it either.
                    Err(_) => tokio::time::sleep(LOOK).await,
                }
            };
        }
    }

    /// Whether what seals belongs to this database; the first that asks is written down.
    pub async fn belongs(&self, mark: &[u8]) -> Result<bool, StoreError> {
        let sql = "INSERT INTO belongs (one, mark) VALUES (1, $1) ON CONFLICT (one) DO NOTHING";
        self.rows(sql, &[&mark]).await?;
        let rows = self.rows("SELECT mark FROM belongs WHERE one = 1", &[]).await?;
        Ok(rows.first().is_some_and(|row| row.get::<_, &[u8]>(0) == mark))
    }
}

/// What is wrong with a server, or only worth knowing.
pub struct Finding {
    /// Whether it can stay so.
    pub good: bool,
    /// What it is, and what to do.
    pub what: String,
}

/// Looks at a server for what would keep the program from running on it. Creates nothing.
pub async fn inspect(url: &str, connections: usize) -> Vec<Finding> {
    let found = |good, what: String| Finding { good, what };
    let asked = async {
        let client = pool(url, 1)?.get().await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let sql = "SELECT current_setting('server_version_num')::INT, current_setting('server_version'),
                     coalesce(has_schema_privilege(current_schema(), 'CREATE'), FALSE), current_setting('server_encoding'),
                     current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on',
                     current_setting('synchronous_commit'), current_setting('max_connections')::INT, pg_is_in_recovery()";
        client.query_one(sql, &[]).await.map_err(unavailable)
    };
    let row = match asked.await {
        Ok(row) => row,
        Err(error) => return vec![found(false, format!("{error}: start the server, or correct `store`"))],
    };
    let (number, version): (i32, String) = (row.get(0), row.get(1));
    let (encoding, commit, most): (String, String, i32) = (row.get(3), row.get(5), row.get(6));
    let enough = usize::try_from(most).is_ok_and(|most| most > connections + 5);
    let all = [
        (number >= 130_000, format!("PostgreSQL {version}"), "use version 13 or later"),
        (row.get(2), "tables may be created in the schema".to_owned(), "grant CREATE on the schema to this user"),
        (encoding == "UTF8", format!("the database is in {encoding}"), "create it with ENCODING 'UTF8'"),
        (
            row.get(4),
            "commits reach the disk (fsync, full_page_writes)".to_owned(),
            "set both to on: a power cut loses data",
        ),
        (
            commit != "off",
            format!("synchronous_commit is {commit}"),
            "set it to on, or what was acknowledged can be lost",
        ),
        (enough, format!("max_connections is {most}, {connections} are used"), "raise it"),
        (!row.get::<_, bool>(7), "the server takes writes".to_owned(), "name the primary, this is a standby"),
    ];
    all.into_iter()
        .map(|(good, what, remedy)| found(good, if good { what } else { format!("not so: {what}: {remedy}") }))
        .collect()
}
