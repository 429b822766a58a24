//! What is noticed in passing, for the audit log to be written down later: what was refused to whom, and which operator
//! looked into a tenant. It is counted, not listed, and of each scope so many rows are kept until they are taken: nobody can buy
//! writes by asking for what they may not have.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::cx::{Caller, Scope};

/// The most rows of one scope, and of all. What is more is counted as others'.
const OF_ONE_SCOPE: usize = 64;
const OF_ALL: usize = 4_096;
const OTHERS: &str = "others";

/// What was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Noticed {
    /// A permission was missing.
    Refused,
    /// Somebody of the platform looked into a tenant.
    Entered,
}

/// Something that was noticed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// Where.
    pub scope: Scope,
    /// Of whom.
    pub actor: String,
    /// The permission that was missing, or the use case by which they looked.
    pub about: String,
}

/// What was noticed since it was last taken, with how often.
#[derive(Debug, Default)]
pub struct Notices {
    refused: Mutex<BTreeMap<Notice, u64>>,
    entered: Mutex<BTreeMap<Notice, u64>>,
}

impl Notices {
    fn of(&self, what: Noticed) -> std::sync::MutexGuard<'_, BTreeMap<Notice, u64>> {
        let of = match what {
            Noticed::Refused => &self.refused,
            Noticed::Entered => &self.entered,
        };
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts.
    pub fn note(&self, what: Noticed, scope: Scope, caller: &Caller, about: &str) {
        self.count(what, Notice { scope, actor: caller.to_string(), about: about.to_owned() }, 1);
    }

    /// The same, for what was taken and could not be written down.
    pub fn count(&self, what: Noticed, notice: Notice, times: u64) {
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
    pub fn take(&self, what: Noticed) -> BTreeMap<Notice, u64> {
        std::mem::take(&mut *self.of(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Id;

    #[test]
    fn whoever_asks_for_very_much_is_counted_in_few_rows() {
        let it = Notices::default();
        let tenant = |bits| Scope::Tenant(Id::from_uuid(uuid::Uuid::from_u128(bits)));
        for about in 0..1_000 {
            it.note(Noticed::Refused, tenant(1), &Caller::Visitor, &about.to_string());
        }
        it.note(Noticed::Refused, tenant(2), &Caller::Visitor, "a");
        it.note(Noticed::Refused, tenant(2), &Caller::Visitor, "a");
        let taken = it.take(Noticed::Refused);
        assert_eq!(taken.values().sum::<u64>(), 1_002, "each counts");
        assert_eq!(taken.len(), OF_ONE_SCOPE + 2);
        let own = Notice { scope: tenant(2), actor: "visitor".to_owned(), about: "a".to_owned() };
        assert_eq!(taken[&own], 2, "one tenant's crowd takes nobody else's place");
        assert!(it.take(Noticed::Refused).is_empty());
        for scope in 0..10_000 {
            it.note(Noticed::Entered, tenant(scope), &Caller::Visitor, "a");
        }
        assert_eq!(it.take(Noticed::Entered).len(), OF_ALL + 1);
    }
}
