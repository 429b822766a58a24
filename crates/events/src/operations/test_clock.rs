//! The test clock of a sandbox tenant. Moving it fires one due timer after the other, each at its own instant, and waits
//! in between until nothing more follows from it: a year of trials and reminders passes as it would have passed.

use std::time::Duration;

use kernel::{
    Aggregate, Cx, Granted, Handle, Problem, ProblemKind, Scope, ScopeKind, TenantId, Term, Timestamp, use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Page, Store};

use super::{CLOCK, Operations};

/// How long one request moves a clock; what is left is told, and moved by the next one.
const PATIENCE: Duration = Duration::from_secs(20);
/// The farthest that a clock may be from real time.
const FARTHEST: Duration = Duration::from_hours(24 * 366 * 10);

/// What a tenant's test clock shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TestClock {
    tenant: TenantId,
    at: Timestamp,
}

impl Aggregate for TestClock {
    type Id = TenantId;
    const KIND: &'static str = "operations.test_clock";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> TenantId {
        self.tenant
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }
}

impl TestClock {
    /// Sets all clocks of this process to what they showed when it last ran.
    pub(super) async fn recall(store: &Store, cx: &Cx) -> Result<(), Problem> {
        let mut page = Page { limit: 200, ..Page::default() };
        loop {
            let listed = store.at(cx).list::<Self>("all", "", &page).await?;
            for clock in &listed.items {
                cx.ambient().test_clocks.set(clock.tenant, clock.at);
            }
            let Some(next) = listed.next else { return Ok(()) };
            page.after = Some(next);
        }
    }

    /// Moves forward, never back: what happened stays in the past.
    fn advance(&mut self, to: Timestamp) -> Result<(), Problem> {
        if to < self.at {
            return Err(Problem::invalid_field("/to", format!("the clock shows {}: it cannot be set back", self.at)));
        }
        self.at = to;
        Ok(())
    }
}

/// What a tenant's test clock shows.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadTestClock {
    /// Which tenant.
    tenant: TenantId,
}

/// A test clock.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TestClockView {
    /// Whose.
    tenant: TenantId,
    /// What it shows.
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: Timestamp,
    /// Whether it has arrived and nothing more follows. If not, ask for the same instant again.
    settled: bool,
    /// How many timers fired on the way, in this request.
    fired: u64,
}

use_case!(ReadTestClock => TestClockView, "operations.test_clock.read", Platform, CLOCK, Tell, |it| it.tenant.into());

impl Handle<ReadTestClock> for Operations {
    async fn handle(&self, it: ReadTestClock, cx: Granted<ReadTestClock>) -> Result<TestClockView, Problem> {
        let clock = self.store.at(&cx).load::<TestClock>(&it.tenant).await?;
        Ok(TestClockView { tenant: it.tenant, at: clock.at, settled: true, fired: 0 })
    }
}

fn near(field: &str, at: Timestamp, now: Timestamp) -> Result<(), Problem> {
    let distance = Duration::from_millis(at.as_millisecond().abs_diff(now.as_millisecond()));
    if distance > FARTHEST {
        return Err(Problem::invalid_field(field, "expected an instant within ten years of now"));
    }
    Ok(())
}

/// Gives a tenant a test clock: its trials, periods and reminders go by it from now on, and real time by nothing but
/// security and retries. It cannot be taken away again: use a tenant made for it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartTestClock {
    /// Which tenant.
    tenant: TenantId,
    /// What it shows at first, within ten years of now.
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: Timestamp,
}

use_case!(StartTestClock => TestClockView, "operations.test_clock.start", Platform, CLOCK, |it| it.tenant.into());

impl Handle<StartTestClock> for Operations {
    async fn handle(&self, it: StartTestClock, cx: Granted<StartTestClock>) -> Result<TestClockView, Problem> {
        near("/at", it.at, cx.real_now())?;
        let clock = TestClock { tenant: it.tenant, at: it.at };
        self.store.at(&cx).create(clock, ()).await.map_err(|problem| match problem.code() {
            "changed_meanwhile" => Problem::new(
                ProblemKind::Conflict,
                "operations.test_clock_started",
                "this tenant has a test clock already",
            )
            .hint("move it forward instead"),
            _ => problem,
        })?;
        cx.ambient().test_clocks.set(it.tenant, it.at);
        Ok(TestClockView { tenant: it.tenant, at: it.at, settled: true, fired: 0 })
    }
}

/// Moves a test clock forward. Each timer on the way fires at its own instant, and all that follows from it is waited for.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdvanceTestClock {
    /// Which tenant.
    tenant: TenantId,
    /// What it shows in the end.
    #[schemars(with = "String", extend("format" = "date-time"))]
    to: Timestamp,
}

use_case!(AdvanceTestClock => TestClockView, "operations.test_clock.advance", Platform, CLOCK, |it| it.tenant.into());

impl Handle<AdvanceTestClock> for Operations {
    async fn handle(&self, it: AdvanceTestClock, cx: Granted<AdvanceTestClock>) -> Result<TestClockView, Problem> {
        near("/to", it.to, cx.real_now())?;
        let (timers, until) = (&self.running()?.timers, tokio::time::Instant::now() + PATIENCE);
        let clock = self.store.at(&cx).load::<TestClock>(&it.tenant).await?;
        clock.clone().advance(it.to)?;
        let scope = Scope::Tenant(it.tenant);
        let (mut at, mut fired) = (clock.at, 0);
        let mut settled = self.settled(scope, until).await?;
        while settled {
            let due = timers.due_in(it.tenant, it.to).await.map_err(Problem::internal)?;
            let Some(next) = due.into_iter().next() else { break };
            // One that is overdue fires now: the clock does not go back for it.
            at = at.max(next.timer.due);
            self.show(&cx, it.tenant, at).await?;
            let (key, went_well) = timers.act(next).await;
            if !went_well {
                return Err(Problem::new(
                    ProblemKind::Refused,
                    "operations.timer_failed",
                    format!("the timer of {}/{} failed at {at}", key.kind, key.id),
                )
                .hint("the reason stands in the log; the clock stays where it is"));
            }
            fired += 1;
            settled = self.settled(scope, until).await? && tokio::time::Instant::now() < until;
        }
        if settled {
            at = it.to;
            self.show(&cx, it.tenant, at).await?;
        }
        Ok(TestClockView { tenant: it.tenant, at, settled, fired })
    }
}

impl Operations {
    async fn show(&self, cx: &Cx, tenant: TenantId, at: Timestamp) -> Result<(), Problem> {
        self.store.at(cx).change(&tenant, |clock: &mut TestClock| clock.advance(at)).await?;
        cx.ambient().test_clocks.set(tenant, at);
        Ok(())
    }
}
