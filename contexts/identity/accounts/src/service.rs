//! The context as itself, beside what its callers may do.

use std::sync::Arc;

use kernel::{Cx, Problem};

/// Makes the context's own service, in the platform's scope or in a tenant.
#[derive(Clone)]
pub struct Service(Arc<dyn Fn() -> Cx + Send + Sync>);

impl Service {
    /// One that `platform` makes in the platform's scope.
    pub fn new(platform: impl Fn() -> Cx + Send + Sync + 'static) -> Self {
        Self(Arc::new(platform))
    }

    /// In the platform's scope, for what is the same in all tenants.
    pub fn platform(&self) -> Cx {
        (self.0)()
    }

    /// In the tenant of a caller: whoever may invite needs no right to seats beside it.
    pub fn within(&self, cx: &Cx) -> Result<Cx, Problem> {
        Ok(self.platform().within(cx.tenant()?)?.traced(cx.trace()))
    }
}
