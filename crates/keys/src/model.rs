//! Wrapped keys in memory: what tests run on.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use crate::{KeyError, Wrapped, WrappedKeys};

/// All wrapped keys, gone when it is dropped.
#[derive(Default)]
pub struct ModelKeys(Mutex<BTreeMap<String, Wrapped>>);

impl ModelKeys {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Wrapped>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl WrappedKeys for ModelKeys {
    async fn get(&self, name: &str) -> Result<Option<Wrapped>, KeyError> {
        Ok(self.kept().get(name).cloned())
    }

    async fn add(&self, name: &str, key: Vec<u8>) -> Result<Wrapped, KeyError> {
        let mut kept = self.kept();
        let above = name.split_once('/').and_then(|(above, _)| kept.get(above));
        if above == Some(&Wrapped::Destroyed) {
            return Ok(Wrapped::Destroyed);
        }
        Ok(kept.entry(name.to_owned()).or_insert(Wrapped::Key(key)).clone())
    }

    async fn destroy(&self, name: &str) -> Result<(), KeyError> {
        let (mut kept, below) = (self.kept(), format!("{name}/"));
        kept.retain(|it, _| !it.starts_with(&below));
        kept.insert(name.to_owned(), Wrapped::Destroyed);
        Ok(())
    }
}
