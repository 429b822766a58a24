//! Invoices as documents: a PDF that people read, and UBL that programs read. The PDF is a PDF/A-3 with the UBL in it.
//!
//! An invoice that is final never changes, so neither do they: they are made when they are asked for, and not kept.

mod pdf;
mod ubl;
mod words;

use billing_books::{Invoice, Seller, tax::Buyer};
use kernel::{Problem, ProblemKind};

pub use pdf::pdf;
pub use ubl::ubl;
pub use words::{Language, amount, day};

/// Why there is no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// It has no number yet.
    #[error("the invoice is not final")]
    Number,
    /// Nobody said who sells, when it was made.
    #[error("the invoice does not say who sells")]
    Seller,
    /// The seller had to have a tax number for this.
    #[error("the invoice has tax, or says why it has none, and no tax number of the seller's")]
    SellerTaxId,
    /// Nobody said to whom it goes, when it was made.
    #[error("the invoice does not say to whom it goes")]
    Buyer,
    /// Credits are bought by it, and what they pay for has invoices of its own.
    #[error("credits that are bought are no sale yet")]
    NoSale,
    /// It cannot be drawn.
    #[error("the document cannot be made")]
    Drawn,
}

impl From<Missing> for Problem {
    fn from(missing: Missing) -> Self {
        let refused = |hint| Self::new(ProblemKind::Conflict, "billing.no_document", missing.to_string()).hint(hint);
        match missing {
            Missing::Number => refused("ask again in a moment"),
            Missing::Seller | Missing::SellerTaxId => {
                refused("whoever runs the installation sets it with PUT /v1/seller, for the invoices that follow")
            }
            Missing::Buyer => refused("say it with PUT /v1/billing-profile, for the invoices that follow"),
            Missing::NoSale => refused("ask for its PDF, or for the invoices that the credits pay for"),
            Missing::Drawn => Self::internal("an invoice cannot be drawn"),
        }
    }
}

/// What a machine-readable invoice must say.
struct Parties<'a> {
    number: &'a str,
    seller: &'a Seller,
    buyer: &'a Buyer,
}

fn parties(it: &Invoice) -> Result<Parties<'_>, Missing> {
    Ok(Parties {
        number: it.numbered().ok_or(Missing::Number)?,
        seller: it.seller().ok_or(Missing::Seller)?,
        buyer: it.buyer().ok_or(Missing::Buyer)?,
    })
}

#[cfg(test)]
mod tests;
