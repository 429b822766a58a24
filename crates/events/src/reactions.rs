//! Contexts follow the log: each is one reader. Within a scope, events are digested in the order of the log; scopes go
//! side by side. A scope that is held up (something it needs is away) or that has very much to do falls behind alone: it
//! gets a place of its own in the log, and the others go on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use kernel::{Scope, context::Context};
use keys::Keys;
use tokio::{sync::Notify, time::Instant};

use crate::{
    DeadLetter, Log, LogError, Logged, Services,
    digest::{Digest, Digested, Header},
    log::scope_of,
};

const BATCH: usize = 200;
/// The most events of one scope that others wait for while there may be more of theirs.
const SHARE: usize = 50;
/// How many scopes are digested side by side.
const LANES: usize = 16;
/// The longest between two looks at the log, should a wake-up be missed.
const LOOK: Duration = Duration::from_millis(500);
/// Between two attempts of a scope that is held up: this long, doubled each time, up to half a minute.
const AGAIN: Duration = Duration::from_secs(1);

/// The name under which a scope that fell behind keeps its place.
fn own_place(context: &str, scope: Scope) -> String {
    format!("{context}@{scope}")
}

/// A scope that reads for itself.
struct Behind {
    position: u64,
    failures: u32,
    again: Instant,
}

/// The reactions of one context.
pub struct Reactions {
    digest: Digest,
    log: Arc<dyn Log>,
    appended: Arc<Notify>,
    /// Read from the log at the first turn; from then on this reader alone changes it.
    places: Option<Places>,
}

/// How far a context has come.
struct Places {
    common: u64,
    behind: BTreeMap<Scope, Behind>,
}

/// Where a scope's events of one batch led.
enum Lane {
    Done,
    /// All up to this position is digested; the next one has to wait.
    HeldUp(u64),
    /// The same, but only because others have their turn.
    Yields(u64),
}

impl Reactions {
    /// The reactions of a context, reading a log.
    pub fn of(context: &Context, log: Arc<dyn Log>, keys: Keys, services: Services, appended: Arc<Notify>) -> Self {
        Self { digest: Digest::of(context, keys, services), log, appended, places: None }
    }

    /// Reads for ever; drop the future to stop.
    pub async fn follow(mut self) {
        let appended = Arc::clone(&self.appended);
        loop {
            let woken = appended.notified();
            match self.turn().await {
                Ok(0) => drop(tokio::time::timeout(LOOK, woken).await),
                Ok(_) => {}
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

    async fn turn_from(&self, places: &mut Places) -> Result<usize, LogError> {
        let read = self.read_on(places).await?;
        Ok(read + self.catch_up(places).await?)
    }

    async fn recall(&self) -> Result<Places, LogError> {
        let common = self.log.position(self.digest.context).await?;
        let own = self.log.readers(&format!("{}@", self.digest.context)).await?;
        let behind = |(name, position): (String, u64)| {
            scope_of(&name).map(|scope| (scope, Behind { position, failures: 0, again: Instant::now() }))
        };
        Ok(Places { common, behind: own.into_iter().filter_map(behind).collect() })
    }

    async fn read_on(&self, places: &mut Places) -> Result<usize, LogError> {
        let (context, Places { common, behind }) = (self.digest.context, places);
        let logged = self.log.read(*common, BATCH).await?;
        let Some(last) = logged.last().map(|last| last.position) else { return Ok(0) };
        let mut lanes: BTreeMap<Scope, Vec<&Logged>> = BTreeMap::new();
        for event in &logged {
            match Header::of(&event.envelope) {
                Some((header, scope)) if self.digest.concerns(&header.r#type) && !behind.contains_key(&scope) => {
                    lanes.entry(scope).or_default().push(event);
                }
                Some(_) => {}
                None => self.bury(event.position, &[("envelope".to_owned(), "envelope_unreadable".to_owned())]).await?,
            }
        }
        let most = if logged.len() == BATCH { SHARE } else { BATCH };
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
            self.log.advance(&own_place(context, scope), position).await?;
            behind.insert(scope, Behind { position, failures, again: Instant::now() + AGAIN * failures });
        }
        // Whatever a crash repeats from here is marked in its targets, and has no second effect.
        self.log.advance(context, last).await?;
        *common = last;
        Ok(logged.len())
    }

    /// The events of one scope, in order, until one has to wait.
    async fn lane(&self, events: &[&Logged], most: usize) -> Result<Lane, LogError> {
        for (place, event) in events.iter().enumerate() {
            let before = event.position.saturating_sub(1);
            if place >= most {
                return Ok(Lane::Yields(before));
            }
            match self.digest.event(&event.envelope, None).await {
                Digested::Done => {}
                Digested::Refused(refused) => self.bury(event.position, &refused).await?,
                Digested::Later(problem) => {
                    let (context, code) = (self.digest.context, problem.code());
                    tracing::warn!(context, position = event.position, code, "an event has to wait");
                    return Ok(Lane::HeldUp(before));
                }
            }
        }
        Ok(Lane::Done)
    }

    async fn catch_up(&self, places: &mut Places) -> Result<usize, LogError> {
        let (context, now) = (self.digest.context, Instant::now());
        let Places { common, behind } = places;
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
                    self.log.dismiss(&place).await?;
                    behind.remove(&scope);
                    continue;
                }
                Lane::Done | Lane::Yields(_) => self.log.advance(&place, position).await?,
                Lane::HeldUp(_) => {
                    self.log.advance(&place, position).await?;
                    count = count.saturating_sub(read);
                }
            }
            let failures = behind.get(&scope).map_or(0, |it| it.failures);
            let failures = if matches!(lane, Lane::HeldUp(_)) { failures + 1 } else { 0 };
            let pause = if failures == 0 { Duration::ZERO } else { AGAIN * 2_u32.pow(failures.min(6) - 1) };
            behind.insert(scope, Behind { position, failures, again: Instant::now() + pause });
        }
        Ok(count)
    }

    /// The next events of one scope that fell behind, up to where all others are.
    async fn scope_on(&self, scope: Scope, after: u64, common: u64) -> Result<(usize, u64, Lane), LogError> {
        let logged = self.log.read_of(scope, after, SHARE).await?;
        let own: Vec<&Logged> = logged.iter().filter(|event| event.position <= common).collect();
        let concerned = |event: &&&Logged| {
            Header::of(&event.envelope).is_some_and(|(header, _)| self.digest.concerns(&header.r#type))
        };
        let events: Vec<&Logged> = own.iter().filter(concerned).copied().collect();
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
            self.log.bury(DeadLetter { reader, position, reason: reason.clone(), at }).await?;
        }
        Ok(())
    }
}
