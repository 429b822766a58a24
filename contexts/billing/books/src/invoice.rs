//! An invoice: a draft, then final with its number, then paid, void or given up.

mod top_up;

use std::{collections::BTreeMap, time::Duration};

use billing_rules::Refusal;
use contracts::billing::{
    CreditNoteIssued, CreditNoteRequested, InvoiceCredited, InvoiceDrafted, InvoiceGenerated, InvoiceId,
    InvoiceOverdue, InvoiceRequested, InvoiceSettled, InvoiceVoided, InvoiceWrittenOff, Line, LineKind,
    PaymentProcessed, SubscriptionId,
};
use kernel::{Aggregate, AnyEvent, ScopeKind, Term, Timer, Timestamp, text::Note};
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    seller::Seller,
    tax::{Buyer, Tax},
};

/// The most payments of one invoice.
const MOST_PAYMENTS: usize = 100;

/// Where an invoice is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceState {
    /// It has no number yet.
    Draft,
    /// Final, and to be paid.
    Open,
    /// Final, and nothing is to be paid any more.
    Paid,
    /// Declared void; it keeps its number.
    Void,
    /// Given up: it is not expected to be paid.
    Uncollectible,
}

impl InvoiceState {
    const fn words(self) -> &'static str {
        match self {
            Self::Draft => "a draft",
            Self::Open => "open",
            Self::Paid => "paid",
            Self::Void => "void",
            Self::Uncollectible => "uncollectible",
        }
    }
}

/// The invoice that a credit note takes something back of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Original {
    /// Which.
    pub invoice: InvoiceId,
    /// Its number.
    pub number: String,
    /// Its date.
    #[schemars(with = "String")]
    pub date: Timestamp,
}

/// See the module. A credit note is one whose amounts are less than nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    id: InvoiceId,
    /// What it takes back, where it is a credit note.
    #[serde(default)]
    of: Option<Original>,
    /// Credit note to what it takes back, net and tax, less than nothing.
    #[serde(default)]
    credited: BTreeMap<InvoiceId, (Money, Money)>,
    /// Credit note to what of it lowers what is to be paid, more than nothing. The invoice itself stands for what lapsed.
    #[serde(default)]
    lowered: BTreeMap<InvoiceId, Money>,
    /// Whether credits are bought by it.
    #[serde(default)]
    prepaid: bool,
    subscription: SubscriptionId,
    state: InvoiceState,
    drafted: Timestamp,
    /// Who sold, as it was then.
    #[serde(default)]
    seller: Option<Seller>,
    buyer: Option<Buyer>,
    lines: Vec<Line>,
    net: Money,
    tax: Tax,
    total: Money,
    /// What credits pay; none until that was decided.
    credits: Option<Money>,
    number: Option<String>,
    date: Option<Timestamp>,
    due_days: u16,
    payments: BTreeMap<String, Money>,
    overdue: bool,
}

impl Invoice {
    /// Makes a draft of what was asked for.
    pub fn draft(
        it: InvoiceRequested,
        (seller, buyer): (Option<Seller>, Option<Buyer>),
        tax: Tax,
    ) -> Result<(Self, InvoiceDrafted), Refusal> {
        let total = it.net.plus(tax.amount)?;
        let told = InvoiceDrafted { invoice: it.invoice, total };
        let invoice = Self {
            id: it.invoice,
            of: None,
            credited: BTreeMap::new(),
            lowered: BTreeMap::new(),
            prepaid: false,
            subscription: it.subscription,
            state: InvoiceState::Draft,
            drafted: it.at,
            seller,
            buyer,
            lines: it.lines,
            net: it.net,
            tax,
            total,
            credits: None,
            number: None,
            date: None,
            due_days: it.due_days,
            payments: BTreeMap::new(),
            overdue: false,
        };
        Ok((invoice, told))
    }

    /// A part of it is to be taken back: so much of its lines, and the tax upon that. All that is left where nothing is
    /// said, so that the parts sum to the whole. Once under an id.
    pub fn take_back(
        &mut self,
        id: InvoiceId,
        net: Option<Money>,
        reason: &Note,
        at: Timestamp,
    ) -> Result<Vec<AnyEvent>, Refusal> {
        if self.credited.contains_key(&id) {
            return Ok(Vec::new());
        }
        let final_one = matches!(self.state, InvoiceState::Open | InvoiceState::Paid);
        if !final_one || self.of.is_some() || self.prepaid {
            return self.refused();
        }
        let currency = self.total.currency();
        let left = self.net.plus(Money::sum(currency, self.credited.values().map(|(net, _)| *net))?)?;
        let tax_left = self.tax.amount.plus(Money::sum(currency, self.credited.values().map(|(_, tax)| *tax))?)?;
        let net = net.unwrap_or(left);
        if net.minor() <= 0 || left.minus(net)?.is_negative() || self.credited.len() >= MOST_PAYMENTS {
            return Err(Refusal::CreditNote);
        }
        let tax = if net == left { tax_left } else { net.share(u64::from(self.tax.rate), 10_000)?.least(tax_left)? };
        let (net, tax) = (net.negated()?, tax.negated()?);
        self.credited.insert(id, (net, tax));
        let reason = reason.to_string();
        Ok(vec![CreditNoteRequested { credit_note: id, invoice: self.id, net, tax, reason, at }.into()])
    }

    /// Makes the draft of a credit note of this invoice.
    pub fn credit_note(&self, it: &CreditNoteRequested) -> Result<(Self, InvoiceDrafted), Refusal> {
        let (Some(number), Some(date)) = (self.number.clone(), self.date) else { return self.refused() };
        let total = it.net.plus(it.tax)?;
        let line = Line {
            kind: LineKind::Discount,
            item: None,
            text: it.reason.clone(),
            from: date,
            until: it.at.max(date),
            quantity: None,
            amount: it.net,
            explanation: Vec::new(),
            evidence: None,
        };
        let note = Self {
            id: it.credit_note,
            of: Some(Original { invoice: self.id, number, date }),
            credited: BTreeMap::new(),
            lowered: BTreeMap::new(),
            prepaid: false,
            subscription: self.subscription,
            state: InvoiceState::Draft,
            drafted: it.at,
            seller: self.seller.clone(),
            buyer: self.buyer.clone(),
            lines: vec![line],
            net: it.net,
            tax: Tax { base: it.net, amount: it.tax, ..self.tax },
            total,
            // Nothing is to be paid of it.
            credits: Some(Money::zero(total.currency())),
            number: None,
            date: None,
            due_days: 0,
            payments: BTreeMap::new(),
            overdue: false,
        };
        Ok((note, InvoiceDrafted { invoice: it.credit_note, total }))
    }

    /// A credit note of it is final: less is to be paid. What is beyond that is told, more than nothing, as often as it is
    /// asked.
    pub fn lower(&mut self, credit_note: InvoiceId, total: Money) -> Result<(Money, Vec<AnyEvent>), Refusal> {
        let amount = total.negated()?;
        if let Some(known) = self.lowered.get(&credit_note) {
            return Ok((amount.minus(*known)?, Vec::new()));
        }
        let part =
            if self.state == InvoiceState::Open { self.open()?.least(amount)? } else { Money::zero(amount.currency()) };
        self.lowered.insert(credit_note, part);
        let open = self.open()?;
        let mut events = vec![InvoiceCredited { invoice: self.id, credit_note, amount: part, open }.into()];
        if open.is_zero() && self.state == InvoiceState::Open {
            self.state = InvoiceState::Paid;
            events.push(self.settled());
        }
        Ok((amount.minus(part)?, events))
    }

    /// What is still to be paid.
    pub fn open(&self) -> Result<Money, Refusal> {
        let paid = self.payments.values().copied().chain(self.credits).chain(self.lowered.values().copied());
        Ok(self.total.minus(Money::sum(self.total.currency(), paid)?)?)
    }

    fn refused<T>(&self) -> Result<T, Refusal> {
        Err(Refusal::Invoice(self.state.words()))
    }

    fn settled(&self) -> AnyEvent {
        InvoiceSettled { invoice: self.id, subscription: self.subscription }.into()
    }

    /// Credits pay so much of it: decided once, while it is a draft.
    pub fn credit(&mut self, amount: Money) -> Result<(), Refusal> {
        if self.state == InvoiceState::Draft && self.credits.is_none() {
            if amount.is_negative() || self.total.minus(amount)?.is_negative() {
                return Err(Refusal::Payment);
            }
            self.credits = Some(amount);
        }
        Ok(())
    }

    /// Its number makes it final. The same number again changes nothing.
    pub fn number(&mut self, number: &str, date: Timestamp) -> Result<Vec<AnyEvent>, Refusal> {
        if self.number.as_deref() == Some(number) {
            return Ok(Vec::new());
        }
        if self.state != InvoiceState::Draft {
            return self.refused();
        }
        (self.number, self.date, self.state) = (Some(number.to_owned()), Some(date), InvoiceState::Open);
        let zero = Money::zero(self.total.currency());
        let generated = InvoiceGenerated {
            invoice: self.id,
            number: number.to_owned(),
            date,
            net: self.net,
            tax: self.tax.amount,
            total: self.total,
            credits: self.credits.unwrap_or(zero),
            due: self.due().unwrap_or(date),
            prepaid: self.prepaid,
        };
        let mut events = vec![generated.into()];
        if let Some(of) = &self.of {
            let (credit_note, invoice, number, total) = (self.id, of.invoice, number.to_owned(), self.total);
            self.state = InvoiceState::Paid;
            events.push(self.settled());
            events.push(CreditNoteIssued { credit_note, number, invoice, total }.into());
            return Ok(events);
        }
        if self.open()?.is_zero() {
            self.state = InvoiceState::Paid;
            events.push(self.settled());
        }
        Ok(events)
    }

    /// When it is to be paid.
    pub fn due(&self) -> Option<Timestamp> {
        self.date.map(|date| date + Duration::from_hours(24 * u64::from(self.due_days)))
    }

    /// A payment came in. The same one again changes nothing.
    pub fn pay(&mut self, payment: &str, amount: Money) -> Result<Vec<AnyEvent>, Refusal> {
        if self.payments.get(payment) == Some(&amount) {
            return Ok(Vec::new());
        }
        if self.state != InvoiceState::Open || self.payments.len() >= MOST_PAYMENTS {
            return self.refused();
        }
        let open = self.open()?.minus(amount)?;
        if self.payments.contains_key(payment) || amount.minor() <= 0 || open.is_negative() {
            return Err(Refusal::Payment);
        }
        self.payments.insert(payment.to_owned(), amount);
        let mut events = vec![PaymentProcessed { invoice: self.id, payment: payment.to_owned(), amount, open }.into()];
        if open.is_zero() {
            self.state = InvoiceState::Paid;
            events.push(self.settled());
        }
        Ok(events)
    }

    /// Money came in, which is a payment as far as something is open. The rest is told: nobody is to lose it. The same
    /// payment again tells the same.
    pub fn receive(&mut self, payment: &str, amount: Money) -> Result<(Money, Vec<AnyEvent>), Refusal> {
        let nothing = Money::zero(self.total.currency());
        if let Some(known) = self.payments.get(payment) {
            return Ok((amount.minus(*known)?, Vec::new()));
        }
        let takes = self.state == InvoiceState::Open && self.payments.len() < MOST_PAYMENTS;
        let part = if takes { self.open()?.least(amount)? } else { nothing };
        let events = if part.minor() > 0 { self.pay(payment, part)? } else { Vec::new() };
        Ok((amount.minus(part)?, events))
    }

    /// Declares it void, as long as nobody paid for it but by credits, which come back.
    pub fn void(&mut self, reason: &Note) -> Result<Vec<AnyEvent>, Refusal> {
        let credited_in_full = self.state == InvoiceState::Paid && self.payments.is_empty();
        if self.of.is_some() || !self.credited.is_empty() {
            return self.refused();
        }
        if !(self.state == InvoiceState::Open && self.payments.is_empty() || credited_in_full) {
            return self.refused();
        }
        let voided = InvoiceVoided {
            invoice: self.id,
            net: self.net,
            tax: self.tax.amount,
            open: self.open()?,
            credits: self.credits.unwrap_or(Money::zero(self.total.currency())),
            reason: reason.to_string(),
            prepaid: self.prepaid,
        };
        self.state = InvoiceState::Void;
        Ok(vec![voided.into(), self.settled()])
    }

    /// Gives up what is still to be paid.
    pub fn write_off(&mut self) -> Result<Vec<AnyEvent>, Refusal> {
        // A credit note that was asked for is waited for: what it takes back is not lost, it was never owed.
        if self.state != InvoiceState::Open || self.credited.len() > self.lowered.len() || self.prepaid {
            return self.refused();
        }
        self.state = InvoiceState::Uncollectible;
        Ok(vec![InvoiceWrittenOff { invoice: self.id, amount: self.open()? }.into(), self.settled()])
    }

    /// The day has passed on which it was to be paid.
    pub fn pass(&mut self, now: Timestamp) -> Result<Vec<AnyEvent>, Refusal> {
        let late = self.due().is_some_and(|due| due <= now);
        if self.state != InvoiceState::Open || self.overdue || !late {
            return Ok(Vec::new());
        }
        if self.prepaid {
            return self.lapse();
        }
        self.overdue = true;
        Ok(vec![InvoiceOverdue { invoice: self.id, subscription: self.subscription }.into()])
    }
}

/// What is told of it.
impl Invoice {
    /// What it takes back, where it is a credit note.
    pub const fn original(&self) -> Option<&Original> {
        self.of.as_ref()
    }
    /// Whether credits are bought by it.
    pub const fn prepaid(&self) -> bool {
        self.prepaid
    }
    /// What was taken back of it, tax included, at most nothing.
    pub fn credited(&self) -> Result<Money, Refusal> {
        let parts = self.credited.values().flat_map(|(net, tax)| [*net, *tax]);
        Ok(Money::sum(self.total.currency(), parts)?)
    }
    /// Its state.
    pub const fn state(&self) -> InvoiceState {
        self.state
    }
    /// Its number, once it is final.
    pub fn numbered(&self) -> Option<&str> {
        self.number.as_deref()
    }
    /// Its date, once it is final.
    pub const fn date(&self) -> Option<Timestamp> {
        self.date
    }
    /// Who sold.
    pub const fn seller(&self) -> Option<&Seller> {
        self.seller.as_ref()
    }
    /// To whom it goes.
    pub const fn buyer(&self) -> Option<&Buyer> {
        self.buyer.as_ref()
    }
    /// Its lines.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }
    /// The sum of its lines.
    pub const fn net(&self) -> Money {
        self.net
    }
    /// The tax upon it.
    pub const fn tax(&self) -> Tax {
        self.tax
    }
    /// Both together.
    pub const fn total(&self) -> Money {
        self.total
    }
    /// What credits pay of it.
    pub const fn credits(&self) -> Option<Money> {
        self.credits
    }
    /// For what.
    pub const fn subscription(&self) -> SubscriptionId {
        self.subscription
    }
    /// Whether it was not paid in time.
    pub const fn overdue(&self) -> bool {
        self.overdue
    }
}

impl Aggregate for Invoice {
    type Id = InvoiceId;
    const KIND: &'static str = "billing.invoice";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> InvoiceId {
        self.id
    }

    fn terms(&self) -> Vec<Term> {
        let open = (self.state == InvoiceState::Open).then(|| Term::by_time("open", "", self.drafted));
        [Term::by_time("all", "", self.drafted)].into_iter().chain(open).collect()
    }

    fn timers(&self) -> Vec<Timer> {
        let waits = self.state == InvoiceState::Open && !self.overdue;
        self.due().filter(|_| waits).map(|due| Timer { name: "due", due }).into_iter().collect()
    }
}

#[cfg(test)]
#[path = "invoice_tests.rs"]
pub(crate) mod tests;
