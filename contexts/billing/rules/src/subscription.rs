//! A tenant's use of a plan: its state, its periods, what held in the present one, and what it is charged.
//!
//! What comes back with each period is charged ahead of it; use, and what changes within the period add or give back,
//! after it, on the same invoice. Every rule takes the instant; none looks at a clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use contracts::billing::{
    ChangeScheduled, CreditLeft, InvoiceId, InvoiceRequested, Line, SubscriptionCreated, SubscriptionId,
    SubscriptionState as State, SubscriptionStateChanged, UsageThresholdReached,
};
use kernel::{Aggregate, AnyEvent, Claim, ScopeKind, Timer, Timestamp, text::Key};
use money::{Currency, Money};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Refusal,
    compose::{self, Counted, PlanRef, Settled, Stand},
    coupon::Discount,
    decimal::Quantity,
    period::{Period, Periods, days_after},
    plan::{AfterTrial, Charge, Terms},
    state::{Act, check},
};

/// How far the clock of whoever reports use may be ahead.
const AHEAD: Duration = Duration::from_mins(5);
/// So long before a period ends, the one before it takes no more reports: what is accepted is charged.
const LAST_CALL: Duration = Duration::from_hours(1);

/// A plan as it is subscribed to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Which version of which plan.
    pub plan: PlanRef,
    /// What it says.
    pub terms: Terms,
}

/// What is to be different.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Another plan, or another version.
    pub offer: Option<Offer>,
    /// How many of the items that are named.
    pub quantities: BTreeMap<Key, u32>,
}

/// What a subscription begins with.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its id.
    pub id: SubscriptionId,
    /// The plan.
    pub offer: Offer,
    /// The currency of all its invoices.
    pub currency: Currency,
    /// The time zone by whose calendar its periods go.
    pub zone: String,
    /// How many of the items that are named.
    pub quantities: BTreeMap<Key, u32>,
    /// A coupon.
    pub discount: Option<Discount>,
    /// The invoice for the first period, where that begins at once.
    pub invoice: InvoiceId,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    pub(crate) id: SubscriptionId,
    pub(crate) currency: Currency,
    zone: String,
    pub(crate) state: State,
    pub(crate) period: Period,
    /// None while on trial.
    periods: Option<Periods>,
    /// What held since the period began; the last holds now.
    pub(crate) stands: Vec<Stand>,
    pub(crate) planned: Option<Change>,
    discounts: Vec<Discount>,
    carried: Money,
    /// The period before, and what its use was charged as.
    before: Option<Period>,
    settled: Vec<Settled>,
    pub(crate) overdue: BTreeSet<InvoiceId>,
    pub(crate) agreed: bool,
    /// Thresholds of the present period that were told.
    told: BTreeSet<(Key, Quantity)>,
}

impl Subscription {
    /// Begins one: on trial, or with its first period.
    pub fn start(it: Start, now: Timestamp) -> Result<(Self, Vec<AnyEvent>), Refusal> {
        it.offer.terms.check()?;
        it.discount.as_ref().map_or(Ok(()), |discount| discount.fits(it.currency))?;
        let quantities = it.offer.terms.quantities(&it.quantities)?;
        let Offer { plan, terms } = it.offer;
        let trial = terms.trial.map(|trial| days_after(now, trial.days, &it.zone)).transpose()?;
        let stand = Stand { from: now, plan, terms, quantities, charged: true };
        stand.price(it.currency)?;
        let mut subscription = Self {
            id: it.id,
            currency: it.currency,
            zone: it.zone,
            state: if trial.is_some() { State::Trial } else { State::Active },
            period: Period { number: 0, start: now, end: trial.unwrap_or(now) },
            periods: None,
            stands: vec![stand.clone()],
            planned: None,
            discounts: it.discount.into_iter().collect(),
            carried: Money::zero(it.currency),
            before: None,
            settled: Vec::new(),
            overdue: BTreeSet::new(),
            agreed: false,
            told: BTreeSet::new(),
        };
        let created = SubscriptionCreated {
            subscription: it.id,
            plan: stand.plan.plan.to_string(),
            version: stand.plan.version,
            state: subscription.state,
        };
        let mut events = vec![created.into()];
        if trial.is_none() {
            events.extend(subscription.begin(now, Vec::new(), it.invoice)?);
        }
        Ok((subscription, events))
    }

    pub(crate) fn stand(&self) -> Result<&Stand, Refusal> {
        self.stands.last().ok_or(Refusal::State(self.state))
    }

    pub(crate) fn moves(&mut self, act: Act, to: State) -> Result<AnyEvent, Refusal> {
        check(self.state, act, to)?;
        let from = std::mem::replace(&mut self.state, to);
        Ok(SubscriptionStateChanged { subscription: self.id, from, to }.into())
    }

    /// Asks for an invoice, unless there is nothing on it.
    fn request(&mut self, lines: Vec<Line>, at: Timestamp, invoice: InvoiceId) -> Result<Vec<AnyEvent>, Refusal> {
        if lines.is_empty() && self.carried.is_zero() {
            return Ok(Vec::new());
        }
        let (lines, carried) = compose::total(lines, &mut self.discounts, self.carried, at)?;
        self.carried = carried;
        let net = Money::sum(self.currency, lines.iter().map(|line| line.amount))?;
        let due_days = self.stand()?.terms.due_days;
        Ok(vec![InvoiceRequested { invoice, subscription: self.id, at, lines, net, due_days }.into()])
    }

    /// The next period begins: what was of the one before is charged with what comes ahead.
    fn begin(&mut self, at: Timestamp, mut lines: Vec<Line>, invoice: InvoiceId) -> Result<Vec<AnyEvent>, Refusal> {
        let (cadence, number) = (self.stand()?.terms.cadence, self.period.number + 1);
        let fresh = || Periods::new(at, cadence, &self.zone, number);
        let periods = self.periods.take().filter(|it| it.cadence() == cadence).unwrap_or_else(fresh);
        let begun = Period { start: at, ..periods.of(number)? };
        self.before = (self.period.start < self.period.end).then_some(self.period);
        (self.period, self.periods) = (begun, Some(periods));
        let stand = Stand { from: at, ..self.stand()?.clone() };
        lines.extend(stand.ahead(&begun, self.currency)?);
        self.stands = vec![stand];
        self.told.clear();
        self.request(lines, at, invoice)
    }

    /// What is charged after a period that ends at an instant.
    fn behind(&self, end: Timestamp, counted: &Counted, late: &Counted) -> Result<(Vec<Line>, Vec<Settled>), Refusal> {
        if self.period.number == 0 {
            return Ok((Vec::new(), Vec::new()));
        }
        let used = Period { end, ..self.period };
        let mut lines = match &self.before {
            Some(before) => compose::late(&self.settled, before, late)?,
            None => Vec::new(),
        };
        lines.extend(compose::changes(&self.stands, &self.period, &self.zone, self.currency)?);
        let (usage, settled) = compose::usage(&self.stands, &used, counted, self.currency)?;
        let least = compose::least(self.stand()?, &used, &usage, self.currency)?;
        lines.extend(usage);
        lines.extend(least);
        Ok((lines, settled))
    }

    /// The trial or the period is over: takes the next step, at the instant at which it was due. Nothing before then.
    pub fn pass(
        &mut self,
        now: Timestamp,
        counted: &Counted,
        late: &Counted,
        invoice: InvoiceId,
    ) -> Result<Vec<AnyEvent>, Refusal> {
        let at = self.period.end;
        if self.state == State::Ended || now < at {
            return Ok(Vec::new());
        }
        if self.state == State::Trial {
            let then = self.stand()?.terms.trial.map_or(AfterTrial::Charged, |trial| trial.then);
            if then == AfterTrial::Ended && !self.agreed {
                return Ok(vec![self.moves(Act::TrialLapses, State::Ended)?]);
            }
            let mut events = vec![self.moves(Act::TrialPasses, State::Active)?];
            events.extend(self.apply_planned(at));
            events.extend(self.begin(at, Vec::new(), invoice)?);
            return Ok(events);
        }
        let (lines, settled) = self.behind(at, counted, late)?;
        if self.state == State::Cancelled {
            let mut events = vec![self.moves(Act::PeriodEnds, State::Ended)?];
            events.extend(self.request(lines, at, invoice)?);
            events.extend(self.leave()?);
            return Ok(events);
        }
        self.settled = settled;
        let mut events = self.apply_planned(at);
        events.extend(self.begin(at, lines, invoice)?);
        Ok(events)
    }

    fn apply_planned(&mut self, at: Timestamp) -> Vec<AnyEvent> {
        let Some(change) = self.planned.take() else { return Vec::new() };
        let Ok((stand, events)) = self.changed(&change, at) else {
            // What was changed since leaves no room for it. The period ends all the same.
            return vec![ChangeScheduled { subscription: self.id, plan: None }.into()];
        };
        // Not a change within the period that ends.
        if let Some(last) = self.stands.last_mut() {
            *last = stand;
        }
        events
    }

    /// Ends it now: what is left of the period is given back, and what was used is charged.
    pub fn end(
        &mut self,
        now: Timestamp,
        counted: &Counted,
        late: &Counted,
        invoice: InvoiceId,
    ) -> Result<Vec<AnyEvent>, Refusal> {
        let mut events = vec![self.moves(Act::EndsNow, State::Ended)?];
        self.planned = None;
        let now = now.clamp(self.stand()?.from, self.period.end);
        if self.period.number > 0 {
            let stopped = Stand { from: now, charged: false, ..self.stand()?.clone() };
            self.stands.push(stopped);
        }
        let (lines, _) = self.behind(now, counted, late)?;
        events.extend(self.request(lines, now, invoice)?);
        events.extend(self.leave()?);
        Ok(events)
    }

    /// There is no next invoice: what would be carried to it is left over.
    fn leave(&mut self) -> Result<Option<AnyEvent>, Refusal> {
        let amount = std::mem::replace(&mut self.carried, Money::zero(self.currency)).negated()?;
        Ok((!amount.is_zero()).then(|| CreditLeft { subscription: self.id, amount }.into()))
    }

    /// An invoice was not paid in time.
    pub fn fall_behind(&mut self, invoice: InvoiceId) -> Result<Vec<AnyEvent>, Refusal> {
        self.overdue.insert(invoice);
        if self.state == State::Active {
            Ok(vec![self.moves(Act::FallsBehind, State::PastDue)?])
        } else {
            Ok(Vec::new())
        }
    }

    /// Nothing is overdue of an invoice any more.
    pub fn catch_up(&mut self, invoice: InvoiceId) -> Result<Vec<AnyEvent>, Refusal> {
        self.overdue.remove(&invoice);
        if self.state == State::PastDue && self.overdue.is_empty() {
            return Ok(vec![self.moves(Act::CatchesUp, State::Active)?]);
        }
        Ok(Vec::new())
    }

    /// The period to which use at an instant counts, for a meter that the plan has.
    pub fn period_of(&self, meter: &Key, at: Timestamp, now: Timestamp) -> Result<Period, Refusal> {
        if self.state == State::Ended {
            return Err(Refusal::State(self.state));
        }
        let known = |stand: &Stand| stand.terms.metered().any(|(_, known, _)| known == meter);
        if !self.stands.iter().any(known) {
            return Err(Refusal::UnknownMeter(meter.clone()));
        }
        if at > now + AHEAD {
            return Err(Refusal::TooEarly);
        }
        if at >= self.period.end {
            return match &self.periods {
                Some(periods) => periods.at(at),
                // What comes right after a trial that is about to be charged.
                None => Periods::new(self.period.end, self.stand()?.terms.cadence, &self.zone, 1).at(at),
            };
        }
        if self.period.contains(at) {
            return Ok(self.period);
        }
        let open = now < self.period.end.checked_sub(LAST_CALL).unwrap_or(self.period.start);
        self.before.filter(|before| before.contains(at) && open).ok_or(Refusal::TooLate)
    }

    /// Whether a meter has thresholds of which nobody was told in this period.
    pub fn awaits(&self, meter: &Key) -> bool {
        let untold = |charge: &Charge| match charge {
            Charge::Usage { meter: of, alerts, .. } if of == meter => {
                alerts.iter().any(|threshold| !self.told.contains(&(meter.clone(), *threshold)))
            }
            _ => false,
        };
        self.stands.last().is_some_and(|stand| stand.terms.items.iter().any(|item| untold(&item.charge)))
    }

    /// Which thresholds a meter has reached and nobody was told of.
    pub fn alert(&mut self, meter: &Key, counted: &Counted) -> Result<Vec<AnyEvent>, Refusal> {
        let Some(tally) = counted.get(meter) else { return Ok(Vec::new()) };
        let mut reached = Vec::new();
        for item in &self.stand()?.terms.items {
            let Charge::Usage { meter: of, aggregation, alerts } = &item.charge else { continue };
            if of == meter {
                let used = tally.value(*aggregation)?;
                let due = alerts.iter().filter(|it| used >= **it && !self.told.contains(&(meter.clone(), **it)));
                reached.extend(due.map(|threshold| (*threshold, used)));
            }
        }
        self.told.extend(reached.iter().map(|(threshold, _)| (meter.clone(), *threshold)));
        let told = |(threshold, used): (Quantity, Quantity)| {
            let (meter, threshold, used) = (meter.to_string(), threshold.to_string(), used.to_string());
            UsageThresholdReached { meter, threshold, used }.into()
        };
        Ok(reached.into_iter().map(told).collect())
    }

    /// The lines that the next invoice would have, were nothing to change until then.
    pub fn upcoming(&self, counted: &Counted, late: &Counted, invoice: InvoiceId) -> Result<Vec<Line>, Refusal> {
        let events = self.clone().pass(self.period.end, counted, late, invoice)?;
        let requested = events.into_iter().find(|event| event.r#type == "billing.InvoiceRequested.v1");
        let requested = requested.and_then(|event| serde_json::from_value::<InvoiceRequested>(event.data).ok());
        Ok(requested.map(|it| it.lines).unwrap_or_default())
    }

    /// What it entitles to, and where that comes from; nothing where it is not in force.
    pub fn entitles(&self) -> (String, BTreeMap<Key, Value>) {
        let Some(stand) = self.stands.last() else { return ("no plan".to_owned(), BTreeMap::new()) };
        let source = format!("{} plan v{}", stand.plan.plan, stand.plan.version);
        // Cancelled while paused, it is not in force either.
        if matches!(self.state, State::Paused | State::Ended) || !stand.charged {
            return (source, BTreeMap::new());
        }
        let mut features = stand.terms.features.clone();
        for item in &stand.terms.items {
            if let Charge::Quantity { feature: Some(feature), .. } = &item.charge {
                let many = stand.quantities.get(&item.key).copied().unwrap_or_default();
                features.insert(feature.clone(), json!(many));
            }
        }
        (source, features)
    }
}

/// What is told of it.
impl Subscription {
    /// What it pays a month, while it is in force and paid for: what comes back with each period, without coupons.
    pub fn recurring(&self) -> Result<Option<Money>, Refusal> {
        if !matches!(self.state, State::Active | State::PastDue | State::Cancelled) || self.period.number == 0 {
            return Ok(None);
        }
        let stand = self.stand()?;
        Ok(Some(stand.terms.cadence.monthly(stand.price(self.currency)?)?))
    }

    /// Its id.
    pub const fn subscription(&self) -> SubscriptionId {
        self.id
    }
    /// Its state.
    pub const fn state(&self) -> State {
        self.state
    }
    /// The present period.
    pub const fn period(&self) -> Period {
        self.period
    }
    /// The period before it, of which late use is taken.
    pub const fn before(&self) -> Option<Period> {
        self.before
    }
    /// What holds now.
    pub fn now(&self) -> Option<&Stand> {
        self.stands.last()
    }
    /// Its currency.
    pub const fn currency(&self) -> Currency {
        self.currency
    }
    /// Its time zone.
    pub fn zone(&self) -> &str {
        &self.zone
    }
    /// What changes when the period ends.
    pub const fn planned(&self) -> Option<&Change> {
        self.planned.as_ref()
    }
    /// Coupons that take something off the next invoice.
    pub fn discounts(&self) -> &[Discount] {
        &self.discounts
    }
    /// What is carried to the next invoice: at most nothing.
    pub const fn carried(&self) -> Money {
        self.carried
    }
}

impl Aggregate for Subscription {
    type Id = SubscriptionId;
    const KIND: &'static str = "billing.subscription";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> SubscriptionId {
        self.id
    }

    /// A tenant has one that has not ended.
    fn claims(&self) -> Vec<Claim> {
        if self.state == State::Ended { Vec::new() } else { vec![Claim::new("subscription", "")] }
    }

    fn terms(&self) -> Vec<kernel::Term> {
        vec![kernel::Term::new("all", "")]
    }

    fn timers(&self) -> Vec<Timer> {
        let due = Timer { name: "period", due: self.period.end };
        if self.state == State::Ended { Vec::new() } else { vec![due] }
    }
}
