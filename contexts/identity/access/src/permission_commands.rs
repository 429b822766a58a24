//! What tells and explains permissions, and what declares those of the product.

use accounts::{
    Done, permissions as may,
    role::RoleName,
    user::{Standing, User},
};
use kernel::{
    Condition, DefaultRole, Granted, Handle, List, Problem, ProblemKind, UserId,
    text::{DisplayName, Key},
    use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{
    Access,
    granting::unconditional,
    permission::{self, HeldFrom, Permission},
};

/// Whether a person may do something, and why.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckPermission {
    /// Who.
    user: UserId,
    /// What: the name of a permission.
    permission: Key,
}

/// A way by which a person comes to a permission.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WayView {
    /// From the role that is assigned to the one that names the permission; empty for what everybody holds.
    roles: Vec<RoleName>,
    /// Whether it covers only what belongs to the person.
    own_only: bool,
}

/// An answer with its reasons.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CheckView {
    /// Whether the person may do it, at least with what belongs to them.
    allowed: bool,
    /// Whether that is so only for what belongs to the person.
    own_only: bool,
    /// All the ways by which they come to it.
    because: Vec<WayView>,
}

use_case!(CheckPermission => CheckView, "identity.permissions.check", Tenant, may::ROLES_READ, Tell, |it| it.user.into());

impl Handle<CheckPermission> for Access {
    async fn handle(&self, it: CheckPermission, cx: Granted<CheckPermission>) -> Result<CheckView, Problem> {
        let user = self.store.at(&cx).load::<User>(&it.user).await?;
        cx.permit(&*user)?;
        let (roles, basis) = (self.roles_of(&user, &cx).await?, self.basis(&cx).await?);
        let active = user.standing == Standing::Active;
        let ways = if active { basis.why(&roles, it.permission.as_str()) } else { Vec::new() };
        let own_only = !ways.iter().any(|(_, under)| *under == Condition::Always);
        let view = |(roles, under)| WayView { roles, own_only: under == Condition::Own };
        Ok(CheckView {
            allowed: !ways.is_empty(),
            own_only: own_only && !ways.is_empty(),
            because: ways.into_iter().map(view).collect(),
        })
    }
}

/// A permission with its meaning.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PermissionView {
    /// Its name.
    permission: String,
    /// What it allows.
    meaning: String,
    /// The roles of every installation that hold it for everything.
    held_by: Vec<RoleName>,
    /// Whether the product declared it, not the platform.
    product: bool,
}

/// All permissions that roles can grant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListPermissions {}

use_case!(ListPermissions => List<PermissionView>, "identity.permissions.list", Tenant, may::ROLES_READ, Tell);

impl Handle<ListPermissions> for Access {
    async fn handle(&self, _: ListPermissions, cx: Granted<ListPermissions>) -> Result<List<PermissionView>, Problem> {
        cx.permit_owner(None)?;
        let basis = self.basis(&cx).await?;
        let default = [DefaultRole::Member, DefaultRole::Admin, DefaultRole::Owner].map(RoleName::Default);
        let held = default.map(|role| (role, basis.grants(&[role])));
        let view = |permission: &str, meaning: &str, product| {
            let holders = held.iter().filter(|(_, grants)| unconditional(grants, permission)).map(|(role, _)| *role);
            let (permission, meaning) = (permission.to_owned(), meaning.to_owned());
            PermissionView { permission, meaning, held_by: holders.collect(), product }
        };
        let built_in = self.catalogue.declarations().iter().map(|it| (it.permission.name(), it.meaning));
        let built_in = built_in.filter(|(name, _)| basis.assignable(name)).map(|it| view(it.0, it.1, false));
        let product = basis.product.iter().map(|it| view(it.name.as_str(), it.meaning.as_str(), true));
        Ok(List { items: built_in.chain(product).collect(), next: None })
    }
}

/// Says that the product has a permission, what it means, and who holds it from the start. Said again, it is changed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclarePermission {
    /// Its name: `area.noun.verb`, such as `crm.deal.read`.
    permission: Key,
    /// What it allows, for people who assign roles.
    meaning: DisplayName,
    /// The lowest role that holds it in every tenant.
    held_from: HeldFrom,
}

/// A permission of the product.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DeclaredView {
    /// Its name.
    permission: Key,
    /// What it allows.
    meaning: DisplayName,
    /// The lowest role that holds it.
    held_from: HeldFrom,
}

impl From<&Permission> for DeclaredView {
    fn from(it: &Permission) -> Self {
        Self { permission: it.name.clone(), meaning: it.meaning.clone(), held_from: it.held_from }
    }
}

use_case!(DeclarePermission => DeclaredView, "identity.permissions.declare", Platform, may::DECLARE);

impl Handle<DeclarePermission> for Access {
    async fn handle(&self, it: DeclarePermission, cx: Granted<DeclarePermission>) -> Result<DeclaredView, Problem> {
        let store = self.store.at(&cx);
        let (permission, declared) = Permission::declare(it.permission, it.meaning, it.held_from, &self.catalogue)?;
        if store.try_load::<Permission>(&permission.name.to_string()).await?.is_some() {
            let change = |known: &mut Permission| {
                known.clone_from(&permission);
                Ok(declared.clone())
            };
            return Ok((&*store.change(&permission.name.to_string(), change).await?).into());
        }
        let page = Page { limit: permission::MOST, ..Page::default() };
        if store.list::<Permission>("all", "", &page).await?.items.len() >= permission::MOST {
            let most = format!("a product has at most {} permissions", permission::MOST);
            return Err(Problem::new(ProblemKind::Refused, "identity.too_many_permissions", most)
                .hint("withdraw one that is not needed"));
        }
        Ok((&*store.create(permission, declared).await?).into())
    }
}

/// The permissions of the product.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListDeclared {}

use_case!(ListDeclared => List<DeclaredView>, "identity.permissions.declared", Platform, may::DECLARE, Tell);

impl Handle<ListDeclared> for Access {
    async fn handle(&self, _: ListDeclared, cx: Granted<ListDeclared>) -> Result<List<DeclaredView>, Problem> {
        let page = Page { limit: permission::MOST, ..Page::default() };
        let listed = self.store.at(&cx).list::<Permission>("all", "", &page).await?;
        Ok(List { items: listed.items.iter().map(|it| (&**it).into()).collect(), next: None })
    }
}

/// Takes a permission of the product back: nobody holds it any more, whatever roles name it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WithdrawPermission {
    /// Its name.
    permission: Key,
}

use_case!(WithdrawPermission => Done, "identity.permissions.withdraw", Platform, may::DECLARE);

impl Handle<WithdrawPermission> for Access {
    async fn handle(&self, it: WithdrawPermission, cx: Granted<WithdrawPermission>) -> Result<Done, Problem> {
        let known = self.store.at(&cx).load::<Permission>(&it.permission.to_string()).await?;
        let withdrawn = known.withdrawn();
        self.store.at(&cx).delete(known, withdrawn).await?;
        Ok(Done {})
    }
}
