//! The log in memory: what the simulation runs on. One lock, no tricks.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use kernel::{Scope, Timestamp};

use crate::{DeadLetter, Entry, Log, LogError, Logged, log::scope_of};

#[derive(Default)]
struct State {
    events: BTreeMap<u64, (Scope, Vec<u8>)>,
    head: u64,
    ids: HashSet<String>,
    readers: BTreeMap<String, u64>,
    buried: BTreeMap<(String, u64), DeadLetter>,
}

/// A log that forgets everything when it is dropped.
#[derive(Default)]
pub struct ModelLog(Mutex<State>);

impl ModelLog {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Log for ModelLog {
    async fn append(&self, entries: Vec<Entry>) -> Result<(), LogError> {
        let mut state = self.state();
        for entry in entries {
            if state.ids.insert(entry.id) {
                state.head += 1;
                let head = state.head;
                state.events.insert(head, (entry.scope, entry.envelope));
            }
        }
        Ok(())
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Logged>, LogError> {
        let state = self.state();
        let later = state.events.range(after.saturating_add(1)..).take(limit);
        Ok(later.map(|(position, (_, envelope))| Logged { position: *position, envelope: envelope.clone() }).collect())
    }

    async fn read_of(&self, scope: Scope, after: u64, limit: usize) -> Result<Vec<Logged>, LogError> {
        let state = self.state();
        let own = state.events.range(after.saturating_add(1)..).filter(|(_, (of, _))| *of == scope).take(limit);
        Ok(own.map(|(position, (_, envelope))| Logged { position: *position, envelope: envelope.clone() }).collect())
    }

    async fn readers(&self, prefix: &str) -> Result<Vec<(String, u64)>, LogError> {
        let state = self.state();
        let named = state.readers.iter().filter(|(name, _)| name.starts_with(prefix));
        Ok(named.map(|(name, position)| (name.clone(), *position)).collect())
    }

    async fn dismiss(&self, reader: &str) -> Result<(), LogError> {
        self.state().readers.remove(reader);
        Ok(())
    }

    async fn position(&self, reader: &str) -> Result<u64, LogError> {
        Ok(self.state().readers.get(reader).copied().unwrap_or(0))
    }

    async fn advance(&self, reader: &str, position: u64) -> Result<(), LogError> {
        self.state().readers.insert(reader.to_owned(), position);
        Ok(())
    }

    async fn head(&self) -> Result<u64, LogError> {
        Ok(self.state().head)
    }

    async fn bury(&self, letter: DeadLetter) -> Result<(), LogError> {
        self.state().buried.insert((letter.reader.clone(), letter.position), letter);
        Ok(())
    }

    async fn buried(&self, limit: usize) -> Result<Vec<DeadLetter>, LogError> {
        let mut letters: Vec<_> = self.state().buried.values().cloned().collect();
        letters.sort_by_key(|letter| std::cmp::Reverse(letter.at));
        letters.truncate(limit);
        Ok(letters)
    }

    async fn exhume(&self, reader: &str, position: u64) -> Result<(), LogError> {
        self.state().buried.remove(&(reader.to_owned(), position));
        Ok(())
    }

    /// Age is not known here: all counts as old, but for an instant before all time.
    async fn trim(&self, before: Timestamp) -> Result<u64, LogError> {
        if before <= Timestamp::UNIX_EPOCH {
            return Ok(0);
        }
        let mut state = self.state();
        let (mut passed, mut behind) = (None::<u64>, BTreeMap::<Scope, u64>::new());
        for (reader, position) in &state.readers {
            match scope_of(reader) {
                Some(scope) => {
                    behind.entry(scope).and_modify(|it| *it = (*it).min(*position)).or_insert(*position);
                }
                None => passed = Some(passed.map_or(*position, |passed| passed.min(*position))),
            }
        }
        let count = state.events.len();
        state.events.retain(|position, (scope, _)| {
            *position > passed.unwrap_or(0) || behind.get(scope).is_some_and(|passed| position > passed)
        });
        Ok((count - state.events.len()) as u64)
    }

    async fn erase(&self, scope: Scope) -> Result<(), LogError> {
        self.state().events.retain(|_, (of, _)| *of != scope);
        Ok(())
    }
}
