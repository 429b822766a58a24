//! From the event or the request to the channel and back, on the model store with a clock that stands still.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use contracts::{
    identity::{EmailChanged, InvitationRevoked, LinkPurpose, LinkRequested, UserRegistered},
    notifications::{NotificationRequested, NotificationSent},
    tenants::TenantProvisioned,
    users::{ConfirmErasure, ERASED, EXPORT, UserDeactivated, UserErasureRequested},
};
use kernel::{
    Caller, Catalogue, Context, Cx, DefaultRole, Envelope, Event, Granted, Handle, Id, Personal, Problem, Scope,
    Target as Leads, Timestamp, UserId, context::Fired, cx::Ambient, entropy::SystemEntropy, time::ManualClock,
};
use keys::{Keyring, Keys, model::ModelKeys};
use serde_json::{Value, json};
use store::{Outbox, Store, Upkeep, model::ModelEngine, port::OUTBOX_PARTITIONS};

use crate::{Carrier, DeliveryError, Message, Outcome, Reach, Site, Target, context};

/// Answers as scripted, then takes everything.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<DeliveryError>>,
    seen: Mutex<Vec<Message>>,
}

#[async_trait]
impl Carrier for Scripted {
    async fn deliver(&self, message: &Message) -> Outcome {
        self.seen.lock().unwrap().push(message.clone());
        self.answers.lock().unwrap().pop_front().map_or(Ok(()), Err).into()
    }
}

/// What the context `users` hears.
#[derive(Default)]
struct Users(Mutex<Vec<UserId>>);

impl Handle<ConfirmErasure> for Users {
    async fn handle(&self, it: ConfirmErasure, _: Granted<ConfirmErasure>) -> Result<(), Problem> {
        self.0.lock().unwrap().push(it.user);
        Ok(())
    }
}

struct Fixture {
    _folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    ambient: Ambient,
    engine: Arc<ModelEngine>,
    store: Store,
    mail: Arc<Scripted>,
    users: Arc<Users>,
    context: Context,
    scope: Scope,
}

fn id<K: kernel::IdKind>(number: u32) -> Id<K> {
    Id::from_uuid(format!("01890000-0000-7000-8000-{number:012x}").parse().unwrap())
}

impl Fixture {
    /// A tenant with one person, Ada.
    async fn answering(answers: impl IntoIterator<Item = DeliveryError>) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap()));
        let ambient = Ambient::new(Arc::clone(&clock) as _, Arc::new(SystemEntropy::default()));
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::open(&folder.path().join("keyring"), &*ambient.entropy).unwrap();
        let keys = Keys::new(keyring, Arc::new(ModelKeys::default()), Arc::clone(&ambient.entropy));
        let engine = Arc::new(ModelEngine::default());
        let store = Store::new(Arc::clone(&engine) as _, keys);
        let mail = Arc::new(Scripted { answers: Mutex::new(answers.into_iter().collect()), ..Scripted::default() });
        let users = Arc::new(Users::default());
        let registry = mesh::Registry::new();
        registry.mount(&[Context::new("users", &[ERASED]).internal::<ConfirmErasure, _>(&users)]);
        let (host, port) = ("example.com".to_owned(), None);
        let site = Site { scheme: "https".to_owned(), host, port, reach: Reach::Public };
        let context =
            context(store.clone(), registry.calls(), Arc::clone(&mail) as _, site, Arc::clone(&ambient.clock));
        let scope = Scope::Tenant(id(1));
        let it = Self { _folder: folder, clock, ambient, engine, store, mail, users, context, scope };
        let (email, name) = ("ada@example.com".parse().unwrap(), "Ada".parse().unwrap());
        let (owner_email, owner_name) = (Personal::Known(email), Personal::Known(name));
        let (slug, name) = (Personal::Known("acme".parse().unwrap()), Personal::Known("Acme".parse().unwrap()));
        let provisioned = TenantProvisioned { tenant: id(1), slug, name, owner: ada(), owner_email, owner_name };
        it.tell_in(Scope::Platform, "provisioned", &provisioned).await;
        let (email, name) = ("ada@example.com".parse().unwrap(), "Ada".parse().unwrap());
        let registered = UserRegistered { user: ada(), email: Personal::Known(email), name: Personal::Known(name) };
        it.tell("registered", &registered).await;
        it
    }

    fn cx(&self, caller: Caller, role: DefaultRole) -> Cx {
        let all = self.context.permissions.iter().copied().chain([ERASED, EXPORT]);
        Cx::verified(self.scope, caller, Catalogue::new(all).grants(role), &self.ambient)
    }

    fn service(&self) -> Cx {
        self.cx(Caller::Service { name: "notifications" }, DefaultRole::Service)
    }

    async fn tell<E: Event>(&self, event: &str, it: &E) {
        self.tell_in(self.scope, event, it).await;
    }

    /// Runs the reactions to an event, as the reader of the log does.
    async fn tell_in<E: Event>(&self, scope: Scope, event: &str, it: &E) {
        let all = self.context.permissions.iter().copied().chain([ERASED, EXPORT]);
        let grants = Catalogue::new(all).grants(DefaultRole::Service);
        let cx = Cx::verified(scope, Caller::Service { name: "notifications" }, grants, &self.ambient);
        let envelope = Envelope {
            specversion: "1.0".to_owned(),
            id: event.to_owned(),
            source: "freehold/test".to_owned(),
            r#type: E::TYPE.to_owned(),
            subject: format!("test/{event}"),
            time: cx.now(),
            scope,
            sequence: 1,
            traceparent: String::new(),
            correlationid: String::new(),
            causationid: None,
            actor: "visitor".to_owned(),
            action: None,
            recordedtime: None,
            person: it.person(),
            data: serde_json::to_value(it).unwrap(),
        };
        // No write key: the store may have forgotten the first time when an old event is replayed.
        for reaction in self.context.reactions.iter().filter(|it| it.on == E::TYPE || it.on == "*") {
            reaction.run(envelope.clone(), cx.clone()).await.unwrap();
        }
    }

    async fn link(&self, event: &str, user: UserId) {
        let (email, name) = ("ada@example.com".parse().unwrap(), "Ada".parse().unwrap());
        let link = "https://acme.example.com/verify?token=secret".to_owned();
        let (email, name, link) = (Personal::Known(email), Personal::Known(name), Personal::Known(link));
        self.tell(event, &LinkRequested { user, purpose: LinkPurpose::Verify, email, name, link }).await;
    }

    /// Fires what is due, as the runner of timers does.
    async fn fire(&self) -> Vec<Fired> {
        let due = self.engine.due(None, self.ambient.clock.now(), 100).await.unwrap();
        let mut all = Vec::new();
        for it in due {
            let fired = Fired { id: it.key.id, timer: it.timer.name, due: it.timer.due };
            self.act(&it.key.kind, &fired).await;
            all.push(fired);
        }
        all
    }

    async fn act(&self, kind: &str, fired: &Fired) {
        let on_due = self.context.timers.iter().find(|it| it.kind == kind).unwrap();
        let key = format!("timer/{kind}/{}/{}/{}", fired.id, fired.timer, fired.due);
        on_due.act(fired.clone(), self.service().repeatable(&key)).await.unwrap();
    }

    fn mails(&self) -> Vec<Message> {
        self.mail.seen.lock().unwrap().clone()
    }

    async fn ask(&self, caller: Caller, role: DefaultRole, name: &str, input: Value) -> Result<Value, Problem> {
        let found = self.context.routes.iter().find(|route| route.target.name() == name);
        let Leads::UseCase(operation) = &found.unwrap_or_else(|| panic!("no {name}")).target else { panic!("{name}") };
        let answer = operation.run(input, self.cx(caller, role)).await?;
        Ok(serde_json::from_slice(&answer).unwrap())
    }

    async fn admin(&self, name: &str, input: Value) -> Value {
        let caller = Caller::User { id: id(9), session: None };
        self.ask(caller, DefaultRole::Admin, name, input).await.unwrap()
    }

    async fn person(&self, user: UserId, name: &str, input: Value) -> Value {
        self.ask(Caller::User { id: user, session: None }, DefaultRole::Person, name, input).await.unwrap()
    }

    async fn refused(&self, name: &str, input: Value) -> (String, Vec<String>) {
        let caller = Caller::User { id: id(9), session: None };
        let problem = self.ask(caller, DefaultRole::Admin, name, input).await.unwrap_err().document(None);
        (problem.code, problem.errors.into_iter().map(|it| it.pointer).collect())
    }

    /// A published template that tells people that an order is on its way.
    async fn published(&self) {
        let wording = json!({
            "category": "product",
            "variables": { "order": { "type": "text", "example": "4711" } },
            "locales": {
                "en": { "subject": "Order {{ order }}", "text": "Dear {{ recipient }}, {{ order }} is on its way. {{ unsubscribe }}" },
                "de": { "subject": "Bestellung {{ order }}", "text": "{{ order }} ist unterwegs.", "html": "<p>{{ order }}</p>" },
            },
        });
        self.admin("notifications.templates.save", json!({ "template": "order.shipped", "wording": wording })).await;
        self.admin("notifications.templates.publish", json!({ "template": "order.shipped" })).await;
    }

    async fn send(&self, id: &str, to: Value) -> Value {
        let variables = json!({ "order": "4711" });
        let asked = json!({ "id": id, "to": to, "template": "order.shipped", "variables": variables });
        self.admin("notifications.send", asked).await
    }

    async fn events(&self) -> Vec<Envelope> {
        let mut events = Vec::new();
        for partition in 0..OUTBOX_PARTITIONS {
            let waiting = self.engine.pending(partition, 1000).await.unwrap();
            events.extend(waiting.iter().map(|it| serde_json::from_slice::<Envelope>(&it.envelope).unwrap()));
        }
        events
    }
}

fn ada() -> UserId {
    id(2)
}

fn busy() -> DeliveryError {
    DeliveryError::Transient("busy".to_owned())
}

mod delivery;
mod sending;
