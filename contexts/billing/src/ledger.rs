//! The ledger follows what happened, and tells it.

use billing_books::ledger::{Account, Balances, Leg, Transaction, add};
use contracts::billing::{
    CreditSource, CreditsExpired, CreditsGranted, InvoiceGenerated, InvoiceVoided, InvoiceWrittenOff, PaymentProcessed,
};
use contracts::payments::{DisputeClosed, DisputeOpened, PaymentRefunded};
use kernel::{Aggregate, Cx, Granted, Handle, List, Problem, Timestamp, use_case};
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Loaded, Page};

use crate::Billing;
use permissions as may;

impl Billing {
    /// Posts a transaction, once.
    async fn post(&self, it: Transaction, cx: &Cx) -> Result<(), Problem> {
        let store = self.store.at(cx);
        if it.legs().is_empty() || store.try_load::<Transaction>(&it.id()).await?.is_some() {
            return Ok(());
        }
        let told = it.posted();
        store.create(it, told).await.map(drop)
    }

    pub(crate) async fn post_invoice(&self, event: InvoiceGenerated, cx: Cx) -> Result<(), Problem> {
        self.post(Transaction::invoice(&event)?, &cx).await
    }

    pub(crate) async fn post_void(&self, event: InvoiceVoided, cx: Cx) -> Result<(), Problem> {
        self.post(Transaction::void(&event, cx.now())?, &cx).await
    }

    pub(crate) async fn post_payment(&self, event: PaymentProcessed, cx: Cx) -> Result<(), Problem> {
        let id = format!("payment/{}/{}", event.invoice, event.payment);
        let about = format!("payment {} of {}", event.payment, event.invoice);
        let accounts = (Account::Cash, Account::Receivable);
        self.post(Transaction::transfer(id, cx.now(), about, accounts, event.amount)?, &cx).await
    }

    pub(crate) async fn post_write_off(&self, event: InvoiceWrittenOff, cx: Cx) -> Result<(), Problem> {
        let (id, about) = (format!("written_off/{}", event.invoice), format!("{} is given up", event.invoice));
        let accounts = (Account::BadDebt, Account::Receivable);
        self.post(Transaction::transfer(id, cx.now(), about, accounts, event.amount)?, &cx).await
    }

    pub(crate) async fn post_grant(&self, event: CreditsGranted, cx: Cx) -> Result<(), Problem> {
        let (id, about) = (format!("granted/{}", event.grant), format!("credits {}", event.grant));
        let from = match event.source {
            CreditSource::Given => Account::CreditsGiven,
            CreditSource::Paid => Account::Cash,
            CreditSource::CreditNote => Account::Receivable,
            CreditSource::Bought => Account::CreditsOrdered,
        };
        let accounts = (from, Account::CustomerCredits);
        self.post(Transaction::transfer(id, cx.now(), about, accounts, event.amount)?, &cx).await
    }

    /// Money that goes back was the tenant's to use until then.
    pub(crate) async fn post_refund(&self, event: PaymentRefunded, cx: Cx) -> Result<(), Problem> {
        let (id, about) = (format!("refund/{}", event.refund), format!("refund of {}", event.attempt));
        let accounts = (Account::CustomerCredits, Account::Cash);
        self.post(Transaction::transfer(id, cx.now(), about, accounts, event.amount)?, &cx).await
    }

    pub(crate) async fn post_dispute(&self, event: DisputeOpened, cx: Cx) -> Result<(), Problem> {
        let id = format!("dispute/{}/{}", event.attempt, event.dispute);
        let about = format!("{} is disputed: {}", event.attempt, event.reason);
        let accounts = (Account::Disputed, Account::Cash);
        self.post(Transaction::transfer(id, cx.now(), about, accounts, event.amount)?, &cx).await
    }

    pub(crate) async fn post_dispute_closed(&self, event: DisputeClosed, cx: Cx) -> Result<(), Problem> {
        let id = format!("dispute_closed/{}/{}", event.attempt, event.dispute);
        let about = format!("the dispute of {} is {}", event.attempt, if event.won { "won" } else { "lost" });
        let accounts = (if event.won { Account::Cash } else { Account::BadDebt }, Account::Disputed);
        self.post(Transaction::transfer(id, cx.now(), about, accounts, event.amount)?, &cx).await
    }

    pub(crate) async fn post_expiry(&self, event: CreditsExpired, cx: Cx) -> Result<(), Problem> {
        let (id, about) = (format!("expired/{}", event.grant), format!("credits {} ended", event.grant));
        let accounts = (Account::CustomerCredits, Account::CreditsGiven);
        self.post(Transaction::transfer(id, cx.now(), about, accounts, event.amount)?, &cx).await
    }
}

/// A transaction.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TransactionView {
    id: String,
    #[schemars(with = "String")]
    at: Timestamp,
    about: String,
    /// More than nothing is debited, less is credited.
    legs: Vec<Leg>,
}

/// The tenant's transactions, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListTransactions {
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListTransactions => List<TransactionView>, "billing.ledger.list", Tenant, may::LEDGER_READ, Tell);

impl Handle<ListTransactions> for Billing {
    async fn handle(
        &self,
        it: ListTransactions,
        cx: Granted<ListTransactions>,
    ) -> Result<List<TransactionView>, Problem> {
        let listed = self.store.at(&cx).list::<Transaction>("all", "", &Page::newest(it.after, it.limit)).await?;
        let show = |it: &Transaction| {
            Ok(TransactionView { id: it.id(), at: it.at(), about: it.about().to_owned(), legs: it.legs().to_vec() })
        };
        listed.shown(show)
    }
}

/// The sum of an account's legs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BalanceView {
    account: Account,
    balance: Money,
}

/// The balance of each account, as the sum of all transactions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadBalances {}

use_case!(ReadBalances => Vec<BalanceView>, "billing.ledger.balances", Tenant, may::LEDGER_READ, Tell);

impl Handle<ReadBalances> for Billing {
    async fn handle(&self, _: ReadBalances, cx: Granted<ReadBalances>) -> Result<Vec<BalanceView>, Problem> {
        let mut sums = Balances::new();
        let all = self.store.at(&cx);
        all.each(("all", ""), 200, |it: Loaded<Transaction>| Ok(add(&mut sums, it.legs())?)).await?;
        Ok(sums.into_iter().map(|((account, _), balance)| BalanceView { account, balance }).collect())
    }
}
