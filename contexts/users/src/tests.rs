//! The context through its own table, on the model store.

mod activity;
mod erasure;
mod fields;
mod preferences;
mod profiles;
mod standing;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use contracts::identity::{CloseAccess, UserRegistered};
use kernel::{
    Caller, Calls, Catalogue, Clock, Context, Cx, DefaultRole, Envelope, Event, Id, Operation, Personal, Problem,
    ProblemKind, Scope, Target, Timestamp, UserId,
    context::{Calling, Erased, Fired, Outgoing, not_served},
    cx::Ambient,
    entropy::SystemEntropy,
    time::ManualClock,
};
use keys::{KeyError, Keyring, Keys, Wrapped, WrappedKeys, model::ModelKeys};
use serde_json::Value;
use store::{Outbox, Store, Upkeep, model::ModelEngine, port::OUTBOX_PARTITIONS};

/// Wrapped keys that can be out of reach.
#[derive(Default)]
struct Kept {
    keys: ModelKeys,
    unreachable: Mutex<bool>,
}

#[async_trait]
impl WrappedKeys for Kept {
    async fn get(&self, name: &str) -> Result<Option<Wrapped>, KeyError> {
        self.keys.get(name).await
    }
    async fn add(&self, name: &str, key: Vec<u8>) -> Result<Wrapped, KeyError> {
        self.keys.add(name, key).await
    }
    async fn destroy(&self, name: &str) -> Result<(), KeyError> {
        if *self.unreachable.lock().unwrap() {
            return Err(KeyError::Unavailable("switched off".to_owned()));
        }
        self.keys.destroy(name).await
    }
}

/// The other contexts: whose access was closed, who is the last owner, and what they hold of anybody.
#[derive(Default)]
struct Others {
    closed: Mutex<Vec<UserId>>,
    last_owner: Mutex<Option<UserId>>,
    own: Mutex<Vec<Arc<Operation>>>,
    exports: Mutex<BTreeMap<&'static str, Value>>,
}

#[async_trait]
impl Calling for Others {
    async fn call(&self, name: &'static str, input: Outgoing, _: &Cx) -> Result<Erased, Problem> {
        let close = input.it.downcast::<CloseAccess>().map_err(|_| not_served(name))?;
        if *self.last_owner.lock().unwrap() == Some(close.user) {
            return Err(Problem::new(ProblemKind::Refused, "identity.last_owner", "the last owner"));
        }
        self.closed.lock().unwrap().push(close.user);
        Ok(Box::new(()))
    }

    async fn ask(&self, name: &str, input: Value, cx: &Cx) -> Result<Value, Problem> {
        let own = self.own.lock().unwrap().iter().find(|operation| operation.name == name).cloned();
        if let Some(operation) = own {
            let answer = operation.run(input, cx.clone()).await?;
            return Ok(serde_json::from_slice(&answer).unwrap());
        }
        self.exports.lock().unwrap().get(name).cloned().ok_or_else(|| not_served(name))
    }
}

struct Fixture {
    _folder: tempfile::TempDir,
    engine: Arc<ModelEngine>,
    kept: Arc<Kept>,
    others: Arc<Others>,
    store: Store,
    context: Context,
    clock: Arc<ManualClock>,
    ambient: Ambient,
    scope: Scope,
    delivered: Mutex<BTreeSet<String>>,
}

fn operations(context: &Context) -> Vec<Arc<Operation>> {
    let routed = context.routes.iter().filter_map(|route| match &route.target {
        Target::UseCase(operation) => Some(operation),
        Target::Endpoint(_) => None,
    });
    routed.chain(&context.internal).cloned().collect()
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap()));
        let ambient = Ambient::new(Arc::clone(&clock) as _, Arc::new(SystemEntropy::default()));
        let keyring = Keyring::open(&folder.path().join("keyring"), &*ambient.entropy).unwrap();
        let kept = Arc::new(Kept::default());
        let keys = Keys::new(keyring, Arc::clone(&kept) as _, Arc::clone(&ambient.entropy));
        let engine = Arc::new(ModelEngine::default());
        let store = Store::new(Arc::clone(&engine) as _, keys);
        let others = Arc::new(Others::default());
        let settings = crate::Settings { own_grace: Duration::from_hours(7 * 24) };
        let context = crate::context(store.clone(), Calls::new(Arc::clone(&others) as _), settings);
        *others.own.lock().unwrap() = operations(&context);
        let platform = Cx::verified(Scope::Platform, Caller::Visitor, kernel::Grants::default(), &ambient);
        let scope = Scope::Tenant(platform.new_id());
        let delivered = Mutex::default();
        Self { _folder: folder, engine, kept, others, store, context, clock, ambient, scope, delivered }
    }

    fn cx(&self, caller: Caller, role: DefaultRole) -> Cx {
        let catalogue = Catalogue::new(self.context.permissions.iter().copied());
        Cx::verified(self.scope, caller, catalogue.grants(role), &self.ambient)
    }

    fn service(&self) -> Cx {
        self.cx(Caller::Service { name: "users" }, DefaultRole::Service)
    }

    async fn run(&self, cx: Cx, name: &str, input: Value) -> Result<Value, Problem> {
        let operation = operations(&self.context).into_iter().find(|it| it.name == name).unwrap();
        operation.run(input, cx).await.map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }

    async fn ask(&self, user: UserId, role: DefaultRole, name: &str, input: Value) -> Result<Value, Problem> {
        self.run(self.cx(Caller::User { id: user, session: None }, role), name, input).await
    }

    fn envelope<E: Event>(&self, event: &E, actor: &str) -> Envelope {
        let cx = self.service();
        Envelope {
            specversion: "1.0".to_owned(),
            id: data_encoding::BASE32HEX_NOPAD.encode(&cx.random::<20>()).to_lowercase(),
            source: "freehold/other".to_owned(),
            r#type: E::TYPE.to_owned(),
            subject: "other.thing/x".to_owned(),
            time: cx.now(),
            scope: self.scope,
            sequence: 1,
            traceparent: String::new(),
            correlationid: String::new(),
            causationid: None,
            actor: actor.to_owned(),
            action: None,
            recordedtime: None,
            person: event.person(),
            data: serde_json::to_value(event).unwrap(),
        }
    }

    /// All reactions to an event, as the reader of the log runs them. No write key: the store may have forgotten the first
    /// time when an old event is replayed.
    async fn react(&self, event: &Envelope) -> Result<(), Problem> {
        for reaction in self.context.reactions.iter().filter(|it| it.on == "*" || it.on == event.r#type) {
            reaction.run(event.clone(), self.service()).await?;
        }
        Ok(())
    }

    async fn register(&self, number: u128, name: &str, email: &str) -> UserId {
        let user = person(number);
        let (email, name) = (Personal::Known(email.parse().unwrap()), Personal::Known(name.parse().unwrap()));
        self.react(&self.envelope(&UserRegistered { user, email, name }, "visitor")).await.unwrap();
        user
    }

    /// All events that the context has emitted so far, personal values opened.
    async fn events(&self) -> Vec<Envelope> {
        let mut events = Vec::new();
        for partition in 0..OUTBOX_PARTITIONS {
            for waiting in self.engine.pending(partition, 1000).await.unwrap() {
                let sealed = serde_json::from_slice::<Envelope>(&waiting.envelope).unwrap();
                events.push(store::envelope::open(self.store.keys(), sealed).await.unwrap());
            }
        }
        events
    }

    /// Brings what the context has emitted since the last time back to its own reactions.
    async fn deliver(&self) {
        for event in self.events().await {
            if self.delivered.lock().unwrap().insert(event.id.clone()) {
                self.react(&event).await.unwrap();
            }
        }
    }

    /// Acts on the timers that are due, once. How many there were.
    async fn timers(&self) -> usize {
        let due = self.engine.due(None, self.clock.now(), 200).await.unwrap();
        for timer in &due {
            let on_due = self.context.timers.iter().find(|it| it.kind == timer.key.kind).unwrap();
            let fired = Fired { id: timer.key.id.clone(), timer: timer.timer.name.clone(), due: timer.timer.due };
            drop(on_due.act(fired, self.service()).await);
        }
        due.len()
    }
}

fn person(number: u128) -> UserId {
    Id::from_uuid(format!("01890000-0000-7000-8000-{number:012x}").parse().unwrap())
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect()
}

/// The fields of a problem that are wrong.
fn pointers(refused: &Problem) -> Vec<String> {
    refused.document(None).errors.into_iter().map(|error| error.pointer).collect()
}
