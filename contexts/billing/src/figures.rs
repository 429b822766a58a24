//! Money figures over all tenants, for whoever runs the installation. They follow what the ledger follows; tenants on test
//! clocks are left out.

use std::collections::BTreeMap;

use billing_books::{Customer, customer::Moves};
use contracts::{
    billing::{
        InvoiceCredited, InvoiceGenerated, InvoiceId, InvoiceOverdue, InvoiceSettled, InvoiceVoided, PaymentProcessed,
    },
    tenants::TenantErasureRequested,
};
use kernel::{Aggregate, Cx, Envelope, Granted, Handle, Happened, List, Problem, TenantId, use_case};
use money::{Currency, Money};
use permissions as may;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Loaded, Page};

use crate::Billing;

/// Customers of one plan.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PlanFigures {
    plan: String,
    customers: u64,
    /// What they pay a month.
    monthly: Money,
}

/// What changed in a month.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MonthFigures {
    /// As `2027-01`.
    month: String,
    new: Money,
    expansion: Money,
    /// At most nothing.
    contraction: Money,
    /// At most nothing.
    churn: Money,
}

/// All that is in one currency.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Figures {
    currency: Currency,
    /// Tenants that pay.
    customers: u64,
    /// What they pay a month: what comes back with each period, without use and coupons (MRR).
    monthly: Money,
    /// Twelve times that (ARR).
    yearly: Money,
    /// Net, of all invoices that are final and not void: the sum of the accounts `revenue`, but for its sign.
    sold: Money,
    /// What is to be paid: the sum of the accounts `receivable`.
    outstanding: Money,
    /// What of it is late.
    overdue: Money,
    plans: Vec<PlanFigures>,
    /// The last two years, the oldest month first.
    months: Vec<MonthFigures>,
}

/// Money figures, by currency.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadFigures {}

use_case!(ReadFigures => Vec<Figures>, "billing.figures.read", Platform, may::FIGURES, Tell);

/// Sums of one currency.
struct Sums {
    customers: u64,
    monthly: Money,
    sold: Money,
    outstanding: Money,
    overdue: Money,
    plans: BTreeMap<String, (u64, Money)>,
    months: BTreeMap<String, Moves>,
}

impl Sums {
    const fn none(currency: Currency) -> Self {
        let nothing = Money::zero(currency);
        Self {
            customers: 0,
            monthly: nothing,
            sold: nothing,
            outstanding: nothing,
            overdue: nothing,
            plans: BTreeMap::new(),
            months: BTreeMap::new(),
        }
    }

    fn shown(self, currency: Currency) -> Result<Figures, Problem> {
        let plan = |(plan, (customers, monthly))| PlanFigures { plan, customers, monthly };
        let month = |(month, it): (String, Moves)| MonthFigures {
            month,
            new: it.new,
            expansion: it.expansion,
            contraction: it.contraction,
            churn: it.churn,
        };
        Ok(Figures {
            currency,
            customers: self.customers,
            monthly: self.monthly,
            yearly: self.monthly.share(12, 1).map_err(billing_rules::Refusal::from)?,
            sold: self.sold,
            outstanding: self.outstanding,
            overdue: self.overdue,
            plans: self.plans.into_iter().map(plan).collect(),
            months: self.months.into_iter().map(month).collect(),
        })
    }
}

fn add(all: &mut BTreeMap<Currency, Sums>, it: &Customer) -> Result<(), billing_rules::Refusal> {
    if let Some(monthly) = it.recurring() {
        let sums = all.entry(monthly.currency()).or_insert_with(|| Sums::none(monthly.currency()));
        (sums.customers, sums.monthly) = (sums.customers + 1, sums.monthly.plus(monthly)?);
        let plan = sums.plans.entry(it.plan().unwrap_or_default().to_owned());
        let plan = plan.or_insert((0, Money::zero(monthly.currency())));
        *plan = (plan.0 + 1, plan.1.plus(monthly)?);
    }
    for sold in it.sold() {
        let sums = all.entry(sold.currency()).or_insert_with(|| Sums::none(sold.currency()));
        sums.sold = sums.sold.plus(sold)?;
    }
    for (open, late) in it.open() {
        let sums = all.entry(open.currency()).or_insert_with(|| Sums::none(open.currency()));
        sums.outstanding = sums.outstanding.plus(open)?;
        if late {
            sums.overdue = sums.overdue.plus(open)?;
        }
    }
    for (month, moves) in it.moves() {
        let currency = moves.new.currency();
        let sums = all.entry(currency).or_insert_with(|| Sums::none(currency));
        let known = sums.months.entry(month.to_owned()).or_insert(Moves::none(currency));
        *known = known.plus(moves)?;
    }
    Ok(())
}

impl Handle<ReadFigures> for Billing {
    async fn handle(&self, _: ReadFigures, cx: Granted<ReadFigures>) -> Result<Vec<Figures>, Problem> {
        let mut all = BTreeMap::new();
        self.store.at(&cx).each(("all", ""), 200, |it: Loaded<Customer>| Ok(add(&mut all, &it)?)).await?;
        all.into_iter().map(|(currency, sums)| sums.shown(currency)).collect()
    }
}

/// A tenant that buys.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CustomerView {
    tenant: TenantId,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    /// What it pays a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    monthly: Option<Money>,
    /// What it has to pay, by invoice.
    open: Vec<Money>,
    /// How many of these are late.
    late: usize,
}

/// The tenants that buy, or those of them that are in arrears.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListCustomers {
    /// Only those that have not paid in time.
    #[serde(default)]
    late: bool,
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListCustomers => List<CustomerView>, "billing.customers.list", Platform, may::FIGURES, Tell);

impl Handle<ListCustomers> for Billing {
    async fn handle(&self, it: ListCustomers, cx: Granted<ListCustomers>) -> Result<List<CustomerView>, Problem> {
        let (index, page) = (if it.late { "late" } else { "all" }, Page::newest(it.after, it.limit));
        self.store.at(&cx).list::<Customer>(index, "", &page).await?.shown(|it| {
            let (tenant, plan, monthly) = (it.id(), it.plan().map(str::to_owned), it.recurring());
            let (open, late) = (it.open().map(|(open, _)| open).collect(), it.open().filter(|(_, late)| *late).count());
            Ok(CustomerView { tenant, plan, monthly, open, late })
        })
    }
}

/// Credits that are bought are sold with what they pay for.
const fn sold(net: Money, prepaid: bool) -> Money {
    if prepaid { Money::zero(net.currency()) } else { net }
}

impl Billing {
    /// Takes down what happened in a tenant, in the scope of the installation; nothing of a tenant that lives on a test clock.
    async fn take_down<H: Happened>(
        &self,
        cx: &Cx,
        mut rule: impl FnMut(&mut Customer) -> Result<H, Problem> + Send,
    ) -> Result<(), Problem> {
        let tenant = cx.tenant()?;
        if cx.ambient().test_clocks.of(tenant).is_some() {
            return Ok(());
        }
        // Not under the write key of the event: whether it creates or changes may differ when the event comes again.
        let platform = self.services.cx("billing", kernel::Scope::Platform).traced(cx.trace());
        let fresh = || Customer::new(tenant);
        self.store.at(&platform).upsert(&tenant, fresh, |it: &mut Customer| rule(it)).await.map(drop)
    }

    pub(crate) async fn figure_plan(&self, _: Envelope, cx: Cx) -> Result<(), Problem> {
        let (live, now) = (self.live(&cx).await?, cx.now());
        let (plan, monthly) = match &live {
            Some(it) => (it.now().map(|stand| stand.plan.plan.to_string()), it.recurring()?),
            None => (None, None),
        };
        self.take_down(&cx, |it| Ok(it.pays(plan.clone(), monthly, now)?)).await
    }

    pub(crate) async fn figure_invoice(&self, event: InvoiceGenerated, cx: Cx) -> Result<(), Problem> {
        let open = event.total.minus(event.credits).map_err(billing_rules::Refusal::from)?;
        let sold = sold(event.net, event.prepaid);
        self.take_down(&cx, |it| Ok(it.invoiced(event.invoice, sold, open)?)).await
    }

    pub(crate) async fn figure_payment(&self, event: PaymentProcessed, cx: Cx) -> Result<(), Problem> {
        self.figure_open(event.invoice, event.open, &cx).await
    }

    pub(crate) async fn figure_credited(&self, event: InvoiceCredited, cx: Cx) -> Result<(), Problem> {
        self.figure_open(event.invoice, event.open, &cx).await
    }

    /// So much of an invoice is still to be paid.
    async fn figure_open(&self, invoice: InvoiceId, open: Money, cx: &Cx) -> Result<(), Problem> {
        let rule = |it: &mut Customer| {
            it.paid(invoice, open);
            Ok(())
        };
        self.take_down(cx, rule).await
    }

    pub(crate) async fn figure_settled(&self, event: InvoiceSettled, cx: Cx) -> Result<(), Problem> {
        let rule = |it: &mut Customer| {
            it.settled(event.invoice);
            Ok(())
        };
        self.take_down(&cx, rule).await
    }

    pub(crate) async fn figure_void(&self, event: InvoiceVoided, cx: Cx) -> Result<(), Problem> {
        let sold = sold(event.net, event.prepaid);
        self.take_down(&cx, |it| Ok(it.voided(event.invoice, sold)?)).await
    }

    pub(crate) async fn figure_late(&self, event: InvoiceOverdue, cx: Cx) -> Result<(), Problem> {
        let rule = |it: &mut Customer| {
            it.late(event.invoice);
            Ok(())
        };
        self.take_down(&cx, rule).await
    }

    pub(crate) async fn figure_gone(&self, event: TenantErasureRequested, cx: Cx) -> Result<(), Problem> {
        let (store, now) = (self.store.at(&cx), cx.real_now());
        if store.try_load::<Customer>(&event.tenant).await?.is_some() {
            store.change(&event.tenant, |it: &mut Customer| Ok(it.leaves(now)?)).await?;
        }
        Ok(())
    }
}
