//! The definition of an engine: every promise of the port as a check that runs against the real server. Each check
//! works in scopes of its own, so the suite can run on a server that holds other data.

mod cores;
mod crash;
mod derived;
mod oracle;
mod races;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use kernel::{
    Id, Scope, Timestamp,
    entropy::{Entropy, SeededEntropy, SystemEntropy},
};

use crate::port::{
    Base, ClaimKey, Commit, CommitId, CoreKey, Engine, Outbox, Outcome, Space, StoreError, TermKey, TimerKey, Upkeep,
    Write,
};

pub use crash::Mortal;

/// The engine under test, through each of its ports.
#[derive(Clone)]
pub struct Subject {
    mortal: Option<Arc<dyn Mortal>>,
    /// Cores.
    pub engine: Arc<dyn Engine>,
    /// Timers, sweep, repair.
    pub upkeep: Arc<dyn Upkeep>,
    /// Events that wait, where they do.
    pub outbox: Option<Arc<dyn Outbox>>,
    /// Where events come out.
    told: Arc<dyn Told>,
    prepares: Option<Arc<dyn Prepares>>,
}

/// Gives a scope its place before anything is written there, where an engine has several.
#[async_trait]
pub trait Prepares: Send + Sync + 'static {
    /// Prepares the place of a scope.
    async fn prepare(&self, space: &Space);
}

/// Where the events of commits come out.
#[async_trait]
pub trait Told: Send + Sync + 'static {
    /// All events that were not told before, in the order of each aggregate.
    async fn next(&self) -> Vec<Vec<u8>>;
}

impl Subject {
    /// A subject from one type that implements all three ports.
    pub fn new<E: Engine + Upkeep + Outbox>(engine: E) -> Self {
        Self::shared(&Arc::new(engine))
    }

    /// The same, of one that others hold too.
    pub fn shared<E: Engine + Upkeep + Outbox>(engine: &Arc<E>) -> Self {
        Self::of(engine, Arc::new(Drained(engine.clone()))).relayed(engine.clone())
    }

    /// Has each scope prepared before a check works in it.
    pub fn prepared(mut self, prepares: Arc<dyn Prepares>) -> Self {
        self.prepares = Some(prepares);
        self
    }

    /// A subject that can die between two writes.
    pub fn mortal<E: Engine + Upkeep + Outbox + Mortal>(engine: E) -> Self {
        let engine = Arc::new(engine);
        let subject = Self::of(&engine, Arc::new(Drained(engine.clone()))).relayed(engine.clone());
        Self { mortal: Some(engine), ..subject }
    }

    /// A subject that writes events to its log in the commit itself, and has no outbox.
    pub fn logging<E: Engine + Upkeep>(engine: &Arc<E>, told: Arc<dyn Told>) -> Self {
        Self::of(engine, told)
    }

    fn of<E: Engine + Upkeep>(engine: &Arc<E>, told: Arc<dyn Told>) -> Self {
        Self { mortal: None, engine: engine.clone(), upkeep: engine.clone(), outbox: None, told, prepares: None }
    }

    /// A scope nobody else uses.
    async fn space(&self) -> Space {
        let now = Timestamp::from_second(1_700_000_000).expect("an instant in range");
        let space = Space::of(Scope::Tenant(Id::from_uuid(SystemEntropy::default().uuid_v7(now))));
        if let Some(prepares) = &self.prepares {
            prepares.prepare(&space).await;
        }
        space
    }

    fn relayed(mut self, outbox: Arc<dyn Outbox>) -> Self {
        self.outbox = Some(outbox);
        self
    }
}

/// Where the server under test listens, from the environment. A test whose server is not there returns at once, and says
/// so in the file that `FREEHOLD_SKIPS` names, so that the totals count it as skipped and not as passed.
#[expect(clippy::disallowed_methods, reason = "servers under test are named by the environment")]
pub fn server(variable: &str) -> Option<String> {
    let variable_of = |name: &str| std::env::var(name).ok();
    let address = variable_of(variable);
    if let (None, Some(skips)) = (&address, variable_of("FREEHOLD_SKIPS")) {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(skips);
        let line = format!("{variable} names no server\n");
        // A list that cannot be written leaves the test counted as passed; nothing is hidden by stopping here.
        drop(file.and_then(|mut file| std::io::Write::write_all(&mut file, line.as_bytes())));
    }
    address
}

/// Runs every check; the first that fails panics with what was promised.
pub async fn run(subject: &Subject) {
    cores::life_of_a_core(subject).await;
    cores::a_stale_base_changes_nothing(subject).await;
    cores::the_same_commit_applies_once(subject).await;
    cores::claims_are_held_by_one(subject).await;
    cores::a_refused_claim_changes_nothing(subject).await;
    cores::spaces_are_apart(subject).await;
    cores::erasing_leaves_nothing_behind(subject).await;
    cores::export_and_import_are_inverse(subject).await;
    cores::bounds_are_refused(subject).await;
    derived::scans_are_ordered_and_paged(subject).await;
    derived::terms_follow_the_core(subject).await;
    derived::timers_follow_the_core(subject).await;
    derived::many_timers_of_one_space_hide_no_other(subject).await;
    derived::the_feed_tells_every_change(subject).await;
    derived::ephemeral_cores_end(subject).await;
    derived::events_wait_in_order(subject).await;
    derived::a_passed_epoch_forgets_nothing(subject).await;
    races::one_of_many_gets_the_name(subject).await;
    races::no_update_is_lost(subject).await;
    races::no_hit_comes_twice_while_writers_write(subject).await;
    races::events_keep_the_order_under_slow_writers(subject).await;
    crash::a_crash_leaves_old_or_new(subject).await;
    for seed in 1..=3 {
        oracle::agrees_with_the_model(subject, seed).await;
    }
}

fn instant(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("an instant in range")
}

/// A commit being put together.
#[derive(Clone)]
struct Draft(Commit);

impl Draft {
    fn put(space: &Space, id: &str, base: Base, body: &str) -> Self {
        let mut bytes = [0; 16];
        SystemEntropy::default().fill(&mut bytes);
        let key = CoreKey { space: space.clone(), kind: "test.thing".to_owned(), id: id.to_owned() };
        let body = body.as_bytes().to_vec();
        let write = Write::Put { body, claims: Vec::new(), terms: Vec::new(), timers: Vec::new(), expires: None };
        let id = CommitId { bytes, remember: Duration::from_hours(24) };
        Self(Commit { id, key, base, write, events: Vec::new(), at: instant(0) })
    }

    fn create(space: &Space, id: &str, body: &str) -> Self {
        Self::put(space, id, Base::default(), body)
    }

    fn delete(space: &Space, id: &str, base: Base) -> Self {
        let mut draft = Self::put(space, id, base, "");
        draft.0.write = Write::Delete;
        draft
    }

    fn claim(mut self, name: &str) -> Self {
        if let Write::Put { claims, .. } = &mut self.0.write {
            claims.push(ClaimKey(name.to_owned()));
        }
        self
    }

    fn term(mut self, value: &str, sort: &str) -> Self {
        if let Write::Put { terms, .. } = &mut self.0.write {
            terms.push(TermKey { index: "by".to_owned(), value: value.to_owned(), sort: sort.to_owned() });
        }
        self
    }

    fn timer(mut self, name: &str, due: Timestamp) -> Self {
        if let Write::Put { timers, .. } = &mut self.0.write {
            timers.push(TimerKey { name: name.to_owned(), due });
        }
        self
    }

    fn ends(mut self, at: Timestamp) -> Self {
        if let Write::Put { expires, .. } = &mut self.0.write {
            *expires = Some(at);
        }
        self
    }

    /// The text begins with its space, by which a check knows its own.
    fn event(mut self, text: &str) -> Self {
        self.0.events.push(format!("{} {text}", self.0.key.space.as_str()).into_bytes());
        self
    }

    fn key(&self) -> &CoreKey {
        &self.0.key
    }

    async fn send(&self, subject: &Subject) -> Result<Outcome, StoreError> {
        subject.engine.commit(self.0.clone()).await
    }

    async fn done(&self, subject: &Subject) -> Base {
        let outcome = self.send(subject).await.expect("a commit that nothing stands against is applied");
        assert_eq!(outcome, Outcome::Done, "a commit sent for the first time");
        Base { version: self.0.base.version + 1, fence: self.0.base.fence }
    }
}

/// Relays all that waits, as a relay does: lease, read, forget.
struct Drained(Arc<dyn Outbox>);

#[async_trait]
impl Told for Drained {
    async fn next(&self) -> Vec<Vec<u8>> {
        let mut relayed = Vec::new();
        for partition in 0..crate::port::OUTBOX_PARTITIONS {
            let lease = || self.0.lease(partition, "drain", Duration::from_secs(2));
            let mut epoch = lease().await.expect("the lease is answered");
            // Another check's lease may still run: it was taken for a moment only.
            for _ in 0..200 {
                if epoch.is_some() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
                epoch = lease().await.expect("the lease is answered");
            }
            let mut epoch = epoch.expect("a lease that was taken for a moment comes free");
            loop {
                let pending = self.0.pending(partition, 200).await.expect("pending events are told");
                if pending.is_empty() {
                    break;
                }
                self.0.relayed(partition, epoch, &pending).await.expect("the holder of the lease may forget");
                epoch = lease().await.expect("the lease is answered").unwrap_or(epoch);
                relayed.extend(pending.into_iter().map(|event| event.envelope));
            }
        }
        relayed
    }
}

/// The events of a space that come out now.
async fn told(subject: &Subject, space: &Space) -> Vec<String> {
    let texts = subject.told.next().await.into_iter().map(|event| String::from_utf8_lossy(&event).into_owned());
    let own = |text: String| text.strip_prefix(space.as_str()).map(|text| text.trim_start().to_owned());
    texts.filter_map(own).collect()
}

fn pick(entropy: &SeededEntropy, below: u64) -> u64 {
    entropy.next() % below.max(1)
}
