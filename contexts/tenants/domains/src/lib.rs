//! A tenant's own domains.
//!
//! A **domain** leads to the tenant that shows it now: it is looked at before it counts and every day after, and one that
//! shows nothing any more lapses. Of two tenants who claim the same, the proof of now decides.

mod commands;
mod domain;

use std::sync::Arc;

use http::Method;
use kernel::{Context, TimeDomain};
use register::Register;
use store::Store;

use commands::{AddDomain, ListDomains, RemoveDomain, VerifyDomain};

pub use commands::Control;
pub use domain::Challenge;

/// Looks after domains.
pub struct Domains {
    store: Store,
    register: Register,
    control: Arc<dyn Control>,
    /// The installation's own, below which nobody has one.
    host: String,
}

impl Domains {
    /// With what it stands on.
    pub fn new(store: Store, register: Register, control: Arc<dyn Control>, host: String) -> Self {
        Self { store, register, control, host }
    }
}

/// The lines of the table, and the timer that looks again.
pub fn mount(context: Context, it: &Arc<Domains>) -> Context {
    let due = Arc::clone(it);
    context
        .route::<ListDomains, _>(Method::GET, "/v1/domains", it)
        .route::<AddDomain, _>(Method::POST, "/v1/domains", it)
        .route::<VerifyDomain, _>(Method::POST, "/v1/domains/{domain}/verify", it)
        .route::<RemoveDomain, _>(Method::DELETE, "/v1/domains/{domain}", it)
        .timer_in(TimeDomain::Real, "tenants.domain", move |fired, cx| {
            let it = Arc::clone(&due);
            async move { it.domain_due(fired, cx).await }
        })
}
