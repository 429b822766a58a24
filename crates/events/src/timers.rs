//! Due timers. Each is acted on as its context's service principal; many side by side, a bounded number of each scope,
//! so that one slow act or one scope with very many holds up nobody else's.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use kernel::{
    Scope, TenantId, TimeDomain, Timestamp,
    context::{Context, Fired, OnDue},
};
use store::{CoreKey, DueTimer, Space, StoreError, Upkeep};
use tokio::time::Instant;

use crate::Services;

const BATCH: usize = 200;
const LOOK: Duration = Duration::from_millis(250);
/// How many act at once, and how many of one scope.
const AT_ONCE: usize = 64;
const OF_ONE_SCOPE: usize = 8;
/// A timer whose act failed rests this long, doubled with each failure, up to ten minutes.
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_mins(10);
/// The longest that an act may take. It may run on after that: the aggregate checks.
const LONGEST: Duration = Duration::from_mins(2);

/// Acts on the timers of all contexts.
pub struct Timers {
    contexts: Arc<Vec<Context>>,
    upkeep: Arc<dyn Upkeep>,
    services: Services,
}

/// What is under way, and what rests after a failure.
#[derive(Default)]
struct Flight {
    keys: HashSet<CoreKey>,
    of_scope: HashMap<Space, usize>,
    resting: HashMap<CoreKey, (u32, Instant)>,
}

impl Flight {
    /// Of what is due: what neither is under way nor rests.
    fn could_begin(&self, due: Vec<DueTimer>, now: Instant) -> VecDeque<DueTimer> {
        let rests = |key: &CoreKey| self.resting.get(key).is_some_and(|(_, until)| *until > now);
        due.into_iter().filter(|it| !self.keys.contains(&it.key) && !rests(&it.key)).collect()
    }

    /// Takes the first of those that wait that may begin now.
    fn next_of(&self, waiting: &mut VecDeque<DueTimer>) -> Option<DueTimer> {
        if self.keys.len() >= AT_ONCE {
            return None;
        }
        let has_room = |space: &Space| self.of_scope.get(space).is_none_or(|count| *count < OF_ONE_SCOPE);
        let free = |it: &DueTimer| has_room(&it.key.space) && !self.keys.contains(&it.key);
        waiting.remove(waiting.iter().position(free)?)
    }

    fn begins(&mut self, key: &CoreKey) {
        self.keys.insert(key.clone());
        *self.of_scope.entry(key.space.clone()).or_default() += 1;
    }

    fn ends(&mut self, key: &CoreKey, succeeded: bool, now: Instant) {
        self.keys.remove(key);
        if let Some(count) = self.of_scope.get_mut(&key.space) {
            *count -= 1;
            if *count == 0 {
                self.of_scope.remove(&key.space);
            }
        }
        if succeeded {
            self.resting.remove(key);
        } else {
            let failures = self.resting.get(key).map_or(1, |(failures, _)| failures + 1);
            let rest = (REST * 2_u32.pow(failures.min(10) - 1)).min(LONGEST_REST);
            self.resting.insert(key.clone(), (failures, now + rest));
        }
    }

    /// Those that rested long ago were either acted on or are gone.
    fn forget_the_old(&mut self, now: Instant) {
        self.resting.retain(|_, (_, until)| *until + LONGEST_REST > now);
    }
}

impl Timers {
    /// The timers of these contexts.
    pub fn new(contexts: Arc<Vec<Context>>, upkeep: Arc<dyn Upkeep>, services: Services) -> Self {
        Self { contexts, upkeep, services }
    }

    /// Looks for ever; drop the future to stop.
    pub async fn follow(&self) {
        // What was due at the last look and is not begun yet; whether there may be more.
        let (mut flight, mut waiting, mut more) = (Flight::default(), VecDeque::new(), false);
        let mut running = FuturesUnordered::new();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            while let Some(timer) = flight.next_of(&mut waiting) {
                flight.begins(&timer.key);
                running.push(self.act(timer));
            }
            tokio::select! {
                // What ends makes room for what is due.
                biased;
                Some((key, succeeded)) = running.next() => {
                    flight.ends(&key, succeeded, Instant::now());
                    if more && waiting.is_empty() {
                        look.reset_immediately();
                    }
                }
                _ = look.tick() => {
                    flight.forget_the_old(Instant::now());
                    match self.due_now().await {
                        Ok(due) => {
                            let full = due.len() == BATCH;
                            waiting = flight.could_begin(due, Instant::now());
                            more = full && !waiting.is_empty();
                        }
                        Err(error) => tracing::warn!(%error, "timers cannot be read"),
                    }
                }
            }
        }
    }

    async fn due_now(&self) -> Result<Vec<DueTimer>, StoreError> {
        let now = self.services.ambient().clock.now();
        let mut due = self.upkeep.due(None, now, BATCH).await?;
        // A sandbox tenant's own time moves by hand: see `TestClock`.
        due.retain(|timer| self.test_clock(timer).is_none());
        Ok(due)
    }

    /// The tenant whose test clock a timer goes by, if it goes by one.
    fn test_clock(&self, timer: &DueTimer) -> Option<TenantId> {
        let Some(Scope::Tenant(tenant)) = scope_of(&timer.key.space) else { return None };
        self.services.ambient().test_clocks.of(tenant)?;
        (self.of_kind(&timer.key.kind)?.1.domain == TimeDomain::Tenant).then_some(tenant)
    }

    fn of_kind(&self, kind: &str) -> Option<(&'static str, &OnDue)> {
        self.contexts.iter().find_map(|context| {
            let found = context.timers.iter().find(|it| it.kind == kind);
            found.map(|it| (context.name, it))
        })
    }

    /// The timers of a tenant that go by its own time and are due at an instant of it, the longest due first.
    pub(crate) async fn due_in(&self, tenant: TenantId, at: Timestamp) -> Result<Vec<DueTimer>, StoreError> {
        let mut due = self.upkeep.due(Some(&Space::of(Scope::Tenant(tenant))), at, BATCH).await?;
        due.retain(|timer| self.test_clock(timer) == Some(tenant));
        Ok(due)
    }

    /// Acts on one timer; whether that went well.
    pub(crate) async fn act(&self, due: DueTimer) -> (CoreKey, bool) {
        let Some((name, on_due)) = self.of_kind(&due.key.kind) else { return (due.key, false) };
        let Some(scope) = scope_of(&due.key.space) else { return (due.key, false) };
        let fired = Fired { id: due.key.id.clone(), timer: due.timer.name.clone(), due: due.timer.due };
        let key = format!("timer/{}/{}/{}", due.key, fired.timer, fired.due);
        let cx = self.services.cx(name, scope).repeatable(&key);
        match tokio::time::timeout(LONGEST, on_due.act(fired, cx)).await {
            Ok(Ok(())) => (due.key, true),
            // The scope or the person was erased meanwhile: the timer goes with them.
            Ok(Err(gone)) if gone.kind() == kernel::ProblemKind::Gone => (due.key, true),
            Ok(Err(problem)) => {
                let (code, cause) = (problem.code(), problem.source_text());
                tracing::warn!(timer = %due.key, code, cause, "a timer's act failed");
                (due.key, false)
            }
            Err(_) => {
                tracing::warn!(timer = %due.key, "a timer's act took too long");
                (due.key, false)
            }
        }
    }
}

pub(crate) fn scope_of(space: &Space) -> Option<Scope> {
    match space.as_str() {
        "platform" => Some(Scope::Platform),
        tenant => tenant.parse().ok().map(Scope::Tenant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::TimerKey;

    fn key(scope: Scope, id: &str) -> CoreKey {
        CoreKey { space: Space::of(scope), kind: "test.thing".to_owned(), id: id.to_owned() }
    }

    fn due(key: &CoreKey) -> DueTimer {
        DueTimer { key: key.clone(), timer: TimerKey { name: "due".to_owned(), due: Timestamp::UNIX_EPOCH } }
    }

    #[tokio::test(start_paused = true)]
    async fn one_scope_has_a_bounded_share_and_failures_rest() {
        let (mut flight, now) = (Flight::default(), Instant::now());
        let crowd = Scope::Tenant(kernel::Id::from_uuid(uuid::Uuid::max()));
        let of_crowd: Vec<_> = (0..=OF_ONE_SCOPE).map(|place| key(crowd, &place.to_string())).collect();
        let other = key(Scope::Platform, "other");
        let all = of_crowd.iter().chain(std::iter::once(&other)).map(due).collect();
        let mut waiting = flight.could_begin(all, now);
        let mut begun = Vec::new();
        while let Some(timer) = flight.next_of(&mut waiting) {
            flight.begins(&timer.key);
            begun.push(timer.key);
        }
        assert!(begun.contains(&other), "others have their share");
        assert_eq!((begun.len(), waiting.len()), (OF_ONE_SCOPE + 1, 1));

        let first = of_crowd.first().unwrap();
        assert!(flight.could_begin(vec![due(first)], now).is_empty(), "the same aggregate is acted on once at a time");
        flight.ends(first, false, now);
        assert!(flight.next_of(&mut waiting).is_some(), "whoever waits goes on where there is room");
        assert!(flight.could_begin(vec![due(first)], now).is_empty(), "who failed rests");
        assert!(!flight.could_begin(vec![due(first)], now + REST).is_empty());
    }
}
