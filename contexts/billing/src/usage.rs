//! Reporting use, and telling what was used.

use std::collections::BTreeMap;

use billing_rules::{
    Counted, Quantity, SlotId, Subscription, UsageSlot,
    meter::{Aggregation, Tally, Use},
    period::Period,
};
use kernel::{
    Caller, Cx, Granted, Handle, Problem, TenantId, Timestamp,
    text::{Key, Note},
    use_case,
};
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Loaded;

use crate::Billing;
use permissions as may;

/// The most events of one report.
const MOST: usize = 1_000;
/// How many slots are read at once. One can be large: a period is to take little memory.
const SLOTS: usize = 50;

/// Reports use. The same event again counts once, as long as it is taken at all: in its period, or in the one after it.
/// What is reported of a period that was charged is settled on the next invoice.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportUsage {
    /// What was used: 1 to 1,000 events. All are counted, or none: a wrong one is named by its place.
    #[schemars(length(min = 1, max = 1000))]
    events: Vec<Reported>,
}

/// One use.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reported {
    /// Names this event among all that this person, key or client reports: 1 to 64 bytes, such as a UUID.
    #[schemars(length(min = 1, max = 64))]
    id: String,
    /// Which meter of the plan.
    meter: Key,
    /// When, in the present period or the one before; now unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    at: Option<Timestamp>,
    /// How much; 1 unless told.
    #[serde(default = "one")]
    value: Quantity,
    /// Of what, for meters that count how many different ones there are: 1 to 128 bytes. Never anything that tells who a
    /// person is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    subject: Option<String>,
}

fn one() -> Quantity {
    Quantity::whole(1).unwrap_or_default()
}

/// What became of a report.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Taken {
    /// How many events were new, and are counted.
    new: u64,
    /// How many were known.
    known: u64,
}

use_case!(ReportUsage => Taken, "billing.usage.report", Tenant, may::USAGE_REPORT);

/// What a period's slots are found by.
fn of_period(subscription: &Subscription, period: &Period) -> String {
    format!("{}/{}", subscription.subscription(), period.number)
}

/// Ids of one reporter cannot hide the events of another.
fn named(caller: Caller, id: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, format!("{caller}\n{id}").as_bytes());
    data_encoding::BASE64URL_NOPAD.encode(digest.as_ref().get(..16).unwrap_or_default())
}

impl Reported {
    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if !(1..=64).contains(&self.id.len()) {
            return Err(("/id", "expected 1 to 64 bytes"));
        }
        if self.subject.as_ref().is_some_and(|it| !(1..=128).contains(&it.len())) {
            return Err(("/subject", "expected 1 to 128 bytes"));
        }
        if self.value.is_negative() {
            return Err(("/value", "expected no less than nothing"));
        }
        Ok(())
    }
}

impl Handle<ReportUsage> for Billing {
    async fn handle(&self, it: ReportUsage, cx: Granted<ReportUsage>) -> Result<Taken, Problem> {
        if !(1..=MOST).contains(&it.events.len()) {
            return Err(Problem::invalid_field("/events", "expected 1 to 1,000 events"));
        }
        let (subscription, now, all) = (self.current(&cx).await?, cx.now(), it.events.len());
        let mut slots: BTreeMap<SlotId, (Period, Vec<Use>)> = BTreeMap::new();
        for (place, it) in it.events.into_iter().enumerate() {
            let pointer = |field: &str| format!("/events/{place}{field}");
            it.check().map_err(|(field, detail)| Problem::invalid_field(pointer(field), detail))?;
            let at = it.at.unwrap_or(now);
            let period = subscription.period_of(&it.meter, at, now).map_err(|refusal| {
                let detail = refusal.to_string();
                Problem::from(refusal).field(pointer(""), detail)
            })?;
            let slot = SlotId::of(&period, of_period(&subscription, &period), it.meter, at)?;
            let used = Use { id: named(cx.caller(), &it.id), at, value: it.value, subject: it.subject };
            slots.entry(slot).or_insert_with(|| (period, Vec::new())).1.push(used);
        }
        let mut new = 0;
        for (slot, (period, uses)) in &slots {
            let mut added = 0;
            let rule = |slot: &mut UsageSlot| {
                let before = slot.tally().events();
                let told = slot.record(uses)?;
                added = slot.tally().events() - before;
                Ok(told)
            };
            self.store.at(&cx).upsert(slot, || UsageSlot::new(slot.clone(), period), rule).await?;
            new += added;
        }
        self.alert(&subscription, slots.keys(), &cx).await?;
        Ok(Taken { new, known: u64::try_from(all).unwrap_or(u64::MAX).saturating_sub(new) })
    }
}

impl Billing {
    /// What was counted in a period.
    pub(crate) async fn counted(&self, it: &Subscription, period: Option<Period>, cx: &Cx) -> Result<Counted, Problem> {
        let mut counted = Counted::new();
        let Some(period) = period else { return Ok(counted) };
        let count = |slot: Loaded<UsageSlot>| {
            let tally = counted.entry(slot.meter().clone()).or_default();
            tally.merge(slot.tally())?;
            tally.prove(slot.hour(), slot.root());
            Ok(())
        };
        self.store.at(cx).each(("period", &of_period(it, &period)), SLOTS, count).await?;
        Ok(counted)
    }

    /// Tells of thresholds that the reported meters have reached.
    async fn alert(
        &self,
        it: &Subscription,
        slots: impl Iterator<Item = &SlotId> + Send,
        cx: &Cx,
    ) -> Result<(), Problem> {
        let present = of_period(it, &it.period());
        let meters: Vec<Key> = slots
            .filter(|slot| slot.period == present && it.awaits(&slot.meter))
            .map(|slot| slot.meter.clone())
            .collect();
        if meters.is_empty() {
            return Ok(());
        }
        let (counted, period) = (self.counted(it, Some(it.period()), cx).await?, it.period());
        let rule = |subscription: &mut Subscription| {
            let mut told = Vec::new();
            // A period that ended meanwhile tells of nothing.
            if subscription.period() == period {
                for meter in &meters {
                    told.extend(subscription.alert(meter, &counted)?);
                }
            }
            Ok(told)
        };
        self.store.at(cx).change(&it.subscription(), rule).await.map(drop)
    }
}

/// What was used in the present period, and in the one before as far as it is known by now.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadUsage {}

/// What a meter shows for a period.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MeterView {
    item: Key,
    meter: Key,
    aggregation: Aggregation,
    period: Period,
    /// How many reports it is made of.
    events: u64,
    value: Quantity,
    /// What that costs, at the prices of now.
    cost: Money,
    /// How the cost comes about, step by step.
    explanation: Vec<String>,
}

use_case!(ReadUsage => Vec<MeterView>, "billing.usage.read", Tenant, may::USAGE_READ, Tell);

impl Handle<ReadUsage> for Billing {
    async fn handle(&self, _: ReadUsage, cx: Granted<ReadUsage>) -> Result<Vec<MeterView>, Problem> {
        let it = self.current(&cx).await?;
        let mut views = Vec::new();
        for period in [Some(it.period()), it.before()].into_iter().flatten() {
            let counted = self.counted(&it, Some(period), &cx).await?;
            for (item, meter, aggregation) in it.now().into_iter().flat_map(|stand| stand.terms.metered()) {
                let tally = counted.get(meter).cloned().unwrap_or_default();
                let value = tally.value(aggregation)?;
                let (cost, explanation) = item.cost(value, it.currency())?;
                let (item, meter, events) = (item.key.clone(), meter.clone(), tally.events());
                views.push(MeterView { item, meter, aggregation, period, events, value, cost, explanation });
            }
        }
        Ok(views)
    }
}

/// Corrects what was counted as a count or a sum, once under an id. What was charged already is settled on the next
/// invoice.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CorrectUsage {
    /// Whose use.
    tenant: TenantId,
    /// Names the correction.
    correction: Key,
    /// Which meter.
    meter: Key,
    /// When the use was, in the present period or the one before.
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: Timestamp,
    /// By how much; less than nothing where too much was counted.
    by: Quantity,
    /// Why.
    reason: Note,
}

use_case!(CorrectUsage => (), "billing.usage.correct", Platform, may::USAGE_CORRECT, |it| it.tenant.into());

impl Handle<CorrectUsage> for Billing {
    async fn handle(&self, it: CorrectUsage, cx: Granted<CorrectUsage>) -> Result<(), Problem> {
        let inside = self.inside(it.tenant, &cx).await?;
        let subscription = self.current(&inside).await?;
        let period = subscription.period_of(&it.meter, it.at, inside.now())?;
        let slot = SlotId::of(&period, of_period(&subscription, &period), it.meter, it.at)?;
        let rule = |slot: &mut UsageSlot| Ok(slot.correct(it.correction.as_str(), it.at, it.by, &it.reason)?);
        self.store.at(&inside).upsert(&slot, || UsageSlot::new(slot.clone(), &period), rule).await.map(drop)
    }
}

/// The trees of use that a meter has in a period: what its line of the invoice is proved by. The root of each stands in the
/// audit log, in the event `UsageRecorded` of the report that made it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadEvidence {
    /// Of which meter.
    meter: Key,
    /// The number of the period; that of the present one where nothing is said.
    period: Option<u32>,
}

/// The tree of an hour.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct HourView {
    /// Its number in the period.
    hour: u32,
    #[schemars(with = "String")]
    from: Timestamp,
    /// How many leaves: events, and corrections.
    size: u64,
    /// In hexadecimal.
    root: String,
}

/// What a line of an invoice is proved by.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EvidenceView {
    /// The root over all hours, as the line has it; none where nothing was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<String>,
    /// The hours, in order.
    hours: Vec<HourView>,
}

use_case!(ReadEvidence => EvidenceView, "billing.usage.evidence", Tenant, may::USAGE_READ, Tell);

impl Handle<ReadEvidence> for Billing {
    async fn handle(&self, it: ReadEvidence, cx: Granted<ReadEvidence>) -> Result<EvidenceView, Problem> {
        let subscription = self.current(&cx).await?;
        let number = it.period.unwrap_or(subscription.period().number);
        let of_period = format!("{}/{number}", subscription.subscription());
        let (mut tally, mut hours) = (Tally::default(), Vec::new());
        let show = |slot: Loaded<UsageSlot>| {
            if *slot.meter() == it.meter {
                tally.prove(slot.hour(), slot.root());
                let root = data_encoding::HEXLOWER.encode(&slot.root());
                hours.push(HourView { hour: slot.hour(), from: slot.start(), size: slot.leaves(), root });
            }
            Ok(())
        };
        self.store.at(&cx).each(("period", &of_period), SLOTS, show).await?;
        hours.sort_by_key(|it| it.hour);
        Ok(EvidenceView { evidence: tally.evidence(), hours })
    }
}
