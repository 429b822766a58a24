//! Domains of tenants' own: emitted by the context `tenants`.

use kernel::{Event, TenantId, id_kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

id_kind!(
    /// A domain that a tenant claims.
    DomainId, DomainKind, "dom"
);

/// A domain was shown to be the tenant's: it leads to it from now on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DomainVerified {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub domain: DomainId,
}

impl Event for DomainVerified {
    const TYPE: &'static str = "tenants.DomainVerified.v1";
}

/// A domain could not be shown to be the tenant's (any more): it leads nowhere.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DomainFailed {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub domain: DomainId,
}

impl Event for DomainFailed {
    const TYPE: &'static str = "tenants.DomainFailed.v1";
}
