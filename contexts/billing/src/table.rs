//! The table: one line a route, a reaction, a timer.

use std::sync::Arc;

use contracts::billing::{
    CreditLeft, CreditNoteIssued, CreditNoteRequested, CreditsExpired, CreditsGranted, InvoiceCredited, InvoiceDrafted,
    InvoiceGenerated, InvoiceOverdue, InvoiceRequested, InvoiceSettled, InvoiceVoided, InvoiceWrittenOff,
    InvoicesNumbered, PaymentProcessed, PlanDowngraded, PlanUpgraded, QuantitiesChanged, SubscriptionCreated,
    SubscriptionStateChanged,
};
use contracts::{
    payments::{DisputeClosed, DisputeOpened, PaymentRefunded},
    tenants::TenantErasureRequested,
};
use events::Services;
use http::Method;
use kernel::{Calls, Context, Event};
use payments::{Gateways, Payments};
use store::Store;

use crate::{
    Billing, PERMISSIONS,
    coupons::{DefineCoupon, ListCoupons},
    credit_notes::CreditInvoice,
    credits::{GrantCredits, ReadCredits},
    figures::{ListCustomers, ReadFigures},
    invoices::{ListInvoices, ListTenantInvoices, ReadInvoice, RecordPayment, VoidInvoice, WriteOffInvoice},
    ledger::{ListTransactions, ReadBalances},
    numbering::{ListSeries, Numbers},
    plans::{ListOffers, ListPlans, PublishPlan, ReadPlan},
    subscribing::{
        AgreeToPay, CancelSubscription, ChangeSubscription, KeepSubscription, PauseSubscription, PreviewChange,
        ReadSubscription, ResumeSubscription, Subscribe,
    },
    tax::{ExemptTenant, ReadProfile, ReadSeller, ReadTaxRates, SetSeller, SetTaxRates, Taxes, UpdateProfile},
    usage::{CorrectUsage, ReadEvidence, ReadUsage, ReportUsage},
};

/// Hands what happened to a method.
macro_rules! to {
    ($it:ident.$method:ident) => {{
        let it = Arc::clone(&$it);
        move |what, cx| {
            let it = Arc::clone(&it);
            async move { it.$method(what, cx).await }
        }
    }};
}

/// How money comes in: gateways, and the origin of the pages of invoices.
pub struct Means {
    /// The gateways that are connected.
    pub gateways: Gateways,
    /// The origin of the installation.
    pub origin: String,
}

/// The context, with its table.
pub fn context(store: Store, calls: Calls, services: Services, taxes: Arc<dyn Taxes>, means: Means) -> Context {
    let Means { gateways, origin } = means;
    let payments = Arc::new(Payments::new(store.clone(), calls.clone(), services.clone(), gateways, origin));
    let it = Arc::new(Billing { store, calls, services, taxes, numbers: Numbers::default() });
    let context =
        Context::new("billing", PERMISSIONS).about("Plans, subscriptions, use, invoices, credits, the ledger");
    payments::mount(reactions(of_a_tenant(of_the_operator(context, &it), &it), &it), &payments)
}

fn of_the_operator(context: Context, it: &Arc<Billing>) -> Context {
    context
        .route::<ListPlans, _>(Method::GET, "/v1/plans", it)
        .route::<ReadPlan, _>(Method::GET, "/v1/plans/{plan}", it)
        .route::<PublishPlan, _>(Method::PUT, "/v1/plans/{plan}", it)
        .route::<ListCoupons, _>(Method::GET, "/v1/coupons", it)
        .route::<DefineCoupon, _>(Method::PUT, "/v1/coupons/{coupon}", it)
        .route::<ReadTaxRates, _>(Method::GET, "/v1/tax-rates", it)
        .route::<SetTaxRates, _>(Method::PUT, "/v1/tax-rates", it)
        .route::<ReadFigures, _>(Method::GET, "/v1/figures", it)
        .route::<ListCustomers, _>(Method::GET, "/v1/customers", it)
        .route::<ReadSeller, _>(Method::GET, "/v1/seller", it)
        .route::<SetSeller, _>(Method::PUT, "/v1/seller", it)
        .route::<ListSeries, _>(Method::GET, "/v1/invoice-series", it)
        .route::<ExemptTenant, _>(Method::PUT, "/v1/tenants/{tenant}/tax-exemption", it)
        .route::<GrantCredits, _>(Method::PUT, "/v1/tenants/{tenant}/credits/{grant}", it)
        .route::<CorrectUsage, _>(Method::PUT, "/v1/tenants/{tenant}/usage-corrections/{correction}", it)
        .route::<ListTenantInvoices, _>(Method::GET, "/v1/tenants/{tenant}/invoices", it)
        .route::<RecordPayment, _>(Method::PUT, "/v1/tenants/{tenant}/invoices/{invoice}/payments/{payment}", it)
        .route::<VoidInvoice, _>(Method::POST, "/v1/tenants/{tenant}/invoices/{invoice}/void", it)
        .route::<CreditInvoice, _>(Method::PUT, "/v1/tenants/{tenant}/invoices/{invoice}/credit-notes/{note}", it)
        .route::<WriteOffInvoice, _>(Method::POST, "/v1/tenants/{tenant}/invoices/{invoice}/write-off", it)
}

fn of_a_tenant(context: Context, it: &Arc<Billing>) -> Context {
    context
        .route::<ListOffers, _>(Method::GET, "/v1/offers", it)
        .route::<Subscribe, _>(Method::POST, "/v1/subscription", it)
        .route::<ReadSubscription, _>(Method::GET, "/v1/subscription", it)
        .route::<ChangeSubscription, _>(Method::POST, "/v1/subscription/changes", it)
        .route::<PreviewChange, _>(Method::POST, "/v1/subscription/preview", it)
        .route::<AgreeToPay, _>(Method::POST, "/v1/subscription/agree", it)
        .route::<CancelSubscription, _>(Method::POST, "/v1/subscription/cancel", it)
        .route::<KeepSubscription, _>(Method::POST, "/v1/subscription/keep", it)
        .route::<PauseSubscription, _>(Method::POST, "/v1/subscription/pause", it)
        .route::<ResumeSubscription, _>(Method::POST, "/v1/subscription/resume", it)
        .route::<ReadProfile, _>(Method::GET, "/v1/billing-profile", it)
        .route::<UpdateProfile, _>(Method::PUT, "/v1/billing-profile", it)
        .route::<ReportUsage, _>(Method::POST, "/v1/usage", it)
        .route::<ReadUsage, _>(Method::GET, "/v1/usage", it)
        .route::<ReadEvidence, _>(Method::GET, "/v1/usage/evidence", it)
        .route::<ListInvoices, _>(Method::GET, "/v1/invoices", it)
        .route::<ReadInvoice, _>(Method::GET, "/v1/invoices/{invoice}", it)
        .route::<ReadCredits, _>(Method::GET, "/v1/credits", it)
        .route::<ListTransactions, _>(Method::GET, "/v1/ledger/transactions", it)
        .route::<ReadBalances, _>(Method::GET, "/v1/ledger/balances", it)
}

fn reactions(context: Context, it: &Arc<Billing>) -> Context {
    context
        .on_any("entitle_at_start", SubscriptionCreated::TYPE, to!(it.entitle))
        .on_any("entitle_in_state", SubscriptionStateChanged::TYPE, to!(it.entitle))
        .on_any("entitle_to_more", PlanUpgraded::TYPE, to!(it.entitle))
        .on_any("entitle_to_less", PlanDowngraded::TYPE, to!(it.entitle))
        .on_any("entitle_to_quantities", QuantitiesChanged::TYPE, to!(it.entitle))
        .on::<SubscriptionCreated, _, _>("activate", to!(it.activate))
        .on::<InvoiceRequested, _, _>("make_invoice", to!(it.make_invoice))
        .on::<InvoiceDrafted, _, _>("number_invoice", to!(it.invoice_drafted))
        .on::<CreditNoteRequested, _, _>("make_credit_note", to!(it.make_credit_note))
        .on::<CreditNoteIssued, _, _>("apply_credit_note", to!(it.apply_credit_note))
        .on::<InvoiceCredited, _, _>("figure_credited", to!(it.figure_credited))
        .on::<InvoicesNumbered, _, _>("finalise_invoices", to!(it.numbered))
        .on::<InvoiceGenerated, _, _>("post_invoice", to!(it.post_invoice))
        .on::<InvoiceVoided, _, _>("post_void", to!(it.post_void))
        .on::<InvoiceVoided, _, _>("return_credits", to!(it.credits_return))
        .on::<PaymentProcessed, _, _>("post_payment", to!(it.post_payment))
        .on::<InvoiceWrittenOff, _, _>("post_write_off", to!(it.post_write_off))
        .on_any("figure_start", SubscriptionCreated::TYPE, to!(it.figure_plan))
        .on_any("figure_state", SubscriptionStateChanged::TYPE, to!(it.figure_plan))
        .on_any("figure_more", PlanUpgraded::TYPE, to!(it.figure_plan))
        .on_any("figure_less", PlanDowngraded::TYPE, to!(it.figure_plan))
        .on_any("figure_quantities", QuantitiesChanged::TYPE, to!(it.figure_plan))
        .on::<InvoiceGenerated, _, _>("figure_invoice", to!(it.figure_invoice))
        .on::<PaymentProcessed, _, _>("figure_payment", to!(it.figure_payment))
        .on::<InvoiceSettled, _, _>("figure_settled", to!(it.figure_settled))
        .on::<InvoiceVoided, _, _>("figure_void", to!(it.figure_void))
        .on::<InvoiceOverdue, _, _>("figure_late", to!(it.figure_late))
        .on::<TenantErasureRequested, _, _>("figure_gone", to!(it.figure_gone))
        .on::<PaymentRefunded, _, _>("post_refund", to!(it.post_refund))
        .on::<DisputeOpened, _, _>("post_dispute", to!(it.post_dispute))
        .on::<DisputeClosed, _, _>("post_dispute_closed", to!(it.post_dispute_closed))
        .on::<CreditsGranted, _, _>("post_grant", to!(it.post_grant))
        .on::<CreditsExpired, _, _>("post_expiry", to!(it.post_expiry))
        .on::<PaymentProcessed, _, _>("grant_what_is_bought", to!(it.credits_bought))
        .on::<CreditLeft, _, _>("grant_what_is_left", to!(it.credit_left))
        .on::<InvoiceOverdue, _, _>("fall_behind", to!(it.falls_behind))
        .on::<InvoiceSettled, _, _>("catch_up", to!(it.catches_up))
        .timer("billing.subscription", to!(it.period_ends))
        .timer("billing.invoice", to!(it.invoice_due))
        .timer("billing.wallet", to!(it.credits_end))
}
