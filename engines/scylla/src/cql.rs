//! Statements as this engine sends them: which consistency, what a refused condition looks like, and where a test may
//! let the process die.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use futures::TryStreamExt;
use scylla::{
    client::{caching_session::CachingSession, session::Session},
    response::query_result::QueryResult,
    statement::{
        Consistency, SerialConsistency, Statement,
        batch::{Batch, BatchType},
    },
    value::{CqlValue, Row},
};
use store::StoreError;

pub(crate) type Value = Option<CqlValue>;

/// Values to bind, in order.
macro_rules! bind_as {
    ($($name:ident, $variant:ident, $from:ty;)*) => {$(
        pub(crate) fn $name(value: $from) -> Value {
            Some(CqlValue::$variant(value.into()))
        }
    )*};
}
bind_as! { text, Text, &str; big, BigInt, i64; int, Int, i32; blob, Blob, Vec<u8>; }

/// A row, read by column.
pub(crate) struct Columns(Row);

impl Columns {
    fn value(&self, at: usize) -> Option<&CqlValue> {
        self.0.columns.get(at)?.as_ref()
    }

    pub(crate) fn text(&self, at: usize) -> String {
        self.value(at).and_then(CqlValue::as_text).cloned().unwrap_or_default()
    }

    pub(crate) fn big(&self, at: usize) -> Option<i64> {
        self.value(at)?.as_bigint()
    }

    pub(crate) fn blob(&self, at: usize) -> Vec<u8> {
        self.value(at).and_then(CqlValue::as_blob).cloned().unwrap_or_default()
    }

    pub(crate) fn truth(&self, at: usize) -> bool {
        self.value(at).and_then(CqlValue::as_boolean).unwrap_or_default()
    }

    pub(crate) fn raw(&self, at: usize) -> Value {
        self.value(at).cloned()
    }
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

pub(crate) struct Cql {
    session: CachingSession,
    /// How many writes may still happen before the process "dies"; negative: no end. Only tests set it.
    left: Arc<AtomicI64>,
}

/// Statements that go together, in order, with their values.
pub(crate) type Statements<'a> = Vec<(&'a str, Vec<Value>)>;

impl Cql {
    pub(crate) fn new(session: Session) -> Self {
        Self { session: CachingSession::from(session, 256), left: Arc::new(AtomicI64::new(-1)) }
    }

    pub(crate) fn die_after(&self, writes: Option<u32>) -> bool {
        self.left.swap(writes.map_or(-1, i64::from), Ordering::SeqCst) == 0
    }

    fn alive(&self) -> Result<(), StoreError> {
        let spent = |left: i64| if left > 0 { Some(left - 1) } else { None };
        let died = |left| if left == 0 { Err(failed("the process died here")) } else { Ok(()) };
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spent).map(drop).or_else(died)
    }

    fn statement(sql: &str, consistency: Consistency) -> Statement {
        let mut statement = Statement::new(sql);
        statement.set_consistency(consistency);
        statement.set_serial_consistency(Some(SerialConsistency::LocalSerial));
        // A conditional write is never sent twice by the driver: the engine knows when that is right.
        statement.set_is_idempotent(false);
        statement
    }

    fn rows(result: QueryResult) -> Result<Vec<Columns>, StoreError> {
        if !result.is_rows() {
            return Ok(Vec::new());
        }
        let rows = result.into_rows_result().map_err(failed)?;
        rows.rows::<Row>().map_err(failed)?.map(|row| row.map(Columns).map_err(failed)).collect()
    }

    async fn send(&self, sql: &str, with: Vec<Value>, consistency: Consistency) -> Result<Vec<Columns>, StoreError> {
        let sent = self.session.execute_unpaged(Self::statement(sql, consistency), with).await;
        Self::rows(sent.map_err(failed)?)
    }

    /// Reads what conditional writes have settled, also those that were under way.
    pub(crate) async fn settled(&self, sql: &str, with: Vec<Value>) -> Result<Vec<Columns>, StoreError> {
        self.send(sql, with, Consistency::LocalSerial).await
    }

    /// Reads a projection, to its end.
    pub(crate) async fn read(&self, sql: &str, with: Vec<Value>) -> Result<Vec<Columns>, StoreError> {
        let pages = self.session.execute_iter(Self::statement(sql, Consistency::LocalQuorum), with).await;
        let rows = pages.map_err(failed)?.rows_stream::<Row>().map_err(failed)?;
        rows.map_ok(Columns).map_err(failed).try_collect().await
    }

    /// Writes plainly.
    pub(crate) async fn write(&self, sql: &str, with: Vec<Value>) -> Result<(), StoreError> {
        self.alive()?;
        self.send(sql, with, Consistency::LocalQuorum).await.map(drop)
    }

    /// Writes many plainly, where order does not matter.
    pub(crate) async fn write_all(&self, statements: Statements<'_>) -> Result<(), StoreError> {
        // Servers warn of large batches and refuse huge ones.
        for chunk in statements.chunks(30) {
            self.alive()?;
            self.batch(chunk).await?;
        }
        Ok(())
    }

    async fn batch(&self, statements: &[(&str, Vec<Value>)]) -> Result<Vec<Columns>, StoreError> {
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_consistency(Consistency::LocalQuorum);
        batch.set_serial_consistency(Some(SerialConsistency::LocalSerial));
        batch.set_is_idempotent(false);
        for (sql, _) in statements {
            batch.append_statement(Self::statement(sql, Consistency::LocalQuorum));
        }
        let with: Vec<_> = statements.iter().map(|(_, with)| with).collect();
        Self::rows(self.session.batch(&batch, with).await.map_err(failed)?)
    }

    /// Writes one row on a condition. Tells whether it held.
    pub(crate) async fn on_condition(&self, sql: &str, with: Vec<Value>) -> Result<bool, StoreError> {
        self.alive()?;
        let rows = self.send(sql, with, Consistency::LocalQuorum).await?;
        Ok(rows.first().is_none_or(|row| row.truth(0)))
    }

    /// Writes one partition on the conditions of the batch: all or nothing. Tells whether it happened.
    pub(crate) async fn all_or_nothing(&self, statements: &Statements<'_>) -> Result<bool, StoreError> {
        self.alive()?;
        let rows = self.batch(statements).await?;
        Ok(rows.first().is_none_or(|row| row.truth(0)))
    }
}
