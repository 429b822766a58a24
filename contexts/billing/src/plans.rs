//! Publishing plans, and telling what can be subscribed to.

use billing_rules::{Plan, PlanRef, Terms, subscription::Offer};
use kernel::{Cx, Granted, Handle, List, Problem, text::Key, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::Billing;
use permissions as may;

/// Publishes a version of a plan. It is what is sold from now on; who subscribed to an older one keeps that until they
/// are moved. The same again is no new version.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishPlan {
    /// Which plan.
    plan: Key,
    /// What it says.
    terms: Terms,
}

/// A version of a plan.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PlanView {
    plan: Key,
    /// The newest version, which is sold.
    version: u32,
    terms: Terms,
}

use_case!(PublishPlan => PlanView, "billing.plans.publish", Platform, may::PLAN_PUBLISH, |it| kernel::Resource::one("plan", &it.plan));

impl Handle<PublishPlan> for Billing {
    async fn handle(&self, it: PublishPlan, cx: Granted<PublishPlan>) -> Result<PlanView, Problem> {
        let fresh = || Plan::new(it.plan.clone());
        let rule = |plan: &mut Plan| Ok(plan.publish(it.terms.clone())?);
        let published = self.store.at(&cx).upsert(&it.plan, fresh, rule).await?;
        view(&published, published.newest())
    }
}

fn view(plan: &Plan, version: u32) -> Result<PlanView, Problem> {
    let terms = plan.terms(version).cloned().ok_or_else(|| Problem::not_found("version of this plan"))?;
    Ok(PlanView { plan: plan.key().clone(), version, terms })
}

/// A version of a plan; the newest where none is named.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadPlan {
    /// Which plan.
    plan: Key,
    /// Which version.
    #[schemars(range(min = 1, max = 50))]
    version: Option<u32>,
}

use_case!(ReadPlan => PlanView, "billing.plans.read", Platform, may::PLAN_READ, Tell, |it| kernel::Resource::one("plan", &it.plan));

impl Handle<ReadPlan> for Billing {
    async fn handle(&self, it: ReadPlan, cx: Granted<ReadPlan>) -> Result<PlanView, Problem> {
        let plan = self.store.at(&cx).load::<Plan>(&it.plan).await?;
        view(&plan, it.version.unwrap_or(plan.newest()))
    }
}

/// All plans, in their newest versions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListPlans {
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListPlans => List<PlanView>, "billing.plans.list", Platform, may::PLAN_READ, Tell);

impl Handle<ListPlans> for Billing {
    async fn handle(&self, it: ListPlans, cx: Granted<ListPlans>) -> Result<List<PlanView>, Problem> {
        let listed = self.store.at(&cx).list::<Plan>("all", "", &Page::newest(it.after, it.limit)).await?;
        listed.shown(|plan| view(plan, plan.newest()))
    }
}

/// What can be subscribed to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListOffers {
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListOffers => List<PlanView>, "billing.offers.list", Tenant, may::OFFER_READ, Tell);

impl Handle<ListOffers> for Billing {
    async fn handle(&self, it: ListOffers, cx: Granted<ListOffers>) -> Result<List<PlanView>, Problem> {
        let platform = self.at_platform(&cx);
        let listed = self.store.at(&platform).list::<Plan>("all", "", &Page::newest(it.after, it.limit)).await?;
        listed.shown(|plan| view(plan, plan.newest()))
    }
}

impl Billing {
    /// The newest version of a plan, as it is subscribed to.
    pub(crate) async fn offer(&self, plan: &Key, cx: &Cx) -> Result<Offer, Problem> {
        let found = self.store.at(&self.at_platform(cx)).try_load::<Plan>(plan).await?;
        let found = found.ok_or_else(|| Problem::not_found("plan").field("/plan", "no plan of this name is sold"))?;
        let PlanView { plan, version, terms } = view(&found, found.newest())?;
        Ok(Offer { plan: PlanRef { plan, version }, terms })
    }
}
