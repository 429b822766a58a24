//! A gateway in memory, with the faults of one far away: answers that are lost before the effect and after it. What it did
//! can be counted, which no real one lets anyone do.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use contracts::payments::{AttemptId, RefundId};
use http::HeaderMap;
use kernel::{TenantId, Timestamp};
use money::Money;

use crate::{
    Charge, Dispute, Failure, Gateway, Method, Notice, NoticeError, Payment, Payments, Presence, Return, Returned,
    Setup, SetupPage, Standing,
};

/// A method that always pays.
pub const GOOD: &str = "good";
/// One that is always declined, and may succeed another day.
pub const POOR: &str = "poor";
/// One that is declined for good.
pub const STOLEN: &str = "stolen";
/// One that whoever pays has to confirm each time.
pub const CAREFUL: &str = "careful";
/// One that was good when it was saved, and of which the gateway will hear no more.
pub const REVOKED: &str = "revoked";
/// One that pays, and takes nothing back.
pub const CLOSED: &str = "closed";

/// When an answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// It is not.
    #[default]
    None,
    /// It could not be reached.
    Unreachable,
    /// It refuses the key.
    Unauthorized,
    /// Before anything was done.
    Before,
    /// After it was done.
    After,
}

#[derive(Debug, Default)]
struct State {
    /// With the method that each is charged to.
    payments: BTreeMap<String, (Payment, String)>,
    /// How often money moved for each attempt.
    moved: BTreeMap<(TenantId, AttemptId), u32>,
    refunds: BTreeMap<RefundId, (String, Money)>,
    made: u64,
}

/// Decides about the fault of each request.
pub type Faults = Box<dyn Fn() -> Fault + Send + Sync>;

/// See the module.
pub struct Model {
    name: &'static str,
    state: Mutex<State>,
    faults: Faults,
}

impl Default for Model {
    fn default() -> Self {
        Self::with(Box::new(|| Fault::None))
    }
}

fn missing() -> Failure {
    Failure::refused("resource_missing", "there is no such payment")
}

impl Model {
    /// A gateway with faults.
    pub fn with(faults: Faults) -> Self {
        Self { name: "model", state: Mutex::default(), faults }
    }

    /// The same under another name.
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something, unless its answer is lost before.
    fn act<T>(&self, does: impl FnOnce(&mut State) -> Result<T, Failure>) -> Result<T, Failure> {
        match (self.faults)() {
            Fault::None => does(&mut self.state()),
            Fault::Unreachable => Err(Failure::Later("the gateway cannot be reached".to_owned())),
            Fault::Unauthorized => Err(Failure::refused("gateway_unauthorized", "the key is not known")),
            Fault::Before => Err(Failure::Unknown("no answer came".to_owned())),
            Fault::After => {
                does(&mut self.state())?;
                Err(Failure::Unknown("no answer came".to_owned()))
            }
        }
    }

    /// How often money moved for each attempt.
    pub fn moved(&self) -> BTreeMap<(TenantId, AttemptId), u32> {
        self.state().moved.clone()
    }

    /// What moved for a tenant in all, less what went back.
    pub fn balance(&self, tenant: TenantId) -> i64 {
        let state = self.state();
        let of = |payment: &Payment| payment.attempt.is_some_and(|(of, _)| of == tenant);
        let came = state.payments.values().map(|(payment, ..)| payment);
        let came: i64 =
            came.filter(|it| of(it) && it.standing == Standing::Succeeded).map(|it| it.amount.minor()).sum();
        let back = state
            .refunds
            .values()
            .filter(|(reference, _)| state.payments.get(reference).is_some_and(|(payment, ..)| of(payment)));
        came - back.map(|(_, amount)| amount.minor()).sum::<i64>()
    }

    /// Whoever pays confirmed what they had to.
    pub fn authenticate(&self, reference: &str) {
        let mut state = self.state();
        if let Some((payment, ..)) = state.payments.get_mut(reference)
            && matches!(payment.standing, Standing::Action { .. })
        {
            payment.standing = Standing::Succeeded;
            if let Some(attempt) = payment.attempt {
                *state.moved.entry(attempt).or_default() += 1;
            }
        }
    }
}

#[async_trait]
impl Gateway for Model {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn customer(&self, tenant: TenantId) -> Result<String, Failure> {
        self.act(|_| Ok(format!("customer of {tenant}")))
    }

    async fn attach(&self, _: &str, token: &str) -> Result<Method, Failure> {
        self.act(|_| {
            let known = [GOOD, POOR, STOLEN, CAREFUL, REVOKED, CLOSED].iter().any(|known| token.starts_with(known));
            let (token, kind, label) = (token.to_owned(), "card".to_owned(), format!("model •••• {token}"));
            if known {
                Ok(Method { token, kind, label, expires: None })
            } else {
                Err(Failure::refused("card_declined", "the card is not known"))
            }
        })
    }

    async fn detach(&self, _: &str, _: &str) -> Result<(), Failure> {
        self.act(|_| Ok(()))
    }

    async fn setup(&self, to: &Setup) -> Result<SetupPage, Failure> {
        self.act(|_| Ok(SetupPage { url: format!("{}?session=good", to.back), reference: GOOD.to_owned() }))
    }

    async fn saved(&self, customer: &str, reference: &str) -> Result<Option<Method>, Failure> {
        self.attach(customer, reference).await.map(Some)
    }

    async fn prepare(&self, charge: &Charge) -> Result<String, Failure> {
        self.act(|state| {
            state.made += 1;
            let reference = format!("model_{}", state.made);
            let attempt = Some((charge.tenant, charge.attempt));
            let (amount, standing) = (charge.amount, Standing::Prepared);
            let payment = Payment { reference: reference.clone(), attempt, amount, standing };
            state.payments.insert(reference.clone(), (payment, charge.method.clone()));
            Ok(reference)
        })
    }

    async fn confirm(&self, _: &Charge, reference: &str, presence: &Presence) -> Result<Payment, Failure> {
        self.act(|state| {
            let (payment, method) = state.payments.get_mut(reference).ok_or_else(missing)?;
            if payment.standing != Standing::Prepared {
                return Ok(payment.clone());
            }
            if method.starts_with(REVOKED) {
                return Err(Failure::refused("invalid_mandate", "the mandate is not valid any more"));
            }
            let declined = |code: &str, retryable| Standing::Declined { code: code.to_owned(), retryable };
            payment.standing = match method.as_str() {
                it if it.starts_with(POOR) => declined("insufficient_funds", true),
                it if it.starts_with(STOLEN) => declined("stolen_card", false),
                it if it.starts_with(CAREFUL) => match presence {
                    Presence::Away => Standing::Action { url: None },
                    Presence::Here { back } => Standing::Action { url: Some(format!("{back}#authenticate")) },
                },
                _ => Standing::Succeeded,
            };
            let payment = payment.clone();
            if let (Standing::Succeeded, Some(attempt)) = (&payment.standing, payment.attempt) {
                *state.moved.entry(attempt).or_default() += 1;
            }
            Ok(payment)
        })
    }

    async fn look(&self, reference: &str) -> Result<Payment, Failure> {
        self.act(|state| state.payments.get(reference).map(|(payment, ..)| payment.clone()).ok_or_else(missing))
    }

    async fn cancel(&self, reference: &str) -> Result<Payment, Failure> {
        self.act(|state| {
            let (payment, ..) = state.payments.get_mut(reference).ok_or_else(missing)?;
            if matches!(payment.standing, Standing::Prepared | Standing::Action { .. }) {
                payment.standing = Standing::Declined { code: "canceled".to_owned(), retryable: true };
            }
            Ok(payment.clone())
        })
    }

    async fn refund(&self, it: &Return) -> Result<Returned, Failure> {
        self.act(|state| {
            let (payment, method) = state.payments.get(&it.reference).ok_or_else(missing)?;
            if method.starts_with(CLOSED) {
                return Err(Failure::refused("closed_account", "the account is closed"));
            }
            let back = state.refunds.iter().filter(|(id, (of, _))| **id != it.refund && *of == it.reference);
            let back: i64 = back.map(|(_, (_, amount))| amount.minor()).sum();
            if payment.standing != Standing::Succeeded || back + it.amount.minor() > payment.amount.minor() {
                return Err(Failure::refused("charge_already_refunded", "more than came in"));
            }
            state.refunds.insert(it.refund, (it.reference.clone(), it.amount));
            Ok(Returned::Done)
        })
    }

    /// All of them, since it has no clock.
    async fn since(&self, _: Timestamp, _: Option<&str>) -> Result<Payments, Failure> {
        self.act(|state| {
            let payments = state.payments.values().map(|(payment, _)| payment.clone()).collect();
            Ok(Payments { payments, next: None })
        })
    }

    /// Signed by the word `model`; the body is the reference, or a dispute in a form of its own.
    fn notice(&self, headers: &HeaderMap, body: &[u8], _: Timestamp) -> Result<Notice, NoticeError> {
        if headers.get("signature").is_none_or(|it| it != "model") {
            return Err(NoticeError::Signature);
        }
        let body = std::str::from_utf8(body).map_err(|_| NoticeError::Form)?;
        match body.split_whitespace().collect::<Vec<_>>().as_slice() {
            [reference] => Ok(Notice::Payment((*reference).to_owned())),
            ["dispute", reference, id, amount, currency, decided] => {
                let currency = currency.parse().map_err(|_| NoticeError::Form)?;
                let amount = Money::parse(amount, currency).map_err(|_| NoticeError::Form)?;
                let won = match *decided {
                    "won" => Some(true),
                    "lost" => Some(false),
                    _ => None,
                };
                let dispute = Dispute { id: (*id).to_owned(), amount, reason: "general".to_owned(), won };
                Ok(Notice::Dispute((*reference).to_owned(), dispute))
            }
            _ => Err(NoticeError::Form),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_model_keeps_the_contract() {
        let tokens = crate::contract::Tokens { good: GOOD, poor: POOR, careful: Some(CAREFUL), prepares: true };
        crate::contract::keeps(&Model::default(), &tokens).await;
    }
}
