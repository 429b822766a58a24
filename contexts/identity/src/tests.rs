//! The context through its own table, on the model store.

mod pacing;
mod programs;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use accounts::{
    link,
    realm::Realm,
    role::RoleName,
    roster::{Owners, Roster},
    session::Session,
    user::User,
};
use async_trait::async_trait;
use bytes::Bytes;
use contracts::{
    tenants::{ReleaseSeat, ReserveSeat, SeatsView},
    users::ConfirmErasure,
};
use http::{Method, Request, Response, StatusCode, header};
use kernel::{
    Caller, Calls, Catalogue, Clock, Context, Cx, DefaultRole, Envelope, Event, Operation, Problem, Scope, Target,
    TenantId, Timestamp, UserId,
    context::{Body, Calling, Erased, Outgoing, not_served},
    cx::Ambient,
    entropy::SystemEntropy,
    time::ManualClock,
};
use keys::{Keyring, Keys, model::ModelKeys};
use proofs::{Passwords, secret};
use secrecy::SecretString;
use serde_json::Value;
use store::{Outbox, Store, model::ModelEngine, port::OUTBOX_PARTITIONS};

const PASSWORD: &str = "correct horse battery";

/// The other contexts, and the way back into this one.
#[derive(Default)]
struct Others(OnceLock<Vec<Arc<Operation>>>);

#[async_trait]
impl Calling for Others {
    async fn call(&self, name: &'static str, input: Outgoing, cx: &Cx) -> Result<Erased, Problem> {
        if let Some(own) = self.0.get().unwrap().iter().find(|operation| operation.name == name) {
            return own.call(input.it, cx.clone()).await;
        }
        if input.it.is::<ReserveSeat>() || input.it.is::<ReleaseSeat>() {
            return Ok(Box::new(SeatsView { limit: 50, used: 1 }));
        }
        if input.it.is::<ConfirmErasure>() { Ok(Box::new(())) } else { Err(not_served(name)) }
    }

    async fn ask(&self, name: &str, _: Value, _: &Cx) -> Result<Value, Problem> {
        Err(not_served(name))
    }
}

struct Fixture {
    _folder: tempfile::TempDir,
    engine: Arc<ModelEngine>,
    store: Store,
    context: Context,
    clock: Arc<ManualClock>,
    ambient: Ambient,
    catalogue: Arc<Catalogue>,
    tenant: TenantId,
}

fn operations(context: &Context) -> Vec<Arc<Operation>> {
    let routed = context.routes.iter().filter_map(|route| match &route.target {
        Target::UseCase(operation) => Some(operation),
        Target::Endpoint(_) => None,
    });
    routed.chain(&context.internal).cloned().collect()
}

/// Where a browser sends from, and the cookies that it has.
#[derive(Clone, Default)]
struct Browser {
    address: Option<&'static str>,
    cookies: String,
}

impl Browser {
    fn at(address: &'static str) -> Self {
        Self { address: Some(address), cookies: String::new() }
    }

    /// Keeps the cookies of an answer.
    fn keeps(mut self, answer: &Response<Body>) -> Self {
        let set = answer.headers().get_all(header::SET_COOKIE).iter().filter_map(|it| it.to_str().ok());
        for pair in set.filter_map(|set| set.split(';').next()) {
            self.cookies = format!("{}; {pair}", self.cookies);
        }
        self
    }
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap()));
        let ambient = Ambient::new(Arc::clone(&clock) as _, Arc::new(SystemEntropy::default()));
        let keyring = Keyring::open(&folder.path().join("keyring"), &*ambient.entropy).unwrap();
        let keys = Keys::new(keyring, Arc::new(ModelKeys::default()), Arc::clone(&ambient.entropy));
        let engine = Arc::new(ModelEngine::default());
        let store = Store::new(Arc::clone(&engine) as _, keys);
        let others = Arc::new(Others::default());
        let catalogue = Arc::new(Catalogue::new(crate::PERMISSIONS.iter().copied()));
        let settings = crate::Settings {
            scheme: "http".to_owned(),
            host: "example.com".to_owned(),
            port: None,
            hashing: crate::Hashing::Argon2id { at_once: 2 },
        };
        let (surroundings, roles) = (ambient.clone(), Arc::clone(&catalogue));
        let platform = move || {
            let caller = Caller::Service { name: "identity" };
            Cx::verified(Scope::Platform, caller, roles.grants(DefaultRole::Service), &surroundings)
        };
        let tenant = platform().new_id();
        let calls = Calls::new(Arc::clone(&others) as _);
        let context = crate::context(store.clone(), calls, Arc::clone(&catalogue), settings, platform);
        assert!(others.0.set(operations(&context)).is_ok());
        let it = Self { _folder: folder, engine, store, context, clock, ambient, catalogue, tenant };
        let realm = Realm { tenant, name: "Acme".parse().unwrap(), origin: "http://acme.example.com".to_owned() };
        it.store.at(&it.service()).create(realm, ()).await.unwrap();
        it
    }

    fn cx(&self, caller: Caller, role: DefaultRole) -> Cx {
        Cx::verified(Scope::Tenant(self.tenant), caller, self.catalogue.grants(role), &self.ambient)
    }

    fn service(&self) -> Cx {
        self.cx(Caller::Service { name: "identity" }, DefaultRole::Service)
    }

    /// Somebody who is invited, and founds the tenant where `owns`.
    async fn invited(&self, email: &str, owns: bool) -> UserId {
        let (cx, until) = (self.service(), self.clock.now() + link::LASTS);
        let who = (email.parse().unwrap(), "Somebody".parse().unwrap());
        let roles = vec![RoleName::Default(DefaultRole::Member)];
        let (user, registered) = User::invite(cx.new_id(), who, roles, secret::fresh(&cx), until);
        if owns {
            self.store.at(&cx).create(Owners(Roster::awaiting(user.id)), ()).await.unwrap();
        }
        self.store.at(&cx).create(user, registered).await.unwrap().id
    }

    /// Somebody who has come in, with [`PASSWORD`].
    async fn person(&self, email: &str) -> UserId {
        let (id, cx) = (self.invited(email, false).await, self.service());
        let hash = Passwords::new(crate::Hashing::Argon2id { at_once: 1 })
            .hash(SecretString::from(PASSWORD), &[], &cx)
            .await
            .unwrap();
        let now = self.clock.now();
        let come_in = |it: &mut User| {
            let used = it.proofs.stamp.clone();
            it.choose_password(&used, hash.clone(), "next".to_owned(), now)
        };
        self.store.at(&cx).change(&id, come_in).await.unwrap();
        id
    }

    /// A session of a person, who has shown a moment ago who they are.
    async fn session(&self, user: UserId, role: DefaultRole) -> Cx {
        let cx = self.service();
        let user = self.store.at(&cx).load::<User>(&user).await.unwrap();
        let (session, _) = Session::begin(&user, Vec::new(), &cx);
        let id = self.store.at(&cx).create(session, ()).await.unwrap().id;
        self.cx(Caller::User { id: user.id, session: Some(id) }, role)
    }

    async fn run(&self, cx: &Cx, name: &str, input: Value) -> Result<Value, Problem> {
        let operation = operations(&self.context).into_iter().find(|it| it.name == name).unwrap();
        operation.run(input, cx.clone()).await.map(|bytes| serde_json::from_slice(&bytes).unwrap())
    }

    /// Sends the form of a page as a visitor.
    async fn form(&self, from: &Browser, path: &str, fields: &[(&str, &str)]) -> Response<Body> {
        let served = self.context.routes.iter().find(|it| it.path == path && it.method == Method::POST).unwrap();
        let Target::Endpoint(endpoint) = &served.target else { panic!("{path} is no page") };
        let body: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let mut request = request.header(header::COOKIE, &from.cookies).body(Bytes::from(body)).unwrap();
        if let Some(address) = from.address {
            request.extensions_mut().insert(SocketAddr::new(address.parse().unwrap(), 0));
        }
        endpoint.run(request, self.cx(Caller::Visitor, DefaultRole::Visitor)).await.unwrap()
    }

    /// What the context has told since the beginning, of one type.
    async fn told<E: Event>(&self) -> Vec<E> {
        let mut events = Vec::new();
        for partition in 0..OUTBOX_PARTITIONS {
            for waiting in self.engine.pending(partition, 1000).await.unwrap() {
                let sealed = serde_json::from_slice::<Envelope>(&waiting.envelope).unwrap();
                let opened = store::envelope::open(self.store.keys(), sealed).await.unwrap();
                events.extend(opened.event::<E>().map(Result::unwrap));
            }
        }
        events
    }

    /// Brings an event to the reactions of this context.
    async fn react<E: Event>(&self, event: &E) {
        let cx = self.service();
        let envelope = Envelope {
            specversion: "1.0".to_owned(),
            id: "event".to_owned(),
            source: "freehold/other".to_owned(),
            r#type: E::TYPE.to_owned(),
            subject: "other.thing/x".to_owned(),
            time: cx.now(),
            scope: cx.scope(),
            sequence: 1,
            traceparent: String::new(),
            correlationid: String::new(),
            causationid: None,
            actor: "service:other".to_owned(),
            action: None,
            recordedtime: None,
            person: event.person(),
            data: serde_json::to_value(event).unwrap(),
        };
        for reaction in self.context.reactions.iter().filter(|it| it.on == E::TYPE) {
            reaction.run(envelope.clone(), self.service()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_founder_who_was_late_can_ask_for_another_link_and_whoever_was_invited_cannot() {
    let it = Fixture::new().await;
    let (founder, invited) =
        (it.invited("founder@acme.example", true).await, it.invited("late@acme.example", false).await);
    it.clock.advance(link::LASTS);
    for email in ["founder@acme.example", "late@acme.example"] {
        let answer = it.form(&Browser::at("192.0.2.1"), "/recover", &[("email", email)]).await;
        assert_eq!(answer.status(), StatusCode::OK, "both are told the same");
    }
    let asked: Vec<UserId> =
        it.told::<contracts::identity::LinkRequested>().await.iter().map(|asked| asked.user).collect();
    assert!(asked == [founder] && founder != invited);
}
