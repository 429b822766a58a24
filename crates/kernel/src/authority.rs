//! Who may do what: permissions, the roles that hold them by default, and the grants a caller carries.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::id::{TenantId, UserId};

/// The right to one kind of act, named `context.noun.verb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission(&'static str);

impl Permission {
    /// Declares a permission; the name is part of the public interface.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A restriction on what a permission covers, checked against the loaded aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Only what belongs to the caller.
    Own,
    /// All within the scope.
    Always,
}

/// Roles that exist in every installation. Tenants add their own, which inherit from these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultRole {
    /// Nobody has signed in.
    Visitor,
    /// A signed-in person, before any role of theirs.
    Person,
    /// Works in the tenant.
    Member,
    /// Runs the tenant's daily business.
    Admin,
    /// Answers for the tenant.
    Owner,
    /// Runs the installation.
    Operator,
    /// The gateway, acting for itself.
    Gateway,
    /// A context, in its reactions and timers.
    Service,
}

impl DefaultRole {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Visitor,
        Self::Person,
        Self::Member,
        Self::Admin,
        Self::Owner,
        Self::Operator,
        Self::Gateway,
        Self::Service,
    ];

    /// The name as stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Visitor => "visitor",
            Self::Person => "person",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::Gateway => "gateway",
            Self::Service => "service",
        }
    }

    /// Whether a tenant may assign it to its people.
    pub const fn assignable(self) -> bool {
        matches!(self, Self::Member | Self::Admin | Self::Owner)
    }

    /// Whether it holds all that `other` holds: itself, and what stands below it.
    fn includes(self, other: Self) -> bool {
        const LADDER: [DefaultRole; 4] =
            [DefaultRole::Person, DefaultRole::Member, DefaultRole::Admin, DefaultRole::Owner];
        let height = |role| LADDER.iter().position(|step| *step == role);
        self == other || matches!((height(self), height(other)), (Some(has), Some(needs)) if has >= needs)
    }
}

/// A permission with its meaning and the default roles that hold it; each context declares its own.
#[derive(Debug, Clone, Copy)]
pub struct PermissionDecl {
    /// The permission.
    pub permission: Permission,
    /// What it allows, for people who assign roles.
    pub meaning: &'static str,
    /// Who holds it from the start. An owner holds what an admin holds, an admin what a member, a member what a person.
    pub held_by: &'static [(DefaultRole, Condition)],
}

/// What a use case touches, for audit and explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// The kind, such as `tenant`.
    pub kind: String,
    /// Its id, where it is one thing.
    pub id: Option<String>,
}

impl Resource {
    /// The scope as a whole.
    pub fn scope() -> Self {
        Self { kind: "scope".to_owned(), id: None }
    }

    /// One thing.
    pub fn one(kind: &str, id: impl fmt::Display) -> Self {
        Self { kind: kind.to_owned(), id: Some(id.to_string()) }
    }
}

impl From<TenantId> for Resource {
    fn from(id: TenantId) -> Self {
        Self::one("tenant", id)
    }
}

impl From<UserId> for Resource {
    fn from(id: UserId) -> Self {
        Self::one("user", id)
    }
}

/// The permissions that a caller holds, resolved when the credential was checked. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grants(Arc<BTreeMap<String, Condition>>);

impl Grants {
    /// Under which condition the permission is held, if at all.
    pub fn of(&self, permission: Permission) -> Option<Condition> {
        self.0.get(permission.name()).copied()
    }

    /// Each permission's name with its condition.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Condition)> {
        self.0.iter().map(|(name, condition)| (name.as_str(), *condition))
    }

    /// Keeps only what `keep` accepts: a key never grants more than its scopes.
    pub fn narrowed(&self, keep: impl Fn(&str) -> bool) -> Self {
        self.iter().filter(|(name, _)| keep(name)).map(|(name, condition)| (name.to_owned(), condition)).collect()
    }
}

impl FromIterator<(String, Condition)> for Grants {
    fn from_iter<I: IntoIterator<Item = (String, Condition)>>(grants: I) -> Self {
        let mut map = BTreeMap::new();
        for (name, condition) in grants {
            let held = map.entry(name).or_insert(condition);
            *held = condition.max(*held);
        }
        Self(Arc::new(map))
    }
}

/// What the default roles hold, from all the declarations of an installation.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    declarations: Vec<PermissionDecl>,
    /// Per role, in the order of [`DefaultRole::ALL`]: what is asked for on each request is worked out once.
    grants: [Grants; DefaultRole::ALL.len()],
}

impl Catalogue {
    /// Gathers the declarations of every context.
    pub fn new(declarations: impl IntoIterator<Item = PermissionDecl>) -> Self {
        let declarations: Vec<_> = declarations.into_iter().collect();
        let grants = DefaultRole::ALL.map(|role| {
            let held = declarations.iter().flat_map(|declared| {
                let held = declared.held_by.iter().filter(|(held, _)| role.includes(*held));
                held.map(|(_, condition)| (declared.permission.name().to_owned(), *condition))
            });
            held.collect()
        });
        Self { declarations, grants }
    }

    /// All declarations.
    pub fn declarations(&self) -> &[PermissionDecl] {
        &self.declarations
    }

    /// The grants of a default role. Person, member, admin and owner each include the one before.
    pub fn grants(&self, role: DefaultRole) -> Grants {
        self.grants.get(role as usize).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: PermissionDecl = PermissionDecl {
        permission: Permission::new("a.b.read"),
        meaning: "reads",
        held_by: &[(DefaultRole::Person, Condition::Own), (DefaultRole::Admin, Condition::Always)],
    };

    #[test]
    fn a_higher_role_includes_the_lower_and_the_wider_condition_wins() {
        let catalogue = Catalogue::new([READ]);
        assert!(DefaultRole::ALL.iter().enumerate().all(|(at, role)| *role as usize == at));
        assert_eq!(catalogue.grants(DefaultRole::Member).of(READ.permission), Some(Condition::Own));
        assert_eq!(catalogue.grants(DefaultRole::Owner).of(READ.permission), Some(Condition::Always));
        assert_eq!(catalogue.grants(DefaultRole::Visitor).of(READ.permission), None);
        assert_eq!(catalogue.grants(DefaultRole::Operator).of(READ.permission), None);
    }
}
