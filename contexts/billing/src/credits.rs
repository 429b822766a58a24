//! Prepaid credits: given, told, ended.

use billing_books::{
    Invoice,
    wallet::{CreditUse, Grant, Wallet},
};
use contracts::billing::{CreditLeft, CreditSource, InvoiceVoided, PaymentProcessed};
use kernel::{Cx, Granted, Handle, Problem, TenantId, Timestamp, context::Fired, text::Key, use_case};
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Billing;
use permissions as may;

/// Gives credits to a tenant, which pay for its invoices. Once under an id.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantCredits {
    /// To whom.
    tenant: TenantId,
    /// Names the grant.
    grant: Key,
    /// How much.
    amount: Money,
    /// Of several grants, the lowest is used first.
    #[serde(default)]
    priority: u8,
    /// When what is left of it ends; never where nothing is said.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    ends: Option<Timestamp>,
}

/// Credits that have not ended.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WalletView {
    grants: Vec<Grant>,
}

use_case!(GrantCredits => WalletView, "billing.credits.grant", Platform, may::CREDIT_GRANT, |it| it.tenant.into());

impl Handle<GrantCredits> for Billing {
    async fn handle(&self, it: GrantCredits, cx: Granted<GrantCredits>) -> Result<WalletView, Problem> {
        let inside = self.inside(it.tenant, &cx).await?;
        let (id, left) = (format!("given/{}", it.grant), it.amount);
        let (priority, source, ends) = (it.priority, CreditSource::Given, it.ends);
        let grant = Grant { id, amount: it.amount, left, priority, source, ends };
        self.give(grant, &inside).await
    }
}

/// The tenant's credits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadCredits {}

use_case!(ReadCredits => WalletView, "billing.credits.read", Tenant, may::CREDIT_READ, Tell);

impl Handle<ReadCredits> for Billing {
    async fn handle(&self, _: ReadCredits, cx: Granted<ReadCredits>) -> Result<WalletView, Problem> {
        let wallet = self.store.at(&cx).try_load::<Wallet>(&Wallet::ID.to_owned()).await?;
        Ok(WalletView { grants: wallet.map(|it| it.grants().to_vec()).unwrap_or_default() })
    }
}

impl Billing {
    async fn give(&self, grant: Grant, cx: &Cx) -> Result<WalletView, Problem> {
        let now = cx.now();
        let rule = |wallet: &mut Wallet| Ok(wallet.grant(grant.clone(), now)?);
        let wallet = self.store.at(cx).upsert(&Wallet::ID.to_owned(), Wallet::default, rule).await?;
        Ok(WalletView { grants: wallet.grants().to_vec() })
    }

    /// Credits that do not end, once under an id.
    pub(crate) async fn credit(&self, id: String, amount: Money, source: CreditSource, cx: &Cx) -> Result<(), Problem> {
        self.give(Grant::lasting(id, amount, source), cx).await.map(drop)
    }

    /// What had been paid beyond the end of a subscription pays for what comes.
    pub(crate) async fn credit_left(&self, event: CreditLeft, cx: Cx) -> Result<(), Problem> {
        self.credit(format!("left/{}", event.subscription), event.amount, CreditSource::Given, &cx).await
    }

    /// What was paid for credits can be used.
    pub(crate) async fn credits_bought(&self, event: PaymentProcessed, cx: Cx) -> Result<(), Problem> {
        if !self.store.at(&cx).load::<Invoice>(&event.invoice).await?.prepaid() {
            return Ok(());
        }
        let id = format!("bought/{}/{}", event.invoice, event.payment);
        self.credit(id, event.amount, CreditSource::Bought, &cx).await
    }

    pub(crate) async fn credits_return(&self, event: InvoiceVoided, cx: Cx) -> Result<(), Problem> {
        if event.credits.is_zero() {
            return Ok(());
        }
        let rule = |wallet: &mut Wallet| Ok(wallet.give_back(CreditUse::Invoice(event.invoice))?);
        self.store.at(&cx).change(&Wallet::ID.to_owned(), rule).await.map(drop)
    }

    pub(crate) async fn credits_end(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let now = cx.now();
        self.store.at(&cx).change(&fired.id, |wallet: &mut Wallet| Ok(wallet.pass(now))).await.map(drop)
    }
}
