//! Numbers for invoices, and with them what makes invoices final.
//!
//! Whoever needs a number puts the invoice in a queue and waits for its turn. Whose turn it is takes all that wait, and
//! numbers them in one commit of the series; so the series is written once for many, and the first waits for nobody. Then it
//! puts the numbers on their invoices, which the next commit of the series takes off its list: that list stays short, however
//! many periods end at once. Where the process ends in between, `InvoicesNumbered` does the same again. What keeps an invoice
//! from a second number is told in [`billing_books::series`], and depends on no queue.
//!
//! A tenant that lives on a test clock has a series of its own: its dates are no dates of the seller's books.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use billing_books::{Invoice, Series, Wallet, series::MOST_AT_ONCE, wallet::CreditUse};
use cache::Turns;
use contracts::billing::{InvoiceDrafted, InvoiceId, InvoicesNumbered, NumberAssigned};
use futures::{StreamExt, TryStreamExt, stream};
use kernel::{Cx, Granted, Handle, List, Problem, ProblemKind, Scope, TenantId, Timestamp, use_case};
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;
use tokio::sync::oneshot;

use crate::Billing;
use permissions as may;

/// How many invoices are looked at side by side.
const SIDE_BY_SIDE: usize = 16;
/// How often a commit of the series is tried on fresh state.
const ATTEMPTS: u64 = 40;

/// An invoice that needs a number, and whom to tell.
struct Waiting {
    tenant: TenantId,
    invoice: InvoiceId,
    done: oneshot::Sender<()>,
}

/// Who waits, by series.
#[derive(Default)]
pub(crate) struct Numbers {
    waiting: Mutex<HashMap<String, Vec<Waiting>>>,
    /// The numbers that stand on their invoices, as far as the series does not know it yet.
    landed: Mutex<HashMap<String, Vec<InvoiceId>>>,
    turns: Turns<String>,
}

impl Numbers {
    fn wait(&self, series: &str, tenant: TenantId, invoice: InvoiceId) -> oneshot::Receiver<()> {
        let (done, waits) = oneshot::channel();
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(series.to_owned()).or_default().push(Waiting { tenant, invoice, done });
        waits
    }

    fn take(&self, series: &str) -> Vec<Waiting> {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = all.get_mut(series) else { return Vec::new() };
        let taken = queue.drain(..queue.len().min(MOST_AT_ONCE)).collect();
        if queue.is_empty() {
            all.remove(series);
        }
        taken
    }
}

impl Numbers {
    fn landed(&self) -> MutexGuard<'_, HashMap<String, Vec<InvoiceId>>> {
        self.landed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The series knows these.
    fn known(&self, series: &str, invoices: &[InvoiceId]) {
        let mut landed = self.landed();
        if let Some(known) = landed.get_mut(series) {
            known.retain(|it| !invoices.contains(it));
            if known.is_empty() {
                landed.remove(series);
            }
        }
    }
}

impl Billing {
    /// Credits pay what they can of a draft; then it gets its number.
    pub(crate) async fn invoice_drafted(&self, event: InvoiceDrafted, cx: Cx) -> Result<(), Problem> {
        let store = self.store.at(&cx);
        // Decided once: a draw that no invoice waits for would be lost.
        let it = store.load::<Invoice>(&event.invoice).await?;
        let takes_back = it.original().is_some();
        if it.credits().is_none() {
            let drawn = self.draw(&event, &cx).await?;
            store.change(&event.invoice, |invoice: &mut Invoice| Ok(invoice.credit(drawn)?)).await?;
        }
        self.needs_number(event.invoice, takes_back, &cx).await
    }

    async fn draw(&self, event: &InvoiceDrafted, cx: &Cx) -> Result<Money, Problem> {
        let (store, now, wallet) = (self.store.at(cx), cx.now(), Wallet::ID.to_owned());
        let mut drawn = Money::zero(event.total.currency());
        if store.try_load::<Wallet>(&wallet).await?.is_some() {
            let draw = |wallet: &mut Wallet| {
                let (amount, told) = wallet.draw(CreditUse::Invoice(event.invoice), event.total, now)?;
                drawn = amount;
                Ok(told)
            };
            store.change(&wallet, draw).await?;
        }
        Ok(drawn)
    }

    /// Returns once the invoice has a number.
    async fn needs_number(&self, invoice: InvoiceId, takes_back: bool, cx: &Cx) -> Result<(), Problem> {
        let tenant = cx.tenant()?;
        let tested = cx.ambient().test_clocks.of(tenant).is_some();
        let series = if tested { tenant.to_string() } else { Series::LIVE.to_owned() };
        let series = if takes_back { format!("{}{series}", Series::CREDIT_NOTES) } else { series };
        let mut waits = self.numbers.wait(&series, tenant, invoice);
        let _turn = self.numbers.turns.of(series.clone()).begin().await;
        // Whoever's turn it was before may have done it; or have ended, or failed, or left it for the next.
        if waits.try_recv().is_ok() {
            return Ok(());
        }
        let mut batch = self.numbers.take(&series);
        let missing = !batch.iter().any(|it| it.invoice == invoice);
        if missing {
            batch.insert(0, Waiting { tenant, invoice, done: oneshot::channel().0 });
        }
        let numbered = self.assign(&series, &batch, cx.now()).await;
        // Where it failed, each of those that wait tries again in its own turn.
        numbered?;
        for it in batch {
            // Whoever waits no more needs no answer.
            it.done.send(()).unwrap_or_default();
        }
        Ok(())
    }

    /// Numbers those that have none. Not under the write key of who asks: what is written depends on who waits, and is
    /// held to once by the version that was read.
    async fn assign(&self, series: &str, batch: &[Waiting], now: Timestamp) -> Result<(), Problem> {
        let platform = self.services.cx("billing", Scope::Platform);
        let store = self.store.at(&platform);
        for attempt in 0..ATTEMPTS {
            let id = series.to_owned();
            let loaded = store.try_load::<Series>(&id).await?;
            // After the series was read: see the invariant of the series.
            let waiting = self.without_number(batch, &platform).await?;
            let mut it = loaded.as_deref().cloned().unwrap_or_else(|| Series::new(series));
            // Those of the turns before; whoever has this turn is the only one to add to them.
            it.landed(&self.numbers.landed().get(series).cloned().unwrap_or_default());
            let assigned = it.assign(&waiting, now)?;
            if assigned.is_empty() {
                return Ok(());
            }
            let told = it.told(assigned.clone());
            let saved = match loaded {
                None => store.create(it, told).await,
                Some(mut loaded) => {
                    *loaded = it;
                    store.save(loaded, told).await
                }
            };
            match saved {
                Err(problem) if problem.code() == "changed_meanwhile" => {
                    tokio::time::sleep(Duration::from_millis(attempt)).await;
                }
                Err(problem) => return Err(problem),
                Ok(_) => {
                    let landed = self.land(&assigned, &platform).await;
                    self.numbers.landed().insert(series.to_owned(), landed);
                    return Ok(());
                }
            }
        }
        Err(Problem::new(ProblemKind::Unavailable, "billing.series_busy", "the series of numbers is busy")
            .hint("it is tried again by itself"))
    }

    /// Those that are drafts. An invoice that is gone with its tenant needs no number.
    async fn without_number(&self, batch: &[Waiting], platform: &Cx) -> Result<Vec<(TenantId, InvoiceId)>, Problem> {
        let look = async |it: &Waiting| {
            let inside = platform.within(it.tenant)?;
            match self.store.at(&inside).try_load::<Invoice>(&it.invoice).await {
                Ok(Some(found)) if found.numbered().is_none() => Ok(Some((it.tenant, it.invoice))),
                Ok(_) => Ok(None),
                Err(gone) if gone.kind() == ProblemKind::Gone => Ok(None),
                Err(problem) => Err(problem),
            }
        };
        let found: Vec<_> = stream::iter(batch.iter().map(look)).buffered(SIDE_BY_SIDE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Puts a number on its invoice. One that is gone with its tenant needs none.
    async fn finalise(&self, it: &NumberAssigned, cx: &Cx) -> Result<(), Problem> {
        let inside = cx.within(it.tenant)?;
        let store = self.store.at(&inside);
        let done = async {
            if store.load::<Invoice>(&it.invoice).await?.numbered().is_none() {
                store.change(&it.invoice, |invoice: &mut Invoice| Ok(invoice.number(&it.number, it.date)?)).await?;
            }
            Ok(())
        };
        match done.await {
            Err(gone) if matches!(Problem::kind(&gone), ProblemKind::Gone | ProblemKind::NotFound) => Ok(()),
            outcome => outcome,
        }
    }

    /// Puts numbers on their invoices, and tells of which that is done; of the others, `InvoicesNumbered` does it.
    async fn land(&self, assigned: &[NumberAssigned], platform: &Cx) -> Vec<InvoiceId> {
        let land = async |it: &NumberAssigned| {
            let landed = self.finalise(it, platform).await;
            if let Err(problem) = &landed {
                tracing::warn!(invoice = %it.invoice, code = problem.code(), "a number is put on its invoice later");
            }
            landed.is_ok().then_some(it.invoice)
        };
        let landed: Vec<_> = stream::iter(assigned.iter().map(land)).buffer_unordered(SIDE_BY_SIDE).collect().await;
        landed.into_iter().flatten().collect()
    }

    /// Puts numbers on their invoices, as far as that was not done, and takes them off the list of those on their way.
    pub(crate) async fn numbered(&self, event: InvoicesNumbered, cx: Cx) -> Result<(), Problem> {
        let land = async |it: &NumberAssigned| self.finalise(it, &cx).await;
        let () = stream::iter(event.assigned.iter().map(land)).buffer_unordered(SIDE_BY_SIDE).try_collect().await?;
        let invoices: Vec<InvoiceId> = event.assigned.iter().map(|it| it.invoice).collect();
        let store = self.store.at(&cx);
        let _turn = self.numbers.turns.of(event.series.clone()).begin().await;
        self.numbers.known(&event.series, &invoices);
        if !store.load::<Series>(&event.series).await?.is_landing(&invoices) {
            return Ok(());
        }
        let landed = |series: &mut Series| {
            series.landed(&invoices);
            Ok(())
        };
        store.change(&event.series, landed).await.map(drop)
    }
}

/// How far a series of numbers is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SeriesView {
    /// `live`, or the tenant whose test clock it goes by.
    series: String,
    /// How many numbers were given out.
    given: u64,
    /// How many of them are on their way to their invoices.
    landing: usize,
    /// The date of the latest.
    #[schemars(with = "Option<String>")]
    latest: Option<Timestamp>,
}

/// The series of numbers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListSeries {
    /// Go on after this cursor.
    after: Option<String>,
}

use_case!(ListSeries => List<SeriesView>, "billing.series.list", Platform, may::INVOICE_MANAGE, Tell);

impl Handle<ListSeries> for Billing {
    async fn handle(&self, it: ListSeries, cx: Granted<ListSeries>) -> Result<List<SeriesView>, Problem> {
        let page = Page { after: it.after, limit: 200, newest_first: false };
        let listed = self.store.at(&cx).list::<Series>("all", "", &page).await?;
        listed.shown(|it| {
            let (series, given) = (it.name().to_owned(), it.given());
            Ok(SeriesView { series, given, landing: it.landing(), latest: it.latest() })
        })
    }
}
