//! The lines of an invoice, from what held in a period and what was used in it. Pure: the same input, the same invoice.

use std::collections::BTreeMap;

use contracts::billing::{Line, LineKind};
use kernel::{Timestamp, text::Key};
use money::{Currency, Money};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Refusal,
    coupon::Discount,
    decimal::Quantity,
    meter::Tally,
    period::Period,
    plan::{Charge, Item, Terms},
};

/// What was counted in a period, by meter.
pub type Counted = BTreeMap<Key, Tally>;

/// Which version of which plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanRef {
    /// The plan.
    pub plan: Key,
    /// Its version.
    pub version: u32,
}

impl std::fmt::Display for PlanRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} v{}", self.plan, self.version)
    }
}

/// What holds from an instant on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stand {
    /// From when.
    pub from: Timestamp,
    /// Which plan.
    pub plan: PlanRef,
    /// What it says.
    pub terms: Terms,
    /// How many of each item.
    pub quantities: BTreeMap<Key, u32>,
    /// Whether it is charged for: not while it is paused.
    pub charged: bool,
}

/// What comes back with each period.
struct Recurring {
    item: Key,
    text: String,
    many: u32,
    amount: Money,
    steps: Vec<String>,
}

impl Stand {
    fn recurring(&self, currency: Currency) -> Result<Vec<Recurring>, Refusal> {
        let mut all = Vec::new();
        for item in self.terms.items.iter().filter(|_| self.charged) {
            let many = match &item.charge {
                Charge::Flat {} => 1,
                Charge::Quantity { .. } => self.quantities.get(&item.key).copied().unwrap_or_default(),
                Charge::Usage { .. } => continue,
            };
            let (amount, steps) = item.cost(Quantity::whole(many.into())?, currency)?;
            let text = format!("{} ({})", item.name, self.terms.name);
            all.push(Recurring { item: item.key.clone(), text, many, amount, steps });
        }
        Ok(all)
    }

    /// What a period of it costs ahead.
    pub fn price(&self, currency: Currency) -> Result<Money, Refusal> {
        Ok(Money::sum(currency, self.recurring(currency)?.into_iter().map(|it| it.amount))?)
    }

    /// The lines for a period, ahead of it.
    pub fn ahead(&self, period: &Period, currency: Currency) -> Result<Vec<Line>, Refusal> {
        let line = |it: Recurring| Line {
            kind: LineKind::Recurring,
            item: Some(it.item.to_string()),
            text: it.text,
            from: period.start,
            until: period.end,
            quantity: Some(it.many.to_string()),
            amount: it.amount,
            explanation: it.steps,
            evidence: None,
        };
        Ok(self.recurring(currency)?.into_iter().filter(|it| it.many > 0).map(line).collect())
    }
}

/// What the changes within a period give back, and charge anew.
pub fn changes(stands: &[Stand], period: &Period, zone: &str, currency: Currency) -> Result<Vec<Line>, Refusal> {
    let mut lines = Vec::new();
    for pair in stands.windows(2) {
        let [before, after] = pair else { continue };
        let part = before.terms.proration.left(period, after.from, zone)?;
        let (old, new) = (before.recurring(currency)?, after.recurring(currency)?);
        let stays = |one: &Recurring, others: &[Recurring]| {
            others.iter().any(|other| (&one.item, &one.text, one.amount) == (&other.item, &other.text, other.amount))
        };
        let gone = old.iter().filter(|it| !stays(it, &new)).map(|it| (it, "unused", true));
        let come = new.iter().filter(|it| !stays(it, &old)).map(|it| (it, "from then on", false));
        for (it, words, back) in gone.chain(come).filter(|(it, ..)| !it.amount.is_zero()) {
            let share = part.of(it.amount)?;
            if share.is_zero() {
                continue;
            }
            lines.push(Line {
                kind: LineKind::Proration,
                item: Some(it.item.to_string()),
                text: format!("{}, {words}", it.text),
                from: after.from,
                until: period.end,
                quantity: Some(it.many.to_string()),
                amount: if back { share.negated()? } else { share },
                explanation: vec![format!("{} of {} for the period", part.words(), it.amount)],
                evidence: None,
            });
        }
    }
    Ok(lines)
}

/// What the use of an item in a period was charged as.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    item: Item,
    plan: String,
    value: Quantity,
    amount: Money,
}

/// What was used in a period. Each meter goes by the plan that had it last.
pub fn usage(
    stands: &[Stand],
    period: &Period,
    counted: &Counted,
    currency: Currency,
) -> Result<(Vec<Line>, Vec<Settled>), Refusal> {
    let mut last: BTreeMap<&Key, &Stand> = BTreeMap::new();
    for stand in stands {
        last.extend(stand.terms.metered().map(|(_, meter, _)| (meter, stand)));
    }
    let (mut lines, mut settled) = (Vec::new(), Vec::new());
    // All items of that plan that go by the meter, in the order of the plan.
    let mut metered: Vec<(usize, &Stand, &Item)> = Vec::new();
    for (meter, stand) in last {
        let items = stand.terms.metered().enumerate().filter(|(_, (_, of, _))| *of == meter);
        metered.extend(items.map(|(place, (item, ..))| (place, stand, item)));
    }
    metered.sort_by_key(|(place, ..)| *place);
    for (_, stand, item) in metered {
        let value = value(item, counted)?;
        let (amount, steps) = item.cost(value, currency)?;
        if value > Quantity::ZERO {
            lines.push(Line {
                kind: LineKind::Usage,
                item: Some(item.key.to_string()),
                text: format!("{} ({})", item.name, stand.terms.name),
                from: period.start,
                until: period.end,
                quantity: Some(value.to_string()),
                amount,
                explanation: steps,
                evidence: evidence(item, counted),
            });
        }
        settled.push(Settled { item: item.clone(), plan: stand.terms.name.to_string(), value, amount });
    }
    Ok((lines, settled))
}

fn value(item: &Item, counted: &Counted) -> Result<Quantity, Refusal> {
    match &item.charge {
        Charge::Usage { meter, aggregation, .. } => {
            counted.get(meter).map_or(Ok(Quantity::ZERO), |tally| tally.value(*aggregation))
        }
        Charge::Flat {} | Charge::Quantity { .. } => Ok(Quantity::ZERO),
    }
}

/// What the use of an item is proved by.
fn evidence(item: &Item, counted: &Counted) -> Option<String> {
    match &item.charge {
        Charge::Usage { meter, .. } => counted.get(meter)?.evidence(),
        Charge::Flat {} | Charge::Quantity { .. } => None,
    }
}

/// What came to be known of a period after it was charged: the difference to what it would have cost.
pub fn late(settled: &[Settled], period: &Period, counted: &Counted) -> Result<Vec<Line>, Refusal> {
    let mut lines = Vec::new();
    for it in settled {
        let value = value(&it.item, counted)?;
        if value == it.value {
            continue;
        }
        let (amount, mut steps) = it.item.cost(value, it.amount.currency())?;
        steps.push(format!("{amount} instead of the {} that {} had been charged as", it.amount, it.value));
        lines.push(Line {
            kind: LineKind::LateUsage,
            item: Some(it.item.key.to_string()),
            text: format!("{} ({}), known later", it.item.name, it.plan),
            from: period.start,
            until: period.end,
            quantity: Some(value.minus(it.value)?.to_string()),
            amount: amount.minus(it.amount)?,
            explanation: steps,
            evidence: evidence(&it.item, counted),
        });
    }
    Ok(lines)
}

/// What is missing to the least that the plan charges for the use of a period.
pub fn least(stand: &Stand, period: &Period, used: &[Line], currency: Currency) -> Result<Option<Line>, Refusal> {
    let Some(least) = stand.terms.least_usage.get(&currency).filter(|_| stand.charged) else { return Ok(None) };
    let sum = Money::sum(currency, used.iter().map(|line| line.amount))?;
    let missing = least.minus(sum)?;
    Ok((missing.minor() > 0).then(|| Line {
        kind: LineKind::Minimum,
        item: None,
        text: format!("Least for use ({})", stand.terms.name),
        from: period.start,
        until: period.end,
        quantity: None,
        amount: missing,
        explanation: vec![format!("{least} at least, and {sum} was used")],
        evidence: None,
    }))
}

/// The lines of an invoice with discounts and what is carried; what is carried on. An invoice is never less than nothing.
pub fn total(
    mut lines: Vec<Line>,
    discounts: &mut Vec<Discount>,
    carried: Money,
    at: Timestamp,
) -> Result<(Vec<Line>, Money), Refusal> {
    let currency = carried.currency();
    let plain = |kind, text: String, amount| Line {
        kind,
        item: None,
        text,
        from: at,
        until: at,
        quantity: None,
        amount,
        explanation: Vec::new(),
        evidence: None,
    };
    let mut sum = Money::sum(currency, lines.iter().map(|line| line.amount))?;
    for discount in discounts.iter_mut() {
        let off = discount.of(sum)?;
        if !off.is_zero() {
            discount.used();
            sum = sum.minus(off)?;
            lines.push(plain(LineKind::Discount, format!("Coupon {}", discount.coupon), off.negated()?));
        }
    }
    discounts.retain(|discount| discount.left != Some(0));
    if !carried.is_zero() {
        sum = sum.plus(carried)?;
        lines.push(plain(LineKind::Carried, "Carried from before".to_owned(), carried));
    }
    if !sum.is_negative() {
        return Ok((lines, Money::zero(currency)));
    }
    lines.push(plain(LineKind::Carried, "Carried on".to_owned(), sum.negated()?));
    Ok((lines, sum))
}
