//! The context on SQLite, in lives that end at any commit; and what outlasts them.
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use contracts::{
    entitlements::GrantEntitlements,
    notifications::TellPerson,
    tenants::{HoldTenant, ReadSettings, ReleaseTenant, ResolveTenant, SettingsView},
};
use events::{Log, Services};
use freehold_billing::gateways::model::Model;
use kernel::{
    Caller, Calls, Catalogue, Clock, Context, Cx, DefaultRole, Envelope, Problem, Scope, Target, TenantId, UserId,
    context::{Calling, Erased, Fired, Outgoing, not_served},
    cx::Ambient,
    entropy::SystemEntropy,
    time::ManualClock,
};
use keys::{Keyring, Keys, model::ModelKeys};
use serde_json::{Value, json};
use sqlite::Shards;
use store::{
    Base, ClaimKey, Commit, Core, CoreKey, Engine, Outcome, Space, Store, StoreError, Upkeep,
    port::{Change, Hit, Scan},
};

/// The store, until a commit from which on nothing answers any more: that one is done and not told, or not done.
pub(crate) struct Mortal {
    shards: Arc<Shards>,
    commits: AtomicU64,
    dies_at: u64,
    tells: bool,
}

impl Mortal {
    /// Whether it has ended.
    pub(crate) fn dead(&self) -> bool {
        self.commits.load(Ordering::SeqCst) >= self.dies_at
    }

    fn gone<T>() -> Result<T, StoreError> {
        Err(StoreError::Unavailable("the process has ended".to_owned()))
    }
}

#[async_trait]
impl Engine for Mortal {
    async fn get(&self, key: &CoreKey) -> Result<Option<Core>, StoreError> {
        if self.dead() { Self::gone() } else { self.shards.get(key).await }
    }
    async fn base(&self, key: &CoreKey) -> Result<Base, StoreError> {
        if self.dead() { Self::gone() } else { self.shards.base(key).await }
    }
    async fn find(&self, space: &Space, claim: &ClaimKey) -> Result<Option<(CoreKey, Core)>, StoreError> {
        if self.dead() { Self::gone() } else { self.shards.find(space, claim).await }
    }
    async fn scan(&self, scan: &Scan) -> Result<Vec<Hit>, StoreError> {
        if self.dead() { Self::gone() } else { self.shards.scan(scan).await }
    }
    async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        if self.dead() {
            return Self::gone();
        }
        if self.commits.fetch_add(1, Ordering::SeqCst) + 1 >= self.dies_at {
            if self.tells {
                self.shards.commit(commit).await?;
            }
            return Self::gone();
        }
        self.shards.commit(commit).await
    }
    async fn changed_since(&self, space: &Space, cursor: u64, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.shards.changed_since(space, cursor, limit).await
    }
    async fn export(
        &self,
        space: &Space,
        after: Option<&CoreKey>,
        limit: usize,
    ) -> Result<Vec<(CoreKey, Core)>, StoreError> {
        self.shards.export(space, after, limit).await
    }
    async fn import(&self, key: &CoreKey, core: Core) -> Result<(), StoreError> {
        self.shards.import(key, core).await
    }
    async fn erase(&self, space: &Space) -> Result<u64, StoreError> {
        self.shards.erase(space).await
    }
}

/// The other contexts, as far as they are asked.
#[derive(Default)]
pub(crate) struct Others {
    /// What they were asked for, in words.
    pub(crate) asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Calling for Others {
    async fn call(&self, name: &'static str, input: Outgoing, _: &Cx) -> Result<Erased, Problem> {
        let it = input.it;
        if it.is::<ReadSettings>() {
            return Ok(Box::new(SettingsView { time_zone: "UTC".to_owned(), locale: "en".to_owned() }));
        }
        if let Some(ResolveTenant { name }) = it.downcast_ref() {
            let view = json!({ "id": name, "slug": "acme", "name": "Acme", "status": "active", "isolation": "pooled",
                "origin": "https://acme.example.com" });
            let view: contracts::tenants::TenantView = serde_json::from_value(view).unwrap();
            return Ok(Box::new(view));
        }
        let told = match (it.downcast_ref::<TellPerson>(), it.downcast_ref::<HoldTenant>(), it.is::<ReleaseTenant>()) {
            (Some(told), ..) => format!("told {}", told.template),
            (_, Some(_), _) => "held".to_owned(),
            (.., true) => "released".to_owned(),
            _ if it.is::<GrantEntitlements>() => return Ok(Box::new(())),
            _ => return Err(not_served(name)),
        };
        self.asked.lock().unwrap().push(told);
        Ok(Box::new(()))
    }
    async fn ask(&self, name: &str, _: Value, _: &Cx) -> Result<Value, Problem> {
        Err(not_served(name))
    }
}

/// What outlasts an end: the files, the keys, the clock.
pub(crate) struct Ground {
    pub(crate) shards: Arc<Shards>,
    keys: Keys,
    pub(crate) clock: Arc<ManualClock>,
    ambient: Ambient,
    pub(crate) gateway: Arc<Model>,
    /// Another one, without faults.
    pub(crate) spare: Arc<Model>,
    pub(crate) others: Arc<Others>,
}

/// One life of the process.
pub(crate) struct Process<'a> {
    ground: &'a Ground,
    pub(crate) mortal: Arc<Mortal>,
    pub(crate) context: Context,
    pub(crate) services: Services,
    store: Store,
}

impl Ground {
    pub(crate) fn new(folder: &Path, gateway: Model) -> Self {
        let clock = Arc::new(ManualClock::at("2026-01-31T00:00:00Z".parse().unwrap()));
        let ambient = Ambient::new(Arc::clone(&clock) as _, Arc::new(SystemEntropy::default()));
        let keyring = Keyring::open(&folder.join("keyring"), &*ambient.entropy).expect("a keyring");
        let keys = Keys::new(keyring, Arc::new(ModelKeys::default()), Arc::clone(&ambient.entropy));
        let (gateway, spare, others) = (Arc::new(gateway), Arc::new(Model::default().named("spare")), Arc::default());
        Self { shards: Arc::new(Shards::open(folder).unwrap()), keys, clock, ambient, gateway, spare, others }
    }

    pub(crate) fn process(&self, dies_at: u64, tells: bool) -> Process<'_> {
        let mortal = Arc::new(Mortal { shards: Arc::clone(&self.shards), commits: AtomicU64::new(0), dies_at, tells });
        let store = Store::new(Arc::clone(&mortal) as _, self.keys.clone());
        let catalogue = Arc::new(Catalogue::new(freehold_billing::PERMISSIONS.iter().copied()));
        let services = Services::new(catalogue, self.ambient.clone());
        let taxes = Arc::new(freehold_billing::RateTable::new(store.clone()));
        let gateways = freehold_billing::Gateways::new(vec![self.gateway.clone(), self.spare.clone()], Vec::new());
        let means = freehold_billing::Means { gateways, origin: "https://example.com".to_owned() };
        let calls = Calls::new(Arc::clone(&self.others) as _);
        let context = freehold_billing::context(store.clone(), calls, services.clone(), taxes, means);
        Process { ground: self, mortal, context, services, store }
    }
}

impl Process<'_> {
    fn cx(&self, scope: Scope, role: DefaultRole) -> Cx {
        let caller = match role {
            DefaultRole::Owner => Caller::User { id: UserId::from_uuid(uuid(7)), session: None },
            _ => Caller::Service { name: "billing" },
        };
        let grants = Catalogue::new(freehold_billing::PERMISSIONS.iter().copied()).grants(role);
        Cx::verified(scope, caller, grants, &self.ground.ambient)
    }

    pub(crate) async fn ask(
        &self,
        scope: Scope,
        role: DefaultRole,
        name: &str,
        input: Value,
    ) -> Result<Value, Problem> {
        let operations = self.context.routes.iter().filter_map(|route| match &route.target {
            Target::UseCase(operation) => Some(operation),
            Target::Endpoint(_) => None,
        });
        let operation = operations.into_iter().find(|it| it.name == name).unwrap();
        let answer = operation.run(input, self.cx(scope, role)).await?;
        Ok(serde_json::from_slice(&answer).unwrap())
    }

    /// What the gateway tells by itself.
    pub(crate) async fn notice(&self, body: &str) {
        let endpoint = self.context.routes.iter().find_map(|route| match &route.target {
            Target::Endpoint(endpoint) if endpoint.name == "billing.notices.receive" => Some(endpoint),
            _ => None,
        });
        let request = http::Request::builder().uri("/v1/payment-notices/model").header("signature", "model");
        let request = request.body(body.to_owned().into()).unwrap();
        endpoint.unwrap().run(request, self.cx(Scope::Platform, DefaultRole::Visitor)).await.unwrap();
    }

    /// The types of all that happened.
    pub(crate) async fn told(&self) -> BTreeSet<String> {
        let read = self.ground.shards.log().read(0, 1_000).await.unwrap();
        read.iter().map(|it| serde_json::from_slice::<Envelope>(&it.envelope).unwrap().r#type).collect()
    }

    /// Hands an event to one reaction.
    pub(crate) async fn react<E: kernel::Event>(&self, kind: &str, name: &str, scope: Scope, event: &E) {
        let reaction = self.context.reactions.iter().find(|it| it.on == kind && it.name == name).unwrap();
        let data = serde_json::to_value(event).unwrap();
        let id = format!("{name}/{kind}");
        let envelope = Envelope {
            specversion: "1.0".to_owned(),
            id: id.clone(),
            source: "test".to_owned(),
            r#type: kind.to_owned(),
            subject: "test".to_owned(),
            time: self.ground.clock.now(),
            scope,
            sequence: 1,
            traceparent: String::new(),
            correlationid: id,
            causationid: None,
            actor: "test".to_owned(),
            action: None,
            recordedtime: None,
            person: None,
            data,
        };
        reaction.run(envelope, self.services.cx("billing", scope)).await.unwrap();
    }

    /// Acts on all timers that are due, and then on all events, from the first one on.
    pub(crate) async fn live(&self) {
        for timer in self.ground.shards.due(None, self.ground.clock.now(), 200).await.unwrap() {
            let on_due = self.context.timers.iter().find(|it| it.kind == timer.key.kind).unwrap();
            let fired = Fired { id: timer.key.id.clone(), timer: timer.timer.name.clone(), due: timer.timer.due };
            let scope = timer.key.space.as_str().parse().map_or(Scope::Platform, Scope::Tenant);
            let key = format!("timer/{}/{}/{}", timer.key, fired.timer, fired.due);
            drop(on_due.act(fired, self.services.cx("billing", scope).repeatable(&key)).await);
        }
        let (log, mut after) = (self.ground.shards.log(), 0);
        loop {
            let read = log.read(after, 100).await.unwrap();
            let Some(last) = read.last() else { return };
            after = last.position;
            for logged in read {
                let sealed: Envelope = serde_json::from_slice(&logged.envelope).unwrap();
                let event = store::envelope::open(self.store.keys(), sealed).await.unwrap();
                for reaction in self.context.reactions.iter().filter(|it| it.on == event.r#type) {
                    let key = format!("billing/{}/{}", reaction.name, event.id);
                    let cx = self.services.cx("billing", event.scope).repeatable(&key);
                    // What fails is tried again in the next life.
                    drop(reaction.run(event.clone(), cx).await);
                }
            }
        }
    }
}

pub(crate) fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

pub(crate) fn tenant(number: u128) -> Scope {
    Scope::Tenant(TenantId::from_uuid(uuid(number)))
}

fn plan(price: &str) -> Value {
    let flat = json!({ "key": "base", "name": "Base", "charge": { "for": "flat" },
        "prices": { "EUR": { "model": "per_unit", "unit": price } } });
    let calls = json!({ "key": "calls", "name": "Calls", "charge": { "for": "usage", "meter": "calls", "aggregation": "sum" },
        "prices": { "EUR": { "model": "per_unit", "unit": "0.01" } } });
    json!({ "name": "Solo", "cadence": { "every": 1, "unit": "month" }, "items": [flat, calls] })
}

pub(crate) async fn published(process: &Process<'_>) {
    for (name, price) in [("solo", "10"), ("less", "5")] {
        let asked = json!({ "plan": name, "terms": plan(price) });
        process.ask(Scope::Platform, DefaultRole::Operator, "billing.plans.publish", asked).await.unwrap();
    }
}
