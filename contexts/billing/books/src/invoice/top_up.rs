//! Invoices by which credits are bought.

use billing_rules::Refusal;
use contracts::billing::{InvoiceDrafted, InvoiceId, InvoiceRequested, InvoiceVoided, Line, LineKind, SubscriptionId};
use kernel::{AnyEvent, Timestamp};
use money::Money;

use super::{Invoice, InvoiceState};
use crate::{
    seller::Seller,
    tax::{Buyer, Tax, Treatment},
};

/// How long credits that are bought can be paid.
const TOP_UP_DAYS: u16 = 14;

impl Invoice {
    /// Makes a draft by which credits are bought. Tax is upon what they pay for (multi-purpose vouchers, Directive
    /// 2006/112/EC, article 30b), and no credits pay for it.
    pub fn top_up(
        (id, subscription): (InvoiceId, SubscriptionId),
        amount: Money,
        parties: (Option<Seller>, Option<Buyer>),
        at: Timestamp,
    ) -> Result<(Self, InvoiceDrafted), Refusal> {
        if amount.minor() <= 0 {
            return Err(Refusal::Credits);
        }
        let line = Line {
            kind: LineKind::Credits,
            item: None,
            text: "Prepaid credits".to_owned(),
            from: at,
            until: at,
            quantity: None,
            amount,
            explanation: Vec::new(),
            evidence: None,
        };
        let asked =
            InvoiceRequested { invoice: id, subscription, at, lines: vec![line], net: amount, due_days: TOP_UP_DAYS };
        let tax =
            Tax { treatment: Treatment::OutOfScope, rate: 0, base: amount, amount: Money::zero(amount.currency()) };
        let (draft, told) = Self::draft(asked, parties, tax)?;
        Ok((Self { prepaid: true, credits: Some(tax.amount), ..draft }, told))
    }

    /// Credits that were not paid in time are not bought; those that were paid stay.
    pub(super) fn lapse(&mut self) -> Result<Vec<AnyEvent>, Refusal> {
        let (open, nothing) = (self.open()?, Money::zero(self.total.currency()));
        let reason = "not paid in time".to_owned();
        let voided = InvoiceVoided {
            invoice: self.id,
            net: open,
            tax: nothing,
            open,
            credits: nothing,
            reason,
            prepaid: self.prepaid,
        };
        self.lowered.insert(self.id, open);
        self.state = if self.payments.is_empty() { InvoiceState::Void } else { InvoiceState::Paid };
        Ok(vec![voided.into(), self.settled()])
    }
}
