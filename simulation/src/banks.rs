//! The payment gateways. They outlive every process, and are reached through the network of others, which loses more.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use billing::gateways::{
    Charge, Failure, Gateway, Method, Notice, NoticeError, Payment, Payments, Presence, Return, Returned, Setup,
    SetupPage, Standing, model::Model,
};
use http::HeaderMap;
use kernel::{TenantId, Timestamp};

use crate::{
    faults::{Fate, Sabotage},
    world::World,
};

/// The gateways, and what they still want to tell.
pub(crate) struct Banks {
    all: [Arc<Model>; 2],
    notices: Mutex<Vec<(&'static str, String)>>,
}

impl Default for Banks {
    fn default() -> Self {
        Self { all: ["north", "south"].map(|name| Arc::new(Model::default().named(name))), notices: Mutex::default() }
    }
}

impl Banks {
    /// What all of them moved for a tenant, less what went back.
    pub(crate) fn balance(&self, tenant: TenantId) -> i64 {
        self.all.iter().map(|bank| bank.balance(tenant)).sum()
    }

    /// The attempts of a tenant for which money moved more than once.
    pub(crate) fn moved_twice(&self, tenant: TenantId) -> usize {
        let moved = self.all.iter().flat_map(|bank| bank.moved());
        moved.filter(|((of, _), times)| *of == tenant && *times > 1).count()
    }

    /// What they want to tell, once.
    pub(crate) fn told(&self) -> Vec<(&'static str, String)> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A gateway as the platform reaches it.
pub(crate) struct Remote {
    world: Arc<World>,
    bank: Arc<Model>,
}

fn no_answer<T>() -> Result<T, Failure> {
    Err(Failure::Unknown("simulated".to_owned()))
}

impl Remote {
    /// All of them.
    pub(crate) fn all(world: &Arc<World>) -> Vec<Arc<dyn Gateway>> {
        let remote = |bank: &Arc<Model>| Arc::new(Self { world: Arc::clone(world), bank: Arc::clone(bank) }) as _;
        world.banks.all.iter().map(remote).collect()
    }

    /// Asks for something, which may be done or not, whatever is answered.
    async fn asks<T, F>(&self, what: &str, does: impl FnOnce(Arc<Model>) -> F + Send) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let (faults, trace) = (&self.world.faults, &self.world.trace);
        faults.takes().await;
        let (fate, bank) = (faults.fate_far_away(), self.bank.name());
        trace.tell(format_args!("{bank} is asked: {what}: {fate:?}"));
        let done = does(Arc::clone(&self.bank));
        match fate {
            Fate::Good => {
                let outcome = done.await;
                // Whoever dies here has been charged and knows nothing of it.
                faults.takes().await;
                outcome
            }
            Fate::Refused => Err(Failure::Later("simulated".to_owned())),
            Fate::Torn => {
                drop(done.await);
                no_answer()
            }
            Fate::Adrift => {
                let time = faults.adrift();
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    drop(done.await);
                });
                no_answer()
            }
        }
    }

    /// The same of a payment.
    async fn asks_of<F>(
        &self,
        what: &str,
        reference: &str,
        does: impl FnOnce(Arc<Model>) -> F + Send,
    ) -> Result<Payment, Failure>
    where
        F: Future<Output = Result<Payment, Failure>> + Send + 'static,
    {
        let mut outcome = self.asks(what, does).await;
        if what != "look" {
            // What changes, it tells by itself too.
            let mut notices = self.world.banks.notices.lock().unwrap_or_else(PoisonError::into_inner);
            notices.push((self.bank.name(), reference.to_owned()));
        }
        if let Ok(payment) = &mut outcome
            && payment.standing == Standing::Succeeded
            && self.world.faults.sabotage == Some(Sabotage::HidesPayments)
        {
            payment.standing = Standing::Declined { code: "stolen_card".to_owned(), retryable: false };
        }
        outcome
    }
}

#[async_trait]
impl Gateway for Remote {
    fn name(&self) -> &'static str {
        self.bank.name()
    }

    async fn customer(&self, tenant: TenantId) -> Result<String, Failure> {
        self.asks("customer", |bank| async move { bank.customer(tenant).await }).await
    }

    async fn attach(&self, customer: &str, token: &str) -> Result<Method, Failure> {
        let (customer, token) = (customer.to_owned(), token.to_owned());
        self.asks("attach", |bank| async move { bank.attach(&customer, &token).await }).await
    }

    async fn detach(&self, customer: &str, token: &str) -> Result<(), Failure> {
        let (customer, token) = (customer.to_owned(), token.to_owned());
        self.asks("detach", |bank| async move { bank.detach(&customer, &token).await }).await
    }

    async fn setup(&self, to: &Setup) -> Result<SetupPage, Failure> {
        self.bank.setup(to).await
    }

    async fn saved(&self, customer: &str, reference: &str) -> Result<Option<Method>, Failure> {
        self.bank.saved(customer, reference).await
    }

    async fn prepare(&self, charge: &Charge) -> Result<String, Failure> {
        let charge = charge.clone();
        self.asks("prepare", |bank| async move { bank.prepare(&charge).await }).await
    }

    async fn confirm(&self, charge: &Charge, reference: &str, presence: &Presence) -> Result<Payment, Failure> {
        let (charge, name, presence) = (charge.clone(), reference.to_owned(), presence.clone());
        let does = |bank: Arc<Model>| async move { bank.confirm(&charge, &name, &presence).await };
        self.asks_of("confirm", reference, does).await
    }

    async fn look(&self, reference: &str) -> Result<Payment, Failure> {
        let name = reference.to_owned();
        self.asks_of("look", reference, |bank| async move { bank.look(&name).await }).await
    }

    async fn cancel(&self, reference: &str) -> Result<Payment, Failure> {
        let name = reference.to_owned();
        self.asks_of("cancel", reference, |bank| async move { bank.cancel(&name).await }).await
    }

    async fn refund(&self, it: &Return) -> Result<Returned, Failure> {
        let it = it.clone();
        self.asks("refund", |bank| async move { bank.refund(&it).await }).await
    }

    async fn since(&self, from: Timestamp, after: Option<&str>) -> Result<Payments, Failure> {
        self.bank.since(from, after).await
    }

    fn notice(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Notice, NoticeError> {
        self.bank.notice(headers, body, now)
    }
}
