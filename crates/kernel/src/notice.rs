//! What is noticed in passing, as a port: the audit log writes it down, and no use case has to.

use crate::{cx::Caller, id::TenantId, scope::Scope};

/// Takes down what no event tells. It must not wait.
pub trait Notices: Send + Sync + 'static {
    /// A permission was missing.
    fn refused(&self, scope: Scope, caller: &Caller, permission: &str);

    /// An operator looked into a tenant, by this use case.
    fn entered(&self, tenant: TenantId, caller: &Caller, use_case: &str);
}

/// Notices nothing.
#[derive(Debug, Clone, Copy)]
pub struct Unnoticed;

impl Notices for Unnoticed {
    fn refused(&self, _: Scope, _: &Caller, _: &str) {}
    fn entered(&self, _: TenantId, _: &Caller, _: &str) {}
}
