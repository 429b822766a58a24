//! The suite must be able to fail: each log here breaks one promise, and is refused.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use freehold_events::{DeadLetter, Entry, Log, LogError, Logged, contract, model::ModelLog};
use kernel::{Scope, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    AppendsTwice,
    AppendsBackwards,
    LosesTheLast,
    ReadsFromThePosition,
    ReadsBackwards,
    MixesScopes,
    ForgetsPlaces,
    KeepsDismissed,
    ListsAllReaders,
    BuriesNothing,
    KeepsExhumed,
    TrimsTheYoung,
    TrimsNothing,
    TrimsPastReaders,
    ErasesNothing,
    ErasesTooMuch,
    HidesTheHead,
}

struct Broken(ModelLog, Fault, AtomicU64);

impl Broken {
    fn has(&self, fault: Fault) -> bool {
        self.1 == fault
    }
}

#[async_trait]
impl Log for Broken {
    async fn append(&self, mut entries: Vec<Entry>) -> Result<(), LogError> {
        if self.has(Fault::AppendsTwice) {
            for entry in &mut entries {
                entry.id = format!("{}/{}", entry.id, self.2.fetch_add(1, Ordering::Relaxed));
            }
        }
        if self.has(Fault::AppendsBackwards) {
            entries.reverse();
        }
        if self.has(Fault::LosesTheLast) {
            entries.pop();
        }
        self.0.append(entries).await
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Logged>, LogError> {
        let after = if self.has(Fault::ReadsFromThePosition) { after.saturating_sub(1) } else { after };
        let mut read = self.0.read(after, limit).await?;
        if self.has(Fault::ReadsBackwards) {
            read.reverse();
        }
        Ok(read)
    }

    async fn read_of(&self, scope: Scope, after: u64, limit: usize) -> Result<Vec<Logged>, LogError> {
        if self.has(Fault::MixesScopes) {
            return self.0.read(after, limit).await;
        }
        self.0.read_of(scope, after, limit).await
    }

    async fn position(&self, reader: &str) -> Result<u64, LogError> {
        if self.has(Fault::ForgetsPlaces) { Ok(0) } else { self.0.position(reader).await }
    }

    async fn advance(&self, reader: &str, position: u64) -> Result<(), LogError> {
        self.0.advance(reader, position).await
    }

    async fn readers(&self, prefix: &str) -> Result<Vec<(String, u64)>, LogError> {
        self.0.readers(if self.has(Fault::ListsAllReaders) { "" } else { prefix }).await
    }

    async fn dismiss(&self, reader: &str) -> Result<(), LogError> {
        if self.has(Fault::KeepsDismissed) { Ok(()) } else { self.0.dismiss(reader).await }
    }

    async fn head(&self) -> Result<u64, LogError> {
        if self.has(Fault::HidesTheHead) { Ok(0) } else { self.0.head().await }
    }

    async fn bury(&self, letter: DeadLetter) -> Result<(), LogError> {
        if self.has(Fault::BuriesNothing) { Ok(()) } else { self.0.bury(letter).await }
    }

    async fn buried(&self, limit: usize) -> Result<Vec<DeadLetter>, LogError> {
        self.0.buried(limit).await
    }

    async fn exhume(&self, reader: &str, position: u64) -> Result<(), LogError> {
        if self.has(Fault::KeepsExhumed) { Ok(()) } else { self.0.exhume(reader, position).await }
    }

    async fn trim(&self, before: Timestamp) -> Result<u64, LogError> {
        match self.1 {
            Fault::TrimsTheYoung => self.0.trim(Timestamp::MAX).await,
            Fault::TrimsNothing => Ok(0),
            Fault::TrimsPastReaders => {
                for (reader, _) in self.0.readers("").await? {
                    self.0.advance(&reader, u64::MAX >> 1).await?;
                }
                self.0.trim(before).await
            }
            _ => self.0.trim(before).await,
        }
    }

    async fn erase(&self, scope: Scope) -> Result<(), LogError> {
        match self.1 {
            Fault::ErasesNothing => Ok(()),
            Fault::ErasesTooMuch => {
                for (reader, _) in self.0.readers("").await? {
                    self.0.advance(&reader, u64::MAX >> 1).await?;
                }
                self.0.trim(Timestamp::MAX).await.map(drop)
            }
            _ => self.0.erase(scope).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_promise_is_noticed() {
    use Fault::*;
    let faults = [
        AppendsTwice,
        AppendsBackwards,
        LosesTheLast,
        ReadsFromThePosition,
        ReadsBackwards,
        MixesScopes,
        ForgetsPlaces,
        KeepsDismissed,
        ListsAllReaders,
        BuriesNothing,
        KeepsExhumed,
        TrimsTheYoung,
        TrimsNothing,
        TrimsPastReaders,
        ErasesNothing,
        ErasesTooMuch,
        HidesTheHead,
    ];
    let run = |fault| async move {
        let broken = Broken(ModelLog::default(), fault, AtomicU64::new(0));
        tokio::spawn(async move { contract::run(&broken).await }).await.is_err()
    };
    assert!(!run(None).await, "what breaks nothing passes");
    let runs = faults.map(|fault| (fault, tokio::spawn(run(fault))));
    let mut unnoticed = Vec::new();
    for (fault, run) in runs {
        if !run.await.unwrap() {
            unnoticed.push(fault);
        }
    }
    assert_eq!(unnoticed, [], "the suite lets these pass");
}
