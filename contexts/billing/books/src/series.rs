//! The seller's numbers. One aggregate gives them out, so they have no gaps and no doubles; to many invoices in one
//! commit, so it is no bottleneck.
//!
//! Whoever asks for a number first reads the series, then the invoices, and then commits over the version that was read.
//! An invoice that got its number before is either still **landing** here, or was read with it; one that got it since is
//! a conflict. So none gets two, whoever else asks and whatever ended in between.

use std::collections::BTreeMap;

use billing_rules::Refusal;
use contracts::billing::{InvoiceId, InvoicesNumbered, NumberAssigned};
use kernel::{Aggregate, ScopeKind, TenantId, Term, Timestamp};
use serde::{Deserialize, Serialize};

/// The most numbers of one commit.
pub const MOST_AT_ONCE: usize = 500;

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Series {
    id: String,
    prefix: String,
    /// How many numbers were given out.
    given: u64,
    latest: Option<Timestamp>,
    /// Given out, and not known to stand on their invoices yet.
    landing: BTreeMap<InvoiceId, NumberAssigned>,
}

impl Series {
    /// The series of all real time.
    pub const LIVE: &'static str = "live";

    /// What stands before the name of a series of credit notes, which have numbers of their own.
    pub const CREDIT_NOTES: &'static str = "credit_notes/";

    /// A series that has given out nothing.
    pub fn new(id: &str) -> Self {
        let prefix = match (id.strip_prefix(Self::CREDIT_NOTES), id) {
            (Some(Self::LIVE), _) => "CN",
            (Some(_), _) => "TEST-CN",
            (None, Self::LIVE) => "INV",
            (None, _) => "TEST",
        };
        let (id, prefix) = (id.to_owned(), prefix.to_owned());
        Self { id, prefix, given: 0, latest: None, landing: BTreeMap::new() }
    }

    /// Numbers invoices that have none, in this order, with one date: today's, or that of the latest number if it is later.
    pub fn assign(
        &mut self,
        waiting: &[(TenantId, InvoiceId)],
        now: Timestamp,
    ) -> Result<Vec<NumberAssigned>, Refusal> {
        let date = self.latest.map_or(now, |latest| latest.max(now));
        let mut assigned = Vec::new();
        for (tenant, invoice) in waiting.iter().take(MOST_AT_ONCE) {
            if self.landing.contains_key(invoice) {
                continue;
            }
            self.given = self.given.checked_add(1).ok_or(Refusal::Overflow)?;
            let number = format!("{}-{:06}", self.prefix, self.given);
            let it = NumberAssigned { tenant: *tenant, invoice: *invoice, number, date };
            self.landing.insert(*invoice, it.clone());
            assigned.push(it);
        }
        if !assigned.is_empty() {
            self.latest = Some(date);
        }
        Ok(assigned)
    }

    /// What is told of numbers that were given out.
    pub fn told(&self, assigned: Vec<NumberAssigned>) -> InvoicesNumbered {
        InvoicesNumbered { series: self.id.clone(), assigned }
    }

    /// These stand on their invoices.
    pub fn landed(&mut self, invoices: &[InvoiceId]) {
        for invoice in invoices {
            self.landing.remove(invoice);
        }
    }

    /// Whether any of these is not known to stand on its invoice.
    pub fn is_landing(&self, invoices: &[InvoiceId]) -> bool {
        invoices.iter().any(|invoice| self.landing.contains_key(invoice))
    }

    /// How many numbers were given out.
    pub const fn given(&self) -> u64 {
        self.given
    }

    /// How many of them are not known to stand on their invoices yet.
    pub fn landing(&self) -> usize {
        self.landing.len()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.id
    }

    /// The date of the latest number.
    pub const fn latest(&self) -> Option<Timestamp> {
        self.latest
    }
}

impl Aggregate for Series {
    type Id = String;
    const KIND: &'static str = "billing.series";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoice::tests::id;
    use proptest::prelude::*;

    proptest! {
        /// Clocks go back, askers ask twice, numbers land late: no gap, no double, no date before another.
        #[test]
        fn numbers_have_no_gaps_and_dates_never_go_back(
            asks in prop::collection::vec((prop::collection::vec(0_u128..40, 1..8), 0_i64..1_000, any::<bool>()), 1..60),
        ) {
            let (mut series, mut all, mut done) = (Series::new(Series::LIVE), Vec::new(), Vec::<InvoiceId>::new());
            for (invoices, second, lands) in asks {
                let waiting: Vec<_> =
                    invoices.iter().map(|it| (id(1), id(*it))).filter(|(_, it)| !done.contains(it)).collect();
                let given = series.assign(&waiting, Timestamp::from_second(second).unwrap()).unwrap();
                all.extend(given);
                if lands {
                    done = all.iter().map(|it: &NumberAssigned| it.invoice).collect();
                    series.landed(&done);
                }
            }
            let numbers: Vec<String> = all.iter().map(|it| it.number.clone()).collect();
            let expected: Vec<String> = (1..=all.len()).map(|it| format!("INV-{it:06}")).collect();
            prop_assert_eq!(numbers, expected);
            prop_assert!(all.windows(2).all(|pair| pair[0].date <= pair[1].date));
            let mut invoices: Vec<_> = all.iter().map(|it| it.invoice).collect();
            invoices.sort_unstable();
            invoices.dedup();
            prop_assert_eq!(invoices.len(), all.len(), "one number an invoice");
        }
    }
}
