//! The features of tenants, decided once and held for a moment, so that an evaluation reads no store.

use std::{collections::BTreeMap, sync::Arc};

use cache::{Cache, IN_FORCE};
use kernel::{Cx, Problem, Scope, TenantId, text::Key};
use store::Page;

use crate::{
    Features,
    entitlements::Entitlements,
    evaluation::FlagSet,
    feature::{Allowance, Common, Definition, Feature, Own, Place},
};

/// The most tenants whose features are held.
const KEPT: u64 = 10_000;
/// The most features that are defined in one place.
pub(crate) const MOST_FEATURES: usize = 1_000;

type Definitions = BTreeMap<Key, Definition>;

/// What is held. A set hangs on what is defined for all, so that it may be as old as the two of them are together: each
/// lasts half of the time within which a change is in force.
pub(crate) struct Flags {
    sets: Cache<TenantId, Arc<FlagSet>>,
    common: Cache<(), Arc<Definitions>>,
}

impl Flags {
    pub(crate) fn new() -> Self {
        Self { sets: Cache::new(KEPT, IN_FORCE / 2), common: Cache::new(1, IN_FORCE / 2) }
    }

    /// What was changed in a scope is read again.
    pub(crate) fn forget(&self, scope: Scope) {
        if let Some(tenant) = scope.tenant() {
            return self.sets.forget(&tenant);
        }
        self.common.forget_all();
        self.sets.forget_all();
    }
}

impl Features {
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

    async fn common(&self) -> Result<Arc<Definitions>, Problem> {
        let read = async {
            self.defined::<Common>(&self.register.services().cx("tenants", Scope::Platform)).await.map(Arc::new)
        };
        Ok(Arc::clone(&**self.flags.common.get_or((), read).await?))
    }

    /// The features of the tenant of a context, as they were 0.9 s ago at the earliest.
    pub(crate) async fn flags(&self, cx: &Cx) -> Result<Arc<FlagSet>, Problem> {
        let tenant = cx.tenant()?;
        let read = async {
            let common = self.common().await?;
            let inside = self.register.services().cx("tenants", cx.scope());
            let own = self.defined::<Own>(&inside).await?;
            let given = self.store.at(&inside).try_load::<Entitlements>(&Entitlements::ID.to_owned()).await?;
            let given = given.map(store::Loaded::into_inner).unwrap_or_default();
            Ok::<_, Problem>(Arc::new(FlagSet::build(tenant, own, &common, &given, inside.now())))
        };
        Ok(Arc::clone(&**self.flags.sets.get_or(tenant, read).await?))
    }

    /// How much of a resource the tenant of a context may use, if anybody says.
    pub async fn allowance(&self, cx: &Cx, resource: &Key) -> Result<Option<Allowance>, Problem> {
        Ok(self.flags(cx).await?.allowance(resource))
    }
}
