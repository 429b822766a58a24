//! What a tenant changes about its subscription: plan, numbers, pause, cancellation.

use std::collections::BTreeMap;

use contracts::billing::{
    ChangeScheduled, PlanDowngraded, PlanUpgraded, QuantitiesChanged, SubscriptionState as State,
};
use kernel::{AnyEvent, Timestamp, text::Key};

use crate::{
    Refusal,
    compose::Stand,
    plan::Charge,
    state::{Act, check},
    subscription::{Change, Subscription},
};

/// The most changes within a period.
const MOST_CHANGES: usize = 50;

impl Subscription {
    /// What holds after a change, and what is told of it.
    pub(crate) fn changed(&self, change: &Change, at: Timestamp) -> Result<(Stand, Vec<AnyEvent>), Refusal> {
        let old = self.stand()?;
        let mut stand = Stand { from: at, ..old.clone() };
        if let Some(offer) = &change.offer {
            offer.terms.check()?;
            if !offer.terms.currencies().contains(&self.currency) {
                return Err(Refusal::Currency(self.currency));
            }
            (stand.plan, stand.terms) = (offer.plan.clone(), offer.terms.clone());
        }
        let has = |key: &Key| {
            stand.terms.items.iter().any(|it| it.key == *key && matches!(it.charge, Charge::Quantity { .. }))
        };
        let mut asked: BTreeMap<Key, u32> =
            old.quantities.iter().filter(|(key, _)| has(key)).map(|(key, many)| (key.clone(), *many)).collect();
        asked.extend(change.quantities.clone());
        stand.quantities = stand.terms.quantities(&asked)?;
        let (before, after) = (old.price(self.currency)?, stand.price(self.currency)?);
        let mut events = Vec::new();
        if stand.plan != old.plan {
            let (subscription, from, to) = (self.id, old.plan.to_string(), stand.plan.to_string());
            events.push(if after.minor() >= before.minor() {
                PlanUpgraded { subscription, from, to }.into()
            } else {
                PlanDowngraded { subscription, from, to }.into()
            });
        }
        if stand.quantities != old.quantities {
            let quantities = stand.quantities.iter().map(|(key, many)| (key.to_string(), *many)).collect();
            events.push(QuantitiesChanged { subscription: self.id, quantities }.into());
        }
        Ok((stand, events))
    }

    /// Changes it now: on trial without more, else with what is left of the period given back and charged anew.
    pub fn change(&mut self, change: &Change, now: Timestamp) -> Result<Vec<AnyEvent>, Refusal> {
        if !matches!(self.state, State::Trial | State::Active | State::PastDue) {
            return Err(Refusal::State(self.state));
        }
        let (mut stand, events) = self.changed(change, now)?;
        if events.is_empty() {
            return Ok(events);
        }
        if self.state == State::Trial {
            stand.from = self.period.start;
            self.stands = vec![stand];
            return Ok(events);
        }
        if stand.terms.cadence != self.stand()?.terms.cadence {
            return Err(Refusal::CadenceNow);
        }
        self.push(stand)?;
        Ok(events)
    }

    fn push(&mut self, mut stand: Stand) -> Result<(), Refusal> {
        if self.stands.len() >= MOST_CHANGES {
            return Err(Refusal::TooManyChanges);
        }
        stand.from = stand.from.clamp(self.stand()?.from, self.period.end);
        self.stands.push(stand);
        Ok(())
    }

    /// Changes it when the period ends, or takes back such a plan.
    pub fn plan_change(&mut self, change: Option<Change>, now: Timestamp) -> Result<Vec<AnyEvent>, Refusal> {
        if !matches!(self.state, State::Trial | State::Active | State::PastDue) {
            return Err(Refusal::State(self.state));
        }
        if let Some(change) = &change {
            self.changed(change, now)?;
        }
        if self.planned == change {
            return Ok(Vec::new());
        }
        self.planned = change;
        let plan = self.planned.as_ref().and_then(|it| it.offer.as_ref()).map(|offer| offer.plan.to_string());
        Ok(vec![ChangeScheduled { subscription: self.id, plan }.into()])
    }

    /// The tenant agrees to pay when the trial ends.
    pub fn agree(&mut self) -> Result<(), Refusal> {
        if self.state != State::Trial {
            return Err(Refusal::State(self.state));
        }
        self.agreed = true;
        Ok(())
    }

    /// Ends it when the period, or the trial, ends.
    pub fn cancel(&mut self) -> Result<Vec<AnyEvent>, Refusal> {
        let moved = self.moves(Act::IsCancelled, State::Cancelled)?;
        self.planned = None;
        Ok(vec![moved])
    }

    /// Takes back that it ends; it goes on, also where it was paused before.
    pub fn keep(&mut self, now: Timestamp) -> Result<Vec<AnyEvent>, Refusal> {
        let to = match (self.period.number, self.overdue.is_empty()) {
            (0, _) => State::Trial,
            (_, true) => State::Active,
            (_, false) => State::PastDue,
        };
        check(self.state, Act::IsKept, to)?;
        if !self.stand()?.charged {
            self.push(Stand { from: now, charged: true, ..self.stand()?.clone() })?;
        }
        Ok(vec![self.moves(Act::IsKept, to)?])
    }

    /// Pauses it: from now on it is neither in force nor charged.
    pub fn pause(&mut self, now: Timestamp) -> Result<Vec<AnyEvent>, Refusal> {
        check(self.state, Act::Pauses, State::Paused)?;
        self.push(Stand { from: now, charged: false, ..self.stand()?.clone() })?;
        Ok(vec![self.moves(Act::Pauses, State::Paused)?])
    }

    /// Resumes it.
    pub fn resume(&mut self, now: Timestamp) -> Result<Vec<AnyEvent>, Refusal> {
        check(self.state, Act::Resumes, State::Active)?;
        self.push(Stand { from: now, charged: true, ..self.stand()?.clone() })?;
        Ok(vec![self.moves(Act::Resumes, State::Active)?])
    }
}
