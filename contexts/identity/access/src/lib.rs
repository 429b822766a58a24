//! What one may do: the roles of every installation, a tenant's own, the product's permissions, and keys for programs.
//!
//! Roles grant permissions and include other roles. Nobody gives more than they hold, and a permission that was withdrawn is
//! granted by no role. An **API key** has what it was given, of what its maker still holds.

mod api_key;
pub mod granting;
pub mod permission;
mod permission_commands;
mod role_commands;

use std::sync::Arc;

use accounts::{Accounts, Service};
use cache::Cache;
use http::Method;
use kernel::{Catalogue, Context};
use store::Store;

use api_key::{CreateApiKey, ListApiKeys, RevokeApiKey};
use permission::Permission;
use permission_commands::{CheckPermission, DeclarePermission, ListDeclared, ListPermissions, WithdrawPermission};
use role_commands::{AssignRoles, CreateRole, DeleteRole, ListRoles, ReadRoles, UpdateRole};

pub use api_key::{ApiKey, PREFIX};

/// Decides what people, programs and keys may do.
pub struct Access {
    store: Store,
    accounts: Accounts,
    catalogue: Arc<Catalogue>,
    service: Service,
    /// The permissions of the product, as they were a moment ago.
    declared: Cache<(), Arc<Vec<Permission>>>,
}

impl Access {
    /// With what it stands on.
    pub fn new(store: Store, accounts: Accounts, catalogue: Arc<Catalogue>, service: Service) -> Self {
        Self { store, accounts, catalogue, service, declared: Cache::new(1, granting::FRESH) }
    }
}

/// The lines of the table about roles, and what they grant.
pub fn mount(context: Context, it: &Arc<Access>) -> Context {
    context
        .route::<ReadRoles, _>(Method::GET, "/v1/users/{user}/roles", it)
        .route::<AssignRoles, _>(Method::PUT, "/v1/users/{user}/roles", it)
        .route::<ListRoles, _>(Method::GET, "/v1/roles", it)
        .route::<CreateRole, _>(Method::POST, "/v1/roles", it)
        .route::<UpdateRole, _>(Method::PUT, "/v1/roles/{role}", it)
        .route::<DeleteRole, _>(Method::DELETE, "/v1/roles/{role}", it)
        .route::<ListPermissions, _>(Method::GET, "/v1/permissions", it)
        .route::<CheckPermission, _>(Method::POST, "/v1/permissions/check", it)
}

/// The lines of the table about the product's permissions.
pub fn mount_product(context: Context, it: &Arc<Access>) -> Context {
    context
        .route::<ListDeclared, _>(Method::GET, "/v1/product/permissions", it)
        .route::<DeclarePermission, _>(Method::PUT, "/v1/product/permissions/{permission}", it)
        .route::<WithdrawPermission, _>(Method::DELETE, "/v1/product/permissions/{permission}", it)
}

/// The lines of the table about keys for programs.
pub fn mount_keys(context: Context, it: &Arc<Access>) -> Context {
    context
        .route::<CreateApiKey, _>(Method::POST, "/v1/api-keys", it)
        .route::<ListApiKeys, _>(Method::GET, "/v1/api-keys", it)
        .route::<RevokeApiKey, _>(Method::DELETE, "/v1/api-keys/{key}", it)
}
