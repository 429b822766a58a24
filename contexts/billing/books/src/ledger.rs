//! The ledger, in double entry. A transaction with all its legs is one aggregate, and there is none whose legs do not
//! cancel. It never changes; a mistake is reversed by another.

use std::collections::BTreeMap;

use billing_rules::Refusal;
use contracts::billing::{InvoiceGenerated, InvoiceVoided, TransactionPosted};
use kernel::{Aggregate, ScopeKind, Term, Timestamp};
use money::{Currency, Money};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where money is, or comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// What the tenant owes.
    Receivable,
    /// What was sold.
    Revenue,
    /// What is owed to tax offices.
    TaxPayable,
    /// What came in.
    Cash,
    /// What the tenant may still use of its credits.
    CustomerCredits,
    /// What invoices ask for credits that are bought, until they are paid.
    CreditsOrdered,
    /// What credits cost the seller.
    CreditsGiven,
    /// What was given up.
    BadDebt,
    /// What banks took back for now, because whoever paid disputes it.
    Disputed,
}

/// One side of a transaction: more than nothing is debited, less is credited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Leg {
    /// Which account.
    pub account: Account,
    /// How much.
    pub amount: Money,
}

#[derive(Serialize, Deserialize)]
struct Written {
    id: String,
    at: Timestamp,
    about: String,
    legs: Vec<Leg>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Transaction {
    id: String,
    at: Timestamp,
    about: String,
    legs: Vec<Leg>,
}

impl TryFrom<Written> for Transaction {
    type Error = Refusal;

    fn try_from(it: Written) -> Result<Self, Refusal> {
        Self::new(it.id, it.at, it.about, it.legs)
    }
}

impl From<Transaction> for Written {
    fn from(it: Transaction) -> Self {
        Self { id: it.id, at: it.at, about: it.about, legs: it.legs }
    }
}

/// The sums of legs, by account.
pub type Balances = BTreeMap<(Account, Currency), Money>;

/// Adds legs to what was summed before.
pub fn add<'a>(sums: &mut Balances, legs: impl IntoIterator<Item = &'a Leg>) -> Result<(), Refusal> {
    for leg in legs {
        let currency = leg.amount.currency();
        let sum = sums.entry((leg.account, currency)).or_insert(Money::zero(currency));
        *sum = sum.plus(leg.amount)?;
    }
    Ok(())
}

impl Transaction {
    /// A transaction, if its legs cancel in each currency. Those of nothing are left out.
    pub fn new(id: String, at: Timestamp, about: String, mut legs: Vec<Leg>) -> Result<Self, Refusal> {
        legs.retain(|leg| !leg.amount.is_zero());
        let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
        for leg in &legs {
            *sums.entry(leg.amount.currency()).or_default() += i128::from(leg.amount.minor());
        }
        if sums.values().any(|sum| *sum != 0) {
            return Err(Refusal::NotBalanced);
        }
        Ok(Self { id, at, about, legs })
    }

    /// An amount from one account to another.
    pub fn transfer(
        id: String,
        at: Timestamp,
        about: String,
        (to, from): (Account, Account),
        amount: Money,
    ) -> Result<Self, Refusal> {
        let legs = vec![Leg { account: to, amount }, Leg { account: from, amount: amount.negated()? }];
        Self::new(id, at, about, legs)
    }

    /// What an invoice is for: credits that are bought are sold with what they pay for, later.
    const fn sold(prepaid: bool) -> Account {
        if prepaid { Account::CreditsOrdered } else { Account::Revenue }
    }

    /// An invoice that is final.
    pub fn invoice(it: &InvoiceGenerated) -> Result<Self, Refusal> {
        let legs = vec![
            Leg { account: Account::Receivable, amount: it.total.minus(it.credits)? },
            Leg { account: Account::CustomerCredits, amount: it.credits },
            Leg { account: Self::sold(it.prepaid), amount: it.net.negated()? },
            Leg { account: Account::TaxPayable, amount: it.tax.negated()? },
        ];
        Self::new(format!("invoice/{}", it.invoice), it.date, format!("invoice {}", it.number), legs)
    }

    /// The reversal of an invoice that was declared void.
    pub fn void(it: &InvoiceVoided, at: Timestamp) -> Result<Self, Refusal> {
        let legs = vec![
            Leg { account: Account::Receivable, amount: it.open.negated()? },
            Leg { account: Account::CustomerCredits, amount: it.credits.negated()? },
            Leg { account: Self::sold(it.prepaid), amount: it.net },
            Leg { account: Account::TaxPayable, amount: it.tax },
        ];
        Self::new(format!("void/{}", it.invoice), at, format!("void: {}", it.reason), legs)
    }

    /// What is told once it stands.
    pub fn posted(&self) -> TransactionPosted {
        TransactionPosted { transaction: self.id.clone() }
    }

    /// When.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// What it is about.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Its legs.
    pub fn legs(&self) -> &[Leg] {
        &self.legs
    }
}

impl Aggregate for Transaction {
    type Id = String;
    const KIND: &'static str = "billing.transaction";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::by_time("all", "", self.at)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoice::tests::{euro, id};
    use proptest::prelude::*;

    #[test]
    fn what_does_not_cancel_is_no_transaction() {
        let leg = |account, minor| Leg { account, amount: euro(minor) };
        let make = |legs| Transaction::new("x".to_owned(), Timestamp::UNIX_EPOCH, "x".to_owned(), legs);
        assert_eq!(make(vec![leg(Account::Cash, 5)]), Err(Refusal::NotBalanced));
        let good = make(vec![leg(Account::Cash, 5), leg(Account::Receivable, -5)]).unwrap();
        let mut stored = serde_json::to_value(&good).unwrap();
        assert_eq!(serde_json::from_value::<Transaction>(stored.clone()).unwrap(), good);
        stored["legs"][0]["amount"]["amount"] = "0.06".into();
        assert!(serde_json::from_value::<Transaction>(stored).is_err(), "nor is what is stored");
        let yen = Leg { account: Account::Receivable, amount: Money::new(-5, "JPY".parse().unwrap()) };
        assert_eq!(make(vec![leg(Account::Cash, 5), yen]), Err(Refusal::NotBalanced));
    }

    proptest! {
        #[test]
        fn an_invoice_and_its_reversal_leave_nothing(net in 0_i64..1_000_000, tax in 0_i64..200_000, part in 0_u64..=100, prepaid: bool) {
            let (net, tax, at) = (euro(net), euro(tax), Timestamp::UNIX_EPOCH);
            let total = net.plus(tax).unwrap();
            let credits = total.share(part, 100).unwrap();
            let open = total.minus(credits).unwrap();
            let number = "INV-000001".to_owned();
            let made = InvoiceGenerated { invoice: id(1), number, date: at, net, tax, total, credits, due: at, prepaid };
            let void = InvoiceVoided { invoice: id(1), net, tax, open, credits, reason: "wrong".to_owned(), prepaid };
            let both = [Transaction::invoice(&made).unwrap(), Transaction::void(&void, at).unwrap()];
            let mut sums = Balances::new();
            add(&mut sums, both.iter().flat_map(Transaction::legs)).unwrap();
            prop_assert!(sums.values().all(|sum| sum.is_zero()), "{:?}", sums);
        }
    }
}
