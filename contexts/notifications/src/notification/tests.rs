use kernel::Id;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn requested(decided: &[(Means, Because)], secret: bool) -> (Notification, Vec<&'static str>) {
    let draft = Draft {
        to: Recipient::User(Id::from_uuid(uuid::Uuid::from_u128(2))),
        address: Some("ada@example.com".parse().unwrap()),
        template: "order.shipped".to_owned(),
        category: "product".parse().unwrap(),
        content: Said { subject: "Shipped".to_owned(), text: "It is".to_owned(), secret, ..Said::default() },
        asked: String::new(),
    };
    let id = Id::from_uuid(uuid::Uuid::from_u128(1));
    let when = When { created: at(0), due: at(0), ends: at(1_000_000) };
    let (it, events) = Notification::request(id, draft, decided.iter().copied().collect(), when);
    (it, types(&events))
}

fn types(events: &[AnyEvent]) -> Vec<&'static str> {
    events.iter().map(|event| event.r#type).collect()
}

fn mail(secret: bool) -> Notification {
    requested(&[(Means::Mail, Because::Default)], secret).0
}

fn busy() -> Result<(), DeliveryError> {
    Err(DeliveryError::Transient("busy".to_owned()))
}

fn ended(before: u32, result: Result<(), DeliveryError>, now: i64) -> Ended {
    let (took, random, now) = (Duration::from_millis(7), 127, at(now));
    Ended { before, outcome: result.into(), took, random, now }
}

fn kept(it: &Notification) -> bool {
    !it.draft.content.text.is_empty()
}

#[test]
fn the_inbox_has_it_at_once_and_mail_is_due() {
    let (it, events) = requested(&[(Means::Mail, Because::Default), (Means::Inbox, Because::Default)], false);
    assert_eq!(events, [NotificationRequested::TYPE, NotificationSent::TYPE]);
    assert_eq!(it.timers(), [Timer { name: "mail", due: at(0) }]);
    let indexes: Vec<_> = it.terms().iter().map(|term| term.index).collect();
    assert_eq!(indexes, ["all", "of", "inbox", "unread"]);
}

#[test]
fn what_nobody_wants_is_kept_as_a_fact_and_says_nothing() {
    let (it, events) = requested(&[(Means::Mail, Because::OptedOut)], false);
    assert_eq!(events, [NotificationRequested::TYPE]);
    assert!(it.timers().is_empty() && !kept(&it));
}

#[test]
fn pauses_grow_until_it_is_given_up_and_can_be_replayed() {
    let (mut it, mut now) = (mail(false), 0);
    for attempts in 1..backoff::ATTEMPTS {
        assert_eq!(it.due(Means::Mail, at(now)), Some(attempts - 1));
        assert!(it.attempted(Means::Mail, ended(attempts - 1, busy(), now)).is_empty());
        let due = it.timers()[0].due;
        assert_eq!(it.due(Means::Mail, at(now)), None);
        now = due.as_second() - at(0).as_second() + 1;
    }
    let events = it.attempted(Means::Mail, ended(backoff::ATTEMPTS - 1, busy(), now));
    assert_eq!(types(&events), [DeliveryFailed::TYPE]);
    assert!(it.timers().is_empty() && kept(&it) && it.terms().iter().any(|term| term.index == "dead"));
    it.replay(at(now)).unwrap();
    assert_eq!(it.due(Means::Mail, at(now)), Some(0));
    assert_eq!(types(&it.attempted(Means::Mail, ended(0, Ok(()), now))), [NotificationSent::TYPE]);
    assert!(it.replay(at(now)).is_err() && !kept(&it));
}

#[test]
fn a_credential_is_kept_no_longer_than_it_waits() {
    for result in [Ok(()), Err(DeliveryError::Permanent("unknown".to_owned()))] {
        let mut it = mail(true);
        it.attempted(Means::Mail, ended(0, result, 0));
        assert!(!kept(&it) && it.replay(at(1)).is_err());
    }
}

#[test]
fn a_busy_receiver_costs_no_attempt() {
    let mut it = mail(false);
    it.attempted(Means::Mail, ended(0, Err(DeliveryError::Busy), 0));
    let delivery = &it.deliveries[&Means::Mail];
    assert!(delivery.count == 0 && delivery.attempts.is_empty() && it.due(Means::Mail, at(0)).is_none());
}

#[test]
fn a_receiver_that_asks_for_a_pause_gets_it() {
    let mut it = mail(false);
    let mut asked = ended(0, busy(), 0);
    asked.outcome.pause = Some(Duration::from_mins(10));
    it.attempted(Means::Mail, asked);
    assert_eq!(it.timers()[0].due, at(600));
}

#[test]
fn of_two_attempts_at_once_a_failure_counts_once_and_a_delivery_always() {
    let mut it = mail(false);
    it.attempted(Means::Mail, ended(0, busy(), 0));
    let after_first = it.clone();
    it.attempted(Means::Mail, ended(0, busy(), 1));
    assert_eq!(it, after_first);
    assert_eq!(it.attempted(Means::Mail, ended(0, Ok(()), 1)).len(), 1);
    let sent = it.clone();
    assert!(it.attempted(Means::Mail, ended(0, Ok(()), 2)).is_empty());
    assert!(it.attempted(Means::Mail, ended(2, busy(), 2)).is_empty());
    assert_eq!(it, sent);
}

#[test]
fn reading_confirms_a_delivery_once() {
    let (mut it, _) = requested(&[(Means::Inbox, Because::Default)], false);
    assert_eq!(types(&it.mark(true, at(1))), [DeliveryConfirmed::TYPE]);
    assert!(!it.terms().iter().any(|term| term.index == "unread"));
    assert!(it.mark(false, at(2)).is_empty() && it.seen.read.is_none());
    assert!(it.mark(true, at(3)).is_empty());
}

#[test]
fn what_reports_an_event_is_not_reported() {
    let (mut it, events) = requested(&[(Means::Webhook, Because::Subscribed)], false);
    assert!(events.is_empty());
    assert!(it.attempted(Means::Webhook, ended(0, Ok(()), 0)).is_empty());
    assert!(it.deliveries[&Means::Webhook].status == Status::Delivered && kept(&it), "it can be asked for again");
}
