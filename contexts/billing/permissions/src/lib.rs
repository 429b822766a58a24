//! What one may do about plans, subscriptions and invoices.

use kernel::{Condition::Always, DefaultRole, Permission, PermissionDecl};

macro_rules! permissions {
    ($($(#[$doc:meta])* $const:ident $name:literal $meaning:literal [$($role:ident)*];)*) => {
        $($(#[$doc])* #[doc = $meaning]
        pub const $const: Permission = Permission::new($name);)*
        /// All that this context declares.
        pub const ALL: &[PermissionDecl] = &[
            $(PermissionDecl { permission: $const, meaning: $meaning, held_by: &[$((DefaultRole::$role, Always)),*] },)*
        ];
    };
}

permissions! {
    PLAN_PUBLISH "billing.plan.publish" "publish plans" [Operator];
    PLAN_READ "billing.plan.read" "see all plans and versions" [Operator];
    COUPON "billing.coupon.define" "make coupons, and see how many used them" [Operator];
    TAX "billing.tax.update" "set the rates of tax, and exempt tenants" [Operator];
    CREDIT_GRANT "billing.credit.grant" "give credits to a tenant" [Operator];
    USAGE_CORRECT "billing.usage.correct" "correct what was counted" [Operator];
    INVOICE_MANAGE "billing.invoice.manage" "see tenants' invoices, record payments, declare void, give up" [Operator];
    DUNNING "billing.dunning.update" "say when invoices are tried again, and when a tenant is suspended" [Operator];
    FIGURES "billing.figure.read" "see what comes in, by plan and month, and who is in arrears" [Operator];
    REFUND "billing.payment.refund" "send money back" [Operator];
    RECONCILE "billing.payment.reconcile" "compare payments with what the gateways know" [Operator];
    NOTICE "billing.notice.receive" "tell what became of a payment; the gateway signs it" [Visitor];
    PAY_PAGE "billing.pay_page.read" "open the page of an invoice by its link, and pay" [Visitor Person Operator];
    OFFER_READ "billing.offer.read" "see what can be subscribed to" [Member];
    SUBSCRIPTION_READ "billing.subscription.read" "see the subscription and what it will cost" [Admin];
    SUBSCRIPTION_MANAGE "billing.subscription.manage" "subscribe, change and cancel" [Owner];
    PROFILE_READ "billing.profile.read" "see to whom invoices go" [Admin];
    PROFILE_UPDATE "billing.profile.update" "say to whom invoices go" [Owner];
    USAGE_REPORT "billing.usage.report" "report use" [Admin Service];
    USAGE_READ "billing.usage.read" "see what was used" [Admin];
    INVOICE_READ "billing.invoice.read" "see invoices" [Admin];
    INVOICE_PAY "billing.invoice.pay" "pay an invoice" [Owner];
    METHOD_READ "billing.method.read" "see the ways to pay" [Admin];
    METHOD_MANAGE "billing.method.manage" "save and remove ways to pay" [Owner];
    CREDIT_BUY "billing.credit.buy" "buy credits" [Owner];
    CREDIT_READ "billing.credit.read" "see credits" [Admin];
    LEDGER_READ "billing.ledger.read" "see the ledger" [Admin];
}
