//! What signing in needs to know of its tenant: its name, and the origin, which never changes.

use kernel::{Aggregate, ScopeKind, TenantId, text::DisplayName};
use serde::{Deserialize, Serialize};

/// The realm of a tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Realm {
    /// Whose it is.
    pub tenant: TenantId,
    /// What the tenant is called.
    pub name: DisplayName,
    /// The issuer: scheme and host, no path.
    pub origin: String,
}

impl Realm {
    /// The id of the one that a tenant has.
    pub const ID: &'static str = "realm";
}

impl Aggregate for Realm {
    type Id = String;
    const KIND: &'static str = "identity.realm";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}
