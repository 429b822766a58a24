//! A subscription under whatever may come: its money is conserved, and its state never leaves the diagram.

use std::collections::BTreeMap;

use contracts::billing::{InvoiceRequested, LineKind, SubscriptionState as State, SubscriptionStateChanged};
use kernel::{AnyEvent, Timestamp, text::Key};
use money::Money;
use proptest::prelude::*;
use serde_json::json;

use crate::{
    Refusal,
    compose::{Counted, PlanRef},
    meter::{Tally, Use},
    plan::Terms,
    state::MOVES,
    subscription::{Change, Offer, Start, Subscription},
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

pub(crate) fn id<K: kernel::IdKind>(number: u128) -> kernel::Id<K> {
    kernel::Id::from_uuid(uuid::Uuid::from_u128(number))
}

/// EUR a seat a month, a metered item after 100,000 free, and a trial of so many days.
fn terms(seat: &str, trial: Option<u16>) -> Terms {
    let trial = trial.map(|days| json!({ "days": days, "then": "charged" }));
    let calls =
        json!([{ "up_to": "100000", "unit": "0" }, { "up_to": "1000000", "unit": "0.0004" }, { "unit": "0.0002" }]);
    serde_json::from_value(json!({
        "name": "Team", "cadence": { "every": 1, "unit": "month" }, "trial": trial,
        "items": [
            { "key": "seats", "name": "Seats", "charge": { "for": "quantity", "least": 1, "feature": "seats" },
              "prices": { "EUR": { "model": "per_unit", "unit": seat } } },
            { "key": "calls", "name": "API calls", "prices": { "EUR": { "model": "graduated", "tiers": calls } },
              "charge": { "for": "usage", "meter": "api_calls", "aggregation": "sum", "alerts": ["90000"] } },
        ],
        "features": { "sso": true },
    }))
    .unwrap()
}

fn offer(version: u32, seat: &str, trial: Option<u16>) -> Offer {
    Offer { plan: PlanRef { plan: key("team"), version }, terms: terms(seat, trial) }
}

fn seats(many: u32) -> BTreeMap<Key, u32> {
    BTreeMap::from([(key("seats"), many)])
}

fn started(trial: Option<u16>, now: &str) -> (Subscription, Vec<AnyEvent>) {
    let it = Start {
        id: id(1),
        offer: offer(1, "12", trial),
        currency: "EUR".parse().unwrap(),
        zone: "Europe/Vienna".to_owned(),
        quantities: seats(3),
        discount: None,
        invoice: id(10),
    };
    Subscription::start(it, at(now)).unwrap()
}

fn counted(calls: u64) -> Counted {
    let mut tally = Tally::default();
    let value = calls.to_string().parse().unwrap();
    tally.add(Use { id: "x".to_owned(), at: Timestamp::UNIX_EPOCH, value, subject: None }).unwrap();
    Counted::from([(key("api_calls"), tally)])
}

fn requested(events: &[AnyEvent]) -> Vec<InvoiceRequested> {
    let of = |event: &AnyEvent| serde_json::from_value(event.data.clone()).unwrap();
    events.iter().filter(|it| it.r#type == "billing.InvoiceRequested.v1").map(of).collect()
}

fn told(invoice: &InvoiceRequested) -> Vec<(LineKind, String)> {
    invoice.lines.iter().map(|line| (line.kind, line.amount.amount())).collect()
}

/// The example of docs/domain/billing.md.
#[test]
fn the_worked_example() {
    use LineKind::{LateUsage, Proration, Recurring, Usage};
    let (mut it, events) = started(Some(14), "2026-03-01T09:00:00Z");
    assert!(requested(&events).is_empty() && it.state() == State::Trial);
    assert!(it.pass(at("2026-03-15T08:59:59Z"), &Counted::new(), &Counted::new(), id(11)).unwrap().is_empty());

    // The trial ends: three seats for the first period.
    let first = it.pass(at("2026-03-15T09:00:00Z"), &counted(5), &Counted::new(), id(11)).unwrap();
    assert_eq!(told(&requested(&first)[0]), [(Recurring, "36.00".to_owned())]);
    assert_eq!(it.period().end, at("2026-04-15T08:00:00Z"), "the wall clock stays over the change to summer time");

    // Two seats more on the first of April, at ten in the evening.
    let more = Change { quantities: seats(5), ..Change::default() };
    it.change(&more, at("2026-04-01T20:00:00Z")).unwrap();
    // A dearer version on the tenth, at ten in the morning.
    it.change(&Change { offer: Some(offer(2, "15", None)), ..Change::default() }, at("2026-04-10T08:00:00Z")).unwrap();
    let second = it.pass(at("2026-04-15T08:00:00Z"), &counted(250_000), &Counted::new(), id(12)).unwrap();
    assert_eq!(
        told(&requested(&second)[0]),
        [
            (Proration, "-15.70".to_owned()), // 36.00 of 3 seats, for 1166400 of 2674800 seconds
            (Proration, "26.16".to_owned()),  // 60.00 of 5 seats
            (Proration, "-9.69".to_owned()),  // 60.00, for 432000 seconds
            (Proration, "12.11".to_owned()),  // 75.00
            (Usage, "60.00".to_owned()),      // 150,000 beyond 100,000, at 0.0004
            (Recurring, "75.00".to_owned()),
        ]
    );

    // 2,500 calls of that period came to be known later.
    let third = it.pass(at("2026-05-15T08:00:00Z"), &Counted::new(), &counted(252_500), id(13)).unwrap();
    assert_eq!(told(&requested(&third)[0]), [(LateUsage, "1.00".to_owned()), (Recurring, "75.00".to_owned())]);
}

#[test]
fn what_it_entitles_to_follows_its_state() {
    let (mut it, _) = started(None, "2026-03-01T09:00:00Z");
    let (source, features) = it.entitles();
    assert_eq!(
        (source.as_str(), features[&key("seats")].clone(), features[&key("sso")].clone()),
        ("team plan v1", json!(3), json!(true))
    );
    it.pause(at("2026-03-02T09:00:00Z")).unwrap();
    assert!(it.entitles().1.is_empty());
    it.resume(at("2026-03-03T09:00:00Z")).unwrap();
    assert_eq!(it.entitles().1.len(), 2);
    // A day was paused: 34.84 given back (2588400 of 2674800 seconds), and 33.67 charged again.
    let invoice = it.upcoming(&Counted::new(), &Counted::new(), id(11)).unwrap();
    assert_eq!(Money::sum(it.currency(), invoice.iter().map(|line| line.amount)).unwrap().amount(), "34.83");
}

#[test]
fn use_is_taken_in_its_period_and_the_one_after() {
    let (mut it, _) = started(None, "2026-03-01T09:00:00Z");
    let (meter, now) = (key("api_calls"), at("2026-03-20T00:00:00Z"));
    assert_eq!(it.period_of(&meter, now, now).unwrap().number, 1);
    assert_eq!(it.period_of(&key("storage"), now, now), Err(Refusal::UnknownMeter(key("storage"))));
    assert_eq!(it.period_of(&meter, at("2026-03-20T00:06:00Z"), now), Err(Refusal::TooEarly));
    assert_eq!(it.period_of(&meter, at("2026-02-28T00:00:00Z"), now), Err(Refusal::TooLate));
    it.pass(at("2026-04-01T09:00:00Z"), &Counted::new(), &Counted::new(), id(11)).unwrap();
    let later = at("2026-04-20T00:00:00Z");
    assert_eq!(it.period_of(&meter, now, later).unwrap().number, 1, "late");
    assert_eq!(it.period_of(&meter, now, at("2026-05-01T07:30:00Z")), Err(Refusal::TooLate), "the last hour");
    assert_eq!(it.alert(&meter, &counted(90_000)).unwrap().len(), 1);
    assert!(it.alert(&meter, &counted(95_000)).unwrap().is_empty(), "told once a period");
}

#[test]
fn a_plan_with_longer_periods_begins_when_the_period_ends() {
    let (mut it, _) = started(None, "2026-01-31T09:00:00Z");
    let mut yearly = offer(2, "120", None);
    yearly.terms.cadence = crate::period::Cadence { every: 1, unit: crate::period::Unit::Year };
    let change = Change { offer: Some(yearly), ..Change::default() };
    assert_eq!(it.change(&change, at("2026-02-01T09:00:00Z")), Err(Refusal::CadenceNow));
    it.plan_change(Some(change), at("2026-02-01T09:00:00Z")).unwrap();
    let events = it.pass(at("2026-02-28T09:00:00Z"), &Counted::new(), &Counted::new(), id(11)).unwrap();
    assert_eq!(told(&requested(&events)[0]), [(LineKind::Recurring, "360.00".to_owned())]);
    assert_eq!((it.period().number, it.period().end), (2, at("2027-02-28T09:00:00Z")));
}

#[test]
fn a_plan_that_has_become_impossible_does_not_hold_up_the_period() {
    let (mut it, _) = started(None, "2026-03-01T00:00:00Z");
    let mut small = offer(2, "9", None);
    if let crate::plan::Charge::Quantity { most, .. } = &mut small.terms.items[0].charge {
        *most = 5;
    }
    it.plan_change(Some(Change { offer: Some(small), ..Change::default() }), at("2026-03-02T00:00:00Z")).unwrap();
    it.change(&Change { quantities: seats(9), ..Change::default() }, at("2026-03-03T00:00:00Z")).unwrap();
    let events = it.pass(it.period().end, &Counted::new(), &Counted::new(), id(11)).unwrap();
    assert_eq!((events[0].r#type, it.period().number), ("billing.ChangeScheduled.v1", 2));
    assert_eq!(requested(&events)[0].lines.last().unwrap().amount.amount(), "108.00", "nine at 12");
}

#[test]
fn two_items_may_go_by_one_meter() {
    let (mut it, _) = started(None, "2026-03-01T00:00:00Z");
    let mut both = offer(2, "12", None);
    let peak = json!({ "key": "peak", "name": "Largest call", "prices": { "EUR": { "model": "per_unit", "unit": "0.01" } },
        "charge": { "for": "usage", "meter": "api_calls", "aggregation": "max" } });
    both.terms.items.push(serde_json::from_value(peak).unwrap());
    it.change(&Change { offer: Some(both), ..Change::default() }, at("2026-03-02T00:00:00Z")).unwrap();
    let events = it.pass(it.period().end, &counted(200_000), &Counted::new(), id(11)).unwrap();
    let used = told(&requested(&events)[0]).into_iter().filter(|(kind, _)| *kind == LineKind::Usage);
    assert_eq!(used.map(|(_, amount)| amount).collect::<Vec<_>>(), ["40.00", "2000.00"]);
}

#[test]
fn prices_at_which_use_could_not_be_charged_are_not_sold() {
    let mut terms = terms("12", None);
    let dear = |unit: &str| crate::price::Pricing::PerUnit { unit: unit.parse().unwrap() };
    terms.items[1].prices.insert("EUR".parse().unwrap(), dear("900"));
    assert_eq!(terms.check(), Ok(()));
    terms.items[1].prices.insert("EUR".parse().unwrap(), dear("1000"));
    assert!(matches!(terms.check(), Err(Refusal::Terms(_))));
}

#[test]
fn what_is_left_over_at_the_end_is_told() {
    let (mut it, _) = started(None, "2026-03-01T00:00:00Z");
    let events = it.end(at("2026-03-16T12:30:00Z"), &counted(100_100), &Counted::new(), id(11)).unwrap();
    assert_eq!(requested(&events)[0].net.amount(), "0.00");
    let left = events.iter().find(|event| event.r#type == "billing.CreditLeft.v1").unwrap();
    assert_eq!(left.data["amount"]["amount"], "17.91", "17.95 unused (1333800 of 2674800 seconds), 0.04 used");
    assert!(it.entitles().1.is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Seats(u32),
    Price(u32),
    Later(u32),
    Cancel,
    End,
    Keep,
    Pause,
    Resume,
    Behind,
    Paid,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..300_000).prop_map(Step::Pass),
        4 => (0_u32..20).prop_map(Step::Seats),
        2 => (1_u32..40).prop_map(Step::Price),
        1 => (1_u32..40).prop_map(Step::Later),
        1 => Just(Step::Cancel),
        1 => Just(Step::End),
        1 => Just(Step::Keep),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
        1 => Just(Step::Behind),
        1 => Just(Step::Paid),
    ]
}

/// Takes one step; what it tells.
fn take(it: &mut Subscription, step: &Step, number: usize, now: Timestamp) -> Result<Vec<AnyEvent>, Refusal> {
    let (next, none) = (id(100 + number as u128), Counted::new());
    let dearer = |euro: &u32| Change { offer: Some(offer(10 + euro, &euro.to_string(), None)), ..Change::default() };
    match step {
        Step::Pass(calls) => it.pass(it.period().end, &counted(*calls), &none, next),
        Step::Seats(many) => it.change(&Change { quantities: seats(*many), ..Change::default() }, now),
        Step::Price(euro) => it.change(&dearer(euro), now),
        Step::Later(euro) => it.plan_change(Some(dearer(euro)), now),
        Step::Cancel => it.cancel(),
        Step::End => it.end(now, &counted(7), &none, next),
        Step::Keep => it.keep(now),
        Step::Pause => it.pause(now),
        Step::Resume => it.resume(now),
        Step::Behind => it.fall_behind(next),
        Step::Paid => it.catch_up(id(100 + number as u128 - 1)),
    }
}

proptest! {
    /// Whatever comes, in whatever order: only moves of the diagram, nothing after the end, a refusal changes nothing,
    /// no invoice below nothing, each the sum of its lines, and what is carried is neither lost nor made.
    #[test]
    fn it_never_leaves_the_diagram_and_its_money_is_conserved(
        trial in prop::option::of(1_u16..30),
        steps in prop::collection::vec((step(), 1_i64..2_000_000), 1..40),
    ) {
        let (mut it, mut events) = started(trial, "2026-01-31T12:00:00Z");
        let mut clock = at("2026-01-31T12:00:00Z");
        let mut twin = it.clone();
        for (number, (step, later)) in steps.iter().enumerate() {
            clock = (clock + jiff::SignedDuration::from_secs(*later)).clamp(it.period().start, it.period().end);
            let before = it.clone();
            match take(&mut it, step, number, clock) {
                Ok(told) => {
                    prop_assert!(before.state() != State::Ended || told.is_empty(), "over is over");
                    events.extend(told);
                }
                Err(_) => it = before,
            }
            // The same once more, from the same events: an invoice that is made again is the same.
            let kept = twin.clone();
            if take(&mut twin, step, number, clock).is_err() {
                twin = kept;
            }
            prop_assert_eq!(&twin, &it);
        }
        let mut state = if trial.is_some() { State::Trial } else { State::Active };
        for event in events.iter().filter(|it| it.r#type == "billing.SubscriptionStateChanged.v1") {
            let moved: SubscriptionStateChanged = serde_json::from_value(event.data.clone()).unwrap();
            prop_assert_eq!(moved.from, state);
            prop_assert!(MOVES.iter().any(|(from, _, to)| (*from, *to) == (moved.from, moved.to)), "{:?}", moved);
            state = moved.to;
        }
        prop_assert_eq!(state, it.state());
        let euro = it.currency();
        let mut carried = Money::zero(euro);
        for invoice in requested(&events) {
            prop_assert!(!invoice.net.is_negative());
            prop_assert_eq!(Money::sum(euro, invoice.lines.iter().map(|line| line.amount)).unwrap(), invoice.net);
            let moves = invoice.lines.iter().filter(|line| line.kind == LineKind::Carried).map(|line| line.amount);
            carried = carried.minus(Money::sum(euro, moves).unwrap()).unwrap();
            prop_assert!(!carried.minor().is_positive());
        }
        let left = events.iter().filter(|it| it.r#type == "billing.CreditLeft.v1");
        let left = left.map(|it| serde_json::from_value::<Money>(it.data["amount"].clone()).unwrap());
        prop_assert_eq!(carried, it.carried().minus(Money::sum(euro, left).unwrap()).unwrap());
    }
}
