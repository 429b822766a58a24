//! The context through its own table, on the model store.

use std::{collections::BTreeMap, sync::Arc, sync::Mutex};

use async_trait::async_trait;
use contracts::{
    identity::UserRegistered,
    users::{PreferenceChanged, ProfileCreated, ProfileUpdated},
};
use kernel::{
    Caller, Catalogue, Context, Cx, DefaultRole, Envelope, Event, Id, Personal, Problem, ProblemKind, Scope, Target,
    UserId, context::Input, cx::Ambient,
};
use keys::{KeyError, Keyring, Keys, Wrapped, WrappedKeys};
use serde_json::{Value, json};
use store::{Outbox, Store, model::ModelEngine, port::OUTBOX_PARTITIONS};

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

struct Fixture {
    _folder: tempfile::TempDir,
    engine: Arc<ModelEngine>,
    store: Store,
    context: Context,
    ambient: Ambient,
    scope: Scope,
}

impl Fixture {
    fn new() -> Self {
        let (folder, ambient) = (tempfile::tempdir().unwrap(), Ambient::system());
        let keyring = Keyring::open(&folder.path().join("keyring"), &*ambient.entropy).unwrap();
        let keys = Keys::new(keyring, Arc::new(Kept::default()), Arc::clone(&ambient.entropy));
        let engine = Arc::new(ModelEngine::default());
        let store = Store::new(Arc::clone(&engine) as _, keys);
        let context = crate::context(store.clone());
        let platform = Cx::verified(Scope::Platform, Caller::Visitor, kernel::Grants::default(), &ambient);
        let scope = Scope::Tenant(platform.new_id());
        Self { _folder: folder, engine, store, context, ambient, scope }
    }

    fn cx(&self, caller: Caller, role: DefaultRole) -> Cx {
        let catalogue = Catalogue::new(self.context.permissions.iter().copied());
        Cx::verified(self.scope, caller, catalogue.grants(&[role]), &self.ambient)
    }

    async fn ask(&self, user: UserId, role: DefaultRole, name: &str, input: Value) -> Result<Value, Problem> {
        let operations = self.context.routes.iter().filter_map(|route| match &route.target {
            Target::UseCase(operation) => Some(operation),
            Target::Endpoint(_) => None,
        });
        let operation = operations.into_iter().find(|it| it.name == name).unwrap();
        let cx = self.cx(Caller::User { id: user, session: None }, role);
        operation.run(Input::Value(input), cx).await.map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }

    async fn react(&self, event: &UserRegistered) -> Result<(), Problem> {
        let cx = self.cx(Caller::Service { name: "users" }, DefaultRole::Service);
        let envelope = Envelope {
            specversion: "1.0".to_owned(),
            id: format!("event-{}", event.user),
            source: "freehold/identity".to_owned(),
            r#type: UserRegistered::TYPE.to_owned(),
            subject: format!("identity.user/{}", event.user),
            time: cx.now(),
            scope: self.scope,
            sequence: 1,
            traceparent: String::new(),
            correlationid: String::new(),
            causationid: None,
            actor: "visitor".to_owned(),
            person: event.person(),
            data: serde_json::to_value(event).unwrap(),
        };
        // No write key: the store may have forgotten the first time when an old event is replayed.
        self.context.reactions[0].run(envelope, cx).await
    }

    async fn register(&self, number: u128, name: &str, email: &str) -> UserId {
        let user = Id::from_uuid(format!("01890000-0000-7000-8000-{number:012x}").parse().unwrap());
        let (email, name) = (Personal::Known(email.parse().unwrap()), Personal::Known(name.parse().unwrap()));
        self.react(&UserRegistered { user, email, name }).await.unwrap();
        user
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

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_registration_makes_one_profile_however_often_it_is_told() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada Lovelace", "ada@example.com").await;
    it.ask(ada, DefaultRole::Person, "users.update_me", json!({ "title": "Countess" })).await.unwrap();
    it.register(1, "Ada Lovelace", "ada@example.com").await;
    let me = it.ask(ada, DefaultRole::Person, "users.me", json!({})).await.unwrap();
    let expected = json!({
        "id": ada, "email": "ada@example.com", "name": "Ada Lovelace", "title": "Countess", "deactivated": false,
    });
    assert_eq!(me, expected);
    let created = it.events().await.into_iter().filter(|event| event.r#type == ProfileCreated::TYPE).count();
    assert_eq!(created, 1);
}

#[tokio::test]
async fn nothing_is_kept_of_an_erased_person() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada Lovelace", "ada@example.com").await;
    it.store.keys().destroy_person(it.scope, ada).await.unwrap();
    let gone = it.ask(ada, DefaultRole::Person, "users.me", json!({})).await.unwrap_err();
    assert_eq!(gone.kind(), ProblemKind::NotFound);
    // A replay after the erasure finds the personal values gone.
    let erased = UserRegistered { user: ada, email: Personal::Erased, name: Personal::Erased };
    it.react(&erased).await.unwrap();
    let list = it.ask(ada, DefaultRole::Member, "users.list", json!({})).await.unwrap();
    assert_eq!(names(&list), Vec::<&str>::new());
}

#[tokio::test]
async fn a_person_changes_their_own_profile() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada Lovelace", "ada@example.com").await;
    let change = json!({ "name": "Ada King", "locale": "en-GB", "time_zone": "europe/london", "title": null });
    let me = it.ask(ada, DefaultRole::Person, "users.update_me", change).await.unwrap();
    assert_eq!(
        (&me["name"], &me["locale"], &me["time_zone"]),
        (&"Ada King".into(), &"en-GB".into(), &"Europe/London".into())
    );
    let updated: Vec<_> = it.events().await.iter().filter_map(Envelope::event::<ProfileUpdated>).collect();
    assert_eq!(updated.len(), 1);
    assert_eq!(updated[0].as_ref().unwrap().fields, ["name", "locale", "time_zone"]);
    for refused in [
        json!({ "time_zone": "Europe/Nowhere" }),
        json!({ "locale": "de_AT" }),
        json!({ "name": null }),
        json!({ "email": "x@example.com" }),
    ] {
        let problem = it.ask(ada, DefaultRole::Person, "users.update_me", refused.clone()).await.unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::Invalid, "{refused}");
    }
    let emptied = it.ask(ada, DefaultRole::Person, "users.update_me", json!({ "locale": null })).await.unwrap();
    assert_eq!((emptied.get("locale"), &emptied["time_zone"]), (None, &"Europe/London".into()));
}

#[tokio::test]
async fn a_member_lists_and_searches_the_people() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada Lovelace", "ada@example.com").await;
    it.register(2, "Grace Hopper", "grace@example.com").await;
    it.register(3, "Adele Goldberg", "goldberg@example.com").await;
    let ask = |input: Value| it.ask(ada, DefaultRole::Member, "users.list", input);
    let first = ask(json!({ "limit": 2 })).await.unwrap();
    assert_eq!(names(&first), ["Ada Lovelace", "Grace Hopper"]);
    let second = ask(json!({ "limit": 2, "after": first["next"] })).await.unwrap();
    assert_eq!((names(&second), second.get("next")), (vec!["Adele Goldberg"], None));
    for (search, found) in [
        ("AD", vec!["Ada Lovelace", "Adele Goldberg"]),
        ("hop", vec!["Grace Hopper"]),
        ("gold", vec!["Adele Goldberg"]),
        // Longer than the terms: the rest is compared.
        ("goldberg@example.com", vec!["Adele Goldberg"]),
        ("goldberg@exam.org", vec![]),
        (" ", vec!["Ada Lovelace", "Grace Hopper", "Adele Goldberg"]),
    ] {
        assert_eq!(names(&ask(json!({ "search": search })).await.unwrap()), found, "{search:?}");
    }
}

#[tokio::test]
async fn without_a_role_one_sees_only_oneself() {
    let it = Fixture::new();
    let ada = it.register(1, "Ada Lovelace", "ada@example.com").await;
    let grace = it.register(2, "Grace Hopper", "grace@example.com").await;
    let list = it.ask(ada, DefaultRole::Person, "users.list", json!({})).await.unwrap();
    assert_eq!(names(&list), ["Ada Lovelace"]);
    assert!(it.ask(ada, DefaultRole::Person, "users.get", json!({ "user": ada })).await.is_ok());
    let refused = it.ask(ada, DefaultRole::Person, "users.get", json!({ "user": grace })).await.unwrap_err();
    assert_eq!(refused.kind(), ProblemKind::Denied);
    let seen = it.ask(ada, DefaultRole::Member, "users.get", json!({ "user": grace })).await.unwrap();
    assert_eq!(seen["email"], "grace@example.com");
}

#[tokio::test]
async fn preferences_are_ones_own() {
    let it = Fixture::new();
    let (ada, grace) =
        (it.register(1, "Ada", "ada@example.com").await, it.register(2, "Grace", "grace@example.com").await);
    let set = |key: &str, value: Value| {
        it.ask(ada, DefaultRole::Person, "users.set_preference", json!({ "key": key, "value": value }))
    };
    set("theme", "dark".into()).await.unwrap();
    set("page.size", 25.into()).await.unwrap();
    set("page.size", 50.into()).await.unwrap();
    set("tips", false.into()).await.unwrap();
    let refused = set("long", "x".repeat(1001).into()).await.unwrap_err();
    assert_eq!(refused.document(None).errors[0].pointer, "/value");
    assert!(set("list", json!([1])).await.is_err());
    let held = it.ask(ada, DefaultRole::Person, "users.preferences", json!({})).await.unwrap();
    assert_eq!(held, json!({ "preferences": { "page.size": 50, "theme": "dark", "tips": false } }));
    let others = it.ask(grace, DefaultRole::Owner, "users.preferences", json!({})).await.unwrap();
    assert_eq!(others, json!({ "preferences": {} }));
    let changed: Vec<_> = it.events().await.iter().filter_map(Envelope::event::<PreferenceChanged>).collect();
    let keys: Vec<_> = changed.into_iter().map(|event| event.unwrap().key).collect();
    assert_eq!(keys, ["theme", "page.size", "page.size", "tips"]);
}
