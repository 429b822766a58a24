//! An invoice by the European standard (EN 16931-1:2017), in the syntax UBL 2.1.

use askama::Template;
use billing_books::{
    Invoice, Seller,
    invoice::Original,
    seller::BankAccount,
    tax::{Buyer, TaxId, Treatment},
};
use kernel::Timestamp;
use money::Money;

use crate::{Missing, Parties, parties};

/// Why no tax is charged: a text, and its code in the list of the Connecting Europe Facility.
struct Reason {
    code: &'static str,
    text: &'static str,
}

/// How tax is told (UNTDID 5305).
struct Category {
    id: &'static str,
    /// Per cent; what is not subject to tax has none.
    percent: Option<String>,
    reason: Option<Reason>,
}

fn category(it: &Invoice) -> Category {
    let tax = it.tax();
    let percent = Some(format!("{}.{:02}", tax.rate / 100, tax.rate % 100));
    let because = |code, text| Some(Reason { code, text });
    match tax.treatment {
        Treatment::ReverseCharge => Category { id: "AE", percent, reason: because("VATEX-EU-AE", "Reverse charge") },
        Treatment::Exempt => Category { id: "E", percent, reason: because("", "Exempt from tax") },
        Treatment::NotSet | Treatment::OutOfScope => {
            Category { id: "O", percent: None, reason: because("VATEX-EU-O", "Not subject to VAT") }
        }
        Treatment::Domestic | Treatment::Destination | Treatment::Unknown if tax.rate == 0 => {
            Category { id: "Z", percent, reason: None }
        }
        Treatment::Domestic | Treatment::Destination | Treatment::Unknown => {
            Category { id: "S", percent, reason: None }
        }
    }
}

/// A line. What is given back has a quantity below nothing, since a price is never below it (BR-27).
struct Row {
    id: usize,
    name: String,
    about: String,
    from: String,
    until: String,
    quantity: &'static str,
    price: String,
    amount: String,
}

#[derive(Template)]
#[template(path = "invoice.xml")]
struct Document<'a> {
    /// `Invoice` or `CreditNote`, which have the same parts under other names.
    kind: &'static str,
    quantity: &'static str,
    /// What a credit note takes back, and of which day that is.
    original: Option<&'a Original>,
    originally: String,
    number: &'a str,
    date: String,
    due: String,
    currency: String,
    seller: &'a Seller,
    /// An identifier that is no tax number, which may not be told where nothing is subject to tax (BR-O-02).
    seller_id: String,
    buyer: &'a Buyer,
    /// Tax numbers, where they may be told.
    seller_tax_id: Option<&'a str>,
    buyer_tax_id: Option<&'a str>,
    bank: Option<&'a BankAccount>,
    category: Category,
    base: String,
    tax: String,
    net: String,
    total: String,
    credits: String,
    open: String,
    rows: Vec<Row>,
}

fn date(it: Timestamp) -> String {
    it.strftime("%Y-%m-%d").to_string()
}

/// An amount as the document has it: a credit note tells what is taken back as more than nothing.
fn shown(it: &Invoice, amount: Money) -> Result<Money, Missing> {
    if it.original().is_none() { Ok(amount) } else { amount.negated().map_err(|_| Missing::Drawn) }
}

fn rows(it: &Invoice) -> Result<Vec<Row>, Missing> {
    let row = |(place, line): (usize, &contracts::billing::Line)| {
        let amount = shown(it, line.amount)?;
        let back = amount.is_negative();
        let unit = if back { amount.negated().map_err(|_| Missing::Drawn)? } else { amount };
        let used = line.quantity.as_ref().map(|quantity| format!("Quantity {quantity}"));
        let about: Vec<String> = used.into_iter().chain(line.explanation.iter().cloned()).collect();
        // The last day is the one before the instant at which the next period begins.
        let until = line.until.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap_or(line.until).max(line.from);
        Ok(Row {
            id: place + 1,
            name: line.text.clone(),
            about: about.join("; "),
            from: date(line.from),
            until: date(until),
            quantity: if back { "-1" } else { "1" },
            price: unit.amount(),
            amount: amount.amount(),
        })
    };
    it.lines().iter().enumerate().map(row).collect()
}

/// The invoice as UBL.
pub fn ubl(it: &Invoice) -> Result<String, Missing> {
    if it.prepaid() {
        return Err(Missing::NoSale);
    }
    let Parties { number, seller, buyer } = parties(it)?;
    let category = category(it);
    let (seller_tax, buyer_tax) = (seller.tax_id.as_ref().map(TaxId::as_str), buyer.tax_id.as_ref().map(TaxId::as_str));
    let subject = category.id != "O";
    if subject && seller_tax.is_none() {
        return Err(Missing::SellerTaxId);
    }
    let registration = seller.registration.as_ref().map(ToString::to_string);
    let seller_id = registration.or_else(|| seller_tax.map(str::to_owned)).ok_or(Missing::SellerTaxId)?;
    let credits = it.credits().unwrap_or(Money::zero(it.total().currency()));
    let open = shown(it, it.total().minus(credits).map_err(|_| Missing::Drawn)?)?;
    let (kind, quantity) = match it.original() {
        None => ("Invoice", "InvoicedQuantity"),
        Some(_) => ("CreditNote", "CreditedQuantity"),
    };
    let issued = it.date().ok_or(Missing::Number)?;
    let document = Document {
        kind,
        quantity,
        original: it.original(),
        originally: it.original().map(|of| date(of.date)).unwrap_or_default(),
        number,
        date: date(issued),
        due: date(it.due().unwrap_or(issued)),
        currency: it.total().currency().to_string(),
        seller,
        seller_id,
        buyer,
        seller_tax_id: seller_tax.filter(|_| subject),
        buyer_tax_id: buyer_tax.filter(|_| subject),
        bank: seller.bank_account.as_ref().filter(|_| it.original().is_none()),
        category,
        base: shown(it, it.net())?.amount(),
        tax: shown(it, it.tax().amount)?.amount(),
        net: shown(it, it.net())?.amount(),
        total: shown(it, it.total())?.amount(),
        credits: credits.amount(),
        open: open.amount(),
        rows: rows(it)?,
    };
    document.render().map_err(|_| Missing::Drawn)
}
