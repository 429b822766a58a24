//! What every gateway keeps, as checks that run against a real one, a stand-in, or the model.

#![expect(clippy::panic, reason = "a check stops where something is not as it must be")]

use contracts::payments::{AttemptId, RefundId};
use kernel::{Id, IdKind, TenantId};
use money::Money;

use crate::{Charge, Failure, Gateway, Payment, Presence, Return, Returned, Standing};

/// The gateway's names of methods that behave as they are needed here.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    /// Pays.
    pub good: &'a str,
    /// Can be saved, and is declined.
    pub poor: &'a str,
    /// Has to be confirmed by whoever pays, where there is such a thing.
    pub careful: Option<&'a str>,
    /// Whether there is a payment at the gateway once it is prepared, that can be called off.
    pub prepares: bool,
}

fn id<K: IdKind>(number: u128) -> Id<K> {
    // The same gateway may have been asked by an earlier run.
    let salt = std::process::id();
    Id::from_uuid(uuid::Uuid::from_u128((u128::from(salt) << 64) | number))
}

async fn charge(gateway: &dyn Gateway, number: u128, token: &str) -> Charge {
    let tenant: TenantId = id(number);
    let customer = done(gateway.customer(tenant).await);
    let method = done(gateway.attach(&customer, token).await);
    let attempt: AttemptId = id(number);
    let amount = Money::new(12_34, "EUR".parse().unwrap_or_else(|_| panic!("EUR is a currency")));
    let (method, kind) = (method.token, method.kind);
    Charge { attempt, tenant, amount, customer, method, kind, about: "INV-000001".to_owned() }
}

fn done<T>(outcome: Result<T, Failure>) -> T {
    outcome.unwrap_or_else(|failure| panic!("{failure}"))
}

async fn stands(gateway: &dyn Gateway, reference: &str) -> Payment {
    done(gateway.look(reference).await)
}

/// All checks.
pub async fn keeps(gateway: &dyn Gateway, tokens: &Tokens<'_>) {
    money_moves_once(gateway, tokens.good).await;
    a_decline_is_told(gateway, tokens.poor).await;
    if let Some(careful) = tokens.careful {
        what_has_to_be_confirmed_can_be_called_off(gateway, careful).await;
    }
    if tokens.prepares {
        what_was_called_off_moves_nothing(gateway, tokens.good).await;
    }
    a_method_that_is_not_known_is_refused(gateway).await;
}

async fn money_moves_once(gateway: &dyn Gateway, token: &str) {
    let it = charge(gateway, 1, token).await;
    let reference = done(gateway.prepare(&it).await);
    let prepared = stands(gateway, &reference).await;
    assert_eq!((prepared.standing, prepared.attempt), (Standing::Prepared, Some((it.tenant, it.attempt))));
    let first = done(gateway.confirm(&it, &reference, &Presence::Away).await);
    let second = done(gateway.confirm(&it, &reference, &Presence::Away).await);
    assert_eq!((&first.standing, first.amount), (&Standing::Succeeded, it.amount));
    assert_eq!(first, second, "asked again, it tells the same");
    assert_eq!(stands(gateway, &first.reference).await, first);
    let listed = done(gateway.since(kernel::Timestamp::UNIX_EPOCH, None).await);
    let of = listed.payments.iter().filter(|payment| payment.attempt == first.attempt);
    assert_eq!(of.filter(|payment| payment.standing == Standing::Succeeded).count(), 1, "there is one of it");

    let back = |number, minor| Return {
        refund: id(number),
        reference: first.reference.clone(),
        amount: Money::new(minor, it.amount.currency()),
    };
    let twice: RefundId = id(7);
    assert_eq!(back(7, 0).refund, twice);
    for _ in 0..2 {
        assert_eq!(done(gateway.refund(&back(7, 12_34)).await), Returned::Done, "once under its id");
    }
}

async fn a_decline_is_told(gateway: &dyn Gateway, token: &str) {
    let it = charge(gateway, 2, token).await;
    let reference = done(gateway.prepare(&it).await);
    let told = done(gateway.confirm(&it, &reference, &Presence::Away).await);
    assert!(matches!(told.standing, Standing::Declined { .. }), "{told:?}");
    let later = stands(gateway, &told.reference).await;
    assert!(matches!(later.standing, Standing::Declined { .. }), "{later:?}");
}

async fn what_has_to_be_confirmed_can_be_called_off(gateway: &dyn Gateway, token: &str) {
    let it = charge(gateway, 3, token).await;
    let reference = done(gateway.prepare(&it).await);
    let told = done(gateway.confirm(&it, &reference, &Presence::Away).await);
    assert!(matches!(told.standing, Standing::Action { .. }), "{told:?}");
    let over = done(gateway.cancel(&told.reference).await);
    assert!(matches!(over.standing, Standing::Declined { .. }), "{over:?}");
}

async fn what_was_called_off_moves_nothing(gateway: &dyn Gateway, token: &str) {
    let it = charge(gateway, 4, token).await;
    let reference = done(gateway.prepare(&it).await);
    done(gateway.cancel(&reference).await);
    let told = done(gateway.confirm(&it, &reference, &Presence::Away).await);
    assert!(matches!(told.standing, Standing::Declined { .. }), "{told:?}");
}

async fn a_method_that_is_not_known_is_refused(gateway: &dyn Gateway) {
    let customer = done(gateway.customer(id(5)).await);
    let refused = gateway.attach(&customer, "pm_nobody_knows").await;
    assert!(matches!(refused, Err(Failure::Refused { .. })), "{refused:?}");
}
