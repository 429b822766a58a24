//! Coupons.

use billing_rules::{
    Subscription,
    coupon::{Coupon, CouponTerms, Discount},
};
use contracts::billing::SubscriptionId;
use kernel::{Cx, Granted, Handle, List, Problem, text::Key, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::Billing;
use permissions as may;

/// Makes a coupon. What it says never changes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefineCoupon {
    /// Its code.
    coupon: Key,
    /// What it says.
    terms: CouponTerms,
}

/// A coupon, and how many tenants used it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CouponView {
    coupon: Key,
    terms: CouponTerms,
    used: usize,
}

impl From<&Coupon> for CouponView {
    fn from(it: &Coupon) -> Self {
        Self { coupon: it.code().clone(), terms: it.terms().clone(), used: it.used() }
    }
}

use_case!(DefineCoupon => CouponView, "billing.coupons.define", Platform, may::COUPON, |it| kernel::Resource::one("coupon", &it.coupon));

impl Handle<DefineCoupon> for Billing {
    async fn handle(&self, it: DefineCoupon, cx: Granted<DefineCoupon>) -> Result<CouponView, Problem> {
        let (coupon, told) = Coupon::define(it.coupon, it.terms)?;
        Ok((&*self.store.at(&cx).create(coupon, told).await?).into())
    }
}

/// All coupons.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListCoupons {
    /// Go on after this cursor.
    after: Option<String>,
    /// At most so many, up to 200.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListCoupons => List<CouponView>, "billing.coupons.list", Platform, may::COUPON, Tell);

impl Handle<ListCoupons> for Billing {
    async fn handle(&self, it: ListCoupons, cx: Granted<ListCoupons>) -> Result<List<CouponView>, Problem> {
        let listed = self.store.at(&cx).list::<Coupon>("all", "", &Page::newest(it.after, it.limit)).await?;
        listed.shown(|coupon| Ok(coupon.into()))
    }
}

impl Billing {
    /// Uses a coupon for a subscription that is about to begin. Where a use before this came to nothing, because
    /// something ended in between, it counts no more.
    pub(crate) async fn redeem(&self, code: &Key, id: SubscriptionId, cx: &Cx) -> Result<Discount, Problem> {
        let (tenant, platform, now) = (cx.tenant()?, self.at_platform(cx), cx.now());
        let unknown = || Problem::not_found("coupon").field("/coupon", "there is no such coupon");
        let known = self.store.at(&platform).try_load::<Coupon>(code).await?.ok_or_else(unknown)?;
        let lost = match known.used_for(tenant) {
            Some(used) if self.store.at(cx).try_load::<Subscription>(&used).await?.is_none() => Some(used),
            _ => None,
        };
        let rule = |coupon: &mut Coupon| Ok(coupon.redeem((tenant, id), lost, now)?);
        Ok(self.store.at(&platform).change(code, rule).await?.discount())
    }
}
