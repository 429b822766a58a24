//! Contexts follow the log: each is one reader, and acts as its own service principal in the scope of the event.

use std::{sync::Arc, time::Duration};

use kernel::{
    Caller, Catalogue, Cx, DefaultRole, Envelope, Problem, Scope,
    context::{Context, Reaction},
    cx::Ambient,
};
use keys::Keys;
use tokio::sync::Notify;

use crate::{DeadLetter, Log, LogError};

const BATCH: usize = 200;
/// How often an event is tried before it is put aside, unless trying again can help: then for as long as it takes.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);
/// The longest between two looks at the log, should a wake-up be missed.
const LOOK: Duration = Duration::from_millis(500);

/// Makes the contexts in which services act.
#[derive(Clone)]
pub struct Services {
    catalogue: Arc<Catalogue>,
    ambient: Ambient,
}

impl Services {
    /// Services that hold what the catalogue says services hold.
    pub fn new(catalogue: Arc<Catalogue>, ambient: Ambient) -> Self {
        Self { catalogue, ambient }
    }

    /// A service acting in a scope.
    pub fn cx(&self, name: &'static str, scope: Scope) -> Cx {
        let grants = self.catalogue.grants(&[DefaultRole::Service]);
        Cx::verified(scope, Caller::Service { name }, grants, &self.ambient)
    }
}

/// The reactions of one context.
pub struct Reactions {
    context: &'static str,
    table: Vec<Reaction>,
    log: Arc<dyn Log>,
    keys: Keys,
    services: Services,
    appended: Arc<Notify>,
}

impl Reactions {
    /// The reactions of a context, reading a log.
    pub fn of(context: &Context, log: Arc<dyn Log>, keys: Keys, services: Services, appended: Arc<Notify>) -> Self {
        Self { context: context.name, table: context.reactions.clone(), log, keys, services, appended }
    }

    /// Reads for ever; drop the future to stop.
    pub async fn follow(self) {
        loop {
            let woken = self.appended.notified();
            match self.turn().await {
                Ok(0) => drop(tokio::time::timeout(LOOK, woken).await),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(context = self.context, %error, "the log cannot be read");
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }

    /// Reacts to the next events. Returns how many there were.
    pub async fn turn(&self) -> Result<usize, LogError> {
        let after = self.log.position(self.context).await?;
        let logged = self.log.read(after, BATCH).await?;
        let Some(last) = logged.last().map(|last| last.position) else { return Ok(0) };
        for event in &logged {
            self.react(event.position, &event.envelope).await?;
        }
        // Whatever a crash repeats from here is marked in its targets, and has no second effect.
        self.log.advance(self.context, last).await?;
        Ok(logged.len())
    }

    async fn react(&self, position: u64, envelope: &[u8]) -> Result<(), LogError> {
        let sealed: Envelope = serde_json::from_slice(envelope).map_err(|error| LogError(error.to_string()))?;
        let concerned: Vec<_> = self.table.iter().filter(|it| it.on == "*" || it.on == sealed.r#type).collect();
        if concerned.is_empty() {
            return Ok(());
        }
        for reaction in concerned {
            let mut attempt = 0;
            while let Err(problem) = self.once(reaction, sealed.clone()).await {
                attempt += 1;
                // A limit that is used up may stay so: no reader waits for that.
                let waits = problem.kind().retryable() && problem.kind() != kernel::ProblemKind::Limited;
                if !waits && attempt >= ATTEMPTS {
                    let (reader, reason) = (format!("{}.{}", self.context, reaction.name), problem.code().to_owned());
                    tracing::error!(reader, position, reason, cause = problem.source_text(), "an event was put aside");
                    let at = self.services.cx(self.context, Scope::Platform).now();
                    self.log.bury(DeadLetter { reader, position, reason, at }).await?;
                    break;
                }
                tokio::time::sleep(PAUSE * attempt.min(100)).await;
            }
        }
        Ok(())
    }

    async fn once(&self, reaction: &Reaction, sealed: Envelope) -> Result<(), Problem> {
        let event = match store::envelope::open(&self.keys, sealed).await {
            // The scope was erased since: nothing is left to react for.
            Err(gone) if gone.kind() == kernel::ProblemKind::Gone => return Ok(()),
            opened => opened?,
        };
        let key = format!("{}/{}/{}", self.context, reaction.name, event.id);
        let cx = self.services.cx(self.context, event.scope);
        let cx = cx.repeatable(&key).caused_by(&event.id, &event.correlationid);
        match reaction.run(event, cx).await {
            Err(gone) if gone.kind() == kernel::ProblemKind::Gone => Ok(()),
            outcome => outcome,
        }
    }
}
