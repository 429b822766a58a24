//! One invoice of each kind that there is, and what it looks like to programs.

use billing_books::{
    Invoice, Seller,
    tax::{Buyer, Profile, Rates, assess},
};
use contracts::billing::{InvoiceRequested, Line, LineKind};
use kernel::{Id, Timestamp};
use money::Money;

use super::*;

/// What differs between them.
#[derive(Clone, Copy, Default)]
pub(crate) struct Case {
    pub(crate) buyer: Option<(&'static str, Option<&'static str>)>,
    pub(crate) exempt: bool,
    pub(crate) no_rates: bool,
    pub(crate) credits: i64,
    pub(crate) many_lines: usize,
}

fn line(text: &str, minor: i64) -> Line {
    let (from, until) = ("2027-03-15T09:00:00Z".parse().unwrap(), "2027-04-15T08:00:00Z".parse().unwrap());
    Line {
        kind: LineKind::Recurring,
        item: None,
        text: text.to_owned(),
        from,
        until,
        quantity: Some("250000".to_owned()),
        amount: Money::new(minor, "EUR".parse().unwrap()),
        explanation: vec!["100000 at 0 = 0".to_owned(), "150000 at 0.0004 = 60".to_owned()],
        evidence: None,
    }
}

pub(crate) fn seller() -> Seller {
    serde_json::from_value(serde_json::json!({
        "name": "Größenwahn & Söhne <GmbH>", "address": "Hauptstraße 1\n1010 Wien", "country": "AT", "tax_id": "ATU12345678",
        "registration": "FN 123456a", "email": "billing@seller.example",
        "bank_account": { "holder": "Größenwahn & Söhne", "iban": "AT611904300234573201", "bic": "BKAUATWWXXX" },
    }))
    .unwrap()
}

pub(crate) fn invoice(case: Case) -> Invoice {
    let at: Timestamp = "2027-04-15T08:00:00Z".parse().unwrap();
    let mut lines = vec![
        line("API calls (Team)", 60_00),
        line("Seats, three for five (Team)", -15_70),
        line("Łódź \u{4e2d}", 10_358),
    ];
    lines.extend(
        (0..case.many_lines)
            .map(|number| line(&format!("An item with a name that is too long for its column, number {number}"), 1)),
    );
    let net = Money::sum("EUR".parse().unwrap(), lines.iter().map(|line| line.amount)).unwrap();
    let (invoice, subscription) = (Id::from_words(&["invoice"]), Id::from_words(&["subscription"]));
    let asked = InvoiceRequested { invoice, subscription, at, lines, net, due_days: 14 };
    let rates =
        serde_json::from_value::<Rates>(serde_json::json!({ "seller": "AT", "rates": { "AT": 2000, "FR": 2000 } }));
    let buyer = case.buyer.map(|(country, tax_id)| {
        let buyer = serde_json::json!({ "name": "Käufer & Co", "address": "Rue 5, Paris", "country": country, "tax_id": tax_id });
        serde_json::from_value::<Buyer>(buyer).unwrap()
    });
    let exempt = case.exempt.then(|| "a school".parse().unwrap());
    let profile = Profile { buyer, exempt, contact: None };
    let rates = (!case.no_rates).then(|| rates.unwrap());
    let tax = assess(rates.as_ref(), &profile, net).unwrap();
    let (mut it, _) = Invoice::draft(asked, (Some(seller()), profile.buyer), tax).unwrap();
    it.credit(Money::new(case.credits, net.currency())).unwrap();
    it.number("INV-000042", at).unwrap();
    it
}

/// A credit note of one of them.
pub(crate) fn credit_note(case: Case) -> Invoice {
    let (mut it, at) = (invoice(case), "2027-05-01T08:00:00Z".parse().unwrap());
    let reason = "sent in error".parse().unwrap();
    let asked = it.take_back(Id::from_words(&["note"]), None, &reason, at).unwrap();
    let asked = serde_json::from_value(asked[0].data.clone()).unwrap();
    let (mut note, _) = it.credit_note(&asked).unwrap();
    note.number("CN-000007", at).unwrap();
    note
}

/// All that there is, by a name.
pub(crate) fn all() -> Vec<(String, Invoice)> {
    let notes = cases().into_iter().map(|(name, case)| (format!("credit_note_{name}"), credit_note(case)));
    cases().into_iter().map(|(name, case)| (name.to_owned(), invoice(case))).chain(notes).collect()
}

pub(crate) fn cases() -> Vec<(&'static str, Case)> {
    let to = |country, tax_id| Case { buyer: Some((country, tax_id)), ..Case::default() };
    vec![
        ("domestic", to("AT", Some("ATU87654321"))),
        ("destination", to("FR", None)),
        ("reverse_charge", to("DE", Some("DE123456789"))),
        ("out_of_scope", to("US", None)),
        ("exempt", Case { exempt: true, ..to("AT", None) }),
        ("not_set", Case { no_rates: true, ..to("AT", None) }),
        ("with_credits", Case { credits: 50_00, ..to("AT", None) }),
        ("long", Case { many_lines: 80, ..to("AT", None) }),
    ]
}

#[test]
fn a_document_says_what_is_missing() {
    let it = invoice(Case::default());
    assert_eq!(ubl(&it), Err(Missing::Buyer));
    assert!(pdf(&it, Language::English).is_ok(), "people can read it all the same");
}

#[test]
fn what_others_wrote_is_text() {
    let xml = ubl(&invoice(cases()[0].1)).unwrap();
    assert!(xml.contains("Gr\u{f6}\u{df}enwahn &#38; S\u{f6}hne &#60;GmbH&#62;"), "{xml}");
    assert!(!xml.contains("<GmbH>"), "{xml}");
}

#[test]
fn each_is_made_in_each_language() {
    for (name, it) in all() {
        for language in [Language::English, Language::German, Language::French] {
            let made = pdf(&it, language).unwrap();
            assert!(made.starts_with(b"%PDF-1.7"), "{name}");
            let has = |what: &str| made.windows(what.len()).any(|it| it == what.as_bytes());
            assert!(has("<pdfaid:part>3</pdfaid:part>"), "{name} is PDF/A-3");
            assert_eq!(has("/AFRelationship/Alternative"), ubl(&it).is_ok(), "{name} has its UBL in it");
            assert!(made.len() < 120_000, "{name} has {} bytes", made.len());
        }
    }
}

/// The public rules of EN 16931, by a validator that others wrote.
#[test]
fn a_validator_that_others_wrote_accepts_each() {
    let Some(client) = store::contract::server("FREEHOLD_TEST_UBL_VALIDATOR") else { return };
    let folder = tempfile::tempdir().unwrap();
    let write = |(name, it): (String, Invoice)| {
        let file = folder.path().join(format!("{name}.xml"));
        std::fs::write(&file, ubl(&it).unwrap()).unwrap();
        file
    };
    let check = |files: &[std::path::PathBuf]| {
        let places = format!("{client}/classes:{client}/lib/*");
        std::process::Command::new("java").args(["-cp", &places, "Check"]).args(files).output().unwrap()
    };
    let files: Vec<_> = all().into_iter().map(write).collect();
    let told = check(&files);
    let said = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success() && said.ends_with("all hold\n"), "{said}");
    // And it does refuse.
    let wrong = folder.path().join("wrong.xml");
    std::fs::write(&wrong, std::fs::read_to_string(&files[0]).unwrap().replace(">147.88<", ">147.89<")).unwrap();
    assert!(!check(&[wrong]).status.success());
}
