//! One run: a seed, a world, people at work, and what must hold after it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::{
    Broken, Sabotage,
    arrival::{founds, operator},
    check::{installation, nothing_in_clear, settles},
    client::{Client, Told},
    dice::Dice,
    faults::Faults,
    memory::{Company, Count, Person},
    money,
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

/// Runs a plan on a runtime of its own.
///
/// # Panics
/// Where the machine has no room for a runtime.
pub fn run(plan: Plan) -> Report {
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without a driver of input can be built");
    tokio::task::LocalSet::new().block_on(&runtime, within(plan))
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

/// All of it, from the first start to the last look.
async fn lives(world: &Arc<World>) -> Result<(), Broken> {
    let site = Site::of(Arc::clone(world))?;
    site.start().await?;
    let operator = operator(&site).await?;
    money::sells(&operator).await?;
    let reaper = tokio::task::spawn_local(reaps(Arc::clone(&site)));
    let postman = tokio::task::spawn_local(money::carries_notices(Arc::clone(&site)));
    let at_work =
        (0..crate::TENANTS).map(|place| tokio::task::spawn_local(company(Arc::clone(&site), operator.clone(), place)));
    let mut companies = Vec::new();
    for company in at_work.collect::<Vec<_>>() {
        companies.push(ended(company).await?);
    }
    ended(reaper).await?;
    postman.abort();
    world.faults.end();
    settles(world).await?;
    installation(&site, &operator, &companies).await?;
    for company in &companies {
        company.holds(world, &operator).await?;
    }
    // Once more, with what looking has caused.
    settles(world).await?;
    nothing_in_clear(world, &companies).await
}

/// What a task came to; a panic is something that does not hold.
async fn ended<T>(task: JoinHandle<Result<T, Broken>>) -> Result<T, Broken> {
    task.await.map_err(|error| Broken(error.to_string()))?
}

/// Ends the process now and then, at any instant, and starts it again.
async fn reaps(site: Arc<Site>) -> Result<(), Broken> {
    let dice = site.world.dice("reaper");
    for _ in 0..dice.below(4) {
        tokio::time::sleep(dice.millis(25_000)).await;
        site.die();
        tokio::time::sleep(dice.millis(3_000)).await;
        site.start().await?;
    }
    Ok(())
}

/// The whole life of a company.
async fn company(site: Arc<Site>, operator: Client, place: usize) -> Result<Company, Broken> {
    let dice = site.world.dice(&format!("company{place}"));
    tokio::time::sleep(dice.millis(3_000)).await;
    let (id, owner) = founds(&site, place).await?;
    let seats = 2 + dice.below(6);
    operator.does("PUT", &format!("/v1/tenants/{id}/quotas/seats"), &json!({ "limit": seats })).await?;
    let (people, features) = (Vec::new(), BTreeMap::new());
    let mut company = Company {
        id,
        place,
        owner,
        people,
        invited: 0,
        seats,
        features,
        held: 0,
        spent: 0,
        used: Count::default(),
        topped_up: Count::default(),
        told: Vec::new(),
        erased: false,
    };
    company.has_a_template().await?;
    company.subscribes().await?;
    company.grows(1 + dice.below(3)).await?;
    let at_work: Vec<_> =
        company.people.iter().map(|person| tokio::task::spawn_local(person.clone().works())).collect();
    let weather = tokio::task::spawn_local(suspends(
        operator.clone(),
        company.id.clone(),
        site.world.dice(&format!("weather{place}")),
    ));
    Box::pin(company.is_run(1..3 + dice.below(5))).await?;
    let erased = dice.in_a_thousand(500).then(|| dice.one_of(&company.people)).flatten();
    if let Some(person) = &erased {
        company.loses_one(&person.id).await?;
    }
    Box::pin(company.is_run(20..21 + dice.below(3))).await?;
    for (place, person) in at_work.into_iter().enumerate() {
        let worked = ended(person).await?;
        if let Some(known) = company.people.get_mut(place) {
            *known = Person { erased: known.erased, ..worked };
        }
    }
    ended(weather).await?;
    if dice.in_a_thousand(250) {
        operator.does("POST", &format!("/v1/tenants/{}/erase", company.id), &json!({})).await?;
        company.erased = true;
    }
    Ok(company)
}

/// Suspends a tenant now and then, and lets it go on.
async fn suspends(operator: Client, tenant: String, dice: Dice) -> Result<(), Broken> {
    for _ in 0..dice.below(3) {
        tokio::time::sleep(dice.millis(15_000)).await;
        let path = format!("/v1/tenants/{tenant}/suspend");
        if !matches!(operator.surely("POST", &path, &json!({ "reason": "unpaid" })).await?, Told::Done(_)) {
            // Not set up yet.
            continue;
        }
        tokio::time::sleep(dice.millis(5_000)).await;
        operator.does("POST", &format!("/v1/tenants/{tenant}/resume"), &json!({})).await?;
    }
    Ok(())
}
