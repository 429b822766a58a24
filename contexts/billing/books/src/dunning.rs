//! What follows upon an invoice that could not be collected: a saga of reminders and further attempts, at whose end the
//! tenant is suspended. It ends, wherever it is, once the invoice is settled.

use std::time::Duration;

use billing_rules::Refusal;
use contracts::{
    billing::InvoiceId,
    payments::{DunningBegun, DunningEnded, DunningExhausted, DunningReminded},
};
use kernel::{Aggregate, AnyEvent, ScopeKind, Term, Timer, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most reminders, and the most days until the end.
const MOST_REMINDERS: usize = 10;
const MOST_DAYS: u16 = 180;

/// When is tried again, and when no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Days after the first failure on which whoever pays is reminded and the method is tried again.
    #[schemars(length(max = 10), inner(range(min = 1, max = 180)))]
    pub remind_after_days: Vec<u16>,
    /// Days after the first failure on which the tenant is suspended, after all reminders.
    #[schemars(range(min = 1, max = 180))]
    pub suspend_after_days: u16,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { remind_after_days: vec![3, 7, 12], suspend_after_days: 21 }
    }
}

impl Schedule {
    /// The one of the installation.
    pub const ID: &'static str = "dunning_schedule";

    /// Whether it means something.
    pub fn check(&self) -> Result<(), Refusal> {
        let days: Vec<u16> = self.remind_after_days.iter().copied().chain([self.suspend_after_days]).collect();
        let grows = days.windows(2).all(|pair| matches!(pair, [earlier, later] if earlier < later));
        let fits = days.first().is_some_and(|first| *first > 0) && self.suspend_after_days <= MOST_DAYS;
        if grows && fits && self.remind_after_days.len() <= MOST_REMINDERS {
            return Ok(());
        }
        Err(Refusal::Terms(
            "expected days that grow, up to 10 reminders, and the suspension after them, within 180 days",
        ))
    }
}

impl Aggregate for Schedule {
    type Id = String;
    const KIND: &'static str = "billing.dunning_schedule";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

/// Where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DunningState {
    /// Reminders are to come.
    Running,
    /// All was in vain, and the tenant is suspended.
    Exhausted,
    /// The invoice is settled.
    Over,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dunning {
    invoice: InvoiceId,
    begun: Timestamp,
    schedule: Schedule,
    /// How many reminders there were.
    step: usize,
    state: DunningState,
}

fn after(begun: Timestamp, days: u16) -> Timestamp {
    begun + Duration::from_hours(24 * u64::from(days))
}

impl Dunning {
    /// Begins, by the schedule that holds now.
    pub fn begin(invoice: InvoiceId, schedule: Schedule, now: Timestamp) -> (Self, DunningBegun) {
        let told = DunningBegun { invoice, ends: after(now, schedule.suspend_after_days) };
        (Self { invoice, begun: now, schedule, step: 0, state: DunningState::Running }, told)
    }

    fn due(&self) -> Option<Timestamp> {
        let days = self.schedule.remind_after_days.get(self.step).unwrap_or(&self.schedule.suspend_after_days);
        (self.state == DunningState::Running).then(|| after(self.begun, *days))
    }

    /// The next step, once it is due.
    pub fn pass(&mut self, now: Timestamp) -> Vec<AnyEvent> {
        if self.due().is_none_or(|due| now < due) {
            return Vec::new();
        }
        let invoice = self.invoice;
        if self.step >= self.schedule.remind_after_days.len() {
            self.state = DunningState::Exhausted;
            return vec![DunningExhausted { invoice }.into()];
        }
        self.step += 1;
        vec![DunningReminded { invoice, step: u32::try_from(self.step).unwrap_or(u32::MAX) }.into()]
    }

    /// The invoice is settled.
    pub fn end(&mut self) -> Vec<AnyEvent> {
        match std::mem::replace(&mut self.state, DunningState::Over) {
            DunningState::Over => Vec::new(),
            before => {
                let suspended = before == DunningState::Exhausted;
                vec![DunningEnded { invoice: self.invoice, suspended }.into()]
            }
        }
    }

    /// Where it is.
    pub const fn state(&self) -> DunningState {
        self.state
    }

    /// How many reminders there were.
    pub const fn reminders(&self) -> usize {
        self.step
    }

    /// When the next step is due.
    pub fn next(&self) -> Option<Timestamp> {
        self.due()
    }
}

impl Aggregate for Dunning {
    type Id = InvoiceId;
    const KIND: &'static str = "billing.dunning";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> InvoiceId {
        self.invoice
    }

    fn terms(&self) -> Vec<Term> {
        if self.state == DunningState::Exhausted { vec![Term::new("exhausted", "")] } else { Vec::new() }
    }

    fn timers(&self) -> Vec<Timer> {
        self.due().map(|due| Timer { name: "next", due }).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invoice::tests::id;

    fn types(events: &[AnyEvent]) -> Vec<&str> {
        events.iter().filter_map(|event| event.r#type.split('.').nth(1)).collect()
    }

    #[test]
    fn it_reminds_on_its_days_and_ends_once() {
        let start = Timestamp::UNIX_EPOCH;
        let schedule = Schedule { remind_after_days: vec![1, 3], suspend_after_days: 5 };
        let (mut it, _) = Dunning::begin(id(1), schedule, start);
        assert!(it.pass(after(start, 1) - Duration::from_secs(1)).is_empty());
        assert_eq!((types(&it.pass(after(start, 1))), it.pass(after(start, 1)).len()), (vec!["DunningReminded"], 0));
        assert_eq!(types(&it.pass(after(start, 3))), ["DunningReminded"]);
        let mut paid = it.clone();
        assert_eq!(types(&it.pass(after(start, 5))), ["DunningExhausted"]);
        assert!(it.timers().is_empty() && it.terms().len() == 1);
        let ended = |events: Vec<AnyEvent>| {
            events.first().and_then(|it| it.data.get("suspended").and_then(serde_json::Value::as_bool))
        };
        assert_eq!((ended(it.end()), ended(paid.end()), it.end().len()), (Some(true), Some(false), 0));
        assert!(paid.pass(after(start, 9)).is_empty());
    }

    #[test]
    fn a_schedule_grows() {
        let of =
            |remind: &[u16], suspend_after_days| Schedule { remind_after_days: remind.to_vec(), suspend_after_days };
        assert!(Schedule::default().check().is_ok() && of(&[], 1).check().is_ok());
        for wrong in [of(&[3, 3], 5), of(&[0], 5), of(&[5], 5), of(&[1], 181), of(&[], 0)] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
