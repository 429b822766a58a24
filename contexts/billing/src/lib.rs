//! Billing: what a tenant uses of a plan, and what it owes for that.
//!
//! An operator **publishes** a **plan** in versions; an owner **subscribes**. A **subscription** keeps the version that it
//! began with, and has **periods**, each of which becomes one **invoice**: what comes back with each period ahead of it,
//! what was used and what changed after it. Use is **reported** in events with ids, counted once each. The rules stand in
//! `billing-rules` and `billing-books`; here they meet the store.
//!
//! What is kept, whatever ends in between:
//! - a period is closed by one commit of its subscription, which tells all lines of the invoice (`InvoiceRequested`);
//! - an invoice has an id from that commit, so that it is made once, however often the event comes;
//! - its number is given by one commit of the seller's series; it is final from then on;
//! - a transaction of the ledger is named by what it is about, so that it is posted once.

mod coupons;
mod credit_notes;
mod credits;
mod figures;
mod invoices;
mod ledger;
mod numbering;
mod plans;
mod subscribing;
mod subscription;
mod table;
mod tax;
mod usage;

use std::sync::Arc;

use billing_rules::Subscription;
use contracts::tenants::ResolveTenant;
use events::Services;
use kernel::{Calls, Claim, Cx, Granted, Problem, TenantId, UseCase};
use store::{Loaded, Store};

pub use billing_adapters::{Account, Mollie, Stripe};
pub use billing_gateways as gateways;
pub use payments::{Gateways, Routing};
pub use table::{Means, context};
pub use tax::{RateTable, Taxes};

/// What this context declares.
pub const PERMISSIONS: &[kernel::PermissionDecl] = permissions::ALL;

/// The context.
pub(crate) struct Billing {
    store: Store,
    calls: Calls,
    services: Services,
    taxes: Arc<dyn Taxes>,
    numbers: numbering::Numbers,
}

impl Billing {
    /// The context's own service in the platform's scope, in the course of what happens in a tenant's.
    fn at_platform(&self, cx: &Cx) -> Cx {
        self.services.at_platform("billing", cx)
    }

    /// Inside a tenant that there is, under the authority for a use case that names it.
    async fn inside<U: UseCase>(&self, tenant: TenantId, cx: &Granted<U>) -> Result<Cx, Problem> {
        self.calls.call(ResolveTenant { name: tenant.to_string() }, cx).await?;
        cx.within(tenant)
    }

    /// The tenant's subscription that has not ended, if it has one.
    async fn live(&self, cx: &Cx) -> Result<Option<Loaded<Subscription>>, Problem> {
        self.store.at(cx).find::<Subscription>(&Claim::new("subscription", "")).await
    }

    /// The same; a problem where there is none.
    async fn current(&self, cx: &Cx) -> Result<Loaded<Subscription>, Problem> {
        self.live(cx).await?.ok_or_else(|| {
            Problem::not_found("subscription")
                .hint("subscribe with POST /v1/subscription; GET /v1/offers tells to what")
        })
    }
}
