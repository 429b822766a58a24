//! Servers of upstreams: which is taken, and which is left alone for a while.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::uri::{Authority, Scheme, Uri};

/// So many failures in a row, and a server is left alone.
const FAILURES: u32 = 5;
/// For so long; twice as long each time, up to a minute.
const ALONE: Duration = Duration::from_secs(2);
const ALONE_AT_MOST: u64 = 60_000;

/// One server, shared by all routes that name it.
pub struct Server {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host and port.
    pub authority: Authority,
    busy: AtomicU32,
    failures: AtomicU32,
    ejections: AtomicU32,
    /// In milliseconds since the process began to serve.
    alone_until: AtomicU64,
}

/// A request that runs on a server; counts it as busy.
pub struct Running(Arc<Server>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Server {
    fn new(uri: &Uri) -> Option<Self> {
        Some(Self {
            scheme: uri.scheme()?.clone(),
            authority: uri.authority()?.clone(),
            busy: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            alone_until: AtomicU64::new(0),
        })
    }

    /// Counts one more request on it, until it ends.
    pub fn run(self: &Arc<Self>) -> Running {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// It has answered.
    pub fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.ejections.store(0, Ordering::Relaxed);
    }

    /// Tells whether this failure was one too many.
    pub fn failed(&self, now: u64) -> bool {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 < FAILURES {
            return false;
        }
        self.failures.store(0, Ordering::Relaxed);
        let times = self.ejections.fetch_add(1, Ordering::Relaxed).min(5);
        let alone = u64::try_from(ALONE.as_millis()).unwrap_or(ALONE_AT_MOST) << times;
        self.alone_until.store(now + alone.min(ALONE_AT_MOST), Ordering::Relaxed);
        true
    }

    fn is_well(&self, now: u64) -> bool {
        self.alone_until.load(Ordering::Relaxed) <= now
    }
}

/// Of two that are well, the less busy. Where none is well any is taken: to be refused by a sick one is no worse than to
/// be refused here. One that has just failed is taken only if there is no other.
pub fn choose<'a>(
    servers: &'a [Arc<Server>],
    failed: Option<&Arc<Server>>,
    now: u64,
    random: u64,
) -> Option<&'a Arc<Server>> {
    let other = |it: &&Arc<Server>| failed.is_none_or(|failed| !Arc::ptr_eq(failed, it));
    let well = || servers.iter().filter(other).filter(|it| it.is_well(now));
    let count = well().count();
    if count == 0 {
        let mut others = servers.iter().filter(other);
        let count = u64::try_from(servers.iter().filter(other).count()).unwrap_or(1).max(1);
        return others.nth(usize::try_from(random % count).unwrap_or(0)).or_else(|| servers.first());
    }
    let nth = |random: u64| well().nth(usize::try_from(random).unwrap_or(0) % count);
    let (one, two) = (nth(random & 0xffff_ffff)?, nth(random >> 32)?);
    let busy = |it: &Arc<Server>| it.busy.load(Ordering::Relaxed);
    Some(if busy(two) < busy(one) { two } else { one })
}

/// All servers that any route names.
pub struct Servers {
    known: Mutex<HashMap<String, Weak<Server>>>,
    begun: Instant,
}

impl Default for Servers {
    fn default() -> Self {
        Self { known: Mutex::default(), begun: Instant::now() }
    }
}

impl Servers {
    /// The server at an origin: the same one for all who name it, so that what one route learns of it counts for all.
    pub fn at(&self, origin: &str) -> Option<Arc<Server>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = known.get(origin).and_then(Weak::upgrade) {
            return Some(server);
        }
        known.retain(|_, server| server.strong_count() > 0);
        let server = Arc::new(Server::new(&origin.parse().ok()?)?);
        known.insert(origin.to_owned(), Arc::downgrade(&server));
        Some(server)
    }

    /// Milliseconds since the process began to serve.
    pub fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Tries again are a fifth of the requests at most, and ten in a row after a rest: an upstream that is down is not asked
/// twice as often for it.
pub struct Budget(AtomicU32);

const TRY: u32 = 5;
const FULL: u32 = 10 * TRY;

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU32::new(FULL))
    }
}

impl Budget {
    /// One more request: it adds to what may be tried again.
    pub fn request(&self) {
        let more = |left: u32| (left < FULL).then_some(left + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).unwrap_or_default();
    }

    /// Whether there is enough left to try again; then it is taken.
    pub fn try_again(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(TRY)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn servers(count: usize) -> (Servers, Vec<Arc<Server>>) {
        let all = Servers::default();
        let servers = (0..count).map(|number| all.at(&format!("http://10.0.0.{number}:80")).unwrap()).collect();
        (all, servers)
    }

    #[test]
    fn a_server_that_fails_is_left_alone_longer_each_time() {
        let (_all, servers) = servers(2);
        let sick = &servers[0];
        assert!((1..FAILURES).all(|_| !sick.failed(0)));
        assert!(sick.failed(0));
        assert!((0..100).all(|random| Arc::ptr_eq(choose(&servers, None, 1_999, random << 16).unwrap(), &servers[1])));
        assert!(sick.is_well(2_000));
        assert!((0..FAILURES).any(|_| sick.failed(2_000)));
        assert!(!sick.is_well(5_999) && sick.is_well(6_000));
        sick.succeeded();
        assert!((0..FAILURES).any(|_| sick.failed(6_000)) && sick.is_well(8_000), "a success forgives");
    }

    #[test]
    fn one_name_is_one_server() {
        let (all, servers) = servers(1);
        assert!(Arc::ptr_eq(&all.at("http://10.0.0.0:80").unwrap(), &servers[0]));
    }

    proptest! {
        #[test]
        fn some_server_is_always_taken_and_the_failed_one_last(count in 1_usize..5, sick in 0_usize..5, failed in 0_usize..5, random: u64) {
            let (_all, servers) = servers(count);
            servers.iter().take(sick).for_each(|it| while !it.failed(0) {});
            let failed = servers.get(failed);
            let chosen = choose(&servers, failed, 1, random).unwrap();
            if let Some(failed) = failed.filter(|_| count > 1) {
                prop_assert!(!Arc::ptr_eq(chosen, failed));
            }
        }

        #[test]
        fn the_less_busy_of_two_is_taken(busy in prop::collection::vec(0_usize..4, 2), random: u64) {
            let (_all, servers) = servers(2);
            let running: Vec<_> = servers.iter().zip(&busy).flat_map(|(it, count)| (0..*count).map(|_| it.run())).collect();
            let chosen = choose(&servers, None, 0, random).unwrap();
            let (one, two) = (random & 0xffff_ffff, random >> 32);
            if one % 2 != two % 2 {
                let least = busy.iter().min().unwrap();
                prop_assert_eq!(chosen.busy.load(Ordering::Relaxed) as usize, *least);
            }
            drop(running);
        }

        #[test]
        fn tries_are_a_fifth_of_the_requests_and_ten_more(asks in prop::collection::vec(any::<bool>(), 0..500)) {
            let budget = Budget::default();
            let (mut requests, mut tries) = (0_u32, 0_u32);
            for again in asks {
                if again { tries += u32::from(budget.try_again()) } else { budget.request(); requests += 1; }
            }
            prop_assert!(tries <= 10 + requests / 5);
        }
    }
}
