//! What a tenant is worth to the seller, in the seller's own scope: so that figures over all tenants are told without asking
//! each of them. It follows the ledger, and decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use billing_rules::Refusal;
use contracts::billing::{InvoiceId, RecurringRevenueChanged};
use kernel::{Aggregate, AnyEvent, ScopeKind, TenantId, Term, Timestamp};
use money::{Currency, Money};
use serde::{Deserialize, Serialize};

/// How much more or less comes in a month, by what happened in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moves {
    /// Of tenants that paid nothing before.
    pub new: Money,
    /// Of those that pay more.
    pub expansion: Money,
    /// Of those that pay less: at most nothing.
    pub contraction: Money,
    /// Of those that left: at most nothing.
    pub churn: Money,
}

impl Moves {
    /// None.
    pub const fn none(currency: Currency) -> Self {
        let nothing = Money::zero(currency);
        Self { new: nothing, expansion: nothing, contraction: nothing, churn: nothing }
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Result<Self, Refusal> {
        Ok(Self {
            new: self.new.plus(other.new)?,
            expansion: self.expansion.plus(other.expansion)?,
            contraction: self.contraction.plus(other.contraction)?,
            churn: self.churn.plus(other.churn)?,
        })
    }
}

/// How many months are kept.
const MONTHS: usize = 24;

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Customer {
    tenant: TenantId,
    /// What is sold to it.
    plan: Option<String>,
    /// What comes in a month of what comes back with each period, use and coupons left out.
    recurring: Option<Money>,
    /// Month, as `2027-01`, to what changed in it.
    moves: BTreeMap<String, Moves>,
    /// Invoices that are final, net, but for those that were declared void.
    sold: BTreeMap<Currency, Money>,
    /// What is to be paid of which invoice.
    open: BTreeMap<InvoiceId, Money>,
    overdue: BTreeSet<InvoiceId>,
    /// Final invoices that were counted, the latest: so that an event that comes again counts once.
    counted: Vec<InvoiceId>,
}

/// How many invoices are known to have been counted. Older events do not come again.
const KNOWN: usize = 100;

impl Customer {
    /// One that is worth nothing yet.
    pub fn new(tenant: TenantId) -> Self {
        let (sold, open, overdue, counted) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new(), Vec::new());
        Self { tenant, plan: None, recurring: None, moves: BTreeMap::new(), sold, open, overdue, counted }
    }

    /// It pays so much a month from now on.
    pub fn pays(
        &mut self,
        plan: Option<String>,
        recurring: Option<Money>,
        now: Timestamp,
    ) -> Result<Vec<AnyEvent>, Refusal> {
        self.plan = plan;
        let before = std::mem::replace(&mut self.recurring, recurring);
        let Some(currency) = recurring.or(before).map(Money::currency) else { return Ok(Vec::new()) };
        let of = |it: Option<Money>| it.filter(|it| it.currency() == currency).unwrap_or(Money::zero(currency));
        let (from, to) = (of(before), of(recurring));
        if from == to {
            return Ok(Vec::new());
        }
        let (change, none) = (to.minus(from)?, Moves::none(currency));
        let moved = match (from.is_zero(), to.is_zero(), change.is_negative()) {
            (true, ..) => Moves { new: change, ..none },
            (_, true, _) => Moves { churn: change, ..none },
            (.., true) => Moves { contraction: change, ..none },
            _ => Moves { expansion: change, ..none },
        };
        let month = self.moves.entry(now.strftime("%Y-%m").to_string()).or_insert(none);
        // Of a tenant that moved to another currency, the month begins anew.
        *month = month.plus(moved).unwrap_or(moved);
        while self.moves.len() > MONTHS {
            self.moves.pop_first();
        }
        Ok(vec![RecurringRevenueChanged { tenant: self.tenant, from, to }.into()])
    }

    /// An invoice is final.
    pub fn invoiced(&mut self, invoice: InvoiceId, net: Money, open: Money) -> Result<(), Refusal> {
        if self.counted.contains(&invoice) {
            return Ok(());
        }
        self.counted.push(invoice);
        let over = self.counted.len().saturating_sub(KNOWN);
        self.counted.drain(..over);
        let sold = self.sold.entry(net.currency()).or_insert(Money::zero(net.currency()));
        *sold = sold.plus(net)?;
        if !open.is_zero() {
            self.open.insert(invoice, open);
        }
        Ok(())
    }

    /// So much of it is still to be paid.
    pub fn paid(&mut self, invoice: InvoiceId, open: Money) {
        if let Some(known) = self.open.get_mut(&invoice) {
            *known = (*known).least(open).unwrap_or(open);
        }
    }

    /// Nothing of it is to be paid any more.
    pub fn settled(&mut self, invoice: InvoiceId) {
        self.open.remove(&invoice);
        self.overdue.remove(&invoice);
    }

    /// It was declared void.
    pub fn voided(&mut self, invoice: InvoiceId, net: Money) -> Result<(), Refusal> {
        // Counted, and not yet taken back.
        if let Some(place) = self.counted.iter().position(|it| *it == invoice) {
            self.counted.remove(place);
            let sold = self.sold.entry(net.currency()).or_insert(Money::zero(net.currency()));
            *sold = sold.minus(net)?;
        }
        self.settled(invoice);
        Ok(())
    }

    /// It is gone with all its data: nothing is to be had from it any more.
    pub fn leaves(&mut self, now: Timestamp) -> Result<Vec<AnyEvent>, Refusal> {
        (self.open, self.overdue) = (BTreeMap::new(), BTreeSet::new());
        self.pays(None, None, now)
    }

    /// The day has passed on which it was to be paid.
    pub fn late(&mut self, invoice: InvoiceId) {
        if self.open.contains_key(&invoice) {
            self.overdue.insert(invoice);
        }
    }

    /// What is sold to it.
    pub fn plan(&self) -> Option<&str> {
        self.plan.as_deref()
    }
    /// What it pays a month.
    pub const fn recurring(&self) -> Option<Money> {
        self.recurring
    }
    /// What changed in which month.
    pub fn moves(&self) -> impl Iterator<Item = (&str, Moves)> + '_ {
        self.moves.iter().map(|(month, moves)| (month.as_str(), *moves))
    }
    /// What was sold in all, by currency.
    pub fn sold(&self) -> impl Iterator<Item = Money> + '_ {
        self.sold.values().copied()
    }
    /// What is to be paid, and whether it is late.
    pub fn open(&self) -> impl Iterator<Item = (Money, bool)> + '_ {
        self.open.iter().map(|(invoice, open)| (*open, self.overdue.contains(invoice)))
    }
}

impl Aggregate for Customer {
    type Id = TenantId;
    const KIND: &'static str = "billing.customer";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> TenantId {
        self.tenant
    }

    fn terms(&self) -> Vec<Term> {
        let late = (!self.overdue.is_empty()).then(|| Term::new("late", ""));
        [Term::new("all", "")].into_iter().chain(late).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoice::tests::{euro, id};

    #[test]
    fn an_event_that_comes_again_counts_once() {
        let mut it = Customer::new(id(1));
        for _ in 0..2 {
            it.invoiced(id(2), euro(10_000), euro(12_000)).unwrap();
            it.late(id(2));
        }
        assert_eq!(
            (it.sold().collect::<Vec<_>>(), it.open().collect::<Vec<_>>()),
            (vec![euro(10_000)], vec![(euro(12_000), true)])
        );
        it.paid(id(2), euro(20_00));
        it.paid(id(2), euro(70_00));
        assert_eq!(it.open().collect::<Vec<_>>(), [(euro(20_00), true)], "what was told before is older");
        it.settled(id(2));
        it.invoiced(id(2), euro(10_000), euro(12_000)).unwrap();
        assert_eq!((it.open().count(), it.terms().len()), (0, 1));
        for _ in 0..2 {
            it.voided(id(2), euro(10_000)).unwrap();
        }
        assert_eq!(it.sold().collect::<Vec<_>>(), [euro(0)]);
    }

    #[test]
    fn what_changes_is_told_and_adds_up() {
        let (mut it, start) = (Customer::new(id(1)), Timestamp::UNIX_EPOCH);
        let mut pays = |minor: Option<i64>| {
            let told = it.pays(None, minor.map(euro), start).unwrap();
            told.first().map(|it| (it.data["from"]["amount"].clone(), it.data["to"]["amount"].clone()))
        };
        let moved = |from: &str, to: &str| Some((from.into(), to.into()));
        assert_eq!((pays(Some(36_00)), pays(Some(36_00))), (moved("0.00", "36.00"), None));
        assert_eq!((pays(Some(24_00)), pays(Some(60_00))), (moved("36.00", "24.00"), moved("24.00", "60.00")));
        assert_eq!((pays(None), pays(None)), (moved("60.00", "0.00"), None));
        let (month, moves) = it.moves().next().unwrap();
        let sums = [moves.new, moves.expansion, moves.contraction, moves.churn].map(Money::minor);
        assert_eq!((month, sums, sums.iter().sum::<i64>()), ("1970-01", [36_00, 36_00, -12_00, -60_00], 0));
    }
}
