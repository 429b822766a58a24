//! Something ends between any two commits: no invoice, number or transaction is lost or doubled. On SQLite, with every
//! event delivered again from the beginning after each end.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a test stops where something is not as it must be"
)]

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use contracts::{
    entitlements::GrantEntitlements,
    tenants::{ReadSettings, SettingsView},
};
use events::{Log, Services};
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
struct Mortal {
    shards: Arc<Shards>,
    commits: AtomicU64,
    dies_at: u64,
    tells: bool,
}

impl Mortal {
    fn dead(&self) -> bool {
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

/// The context `tenants`, as far as it is asked.
struct Tenants;

#[async_trait]
impl Calling for Tenants {
    async fn call(&self, name: &'static str, input: Outgoing, _: &Cx) -> Result<Erased, Problem> {
        if input.it.is::<ReadSettings>() {
            return Ok(Box::new(SettingsView { time_zone: "UTC".to_owned(), locale: "en".to_owned() }));
        }
        if input.it.is::<GrantEntitlements>() { Ok(Box::new(())) } else { Err(not_served(name)) }
    }
    async fn ask(&self, name: &str, _: Value, _: &Cx) -> Result<Value, Problem> {
        Err(not_served(name))
    }
}

/// What outlasts an end: the files, the keys, the clock.
struct Ground {
    shards: Arc<Shards>,
    keys: Keys,
    clock: Arc<ManualClock>,
    ambient: Ambient,
}

/// One life of the process.
struct Process<'a> {
    ground: &'a Ground,
    mortal: Arc<Mortal>,
    context: Context,
    services: Services,
    store: Store,
}

impl Ground {
    fn new(folder: &Path) -> Self {
        let clock = Arc::new(ManualClock::at("2026-01-31T00:00:00Z".parse().unwrap()));
        let ambient = Ambient::new(Arc::clone(&clock) as _, Arc::new(SystemEntropy::default()));
        let keyring = Keyring::open(&folder.join("keyring"), &*ambient.entropy).expect("a keyring");
        let keys = Keys::new(keyring, Arc::new(ModelKeys::default()), Arc::clone(&ambient.entropy));
        Self { shards: Arc::new(Shards::open(folder).unwrap()), keys, clock, ambient }
    }

    fn process(&self, dies_at: u64, tells: bool) -> Process<'_> {
        let mortal = Arc::new(Mortal { shards: Arc::clone(&self.shards), commits: AtomicU64::new(0), dies_at, tells });
        let store = Store::new(Arc::clone(&mortal) as _, self.keys.clone());
        let catalogue = Arc::new(Catalogue::new(freehold_billing::PERMISSIONS.iter().copied()));
        let services = Services::new(catalogue, self.ambient.clone());
        let taxes = Arc::new(freehold_billing::RateTable::new(store.clone()));
        let context = freehold_billing::context(store.clone(), Calls::new(Arc::new(Tenants)), services.clone(), taxes);
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

    async fn ask(&self, scope: Scope, role: DefaultRole, name: &str, input: Value) -> Result<Value, Problem> {
        let operations = self.context.routes.iter().filter_map(|route| match &route.target {
            Target::UseCase(operation) => Some(operation),
            Target::Endpoint(_) => None,
        });
        let operation = operations.into_iter().find(|it| it.name == name).unwrap();
        let answer = operation.run(input, self.cx(scope, role)).await?;
        Ok(serde_json::from_slice(&answer).unwrap())
    }

    /// Acts on all timers that are due, and then on all events, from the first one on.
    async fn live(&self) {
        for timer in self.ground.shards.due(None, self.ground.clock.now(), 200).await.unwrap() {
            let on_due = self.context.timers.iter().find(|it| it.kind == timer.key.kind).unwrap();
            let fired = Fired { id: timer.key.id.clone(), timer: timer.timer.name.clone(), due: timer.timer.due };
            let scope = Scope::Tenant(timer.key.space.as_str().parse().unwrap());
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

fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

fn tenant(number: u128) -> Scope {
    Scope::Tenant(TenantId::from_uuid(uuid(number)))
}

fn plan(price: &str) -> Value {
    let flat = json!({ "key": "base", "name": "Base", "charge": { "for": "flat" },
        "prices": { "EUR": { "model": "per_unit", "unit": price } } });
    let calls = json!({ "key": "calls", "name": "Calls", "charge": { "for": "usage", "meter": "calls", "aggregation": "sum" },
        "prices": { "EUR": { "model": "per_unit", "unit": "0.01" } } });
    json!({ "name": "Solo", "cadence": { "every": 1, "unit": "month" }, "items": [flat, calls] })
}

async fn published(process: &Process<'_>) {
    for (name, price) in [("solo", "10"), ("less", "5")] {
        let asked = json!({ "plan": name, "terms": plan(price) });
        process.ask(Scope::Platform, DefaultRole::Operator, "billing.plans.publish", asked).await.unwrap();
    }
}

/// All invoices and transactions of a tenant are as they would be if nothing had ended.
async fn right(process: &Process<'_>, scope: Scope, numbers: &mut BTreeSet<String>) {
    let ask = async |name| process.ask(scope, DefaultRole::Owner, name, json!({})).await.unwrap();
    let invoices = ask("billing.invoices.list").await;
    let invoices = invoices["items"].as_array().unwrap();
    let totals: Vec<&str> = invoices.iter().rev().map(|it| it["total"]["amount"].as_str().unwrap()).collect();
    assert_eq!(totals, ["10.00", "17.00"], "the first period, and the second with 7.00 of use");
    for invoice in invoices {
        let number = invoice["number"].as_str().expect("a number").to_owned();
        assert!(numbers.insert(number.clone()), "{number} was given twice");
        assert_eq!(invoice["credits"]["amount"], "0.00");
    }
    let posted = ask("billing.ledger.list").await;
    assert_eq!(posted["items"].as_array().unwrap().len(), 2, "one transaction an invoice: {posted}");
    let balances = ask("billing.ledger.balances").await;
    let of = |account: &str| {
        let found = balances.as_array().unwrap().iter().find(|it| it["account"] == account);
        found.map(|it| it["balance"]["amount"].as_str().unwrap().to_owned())
    };
    assert_eq!((of("receivable"), of("revenue")), (Some("27.00".to_owned()), Some("-27.00".to_owned())));
}

/// So many numbers were given out, and each stands on its invoice.
async fn all_landed(process: &Process<'_>, many: u128) {
    let series = process.ask(Scope::Platform, DefaultRole::Operator, "billing.series.list", json!({})).await.unwrap();
    let series = &series["items"][0];
    assert_eq!((&series["given"], &series["landing"]), (&json!(many), &json!(0)), "a number on no invoice");
}

/// A story of two tenants and two periods, in which the process ends at its n-th commit, once.
async fn story(dies_at: u64, tells: bool) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path());
    let begun = ground.process(u64::MAX, false);
    published(&begun).await;
    for scope in [tenant(1), tenant(2)] {
        let asked = json!({ "plan": "solo", "currency": "EUR" });
        begun.ask(scope, DefaultRole::Owner, "billing.subscribe", asked).await.unwrap();
        let used = json!({ "events": [{ "id": "a", "meter": "calls", "value": "700" }] });
        begun.ask(scope, DefaultRole::Owner, "billing.usage.report", used).await.unwrap();
    }
    // 28 February, for what began on 31 January.
    ground.clock.advance(Duration::from_hours(28 * 24));
    let first = ground.process(dies_at, tells);
    first.live().await;
    let died = first.mortal.dead();
    let second = ground.process(u64::MAX, false);
    // An event that is delivered leads to others; no more than four times in this story.
    for _ in 0..4 {
        second.live().await;
    }
    let mut numbers = BTreeSet::new();
    for scope in [tenant(1), tenant(2)] {
        right(&second, scope, &mut numbers).await;
    }
    let expected: BTreeSet<String> = (1..=4).map(|it| format!("INV-{it:06}")).collect();
    assert_eq!(numbers, expected, "a gap");
    all_landed(&second, 4).await;
    died
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_between_any_two_commits_neither_loses_nor_doubles_anything() {
    for tells in [false, true] {
        let mut dies_at = 1;
        while story(dies_at, tells).await {
            dies_at += 1;
        }
        assert!(dies_at > 15, "the story has more commits than {dies_at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_get_numbers_without_gaps_in_few_commits() {
    const MANY: u128 = 60;
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path());
    let process = Arc::new(ground.process(u64::MAX, false));
    published(&process).await;
    for number in 1..=MANY {
        let asked = json!({ "plan": "solo", "currency": "EUR" });
        process.ask(tenant(number), DefaultRole::Owner, "billing.subscribe", asked).await.unwrap();
    }
    let events = async |kind: &str| {
        let (mut found, mut after) = (Vec::new(), 0);
        loop {
            let read = ground.shards.log().read(after, 200).await.unwrap();
            let Some(last) = read.last() else { return found };
            after = last.position;
            let envelopes = read.iter().map(|it| serde_json::from_slice::<Envelope>(&it.envelope).unwrap());
            found.extend(envelopes.filter(|it| it.r#type == kind));
        }
    };
    // All drafts at once, each twice: as many reactions side by side as the reader of the log has.
    for (kind, name) in [
        ("billing.InvoiceRequested.v1", "make_invoice"),
        ("billing.InvoiceDrafted.v1", "number_invoice"),
        ("billing.InvoicesNumbered.v1", "finalise_invoices"),
    ] {
        let reaction = process.context.reactions.iter().find(|it| it.name == name).unwrap();
        let found = events(kind).await;
        let twice = found.iter().chain(&found).map(|event| {
            let cx = process.services.cx("billing", event.scope).repeatable(&format!("billing/{name}/{}", event.id));
            reaction.run(event.clone(), cx)
        });
        for outcome in futures::future::join_all(twice).await {
            outcome.unwrap();
        }
    }
    let commits = events("billing.InvoicesNumbered.v1").await.len();
    assert!(commits <= 10, "{commits} commits for {MANY} numbers");
    let mut numbers = BTreeSet::new();
    for number in 1..=MANY {
        let listed = process.ask(tenant(number), DefaultRole::Owner, "billing.invoices.list", json!({})).await.unwrap();
        assert!(numbers.insert(listed["items"][0]["number"].as_str().unwrap().to_owned()));
    }
    assert_eq!(numbers.last(), Some(&format!("INV-{MANY:06}")));
    assert_eq!(numbers.len(), usize::try_from(MANY).unwrap());
    all_landed(&process, MANY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_subscription_that_ended_is_credit() {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path());
    let process = ground.process(u64::MAX, false);
    published(&process).await;
    let owner = async |name, input| process.ask(tenant(1), DefaultRole::Owner, name, input).await.unwrap();
    owner("billing.subscribe", json!({ "plan": "solo", "currency": "EUR" })).await;
    owner("billing.subscription.change", json!({ "plan": "less" })).await;
    // The first invoice is final before there are credits that could pay for it.
    process.live().await;
    process.live().await;
    let ended = owner("billing.subscription.cancel", json!({ "when": "now" })).await;
    assert_eq!(ended["state"], "ended");
    process.live().await;
    process.live().await;
    let credits = owner("billing.credits.read", json!({})).await;
    assert_eq!(credits["grants"][0]["left"]["amount"], "10.00", "all of the period that had just begun");
    let told: BTreeSet<String> = {
        let read = ground.shards.log().read(0, 200).await.unwrap();
        read.iter().map(|it| serde_json::from_slice::<Envelope>(&it.envelope).unwrap().r#type).collect()
    };
    for name in ["billing.PlanDowngraded.v1", "billing.CreditLeft.v1", "billing.InvoicesNumbered.v1"] {
        assert!(told.contains(name), "{name}: {told:?}");
    }
}
