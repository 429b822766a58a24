//! What follows from events and timers in a tenant's life: setting it up, its trial, destroying it.

use contracts::tenants::{
    ProvisioningCompleted, ProvisioningFailed, TenantActivated, TenantErasureRequested, TenantProvisioned, TrialEnded,
};
use kernel::{Cx, Problem, ProblemKind, Scope, TenantId, context::Fired};
use register::tenant::Tenant;

use crate::{
    Tenants,
    erasure::{self, Erasure},
    provisioning::Provisioning,
    trial::Trial,
};

/// The id in a timer of an aggregate that is named by one.
fn named<T: std::str::FromStr>(fired: &Fired) -> Result<T, Problem> {
    fired.id.parse().map_err(|_| Problem::internal(format!("a timer of {}", fired.id)))
}

/// What is gone meanwhile has no use for its timer.
fn unless_gone<T>(outcome: Result<T, Problem>) -> Result<(), Problem> {
    match outcome {
        Err(problem) if problem.kind() == ProblemKind::NotFound => Ok(()),
        outcome => outcome.map(drop),
    }
}

impl Tenants {
    pub(crate) async fn provisioning_begins(&self, event: TenantProvisioned, cx: Cx) -> Result<(), Problem> {
        let (tenant, owner, now) = (event.tenant, event.owner, cx.real_now());
        let fresh = || Provisioning::new(tenant, owner, now);
        self.store.at(&cx).upsert(&tenant, fresh, |saga| Ok(saga.begin(event.clone()))).await.map(drop)
    }

    pub(crate) async fn provisioning_due(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let (id, now) = (named::<TenantId>(&fired)?, cx.real_now());
        let gives_up = fired.timer == "give_up";
        let rule = |saga: &mut Provisioning| Ok(if gives_up { saga.give_up(now) } else { saga.retry(now) });
        unless_gone(self.store.at(&cx).change(&id, rule).await)
    }

    pub(crate) async fn provisioning_done(&self, event: ProvisioningCompleted, cx: Cx) -> Result<(), Problem> {
        let now = cx.now();
        self.store.at(&cx).change(&event.tenant, |tenant: &mut Tenant| Ok(tenant.ready(now))).await.map(drop)
    }

    pub(crate) async fn provisioning_failed(&self, event: ProvisioningFailed, cx: Cx) -> Result<(), Problem> {
        let now = cx.now();
        self.store.at(&cx).change(&event.tenant, |tenant: &mut Tenant| tenant.abandon(now)).await.map(drop)
    }

    pub(crate) async fn activated(&self, event: TenantActivated, cx: Cx) -> Result<(), Problem> {
        let inside = cx.within(event.tenant)?;
        let (store, id) = (self.store.at(&inside), Trial::ID.to_owned());
        let known = store.try_load::<Trial>(&id).await?.is_some();
        match event.trial_ends {
            Some(ends) if !known => store.create(Trial::new(event.tenant, ends), ()).await.map(drop),
            None if known => {
                let settle = |trial: &mut Trial| {
                    trial.settle();
                    Ok(())
                };
                store.change(&id, settle).await.map(drop)
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) async fn trial_due(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let now = cx.now();
        unless_gone(self.store.at(&cx).change(&fired.id, |trial: &mut Trial| Ok(trial.pass(now))).await)
    }

    pub(crate) async fn trial_ended(&self, event: TrialEnded, cx: Cx) -> Result<(), Problem> {
        let platform = self.register.at_platform(&cx);
        let now = platform.now();
        let rule = |tenant: &mut Tenant| Ok(tenant.end_trial(now));
        self.store.at(&platform).change(&event.tenant, rule).await.map(drop)
    }

    pub(crate) async fn erasure_begins(&self, event: TenantErasureRequested, cx: Cx) -> Result<(), Problem> {
        let store = self.store.at(&cx);
        if store.try_load::<Erasure>(&event.tenant).await?.is_some() {
            return Ok(());
        }
        let owner = store.load::<Tenant>(&event.tenant).await?.owner_id();
        let saga = Erasure::new(event.tenant, owner, self.remains.parts(), cx.real_now());
        store.create(saga, ()).await.map(drop)
    }

    /// Does all steps that are left. A crash repeats the one it came in; one that fails is tried again by the timer.
    pub(crate) async fn erasure_due(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let id: TenantId = named(&fired)?;
        let mut saga = self.store.at(&cx).load::<Erasure>(&id).await?;
        while let Some((place, step)) = saga.step() {
            self.erase_part(id, step, &saga, &cx).await?;
            let (step_cx, now) = (cx.repeatable(&format!("erasure/{id}/{place}")), cx.real_now());
            saga = self.store.at(&step_cx).change(&id, |saga: &mut Erasure| Ok(saga.advance(place, now))).await?;
        }
        if fired.timer == erasure::SWEEP {
            for step in saga.to_sweep() {
                self.erase_part(id, step, &saga, &cx).await?;
            }
            let sweep = |saga: &mut Erasure| {
                saga.sweep();
                Ok(())
            };
            self.store.at(&cx).change(&id, sweep).await?;
        }
        Ok(())
    }

    async fn erase_part(&self, tenant: TenantId, step: &str, saga: &Erasure, cx: &Cx) -> Result<(), Problem> {
        let inside = cx.within(tenant)?;
        match step {
            erasure::STORE => self.store.at(&inside).erase().await.map(drop),
            erasure::DOMAINS => self.domains.forget(tenant, cx).await,
            erasure::NAMES => Ok(self.store.keys().destroy_person(Scope::Platform, saga.owner_id()).await?),
            part => self.remains.erase(part, inside.scope()).await,
        }
    }
}

#[cfg(test)]
#[path = "sagas_tests.rs"]
mod tests;
