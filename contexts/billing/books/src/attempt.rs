//! An attempt to be paid for an invoice by a gateway. It is open until it is known what became of it, and an invoice has
//! one at most until then, and until what came in stands on it: so nobody is charged twice, whatever a gateway does not
//! answer.
//!
//! Its steps are those of the port: a payment is **prepared**, and its name written down; only then it is **confirmed**, and
//! from then on **asked for** until the gateway tells. As long as nothing was confirmed, no money can have moved.

use std::time::Duration;

use billing_gateways::{Dispute, Payment, Presence, Standing};
use billing_rules::Refusal;
use contracts::{
    billing::InvoiceId,
    payments::{
        AttemptId, DisputeClosed, DisputeOpened, MethodId, PaymentActionRequired, PaymentAttempted, PaymentDeclined,
        PaymentRefunded, PaymentSucceeded, RefundFailed, RefundId, RefundRequested,
    },
};
use kernel::{Aggregate, AnyEvent, Claim, ScopeKind, Term, Timer, Timestamp};
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long until a gateway is asked again, the how many-th time; the last is repeated.
const PAUSES: [Duration; 8] = [
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(6),
];
/// How long until the gateway is asked what became of a payment that was just asked for; of one that waits for whoever
/// pays; and until there may be a gateway again.
const SOON: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_mins(1);
const MUCH_LATER: Duration = Duration::from_hours(2);
/// How long whoever pays has to confirm a payment.
const ACTION: Duration = Duration::from_hours(23);
/// How often a gateway that cannot be reached is asked to prepare a payment.
const PREPARED: u32 = 5;
/// The most refunds, and the most disputes, of an attempt.
const MOST: usize = 50;

/// Where an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// The gateway is to make a payment; no money can have moved.
    Preparing,
    /// The gateway is asked for the money, and has not told yet what became of it.
    Confirming,
    /// Whoever pays has to confirm it first.
    ActionRequired,
    /// The money came in.
    Succeeded,
    /// No money moved.
    Declined,
}

impl AttemptState {
    /// Whether it is not known yet what becomes of it.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Preparing | Self::Confirming | Self::ActionRequired)
    }
}

/// What pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    /// At which gateway.
    pub gateway: String,
    /// The gateway's name of the tenant.
    pub customer: String,
    /// Which of the tenant's methods.
    pub method: MethodId,
    /// The gateway's name of it.
    pub token: String,
    /// What it is of.
    pub kind: String,
}

/// Money that goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// How much.
    pub amount: Money,
    /// Whether it went, or was refused for good; nothing while that is not known.
    pub done: Option<bool>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    id: AttemptId,
    invoice: InvoiceId,
    amount: Money,
    by: By,
    about: String,
    begun: Timestamp,
    /// Where whoever pays comes back to, if they are there.
    back: Option<String>,
    state: AttemptState,
    /// What the gateway calls the payment.
    reference: Option<String>,
    /// What it calls others that were made for the same attempt and paid as well.
    others: Vec<String>,
    /// Where whoever pays confirms it.
    action: Option<String>,
    /// Why it was declined.
    code: Option<String>,
    /// Whether the method can never pay.
    dead: bool,
    /// Whether what came in stands on the invoice.
    booked: bool,
    /// How often the gateway was asked in this state, and when it is asked next.
    asked: u32,
    next: Option<Timestamp>,
    refunds: Vec<Refund>,
    disputes: Vec<(String, Money, Option<bool>)>,
}

impl Attempt {
    /// Begins one.
    pub fn begin(
        (id, invoice): (AttemptId, InvoiceId),
        amount: Money,
        by: By,
        about: String,
        back: Option<String>,
        now: Timestamp,
    ) -> (Self, PaymentAttempted) {
        let told = PaymentAttempted { attempt: id, invoice, amount, gateway: by.gateway.clone() };
        let it = Self {
            id,
            invoice,
            amount,
            by,
            about,
            begun: now,
            back,
            state: AttemptState::Preparing,
            reference: None,
            others: Vec::new(),
            action: None,
            code: None,
            dead: false,
            booked: false,
            asked: 0,
            next: Some(now),
            refunds: Vec::new(),
            disputes: Vec::new(),
        };
        (it, told)
    }

    fn pause(&self) -> Duration {
        let place = usize::try_from(self.asked).unwrap_or(usize::MAX).clamp(1, PAUSES.len()) - 1;
        PAUSES.get(place).copied().unwrap_or(MUCH_LATER)
    }

    fn enter(&mut self, state: AttemptState, next: Option<Timestamp>) {
        (self.state, self.next, self.asked) = (state, next, 0);
    }

    /// The gateway made a payment. From here on it may be confirmed.
    pub fn prepared(&mut self, reference: &str, now: Timestamp) {
        if self.state == AttemptState::Preparing {
            self.reference = Some(reference.to_owned());
            self.enter(AttemptState::Confirming, Some(now + SOON));
        }
    }

    /// It is not known, or not decided: the gateway is asked again, later each time. One that cannot even prepare a
    /// payment is given up after some time, since no money can have moved.
    pub fn wait(&mut self, now: Timestamp) -> Vec<AnyEvent> {
        if !self.state.is_open() {
            return Vec::new();
        }
        self.asked += 1;
        if self.state == AttemptState::Preparing && self.asked >= PREPARED {
            return self.decline("gateway_unavailable", true);
        }
        self.next = Some(now + self.pause());
        Vec::new()
    }

    /// There is nobody to ask at the moment.
    pub fn postpone(&mut self, now: Timestamp) {
        self.next = self.next.map(|_| now + MUCH_LATER);
    }

    /// No money moved, and none will by this attempt.
    pub fn decline(&mut self, code: &str, retryable: bool) -> Vec<AnyEvent> {
        if !self.state.is_open() {
            return Vec::new();
        }
        self.enter(AttemptState::Declined, None);
        (self.code, self.dead) = (Some(code.to_owned()), !retryable);
        let declined = PaymentDeclined {
            attempt: self.id,
            invoice: self.invoice,
            amount: self.amount,
            gateway: self.by.gateway.clone(),
            code: code.to_owned(),
            retryable,
        };
        vec![declined.into()]
    }

    /// Whether what the gateway tells changes nothing.
    pub fn knows(&self, it: &Payment) -> bool {
        let own = self.reference.as_ref() == Some(&it.reference);
        match (&it.standing, self.state) {
            (Standing::Succeeded, AttemptState::Succeeded) => own || self.others.contains(&it.reference),
            (Standing::Succeeded, _) => false,
            (Standing::Prepared | Standing::Processing, AttemptState::Confirming) => true,
            (_, state) => !own || !state.is_open(),
        }
    }

    /// What the gateway tells by itself. Of a payment that is not the attempt's own, such as one whose name never reached
    /// us, it matters only whether money came in.
    pub fn noticed(&mut self, it: &Payment, now: Timestamp) -> Vec<AnyEvent> {
        let own = self.reference.as_ref() == Some(&it.reference);
        if !own && it.standing != Standing::Succeeded {
            return Vec::new();
        }
        let (state, asked, next) = (self.state, self.asked, self.next);
        let events = self.told(it, now);
        if self.state == state {
            // It still waits. However often that is told, the gateway is asked when it was to be asked.
            (self.asked, self.next) = (asked, next);
        }
        events
    }

    fn succeeded(&self, it: &Payment) -> AnyEvent {
        let (attempt, invoice, amount) = (self.id, self.invoice, it.amount);
        let (gateway, reference) = (self.by.gateway.clone(), it.reference.clone());
        PaymentSucceeded { attempt, invoice, amount, gateway, reference }.into()
    }

    /// What the gateway answers about the payment. That the money came in is true whatever was thought before.
    pub fn told(&mut self, it: &Payment, now: Timestamp) -> Vec<AnyEvent> {
        if self.state == AttemptState::Succeeded {
            let known = self.reference.as_ref() == Some(&it.reference) || self.others.contains(&it.reference);
            if known || it.standing != Standing::Succeeded || self.others.len() >= MOST {
                return Vec::new();
            }
            // It came in twice: nobody is to lose it.
            self.others.push(it.reference.clone());
            return vec![self.succeeded(it)];
        }
        let moved = it.standing == Standing::Succeeded;
        if !self.state.is_open() && !moved {
            return Vec::new();
        }
        self.reference = Some(it.reference.clone());
        match &it.standing {
            Standing::Succeeded => {
                // What came in is what is booked.
                self.amount = it.amount;
                self.enter(AttemptState::Succeeded, None);
                (self.action, self.code, self.dead) = (None, None, false);
                vec![self.succeeded(it)]
            }
            Standing::Declined { code, retryable } => self.decline(code, *retryable),
            Standing::Action { url } => {
                let first = self.state != AttemptState::ActionRequired;
                self.action.clone_from(url);
                if !first {
                    return self.wait(now);
                }
                self.enter(AttemptState::ActionRequired, Some(now + LATER));
                let (attempt, invoice, gateway) = (self.id, self.invoice, self.by.gateway.clone());
                vec![PaymentActionRequired { attempt, invoice, gateway }.into()]
            }
            Standing::Prepared | Standing::Processing => {
                if self.state == AttemptState::ActionRequired && it.standing == Standing::Processing {
                    self.enter(AttemptState::Confirming, None);
                    self.action = None;
                }
                self.wait(now)
            }
        }
    }

    /// What came in stands on the invoice.
    pub fn book(&mut self) {
        self.booked = self.state == AttemptState::Succeeded;
    }

    /// Whether whoever pays has had the time to confirm it.
    pub fn lapsed(&self, now: Timestamp) -> bool {
        self.state == AttemptState::ActionRequired && self.begun + ACTION <= now
    }

    /// Money is to go back. Once under an id.
    pub fn refund(&mut self, id: RefundId, amount: Money, now: Timestamp) -> Result<Vec<AnyEvent>, Refusal> {
        if self.refunds.iter().any(|it| it.id == id) {
            return Ok(Vec::new());
        }
        let going = self.refunds.iter().filter(|it| it.done != Some(false)).map(|it| it.amount);
        let lost = self.disputes.iter().filter(|(_, _, won)| *won != Some(true)).map(|(_, amount, _)| *amount);
        let left = self.amount.minus(Money::sum(self.amount.currency(), going.chain(lost))?)?;
        let fits = amount.minor() > 0 && !left.minus(amount)?.is_negative();
        if self.state != AttemptState::Succeeded || !fits || self.refunds.len() >= MOST {
            return Err(Refusal::Refund);
        }
        self.refunds.push(Refund { id, amount, done: None });
        (self.asked, self.next) = (0, Some(now));
        Ok(vec![RefundRequested { refund: id, attempt: self.id, amount }.into()])
    }

    /// The refund that the gateway has not settled yet, if there is one.
    pub fn refunding(&self) -> Option<&Refund> {
        self.refunds.iter().find(|it| it.done.is_none())
    }

    /// What became of a refund: it went, or was refused for good with a code.
    pub fn refunded(&mut self, id: RefundId, refused: Option<&str>, now: Timestamp) -> Vec<AnyEvent> {
        let Some(refund) = self.refunds.iter_mut().find(|it| it.id == id && it.done.is_none()) else {
            return Vec::new();
        };
        refund.done = Some(refused.is_none());
        let amount = refund.amount;
        (self.asked, self.next) = (0, self.refunding().map(|_| now));
        let (attempt, invoice) = (self.id, self.invoice);
        match refused {
            None => vec![PaymentRefunded { refund: id, attempt, invoice, amount }.into()],
            Some(code) => vec![RefundFailed { refund: id, attempt, amount, code: code.to_owned() }.into()],
        }
    }

    /// The refund is not settled yet: the gateway is asked again.
    pub fn refund_waits(&mut self, now: Timestamp) {
        self.asked += 1;
        self.next = self.refunding().map(|_| now + self.pause());
    }

    /// Whoever paid disputes it, or that was decided. Each is told once.
    pub fn disputed(&mut self, it: &Dispute) -> Vec<AnyEvent> {
        let (attempt, invoice, dispute, amount) = (self.id, self.invoice, it.id.clone(), it.amount);
        let mut events = Vec::new();
        if !self.disputes.iter().any(|(known, ..)| *known == it.id) {
            if self.disputes.len() >= MOST {
                return events;
            }
            self.disputes.push((it.id.clone(), it.amount, None));
            let reason = it.reason.clone();
            events.push(DisputeOpened { attempt, invoice, dispute: dispute.clone(), amount, reason }.into());
        }
        let known = self.disputes.iter_mut().find(|(known, _, won)| *known == it.id && won.is_none());
        if let (Some(known), Some(won)) = (known, it.won) {
            known.2 = Some(won);
            events.push(DisputeClosed { attempt, invoice, dispute, amount: known.1, won }.into());
        }
        events
    }
}

/// What is told of it.
impl Attempt {
    /// For which invoice.
    pub const fn invoice(&self) -> InvoiceId {
        self.invoice
    }
    /// How much.
    pub const fn amount(&self) -> Money {
        self.amount
    }
    /// What pays.
    pub const fn by(&self) -> &By {
        &self.by
    }
    /// What it is for.
    pub fn about(&self) -> &str {
        &self.about
    }
    /// Whether somebody is there to confirm it.
    pub fn presence(&self) -> Presence {
        self.back.clone().map_or(Presence::Away, |back| Presence::Here { back })
    }
    /// Where it is.
    pub const fn state(&self) -> AttemptState {
        self.state
    }
    /// What the gateway calls the payment.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }
    /// Where whoever pays confirms it.
    pub fn action(&self) -> Option<&str> {
        self.action.as_deref()
    }
    /// Why it was declined.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
    /// When it began.
    pub const fn begun(&self) -> Timestamp {
        self.begun
    }
    /// Whether its method can never pay.
    pub const fn is_dead(&self) -> bool {
        self.dead
    }
    /// What goes back.
    pub fn refunds(&self) -> &[Refund] {
        &self.refunds
    }
}

impl Aggregate for Attempt {
    type Id = AttemptId;
    const KIND: &'static str = "billing.attempt";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> AttemptId {
        self.id
    }

    /// One for an invoice, until it is over and the invoice knows: before that, it would still seem to be open.
    fn claims(&self) -> Vec<Claim> {
        let holds = self.state.is_open() || self.state == AttemptState::Succeeded && !self.booked;
        if holds { vec![Claim::new("invoice", self.invoice.to_string())] } else { Vec::new() }
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::by_time("all", "", self.begun), Term::by_time("invoice", self.invoice.to_string(), self.begun)]
    }

    fn timers(&self) -> Vec<Timer> {
        self.next.map(|due| Timer { name: "next", due }).into_iter().collect()
    }
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
mod tests;
