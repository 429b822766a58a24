//! Credit notes: what takes back an invoice that is final, or a part of it. They are numbered as invoices are, in a series of
//! their own.

use billing_books::Invoice;
use contracts::billing::{CreditNoteIssued, CreditNoteRequested, CreditSource, InvoiceId};
use kernel::{
    Cx, Granted, Handle, Id, Problem, TenantId,
    text::{Key, Note},
    use_case,
};
use money::Money;
use permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Billing,
    invoices::{InvoiceView, view},
};

/// Takes back an invoice, or a part of it, by a credit note with a number of its own. What was still to be paid is lowered;
/// what was paid becomes the tenant's credits, which can go back as money. Once under its name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreditInvoice {
    /// Whose invoice.
    tenant: TenantId,
    /// Which.
    invoice: InvoiceId,
    /// Names the credit note among those of the invoice.
    note: Key,
    /// How much, before tax; all that is left where nothing is said. The tax upon it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    net: Option<Money>,
    /// Why, as it stands on the credit note.
    reason: Note,
}

use_case!(CreditInvoice => InvoiceView, "billing.invoices.credit", Platform, may::INVOICE_MANAGE, |it| it.tenant.into());

impl Handle<CreditInvoice> for Billing {
    async fn handle(&self, it: CreditInvoice, cx: Granted<CreditInvoice>) -> Result<InvoiceView, Problem> {
        let inside = self.inside(it.tenant, &cx).await?;
        let id = Id::from_words(&["credit_note", &it.invoice.to_string(), it.note.as_str()]);
        let now = inside.now();
        let rule = |invoice: &mut Invoice| Ok(invoice.take_back(id, it.net, &it.reason, now)?);
        view(&*self.store.at(&inside).change(&it.invoice, rule).await?)
    }
}

impl Billing {
    /// Makes the credit note that was asked for, once.
    pub(crate) async fn make_credit_note(&self, event: CreditNoteRequested, cx: Cx) -> Result<(), Problem> {
        let store = self.store.at(&cx);
        if store.try_load::<Invoice>(&event.credit_note).await?.is_some() {
            return Ok(());
        }
        let (note, told) = store.load::<Invoice>(&event.invoice).await?.credit_note(&event)?;
        store.create(note, told).await.map(drop)
    }

    /// Lowers what is to be paid; what is beyond that is the tenant's to use.
    pub(crate) async fn apply_credit_note(&self, event: CreditNoteIssued, cx: Cx) -> Result<(), Problem> {
        let mut beyond = Money::zero(event.total.currency());
        let lower = |invoice: &mut Invoice| {
            let (rest, told) = invoice.lower(event.credit_note, event.total)?;
            beyond = rest;
            Ok(told)
        };
        self.store.at(&cx).change(&event.invoice, lower).await?;
        if beyond.minor() > 0 {
            self.credit(format!("credit_note/{}", event.credit_note), beyond, CreditSource::CreditNote, &cx).await?;
        }
        Ok(())
    }
}
