//! Plans: what is sold, in versions. Who subscribed to a version keeps it until they are moved.

use std::collections::{BTreeMap, BTreeSet};

use contracts::billing::PlanPublished;
use kernel::{
    Aggregate, ScopeKind, Term,
    text::{DisplayName, Key},
};
use money::{Currency, Money};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Refusal, decimal::Quantity, meter::Aggregation, period::Cadence, price::Pricing, proration::Proration,
    slot::LARGEST_PERIOD,
};

/// The most items of a plan, its most versions, and the most features that it gives.
const MOST: usize = 50;

/// What an item is charged for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "for", rename_all = "snake_case", deny_unknown_fields)]
pub enum Charge {
    /// For the plan itself, ahead of each period.
    Flat {},
    /// For how many one has, such as seats, ahead of each period.
    Quantity {
        /// At least so many.
        #[serde(default)]
        least: u32,
        /// At most so many.
        #[serde(default = "million")]
        #[schemars(range(max = 1_000_000))]
        most: u32,
        /// The feature that is worth this number to the tenant, such as `seats`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        feature: Option<Key>,
    },
    /// For what was used, after each period.
    Usage {
        /// Which meter.
        meter: Key,
        /// What is made of its reports.
        aggregation: Aggregation,
        /// It is told when so much is used in a period.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 10))]
        alerts: Vec<Quantity>,
    },
}

const fn million() -> u32 {
    1_000_000
}

/// One thing that a plan charges for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Names it within the plan.
    pub key: Key,
    /// What stands on invoices.
    pub name: DisplayName,
    /// What it is charged for.
    pub charge: Charge,
    /// How many of it cost nothing.
    #[serde(default)]
    pub included: Quantity,
    /// What it costs, in each currency.
    pub prices: BTreeMap<Currency, Pricing>,
}

impl Item {
    /// Refuses what means nothing, or has not a price in each of the plan's currencies.
    fn check(&self, currencies: &BTreeSet<Currency>) -> Result<(), Refusal> {
        if self.prices.keys().copied().collect::<BTreeSet<_>>() != *currencies || self.included.is_negative() {
            return Err(Refusal::Terms("all items have prices in the same currencies, and include nothing negative"));
        }
        self.prices.values().try_for_each(Pricing::check)?;
        if matches!(self.charge, Charge::Usage { .. }) {
            // What is accepted of use must never be more than can be charged.
            let most = Quantity::whole(LARGEST_PERIOD)?;
            let fits = |(currency, pricing): (&Currency, &Pricing)| pricing.money(most, *currency).is_ok();
            if !self.prices.iter().all(fits) {
                return Err(Refusal::Terms("the use of a year can be charged at these prices: choose a larger unit"));
            }
        }
        match &self.charge {
            Charge::Quantity { least, most, .. } if least > most || *most > million() => {
                return Err(Refusal::Terms("an item has at least `least`, at most `most`, and never over a million"));
            }
            Charge::Usage { alerts, .. } if alerts.len() > 10 || alerts.iter().any(|it| *it <= Quantity::ZERO) => {
                return Err(Refusal::Terms("an item has at most 10 alerts, each above nothing"));
            }
            _ => {}
        }
        Ok(())
    }

    /// What so many of it cost beyond what is included, with the steps to it.
    pub fn cost(&self, many: Quantity, currency: Currency) -> Result<(Money, Vec<String>), Refusal> {
        let pricing = self.prices.get(&currency).ok_or(Refusal::Currency(currency))?;
        let mut steps = Vec::new();
        if self.included > Quantity::ZERO {
            steps.push(format!("{} of {many} are included", self.included.min(many)));
        }
        let cost = pricing.cost(many.minus(self.included)?)?;
        steps.extend(cost.steps);
        Ok((cost.exact.rounded(currency)?, steps))
    }
}

/// What happens when a trial ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AfterTrial {
    /// The first period begins: whoever subscribes agrees to pay.
    Charged,
    /// The subscription ends, unless the tenant has agreed to pay meanwhile.
    Ended,
}

/// A time at the beginning in which nothing is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialTerms {
    /// How many days of the tenant's time zone.
    #[schemars(range(min = 1, max = 366))]
    pub days: u16,
    /// What happens then.
    pub then: AfterTrial,
}

/// What a version of a plan says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// What people call the plan.
    pub name: DisplayName,
    /// How long a period is.
    pub cadence: Cadence,
    /// How changes within a period are charged.
    #[serde(default)]
    pub proration: Proration,
    /// A trial, for tenants that have had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialTerms>,
    /// What is charged for, in the order in which invoices tell it.
    #[schemars(length(min = 1, max = 50))]
    pub items: Vec<Item>,
    /// The least that is charged for the use of a period.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub least_usage: BTreeMap<Currency, Money>,
    /// Feature to what it is worth: true or false, the name of a variant, or an amount.
    #[serde(default)]
    pub features: BTreeMap<Key, Value>,
    /// Within how many days invoices are to be paid.
    #[serde(default = "fortnight")]
    #[schemars(range(max = 366))]
    pub due_days: u16,
}

const fn fortnight() -> u16 {
    14
}

impl Terms {
    /// Refuses what means nothing, or cannot be sold in each of its currencies.
    pub fn check(&self) -> Result<(), Refusal> {
        let keys: BTreeSet<&Key> = self.items.iter().map(|item| &item.key).collect();
        let sized = (1..=MOST).contains(&self.items.len()) && self.features.len() <= MOST;
        if keys.len() != self.items.len() || !sized {
            return Err(Refusal::Terms(
                "a plan has 1 to 50 items, each with a key of its own, and at most 50 features",
            ));
        }
        if !(1..=366).contains(&self.cadence.every) || self.trial.is_some_and(|it| !(1..=366).contains(&it.days)) {
            return Err(Refusal::Terms("a period and a trial have 1 to 366 units"));
        }
        if self.due_days > 366 {
            return Err(Refusal::Terms("an invoice is to be paid within 366 days"));
        }
        let currencies = self.currencies();
        if currencies.is_empty() {
            return Err(Refusal::Terms("all items have a price in one currency at least"));
        }
        self.items.iter().try_for_each(|item| item.check(&currencies))?;
        for (currency, least) in &self.least_usage {
            if least.currency() != *currency || !currencies.contains(currency) || least.is_negative() {
                return Err(Refusal::Terms("the least for use is an amount of its currency, which the items have too"));
            }
        }
        Ok(())
    }

    /// The currencies in which it is sold.
    pub fn currencies(&self) -> BTreeSet<Currency> {
        self.items.first().map(|item| item.prices.keys().copied().collect()).unwrap_or_default()
    }

    /// How many of each item there are, from what was asked for: what is not named has its least.
    pub fn quantities(&self, asked: &BTreeMap<Key, u32>) -> Result<BTreeMap<Key, u32>, Refusal> {
        let mut all = BTreeMap::new();
        for item in &self.items {
            if let Charge::Quantity { least, most, .. } = &item.charge {
                let many = asked.get(&item.key).copied().unwrap_or(*least);
                if !(*least..=*most).contains(&many) {
                    return Err(Refusal::Quantity { item: item.key.clone(), least: *least, most: *most });
                }
                all.insert(item.key.clone(), many);
            }
        }
        match asked.keys().find(|key| !all.contains_key(key)) {
            Some(unknown) => Err(Refusal::UnknownItem(unknown.clone())),
            None => Ok(all),
        }
    }

    /// The items that are charged for by a meter.
    pub fn metered(&self) -> impl Iterator<Item = (&Item, &Key, Aggregation)> {
        self.items.iter().filter_map(|item| match &item.charge {
            Charge::Usage { meter, aggregation, .. } => Some((item, meter, *aggregation)),
            _ => None,
        })
    }
}

/// A plan with its versions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    key: Key,
    versions: Vec<Terms>,
}

impl Plan {
    /// A plan without versions yet.
    pub const fn new(key: Key) -> Self {
        Self { key, versions: Vec::new() }
    }

    /// Publishes a version, which is sold from now on. The same again is the same version.
    pub fn publish(&mut self, terms: Terms) -> Result<Vec<kernel::AnyEvent>, Refusal> {
        terms.check()?;
        if self.versions.last() == Some(&terms) {
            return Ok(Vec::new());
        }
        if self.versions.len() >= MOST {
            return Err(Refusal::Terms("a plan has at most 50 versions: sell another plan"));
        }
        self.versions.push(terms);
        Ok(vec![PlanPublished { plan: self.key.to_string(), version: self.newest() }.into()])
    }

    /// The number of the newest version.
    pub fn newest(&self) -> u32 {
        u32::try_from(self.versions.len()).unwrap_or(u32::MAX)
    }

    /// What a version says.
    pub fn terms(&self, version: u32) -> Option<&Terms> {
        let place = usize::try_from(version).ok()?.checked_sub(1)?;
        self.versions.get(place)
    }

    /// Its name among plans.
    pub const fn key(&self) -> &Key {
        &self.key
    }
}

impl Aggregate for Plan {
    type Id = Key;
    const KIND: &'static str = "billing.plan";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> Key {
        self.key.clone()
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }
}
