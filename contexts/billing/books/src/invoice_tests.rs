use super::*;
use crate::tax::{Profile, Treatment, assess};

pub(crate) fn euro(minor: i64) -> Money {
    Money::new(minor, "EUR".parse().unwrap())
}

pub(crate) fn id<K: kernel::IdKind>(number: u128) -> kernel::Id<K> {
    kernel::Id::from_uuid(uuid::Uuid::from_u128(number))
}

fn draft(net: i64) -> Invoice {
    let at = Timestamp::UNIX_EPOCH;
    let net = euro(net);
    let asked = InvoiceRequested { invoice: id(1), subscription: id(2), at, lines: Vec::new(), net, due_days: 14 };
    Invoice::draft(asked, (None, None), assess(None, &Profile::default(), net).unwrap()).unwrap().0
}

fn told(events: &[AnyEvent]) -> Vec<&str> {
    events.iter().filter_map(|event| event.r#type.split('.').nth(1)).collect()
}

#[test]
fn it_is_numbered_paid_in_parts_and_never_twice() {
    let (mut it, start) = (draft(10_000), Timestamp::UNIX_EPOCH);
    assert!(it.pay("p1", euro(1)).is_err(), "a draft cannot be paid");
    it.credit(euro(30_00)).unwrap();
    it.credit(euro(99_00)).unwrap();
    assert_eq!(it.open().unwrap(), euro(70_00), "decided once");
    assert_eq!(told(&it.number("INV-000001", start).unwrap()), ["InvoiceGenerated"]);
    assert!(it.number("INV-000001", start).unwrap().is_empty() && it.number("INV-000002", start).is_err());
    assert_eq!(it.pay("p1", euro(71_00)), Err(Refusal::Payment));
    assert_eq!(told(&it.pay("p1", euro(20_00)).unwrap()), ["PaymentProcessed"]);
    assert!(it.pay("p1", euro(20_00)).unwrap().is_empty() && it.pay("p1", euro(5)).is_err());
    assert!(it.void(&"wrong".parse().unwrap()).is_err(), "someone paid for it");
    assert_eq!(told(&it.pay("p2", euro(50_00)).unwrap()), ["PaymentProcessed", "InvoiceSettled"]);
    assert_eq!((it.state(), it.pay("p3", euro(1)).is_err()), (InvoiceState::Paid, true));
}

#[test]
fn what_comes_in_beyond_what_is_open_is_told() {
    let mut it = draft(10_000);
    assert_eq!(it.receive("p0", euro(1_00)).unwrap().0, euro(1_00), "a draft takes nothing");
    it.number("INV-000001", Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(it.receive("p1", euro(20_00)).unwrap().0, euro(0));
    let (rest, events) = it.receive("p2", euro(90_00)).unwrap();
    assert_eq!((rest, told(&events)), (euro(10_00), vec!["PaymentProcessed", "InvoiceSettled"]));
    assert_eq!(it.receive("p2", euro(90_00)).unwrap(), (euro(10_00), Vec::new()), "the same payment");
    assert_eq!(it.receive("p3", euro(5_00)).unwrap(), (euro(5_00), Vec::new()), "it is paid");
}

#[test]
fn what_is_taken_back_lowers_what_is_open_and_never_more_than_there_was() {
    let (mut it, start, why) = (draft(10_000), Timestamp::UNIX_EPOCH, "sent in error".parse::<Note>().unwrap());
    assert!(it.take_back(id(7), None, &why, start).is_err(), "a draft");
    it.number("INV-000001", start).unwrap();
    it.pay("p1", euro(30_00)).unwrap();
    assert_eq!(told(&it.take_back(id(7), Some(euro(80_00)), &why, start).unwrap()), ["CreditNoteRequested"]);
    assert!(it.take_back(id(7), Some(euro(80_00)), &why, start).unwrap().is_empty(), "once under an id");
    assert_eq!(it.take_back(id(8), Some(euro(20_01)), &why, start), Err(Refusal::CreditNote));
    assert!(it.void(&why).is_err() && it.write_off().is_err(), "a part was taken back");
    let (beyond, events) = it.lower(id(7), euro(-80_00)).unwrap();
    assert_eq!((beyond, told(&events)), (euro(10_00), vec!["InvoiceCredited", "InvoiceSettled"]));
    assert_eq!(it.lower(id(7), euro(-80_00)).unwrap(), (euro(10_00), Vec::new()));
    assert_eq!((it.state(), it.open().unwrap(), it.credited().unwrap()), (InvoiceState::Paid, euro(0), euro(-80_00)));
    let rest = it.take_back(id(8), None, &why, start).unwrap();
    let asked: CreditNoteRequested = serde_json::from_value(rest[0].data.clone()).unwrap();
    let (mut note, _) = it.credit_note(&asked).unwrap();
    assert_eq!(note.total(), euro(-20_00));
    assert_eq!(
        told(&note.number("CN-000001", start).unwrap()),
        ["InvoiceGenerated", "InvoiceSettled", "CreditNoteIssued"]
    );
    assert!(note.take_back(id(9), None, &why, start).is_err() && note.void(&why).is_err() && note.timers().is_empty());
    assert_eq!(it.lower(id(8), note.total()).unwrap().0, euro(20_00), "all of it beyond what is open");
}

#[test]
fn tax_is_taken_back_with_what_it_is_upon() {
    let (at, net) = (Timestamp::UNIX_EPOCH, euro(10_000));
    let asked = InvoiceRequested { invoice: id(1), subscription: id(2), at, lines: Vec::new(), net, due_days: 14 };
    let tax = Tax { treatment: Treatment::Domestic, rate: 2_000, base: net, amount: euro(20_00) };
    let mut it = Invoice::draft(asked, (None, None), tax).unwrap().0;
    it.number("INV-000001", at).unwrap();
    let why: Note = "sent in error".parse().unwrap();
    let mut back = |number, net: Option<i64>| {
        let told = it.take_back(id(number), net.map(euro), &why, at).unwrap();
        let asked: CreditNoteRequested = serde_json::from_value(told[0].data.clone()).unwrap();
        (asked.net, asked.tax)
    };
    assert_eq!(back(7, Some(33_33)), (euro(-33_33), euro(-6_67)));
    assert_eq!(back(8, Some(33_33)), (euro(-33_33), euro(-6_67)));
    assert_eq!(back(9, None), (euro(-33_34), euro(-6_66)), "the parts sum to the whole");
}

#[test]
fn it_is_overdue_once_void_or_given_up() {
    let (mut it, start) = (draft(10_000), Timestamp::UNIX_EPOCH);
    it.number("INV-000001", start).unwrap();
    let due = start + Duration::from_hours(14 * 24);
    assert!(it.pass(due - Duration::from_secs(1)).unwrap().is_empty());
    assert_eq!(
        (told(&it.pass(due).unwrap()), it.pass(due).unwrap().len(), it.timers().len()),
        (vec!["InvoiceOverdue"], 0, 0)
    );
    let mut other = it.clone();
    assert_eq!(told(&it.void(&"wrong".parse().unwrap()).unwrap()), ["InvoiceVoided", "InvoiceSettled"]);
    assert!(it.write_off().is_err() && it.numbered() == Some("INV-000001"));
    assert_eq!(told(&other.write_off().unwrap()), ["InvoiceWrittenOff", "InvoiceSettled"]);
    assert!(other.take_back(id(7), None, &"wrong".parse().unwrap(), start).is_err(), "nothing of it was paid");
    let mut nothing = draft(0);
    assert_eq!(told(&nothing.number("INV-000002", start).unwrap()), ["InvoiceGenerated", "InvoiceSettled"]);
}

#[test]
fn credits_that_are_bought_lapse_where_they_are_not_paid() {
    let start = Timestamp::UNIX_EPOCH;
    let bought = |minor| Invoice::top_up((id(1), id(2)), euro(minor), (None, None), start);
    assert_eq!(bought(0).unwrap_err(), Refusal::Credits);
    let (mut it, _) = bought(50_00).unwrap();
    it.credit(euro(1_00)).unwrap();
    it.number("INV-000001", start).unwrap();
    let why: Note = "wrong".parse().unwrap();
    assert_eq!((it.open().unwrap(), it.tax().amount), (euro(50_00), euro(0)), "no credits pay for credits");
    assert!(it.take_back(id(7), None, &why, start).is_err() && it.write_off().is_err(), "nothing was sold");
    let mut part = it.clone();
    let due = it.due().unwrap();
    assert_eq!(
        (told(&it.pass(due).unwrap()), it.state()),
        (vec!["InvoiceVoided", "InvoiceSettled"], InvoiceState::Void)
    );
    assert_eq!(it.receive("late", euro(50_00)).unwrap().0, euro(50_00), "nobody loses what comes in late");
    part.pay("p1", euro(20_00)).unwrap();
    let lapsed = part.pass(due).unwrap();
    assert_eq!(lapsed[0].data["open"]["amount"], "30.00", "what was paid stays");
    assert_eq!((part.state(), part.open().unwrap(), part.total()), (InvoiceState::Paid, euro(0), euro(50_00)));
}
