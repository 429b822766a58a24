//! What whoever pays is told by mail.

use std::collections::BTreeMap;

use billing_books::{Invoice, invoice::InvoiceState, tax::Profile};
use contracts::{
    billing::{InvoiceGenerated, InvoiceId, InvoiceSettled},
    notifications::TellPerson,
    payments::{DunningBegun, DunningExhausted, DunningReminded, PaymentActionRequired},
    tenants::TenantProvisioned,
};
use kernel::{Aggregate, Cx, Problem, ProblemKind};

use billing_documents::{amount, day};

use crate::Payments;

impl Payments {
    /// Whoever founded a tenant is told of its invoices until someone else is named.
    pub(crate) async fn know_contact(&self, event: TenantProvisioned, cx: Cx) -> Result<(), Problem> {
        let inside = cx.within(event.tenant)?;
        let rule = |profile: &mut Profile| {
            profile.contact = profile.contact.or(Some(event.owner));
            Ok(())
        };
        match self.store.at(&inside).upsert(&Profile::ID.to_owned(), Profile::default, rule).await {
            // Gone before it began.
            Err(gone) if gone.kind() == ProblemKind::Gone => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Tells about an invoice, once for a subject.
    async fn tell(&self, invoice: InvoiceId, template: &str, subject: &str, cx: &Cx) -> Result<(), Problem> {
        let it = self.store.at(cx).load::<Invoice>(&invoice).await?;
        let Some(user) = self.profile(cx).await?.contact else {
            tracing::warn!(%invoice, template, "nobody is named who could be told of invoices");
            return Ok(());
        };
        let language = self.language(cx).await?;
        let variables = BTreeMap::from([
            ("number".to_owned(), it.numbered().unwrap_or_default().to_owned()),
            ("amount".to_owned(), amount(it.total(), language)),
            ("due".to_owned(), it.due().map(|due| day(due, language)).unwrap_or_default()),
            ("link".to_owned(), self.link(cx.tenant()?, it.id())),
        ]);
        let id = format!("billing/{template}/{invoice}/{subject}");
        let tell = TellPerson { id, user, template: format!("billing.{template}"), variables };
        match self.calls.call(tell, cx).await {
            // They are not there any more.
            Err(gone) if matches!(gone.kind(), ProblemKind::NotFound | ProblemKind::Gone) => {
                tracing::warn!(%invoice, template, "whoever is told of invoices is not there any more");
                Ok(())
            }
            outcome => outcome,
        }
    }

    pub(crate) async fn tell_invoice(&self, event: InvoiceGenerated, cx: Cx) -> Result<(), Problem> {
        if event.total.minor() <= 0 {
            return Ok(());
        }
        self.tell(event.invoice, "invoice", "", &cx).await
    }

    pub(crate) async fn tell_receipt(&self, event: InvoiceSettled, cx: Cx) -> Result<(), Problem> {
        let it = self.store.at(&cx).load::<Invoice>(&event.invoice).await?;
        if it.state() != InvoiceState::Paid || it.total().minor() <= 0 {
            return Ok(());
        }
        self.tell(event.invoice, "receipt", "", &cx).await
    }

    pub(crate) async fn tell_failed(&self, event: DunningBegun, cx: Cx) -> Result<(), Problem> {
        self.tell(event.invoice, "failed", "", &cx).await
    }

    pub(crate) async fn tell_reminder(&self, event: DunningReminded, cx: Cx) -> Result<(), Problem> {
        self.tell(event.invoice, "reminder", &event.step.to_string(), &cx).await
    }

    pub(crate) async fn tell_suspended(&self, event: DunningExhausted, cx: Cx) -> Result<(), Problem> {
        self.tell(event.invoice, "suspended", "", &cx).await
    }

    pub(crate) async fn tell_to_confirm(&self, event: PaymentActionRequired, cx: Cx) -> Result<(), Problem> {
        // Whoever is there sees it.
        let attempt = self.store.at(&cx).load::<billing_books::Attempt>(&event.attempt).await?;
        if attempt.action().is_some() {
            return Ok(());
        }
        self.tell(event.invoice, "confirm", &event.attempt.to_string(), &cx).await
    }
}
