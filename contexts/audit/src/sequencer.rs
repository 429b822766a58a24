//! The sequencer: reads the retained log and appends what each scope's events tell to that scope's log, a bundle at a time.
//! Several may run: of two that append at the same place one is refused, reads what the other has written, and goes on
//! after it. One that stops anywhere leaves a log that the next one continues.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use events::{Log, LogError, Logged, Services, scope_of};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use kernel::{Cx, Problem, ProblemKind, Scope};
use serde_json::value::to_raw_value;
use store::Store;
use tlog::TILE;
use tokio::{sync::Notify, time::Instant};

use crate::{
    bundle::{Bundle, Entry, MOST, MOST_BYTES},
    log::{Head, Logs},
    noticed::{Notice, Noticed, What},
    record::Record,
};

/// The name of this reader of the log.
const READER: &str = "audit";
const BATCH: usize = 2_048;
/// How many scopes are appended to side by side.
const LANES: usize = 16;
/// Between two turns, unless much waits: what comes meanwhile goes into one bundle of a scope, and one flush of the disk.
/// Nothing waits for it but that an entry can be proved.
const GATHER: Duration = Duration::from_millis(200);
/// So far ahead of what is written down this may read: an event that is read again is known to be appended.
const AHEAD: u64 = 1_000;
/// The longest between two looks at the log, should a wake-up be missed.
const LOOK: Duration = Duration::from_millis(500);
/// Between two attempts of a scope whose log cannot be written: this long, doubled each time, up to half a minute.
const AGAIN: Duration = Duration::from_secs(1);
/// Of so many logs it is known how they end; of others it is read.
const KNOWN: usize = 1_000;
/// The position of what no event tells.
const UNTOLD: u64 = 0;
/// For so long refusals are counted before they are written down.
const WINDOW: Duration = Duration::from_mins(1);
/// How often an append is tried on what others have written meanwhile.
const ATTEMPTS: usize = 20;

/// A scope that reads for itself, because its log could not be written.
struct Behind {
    position: u64,
    /// Whether that place is written down.
    kept: bool,
    failures: u32,
    again: Instant,
}

/// Appends to the logs of all scopes.
pub struct Sequencer {
    logs: Logs,
    log: Arc<dyn Log>,
    services: Services,
    appended: Arc<Notify>,
    noticed: Arc<Noticed>,
    heads: Mutex<HashMap<Scope, Head>>,
    common: Option<u64>,
    /// The position that is written down; `common` goes ahead of it.
    written: u64,
    behind: BTreeMap<Scope, Behind>,
    window_ends: Instant,
}

impl Sequencer {
    /// A sequencer of what the log tells, woken by `appended`, and of what was noticed.
    pub fn new(
        store: Store,
        log: Arc<dyn Log>,
        services: Services,
        appended: Arc<Notify>,
        noticed: Arc<Noticed>,
    ) -> Self {
        let (heads, behind, window_ends) = (Mutex::default(), BTreeMap::new(), Instant::now() + WINDOW);
        Self {
            logs: Logs { store },
            log,
            services,
            appended,
            noticed,
            heads,
            common: None,
            written: 0,
            behind,
            window_ends,
        }
    }

    /// Appends for ever; drop the future to stop.
    pub async fn follow(mut self) {
        let appended = Arc::clone(&self.appended);
        loop {
            let woken = appended.notified();
            match self.turn().await {
                Ok(0) => drop(tokio::time::timeout(LOOK, woken).await),
                Ok(count) if count < BATCH => tokio::time::sleep(GATHER).await,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the log cannot be read for the audit log");
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }

    /// Appends what comes next, and lets scopes that fell behind catch up. Returns how many events there were.
    pub async fn turn(&mut self) -> Result<usize, LogError> {
        let common = match self.common {
            Some(common) => common,
            None => self.recall().await?,
        };
        let logged = self.log.read(common, BATCH).await?;
        let last = logged.last().map_or(common, |last| last.position);
        let lanes = by_scope(&logged);
        let appends: Vec<BoxFuture<'_, _>> = lanes
            .into_iter()
            .filter(|(scope, _)| !self.behind.contains_key(scope))
            .map(|(scope, events)| self.attempt(scope, events).boxed())
            .collect();
        let ended: Vec<_> = stream::iter(appends).buffer_unordered(LANES).collect().await;
        for (scope, outcome) in ended {
            let Err(problem) = outcome else { continue };
            tracing::warn!(%scope, code = problem.code(), "the audit log of a scope has to wait");
            let again = Instant::now() + AGAIN;
            self.behind.insert(scope, Behind { position: common, kept: false, failures: 1, again });
        }
        // Before the common place goes past it. Where it fails it may be written all the same: so it is known here first.
        for (scope, it) in self.behind.iter_mut().filter(|(_, it)| !it.kept) {
            self.log.advance(&own_place(*scope), it.position).await?;
            it.kept = true;
        }
        if last >= self.written + AHEAD || (logged.is_empty() && last > self.written) {
            self.log.advance(READER, last).await?;
            self.written = last;
        }
        self.common = Some(last);
        self.write_down_notices().await;
        Ok(logged.len() + self.catch_up(last).await?)
    }

    async fn recall(&mut self) -> Result<u64, LogError> {
        let common = self.log.position(READER).await?;
        // Known from the start: nothing is trimmed that was not read here.
        self.log.advance(READER, common).await?;
        self.written = common;
        for (name, position) in self.log.readers(&format!("{READER}@")).await? {
            if let Some(scope) = scope_of(&name) {
                self.behind.insert(scope, Behind { position, kept: true, failures: 0, again: Instant::now() });
            }
        }
        self.common = Some(common);
        Ok(common)
    }

    async fn catch_up(&mut self, common: u64) -> Result<usize, LogError> {
        let now = Instant::now();
        let ready: Vec<(Scope, u64, u32)> = self
            .behind
            .iter()
            .filter(|(_, it)| it.again <= now)
            .map(|(it, at)| (*it, at.position, at.failures))
            .collect();
        let mut count = 0;
        for (scope, after, failures) in ready {
            let logged = self.log.read_of(scope, after, MOST).await?;
            let all = logged.len() < MOST;
            let events: Vec<_> = by_scope(&logged).remove(&scope).unwrap_or_default();
            let position = logged.last().map_or(common, |last| last.position);
            match self.attempt(scope, events).await.1 {
                Ok(()) if all && position <= common.max(after) => {
                    self.log.dismiss(&own_place(scope)).await?;
                    self.behind.remove(&scope);
                    count += logged.len();
                }
                Ok(()) => {
                    self.log.advance(&own_place(scope), position).await?;
                    self.behind.insert(scope, Behind { position, kept: true, failures: 0, again: now });
                    count += logged.len();
                }
                Err(problem) => {
                    tracing::warn!(%scope, code = problem.code(), "the audit log of a scope still has to wait");
                    let again = now + AGAIN * 2_u32.pow(failures.min(5));
                    self.behind.insert(scope, Behind { position: after, kept: true, failures: failures + 1, again });
                }
            }
        }
        Ok(count)
    }

    /// Looks into tenants at once; refusals as often as they were counted in a window.
    async fn write_down_notices(&mut self) {
        self.write_down(What::Entered).await;
        if Instant::now() >= self.window_ends {
            self.window_ends = Instant::now() + WINDOW;
            self.write_down(What::Refused).await;
        }
    }

    async fn write_down(&self, what: What) {
        let mut by_scope: BTreeMap<Scope, Vec<(Notice, u64)>> = BTreeMap::new();
        for (notice, times) in self.noticed.take(what) {
            by_scope.entry(notice.scope).or_default().push((notice, times));
        }
        for (scope, noticed) in by_scope {
            let cx = self.services.cx(READER, scope);
            let records = noticed.iter().map(|(notice, times)| (UNTOLD, seen(&cx, what, notice, *times))).collect();
            let Err(problem) = self.attempt(scope, records).await.1 else { continue };
            tracing::warn!(%scope, code = problem.code(), "what was noticed has to wait for the audit log");
            for (notice, times) in noticed {
                self.noticed.count(what, notice, times);
            }
        }
    }

    async fn attempt(&self, scope: Scope, events: Vec<(u64, Record<'_>)>) -> (Scope, Result<(), Problem>) {
        let cx = self.services.cx(READER, scope);
        match self.append(&cx, events).await {
            // The scope was erased: nobody will ever ask for its log again.
            Err(gone) if gone.kind() == ProblemKind::Gone => (scope, Ok(())),
            outcome => (scope, outcome),
        }
    }

    /// Appends what events tell, each once: the log tells an event once, and what a bundle reached is never appended again.
    async fn append(&self, cx: &Cx, mut events: Vec<(u64, Record<'_>)>) -> Result<(), Problem> {
        let mut attempts = 0;
        while !events.is_empty() {
            let head = match self.known(cx.scope()) {
                Some(head) => head,
                None => self.logs.head(cx).await?,
            };
            events.retain(|(position, _)| *position == UNTOLD || *position > head.reached);
            let Some((reached, new)) = next_bundle(cx, &events, head.reached)? else { return Ok(()) };
            let taken = new.len();
            match self.write(cx, head, reached, new).await {
                Ok(()) => {
                    attempts = 0;
                    events.drain(..taken);
                }
                Err(problem) if problem.kind() == ProblemKind::Conflict && attempts < ATTEMPTS => {
                    attempts += 1;
                    self.forget(cx.scope());
                }
                Err(problem) => {
                    self.forget(cx.scope());
                    return Err(problem);
                }
            }
        }
        Ok(())
    }

    async fn write(&self, cx: &Cx, head: Head, reached: u64, new: Vec<(Record<'_>, Entry)>) -> Result<(), Problem> {
        let Head { edge, mut tail, .. } = head;
        let mut full = edge.size() / TILE;
        let (bundle, edge) = Bundle::after(edge, reached, new);
        tail.extend(bundle.entries.iter().map(Entry::leaf));
        self.logs.store.at(cx).create(bundle, ()).await?;
        let tiles = tail.len() / 256;
        for _ in 0..tiles {
            let rest = tail.split_off(256);
            self.logs.keep_tiles(cx, full, std::mem::replace(&mut tail, rest)).await?;
            full += 1;
        }
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        if heads.len() >= KNOWN {
            heads.clear();
        }
        heads.insert(cx.scope(), Head { edge, reached, tail });
        Ok(())
    }

    fn known(&self, scope: Scope) -> Option<Head> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).get(&scope).cloned()
    }

    fn forget(&self, scope: Scope) {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).remove(&scope);
    }
}

/// The record of what was noticed.
fn seen(cx: &Cx, what: What, notice: &Notice, times: u64) -> Record<'static> {
    let (action, resource) = match what {
        What::Refused => ("audit.refused".to_owned(), format!("permission/{}", notice.about)),
        What::Entered => (notice.about.clone(), format!("scope/{}", notice.scope)),
    };
    Record::seen(cx, notice.actor.clone(), (action, resource), &serde_json::json!({ "times": times }))
}

fn own_place(scope: Scope) -> String {
    format!("{READER}@{scope}")
}

fn by_scope(logged: &[Logged]) -> BTreeMap<Scope, Vec<(u64, Record<'_>)>> {
    let mut lanes: BTreeMap<Scope, Vec<(u64, Record<'_>)>> = BTreeMap::new();
    for event in logged {
        if let Some((scope, record)) = Record::of(&event.envelope) {
            lanes.entry(scope).or_default().push((event.position, record));
        } else {
            tracing::error!(position = event.position, "what stands in the log is no event: it is not audited");
        }
    }
    lanes
}

/// The position that a bundle reaches, and what is in it.
type Next<'a> = (u64, Vec<(Record<'a>, Entry)>);

/// As many of the first events as one bundle takes, salted, and the position that it reaches.
fn next_bundle<'a>(cx: &Cx, events: &[(u64, Record<'a>)], mut reached: u64) -> Result<Option<Next<'a>>, Problem> {
    let (mut new, mut bytes) = (Vec::new(), 0);
    for (position, record) in events.iter().take(MOST) {
        let text = to_raw_value(record).map_err(Problem::internal)?;
        bytes += text.get().len();
        if bytes > MOST_BYTES && !new.is_empty() {
            break;
        }
        reached = reached.max(*position);
        new.push((record.clone(), Entry { salt: cx.random(), record: text }));
    }
    Ok((!new.is_empty()).then_some((reached, new)))
}
