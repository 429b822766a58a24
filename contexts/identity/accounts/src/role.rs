//! Roles that a tenant made, beside those of every installation: named, with permissions of their own, and including others.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    str::FromStr,
};

use contracts::identity::{PermissionGranted, RoleDeleted, RoleId};
use kernel::{Aggregate, Claim, DefaultRole, Problem, ProblemKind, ScopeKind, Term, text::DisplayName};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The most roles of one tenant's own.
pub const MOST: usize = 100;
/// The most roles that one includes.
const INCLUDES: usize = 5;
/// The most permissions of one role's own.
const PERMISSIONS: usize = 200;
/// The most roles in a chain of inclusion.
const DEEPEST: usize = 5;

/// A role that a person can hold: `member`, `admin`, `owner`, or the id of one of the tenant's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleName {
    /// One of every installation.
    Default(DefaultRole),
    /// One of the tenant's own.
    Own(RoleId),
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default(role) => f.write_str(role.name()),
            Self::Own(role) => role.fmt(f),
        }
    }
}

impl FromStr for RoleName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let of_all = DefaultRole::ALL.into_iter().find(|role| role.assignable() && role.name() == text);
        let own = || text.parse().ok().map(Self::Own);
        of_all.map(Self::Default).or_else(own).ok_or("expected member, admin, owner, or the id of a role (rol_…)")
    }
}

impl Serialize for RoleName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RoleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for RoleName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RoleName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(member|admin|owner|rol_[0-7][0-9a-hjkmnp-tv-z]{25})$",
            "description": "A role: `member`, `admin`, `owner`, or the id of one of the tenant's own.",
        })
    }
}

/// A role of a tenant's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Which.
    pub id: RoleId,
    /// What people see it called; no two have the same name.
    pub name: DisplayName,
    /// The roles that it includes.
    pub inherits: BTreeSet<RoleName>,
    /// The permissions that it adds.
    pub permissions: BTreeSet<String>,
}

/// All of a tenant's own roles.
pub type Book = BTreeMap<RoleId, Role>;

impl Role {
    /// What it is from now on.
    pub fn defined(&self) -> PermissionGranted {
        PermissionGranted {
            role: self.id,
            inherits: self.inherits.iter().map(ToString::to_string).collect(),
            permissions: self.permissions.iter().cloned().collect(),
        }
    }

    /// It is no more.
    pub fn deleted(&self) -> RoleDeleted {
        RoleDeleted { role: self.id }
    }

    /// Whether it can be as it is, among the others. Two who change roles at once could each pass here and make a circle
    /// together: [`held`] looks at a role once, so that a circle grants nothing that its roles do not name.
    pub fn fits(&self, others: &Book) -> Result<(), Problem> {
        if self.inherits.len() > INCLUDES || self.permissions.len() > PERMISSIONS {
            return Err(Problem::invalid_field(
                if self.inherits.len() > INCLUDES { "/inherits" } else { "/permissions" },
                format!("expected at most {INCLUDES} roles and {PERMISSIONS} permissions"),
            ));
        }
        if self.inherits.contains(&RoleName::Default(DefaultRole::Owner)) {
            return Err(Problem::invalid_field(
                "/inherits",
                "owners are named one by one: no other role includes theirs",
            ));
        }
        let mut book = others.clone();
        book.insert(self.id, self.clone());
        let known = |name: &RoleName| !matches!(name, RoleName::Own(id) if !book.contains_key(id));
        if !self.inherits.iter().all(known) {
            return Err(Problem::invalid_field("/inherits", "there is no such role"));
        }
        let below: Vec<RoleName> = self.inherits.iter().copied().collect();
        if held(&below, &book).iter().any(|path| path.last() == Some(&RoleName::Own(self.id))) {
            return Err(Problem::invalid_field("/inherits", "a role cannot include itself, nor one that includes it"));
        }
        if !book.keys().all(|id| no_deeper(*id, &book, DEEPEST)) {
            return Err(Problem::invalid_field("/inherits", format!("expected at most {DEEPEST} roles in a chain")));
        }
        Ok(())
    }
}

fn no_deeper(id: RoleId, book: &Book, left: usize) -> bool {
    let Some(rest) = left.checked_sub(1) else { return false };
    let below = book.get(&id).into_iter().flat_map(|role| &role.inherits);
    below
        .filter_map(|name| if let RoleName::Own(id) = name { Some(*id) } else { None })
        .all(|id| no_deeper(id, book, rest))
}

/// Each role that these are and include, once, as the shortest way to it.
pub fn held(direct: &[RoleName], book: &Book) -> Vec<Vec<RoleName>> {
    let mut seen = BTreeSet::new();
    let mut queue: VecDeque<Vec<RoleName>> = direct.iter().map(|name| vec![*name]).collect();
    let mut ways = Vec::new();
    while let Some(way) = queue.pop_front() {
        let Some(name) = way.last().copied().filter(|name| seen.insert(*name)) else { continue };
        if let RoleName::Own(id) = name {
            // One that was deleted grants nothing.
            let Some(role) = book.get(&id) else { continue };
            queue.extend(role.inherits.iter().map(|next| [way.as_slice(), &[*next]].concat()));
        }
        ways.push(way);
    }
    ways
}

/// A role that is needed stays.
pub fn in_use(how: &'static str) -> Problem {
    Problem::new(ProblemKind::Conflict, "identity.role_in_use", format!("this role is {how}"))
        .hint("take it away there first")
}

impl Aggregate for Role {
    type Id = RoleId;
    const KIND: &'static str = "identity.role";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> RoleId {
        self.id
    }

    fn claims(&self) -> Vec<Claim> {
        vec![Claim::new("name", self.name.as_str().to_lowercase())]
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(number: u128) -> RoleId {
        RoleId::from_uuid(uuid::Uuid::from_u128(number))
    }

    fn role(number: u128, inherits: &[RoleName]) -> Role {
        Role {
            id: id(number),
            name: format!("Role {number}").parse().unwrap(),
            inherits: inherits.iter().copied().collect(),
            permissions: BTreeSet::from([format!("a.b.{number}")]),
        }
    }

    fn own(number: u128) -> RoleName {
        RoleName::Own(id(number))
    }

    #[test]
    fn names_are_those_of_roles_that_can_be_held() {
        assert_eq!("admin".parse(), Ok(RoleName::Default(DefaultRole::Admin)));
        assert_eq!(own(7).to_string().parse(), Ok(own(7)));
        for refused in ["operator", "service", "visitor", "person", "", "rol_", "Admin"] {
            assert!(refused.parse::<RoleName>().is_err(), "{refused}");
        }
    }

    #[test]
    fn a_role_includes_what_is_there_and_never_itself() {
        let book = Book::from([(id(1), role(1, &[])), (id(2), role(2, &[own(1)]))]);
        assert!(role(3, &[own(2), RoleName::Default(DefaultRole::Member)]).fits(&book).is_ok());
        assert!(role(1, &[own(2)]).fits(&book).is_err(), "a circle");
        assert!(role(3, &[own(3)]).fits(&book).is_err(), "itself");
        assert!(role(3, &[own(9)]).fits(&book).is_err(), "nothing that is there");
        assert!(role(3, &[RoleName::Default(DefaultRole::Owner)]).fits(&book).is_err());
    }

    #[test]
    fn a_chain_has_a_bound_from_whichever_end_it_grows() {
        let chain = |from: u128| {
            (from..from + 5).map(move |n| (id(n), role(n, if n > from { vec![own(n - 1)] } else { vec![] }.as_slice())))
        };
        let book: Book = chain(1).collect();
        assert!(role(6, &[own(5)]).fits(&book).is_err(), "above");
        assert!(role(6, &[own(4)]).fits(&book).is_ok());
        let mut with_six = book.clone();
        with_six.insert(id(6), role(6, &[]));
        assert!(role(1, &[own(6)]).fits(&with_six).is_err(), "below");
    }

    #[test]
    fn each_role_is_held_by_the_shortest_way() {
        let book: Book =
            [role(1, &[]), role(2, &[own(1)]), role(3, &[own(2), own(1)])].map(|role| (role.id, role)).into();
        assert_eq!(held(&[own(3)], &book), [vec![own(3)], vec![own(3), own(1)], vec![own(3), own(2)]]);
        assert!(held(&[own(9)], &book).is_empty(), "one that was deleted");
    }

    proptest! {
        #[test]
        fn whatever_roles_include_holding_ends_and_names_each_once(
            edges in prop::collection::vec((0_u128..8, 0_u128..8), 0..30), start in 0_u128..8,
        ) {
            let mut book: Book = (0..8).map(|n| (id(n), role(n, &[]))).collect();
            for (from, to) in edges {
                book.get_mut(&id(from)).unwrap().inherits.insert(own(to));
            }
            let ways = held(&[own(start)], &book);
            let names: BTreeSet<_> = ways.iter().map(|way| *way.last().unwrap()).collect();
            prop_assert_eq!(names.len(), ways.len());
            for way in ways {
                for pair in way.windows(2) {
                    let RoleName::Own(from) = pair[0] else { unreachable!() };
                    prop_assert!(book[&from].inherits.contains(&pair[1]), "each step is one that a role names");
                }
            }
        }
    }
}
