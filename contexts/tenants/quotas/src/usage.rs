//! Reserving, keeping and using amounts.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cache::Handles;
use contracts::{
    entitlements::{ConfirmQuota, QuotaView, ReleaseQuota, ReserveQuota, SpendQuota},
    identity::UserActivated,
    tenants::{ReleaseSeat, ReserveSeat, SeatsView},
    users::{UserDeactivated, UserErased, UserReactivated},
};
use features::{Allowance, SEATS};
use kernel::{
    Caller, Cx, Granted, Handle, Happened, Problem, ProblemKind, TenantId,
    context::Fired,
    text::{Key, Note},
    use_case,
};
use register::{permissions as may, tenant::Tenant};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Quotas,
    quota::{RESERVED, ResourceQuota, begun},
};

/// The part of an amount that is taken at once for high rates, and the most.
const SLICE: u64 = 100;
const LARGEST_SLICE: u64 = 10_000;
/// So long after somebody left, word of their coming may still be on its way.
const LATE: Duration = Duration::from_hours(24);
/// The longest that a seat is reserved without being confirmed.
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// What was taken from quotas and not handed out yet. Lost with the process, and then used up: never more is handed out
/// than there is.
pub(crate) struct Slices(Handles<(TenantId, Key), Mutex<Slice>>);

#[derive(Default)]
struct Slice {
    period: String,
    left: u64,
}

impl Slices {
    pub(crate) fn new() -> Self {
        Self(Handles::new(100_000, Duration::from_hours(1)))
    }

    fn of(&self, tenant: TenantId, resource: &Key) -> Arc<Mutex<Slice>> {
        self.0.of((tenant, resource.clone()), Mutex::default)
    }
}

impl Slice {
    /// Hands out `amount`, or says how much is missing.
    fn take(&mut self, amount: u64, period: &str) -> Result<(), u64> {
        if self.period != period {
            *self = Self { period: period.to_owned(), left: 0 };
        }
        match self.left.checked_sub(amount) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(amount - self.left),
        }
    }
}

fn seats() -> Result<Key, Problem> {
    SEATS.parse().map_err(Problem::internal)
}

/// Seats follow the people: nobody frees them by asking for it.
fn may_touch(cx: &Cx, resource: &Key) -> Result<(), Problem> {
    if resource.as_str() == SEATS && !matches!(cx.caller(), Caller::Service { .. }) {
        return Err(Problem::new(
            ProblemKind::Denied,
            "tenants.seats_follow_people",
            "seats are taken and freed with people",
        )
        .hint("invite a person, or deactivate one"));
    }
    Ok(())
}

fn fits(id: &str) -> Result<(), Problem> {
    if (1..=64).contains(&id.len()) {
        Ok(())
    } else {
        Err(Problem::invalid_field("/id", "expected 1 to 64 characters"))
    }
}

fn amount_fits(amount: u64) -> Result<(), Problem> {
    if (1..=1_000_000_000).contains(&amount) {
        Ok(())
    } else {
        Err(Problem::invalid_field("/amount", "expected 1 to 1,000,000,000"))
    }
}

impl Quotas {
    /// How much there is of a resource.
    pub async fn allowance(&self, cx: &Cx, resource: &Key) -> Result<Allowance, Problem> {
        let found = self.features.allowance(cx, resource).await?;
        found.ok_or_else(|| {
            Problem::not_found("resource").hint("its amount is defined for all tenants, or granted by a plan")
        })
    }

    /// Changes a quota when it is one's turn.
    pub(crate) async fn quota_view(&self, cx: &Cx, resource: &Key) -> Result<QuotaView, Problem> {
        let allowance = self.allowance(cx, resource).await?;
        let known = self.store.at(cx).try_load::<ResourceQuota>(resource).await?;
        let mut quota = known.map_or_else(|| ResourceQuota::new(resource.clone()), store::Loaded::into_inner);
        quota.pass(allowance, cx.real_now(), cx.now());
        Ok(quota.view(allowance))
    }

    async fn use_quota<H: Happened>(
        &self,
        cx: &Cx,
        resource: &Key,
        mut rule: impl FnMut(&mut ResourceQuota, Allowance) -> Result<H, Problem> + Send,
    ) -> Result<(ResourceQuota, Allowance), Problem> {
        let turn = self.turns.of((cx.scope(), resource.to_string()));
        let _turn = turn.begin().await;
        // After the wait, so that a limit that was lowered meanwhile holds.
        let allowance = self.allowance(cx, resource).await?;
        let (real, now) = (cx.real_now(), cx.now());
        let fresh = || ResourceQuota::new(resource.clone());
        let rule = |quota: &mut ResourceQuota| {
            quota.pass(allowance, real, now);
            rule(quota, allowance)
        };
        Ok((self.store.at(cx).upsert(resource, fresh, rule).await?.into_inner(), allowance))
    }

    async fn left(&self, user: kernel::UserId, cx: &Cx) -> Result<(), Problem> {
        let until = cx.real_now() + LATE;
        let leave = |quota: &mut ResourceQuota, allowance| {
            quota.leave(&user.to_string(), until, allowance);
            Ok(())
        };
        self.use_quota(cx, &seats()?, leave).await.map(drop)
    }

    async fn free_seat(&self, user: kernel::UserId, cx: &Cx) -> Result<SeatsView, Problem> {
        let release = |quota: &mut ResourceQuota, allowance| {
            quota.release(&user.to_string(), allowance);
            Ok(())
        };
        let (quota, allowance) = self.use_quota(cx, &seats()?, release).await?;
        Ok(quota.seats(allowance))
    }

    pub(crate) async fn seat_confirmed(&self, event: UserActivated, cx: Cx) -> Result<(), Problem> {
        let count = |quota: &mut ResourceQuota, allowance| Ok(quota.count(&event.user.to_string(), allowance));
        self.use_quota(&cx, &seats()?, count).await.map(drop)
    }

    pub(crate) async fn seat_taken_again(&self, event: UserReactivated, cx: Cx) -> Result<(), Problem> {
        let count = |quota: &mut ResourceQuota, allowance| Ok(quota.count_again(&event.user.to_string(), allowance));
        self.use_quota(&cx, &seats()?, count).await.map(drop)
    }

    pub(crate) async fn seat_left(&self, event: UserDeactivated, cx: Cx) -> Result<(), Problem> {
        self.left(event.user, &cx).await
    }

    pub(crate) async fn seat_erased(&self, event: UserErased, cx: Cx) -> Result<(), Problem> {
        self.left(event.user, &cx).await?;
        self.register.forget_owner(event.user, &cx).await
    }

    pub(crate) async fn reservations_end(&self, fired: Fired, cx: Cx) -> Result<(), Problem> {
        let resource: Key = fired.id.parse().map_err(Problem::internal)?;
        let now = cx.real_now();
        let expire = |quota: &mut ResourceQuota| {
            quota.expire(now);
            Ok(())
        };
        self.store.at(&cx).change(&resource, expire).await.map(drop)
    }
}

impl Handle<ReserveSeat> for Quotas {
    async fn handle(&self, it: ReserveSeat, cx: Granted<ReserveSeat>) -> Result<SeatsView, Problem> {
        let now = cx.real_now();
        let until = it.until.unwrap_or(now + RESERVED).min(now + LONGEST);
        let id = it.user.to_string();
        let reserve = |quota: &mut ResourceQuota, allowance| quota.reserve(&id, 1, until, allowance);
        let (quota, allowance) = self.use_quota(&cx, &seats()?, reserve).await?;
        Ok(quota.seats(allowance))
    }
}

impl Handle<ReleaseSeat> for Quotas {
    async fn handle(&self, it: ReleaseSeat, cx: Granted<ReleaseSeat>) -> Result<SeatsView, Problem> {
        self.free_seat(it.user, &cx).await
    }
}

impl Handle<ReserveQuota> for Quotas {
    async fn handle(&self, it: ReserveQuota, cx: Granted<ReserveQuota>) -> Result<QuotaView, Problem> {
        may_touch(&cx, &it.resource)?;
        fits(&it.id)?;
        amount_fits(it.amount)?;
        if !(1..=86_400).contains(&it.seconds) {
            return Err(Problem::invalid_field("/seconds", "expected 1 to 86,400"));
        }
        let until = cx.real_now() + Duration::from_secs(u64::from(it.seconds));
        let reserve = |quota: &mut ResourceQuota, allowance| quota.reserve(&it.id, it.amount, until, allowance);
        let (quota, allowance) = self.use_quota(&cx, &it.resource, reserve).await?;
        Ok(quota.view(allowance))
    }
}

impl Handle<ConfirmQuota> for Quotas {
    async fn handle(&self, it: ConfirmQuota, cx: Granted<ConfirmQuota>) -> Result<QuotaView, Problem> {
        may_touch(&cx, &it.resource)?;
        fits(&it.id)?;
        let confirm = |quota: &mut ResourceQuota, allowance| quota.confirm(&it.id, allowance);
        let (quota, allowance) = self.use_quota(&cx, &it.resource, confirm).await?;
        Ok(quota.view(allowance))
    }
}

impl Handle<ReleaseQuota> for Quotas {
    async fn handle(&self, it: ReleaseQuota, cx: Granted<ReleaseQuota>) -> Result<QuotaView, Problem> {
        may_touch(&cx, &it.resource)?;
        fits(&it.id)?;
        let release = |quota: &mut ResourceQuota, allowance| {
            quota.release(&it.id, allowance);
            Ok(())
        };
        let (quota, allowance) = self.use_quota(&cx, &it.resource, release).await?;
        Ok(quota.view(allowance))
    }
}

impl Handle<SpendQuota> for Quotas {
    async fn handle(&self, it: SpendQuota, cx: Granted<SpendQuota>) -> Result<(), Problem> {
        may_touch(&cx, &it.resource)?;
        amount_fits(it.amount)?;
        let allowance = self.allowance(&cx, &it.resource).await?;
        let Some(per) = allowance.per else {
            let held = "what is held until it is released is reserved, not used up";
            return Err(Problem::new(ProblemKind::Refused, "tenants.not_used_up", held).hint("reserve it under an id"));
        };
        let slice = self.slices.of(cx.tenant()?, &it.resource);
        let period = begun(per, cx.now());
        let take = || slice.lock().unwrap_or_else(PoisonError::into_inner).take(it.amount, &period);
        if take().is_ok() {
            return Ok(());
        }
        // One fetches the next slice, the others wait for it; a resource's own turn is taken inside.
        let turn = self.turns.of((cx.scope(), format!("slice/{}", it.resource)));
        let _turn = turn.begin().await;
        // Whoever needs less may be served meanwhile, so that once may not be enough.
        while let Err(missing) = take() {
            let most = (allowance.limit / SLICE).clamp(missing, LARGEST_SLICE.max(missing));
            let mut taken = 0;
            let spend = |quota: &mut ResourceQuota, allowance| {
                let (so_much, told) = quota.spend(missing, most, allowance)?;
                taken = so_much;
                Ok(told)
            };
            self.use_quota(&cx, &it.resource, spend).await?;
            slice.lock().unwrap_or_else(PoisonError::into_inner).left += taken;
        }
        Ok(())
    }
}

/// How many seats there are, and how many are taken.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadSeats {}

use_case!(ReadSeats => SeatsView, "tenants.seats.read", Tenant, may::QUOTA_READ, Tell);

impl Handle<ReadSeats> for Quotas {
    async fn handle(&self, _: ReadSeats, cx: Granted<ReadSeats>) -> Result<SeatsView, Problem> {
        let seats = self.quota_view(&cx, &seats()?).await?;
        Ok(SeatsView { limit: seats.limit, used: seats.used })
    }
}

/// How much there is of a resource, and how much of it is used.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadQuota {
    /// Which resource.
    resource: Key,
}

use_case!(ReadQuota => QuotaView, "tenants.quotas.read", Tenant, may::QUOTA_READ, Tell);

impl Handle<ReadQuota> for Quotas {
    async fn handle(&self, it: ReadQuota, cx: Granted<ReadQuota>) -> Result<QuotaView, Problem> {
        self.quota_view(&cx, &it.resource).await
    }
}

/// Says how much of a resource a tenant may use: the override of an amount.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateQuota {
    /// Which tenant.
    tenant: TenantId,
    /// Which resource: `seats`, or another amount that is defined or granted.
    resource: Key,
    /// How much from now on; what is in use beyond it stays.
    #[schemars(range(max = 1_000_000_000_000_i64))]
    limit: u64,
}

use_case!(UpdateQuota => QuotaView, "tenants.quotas.update", Platform, may::QUOTA_UPDATE, |it| it.tenant.into());

impl Handle<UpdateQuota> for Quotas {
    async fn handle(&self, it: UpdateQuota, cx: Granted<UpdateQuota>) -> Result<QuotaView, Problem> {
        self.store.at(&cx).load::<Tenant>(&it.tenant).await?;
        let inside = cx.within(it.tenant)?;
        self.allowance(&inside, &it.resource).await?;
        let reason: Note = "set by whoever runs this installation".parse().map_err(Problem::internal)?;
        self.features.override_amount(&inside, &it.resource, it.limit, reason).await?;
        self.quota_view(&inside, &it.resource).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_hands_out_what_it_has_and_nothing_of_a_period_before() {
        let mut it = Slice::default();
        assert_eq!(it.take(3, "june"), Err(3));
        it.left += 10;
        assert_eq!((it.take(3, "june"), it.left), (Ok(()), 7));
        assert_eq!(it.take(9, "june"), Err(2));
        assert_eq!((it.take(1, "july"), it.left), (Err(1), 0));
    }
}
