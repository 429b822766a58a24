//! Collecting: an invoice that is final is charged to what the tenant saved, by an attempt that goes on until it is known
//! what became of it.
//!
//! No commit of an attempt is made under the write key of who asks for it: what a gateway answers is different each time, and
//! is held to once by the version that was read.

use std::sync::Arc;

use billing_books::{
    Attempt, Invoice, Wallet,
    attempt::{AttemptState, By, Refund},
    invoice::InvoiceState,
    wallet::CreditUse,
};
use billing_gateways::{Charge, Failure, Gateway, Payment, Return, Returned, Standing};
use contracts::{
    billing::{CreditSource, InvoiceGenerated, InvoiceId},
    payments::{AttemptId, PaymentDeclined, PaymentMethodAdded, PaymentSucceeded, RefundFailed},
};
use kernel::{Aggregate, Claim, Cx, Id, Problem, ProblemKind, context::Fired};
use money::Money;
use store::{Loaded, Page};

use crate::Payments;

/// What an attempt says where its gateway, not the bank, did nothing: another gateway may be asked.
const GATEWAY: &str = "gateway_";
/// What it says where it made room for another.
const SUPERSEDED: &str = "superseded";

impl Payments {
    /// The service itself, with a write key of its own for each commit.
    fn anew(&self, cx: &Cx) -> Cx {
        self.services.cx("billing", cx.scope()).traced(cx.trace())
    }

    pub(crate) async fn collect_generated(&self, event: InvoiceGenerated, cx: Cx) -> Result<(), Problem> {
        // The first attempt; the event may come again when that is over.
        if self.latest(event.invoice, &cx).await?.is_empty() {
            self.collect(event.invoice, None, &[], &cx).await?;
        }
        Ok(())
    }

    /// What is still to be paid is charged to a method that was saved since, once.
    pub(crate) async fn method_added(&self, event: PaymentMethodAdded, cx: Cx) -> Result<(), Problem> {
        for invoice in self.open_invoices(&cx).await? {
            let tried = self.latest(invoice, &cx).await?.iter().any(|it| it.by().method == event.method);
            if !tried {
                self.collect(invoice, None, &[], &cx).await?;
            }
        }
        Ok(())
    }

    /// The latest attempts for an invoice, the newest first.
    async fn latest(&self, invoice: InvoiceId, cx: &Cx) -> Result<Vec<Loaded<Attempt>>, Problem> {
        let page = Page { after: None, limit: 20, newest_first: true };
        Ok(self.store.at(cx).list::<Attempt>("invoice", &invoice.to_string(), &page).await?.items)
    }

    /// Begins an attempt for what is open, by the first method that may pay; none where there is none, or nothing is open.
    /// Where one is open already, it is that one.
    pub(crate) async fn collect(
        &self,
        id: InvoiceId,
        back: Option<String>,
        without: &[&str],
        cx: &Cx,
    ) -> Result<Option<AttemptId>, Problem> {
        let (store, claim) = (self.store.at(cx), Claim::new("invoice", id.to_string()));
        let Some(invoice) = store.try_load::<Invoice>(&id).await? else { return Ok(None) };
        let open = invoice.open()?;
        if invoice.state() != InvoiceState::Open || open.minor() <= 0 {
            return Ok(None);
        }
        if let Some(known) = store.find::<Attempt>(&claim).await? {
            return Ok(Some(known.id()));
        }
        let Some(by) = self.pays(id, without, back.is_some(), cx).await? else { return Ok(None) };
        let about = invoice.numbered().unwrap_or_default().to_owned();
        // The same for the same reaction, however often it runs.
        let attempt = match cx.write_key() {
            Some(key) => Id::from_words(&["attempt", &key.0, &id.to_string()]),
            None => cx.new_id(),
        };
        let (attempt, told) = Attempt::begin((attempt, id), open, by, about, back, cx.real_now());
        let begun = attempt.id();
        match store.create(attempt, told).await {
            // Someone else began one at the same moment.
            Err(taken) if taken.kind() == ProblemKind::Conflict => {
                Ok(store.find::<Attempt>(&claim).await?.map(|known| known.id()))
            }
            outcome => outcome.map(|_| Some(begun)),
        }
    }

    /// What pays: the first of the methods that was not declined for good, at a gateway that is there.
    async fn pays(&self, invoice: InvoiceId, without: &[&str], here: bool, cx: &Cx) -> Result<Option<By>, Problem> {
        let methods = self.methods(cx).await?;
        let before = self.latest(invoice, cx).await?;
        let dead = |by: &By| {
            // Whoever is there may try what they like.
            !here && before.iter().any(|it| it.by().method == by.method && it.is_dead())
        };
        let usable = |by: &By| self.gateways.get(&by.gateway).is_some() && !without.contains(&by.gateway.as_str());
        Ok(methods.all().iter().filter_map(|it| methods.by(it.id)).find(|by| usable(by) && !dead(by)))
    }

    /// An attempt is due for its next step.
    pub(crate) async fn attempt_due(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        self.step(fired.id.parse().map_err(Problem::internal)?, &cx).await
    }

    /// Takes an attempt as far as it can be taken now.
    pub(crate) async fn step(&self, id: AttemptId, cx: &Cx) -> Result<(), Problem> {
        let cx = self.anew(cx);
        let it = self.store.at(&cx).load::<Attempt>(&id).await?;
        let Some(gateway) = self.gateways.get(&it.by().gateway) else {
            tracing::error!(gateway = it.by().gateway, "a payment gateway is not connected any more");
            let now = cx.real_now();
            return self.put(&id, &cx, |attempt| attempt.postpone(now)).await.map(drop);
        };
        if let Some(refund) = it.refunding().cloned() {
            return self.send_back(gateway, &it, &refund, &cx).await;
        }
        match (it.state(), it.reference()) {
            (AttemptState::Preparing, _) => self.prepare(gateway, &it, &cx).await,
            (AttemptState::Confirming, Some(reference)) => match gateway.look(reference).await {
                Ok(Payment { standing: Standing::Prepared, .. }) => self.confirm(gateway, &it, &cx).await,
                outcome => self.learn(&id, outcome, &cx).await,
            },
            (AttemptState::ActionRequired, Some(reference)) => {
                let lapsed = it.lapsed(cx.real_now());
                let outcome = if lapsed { gateway.cancel(reference).await } else { gateway.look(reference).await };
                self.learn(&id, outcome, &cx).await
            }
            _ => Ok(()),
        }
    }

    async fn put<H: kernel::Happened>(
        &self,
        id: &AttemptId,
        cx: &Cx,
        mut rule: impl FnMut(&mut Attempt) -> H + Send,
    ) -> Result<Loaded<Attempt>, Problem> {
        self.store.at(cx).change(id, |it: &mut Attempt| Ok(rule(it))).await
    }

    /// What a gateway answered, or that it did not.
    async fn learn(&self, id: &AttemptId, outcome: Result<Payment, Failure>, cx: &Cx) -> Result<(), Problem> {
        let now = cx.real_now();
        match outcome {
            Ok(payment) => self.put(id, cx, |it| it.told(&payment, now)).await.map(drop),
            Err(failure) => {
                tracing::warn!(attempt = %id, %failure, "a payment gateway was asked in vain");
                self.put(id, cx, |it| it.wait(now)).await.map(drop)
            }
        }
    }

    async fn prepare(&self, gateway: &Arc<dyn Gateway>, it: &Attempt, cx: &Cx) -> Result<(), Problem> {
        let (id, now) = (it.id(), cx.real_now());
        match gateway.prepare(&charge(it, cx)?).await {
            Ok(reference) => {
                // Before any money moves, it is written down what it moves by.
                let known = self.put(&id, cx, |attempt| attempt.prepared(&reference, now)).await?;
                if known.state() == AttemptState::Confirming && known.reference() == Some(&reference) {
                    self.confirm(gateway, &known, cx).await?;
                }
                Ok(())
            }
            Err(Failure::Refused { code, detail }) => self.refused(&id, &code, &detail, cx).await,
            Err(failure) => self.learn(&id, Err(failure), cx).await,
        }
    }

    /// The gateway did nothing, and will do nothing by this attempt.
    async fn refused(&self, id: &AttemptId, code: &str, detail: &str, cx: &Cx) -> Result<(), Problem> {
        tracing::warn!(attempt = %id, code, detail, "a payment gateway refused a payment");
        let retryable = code.starts_with(GATEWAY);
        self.put(id, cx, |attempt| attempt.decline(code, retryable)).await.map(drop)
    }

    async fn confirm(&self, gateway: &Arc<dyn Gateway>, it: &Attempt, cx: &Cx) -> Result<(), Problem> {
        let Some(reference) = it.reference() else { return Ok(()) };
        match gateway.confirm(&charge(it, cx)?, reference, &it.presence()).await {
            // It moved nothing: what was prepared is ended, unless an earlier request did more.
            Err(Failure::Refused { code, detail }) => match gateway.cancel(reference).await {
                Ok(Payment { standing: Standing::Declined { .. }, .. }) => {
                    self.refused(&it.id(), &code, &detail, cx).await
                }
                outcome => self.learn(&it.id(), outcome, cx).await,
            },
            outcome => self.learn(&it.id(), outcome, cx).await,
        }
    }

    async fn send_back(
        &self,
        gateway: &Arc<dyn Gateway>,
        it: &Attempt,
        refund: &Refund,
        cx: &Cx,
    ) -> Result<(), Problem> {
        let Some(reference) = it.reference().map(str::to_owned) else { return Ok(()) };
        if !self.take_credits(refund, cx).await? {
            let now = cx.real_now();
            return self.put(&it.id(), cx, |it| it.refunded(refund.id, Some("credits_missing"), now)).await.map(drop);
        }
        let asked = Return { refund: refund.id, reference, amount: refund.amount };
        let (id, now) = (it.id(), cx.real_now());
        match gateway.refund(&asked).await {
            Ok(Returned::Done) => self.put(&id, cx, |it| it.refunded(refund.id, None, now)).await.map(drop),
            // Not where it was not heard at all: an earlier request may have sent it.
            Err(Failure::Refused { code, detail }) if !code.starts_with(GATEWAY) => {
                tracing::warn!(attempt = %id, code, detail, "a payment gateway refused a refund");
                self.put(&id, cx, |it| it.refunded(refund.id, Some(&code), now)).await.map(drop)
            }
            Ok(Returned::Pending) | Err(_) => self.put(&id, cx, |it| it.refund_waits(now)).await.map(drop),
        }
    }

    /// What goes back is the tenant's to use no more. Tells whether there was as much.
    async fn take_credits(&self, refund: &Refund, cx: &Cx) -> Result<bool, Problem> {
        let (now, id) = (cx.now(), Wallet::ID.to_owned());
        let rule = |wallet: &mut Wallet| Ok(wallet.withdraw(refund.id, refund.amount, now)?);
        match self.store.at(cx).change(&id, rule).await {
            Err(few) if few.code() == "billing.too_few_credits" => Ok(false),
            outcome => outcome.map(|_| true),
        }
    }

    /// Makes room for another attempt of whoever is there: ends one that waits for them, and tells the one that cannot be
    /// ended, because it is not known yet what becomes of it.
    pub(crate) async fn call_off(&self, invoice: InvoiceId, cx: &Cx) -> Result<Option<AttemptId>, Problem> {
        let claim = Claim::new("invoice", invoice.to_string());
        let Some(it) = self.store.at(cx).find::<Attempt>(&claim).await? else { return Ok(None) };
        let cx = self.anew(cx);
        match (it.state(), it.reference(), self.gateways.get(&it.by().gateway)) {
            (AttemptState::Preparing, ..) => {
                // Unless it went on meanwhile.
                let rule = |attempt: &mut Attempt| match attempt.state() {
                    AttemptState::Preparing => attempt.decline(SUPERSEDED, true),
                    _ => Vec::new(),
                };
                Ok(self.put(&it.id(), &cx, rule).await?.state().is_open().then_some(it.id()))
            }
            (AttemptState::ActionRequired, Some(reference), Some(gateway)) => {
                self.learn(&it.id(), gateway.cancel(reference).await, &cx).await?;
                let now = self.store.at(&cx).load::<Attempt>(&it.id()).await?;
                Ok(now.state().is_open().then_some(it.id()))
            }
            _ => Ok(Some(it.id())),
        }
    }

    /// Money came in: it pays the invoice, and what is beyond that is the tenant's to use.
    pub(crate) async fn book_payment(&self, event: PaymentSucceeded, cx: Cx) -> Result<(), Problem> {
        let (payment, mut rest) =
            (format!("{}/{}", event.gateway, event.reference), Money::zero(event.amount.currency()));
        let receive = |invoice: &mut Invoice| {
            let (beyond, told) = invoice.receive(&payment, event.amount)?;
            rest = beyond;
            Ok(told)
        };
        self.store.at(&cx).change(&event.invoice, receive).await?;
        if rest.minor() > 0 {
            self.credit(format!("paid/{payment}"), rest, CreditSource::Paid, &cx).await?;
        }
        // From here on, another attempt would find the invoice paid.
        self.put(&event.attempt, &cx, Attempt::book).await.map(drop)
    }

    /// What could not go back is the tenant's to use again.
    pub(crate) async fn keep_refund(&self, event: RefundFailed, cx: Cx) -> Result<(), Problem> {
        let rule = |wallet: &mut Wallet| Ok(wallet.give_back(CreditUse::Refund(event.refund))?);
        self.store.at(&cx).change(&Wallet::ID.to_owned(), rule).await.map(drop)
    }

    /// Where a gateway did nothing, another one is asked; what banks decline is tried again by dunning.
    pub(crate) async fn declined(&self, event: PaymentDeclined, cx: Cx) -> Result<(), Problem> {
        // Where there is a later attempt, or room was made for one, what becomes of that decides.
        let newest = self.latest(event.invoice, &cx).await?.first().map(|it| it.id());
        if newest != Some(event.attempt) || event.code == SUPERSEDED {
            return Ok(());
        }
        if event.code.starts_with(GATEWAY) {
            let another = self.collect(event.invoice, None, &[&event.gateway], &cx).await?;
            if another.is_some() {
                return Ok(());
            }
        }
        self.dun(event.invoice, &cx).await
    }
}

fn charge(it: &Attempt, cx: &Cx) -> Result<Charge, Problem> {
    let By { customer, token: method, kind, .. } = it.by().clone();
    let (attempt, tenant, about) = (it.id(), cx.tenant()?, it.about().to_owned());
    Ok(Charge { attempt, tenant, amount: it.amount(), customer, method, kind, about })
}
