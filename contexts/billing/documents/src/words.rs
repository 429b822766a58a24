//! What stands on an invoice in the language of whoever gets it.

use kernel::Timestamp;
use money::Money;

/// A language that invoices are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English, where no other fits.
    #[default]
    English,
    /// German.
    German,
    /// French.
    French,
}

/// The words.
pub(crate) struct Words {
    pub(crate) invoice: &'static str,
    pub(crate) credit_note: &'static str,
    /// Before the number of the invoice that is taken back.
    pub(crate) takes_back: &'static str,
    pub(crate) date: &'static str,
    pub(crate) due: &'static str,
    pub(crate) to: &'static str,
    pub(crate) what: &'static str,
    pub(crate) period: &'static str,
    pub(crate) quantity: &'static str,
    pub(crate) amount: &'static str,
    pub(crate) net: &'static str,
    pub(crate) tax: &'static str,
    pub(crate) total: &'static str,
    pub(crate) credits: &'static str,
    pub(crate) open: &'static str,
    pub(crate) tax_id: &'static str,
    pub(crate) registration: &'static str,
    pub(crate) bank: &'static str,
    pub(crate) reference: &'static str,
    pub(crate) void: &'static str,
    pub(crate) reverse_charge: &'static str,
    pub(crate) exempt: &'static str,
    pub(crate) page: &'static str,
}

const ENGLISH: Words = Words {
    invoice: "Invoice",
    credit_note: "Credit note",
    takes_back: "For invoice",
    date: "Date",
    due: "To be paid by",
    to: "To",
    what: "Description",
    period: "Period",
    quantity: "Quantity",
    amount: "Amount",
    net: "Net",
    tax: "Tax",
    total: "Total",
    credits: "Paid by credits",
    open: "To be paid",
    tax_id: "Tax number",
    registration: "Register",
    bank: "By bank transfer to",
    reference: "Reference",
    void: "This invoice was declared void.",
    reverse_charge: "Reverse charge: the recipient owes the tax.",
    exempt: "Exempt from tax.",
    page: "Page",
};
const GERMAN: Words = Words {
    invoice: "Rechnung",
    credit_note: "Gutschrift",
    takes_back: "Zu Rechnung",
    date: "Datum",
    due: "Zahlbar bis",
    to: "An",
    what: "Leistung",
    period: "Zeitraum",
    quantity: "Menge",
    amount: "Betrag",
    net: "Netto",
    tax: "Steuer",
    total: "Gesamt",
    credits: "Mit Guthaben bezahlt",
    open: "Zu zahlen",
    tax_id: "USt-IdNr.",
    registration: "Register",
    bank: "Per Überweisung an",
    reference: "Verwendungszweck",
    void: "Diese Rechnung wurde storniert.",
    reverse_charge: "Steuerschuldnerschaft des Leistungsempfängers (Reverse Charge).",
    exempt: "Von der Steuer befreit.",
    page: "Seite",
};
const FRENCH: Words = Words {
    invoice: "Facture",
    credit_note: "Avoir",
    takes_back: "Sur facture",
    date: "Date",
    due: "À payer avant le",
    to: "À",
    what: "Désignation",
    period: "Période",
    quantity: "Quantité",
    amount: "Montant",
    net: "Total HT",
    tax: "TVA",
    total: "Total TTC",
    credits: "Payé par avoirs",
    open: "À payer",
    tax_id: "N° TVA",
    registration: "Registre",
    bank: "Par virement à",
    reference: "Référence",
    void: "Cette facture a été annulée.",
    reverse_charge: "Autoliquidation : la taxe est due par le preneur.",
    exempt: "Exonéré de taxe.",
    page: "Page",
};

impl Language {
    /// That of a locale such as `de-AT`.
    pub fn of(locale: &str) -> Self {
        match locale.split(['-', '_']).next().unwrap_or_default() {
            "de" => Self::German,
            "fr" => Self::French,
            _ => Self::English,
        }
    }

    /// Its code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
        }
    }

    pub(crate) const fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::German => &GERMAN,
            Self::French => &FRENCH,
        }
    }

    /// What stands between thousands, and before the rest.
    const fn marks(self) -> (char, char) {
        match self {
            Self::English => (',', '.'),
            Self::German => ('.', ','),
            // A narrow space that is not broken.
            Self::French => ('\u{202f}', ','),
        }
    }
}

/// An amount with its currency, as people write it there.
pub fn amount(it: Money, language: Language) -> String {
    let (thousands, decimal) = language.marks();
    let text = it.amount();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("\u{2212}", digits));
    let (whole, rest) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            grouped.push(thousands);
        }
        grouped.push(digit);
    }
    let rest = rest.map(|rest| format!("{decimal}{rest}")).unwrap_or_default();
    match language {
        Language::English => format!("{sign}{} {grouped}{rest}", it.currency()),
        Language::German | Language::French => format!("{sign}{grouped}{rest} {}", it.currency()),
    }
}

/// A day, as people write it there.
pub fn day(it: Timestamp, language: Language) -> String {
    let form = match language {
        Language::English => "%Y-%m-%d",
        Language::German => "%d.%m.%Y",
        Language::French => "%d/%m/%Y",
    };
    it.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_write_them() {
        let of = |minor, language| amount(Money::new(minor, "EUR".parse().unwrap()), language);
        assert_eq!(of(12_345_678, Language::English), "EUR 123,456.78");
        assert_eq!(of(-12_345_678, Language::German), "\u{2212}123.456,78 EUR");
        assert_eq!(of(1_00, Language::of("fr-CA")), "1,00 EUR");
        assert_eq!(amount(Money::new(1_234, "JPY".parse().unwrap()), Language::English), "JPY 1,234");
        assert_eq!(day("2027-03-09T23:00:00Z".parse().unwrap(), Language::of("de_AT")), "09.03.2027");
    }
}
