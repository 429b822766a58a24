//! What changes roles and who holds them, and what tells it.

use std::collections::BTreeSet;

use accounts::{
    Done, permissions as may,
    role::{self, Role, RoleName, in_use},
    roster::{Owners, last_owner},
    user::{Standing, User},
};
use contracts::identity::RoleId;
use kernel::{
    Condition, DefaultRole, Granted, Handle, List, Problem, ProblemKind, UserId, text::DisplayName, use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{
    Access,
    granting::{Basis, covers},
};

/// A person with their roles.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RolesView {
    /// Who.
    pub(crate) user: UserId,
    /// Their roles.
    pub(crate) roles: Vec<RoleName>,
}

/// Gives a person roles, in place of those of before. Nobody gives or takes what they do not hold themselves; to make an
/// owner takes a proof of the last 10 minutes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignRoles {
    /// Who.
    user: UserId,
    /// All the roles from now on.
    #[schemars(length(min = 1, max = 10))]
    roles: Vec<RoleName>,
}

use_case!(AssignRoles => RolesView, "identity.roles.assign", Tenant, may::ROLES_UPDATE, |it| it.user.into());

fn beyond_own() -> Problem {
    Problem::new(ProblemKind::Denied, "identity.beyond_own_permissions", "this grants more than you hold yourself")
        .hint("ask an owner, or leave out what you do not hold")
}

impl Handle<AssignRoles> for Access {
    async fn handle(&self, it: AssignRoles, cx: Granted<AssignRoles>) -> Result<RolesView, Problem> {
        let owner = RoleName::Default(DefaultRole::Owner);
        let (store, basis) = (self.store.at(&cx), self.basis(&cx).await?);
        let user = store.load::<User>(&it.user).await?;
        let before = self.roles_of(&user, &cx).await?;
        let mut roles = it.roles;
        let mut seen = BTreeSet::new();
        roles.retain(|role| seen.insert(*role));
        if roles.iter().any(|role| matches!(role, RoleName::Own(id) if !basis.book.contains_key(id))) {
            return Err(Problem::invalid_field("/roles", "there is no such role"));
        }
        let changed = roles.iter().chain(&before).filter(|role| roles.contains(role) != before.contains(role));
        let changed: Vec<RoleName> = changed.copied().collect();
        if !covers(cx.grants(), &basis.grants(&changed)) {
            return Err(beyond_own());
        }
        // Who gives their own away could lock everyone out.
        if cx.caller().user() == Some(it.user) && before.contains(&owner) && !roles.contains(&owner) {
            return Err(Problem::new(
                ProblemKind::Refused,
                "identity.own_role",
                "you cannot stop being an owner yourself",
            )
            .hint("make someone else an owner, who can then change your roles"));
        }
        let others: Vec<RoleName> = roles.iter().copied().filter(|role| *role != owner).collect();
        // The rule first, so that nothing happens where it refuses the roles.
        user.clone().into_inner().assign(others.clone(), &roles)?;
        if changed.contains(&owner) {
            self.set_owner(&user, roles.contains(&owner), &cx).await?;
        }
        store.change(&it.user, |user: &mut User| user.assign(others.clone(), &roles)).await?;
        Ok(RolesView { user: it.user, roles })
    }
}

impl Access {
    /// Makes a person an owner, or makes them one no more.
    async fn set_owner(&self, user: &User, owner: bool, cx: &Granted<AssignRoles>) -> Result<(), Problem> {
        let (store, owners) = (self.store.at(cx), Owners::ID.to_owned());
        if !owner {
            return store.change(&owners, |it: &mut Owners| it.0.remove(user.id).map_err(last_owner)).await.map(drop);
        }
        self.accounts.freshly_proven(cx).await?;
        let active = user.standing == Standing::Active;
        let add = |it: &mut Owners| {
            it.0.add(user.id, active);
            Ok(())
        };
        store.change(&owners, add).await?;
        // Whoever was deactivated at the same moment is not counted among those who can act.
        if active && store.load::<User>(&user.id).await?.standing != Standing::Active {
            // Another write than the one above, also under the same Idempotency-Key.
            let again = cx.repeatable(&format!("{}/rest", cx.trace()));
            let rest = |it: &mut Owners| it.0.rest(user.id).map_err(last_owner);
            self.store.at(&again).change(&owners, rest).await?;
        }
        Ok(())
    }
}

/// The roles of a person.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadRoles {
    /// Who.
    user: UserId,
}

use_case!(ReadRoles => RolesView, "identity.roles.read", Tenant, may::ROLES_READ, Tell, |it| it.user.into());

impl Handle<ReadRoles> for Access {
    async fn handle(&self, it: ReadRoles, cx: Granted<ReadRoles>) -> Result<RolesView, Problem> {
        let user = self.store.at(&cx).load::<User>(&it.user).await?;
        cx.permit(&*user)?;
        Ok(RolesView { user: it.user, roles: self.roles_of(&user, &cx).await? })
    }
}

/// A role.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RoleView {
    /// What it is assigned by.
    role: RoleName,
    /// What people see it called.
    name: String,
    /// The roles that it includes.
    inherits: Vec<RoleName>,
    /// The permissions that it names itself.
    permissions: Vec<String>,
    /// All that it grants, with what it includes; some only for what belongs to the person.
    grants: Vec<GrantView>,
}

/// A permission as it is granted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct GrantView {
    /// Which.
    permission: String,
    /// Whether it covers only what belongs to the person.
    own_only: bool,
}

fn role_view(name: RoleName, basis: &Basis<'_>) -> RoleView {
    let own = if let RoleName::Own(id) = name { basis.book.get(&id) } else { None };
    let grants = basis.grants(&[name]);
    let grants = grants
        .iter()
        .map(|(permission, under)| GrantView { permission: permission.to_owned(), own_only: under == Condition::Own });
    RoleView {
        role: name,
        name: own.map_or_else(|| name.to_string(), |role| role.name.to_string()),
        inherits: own.map(|role| role.inherits.iter().copied().collect()).unwrap_or_default(),
        permissions: own.map(|role| role.permissions.iter().cloned().collect()).unwrap_or_default(),
        grants: grants.collect(),
    }
}

/// All roles that people can hold: those of every installation, then the tenant's own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListRoles {}

use_case!(ListRoles => List<RoleView>, "identity.roles.list", Tenant, may::ROLES_READ, Tell);

impl Handle<ListRoles> for Access {
    async fn handle(&self, _: ListRoles, cx: Granted<ListRoles>) -> Result<List<RoleView>, Problem> {
        cx.permit_owner(None)?;
        let basis = self.basis(&cx).await?;
        let default = [DefaultRole::Member, DefaultRole::Admin, DefaultRole::Owner].map(RoleName::Default);
        let names = default.into_iter().chain(basis.book.keys().map(|id| RoleName::Own(*id)));
        Ok(List { items: names.map(|name| role_view(name, &basis)).collect(), next: None })
    }
}

/// Makes a role of the tenant's own. It grants nothing that its maker does not hold.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateRole {
    /// What people see it called; no two have the same name.
    name: DisplayName,
    /// The roles that it includes: `member`, `admin`, or ids of own ones.
    #[serde(default)]
    #[schemars(length(max = 5))]
    inherits: BTreeSet<RoleName>,
    /// The permissions that it adds.
    #[serde(default)]
    #[schemars(length(max = 200))]
    permissions: BTreeSet<String>,
}

use_case!(CreateRole => RoleView, "identity.roles.create", Tenant, may::ROLES_UPDATE; version of Role);

/// Changes a role of the tenant's own: whoever holds it may do what it grants from now on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateRole {
    /// Which.
    role: RoleId,
    /// What people see it called.
    name: DisplayName,
    /// All the roles that it includes from now on.
    #[serde(default)]
    #[schemars(length(max = 5))]
    inherits: BTreeSet<RoleName>,
    /// All the permissions that it adds from now on.
    #[serde(default)]
    #[schemars(length(max = 200))]
    permissions: BTreeSet<String>,
}

use_case!(UpdateRole => RoleView, "identity.roles.update", Tenant, may::ROLES_UPDATE, |it| kernel::Resource::one("role", it.role); version of Role);

/// Whether a role can be so, and its maker give it.
fn check(role: &Role, basis: &mut Basis<'_>, giver: &kernel::Grants) -> Result<(), Problem> {
    role.fits(&basis.book)?;
    if let Some(place) = role.permissions.iter().position(|name| !basis.assignable(name)) {
        return Err(Problem::invalid_field(format!("/permissions/{place}"), "not a permission that roles can grant"));
    }
    basis.book.insert(role.id, role.clone());
    if covers(giver, &basis.grants(&[RoleName::Own(role.id)])) { Ok(()) } else { Err(beyond_own()) }
}

impl Handle<CreateRole> for Access {
    async fn handle(&self, it: CreateRole, cx: Granted<CreateRole>) -> Result<RoleView, Problem> {
        let mut basis = self.basis(&cx).await?;
        if basis.book.len() >= role::MOST {
            let most = format!("a tenant has at most {} roles of its own", role::MOST);
            return Err(Problem::new(ProblemKind::Refused, "identity.too_many_roles", most)
                .hint("delete one that nobody holds"));
        }
        let role = Role { id: cx.new_id(), name: it.name, inherits: it.inherits, permissions: it.permissions };
        check(&role, &mut basis, cx.grants())?;
        let defined = role.defined();
        let role = self.store.at(&cx).create(role, defined).await?;
        Ok(role_view(RoleName::Own(role.id), &basis))
    }
}

impl Handle<UpdateRole> for Access {
    async fn handle(&self, it: UpdateRole, cx: Granted<UpdateRole>) -> Result<RoleView, Problem> {
        let mut basis = self.basis(&cx).await?;
        let mut role = self.store.at(&cx).load::<Role>(&it.role).await?;
        if !covers(cx.grants(), &basis.grants(&[RoleName::Own(role.id)])) {
            return Err(beyond_own());
        }
        (role.name, role.inherits, role.permissions) = (it.name, it.inherits, it.permissions);
        check(&role, &mut basis, cx.grants())?;
        let defined = role.defined();
        let role = self.store.at(&cx).save(role, defined).await?;
        Ok(role_view(RoleName::Own(role.id), &basis))
    }
}

/// Deletes a role of the tenant's own that nobody holds and no other includes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteRole {
    /// Which.
    role: RoleId,
}

use_case!(DeleteRole => Done, "identity.roles.delete", Tenant, may::ROLES_UPDATE, |it| kernel::Resource::one("role", it.role); version of Role);

impl Handle<DeleteRole> for Access {
    async fn handle(&self, it: DeleteRole, cx: Granted<DeleteRole>) -> Result<Done, Problem> {
        let (store, basis) = (self.store.at(&cx), self.basis(&cx).await?);
        let (role, name) = (store.load::<Role>(&it.role).await?, RoleName::Own(it.role));
        if !covers(cx.grants(), &basis.grants(&[name])) {
            return Err(beyond_own());
        }
        if basis.book.values().any(|other| other.inherits.contains(&name)) {
            return Err(in_use("included in another"));
        }
        let one = Page { limit: 1, ..Page::default() };
        if !store.list::<User>("role", &name.to_string(), &one).await?.items.is_empty() {
            return Err(in_use("held by somebody"));
        }
        // Who is given it at this very moment holds a role that grants nothing.
        let deleted = role.deleted();
        store.delete(role, deleted).await?;
        Ok(Done {})
    }
}
