//! The end of the log, read and parsed once for all contexts of this process: each is a reader of its own, and most of
//! the time all of them read the same few events.

use std::{collections::VecDeque, sync::Arc};

use kernel::{Envelope, Scope};
use tokio::sync::Mutex;

use crate::{Log, LogError, Logged};

/// How many events are kept in memory. Who is further behind reads the log.
const KEPT: usize = 1_000;

/// An event as it was read.
pub(crate) struct Read {
    pub(crate) position: u64,
    /// Sealed as it was; `None` where it cannot be read.
    pub(crate) envelope: Option<Envelope>,
}

impl Read {
    fn of(logged: &Logged) -> Arc<Self> {
        Arc::new(Self { position: logged.position, envelope: serde_json::from_slice(&logged.envelope).ok() })
    }
}

/// See above. Cloning shares it.
#[derive(Clone)]
pub struct Tail {
    log: Arc<dyn Log>,
    kept: Arc<Mutex<Kept>>,
}

/// All events after `from` up to the last that is kept, without a gap.
#[derive(Default)]
struct Kept {
    from: u64,
    events: VecDeque<Arc<Read>>,
}

impl Kept {
    fn last(&self) -> u64 {
        self.events.back().map_or(self.from, |event| event.position)
    }

    fn after(&self, position: u64, limit: usize) -> Vec<Arc<Read>> {
        let first = self.events.partition_point(|event| event.position <= position);
        self.events.iter().skip(first).take(limit).cloned().collect()
    }

    fn add(&mut self, events: &[Arc<Read>]) {
        self.events.extend(events.iter().cloned());
        while self.events.len() > KEPT {
            self.from = self.events.pop_front().map_or(self.from, |event| event.position);
        }
    }
}

impl Tail {
    /// The end of a log.
    pub fn of(log: Arc<dyn Log>) -> Self {
        Self { log, kept: Arc::default() }
    }

    pub(crate) fn log(&self) -> &dyn Log {
        &*self.log
    }

    /// Events after a position.
    pub(crate) async fn read(&self, after: u64, limit: usize) -> Result<Vec<Arc<Read>>, LogError> {
        // Held while the log is read: of many who were woken at once one reads, and the others find it here.
        let mut kept = self.kept.lock().await;
        if kept.events.is_empty() {
            kept.from = after;
        }
        if after < kept.from || after > kept.last() {
            drop(kept);
            return self.parsed(after, limit).await;
        }
        let known = kept.after(after, limit);
        if !known.is_empty() {
            return Ok(known);
        }
        let read = self.parsed(after, limit).await?;
        kept.add(&read);
        Ok(read)
    }

    async fn parsed(&self, after: u64, limit: usize) -> Result<Vec<Arc<Read>>, LogError> {
        Ok(self.log.read(after, limit).await?.iter().map(Read::of).collect())
    }

    /// Events of one scope after a position and up to another, as many as `limit`.
    pub(crate) async fn read_of(
        &self,
        scope: Scope,
        (after, upto): (u64, u64),
        limit: usize,
    ) -> Result<Vec<Arc<Read>>, LogError> {
        let own = |event: &&Arc<Read>| event.envelope.as_ref().is_some_and(|it| it.scope == scope);
        let kept = self.kept.lock().await;
        if after >= kept.from && upto <= kept.last() {
            let first = kept.events.partition_point(|event| event.position <= after);
            let between = kept.events.iter().skip(first).take_while(|event| event.position <= upto);
            return Ok(between.filter(own).take(limit).cloned().collect());
        }
        drop(kept);
        let mut read: Vec<_> = self.log.read_of(scope, after, limit).await?.iter().map(Read::of).collect();
        read.truncate(read.partition_point(|event| event.position <= upto));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, model::ModelLog};

    async fn filled(log: &ModelLog, upto: std::ops::Range<usize>) {
        let envelope = serde_json::json!({
            "specversion": "1.0", "id": "1", "source": "freehold/test", "type": "test.Happened.v1", "subject": "test/1",
            "time": "2026-01-01T00:00:00Z", "tenantid": "platform", "sequence": 1, "traceparent": "", "correlationid": "",
            "actor": "service:test", "data": {},
        });
        let envelope = envelope.to_string().into_bytes();
        let entry =
            |number: usize| Entry { id: number.to_string(), scope: Scope::Platform, envelope: envelope.clone() };
        log.append(upto.map(entry).collect()).await.unwrap();
    }

    /// Readers at any places, some far behind, read what the log holds there: no gap, nothing twice.
    #[tokio::test]
    async fn whoever_reads_reads_what_is_in_the_log() {
        let log = Arc::new(ModelLog::default());
        let tail = Tail::of(log.clone());
        filled(&log, 0..KEPT).await;
        for (place, (after, limit)) in
            [700, 0, 900, 950, 699, 1_200, 700, 1_150, 100, 1_400].into_iter().zip(1..).enumerate()
        {
            let limit = limit * 60;
            let read: Vec<u64> = tail.read(after, limit).await.unwrap().iter().map(|it| it.position).collect();
            let stands: Vec<u64> = log.read(after, limit).await.unwrap().iter().map(|it| it.position).collect();
            assert!(stands.starts_with(&read) && read.is_empty() == stands.is_empty(), "after {after}: {read:?}");
            filled(&log, KEPT + place * 100..KEPT + (place + 1) * 100).await;
        }
        for (after, upto) in [(1_500, 1_900), (0, 300), (1_650, 1_900)] {
            let own = |scope| tail.read_of(scope, (after, upto), 200);
            let read: Vec<u64> = own(Scope::Platform).await.unwrap().iter().map(|it| it.position).collect();
            assert_eq!(read, (after + 1..=(after + 200).min(upto)).collect::<Vec<_>>());
            assert!(own(Scope::Tenant(kernel::Id::from_uuid(uuid::Uuid::nil()))).await.unwrap().is_empty());
        }
        let kept = tail.kept.lock().await;
        assert!(kept.events.len() <= KEPT && kept.from > 0);
    }
}
