use super::*;
use crate::invoice::tests::{euro, id};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn attempt() -> Attempt {
    let by = By {
        gateway: "model".to_owned(),
        customer: "c".to_owned(),
        method: id(3),
        token: "t".to_owned(),
        kind: "card".to_owned(),
    };
    Attempt::begin((id(1), id(2)), euro(10_00), by, "INV-000001".to_owned(), None, at(0)).0
}

fn seen(standing: Standing) -> Payment {
    Payment { reference: "pi".to_owned(), attempt: None, amount: euro(10_00), standing }
}

fn types(events: &[AnyEvent]) -> Vec<&str> {
    events.iter().filter_map(|event| event.r#type.split('.').nth(1)).collect()
}

#[test]
fn it_holds_its_invoice_until_it_is_known_what_became_of_it() {
    let mut it = attempt();
    it.prepared("pi", at(1));
    for second in 2..200 {
        assert!(it.wait(at(second)).is_empty() && it.claims().len() == 1, "never given up: it may have moved money");
    }
    assert!(it.told(&seen(Standing::Processing), at(300)).is_empty());
    assert_eq!(types(&it.told(&seen(Standing::Succeeded), at(301))), ["PaymentSucceeded"]);
    assert!(it.told(&seen(Standing::Succeeded), at(302)).is_empty(), "told once");
    assert_eq!(it.claims().len(), 1, "the invoice does not know yet");
    it.book();
    assert!(it.claims().is_empty() && it.timers().is_empty());
}

#[test]
fn what_cannot_be_prepared_is_given_up_and_what_came_in_later_counts() {
    let mut it = attempt();
    let told: Vec<AnyEvent> = (0..20).flat_map(|second| it.wait(at(second))).collect();
    assert_eq!((types(&told), it.claims().len()), (vec!["PaymentDeclined"], 0));
    it.prepared("pi", at(30));
    assert_eq!(it.state(), AttemptState::Declined, "it is over");
    assert_eq!(types(&it.told(&seen(Standing::Succeeded), at(31))), ["PaymentSucceeded"], "money that came in");
}

#[test]
fn what_is_not_its_own_matters_only_where_money_came_in() {
    let mut it = attempt();
    it.prepared("pi", at(1));
    let other = |standing| Payment { reference: "lost".to_owned(), ..seen(standing) };
    let declined = || Standing::Declined { code: "canceled".to_owned(), retryable: true };
    assert!(it.noticed(&other(declined()), at(2)).is_empty() && it.state().is_open());
    assert_eq!(types(&it.noticed(&seen(Standing::Succeeded), at(3))), ["PaymentSucceeded"]);
    assert_eq!(types(&it.noticed(&other(Standing::Succeeded), at(4))), ["PaymentSucceeded"], "it came in twice");
    assert!(
        it.noticed(&other(Standing::Succeeded), at(5)).is_empty() && it.noticed(&other(declined()), at(5)).is_empty()
    );
    assert_eq!(it.reference(), Some("pi"));
}

#[test]
fn no_more_goes_back_than_came_in() {
    let mut it = attempt();
    assert!(it.refund(id(9), euro(1), at(0)).is_err(), "nothing came in");
    it.prepared("pi", at(1));
    it.told(&seen(Standing::Succeeded), at(2));
    assert_eq!(types(&it.refund(id(9), euro(6_00), at(3)).unwrap()), ["RefundRequested"]);
    assert!(it.refund(id(9), euro(6_00), at(3)).unwrap().is_empty(), "once under an id");
    assert_eq!(it.refund(id(8), euro(5_00), at(3)), Err(Refusal::Refund));
    assert_eq!(types(&it.refunded(id(9), Some("closed_account"), at(4))), ["RefundFailed"]);
    assert!(it.refund(id(8), euro(10_00), at(5)).is_ok(), "what failed went nowhere");
    assert_eq!(types(&it.refunded(id(8), None, at(6))), ["PaymentRefunded"]);
    assert!(it.refunded(id(8), None, at(6)).is_empty() && it.timers().is_empty());
}

#[test]
fn a_dispute_is_opened_and_closed_once_and_takes_from_what_can_go_back() {
    let mut it = attempt();
    it.prepared("pi", at(1));
    it.told(&seen(Standing::Succeeded), at(2));
    let dispute = |won| Dispute { id: "dp".to_owned(), amount: euro(10_00), reason: "fraudulent".to_owned(), won };
    assert_eq!(types(&it.disputed(&dispute(None))), ["DisputeOpened"]);
    assert!(it.refund(id(8), euro(1), at(5)).is_err());
    assert_eq!(types(&it.disputed(&dispute(Some(true)))), ["DisputeClosed"]);
    assert!(it.disputed(&dispute(None)).is_empty() && it.disputed(&dispute(Some(false))).is_empty());
    assert!(it.refund(id(8), euro(10_00), at(5)).is_ok());
}

#[test]
fn notices_that_it_still_waits_put_nothing_off() {
    let mut it = attempt();
    it.prepared("pi", at(1));
    let due = it.timers();
    for second in 2..40 {
        assert!(it.knows(&seen(Standing::Prepared)) && it.noticed(&seen(Standing::Prepared), at(second)).is_empty());
    }
    assert_eq!(it.timers(), due);
    let action = || seen(Standing::Action { url: None });
    assert_eq!(types(&it.noticed(&action(), at(50))), ["PaymentActionRequired"]);
    let due = it.timers();
    assert!(it.noticed(&action(), at(51)).is_empty() && it.timers() == due);
}
