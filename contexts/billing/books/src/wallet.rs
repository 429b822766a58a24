//! Prepaid credits. The wallet decides what pays for an invoice; the ledger follows.

use std::collections::BTreeMap;

use billing_rules::Refusal;
use contracts::{
    billing::{
        CreditSource, CreditsDrawn, CreditsExpired, CreditsGranted, CreditsRestored, CreditsReturned, CreditsWithdrawn,
        InvoiceId,
    },
    payments::RefundId,
};
use kernel::{Aggregate, AnyEvent, ScopeKind, Timer, Timestamp};
use money::{Currency, Money};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most grants that have something left, and the most invoices whose draws are known.
const MOST: usize = 200;

/// Credits that were given at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Grant {
    /// Names it.
    pub id: String,
    /// How much was given.
    pub amount: Money,
    /// How much is left.
    pub left: Money,
    /// Of several, the lowest is used first; then what ends first; then the oldest.
    pub priority: u8,
    /// Where it comes from.
    #[serde(default)]
    pub source: CreditSource,
    /// When what is left ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub ends: Option<Timestamp>,
}

impl Grant {
    /// One that does not end.
    pub const fn lasting(id: String, amount: Money, source: CreditSource) -> Self {
        Self { id, amount, left: amount, priority: 0, source, ends: None }
    }
}

/// What credits are used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreditUse {
    /// They pay for an invoice.
    Invoice(InvoiceId),
    /// They go back as money.
    Refund(RefundId),
}

impl CreditUse {
    fn drawn(self, amount: Money) -> AnyEvent {
        let invoice = match self {
            Self::Refund(refund) => return CreditsWithdrawn { refund, amount }.into(),
            Self::Invoice(invoice) => invoice,
        };
        CreditsDrawn { invoice, amount }.into()
    }

    fn given_back(self, amount: Money) -> AnyEvent {
        let invoice = match self {
            Self::Refund(refund) => return CreditsRestored { refund, amount }.into(),
            Self::Invoice(invoice) => invoice,
        };
        CreditsReturned { invoice, amount }.into()
    }
}

/// What of which grant is used for something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Draw {
    what: CreditUse,
    amount: Money,
    of: BTreeMap<String, Money>,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wallet {
    grants: Vec<Grant>,
    draws: Vec<Draw>,
    /// Grants of which nothing is left, or that ended, so that none is given twice.
    used_up: Vec<String>,
}

impl Wallet {
    /// The one of a tenant.
    pub const ID: &'static str = "wallet";

    /// Gives credits, once under an id.
    pub fn grant(&mut self, it: Grant, now: Timestamp) -> Result<Vec<AnyEvent>, Refusal> {
        if self.grants.iter().any(|known| known.id == it.id) || self.used_up.contains(&it.id) {
            return Ok(Vec::new());
        }
        let ended = it.ends.is_some_and(|ends| ends <= now);
        let usable = self.grants.iter().filter(|known| known.left.minor() > 0).count();
        if it.amount.minor() <= 0 || it.left != it.amount || ended || usable >= MOST {
            return Err(Refusal::Credits);
        }
        let told = CreditsGranted { grant: it.id.clone(), amount: it.amount, source: it.source };
        self.grants.push(it);
        Ok(vec![told.into()])
    }

    /// What can be used of a currency.
    pub fn usable(&self, currency: Currency, now: Timestamp) -> Result<Money, Refusal> {
        let live = self.grants.iter().filter(|grant| grant.ends.is_none_or(|ends| ends > now));
        Ok(Money::sum(currency, live.map(|grant| grant.left).filter(|left| left.currency() == currency))?)
    }

    /// Uses all of an amount, or nothing. Asked again for the same it changes nothing.
    pub fn withdraw(&mut self, refund: RefundId, amount: Money, now: Timestamp) -> Result<Vec<AnyEvent>, Refusal> {
        let what = CreditUse::Refund(refund);
        let known = self.draws.iter().any(|draw| draw.what == what);
        if !known && self.usable(amount.currency(), now)?.minus(amount)?.is_negative() {
            return Err(Refusal::TooFewCredits);
        }
        Ok(self.draw(what, amount, now)?.1)
    }

    /// Uses as much of an amount as there is. Asked again for the same it tells the same.
    pub fn draw(&mut self, what: CreditUse, wanted: Money, now: Timestamp) -> Result<(Money, Vec<AnyEvent>), Refusal> {
        let mut drawn = Money::zero(wanted.currency());
        if let Some(known) = self.draws.iter().find(|draw| draw.what == what) {
            return Ok((known.amount, Vec::new()));
        }
        let usable =
            |grant: &&mut Grant| grant.left.currency() == wanted.currency() && grant.ends.is_none_or(|ends| ends > now);
        let mut usable: Vec<&mut Grant> = self.grants.iter_mut().filter(usable).collect();
        usable.sort_by_key(|grant| (grant.priority, grant.ends.unwrap_or(Timestamp::MAX)));
        let mut of = BTreeMap::new();
        for grant in usable {
            let part = grant.left.least(wanted.minus(drawn)?)?;
            if part.minor() > 0 {
                (grant.left, drawn) = (grant.left.minus(part)?, drawn.plus(part)?);
                of.insert(grant.id.clone(), part);
            }
        }
        if drawn.is_zero() {
            return Ok((drawn, Vec::new()));
        }
        self.draws.push(Draw { what, amount: drawn, of });
        let over = self.draws.len().saturating_sub(MOST);
        self.draws.drain(..over);
        Ok((drawn, vec![what.drawn(drawn)]))
    }

    /// Gives back what was used for something, once.
    pub fn give_back(&mut self, what: CreditUse) -> Result<Vec<AnyEvent>, Refusal> {
        let Some(place) = self.draws.iter().position(|draw| draw.what == what) else { return Ok(Vec::new()) };
        let draw = self.draws.remove(place);
        for (id, part) in &draw.of {
            if let Some(grant) = self.grants.iter_mut().find(|grant| grant.id == *id) {
                grant.left = grant.left.plus(*part)?;
                continue;
            }
            self.grants.push(Grant::lasting(id.clone(), *part, CreditSource::Given));
        }
        Ok(vec![what.given_back(draw.amount)])
    }

    /// Ends what was not used in time.
    pub fn pass(&mut self, now: Timestamp) -> Vec<AnyEvent> {
        let mut events = Vec::new();
        for grant in self.grants.iter_mut().filter(|grant| grant.ends.is_some_and(|ends| ends <= now)) {
            if grant.left.minor() > 0 {
                events.push(CreditsExpired { grant: grant.id.clone(), amount: grant.left }.into());
            }
        }
        let (over, rest): (Vec<Grant>, Vec<Grant>) =
            std::mem::take(&mut self.grants).into_iter().partition(|grant| grant.ends.is_some_and(|ends| ends <= now));
        self.used_up.extend(over.into_iter().map(|grant| grant.id));
        self.grants = rest;
        events
    }

    /// The grants that have not ended.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }
}

impl Aggregate for Wallet {
    type Id = String;
    const KIND: &'static str = "billing.wallet";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }

    fn timers(&self) -> Vec<Timer> {
        let next = self.grants.iter().filter_map(|grant| grant.ends).min();
        next.map(|due| Timer { name: "ends", due }).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoice::tests::{euro, id};
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn grant(id: &str, minor: i64, priority: u8, ends: Option<i64>) -> Grant {
        Grant {
            id: id.to_owned(),
            amount: euro(minor),
            left: euro(minor),
            priority,
            source: CreditSource::Given,
            ends: ends.map(at),
        }
    }

    #[test]
    fn what_ends_first_is_used_first_within_a_priority() {
        let mut it = Wallet::default();
        for grant in [grant("late", 10, 1, None), grant("soon", 10, 1, Some(100)), grant("first", 5, 0, None)] {
            assert_eq!(it.grant(grant.clone(), at(0)).unwrap().len(), 1);
            assert!(it.grant(grant, at(0)).unwrap().is_empty(), "given once");
        }
        assert_eq!(it.draw(CreditUse::Invoice(id(1)), euro(12), at(1)).unwrap().0, euro(12));
        let left: Vec<i64> = it.grants().iter().map(|grant| grant.left.minor()).collect();
        assert_eq!(left, [10, 3, 0]);
        assert_eq!(it.draw(CreditUse::Invoice(id(1)), euro(99), at(1)).unwrap(), (euro(12), Vec::new()), "drawn once");
        assert_eq!(it.give_back(CreditUse::Invoice(id(1))).unwrap().len(), 1);
        assert!(it.give_back(CreditUse::Invoice(id(1))).unwrap().is_empty());
        assert_eq!(it.timers().len(), 1);
        assert_eq!(it.pass(at(100)).len(), 1);
        assert_eq!(
            (it.draw(CreditUse::Invoice(id(2)), euro(99), at(100)).unwrap().0, it.timers().len()),
            (euro(15), 0)
        );
        assert!(
            it.grant(grant("soon", 10, 1, None), at(0)).unwrap().is_empty(),
            "an id that has ended is not given again"
        );
        assert_eq!(it.grant(grant("none", 0, 1, None), at(0)), Err(Refusal::Credits));
    }

    #[test]
    fn what_goes_back_as_money_is_there_whole_and_once() {
        let mut it = Wallet::default();
        it.grant(grant("paid", 10, 0, None), at(0)).unwrap();
        assert_eq!(it.withdraw(id(1), euro(11), at(1)), Err(Refusal::TooFewCredits));
        assert_eq!(
            (it.withdraw(id(1), euro(10), at(1)).unwrap().len(), it.usable(euro(0).currency(), at(1))),
            (1, Ok(euro(0)))
        );
        assert!(it.withdraw(id(1), euro(10), at(1)).unwrap().is_empty(), "once");
        assert_eq!(it.give_back(CreditUse::Refund(id(1))).unwrap().len(), 1);
        assert_eq!(it.usable(euro(0).currency(), at(1)), Ok(euro(10)));
    }

    proptest! {
        #[test]
        fn credits_are_conserved(
            grants in prop::collection::vec((1_i64..1_000, 0_u8..3, prop::option::of(1_i64..100)), 1..12),
            draws in prop::collection::vec((0_i64..2_000, 0_i64..120, any::<bool>()), 0..20),
        ) {
            let (mut it, mut given, mut used, mut ended) = (Wallet::default(), 0, 0, 0);
            for (place, (minor, priority, ends)) in grants.iter().enumerate() {
                given += minor;
                it.grant(grant(&place.to_string(), *minor, *priority, *ends), at(0)).unwrap();
            }
            for (place, (wanted, second, back)) in draws.iter().enumerate() {
                let (drawn, _) = it.draw(CreditUse::Invoice(id(place as u128)), euro(*wanted), at(*second)).unwrap();
                prop_assert!(drawn.minor() <= *wanted);
                used += drawn.minor();
                if *back {
                    it.give_back(CreditUse::Invoice(id(place as u128))).unwrap();
                    used -= drawn.minor();
                }
                for event in it.pass(at(*second)) {
                    ended += serde_json::from_value::<Money>(event.data["amount"].clone()).unwrap().minor();
                }
            }
            let left: i64 = it.grants().iter().map(|grant| grant.left.minor()).sum();
            prop_assert_eq!(left + used + ended, given);
        }
    }
}
