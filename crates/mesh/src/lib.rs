//! A use case called elsewhere. Here: in the same process, typed, without a copy. The registry is filled once, after all
//! contexts exist, since contexts call each other both ways.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use kernel::{
    Calls, Context, Cx, Operation, Problem, Target,
    context::{Calling, Erased, Outgoing, not_served},
};
use serde_json::Value;

/// The use cases of a process, by name.
#[derive(Default)]
pub struct Registry(OnceLock<HashMap<&'static str, Arc<Operation>>>);

impl Registry {
    /// An empty registry, to be given to contexts before they are mounted.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What contexts hold to call others.
    pub fn calls(self: &Arc<Self>) -> Calls {
        Calls::new(Arc::clone(self) as Arc<dyn Calling>)
    }

    /// Mounts the use cases of all contexts. Only the first call counts.
    pub fn mount(&self, contexts: &[Context]) {
        let served = contexts.iter().flat_map(|context| {
            let routed = context.routes.iter().filter_map(|route| match &route.target {
                Target::UseCase(operation) => Some(operation),
                Target::Endpoint(_) => None,
            });
            routed.chain(&context.internal)
        });
        let by_name = served.map(|operation| (operation.name, Arc::clone(operation))).collect();
        // A second mount would be a fault of the composition; what is mounted stays.
        drop(self.0.set(by_name));
    }

    /// The use case of a name.
    pub fn find(&self, name: &str) -> Option<Arc<Operation>> {
        self.0.get()?.get(name).cloned()
    }

    /// All names.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.0.get().into_iter().flat_map(HashMap::keys).copied().collect();
        names.sort_unstable();
        names
    }
}

#[async_trait]
impl Calling for Registry {
    async fn call(&self, name: &'static str, input: Outgoing, cx: &Cx) -> Result<Erased, Problem> {
        let operation = self.find(name).ok_or_else(|| not_served(name))?;
        operation.call(input.it, cx.clone()).await
    }

    async fn ask(&self, name: &str, input: Value, cx: &Cx) -> Result<Value, Problem> {
        let operation = self.find(name).ok_or_else(|| not_served(name))?;
        let answer = operation.run(input, cx.clone()).await?;
        serde_json::from_slice(&answer).map_err(Problem::internal)
    }
}
