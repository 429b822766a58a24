//! Permissions of the product that the operator builds on this ground: declared once for the installation, given by roles
//! like the built-in ones.

use contracts::identity::{PermissionDeclared, PermissionWithdrawn};
use kernel::{
    Aggregate, Catalogue, DefaultRole, Problem, ScopeKind, Term,
    text::{DisplayName, Key},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most permissions of one product.
pub const MOST: usize = 200;

/// The lowest of the roles of every installation that holds a permission; the higher ones include it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeldFrom {
    /// Everybody in a tenant.
    Member,
    /// Those who run its daily business.
    Admin,
    /// Those who answer for it, and whoever they give it to.
    Owner,
}

impl HeldFrom {
    /// Whether a default role holds it.
    pub fn includes(self, role: DefaultRole) -> bool {
        match self {
            Self::Member => role.assignable(),
            Self::Admin => matches!(role, DefaultRole::Admin | DefaultRole::Owner),
            Self::Owner => role == DefaultRole::Owner,
        }
    }
}

/// A permission of the product.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Permission {
    /// How it is called in checks.
    pub name: Key,
    /// What it lets one do.
    pub meaning: DisplayName,
    pub(crate) held_from: HeldFrom,
}

impl Permission {
    /// Named `area.noun.verb`, where the area is none of the platform's own.
    pub fn declare(
        name: Key,
        meaning: DisplayName,
        held_from: HeldFrom,
        catalogue: &Catalogue,
    ) -> Result<(Self, PermissionDeclared), Problem> {
        let parts: Vec<&str> = name.as_str().split('.').collect();
        if parts.len() != 3 || parts.iter().any(|part| part.is_empty()) {
            return Err(Problem::invalid_field("/permission", "expected three words, such as crm.deal.read"));
        }
        let area = |name: &str| name.split('.').next().map(str::to_owned);
        if catalogue.declarations().iter().any(|it| area(it.permission.name()) == area(name.as_str())) {
            return Err(Problem::invalid_field("/permission", "this area belongs to the platform: choose your own"));
        }
        let declared = PermissionDeclared { permission: name.to_string() };
        Ok((Self { name, meaning, held_from }, declared))
    }

    /// Nobody holds it from now on.
    pub fn withdrawn(&self) -> PermissionWithdrawn {
        PermissionWithdrawn { permission: self.name.to_string() }
    }
}

impl Aggregate for Permission {
    type Id = String;
    const KIND: &'static str = "identity.permission";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> String {
        self.name.to_string()
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_names_its_own_and_nothing_of_the_platform() {
        let catalogue = Catalogue::new(accounts::permissions::ALL.iter().copied());
        let declare = |name: &str| {
            let meaning = "see deals".parse().unwrap();
            Permission::declare(name.parse().unwrap(), meaning, HeldFrom::Member, &catalogue).is_ok()
        };
        assert!(declare("crm.deal.read"));
        for refused in ["crm.deal", "crm", "crm..read", "crm.deal.read.all", "identity.role.forge", "identity.a.b"] {
            assert!(!declare(refused), "{refused}");
        }
    }

    #[test]
    fn a_higher_role_holds_what_a_lower_one_does() {
        assert!(HeldFrom::Member.includes(DefaultRole::Owner) && HeldFrom::Admin.includes(DefaultRole::Owner));
        assert!(!HeldFrom::Admin.includes(DefaultRole::Member) && !HeldFrom::Member.includes(DefaultRole::Person));
    }
}
