//! Reactions follow the log: in order within a scope, each scope for itself, and nothing is lost.
#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use freehold_events::{Entry, Log, Reactions, Relay, Services, Tail, Timers, model::ModelLog, operations::Operations};
use kernel::{
    Caller, Catalogue, Context, Cx, DefaultRole, Envelope, Event, Grants, Id, Problem, ProblemKind, Scope, Timestamp,
    cx::Ambient, entropy::SystemEntropy,
};
use keys::{Keyring, Keys, model::ModelKeys};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Store, model::ModelEngine};
use tokio::sync::Notify;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Happened {
    number: u32,
}

impl Event for Happened {
    const TYPE: &'static str = "test.Happened.v1";
}

fn tenant(number: u128) -> Scope {
    Scope::Tenant(Id::from_uuid(uuid::Uuid::from_u128(number)))
}

fn entry(scope: Scope, number: u32) -> Entry {
    let envelope = Envelope {
        specversion: "1.0".to_owned(),
        id: format!("{scope}/{number}"),
        source: "freehold/test".to_owned(),
        r#type: Happened::TYPE.to_owned(),
        subject: "test.thing/a".to_owned(),
        time: Timestamp::UNIX_EPOCH,
        scope,
        sequence: u64::from(number),
        traceparent: String::new(),
        correlationid: String::new(),
        causationid: None,
        actor: "service:test".to_owned(),
        action: None,
        recordedtime: None,
        person: None,
        data: serde_json::json!({ "number": number }),
    };
    Entry { id: envelope.id.clone(), scope, envelope: serde_json::to_vec(&envelope).unwrap() }
}

/// A context that notes what it digested, and fails where it is told to.
#[derive(Default)]
struct Noting {
    seen: Mutex<Vec<(Scope, u32)>>,
    away: Mutex<Option<Scope>>,
    refuses: AtomicBool,
}

impl Noting {
    fn context(self: &Arc<Self>) -> Context {
        let it = Arc::clone(self);
        Context::new("noting", &[]).on("note", move |event: Happened, cx: Cx| {
            let it = Arc::clone(&it);
            async move { it.note(event.number, &cx) }
        })
    }

    fn note(&self, number: u32, cx: &Cx) -> Result<(), Problem> {
        if *self.away.lock().unwrap() == Some(cx.scope()) {
            return Err(Problem::new(ProblemKind::Unavailable, "away", "away"));
        }
        if self.refuses.load(Ordering::Relaxed) {
            return Err(Problem::new(ProblemKind::Refused, "poison", "poison"));
        }
        self.seen.lock().unwrap().push((cx.scope(), number));
        Ok(())
    }

    fn of(&self, scope: Scope) -> Vec<u32> {
        self.seen.lock().unwrap().iter().filter(|(of, _)| *of == scope).map(|(_, number)| *number).collect()
    }
}

struct Bench {
    log: Arc<ModelLog>,
    noting: Arc<Noting>,
    keys: Keys,
    services: Services,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let entropy = SystemEntropy::default();
        let keyring = Keyring::open(&folder.path().join("keyring"), &entropy).unwrap();
        let keys = Keys::new(keyring, Arc::new(ModelKeys::default()), Arc::new(entropy));
        let services = Services::new(Arc::new(Catalogue::default()), Ambient::system());
        Self { log: Arc::default(), noting: Arc::default(), keys, services, _folder: folder }
    }

    fn reactions(&self) -> Reactions {
        let context = self.noting.context();
        let (keys, services) = (self.keys.clone(), self.services.clone());
        Reactions::of(&context, Tail::of(self.log.clone()), keys, services, Arc::new(Notify::new()))
    }
}

async fn turns(reactions: &mut Reactions, count: usize) {
    for _ in 0..count {
        reactions.turn().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_scope_that_is_held_up_holds_up_no_other_and_loses_nothing() {
    let bench = Bench::new();
    let (held, free) = (tenant(1), tenant(2));
    *bench.noting.away.lock().unwrap() = Some(held);
    let mixed = (0..300).map(|number| entry(if number % 2 == 0 { held } else { free }, number));
    bench.log.append(mixed.collect()).await.unwrap();
    let mut reactions = bench.reactions();
    // Two that read, and two that find nothing more: then the place is written down.
    turns(&mut reactions, 4).await;
    let odd: Vec<u32> = (0..300).filter(|number| number % 2 == 1).collect();
    let even: Vec<u32> = (0..300).filter(|number| number % 2 == 0).collect();
    assert_eq!(bench.noting.of(free), odd);
    assert!(bench.noting.of(held).is_empty());
    // The process ends; another goes on where this one was.
    *bench.noting.away.lock().unwrap() = None;
    let mut reactions = bench.reactions();
    turns(&mut reactions, 6).await;
    assert_eq!(bench.noting.of(held), even, "in order, each once");
    assert_eq!(bench.noting.of(free), odd);
    assert!(bench.log.readers("noting@").await.unwrap().is_empty(), "who caught up goes with the others again");
    bench.log.append(vec![entry(held, 1_000)]).await.unwrap();
    turns(&mut reactions, 1).await;
    assert_eq!(bench.noting.of(held).last(), Some(&1_000));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_before_its_place_is_written_down_skips_nothing() {
    let bench = Bench::new();
    bench.log.append((0..40).map(|number| entry(tenant(1), number)).collect()).await.unwrap();
    turns(&mut bench.reactions(), 1).await;
    assert_eq!(bench.log.position("noting").await.unwrap(), 0, "it is not written at each turn");
    bench.noting.seen.lock().unwrap().clear();
    turns(&mut bench.reactions(), 3).await;
    assert_eq!(bench.noting.of(tenant(1)), (0..40).collect::<Vec<u32>>());
    assert_eq!(bench.log.position("noting").await.unwrap(), bench.log.head().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_one_scope_leaves_the_others_their_turn() {
    let bench = Bench::new();
    let (flood, drop) = (tenant(1), tenant(2));
    bench.log.append((0..2_000).map(|number| entry(flood, number)).collect()).await.unwrap();
    bench.log.append(vec![entry(drop, 1)]).await.unwrap();
    let mut reactions = bench.reactions();
    let mut digested = 0;
    while bench.noting.of(drop).is_empty() {
        turns(&mut reactions, 1).await;
        digested = bench.noting.of(flood).len();
    }
    assert!(digested < 1_200, "the others waited for {digested} of the flood's 2,000 events");
    turns(&mut reactions, 60).await;
    assert_eq!(bench.noting.of(flood), (0..2_000).collect::<Vec<_>>(), "and the flood is digested in order");
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_scope_that_was_erased_is_put_aside() {
    let bench = Bench::new();
    bench.noting.refuses.store(true, Ordering::Relaxed);
    bench.log.append(vec![entry(tenant(1), 1), entry(tenant(2), 2)]).await.unwrap();
    bench.keys.destroy_scope(tenant(1)).await.unwrap();
    turns(&mut bench.reactions(), 1).await;
    let buried: Vec<_> = bench.log.buried(9).await.unwrap().into_iter().map(|letter| letter.position).collect();
    assert_eq!(buried, [2]);
}

#[tokio::test(start_paused = true)]
async fn what_is_poison_is_put_aside_and_can_be_replayed() {
    let bench = Bench::new();
    bench.noting.refuses.store(true, Ordering::Relaxed);
    bench.log.append(vec![entry(tenant(1), 7)]).await.unwrap();
    let unreadable = Entry { id: "x".to_owned(), scope: tenant(1), envelope: b"{".to_vec() };
    bench.log.append(vec![unreadable]).await.unwrap();
    turns(&mut bench.reactions(), 1).await;
    let buried = bench.log.buried(9).await.unwrap();
    let mut readers: Vec<_> = buried.iter().map(|letter| (letter.reader.as_str(), letter.reason.as_str())).collect();
    readers.sort_unstable();
    assert_eq!(readers, [("noting.envelope", "envelope_unreadable"), ("noting.note", "poison")]);

    let store = Store::new(Arc::new(ModelEngine::default()), bench.keys.clone());
    let operations = Operations::new(store, bench.log.clone(), Arc::default());
    let contexts = Arc::new(vec![bench.noting.context()]);
    let upkeep = Arc::new(ModelEngine::default());
    let relay = Relay::new(upkeep.clone(), bench.log.clone(), "test".to_owned(), Arc::default());
    let relay = Arc::new(relay);
    let timers = Arc::new(Timers::new(Arc::clone(&contexts), upkeep, bench.services.clone()));
    operations.begin(&contexts, (timers, relay), &bench.keys, &bench.services).await.unwrap();
    let declared = freehold_events::operations::PERMISSIONS;
    let grants: Grants = Catalogue::new(declared.iter().copied()).grants(DefaultRole::Operator);
    let operator = Caller::Operator { id: Id::from_uuid(uuid::Uuid::max()) };
    let cx = Cx::verified(Scope::Platform, operator, grants, &Ambient::system());
    let position = buried.iter().find(|letter| letter.reader == "noting.note").unwrap().position;
    let replay = async || {
        let table = operations.context();
        let route = table.routes.iter().find(|route| route.target.name() == "operations.dead_letters.replay");
        let kernel::Target::UseCase(operation) = &route.unwrap().target else { return Err("an endpoint".to_owned()) };
        let asked = serde_json::json!({ "reader": "noting.note", "position": position });
        let ran = operation.run(asked, cx.clone()).await;
        ran.map(drop).map_err(|problem| problem.code().to_owned())
    };
    assert_eq!(replay().await, Err("operations.still_refused".to_owned()));
    bench.noting.refuses.store(false, Ordering::Relaxed);
    assert_eq!(replay().await, Ok(()));
    assert_eq!(bench.noting.of(tenant(1)), [7]);
    assert_eq!(replay().await, Err("not_found".to_owned()), "it is listed no more");
}
