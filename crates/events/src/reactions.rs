//! Contexts follow the log: each is one reader. Within a scope, events are digested in the order of the log; scopes go
//! side by side. A scope that is held up (something it needs is away) or that has very much to do falls behind alone: it
//! gets a place of its own in the log, and the others go on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use kernel::{Envelope, Scope, context::Context};
use keys::Keys;
use tokio::{sync::Notify, time::Instant};

use crate::{
    DeadLetter, LogError, Services, Tail,
    digest::{Digest, Digested},
    log::scope_of,
};

const BATCH: usize = 200;
/// The most events of one scope that others wait for while there may be more of theirs.
const SHARE: usize = 50;
/// How many scopes are digested side by side.
const LANES: usize = 16;
/// The longest between two looks at the log, should a wake-up be missed.
const LOOK: Duration = Duration::from_millis(500);
/// The longest that a place which moved is not written down once nothing more comes.
const WRITTEN: Duration = Duration::from_millis(50);
/// The most events that may be read again after a crash. Their effects are marked, and not had twice.
const AHEAD: u64 = 1_000;
/// Between two attempts of a scope that is held up: this long, doubled each time, up to half a minute.
const AGAIN: Duration = Duration::from_secs(1);

/// The name under which a scope that fell behind keeps its place.
fn own_place(context: &str, scope: Scope) -> String {
    format!("{context}@{scope}")
}

/// A scope that reads for itself.
struct Behind {
    position: u64,
    /// Whether that place is written down.
    kept: bool,
    failures: u32,
    again: Instant,
}

/// The reactions of one context.
pub struct Reactions {
    digest: Digest,
    tail: Tail,
    appended: Arc<Notify>,
    /// Read from the log at the first turn; from then on this reader alone changes it.
    places: Option<Places>,
}

/// How far a context has come.
struct Places {
    common: u64,
    /// The common place as it is written down.
    written: u64,
    /// The turn before found nothing new.
    quiet: bool,
    /// There may be more to read than the turn before has read.
    more: bool,
    behind: BTreeMap<Scope, Behind>,
}

/// An event that the context reacts to, with its position.
type Concerning<'a> = (u64, &'a Envelope);

/// Where a scope's events of one batch led.
enum Lane {
    Done,
    /// All up to this position is digested; the next one has to wait.
    HeldUp(u64),
    /// The same, but only because others have their turn.
    Yields(u64),
}

impl Reactions {
    /// The reactions of a context, reading the end of a log.
    pub fn of(context: &Context, tail: Tail, keys: Keys, services: Services, appended: Arc<Notify>) -> Self {
        Self { digest: Digest::of(context, keys, services), tail, appended, places: None }
    }

    /// Reads for ever; drop the future to stop.
    pub async fn follow(mut self) {
        let appended = Arc::clone(&self.appended);
        loop {
            let woken = appended.notified();
            match self.turn().await {
                Ok(_) => {
                    if let Some(pause) = self.pause() {
                        drop(tokio::time::timeout(pause, woken).await);
                    }
                }
                Err(error) => {
                    tracing::warn!(context = self.digest.context, %error, "the log cannot be read");
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }

    /// Reacts to the next events, and lets scopes that fell behind catch up a little. Returns how many events there were.
    pub async fn turn(&mut self) -> Result<usize, LogError> {
        let mut places = match self.places.take() {
            Some(places) => places,
            None => self.recall().await?,
        };
        let turned = self.turn_from(&mut places).await;
        self.places = Some(places);
        turned
    }

    /// How long nothing is to be looked for, unless something is appended.
    fn pause(&self) -> Option<Duration> {
        let places = self.places.as_ref().filter(|places| !places.more)?;
        Some(if places.common > places.written { WRITTEN } else { LOOK })
    }

    async fn turn_from(&self, places: &mut Places) -> Result<usize, LogError> {
        let read = self.read_on(places).await?;
        // Writing it down at each turn would cost a flush a context for every few commits.
        let ahead = places.common.saturating_sub(places.written);
        if ahead >= AHEAD || ahead > 0 && read == 0 && places.quiet {
            self.tail.log().advance(self.digest.context, places.common).await?;
            places.written = places.common;
        }
        places.quiet = read == 0;
        let caught = self.catch_up(places).await?;
        places.more = read == BATCH || caught > 0;
        Ok(read + caught)
    }

    async fn recall(&self) -> Result<Places, LogError> {
        let common = self.tail.log().position(self.digest.context).await?;
        let own = self.tail.log().readers(&format!("{}@", self.digest.context)).await?;
        let behind = |(name, position): (String, u64)| {
            scope_of(&name).map(|scope| (scope, Behind { position, kept: true, failures: 0, again: Instant::now() }))
        };
        let behind = own.into_iter().filter_map(behind).collect();
        Ok(Places { common, written: common, quiet: false, more: true, behind })
    }

    async fn read_on(&self, places: &mut Places) -> Result<usize, LogError> {
        let (context, Places { common, behind, .. }) = (self.digest.context, places);
        let read = self.tail.read(*common, BATCH).await?;
        let Some(last) = read.last().map(|last| last.position) else { return Ok(0) };
        let mut lanes: BTreeMap<Scope, Vec<Concerning<'_>>> = BTreeMap::new();
        for event in &read {
            match &event.envelope {
                Some(envelope) if self.digest.concerns(&envelope.r#type) && !behind.contains_key(&envelope.scope) => {
                    lanes.entry(envelope.scope).or_default().push((event.position, envelope));
                }
                Some(_) => {}
                None => self.bury(event.position, &[("envelope".to_owned(), "envelope_unreadable".to_owned())]).await?,
            }
        }
        let most = if read.len() == BATCH { SHARE } else { BATCH };
        // Boxed: the compiler cannot see that a closure over borrowed events is Send.
        let digested: Vec<BoxFuture<'_, _>> = lanes
            .into_iter()
            .map(|(scope, events)| async move { (scope, self.lane(&events, most).await) }.boxed())
            .collect();
        let digested: Vec<_> = stream::iter(digested).buffer_unordered(LANES).collect().await;
        for (scope, outcome) in digested {
            let (position, failures) = match outcome? {
                Lane::Done => continue,
                Lane::HeldUp(position) => (position, 1),
                Lane::Yields(position) => (position, 0),
            };
            behind.insert(scope, Behind { position, kept: false, failures, again: Instant::now() + AGAIN * failures });
        }
        // Before the common place is: a scope that fell behind skips nothing. Where it fails it may be written all the same: so
        // it is known here first, and goes once the scope has caught up.
        for (scope, it) in behind.iter_mut().filter(|(_, it)| !it.kept) {
            self.tail.log().advance(&own_place(context, *scope), it.position).await?;
            it.kept = true;
        }
        *common = last;
        Ok(read.len())
    }

    /// The events of one scope, in order, until one has to wait.
    async fn lane(&self, events: &[Concerning<'_>], most: usize) -> Result<Lane, LogError> {
        for (place, &(position, envelope)) in events.iter().enumerate() {
            let before = position.saturating_sub(1);
            if place >= most {
                return Ok(Lane::Yields(before));
            }
            match self.digest.event(envelope, None).await {
                Digested::Done => {}
                Digested::Refused(refused) => self.bury(position, &refused).await?,
                Digested::Later(problem) => {
                    let (context, code) = (self.digest.context, problem.code());
                    tracing::warn!(context, position, code, "an event has to wait");
                    return Ok(Lane::HeldUp(before));
                }
            }
        }
        Ok(Lane::Done)
    }

    async fn catch_up(&self, places: &mut Places) -> Result<usize, LogError> {
        let (context, now) = (self.digest.context, Instant::now());
        let Places { common, behind, .. } = places;
        let common = *common;
        let ready: Vec<_> =
            behind.iter().filter(|(_, it)| it.again <= now).map(|(it, at)| (*it, at.position)).collect();
        let caught: Vec<BoxFuture<'_, _>> = ready
            .into_iter()
            .map(|(scope, position)| async move { (scope, self.scope_on(scope, position, common).await) }.boxed())
            .collect();
        let caught: Vec<_> = stream::iter(caught).buffer_unordered(LANES).collect().await;
        let mut count = 0;
        for (scope, outcome) in caught {
            let (read, position, lane) = outcome?;
            count += read;
            let place = own_place(context, scope);
            match lane {
                Lane::Done if position >= common => {
                    self.tail.log().dismiss(&place).await?;
                    behind.remove(&scope);
                    continue;
                }
                Lane::Done | Lane::Yields(_) => self.tail.log().advance(&place, position).await?,
                Lane::HeldUp(_) => {
                    self.tail.log().advance(&place, position).await?;
                    count = count.saturating_sub(read);
                }
            }
            let failures = behind.get(&scope).map_or(0, |it| it.failures);
            let failures = if matches!(lane, Lane::HeldUp(_)) { failures + 1 } else { 0 };
            let pause = if failures == 0 { Duration::ZERO } else { AGAIN * 2_u32.pow(failures.min(6) - 1) };
            behind.insert(scope, Behind { position, kept: true, failures, again: Instant::now() + pause });
        }
        Ok(count)
    }

    /// The next events of one scope that fell behind, up to where all others are.
    async fn scope_on(&self, scope: Scope, after: u64, common: u64) -> Result<(usize, u64, Lane), LogError> {
        let own = self.tail.read_of(scope, (after, common), SHARE).await?;
        let mut events: Vec<Concerning<'_>> = Vec::new();
        for event in &own {
            if let Some(envelope) = event.envelope.as_ref().filter(|it| self.digest.concerns(&it.r#type)) {
                events.push((event.position, envelope));
            }
        }
        let lane = self.lane(&events, SHARE).await?;
        let position = match &lane {
            Lane::HeldUp(position) | Lane::Yields(position) => *position,
            // A short page was the last one below the common place.
            Lane::Done if own.len() < SHARE => common,
            Lane::Done => own.last().map_or(common, |event| event.position),
        };
        Ok((own.len(), position, lane))
    }

    async fn bury(&self, position: u64, refused: &[(String, String)]) -> Result<(), LogError> {
        let at = self.digest.services.cx(self.digest.context, Scope::Platform).real_now();
        for (reaction, reason) in refused {
            let reader = format!("{}.{reaction}", self.digest.context);
            self.tail.log().bury(DeadLetter { reader, position, reason: reason.clone(), at }).await?;
        }
        Ok(())
    }
}
