//! One run: a seed, a world, people at work, and what must hold after it.

use std::time::Duration;

use serde_json::json;

use crate::{
    Broken, Sabotage,
    client::{Client, slug},
    faults::Faults,
    site::Site,
    world::World,
};

/// What is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plan {
    /// Everything follows from it.
    pub seed: u64,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
    /// Whether the trace is kept, line by line.
    pub keeps_trace: bool,
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Over all requests, answers, commits and mails, in their order and with their times.
    pub digest: String,
    /// The lines of the trace, where they are kept.
    pub trace: Vec<String>,
    /// What does not hold. Nothing, if all is well.
    pub broken: Vec<String>,
    /// How many commits were made.
    pub commits: u64,
    /// How many faults there were.
    pub faults: u64,
    /// How long it took in simulated time.
    pub lasted: Duration,
}

/// Runs a plan on a thread's own runtime.
pub fn run(plan: Plan) -> Report {
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without a driver of input can be built");
    runtime.block_on(within(plan))
}

async fn within(plan: Plan) -> Report {
    let begun = tokio::time::Instant::now();
    let world = World::of(plan.seed, Faults::of(plan.seed, plan.sabotage), plan.keeps_trace);
    if let Err(Broken(what)) = lives(&world).await {
        world.breaks(what);
    }
    let (digest, trace) = world.trace.end();
    Report {
        seed: plan.seed,
        digest,
        trace,
        broken: world.broken(),
        commits: world.ledger.commits(),
        faults: world.faults.happened(),
        lasted: begun.elapsed(),
    }
}

async fn lives(world: &std::sync::Arc<World>) -> Result<(), Broken> {
    let site = Site::of(std::sync::Arc::clone(world))?;
    site.start().await?;
    for tenant in 0..crate::TENANTS {
        let visitor = Client::of(&site, None, &format!("visitor{tenant}"));
        let asked =
            json!({ "company": "A", "slug": slug(tenant), "name": "Ada", "email": format!("a{tenant}@mail.example") });
        visitor.does("POST", "/v1/sign-up", &asked).await?;
        while world.mailbox.link(&format!("a{tenant}@mail.example")).is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    site.die();
    site.start().await?;
    Ok(())
}
