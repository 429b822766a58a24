//! The features of tenants, decided once and held for a moment, so that an evaluation reads no store.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use kernel::{Cx, Problem, Scope, TenantId, text::Key};
use moka::sync::Cache;
use store::Page;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    Tenants,
    entitlements::Entitlements,
    evaluation::FlagSet,
    feature::{Common, Definition, Feature, Own, Place},
};

/// A change is in force everywhere within this time; in this process at once.
const FRESH: Duration = Duration::from_millis(900);
/// The most tenants whose features are held.
const KEPT: u64 = 10_000;
/// The most features that are defined in one place.
pub(crate) const MOST_FEATURES: usize = 1_000;
/// Tenants share counters of changes: one that changes makes a few others look again.
const STRIPES: usize = 256;

type Definitions = BTreeMap<Key, Definition>;

/// Something read at an instant, after so many changes.
struct Read<T> {
    what: Arc<T>,
    at: Instant,
    changes: u64,
}

/// What is held.
pub(crate) struct Flags {
    sets: Cache<TenantId, Arc<Read<FlagSet>>>,
    common: Cache<(), Arc<Read<Definitions>>>,
    changes: Vec<AtomicU64>,
    common_changes: AtomicU64,
}

impl Flags {
    pub(crate) fn new() -> Self {
        Self {
            sets: Cache::builder().max_capacity(KEPT).time_to_live(FRESH).build(),
            common: Cache::builder().max_capacity(1).time_to_live(FRESH).build(),
            changes: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            common_changes: AtomicU64::new(0),
        }
    }

    fn stripe(&self, tenant: TenantId) -> &AtomicU64 {
        let mut hasher = DefaultHasher::new();
        tenant.hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % STRIPES as u64).unwrap_or(0);
        self.changes.get(place).unwrap_or(&self.common_changes)
    }

    /// How often something changed that the set of a tenant hangs on. Read before what is held is read, so that a change
    /// in between shows.
    fn changes(&self, tenant: TenantId) -> u64 {
        let common = self.common_changes.load(Ordering::Acquire);
        common.wrapping_add(self.stripe(tenant).load(Ordering::Acquire))
    }

    /// What was changed in a scope is read again.
    pub(crate) fn forget(&self, scope: Scope) {
        let counter = scope.tenant().map_or(&self.common_changes, |tenant| self.stripe(tenant));
        counter.fetch_add(1, Ordering::AcqRel);
    }

    fn known(&self, tenant: TenantId) -> Option<Arc<FlagSet>> {
        let read = self.sets.get(&tenant)?;
        let good = read.at.elapsed() < FRESH && read.changes == self.changes(tenant);
        good.then(|| Arc::clone(&read.what))
    }
}

/// Lets those in one by one who are about to change the same thing, in the order in which they came: of many at once each
/// waits for the ones before, instead of all trying and all but one trying again. Another process is kept apart by the
/// store alone.
pub(crate) struct Turns(Cache<(Option<TenantId>, String), Arc<Semaphore>>);

/// One's turn, over when it is dropped.
pub(crate) struct Turn(Arc<Semaphore>);

impl Turn {
    pub(crate) async fn begin(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.0.acquire().await.map_err(Problem::internal)
    }
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self(Cache::builder().max_capacity(KEPT).time_to_idle(Duration::from_mins(1)).build())
    }

    pub(crate) fn of(&self, scope: Scope, what: &str) -> Turn {
        Turn(self.0.get_with((scope.tenant(), what.to_owned()), || Arc::new(Semaphore::new(1))))
    }
}

impl Tenants {
    /// All features that are defined in a place.
    pub(crate) async fn defined<P: Place>(&self, cx: &Cx) -> Result<Definitions, Problem> {
        let store = self.store.at(cx);
        let mut all = BTreeMap::new();
        let mut page = Page { limit: 200, ..Page::default() };
        while all.len() < MOST_FEATURES {
            let listed = store.list::<Feature<P>>("all", "", &page).await?;
            all.extend(listed.items.into_iter().map(store::Loaded::into_inner).map(|it| (it.key, it.definition)));
            page.after = listed.next;
            if page.after.is_none() {
                break;
            }
        }
        Ok(all)
    }

    async fn common(&self) -> Result<Arc<Read<Definitions>>, Problem> {
        let good = |read: &Arc<Read<Definitions>>| {
            read.at.elapsed() < FRESH && read.changes == self.flags.common_changes.load(Ordering::Acquire)
        };
        if let Some(known) = self.flags.common.get(&()).filter(good) {
            return Ok(known);
        }
        let (at, changes) = (Instant::now(), self.flags.common_changes.load(Ordering::Acquire));
        let what = Arc::new(self.defined::<Common>(&self.services.cx("tenants", Scope::Platform)).await?);
        let read = Arc::new(Read { what, at, changes });
        self.flags.common.insert((), Arc::clone(&read));
        Ok(read)
    }

    /// The features of the tenant of a context, as they were 0.9 s ago at the earliest.
    pub(crate) async fn flags(&self, cx: &Cx) -> Result<Arc<FlagSet>, Problem> {
        let tenant = cx.tenant()?;
        if let Some(known) = self.flags.known(tenant) {
            return Ok(known);
        }
        // One reads, the others wait for it.
        let turn = self.turns.of(cx.scope(), "flags");
        let _turn = turn.begin().await?;
        if let Some(known) = self.flags.known(tenant) {
            return Ok(known);
        }
        let changes = self.flags.changes(tenant);
        let common = self.common().await?;
        let at = common.at.min(Instant::now());
        let inside = self.services.cx("tenants", cx.scope());
        let own = self.defined::<Own>(&inside).await?;
        let given = self.store.at(&inside).try_load::<Entitlements>(&Entitlements::ID.to_owned()).await?;
        let given = given.map(store::Loaded::into_inner).unwrap_or_default();
        let set = Arc::new(FlagSet::build(tenant, own, &common.what, &given, inside.now()));
        self.flags.sets.insert(tenant, Arc::new(Read { what: Arc::clone(&set), at, changes }));
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Id;

    #[test]
    fn what_changed_while_it_was_read_is_read_again() {
        let flags = Flags::new();
        let tenant: TenantId = Id::from_uuid(uuid::Uuid::from_u128(1));
        let keep = |changes| {
            let set =
                FlagSet::build(tenant, [], &BTreeMap::new(), &Entitlements::default(), kernel::Timestamp::UNIX_EPOCH);
            flags.sets.insert(tenant, Arc::new(Read { what: Arc::new(set), at: Instant::now(), changes }));
        };
        let before = flags.changes(tenant);
        keep(before);
        assert!(flags.known(tenant).is_some());
        flags.forget(Scope::Tenant(tenant));
        assert!(flags.known(tenant).is_none());
        keep(before);
        assert!(flags.known(tenant).is_none(), "read before the change, kept after it");
        keep(flags.changes(tenant));
        assert!(flags.known(tenant).is_some());
        flags.forget(Scope::Platform);
        assert!(flags.known(tenant).is_none(), "what is defined for all changed");
    }
}
