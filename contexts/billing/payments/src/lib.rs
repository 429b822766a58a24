//! Payments: how invoices are collected, and what follows where they are not.
//!
//! An invoice that is final is charged to the way to pay that the tenant prefers, by an **attempt** that goes on until it is
//! known what became of it. What banks decline is tried again by **dunning**, which reminds, and at last suspends. Whoever pays
//! has a **page** for each invoice, at a link that works without signing in, also while the tenant is suspended.
//!
//! What is kept, whatever ends or is lost in between:
//! - an invoice has one open attempt at most, and an attempt confirms one payment of the gateway's: nobody is charged twice;
//! - what moves money is written down before: no payment is lost;
//! - all that comes in is a payment of the invoice, or the tenant's credits.

mod collecting;
mod dunning;
mod gateways;
mod methods;
mod notices;
mod page;
mod reconciling;
mod refunds;
mod table;
mod telling;
mod topping_up;

use billing_books::{Wallet, tax::Profile, wallet::Grant};
use contracts::{billing::CreditSource, tenants::ResolveTenant};
use events::Services;
use kernel::{Calls, Cx, Granted, Problem, TenantId, UseCase};
use money::Money;
use store::Store;

pub use gateways::{Gateways, Routing};
pub use table::mount;

/// See the crate.
pub struct Payments {
    store: Store,
    calls: Calls,
    services: Services,
    gateways: Gateways,
    /// The origin of the installation, where the pages of invoices are.
    origin: String,
}

impl Payments {
    /// With these gateways, and pages at this origin.
    pub fn new(store: Store, calls: Calls, services: Services, gateways: Gateways, origin: String) -> Self {
        Self { store, calls, services, gateways, origin }
    }

    /// Inside a tenant that there is, under the authority for a use case that names it.
    async fn inside<U: UseCase>(&self, tenant: TenantId, cx: &Granted<U>) -> Result<Cx, Problem> {
        self.calls.call(ResolveTenant { name: tenant.to_string() }, cx).await?;
        cx.within(tenant)
    }

    async fn profile(&self, cx: &Cx) -> Result<Profile, Problem> {
        let found = self.store.at(cx).try_load::<Profile>(&Profile::ID.to_owned()).await?;
        Ok(found.map(store::Loaded::into_inner).unwrap_or_default())
    }

    /// Credits that do not end, once under an id.
    async fn credit(&self, id: String, amount: Money, source: CreditSource, cx: &Cx) -> Result<(), Problem> {
        let grant = Grant::lasting(id, amount, source);
        let now = cx.now();
        let rule = |wallet: &mut Wallet| Ok(wallet.grant(grant.clone(), now)?);
        self.store.at(cx).upsert(&Wallet::ID.to_owned(), Wallet::default, rule).await.map(drop)
    }
}
