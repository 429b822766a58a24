//! Invoices: made of what is to be charged, told, paid, declared void, given up.

use billing_books::{
    Invoice, Seller,
    invoice::{InvoiceState, Original},
    tax::{Buyer, Tax},
};
use contracts::billing::{InvoiceId, InvoiceRequested, Line, SubscriptionId};
use kernel::{
    Aggregate, AnyEvent, Cx, Granted, Handle, List, Problem, TenantId, Timestamp, UseCase,
    context::Fired,
    text::{Key, Note},
    use_case,
};
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::Billing;
use permissions as may;

/// An invoice.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct InvoiceView {
    id: InvoiceId,
    subscription: SubscriptionId,
    state: InvoiceState,
    /// Its number and its date, once it is final.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    date: Option<Timestamp>,
    /// When it is to be paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    due: Option<Timestamp>,
    overdue: bool,
    /// Whether credits are bought by it.
    prepaid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    seller: Option<Seller>,
    #[serde(skip_serializing_if = "Option::is_none")]
    buyer: Option<Buyer>,
    lines: Vec<Line>,
    /// The sum of the lines.
    net: Money,
    tax: Tax,
    /// Both together.
    total: Money,
    /// What credits pay.
    #[serde(skip_serializing_if = "Option::is_none")]
    credits: Option<Money>,
    /// What credit notes take back, tax included: less than nothing, where there are any.
    credited: Money,
    /// What is still to be paid.
    open: Money,
    /// The invoice that it takes back, or a part of it, where it is a credit note.
    #[serde(skip_serializing_if = "Option::is_none")]
    credit_note_of: Option<Original>,
}

pub(crate) fn view(it: &Invoice) -> Result<InvoiceView, Problem> {
    Ok(InvoiceView {
        id: it.id(),
        subscription: it.subscription(),
        state: it.state(),
        number: it.numbered().map(str::to_owned),
        date: it.date(),
        due: it.due(),
        overdue: it.overdue(),
        prepaid: it.prepaid(),
        seller: it.seller().cloned(),
        buyer: it.buyer().cloned(),
        lines: it.lines().to_vec(),
        net: it.net(),
        tax: it.tax(),
        total: it.total(),
        credits: it.credits(),
        credited: it.credited()?,
        open: if it.original().is_some() { Money::zero(it.total().currency()) } else { it.open()? },
        credit_note_of: it.original().cloned(),
    })
}

impl Billing {
    /// Makes the invoice that was asked for, once.
    pub(crate) async fn make_invoice(&self, event: InvoiceRequested, cx: Cx) -> Result<(), Problem> {
        let store = self.store.at(&cx);
        if store.try_load::<Invoice>(&event.invoice).await?.is_some() {
            return Ok(());
        }
        let profile = self.profile(&cx).await?;
        let platform = self.at_platform(&cx);
        let tax = self.taxes.assess(&profile, event.net, &platform).await?;
        let seller = self.store.at(&platform).try_load::<Seller>(&Seller::ID.to_owned()).await?;
        let seller = seller.map(store::Loaded::into_inner);
        let (invoice, told) = Invoice::draft(event, (seller, profile.buyer), tax)?;
        store.create(invoice, told).await.map(drop)
    }

    pub(crate) async fn invoice_due(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let id: InvoiceId = fired.id.parse().map_err(Problem::internal)?;
        let now = cx.now();
        self.store.at(&cx).change(&id, |invoice: &mut Invoice| Ok(invoice.pass(now)?)).await.map(drop)
    }

    /// Changes an invoice of a tenant, for an operator.
    async fn settle<U: UseCase>(
        &self,
        (tenant, invoice): (TenantId, InvoiceId),
        cx: &Granted<U>,
        mut rule: impl FnMut(&mut Invoice) -> Result<Vec<AnyEvent>, billing_rules::Refusal> + Send,
    ) -> Result<InvoiceView, Problem> {
        let inside = self.inside(tenant, cx).await?;
        view(&*self.store.at(&inside).change(&invoice, |it: &mut Invoice| Ok(rule(it)?)).await?)
    }
}

/// The tenant's invoices, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListInvoices {
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListInvoices => List<InvoiceView>, "billing.invoices.list", Tenant, may::INVOICE_READ, Tell);

impl Handle<ListInvoices> for Billing {
    async fn handle(&self, it: ListInvoices, cx: Granted<ListInvoices>) -> Result<List<InvoiceView>, Problem> {
        self.store.at(&cx).list::<Invoice>("all", "", &Page::newest(it.after, it.limit)).await?.shown(view)
    }
}

/// An invoice.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadInvoice {
    /// Which.
    invoice: InvoiceId,
}

use_case!(ReadInvoice => InvoiceView, "billing.invoices.read", Tenant, may::INVOICE_READ, Tell, |it| kernel::Resource::one("invoice", it.invoice));

impl Handle<ReadInvoice> for Billing {
    async fn handle(&self, it: ReadInvoice, cx: Granted<ReadInvoice>) -> Result<InvoiceView, Problem> {
        view(&*self.store.at(&cx).load::<Invoice>(&it.invoice).await?)
    }
}

/// A tenant's invoices, the newest first, for whoever runs the installation.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListTenantInvoices {
    /// Whose.
    tenant: TenantId,
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListTenantInvoices => List<InvoiceView>, "billing.tenant_invoices.list", Platform, may::INVOICE_MANAGE, Tell, |it| it.tenant.into());

impl Handle<ListTenantInvoices> for Billing {
    async fn handle(
        &self,
        it: ListTenantInvoices,
        cx: Granted<ListTenantInvoices>,
    ) -> Result<List<InvoiceView>, Problem> {
        let inside = self.inside(it.tenant, &cx).await?;
        self.store.at(&inside).list::<Invoice>("all", "", &Page::newest(it.after, it.limit)).await?.shown(view)
    }
}

/// Records a payment that came in, such as a transfer to a bank account. Once under its name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordPayment {
    /// Whose invoice.
    tenant: TenantId,
    /// Which.
    invoice: InvoiceId,
    /// Names the payment among those of the invoice, such as the reference of the bank.
    payment: Key,
    /// How much: at most what is still to be paid.
    amount: Money,
}

use_case!(RecordPayment => InvoiceView, "billing.payments.record", Platform, may::INVOICE_MANAGE, |it| it.tenant.into());

impl Handle<RecordPayment> for Billing {
    async fn handle(&self, it: RecordPayment, cx: Granted<RecordPayment>) -> Result<InvoiceView, Problem> {
        self.settle((it.tenant, it.invoice), &cx, |invoice| invoice.pay(it.payment.as_str(), it.amount)).await
    }
}

/// Declares an invoice void that nobody paid for. It keeps its number; credits come back.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VoidInvoice {
    /// Whose invoice.
    tenant: TenantId,
    /// Which.
    invoice: InvoiceId,
    /// Why; the ledger tells it.
    reason: Note,
}

use_case!(VoidInvoice => InvoiceView, "billing.invoices.void", Platform, may::INVOICE_MANAGE, |it| it.tenant.into());

impl Handle<VoidInvoice> for Billing {
    async fn handle(&self, it: VoidInvoice, cx: Granted<VoidInvoice>) -> Result<InvoiceView, Problem> {
        self.settle((it.tenant, it.invoice), &cx, |invoice| invoice.void(&it.reason)).await
    }
}

/// Gives up what is still to be paid of an invoice.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteOffInvoice {
    /// Whose invoice.
    tenant: TenantId,
    /// Which.
    invoice: InvoiceId,
}

use_case!(WriteOffInvoice => InvoiceView, "billing.invoices.write_off", Platform, may::INVOICE_MANAGE, |it| it.tenant.into());

impl Handle<WriteOffInvoice> for Billing {
    async fn handle(&self, it: WriteOffInvoice, cx: Granted<WriteOffInvoice>) -> Result<InvoiceView, Problem> {
        self.settle((it.tenant, it.invoice), &cx, Invoice::write_off).await
    }
}
