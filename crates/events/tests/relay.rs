//! The relay between an outbox and a log: one partition that fails holds up no other, and nothing is lost unseen.
#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use freehold_events::{Log, Relay, model::ModelLog};
use kernel::{Scope, Timestamp};
use store::{
    Base, Commit, CommitId, CoreKey, Engine, Epoch, Outbox, OutboxEvent, Space, StoreError, Write,
    model::ModelEngine,
    port::{OUTBOX_PARTITIONS, outbox_partition},
};
use tokio::sync::Notify;

/// An outbox of which one partition can be away.
struct Away(ModelEngine, u16, AtomicBool);

#[async_trait]
impl Outbox for Away {
    async fn lease(&self, partition: u16, holder: &str, lasting: Duration) -> Result<Option<Epoch>, StoreError> {
        self.0.lease(partition, holder, lasting).await
    }

    async fn pending(&self, partition: u16, limit: usize) -> Result<Vec<OutboxEvent>, StoreError> {
        if partition == self.1 && self.2.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("away".to_owned()));
        }
        self.0.pending(partition, limit).await
    }

    async fn relayed(&self, partition: u16, epoch: Epoch, events: &[OutboxEvent]) -> Result<(), StoreError> {
        self.0.relayed(partition, epoch, events).await
    }
}

/// A core of a partition, with an event that is no envelope.
async fn created(engine: &ModelEngine, partition: u16) -> CoreKey {
    let key = |number: u32| CoreKey {
        space: Space::of(Scope::Platform),
        kind: "test.thing".to_owned(),
        id: number.to_string(),
    };
    let key = (0..10_000).map(key).find(|key| outbox_partition(key) == partition).unwrap();
    let write =
        Write::Put { body: Vec::new(), claims: Vec::new(), terms: Vec::new(), timers: Vec::new(), expires: None };
    let id = CommitId { bytes: [0; 16], remember: Duration::ZERO };
    let events = vec![format!("event of {partition}").into_bytes()];
    let commit = Commit { id, key: key.clone(), base: Base::default(), write, events, at: Timestamp::UNIX_EPOCH };
    engine.commit(commit).await.unwrap();
    key
}

#[tokio::test]
async fn a_partition_that_fails_holds_up_no_other() {
    let (log, engine) = (Arc::new(ModelLog::default()), ModelEngine::default());
    for partition in 0..OUTBOX_PARTITIONS {
        created(&engine, partition).await;
    }
    let outbox = Arc::new(Away(engine, 0, AtomicBool::new(true)));
    let appended = Arc::new(Notify::new());
    let relay = Relay::new(outbox.clone(), log.clone(), "test".to_owned(), appended);
    relay.turn().await.unwrap_err();
    assert_eq!(log.head().await.unwrap(), u64::from(OUTBOX_PARTITIONS) - 1);
    outbox.2.store(false, Ordering::Relaxed);
    assert_eq!(relay.turn().await.unwrap(), 1);
    assert_eq!(log.head().await.unwrap(), u64::from(OUTBOX_PARTITIONS));
}

#[tokio::test]
async fn what_is_no_envelope_gets_into_the_log_where_it_is_put_aside() {
    let (log, engine) = (Arc::new(ModelLog::default()), ModelEngine::default());
    created(&engine, 3).await;
    let relay = Relay::new(Arc::new(engine), log.clone(), "test".to_owned(), Arc::default());
    assert_eq!((relay.turn().await.unwrap(), relay.turn().await.unwrap()), (1, 0));
    let read = log.read(0, 9).await.unwrap();
    assert_eq!(read.iter().map(|event| event.envelope.as_slice()).collect::<Vec<_>>(), [b"event of 3"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_wakes_it() {
    let (log, engine) = (Arc::new(ModelLog::default()), Arc::new(ModelEngine::default()));
    let (waiting, appended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let relay = Relay::new(engine.clone(), log.clone(), "test".to_owned(), appended.clone());
    let woken = waiting.clone();
    let follows = tokio::spawn(async move { relay.follow(&woken).await });
    tokio::task::yield_now().await;
    let read = appended.notified();
    created(&engine, 5).await;
    let before = tokio::time::Instant::now();
    waiting.notify_one();
    read.await;
    assert_eq!((before.elapsed(), log.head().await.unwrap()), (Duration::ZERO, 1), "at once, not at the next look");
    follows.abort();
}
