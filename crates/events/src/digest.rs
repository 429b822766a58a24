//! Digesting one event: whichever reactions of a context concern it, each as the context's service principal.

use std::{sync::Arc, time::Duration};

use kernel::{
    Caller, Catalogue, Cx, DefaultRole, Envelope, Problem, ProblemKind, Scope,
    context::{Context, Reaction},
    cx::Ambient,
    event::CHANGED,
};
use keys::{KeyError, Keys};

/// How often an event is tried at once; then it is put aside, or, where trying again can help, waits for its turn.
pub(crate) const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);
/// The longest that a reaction may take. It may run on after that: its effects are marked, and happen once.
const LONGEST: Duration = Duration::from_secs(30);

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
        let grants = self.catalogue.grants(DefaultRole::Service);
        Cx::verified(scope, Caller::Service { name }, grants, &self.ambient)
    }

    /// A service in the platform's scope, in the course of what happens in a tenant's.
    pub fn at_platform(&self, name: &'static str, cx: &Cx) -> Cx {
        let platform = self.cx(name, Scope::Platform).traced(cx.trace());
        let platform = match cx.causation() {
            Some(event) => platform.caused_by(event, &cx.correlation()),
            None => platform,
        };
        match cx.write_key() {
            Some(key) => platform.repeatable(&key.0),
            None => platform,
        }
    }

    /// The surroundings.
    pub fn ambient(&self) -> &Ambient {
        &self.ambient
    }
}

/// What came of an event.
#[derive(Debug)]
pub(crate) enum Digested {
    /// Done, or nothing to do.
    Done,
    /// These reactions failed and will fail again: name and code.
    Refused(Vec<(String, String)>),
    /// Something that is needed is not there at the moment.
    Later(Problem),
}

/// The reactions of one context.
pub(crate) struct Digest {
    pub(crate) context: &'static str,
    table: Vec<Reaction>,
    keys: Keys,
    pub(crate) services: Services,
}

impl Digest {
    pub(crate) fn of(context: &Context, keys: Keys, services: Services) -> Self {
        Self { context: context.name, table: context.reactions.clone(), keys, services }
    }

    /// Whether the context reads the log at all.
    pub(crate) fn follows(&self) -> bool {
        !self.table.is_empty()
    }

    pub(crate) fn concerns(&self, kind: &str) -> bool {
        kind != CHANGED && self.table.iter().any(|it| it.on == "*" || it.on == kind)
    }

    /// Runs all reactions that concern an event; one alone where `only` names it.
    pub(crate) async fn event(&self, sealed: &Envelope, only: Option<&str>) -> Digested {
        let mut refused = Vec::new();
        if sealed.r#type == CHANGED {
            return Digested::Done;
        }
        let concerned = self.table.iter().filter(|it| it.on == "*" || it.on == sealed.r#type);
        for reaction in concerned.filter(|it| only.is_none_or(|only| it.name == only)) {
            let mut attempt = 0;
            while let Err(problem) = self.once(reaction, sealed.clone()).await {
                attempt += 1;
                if attempt < ATTEMPTS {
                    tokio::time::sleep(PAUSE * attempt).await;
                    continue;
                }
                // A limit that is used up may stay so: no reader waits for that.
                if problem.kind().retryable() && problem.kind() != ProblemKind::Limited {
                    return Digested::Later(problem);
                }
                // It failed on what is no more: of a scope that was erased, nothing is left to react for.
                if matches!(self.keys.scope(sealed.scope).await, Err(KeyError::Destroyed)) {
                    return Digested::Done;
                }
                let (code, cause) = (problem.code(), problem.source_text());
                tracing::error!(context = self.context, reaction = reaction.name, code, cause, "an event is put aside");
                refused.push((reaction.name.to_owned(), problem.code().to_owned()));
                break;
            }
        }
        if refused.is_empty() { Digested::Done } else { Digested::Refused(refused) }
    }

    async fn once(&self, reaction: &Reaction, sealed: Envelope) -> Result<(), Problem> {
        let event = match store::envelope::open(&self.keys, sealed).await {
            // The scope was erased since: nothing is left to react for.
            Err(gone) if gone.kind() == ProblemKind::Gone => return Ok(()),
            opened => opened?,
        };
        let key = format!("{}/{}/{}", self.context, reaction.name, event.id);
        let cx = self.services.cx(self.context, event.scope);
        let cx = cx.repeatable(&key).caused_by(&event.id, &event.correlationid);
        let ran = tokio::time::timeout(LONGEST, reaction.run(event, cx)).await;
        match ran.unwrap_or_else(|_| Err(too_long())) {
            Err(gone) if gone.kind() == ProblemKind::Gone => Ok(()),
            outcome => outcome,
        }
    }
}

fn too_long() -> Problem {
    Problem::new(ProblemKind::Timeout, "reaction_too_slow", "a reaction took longer than 30 seconds")
        .hint("it is tried again by itself")
}
