//! The lines of the table that are about payments.

use std::sync::Arc;

use contracts::{
    billing::{InvoiceGenerated, InvoiceOverdue, InvoiceSettled},
    payments::{
        DunningBegun, DunningEnded, DunningExhausted, DunningReminded, PaymentActionRequired, PaymentAttempted,
        PaymentDeclined, PaymentMethodAdded, PaymentSucceeded, RefundFailed,
    },
    tenants::TenantProvisioned,
};
use http::Method;
use kernel::{Context, Endpoint, ScopeKind, TimeDomain};
use permissions as may;

use crate::{
    Payments,
    dunning::{ListDunning, ReadSchedule, SetSchedule},
    methods::{AddMethod, ListMethods, PreferMethod, RemoveMethod, SetUpMethod, TakeMethod},
    page::{LinkInvoice, PayInvoice},
    reconciling::{ListReconciliations, Reconcile},
    refunds::{ListPayments, ListTenantPayments, RefundPayment},
    topping_up::TopUp,
};

/// Hands what happened to a method.
macro_rules! to {
    ($it:ident.$method:ident) => {{
        let it = Arc::clone($it);
        move |what, cx| {
            let it = Arc::clone(&it);
            async move { it.$method(what, cx).await }
        }
    }};
}

/// Mounts all of it.
pub fn mount(context: Context, it: &Arc<Payments>) -> Context {
    reactions(endpoints(of_the_operator(of_a_tenant(context, it), it), it), it)
}

fn of_a_tenant(context: Context, it: &Arc<Payments>) -> Context {
    context
        .route::<ListMethods, _>(Method::GET, "/v1/payment-methods", it)
        .route::<AddMethod, _>(Method::POST, "/v1/payment-methods", it)
        .route::<SetUpMethod, _>(Method::POST, "/v1/payment-methods/setup", it)
        .route::<TakeMethod, _>(Method::POST, "/v1/payment-methods/take", it)
        .route::<PreferMethod, _>(Method::POST, "/v1/payment-methods/{method}/prefer", it)
        .route::<RemoveMethod, _>(Method::DELETE, "/v1/payment-methods/{method}", it)
        .route::<ListPayments, _>(Method::GET, "/v1/payments", it)
        .route::<PayInvoice, _>(Method::POST, "/v1/invoices/{invoice}/pay", it)
        .route::<LinkInvoice, _>(Method::GET, "/v1/invoices/{invoice}/link", it)
        .route::<TopUp, _>(Method::POST, "/v1/credits/top-ups", it)
        .route::<ListDunning, _>(Method::GET, "/v1/dunning", it)
}

fn of_the_operator(context: Context, it: &Arc<Payments>) -> Context {
    context
        .route::<ListTenantPayments, _>(Method::GET, "/v1/tenants/{tenant}/payments", it)
        .route::<RefundPayment, _>(Method::PUT, "/v1/tenants/{tenant}/payments/{attempt}/refunds/{refund}", it)
        .route::<ReadSchedule, _>(Method::GET, "/v1/dunning-schedule", it)
        .route::<SetSchedule, _>(Method::PUT, "/v1/dunning-schedule", it)
        .route::<ListReconciliations, _>(Method::GET, "/v1/reconciliations", it)
        .route::<Reconcile, _>(Method::POST, "/v1/reconciliations/{gateway}", it)
}

fn endpoints(context: Context, it: &Arc<Payments>) -> Context {
    let notice = Endpoint::new(
        "billing.notices.receive",
        "What a payment gateway tells by itself, signed by it",
        ScopeKind::Platform,
        may::NOTICE,
        to!(it.notice),
    );
    let page = "text/html";
    let show = Endpoint::new(
        "billing.pages.invoice",
        "The page of an invoice, for whoever has its link",
        ScopeKind::Platform,
        may::PAY_PAGE,
        to!(it.pay_page),
    );
    let pay = Endpoint::new(
        "billing.pages.invoice.pay",
        "Pays an invoice, for whoever has its link",
        ScopeKind::Platform,
        may::PAY_PAGE,
        to!(it.pay_page),
    );
    let linked = Endpoint::new(
        "billing.pages.invoice.pdf",
        "The invoice as PDF, for whoever has its link",
        ScopeKind::Platform,
        may::PAY_PAGE,
        to!(it.linked_document),
    );
    let pdf = Endpoint::new(
        "billing.invoices.pdf",
        "An invoice as PDF/A-3, with the UBL in it where all is known that it needs",
        ScopeKind::Tenant,
        may::INVOICE_READ,
        to!(it.own_document),
    );
    let ubl = Endpoint::new(
        "billing.invoices.ubl",
        "An invoice as UBL 2.1 by EN 16931",
        ScopeKind::Tenant,
        may::INVOICE_READ,
        to!(it.own_document),
    );
    context
        .endpoint(Method::GET, "/pay/{token}/invoice.pdf", linked.produces("application/pdf"))
        .endpoint(Method::GET, "/v1/invoices/{invoice}/pdf", pdf.produces("application/pdf"))
        .endpoint(Method::GET, "/v1/invoices/{invoice}/ubl", ubl.produces("application/xml"))
        .endpoint(Method::POST, "/v1/payment-notices/{gateway}", notice.accepts("application/json"))
        .endpoint(Method::GET, "/pay/{token}", show.produces(page))
        .endpoint(Method::POST, "/pay/{token}", pay.accepts("application/x-www-form-urlencoded").produces(page))
}

fn reactions(context: Context, it: &Arc<Payments>) -> Context {
    context
        .on::<TenantProvisioned, _, _>("know_contact", to!(it.know_contact))
        .on::<InvoiceGenerated, _, _>("collect", to!(it.collect_generated))
        .on::<InvoiceGenerated, _, _>("tell_invoice", to!(it.tell_invoice))
        .on::<InvoiceSettled, _, _>("tell_receipt", to!(it.tell_receipt))
        .on::<InvoiceSettled, _, _>("end_dunning", to!(it.end_dunning))
        .on::<InvoiceOverdue, _, _>("dun_overdue", to!(it.dun_overdue))
        .on::<PaymentAttempted, _, _>("begin_comparing", to!(it.begin_comparing))
        .on::<PaymentSucceeded, _, _>("book_payment", to!(it.book_payment))
        .on::<PaymentDeclined, _, _>("declined", to!(it.declined))
        .on::<PaymentActionRequired, _, _>("tell_to_confirm", to!(it.tell_to_confirm))
        .on::<PaymentMethodAdded, _, _>("charge_what_is_open", to!(it.method_added))
        .on::<RefundFailed, _, _>("keep_refund", to!(it.keep_refund))
        .on::<DunningBegun, _, _>("tell_failed", to!(it.tell_failed))
        .on::<DunningReminded, _, _>("try_again", to!(it.try_again))
        .on::<DunningReminded, _, _>("tell_reminder", to!(it.tell_reminder))
        .on::<DunningExhausted, _, _>("hold", to!(it.hold))
        .on::<DunningExhausted, _, _>("tell_suspended", to!(it.tell_suspended))
        .on::<DunningEnded, _, _>("release", to!(it.release))
        .timer("billing.dunning", to!(it.dunning_due))
        .timer_in(TimeDomain::Real, "billing.attempt", to!(it.attempt_due))
        .timer_in(TimeDomain::Real, "billing.reconciliation", to!(it.compare_due))
}
