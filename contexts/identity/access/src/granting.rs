//! What a person may do: the roles of every installation, the tenant's own, and the permissions of the product, in one.

use std::{sync::Arc, time::Duration};

use accounts::{
    permissions::for_programs,
    role::{self, Book, Role, RoleName, held},
    user::User,
};
use kernel::{Condition, Cx, DefaultRole, Grants, Problem};
use store::Page;

use crate::{
    Access,
    permission::{self, Permission},
};

/// How long the product's permissions are used again. With what the gateway adds, a change is in force within a second.
pub const FRESH: Duration = Duration::from_millis(100);

/// All that decides what roles grant in a tenant.
pub struct Basis<'a> {
    access: &'a Access,
    /// The permissions of the product.
    pub product: Arc<Vec<Permission>>,
    /// The tenant's own roles.
    pub book: Book,
}

impl Basis<'_> {
    fn of_default(&self, role: DefaultRole) -> Grants {
        let built_in = self.access.catalogue.grants(role);
        let of_product = self.product.iter().filter(|it| it.held_from.includes(role));
        let of_product = of_product.map(|it| (it.name.to_string(), Condition::Always));
        built_in.iter().map(|(name, condition)| (name.to_owned(), condition)).chain(of_product).collect()
    }

    /// All that can be given in a tenant at all: what its owners hold.
    pub(crate) fn of_owner(&self) -> Grants {
        self.of_default(DefaultRole::Owner)
    }

    /// Whether a role can name a permission: an owner holds it for everything.
    pub fn assignable(&self, name: &str) -> bool {
        unconditional(&self.of_owner(), name)
    }

    fn of_role(&self, name: RoleName) -> Grants {
        match name {
            RoleName::Default(role) => self.of_default(role),
            RoleName::Own(id) => {
                let most = self.of_owner();
                let named = self.book.get(&id).into_iter().flat_map(|role| &role.permissions);
                // A permission that was withdrawn since is granted by nobody.
                named.filter(|name| unconditional(&most, name)).map(|it| (it.clone(), Condition::Always)).collect()
            }
        }
    }

    /// What roles grant to a person who holds them.
    pub fn grants(&self, roles: &[RoleName]) -> Grants {
        let person = self.of_default(DefaultRole::Person);
        let of_roles: Vec<Grants> =
            held(roles, &self.book).iter().filter_map(|way| way.last()).map(|name| self.of_role(*name)).collect();
        let all = std::iter::once(&person).chain(&of_roles);
        all.flat_map(Grants::iter).map(|(name, condition)| (name.to_owned(), condition)).collect()
    }

    /// The ways by which these roles come to a permission, and under which condition each grants it. An empty way is what
    /// everybody who has signed in holds.
    pub fn why(&self, roles: &[RoleName], permission: &str) -> Vec<(Vec<RoleName>, Condition)> {
        let under = |grants: &Grants| grants.iter().find(|(name, _)| *name == permission).map(|(_, under)| under);
        let person = under(&self.of_default(DefaultRole::Person)).map(|under| (Vec::new(), under));
        let by_role = held(roles, &self.book)
            .into_iter()
            .filter_map(|way| Some((way.last().and_then(|name| under(&self.of_role(*name)))?, way)))
            .map(|(under, way)| (way, under));
        person.into_iter().chain(by_role).collect()
    }
}

/// Whether a permission is held for everything.
pub(crate) fn unconditional(grants: &Grants, name: &str) -> bool {
    grants.iter().any(|(held, under)| held == name && under == Condition::Always)
}

/// Whether whoever holds `giver` may give all of `given`: nobody gives more than they hold.
pub fn covers(giver: &Grants, given: &Grants) -> bool {
    given.iter().all(|(name, wide)| giver.iter().any(|(held, under)| held == name && under >= wide))
}

/// Whether a caller may hand a permission on: it is held for everything, and one that programs can have.
pub fn may_give(cx: &Cx, name: &str) -> bool {
    for_programs(name) && cx.grants().iter().any(|(held, under)| held == name && under == Condition::Always)
}

impl Access {
    /// The permissions of the product: few, and the same for all tenants.
    pub async fn product(&self) -> Result<Arc<Vec<Permission>>, Problem> {
        let read = async {
            let page = Page { limit: permission::MOST, ..Page::default() };
            let listed = self.store.at(&self.service.platform()).list::<Permission>("all", "", &page).await?;
            Ok::<_, Problem>(Arc::new(listed.items.into_iter().map(store::Loaded::into_inner).collect()))
        };
        Ok(Arc::clone(&**self.declared.get_or((), read).await?))
    }

    /// The tenant's own roles, in one reading.
    pub async fn book(&self, cx: &Cx) -> Result<Book, Problem> {
        let page = Page { limit: 2 * role::MOST, ..Page::default() };
        let listed = self.store.at(cx).list::<Role>("all", "", &page).await?;
        Ok(listed.items.into_iter().map(|role| (role.id, role.into_inner())).collect())
    }

    /// What decides about any roles of this tenant.
    pub async fn basis(&self, cx: &Cx) -> Result<Basis<'_>, Problem> {
        Ok(Basis { access: self, product: self.product().await?, book: self.book(cx).await? })
    }

    /// All roles of a person, that of an owner included.
    pub async fn roles_of(&self, user: &User, cx: &Cx) -> Result<Vec<RoleName>, Problem> {
        let owner = RoleName::Default(DefaultRole::Owner);
        let owns = self.accounts.owners(cx).await?.is_some_and(|owners| owners.0.has(user.id));
        let mut roles: Vec<RoleName> = user.roles.iter().copied().filter(|role| *role != owner).collect();
        roles.extend(owns.then_some(owner));
        Ok(roles)
    }

    /// What a person may do, read in at most three steps however many roles there are.
    pub async fn grants_of(&self, user: &User, cx: &Cx) -> Result<Grants, Problem> {
        let roles = self.roles_of(user, cx).await?;
        let own = roles.iter().any(|role| matches!(role, RoleName::Own(_)));
        let book = if own { self.book(cx).await? } else { Book::new() };
        Ok(Basis { access: self, product: self.product().await?, book }.grants(&roles))
    }

    /// The most that a tenant gives anybody.
    pub async fn owner_grants(&self) -> Result<Grants, Problem> {
        Ok(Basis { access: self, product: self.product().await?, book: Book::new() }
            .grants(&[RoleName::Default(DefaultRole::Owner)]))
    }
}
