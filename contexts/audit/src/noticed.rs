//! What was noticed in passing: what was refused to whom, and which operator looked into a tenant. It is counted, not listed,
//! and of each scope so many rows are kept until they are written down: nobody can buy writes by asking for what they may
//! not have.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use kernel::{Caller, Scope, TenantId, notice::Notices};

/// The most rows of one scope, and of all. What is more is counted as others'.
const OF_ONE_SCOPE: usize = 64;
const OF_ALL: usize = 4_096;
const OTHERS: &str = "others";

/// What can be noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// A permission was missing.
    Refused,
    /// Somebody of the platform looked into a tenant.
    Entered,
}

/// Something that was noticed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Notice {
    pub(crate) scope: Scope,
    pub(crate) actor: String,
    /// The permission that was missing, or the use case by which they looked.
    pub(crate) about: String,
}

/// What was noticed since it was last taken, with how often.
#[derive(Debug, Default)]
pub struct Noticed {
    refused: Mutex<BTreeMap<Notice, u64>>,
    entered: Mutex<BTreeMap<Notice, u64>>,
}

impl Noticed {
    fn of(&self, what: What) -> std::sync::MutexGuard<'_, BTreeMap<Notice, u64>> {
        let of = match what {
            What::Refused => &self.refused,
            What::Entered => &self.entered,
        };
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts; again what was taken and could not be written down.
    pub(crate) fn count(&self, what: What, notice: Notice, times: u64) {
        let mut of = self.of(what);
        if let Some(counted) = of.get_mut(&notice) {
            *counted = counted.saturating_add(times);
            return;
        }
        let others = |scope| Notice { scope, actor: OTHERS.to_owned(), about: OTHERS.to_owned() };
        let first = Notice { scope: notice.scope, actor: String::new(), about: String::new() };
        let here = of.range(first..).take_while(|(it, _)| it.scope == notice.scope).count();
        let key = match () {
            () if of.len() >= OF_ALL => others(Scope::Platform),
            () if here >= OF_ONE_SCOPE => others(notice.scope),
            () => notice,
        };
        let counted = of.entry(key).or_default();
        *counted = counted.saturating_add(times);
    }

    /// Takes all of a sort, by scope.
    pub(crate) fn take(&self, what: What) -> BTreeMap<Notice, u64> {
        std::mem::take(&mut *self.of(what))
    }
}

impl Notices for Noticed {
    fn refused(&self, scope: Scope, caller: &Caller, permission: &str) {
        self.count(What::Refused, Notice { scope, actor: caller.to_string(), about: permission.to_owned() }, 1);
    }

    fn entered(&self, tenant: TenantId, caller: &Caller, use_case: &str) {
        let scope = Scope::Tenant(tenant);
        self.count(What::Entered, Notice { scope, actor: caller.to_string(), about: use_case.to_owned() }, 1);
    }
}

#[cfg(test)]
mod tests {
    use kernel::Id;

    use super::*;

    #[test]
    fn whoever_asks_for_very_much_is_counted_in_few_rows() {
        let it = Noticed::default();
        let id = |bits| Id::from_uuid(uuid::Uuid::from_u128(bits));
        let tenant = |bits| Scope::Tenant(id(bits));
        for about in 0..1_000 {
            it.refused(tenant(1), &Caller::Visitor, &about.to_string());
        }
        it.refused(tenant(2), &Caller::Visitor, "a");
        it.refused(tenant(2), &Caller::Visitor, "a");
        let taken = it.take(What::Refused);
        assert_eq!(taken.values().sum::<u64>(), 1_002, "each counts");
        assert_eq!(taken.len(), OF_ONE_SCOPE + 2);
        let own = Notice { scope: tenant(2), actor: "visitor".to_owned(), about: "a".to_owned() };
        assert_eq!(taken[&own], 2, "one tenant's crowd takes nobody else's place");
        assert!(it.take(What::Refused).is_empty());
        for scope in 0..10_000 {
            it.entered(id(scope), &Caller::Visitor, "a");
        }
        assert_eq!(it.take(What::Entered).len(), OF_ALL + 1);
    }
}
