//! From the event to the channel and back, on the model store with a clock that stands still.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{Channel, DeliveryError, Message, context};
use async_trait::async_trait;
use contracts::{
    identity::{LinkPurpose, LinkRequested},
    notifications::{NotificationRequested, NotificationSent},
};
use kernel::{
    Caller, Catalogue, Context, Cx, DefaultRole, Envelope, Event, Id, Personal, Scope, Target, Timestamp, UserId,
    context::{Fired, Input},
    cx::Ambient,
    entropy::SystemEntropy,
    time::ManualClock,
};
use keys::{KeyError, Keyring, Keys, Wrapped, WrappedKeys};
use serde_json::{Value, json};
use store::{Outbox, Store, Upkeep, model::ModelEngine, port::OUTBOX_PARTITIONS};

#[derive(Default)]
struct Kept(Mutex<BTreeMap<String, Wrapped>>);

#[async_trait]
impl WrappedKeys for Kept {
    async fn get(&self, name: &str) -> Result<Option<Wrapped>, KeyError> {
        Ok(self.0.lock().unwrap().get(name).cloned())
    }
    async fn add(&self, name: &str, key: Vec<u8>) -> Result<Wrapped, KeyError> {
        Ok(self.0.lock().unwrap().entry(name.to_owned()).or_insert(Wrapped::Key(key)).clone())
    }
    async fn destroy(&self, name: &str) -> Result<(), KeyError> {
        self.0.lock().unwrap().insert(name.to_owned(), Wrapped::Destroyed);
        Ok(())
    }
}

/// Answers as scripted, then takes everything.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<DeliveryError>>,
    seen: Mutex<Vec<Message>>,
}

#[async_trait]
impl Channel for Scripted {
    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        self.seen.lock().unwrap().push(message.clone());
        self.answers.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }
}

struct Fixture {
    _folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    ambient: Ambient,
    engine: Arc<ModelEngine>,
    store: Store,
    channel: Arc<Scripted>,
    context: Context,
    scope: Scope,
}

fn id<K: kernel::IdKind>(number: u32) -> Id<K> {
    Id::from_uuid(format!("01890000-0000-7000-8000-{number:012x}").parse().unwrap())
}

impl Fixture {
    fn answering(answers: impl IntoIterator<Item = DeliveryError>) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap()));
        let ambient = Ambient::new(Arc::clone(&clock) as _, Arc::new(SystemEntropy::default()));
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::open(&folder.path().join("keyring"), &*ambient.entropy).unwrap();
        let keys = Keys::new(keyring, Arc::new(Kept::default()), Arc::clone(&ambient.entropy));
        let engine = Arc::new(ModelEngine::default());
        let store = Store::new(Arc::clone(&engine) as _, keys);
        let channel = Arc::new(Scripted { answers: Mutex::new(answers.into_iter().collect()), ..Scripted::default() });
        let context = context(store.clone(), Arc::clone(&channel) as _);
        Self { _folder: folder, clock, ambient, engine, store, channel, context, scope: Scope::Tenant(id(1)) }
    }

    fn cx(&self, caller: Caller, role: DefaultRole) -> Cx {
        let catalogue = Catalogue::new(self.context.permissions.iter().copied());
        Cx::verified(self.scope, caller, catalogue.grants(&[role]), &self.ambient)
    }

    fn service(&self) -> Cx {
        self.cx(Caller::Service { name: "notifications" }, DefaultRole::Service)
    }

    async fn request(&self, event: &str, user: UserId) {
        let (email, name) = ("ada@example.com".parse().unwrap(), "Ada".parse().unwrap());
        let link = "https://acme.example.com/verify?token=secret".to_owned();
        let (email, name, link) = (Personal::Known(email), Personal::Known(name), Personal::Known(link));
        self.react(event, &LinkRequested { user, purpose: LinkPurpose::Verify, email, name, link }).await;
    }

    async fn react(&self, event: &str, requested: &LinkRequested) {
        let envelope = Envelope {
            specversion: "1.0".to_owned(),
            id: event.to_owned(),
            source: "freehold/identity".to_owned(),
            r#type: LinkRequested::TYPE.to_owned(),
            subject: format!("identity.link/{event}"),
            time: self.service().now(),
            scope: self.scope,
            sequence: 1,
            traceparent: String::new(),
            correlationid: String::new(),
            causationid: None,
            actor: "visitor".to_owned(),
            person: requested.person(),
            data: serde_json::to_value(requested).unwrap(),
        };
        // No write key: the store may have forgotten the first time when an old event is replayed.
        self.context.reactions[0].run(envelope, self.service()).await.unwrap();
    }

    /// Fires what is due, as the runner of timers does.
    async fn fire(&self) -> Vec<Fired> {
        let due = self.engine.due(None, self.service().now(), 100).await.unwrap();
        let fired: Vec<_> =
            due.into_iter().map(|it| Fired { id: it.key.id, timer: it.timer.name, due: it.timer.due }).collect();
        for one in &fired {
            self.act(one).await;
        }
        fired
    }

    async fn act(&self, fired: &Fired) {
        let on_due = &self.context.timers[0];
        let cx =
            self.service().repeatable(&format!("timer/{}/{}/{}/{}", on_due.kind, fired.id, fired.timer, fired.due));
        on_due.act(fired.clone(), cx).await.unwrap();
    }

    fn deliveries(&self) -> usize {
        self.channel.seen.lock().unwrap().len()
    }

    async fn list(&self, user: UserId, input: Value) -> Value {
        let Target::UseCase(operation) = &self.context.routes[0].target else { panic!("not a use case") };
        let cx = self.cx(Caller::User { id: user, session: None }, DefaultRole::Person);
        serde_json::from_slice(&operation.run(Input::Value(input), cx).await.unwrap()).unwrap()
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

fn busy() -> DeliveryError {
    DeliveryError::Transient("busy".to_owned())
}

#[tokio::test]
async fn a_channel_that_fails_twice_is_tried_a_third_time() {
    let (it, ada) = (Fixture::answering([busy(), busy()]), id(2));
    it.request("one", ada).await;
    assert_eq!(it.fire().await.len(), 1);
    for pause in [5, 10] {
        it.clock.advance(Duration::from_millis(pause * 1000 - 1));
        assert!(it.fire().await.is_empty());
        it.clock.advance(Duration::from_millis(1));
        assert_eq!(it.fire().await.len(), 1);
    }
    it.clock.advance(Duration::from_hours(1));
    assert!(it.fire().await.is_empty());

    let seen = it.channel.seen.lock().unwrap().clone();
    assert!(seen.len() == 3 && seen.iter().all(|message| *message == seen[0]));
    assert_eq!(seen[0].address.as_str(), "ada@example.com");
    assert!(seen[0].text.contains("https://acme.example.com/verify?token=secret"));
    let listed = it.list(ada, json!({})).await;
    let expected = json!({
        "id": seen[0].id, "channel": "mail", "address": "ada@example.com", "subject": "Confirm your e-mail address",
        "status": "sent", "attempts": 3, "created": "2027-01-15T08:00:00Z",
    });
    assert_eq!(listed, json!({ "items": [expected] }));
    let events = it.events().await;
    let types: Vec<_> = events.iter().map(|event| event.r#type.as_str()).collect();
    assert_eq!(types, [NotificationRequested::TYPE, NotificationSent::TYPE]);
    assert_eq!(events[1].event::<NotificationSent>().unwrap().unwrap().attempts, 3);
}

#[tokio::test]
async fn an_event_that_is_told_again_asks_for_nothing_more() {
    let (it, ada) = (Fixture::answering([]), id(2));
    it.request("one", ada).await;
    it.request("one", ada).await;
    let fired = it.fire().await;
    assert_eq!(fired.len(), 1);
    it.request("one", ada).await;
    // A timer may fire twice: the second time there is nothing left to do.
    it.act(&fired[0]).await;
    assert!(it.fire().await.is_empty());
    assert_eq!(it.deliveries(), 1);
    assert_eq!(it.list(ada, json!({})).await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_the_channel_refuses_for_good_has_failed() {
    let (it, ada) = (Fixture::answering([DeliveryError::Permanent("unknown".to_owned())]), id(2));
    it.request("one", ada).await;
    it.fire().await;
    it.clock.advance(Duration::from_hours(1));
    assert!(it.fire().await.is_empty());
    assert_eq!(it.list(ada, json!({})).await["items"][0]["status"], "failed");
    assert!(it.events().await.iter().all(|event| event.r#type != NotificationSent::TYPE));
}

#[tokio::test]
async fn one_sees_ones_own_notifications_the_newest_first() {
    let (it, ada, grace) = (Fixture::answering([]), id(2), id(3));
    let mut events = ["a", "b", "c"].into_iter();
    for event in &mut events {
        it.request(event, ada).await;
        it.fire().await;
        it.clock.advance(Duration::from_secs(1));
    }
    it.request("d", grace).await;
    let sent: Vec<_> = it.channel.seen.lock().unwrap().iter().map(|message| json!(message.id)).collect();
    let first = it.list(ada, json!({ "limit": 2 })).await;
    let second = it.list(ada, json!({ "limit": 2, "after": first["next"] })).await;
    let items = [&first, &second].map(|list| list["items"].as_array().unwrap().clone()).concat();
    let ids: Vec<_> = items.iter().map(|item| item["id"].clone()).collect();
    assert_eq!(ids, [sent[2].clone(), sent[1].clone(), sent[0].clone()]);
}

#[tokio::test]
async fn an_erased_person_is_told_nothing() {
    let (it, ada) = (Fixture::answering([]), id(2));
    it.request("one", ada).await;
    it.store.keys().destroy_person(it.scope, ada).await.unwrap();
    it.fire().await;
    let (email, name, link) = (Personal::Erased, Personal::Erased, Personal::Erased);
    it.react("two", &LinkRequested { user: ada, purpose: LinkPurpose::Recover, email, name, link }).await;
    it.fire().await;
    assert_eq!(it.deliveries(), 0);
}
