//! Coupons: what is taken off invoices, for how long, and how often that may be had.

use std::collections::BTreeMap;

use contracts::billing::{CouponDefined, CouponRedeemed, SubscriptionId};
use kernel::{Aggregate, AnyEvent, ScopeKind, TenantId, Term, Timestamp, text::Key};
use money::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Refusal;

/// The most tenants that can use one coupon.
const MOST: usize = 10_000;

/// What is taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Off {
    /// An amount of each invoice.
    Amount {
        /// How much.
        amount: Money,
    },
    /// A part of each invoice.
    Percent {
        /// Of a hundred.
        #[schemars(range(min = 1, max = 100))]
        percent: u8,
    },
}

/// What a coupon says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CouponTerms {
    /// What is taken off.
    pub off: Off,
    /// Of how many invoices; of all where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub invoices: Option<u32>,
    /// For how many tenants, 10,000 at most.
    #[schemars(range(min = 1, max = 10_000))]
    pub tenants: u32,
    /// Until when it can be used first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub until: Option<Timestamp>,
}

/// A coupon, and who has used it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Coupon {
    code: Key,
    terms: CouponTerms,
    used_by: BTreeMap<TenantId, SubscriptionId>,
}

impl Coupon {
    /// A coupon that nobody has used.
    pub fn define(code: Key, terms: CouponTerms) -> Result<(Self, CouponDefined), Refusal> {
        let fits = match terms.off {
            Off::Amount { amount } => amount.minor() > 0,
            Off::Percent { percent } => (1..=100).contains(&percent),
        };
        let counts = terms.invoices.is_none_or(|it| (1..=1000).contains(&it));
        let tenants = usize::try_from(terms.tenants).is_ok_and(|it| (1..=MOST).contains(&it));
        if !fits || !counts || !tenants {
            return Err(Refusal::Terms(
                "a coupon takes something off, of 1 to 1,000 invoices, for 1 to 10,000 tenants",
            ));
        }
        let told = CouponDefined { coupon: code.to_string() };
        Ok((Self { code, terms, used_by: BTreeMap::new() }, told))
    }

    /// A tenant uses it for a subscription, once. Where that came to nothing, which `lost` names, it is used anew.
    pub fn redeem(
        &mut self,
        (tenant, subscription): (TenantId, SubscriptionId),
        lost: Option<SubscriptionId>,
        now: Timestamp,
    ) -> Result<Vec<AnyEvent>, Refusal> {
        let used = self.used_by.get(&tenant).copied();
        if used == Some(subscription) {
            return Ok(Vec::new());
        }
        if used.is_some() && used != lost {
            return Err(Refusal::CouponTwice);
        }
        let used_up = u32::try_from(self.used_by.len()).map_or(true, |used| used >= self.terms.tenants);
        if (used_up && used.is_none()) || self.terms.until.is_some_and(|until| until <= now) {
            return Err(Refusal::CouponOver);
        }
        self.used_by.insert(tenant, subscription);
        Ok(vec![CouponRedeemed { coupon: self.code.to_string(), tenant }.into()])
    }

    /// The subscription that a tenant used it for.
    pub fn used_for(&self, tenant: TenantId) -> Option<SubscriptionId> {
        self.used_by.get(&tenant).copied()
    }

    /// What the tenant who used it has of it.
    pub fn discount(&self) -> Discount {
        Discount { coupon: self.code.clone(), off: self.terms.off, left: self.terms.invoices }
    }

    /// Its code.
    pub const fn code(&self) -> &Key {
        &self.code
    }

    /// What it says.
    pub const fn terms(&self) -> &CouponTerms {
        &self.terms
    }

    /// How many have used it.
    pub fn used(&self) -> usize {
        self.used_by.len()
    }
}

impl Aggregate for Coupon {
    type Id = Key;
    const KIND: &'static str = "billing.coupon";
    const SCOPE: ScopeKind = ScopeKind::Platform;

    fn id(&self) -> Key {
        self.code.clone()
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }
}

/// What a subscription has of a coupon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Discount {
    /// Its code.
    pub coupon: Key,
    /// What is taken off.
    pub off: Off,
    /// Of how many invoices more; of all where nothing is said.
    pub left: Option<u32>,
}

impl Discount {
    /// Whether it can take anything off invoices of a currency.
    pub fn fits(&self, currency: money::Currency) -> Result<(), Refusal> {
        match self.off {
            Off::Amount { amount } if amount.currency() != currency => Err(Refusal::Currency(amount.currency())),
            _ => Ok(()),
        }
    }

    /// What it takes off a sum: never more than there is.
    pub fn of(&self, sum: Money) -> Result<Money, Refusal> {
        if sum.minor() <= 0 || self.left == Some(0) {
            return Ok(Money::zero(sum.currency()));
        }
        Ok(match self.off {
            Off::Amount { amount } => amount.least(sum)?,
            Off::Percent { percent } => sum.share(u64::from(percent), 100)?,
        })
    }

    /// One invoice had it.
    pub fn used(&mut self) {
        self.left = self.left.map(|left| left.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: u128) -> TenantId {
        kernel::Id::from_uuid(uuid::Uuid::from_u128(number))
    }

    fn euro(minor: i64) -> Money {
        Money::new(minor, "EUR".parse().unwrap())
    }

    #[test]
    fn a_coupon_is_used_once_by_each_by_so_many_and_in_time() {
        let end = Timestamp::from_second(1_000).unwrap();
        let terms = CouponTerms { off: Off::Percent { percent: 25 }, invoices: Some(2), tenants: 2, until: Some(end) };
        let (mut coupon, _) = Coupon::define("spring".parse().unwrap(), terms.clone()).unwrap();
        let (start, sub) = (Timestamp::UNIX_EPOCH, |number| kernel::Id::from_uuid(uuid::Uuid::from_u128(number)));
        assert_eq!(coupon.redeem((tenant(1), sub(1)), None, start).unwrap().len(), 1);
        assert!(coupon.redeem((tenant(1), sub(1)), None, start).unwrap().is_empty(), "the same again");
        assert_eq!(coupon.redeem((tenant(1), sub(2)), None, start), Err(Refusal::CouponTwice));
        assert_eq!(coupon.redeem((tenant(2), sub(3)), None, end), Err(Refusal::CouponOver), "too late");
        assert!(coupon.redeem((tenant(2), sub(3)), None, start).is_ok());
        assert_eq!(coupon.redeem((tenant(3), sub(4)), None, start), Err(Refusal::CouponOver), "used up");
        assert!(coupon.redeem((tenant(2), sub(5)), Some(sub(3)), start).is_ok(), "the first came to nothing");
        let nothing = CouponTerms { off: Off::Amount { amount: euro(0) }, ..terms };
        assert!(Coupon::define("none".parse().unwrap(), nothing).is_err());
    }

    #[test]
    fn never_more_is_taken_off_than_there_is() {
        let off = |off, left| Discount { coupon: "x".parse().unwrap(), off, left };
        assert_eq!(off(Off::Amount { amount: euro(500) }, None).of(euro(300)), Ok(euro(300)));
        assert_eq!(off(Off::Percent { percent: 25 }, Some(1)).of(euro(99)), Ok(euro(25)), "24.75");
        assert_eq!(off(Off::Percent { percent: 100 }, Some(0)).of(euro(99)), Ok(euro(0)));
        assert_eq!(off(Off::Percent { percent: 100 }, None).of(euro(-99)), Ok(euro(0)));
        let dollars = Money::new(1, "USD".parse().unwrap());
        assert!(off(Off::Amount { amount: dollars }, None).fits("EUR".parse().unwrap()).is_err());
    }
}
