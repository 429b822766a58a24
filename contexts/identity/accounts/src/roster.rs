//! Those without whom nobody could act: the owners of a tenant, the operators of an installation. Each set is one
//! aggregate and itself the truth of who belongs to it, so that the last who can act never goes, however many go at once.

use std::collections::BTreeSet;

use kernel::{Aggregate, OperatorId, Problem, ProblemKind, ScopeKind, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// A set that does not become empty of those who can act.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Roster<T: Ord> {
    active: BTreeSet<T>,
    /// Who belongs to it and cannot act at present: not come in yet, or deactivated.
    #[serde(default = "BTreeSet::new")]
    waiting: BTreeSet<T>,
}

/// The set would be left without anybody who can act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastOne;

impl<T: Ord + Copy> Roster<T> {
    /// Of one who has not come in yet.
    pub fn awaiting(first: T) -> Self {
        Self { active: BTreeSet::new(), waiting: BTreeSet::from([first]) }
    }

    /// Whether one belongs to it.
    pub fn has(&self, it: T) -> bool {
        self.active.contains(&it) || self.waiting.contains(&it)
    }

    /// All who belong to it.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        self.active.union(&self.waiting).copied()
    }

    /// Belongs to it from now on.
    pub fn add(&mut self, it: T, active: bool) {
        if active {
            self.waiting.remove(&it);
            self.active.insert(it);
        } else if !self.active.contains(&it) {
            self.waiting.insert(it);
        }
    }

    /// One who belongs to it can act from now on.
    pub fn wake(&mut self, it: T) {
        if self.waiting.remove(&it) {
            self.active.insert(it);
        }
    }

    /// One who belongs to it can act no more for now.
    pub fn rest(&mut self, it: T) -> Result<(), LastOne> {
        if self.leave(it)? {
            self.waiting.insert(it);
        }
        Ok(())
    }

    /// Belongs to it no more.
    pub fn remove(&mut self, it: T) -> Result<(), LastOne> {
        if self.active.is_empty() && self.waiting.iter().eq([&it]) {
            return Err(LastOne);
        }
        self.leave(it)?;
        self.waiting.remove(&it);
        Ok(())
    }

    fn leave(&mut self, it: T) -> Result<bool, LastOne> {
        if self.active.iter().eq([&it]) {
            return Err(LastOne);
        }
        Ok(self.active.remove(&it))
    }
}

/// The owners of a tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Owners(pub Roster<UserId>);

impl Owners {
    /// The id of the one that a tenant has.
    pub const ID: &'static str = "owners";
}

impl Aggregate for Owners {
    type Id = String;
    const KIND: &'static str = "identity.owners";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

/// What whoever would leave a tenant without an owner is told.
pub fn last_owner(_: LastOne) -> Problem {
    Problem::new(ProblemKind::Refused, "identity.last_owner", "this is the last owner who can sign in")
        .hint("make someone else an owner first, who has accepted the invitation and is not deactivated")
}

/// That the installation was claimed, and who runs it. There is one, so of two who claim at once one is refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claimed {
    by: OperatorId,
    at: Timestamp,
    operators: Option<Roster<OperatorId>>,
}

impl Claimed {
    /// The id of the one that an installation has.
    pub const ID: &'static str = "installation";

    /// Claimed by an operator.
    pub fn by(operator: OperatorId, at: Timestamp) -> Self {
        Self { by: operator, at, operators: None }
    }

    /// Whoever claimed it is the first, and alone until others are invited.
    pub fn operators(&mut self) -> &mut Roster<OperatorId> {
        let first = self.by;
        self.operators.get_or_insert_with(|| Roster { active: BTreeSet::from([first]), waiting: BTreeSet::new() })
    }

    /// Whether somebody belongs here who has not come in yet.
    pub fn awaits(&self, operator: OperatorId) -> bool {
        self.operators.as_ref().is_some_and(|it| it.waiting.contains(&operator))
    }

    /// Whether one belongs to those who run it.
    pub fn has(&self, operator: OperatorId) -> bool {
        self.operators.as_ref().map_or(self.by == operator, |it| it.has(operator))
    }

    /// All who run it.
    pub fn ids(&self) -> Vec<OperatorId> {
        self.operators.as_ref().map_or_else(|| vec![self.by], |it| it.iter().collect())
    }
}

/// What whoever would leave the installation without an operator is told.
pub fn last_operator(_: LastOne) -> Problem {
    Problem::new(ProblemKind::Refused, "identity.last_operator", "this is the last operator")
        .hint("invite another, who accepts, then remove this one")
}

impl Aggregate for Claimed {
    type Id = String;
    const KIND: &'static str = "identity.claimed";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn once_somebody_can_act_somebody_always_can(acts in prop::collection::vec((0_u8..5, 0_u8..4), 0..60)) {
            let mut it = Roster::awaiting(0_u8);
            let mut came = false;
            for (act, who) in acts {
                let (before, refused) = (it.clone(), match act {
                    0 => { it.add(who, true); false }
                    1 => { it.add(who, false); false }
                    2 => { it.wake(who); false }
                    3 => it.rest(who).is_err(),
                    _ => it.remove(who).is_err(),
                });
                came |= !it.active.is_empty();
                prop_assert!(!came || !it.active.is_empty());
                prop_assert!(it.iter().count() > 0, "never without anybody at all");
                prop_assert!(it.active.is_disjoint(&it.waiting));
                prop_assert!(!matches!(act, 2 | 3) || before.iter().eq(it.iter()), "only adding and removing do");
                if refused {
                    prop_assert_eq!((&before.active, &before.waiting), (&it.active, &it.waiting));
                }
            }
        }
    }

    #[test]
    fn an_installation_that_was_claimed_before_there_were_others_has_one_operator() {
        let (first, second) = (OperatorId::from_uuid(uuid::Uuid::nil()), OperatorId::from_uuid(uuid::Uuid::max()));
        let written = serde_json::json!({ "by": first, "at": "2026-01-01T00:00:00Z" });
        let mut it: Claimed = serde_json::from_value(written).unwrap();
        assert!(it.has(first) && !it.has(second) && it.operators().remove(first).is_err());
        it.operators().add(second, true);
        it.operators().remove(first).unwrap();
        assert!(!it.has(first) && it.ids() == [second] && it.operators().remove(second).is_err());
    }
}
