//! The register of tenants: each tenant with its names and where it is in its life, and what one may do with tenants.
//!
//! A **tenant** is found by its **slug**, which never changes. It is provisioned, then on **trial** or **active**.
//! **Suspended** or **archived**, nobody can sign in and all stays; **erased**, nothing comes back.

pub mod permissions;
pub mod tenant;

use events::Services;
use kernel::{Cx, Problem, Scope, UserId};
use store::Store;

use tenant::Tenant;

/// The store of the context, and the context's own service.
#[derive(Clone)]
pub struct Register {
    store: Store,
    services: Services,
}

impl Register {
    /// Of a store.
    pub fn new(store: Store, services: Services) -> Self {
        Self { store, services }
    }

    /// Makes the context's own service.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// The context's own service in the platform's scope, in the course of what happens in a tenant's.
    pub fn at_platform(&self, cx: &Cx) -> Cx {
        self.services.at_platform("tenants", cx)
    }

    /// What a person who was erased had been named by outside the tenant.
    pub async fn forget_owner(&self, user: UserId, cx: &Cx) -> Result<(), Problem> {
        let platform = self.at_platform(cx);
        let tenant = self.store.at(&platform).load::<Tenant>(&cx.tenant()?).await?;
        if tenant.owner_id() == user {
            self.store.keys().destroy_person(Scope::Platform, user).await?;
        }
        Ok(())
    }
}
