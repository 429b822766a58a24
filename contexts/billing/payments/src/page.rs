//! The page of an invoice, at a link that whoever pays gets by mail. It works without signing in, in the scope of the
//! installation: a tenant that is suspended for the invoice could not sign in to pay it.
//!
//! The link is a capability: it names a tenant and an invoice, and is signed by a key of the installation's. It shows that
//! invoice and lets it be paid, by what the tenant saved or by what is saved then: that is the tenant's way to pay from there
//! on, as the page says.

use askama::Template;
use billing_books::{Attempt, Invoice, attempt::AttemptState, invoice::InvoiceState, seller::BankAccount};
use billing_documents::{Language, amount, day};
use billing_gateways::Setup;
use bytes::Bytes;
use contracts::{billing::InvoiceId, payments::AttemptId, tenants::ReadSettings};
use data_encoding::BASE64URL_NOPAD;
use http::{Method, Request, Response, StatusCode, header};
use kernel::{
    Aggregate, Claim, Cx, Granted, Handle, Id, Problem, ProblemKind, Scope, TenantId, context::Body, use_case,
};
use look::Answer;
use permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::{
    Payments,
    gateways::problem,
    refunds::{AttemptView, view},
};

/// Bytes of the signature: as many as nobody guesses.
const SIGNATURE: usize = 20;

/// What the page asks for.
enum Asks {
    /// Nothing is to be paid, and why.
    Nothing(&'static str),
    /// It is not known yet what becomes of a payment.
    Waits,
    /// Whoever pays has to confirm it there.
    Confirm(String),
    /// To pay.
    Pay,
}

#[derive(Template)]
#[template(path = "pay.html")]
struct Page {
    title: String,
    /// The address of the page itself.
    here: String,
    number: String,
    trouble: String,
    date: String,
    due: String,
    to: Option<String>,
    lines: Vec<(String, String)>,
    sums: Vec<(&'static str, String)>,
    asks: Asks,
    open: String,
    method: Option<String>,
    online: bool,
    bank: Option<BankAccount>,
}

fn refused() -> Problem {
    Problem::new(ProblemKind::NotFound, "billing.link_refused", "this link is not whole, or not one of ours")
        .hint("open it again from the mail, or sign in to see your invoices")
}

fn see_other(to: &str) -> Answer {
    let answer = Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, to);
    answer.header(header::CACHE_CONTROL, "no-store").body(Body::from(Bytes::new())).map_err(Problem::internal)
}

fn field(from: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(from).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Pays an invoice now, by the preferred way to pay. Where whoever pays has to confirm it, `action` says where; from there
/// they come back to the page of the invoice.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PayInvoice {
    /// Which.
    invoice: InvoiceId,
}

use_case!(PayInvoice => AttemptView, "billing.invoices.pay", Tenant, may::INVOICE_PAY);

impl Handle<PayInvoice> for Payments {
    async fn handle(&self, it: PayInvoice, cx: Granted<PayInvoice>) -> Result<AttemptView, Problem> {
        self.store.at(&cx).load::<Invoice>(&it.invoice).await?;
        let attempt = self.pay_now(it.invoice, &cx).await?;
        Ok(view(&*self.store.at(&cx).load::<Attempt>(&attempt).await?))
    }
}

/// The address of an invoice's page, which works without signing in: for whoever is to pay it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkInvoice {
    /// Which.
    invoice: InvoiceId,
}

/// An address.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct InvoiceLink {
    url: String,
}

use_case!(LinkInvoice => InvoiceLink, "billing.invoices.link", Tenant, may::INVOICE_READ, Tell);

impl Handle<LinkInvoice> for Payments {
    async fn handle(&self, it: LinkInvoice, cx: Granted<LinkInvoice>) -> Result<InvoiceLink, Problem> {
        self.store.at(&cx).load::<Invoice>(&it.invoice).await?;
        Ok(InvoiceLink { url: self.link(cx.tenant()?, it.invoice) })
    }
}

impl Payments {
    fn signature(&self, named: &[u8]) -> Vec<u8> {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.store.keys().derived("billing/pay"));
        ring::hmac::sign(&key, named).as_ref().iter().copied().take(SIGNATURE).collect()
    }

    /// The address of the page of an invoice.
    pub(crate) fn link(&self, tenant: TenantId, invoice: InvoiceId) -> String {
        let mut token = [tenant.uuid().into_bytes(), invoice.uuid().into_bytes()].concat();
        token.extend(self.signature(&token));
        format!("{}/pay/{}", self.origin, BASE64URL_NOPAD.encode(&token))
    }

    fn opened(&self, token: &str) -> Result<(TenantId, InvoiceId), Problem> {
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| refused())?;
        let (named, signature) = bytes.split_at_checked(32).ok_or_else(refused)?;
        if !bool::from(self.signature(named).as_slice().ct_eq(signature)) {
            return Err(refused());
        }
        let id = |bytes: &[u8]| bytes.try_into().map(uuid::Uuid::from_bytes).map_err(|_| refused());
        let (tenant, invoice) = named.split_at_checked(16).ok_or_else(refused)?;
        Ok((Id::from_uuid(id(tenant)?), Id::from_uuid(id(invoice)?)))
    }

    /// Asks for the money while somebody is there, and tells by which attempt.
    async fn pay_now(&self, invoice: InvoiceId, cx: &Cx) -> Result<AttemptId, Problem> {
        if let Some(under_way) = self.call_off(invoice, cx).await? {
            return Ok(under_way);
        }
        let back = self.link(cx.tenant()?, invoice);
        let Some(attempt) = self.collect(invoice, Some(back), &[], cx).await? else {
            return Err(Problem::new(
                ProblemKind::Refused,
                "billing.nothing_to_pay",
                "nothing is to be paid, or by nothing",
            )
            .hint("save a way to pay with POST /v1/payment-methods/setup, and look at the state of the invoice"));
        };
        // The timer would take the same step a moment later.
        self.step(attempt, cx).await?;
        Ok(attempt)
    }

    /// The invoice as a document, in the tenant's language.
    pub(crate) async fn document(&self, it: &Invoice, form: &str, inside: &Cx) -> Answer {
        let (bytes, media) = match form {
            "pdf" => (billing_documents::pdf(it, self.language(inside).await?)?, "application/pdf"),
            _ => (billing_documents::ubl(it)?.into_bytes(), "application/xml"),
        };
        let named = format!("attachment; filename=\"{}.{form}\"", it.numbered().unwrap_or("invoice"));
        let answer = Response::builder().header(header::CONTENT_TYPE, media).header(header::CONTENT_DISPOSITION, named);
        let answer = answer.header(header::CACHE_CONTROL, "no-store").header(header::REFERRER_POLICY, "no-referrer");
        answer.body(Body::from(bytes)).map_err(Problem::internal)
    }

    /// The language that the tenant's invoices are in.
    pub(crate) async fn language(&self, inside: &Cx) -> Result<Language, Problem> {
        Ok(Language::of(&self.calls.call(ReadSettings {}, inside).await?.locale))
    }

    /// A document by the link of the page, for whoever has it.
    pub(crate) async fn linked_document(&self, request: Request<Bytes>, cx: Cx) -> Answer {
        let mut path = request.uri().path().rsplit('/');
        let (form, token) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
        let (tenant, invoice) = self.opened(token)?;
        let inside = self.services.cx("billing", Scope::Tenant(tenant)).traced(cx.trace());
        let it = self.store.at(&inside).load::<Invoice>(&invoice).await?;
        self.document(&it, form.rsplit('.').next().unwrap_or_default(), &inside).await
    }

    /// A document of the tenant's own.
    pub(crate) async fn own_document(&self, request: Request<Bytes>, cx: Cx) -> Answer {
        let mut path = request.uri().path().rsplit('/');
        let (form, invoice) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
        let invoice: InvoiceId = invoice.parse().map_err(|_| Problem::not_found("invoice"))?;
        let it = self.store.at(&cx).load::<Invoice>(&invoice).await?;
        self.document(&it, form, &cx).await
    }

    /// The page, what its buttons do, and what follows when whoever pays comes back from the gateway.
    pub(crate) async fn pay_page(&self, request: Request<Bytes>, cx: Cx) -> Answer {
        let answer = self.page(&request, &cx).await;
        look::shown(answer, look::wants_pages(&request), &self.calls, &cx).await
    }

    async fn page(&self, request: &Request<Bytes>, cx: &Cx) -> Answer {
        let token = request.uri().path().rsplit('/').next().unwrap_or_default();
        let (tenant, invoice) = self.opened(token)?;
        // Whoever has the link acts for the tenant, in this alone.
        let inside = self.services.cx("billing", Scope::Tenant(tenant)).traced(cx.trace());
        let it = self.store.at(&inside).load::<Invoice>(&invoice).await?.into_inner();
        let here = self.link(tenant, invoice);
        if request.method() == Method::POST {
            return match field(request.body(), "act").as_deref() {
                Some("pay") => {
                    let attempt = self.pay_now(invoice, &inside).await?;
                    let attempt = self.store.at(&inside).load::<Attempt>(&attempt).await?;
                    let action = attempt.action().filter(|_| attempt.state() == AttemptState::ActionRequired);
                    see_other(action.unwrap_or(&here))
                }
                Some("set_up") => {
                    let country = it.buyer().map(|buyer| buyer.country);
                    let gateway = self.gateways.offered(it.total().currency(), country)?;
                    let customer = self.customer(gateway.name(), &inside).await?;
                    let back = format!("{here}?gateway={}", gateway.name());
                    let to = Setup { tenant, customer, currency: it.total().currency(), back };
                    see_other(&gateway.setup(&to).await.map_err(problem)?.url)
                }
                _ => Err(Problem::invalid_field("/act", "expected pay or set_up")),
            };
        }
        let query = request.uri().query().unwrap_or_default().as_bytes();
        if let (Some(gateway), Some(session)) = (field(query, "gateway"), field(query, "session")) {
            let session = session.try_into().map_err(|_| refused())?;
            // Whoever came back without saving anything pays nothing. What was told by the gateway before may be paid by now.
            if self.take(&gateway, &session, &inside).await?.is_some() && self.collectible(invoice, &inside).await? {
                self.pay_now(invoice, &inside).await?;
            }
            return see_other(&here);
        }
        let shown = self.shown(&it, &inside).await?;
        let mut answer = look::content(StatusCode::OK, &shown.title.clone(), &shown)?;
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
        // The address is a secret of whoever pays.
        headers.insert(header::REFERRER_POLICY, http::HeaderValue::from_static("no-referrer"));
        Ok(answer)
    }

    async fn collectible(&self, invoice: InvoiceId, inside: &Cx) -> Result<bool, Problem> {
        Ok(self.store.at(inside).load::<Invoice>(&invoice).await?.state() == InvoiceState::Open)
    }

    async fn shown(&self, it: &Invoice, inside: &Cx) -> Result<Page, Problem> {
        let language = self.language(inside).await?;
        let (amount, day) = (|it| amount(it, language), |it| day(it, language));
        let number = it.numbered().unwrap_or("a draft").to_owned();
        let claim = Claim::new("invoice", it.id().to_string());
        let attempt = self.store.at(inside).find::<Attempt>(&claim).await?;
        let asks = match (it.state(), attempt.as_deref()) {
            (InvoiceState::Draft, _) => Asks::Nothing("This invoice is not final yet."),
            (InvoiceState::Paid, _) => Asks::Nothing("This invoice is paid. Thank you."),
            (InvoiceState::Void, _) => Asks::Nothing("This invoice was declared void. Nothing is to be paid."),
            (InvoiceState::Uncollectible, _) => Asks::Nothing("Nothing is asked for any more."),
            (InvoiceState::Open, None) => Asks::Pay,
            (InvoiceState::Open, Some(attempt)) => match (attempt.state(), attempt.action()) {
                (AttemptState::ActionRequired, Some(url)) => Asks::Confirm(url.to_owned()),
                // Whoever was away has to be there: it begins anew.
                (AttemptState::ActionRequired, None) => Asks::Pay,
                _ => Asks::Waits,
            },
        };
        let last = store::Page { after: None, limit: 1, newest_first: true };
        let last = self.store.at(inside).list::<Attempt>("invoice", &it.id().to_string(), &last).await?;
        let declined = last.items.first().filter(|it| it.state() == AttemptState::Declined).and_then(|it| it.code());
        let trouble = declined.map(|code| format!("The last attempt did not succeed ({}).", code.replace('_', " ")));
        let mut sums = vec![("Net", amount(it.net())), ("Tax", amount(it.tax().amount)), ("Total", amount(it.total()))];
        sums.extend(it.credits().filter(|it| !it.is_zero()).map(|it| ("Paid by credits", amount(it))));
        let methods = self.methods(inside).await?;
        let method = methods.all().iter().find(|it| self.gateways.get(&it.gateway).is_some());
        Ok(Page {
            title: format!("Invoice {number}"),
            here: self.link(inside.tenant()?, it.id()),
            number,
            trouble: trouble.unwrap_or_default(),
            date: it.date().map(day).unwrap_or_default(),
            due: it.due().map(day).unwrap_or_default(),
            to: it.buyer().map(|buyer| buyer.name.to_string()),
            lines: it.lines().iter().map(|line| (line.text.clone(), amount(line.amount))).collect(),
            sums,
            asks,
            open: amount(it.open()?),
            method: method.map(|it| it.method.label.clone()),
            online: self.gateways.names().next().is_some(),
            bank: it.seller().and_then(|seller| seller.bank_account.clone()),
        })
    }
}
