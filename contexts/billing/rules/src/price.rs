//! Prices that depend on how many. Nothing is rounded before the end of a line.

use money::{Currency, Money};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Refusal,
    decimal::{Exact, Price, Quantity},
};

/// The most tiers of one price.
const MOST_TIERS: usize = 20;

/// A range of quantities and what is charged in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Up to how many, these included; without an end where nothing is said, which only the last can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<Quantity>,
    /// What one costs.
    pub unit: Price,
    /// What is charged besides once there is anything in it.
    #[serde(default)]
    pub flat: Price,
}

/// What so many cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "model", rename_all = "snake_case", deny_unknown_fields)]
pub enum Pricing {
    /// Each the same.
    PerUnit {
        /// What one costs.
        unit: Price,
    },
    /// What lies in each tier at the price of that tier.
    Graduated {
        /// The tiers, from the lowest.
        #[schemars(length(min = 1, max = 20))]
        tiers: Vec<Tier>,
    },
    /// All at the price of the tier that the whole lies in.
    Volume {
        /// The tiers, from the lowest.
        #[schemars(length(min = 1, max = 20))]
        tiers: Vec<Tier>,
    },
    /// By packages, of which each that is begun counts.
    Package {
        /// How many one holds.
        size: Quantity,
        /// What one costs.
        price: Price,
    },
}

/// What so many cost, and how that comes about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// Nothing rounded yet.
    pub exact: Exact,
    /// A sentence for each step.
    pub steps: Vec<String>,
}

impl Cost {
    const fn nothing() -> Self {
        Self { exact: Exact::ZERO, steps: Vec::new() }
    }

    /// So many at a price.
    fn add(&mut self, many: Quantity, unit: Price) -> Result<(), Refusal> {
        let exact = unit.of(many)?;
        self.steps.push(format!("{many} at {unit} = {exact}"));
        self.exact = self.exact.plus(exact)?;
        Ok(())
    }

    fn add_flat(&mut self, flat: Price) -> Result<(), Refusal> {
        if flat != Price::ZERO {
            let exact = flat.of(Quantity::whole(1)?)?;
            self.steps.push(format!("and {exact} for the tier"));
            self.exact = self.exact.plus(exact)?;
        }
        Ok(())
    }
}

impl Pricing {
    /// Refuses what means nothing: tiers that do not rise, one without an end before others, a price below nothing.
    pub fn check(&self) -> Result<(), Refusal> {
        let below_nothing = Refusal::Terms("a price is not less than nothing");
        match self {
            Self::PerUnit { unit } if unit.is_negative() => Err(below_nothing),
            Self::PerUnit { .. } => Ok(()),
            Self::Package { size, price } => {
                if price.is_negative() {
                    return Err(below_nothing);
                }
                if *size > Quantity::ZERO { Ok(()) } else { Err(Refusal::Terms("a package holds more than nothing")) }
            }
            Self::Graduated { tiers } | Self::Volume { tiers } => {
                if tiers.iter().any(|tier| tier.unit.is_negative() || tier.flat.is_negative()) {
                    return Err(below_nothing);
                }
                let Some((last, before)) = tiers.split_last() else {
                    return Err(Refusal::Terms("there is at least one tier"));
                };
                let ends: Option<Vec<Quantity>> = before.iter().map(|tier| tier.up_to).collect();
                let rise = ends.is_some_and(|ends| {
                    let ends = [&[Quantity::ZERO], ends.as_slice()].concat();
                    ends.windows(2).all(|pair| pair.first() < pair.last())
                });
                if !rise || last.up_to.is_some() || tiers.len() > MOST_TIERS {
                    return Err(Refusal::Terms("up to 20 tiers rise, and the last alone has no end"));
                }
                Ok(())
            }
        }
    }

    /// What so many cost; of less than nothing, nothing.
    pub fn cost(&self, many: Quantity) -> Result<Cost, Refusal> {
        let (many, mut cost) = (many.max(Quantity::ZERO), Cost::nothing());
        if many == Quantity::ZERO {
            return Ok(cost);
        }
        match self {
            Self::PerUnit { unit } => cost.add(many, *unit)?,
            Self::Package { size, price } => cost.add(many.packages(*size)?, *price)?,
            Self::Graduated { tiers } => {
                let mut below = Quantity::ZERO;
                for tier in tiers {
                    let end = tier.up_to.unwrap_or(many).min(many);
                    if end <= below {
                        break;
                    }
                    cost.add(end.minus(below)?, tier.unit)?;
                    cost.add_flat(tier.flat)?;
                    below = end;
                }
            }
            Self::Volume { tiers } => {
                let tier = tiers.iter().find(|tier| tier.up_to.is_none_or(|end| many <= end));
                let tier = tier.ok_or(Refusal::Terms("the last tier has no end"))?;
                cost.add(many, tier.unit)?;
                cost.add_flat(tier.flat)?;
            }
        }
        Ok(cost)
    }

    /// The same, rounded once.
    pub fn money(&self, many: Quantity, currency: Currency) -> Result<Money, Refusal> {
        self.cost(many)?.exact.rounded(currency)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn graduated(tiers: &[(Option<u64>, &str)]) -> Pricing {
        let tier = |(end, unit): &(Option<u64>, &str)| Tier {
            up_to: end.map(|end| Quantity::whole(end).unwrap()),
            unit: unit.parse().unwrap(),
            flat: Price::ZERO,
        };
        Pricing::Graduated { tiers: tiers.iter().map(tier).collect() }
    }

    fn money(pricing: &Pricing, many: &str) -> String {
        pricing.check().unwrap();
        pricing.money(many.parse().unwrap(), "EUR".parse().unwrap()).unwrap().amount()
    }

    #[test]
    fn each_model() {
        let calls = graduated(&[(Some(100_000), "0"), (Some(1_000_000), "0.0004"), (None, "0.0002")]);
        assert_eq!(money(&calls, "100000"), "0.00");
        assert_eq!(money(&calls, "250000"), "60.00");
        assert_eq!(money(&calls, "1000012"), "360.00", "rounded once: 360.0024");
        assert_eq!(money(&calls, "1000025"), "360.01", "rounded once: 360.005");
        let Pricing::Graduated { tiers } = calls else { panic!() };
        assert_eq!(money(&Pricing::Volume { tiers }, "250000"), "100.00");
        let package = Pricing::Package { size: "1000".parse().unwrap(), price: "5".parse().unwrap() };
        assert_eq!(
            (money(&package, "1000"), money(&package, "1000.5"), money(&package, "0")),
            ("5.00".into(), "10.00".into(), "0.00".into())
        );
        assert_eq!(money(&Pricing::PerUnit { unit: "12".parse().unwrap() }, "2.5"), "30.00");
        let with_flat = Tier { up_to: None, unit: "1".parse().unwrap(), flat: "10".parse().unwrap() };
        assert_eq!(money(&Pricing::Graduated { tiers: vec![with_flat] }, "2"), "12.00");
    }

    #[test]
    fn tiers_that_mean_nothing_are_refused() {
        for tiers in [
            &[][..],
            &[(Some(5), "1")],
            &[(None, "1"), (None, "1")],
            &[(Some(5), "1"), (Some(5), "1"), (None, "1")],
            &[(None, "-1")],
        ] {
            assert!(matches!(graduated(tiers).check(), Err(Refusal::Terms(_))), "{tiers:?}");
        }
        assert!(Pricing::Package { size: Quantity::ZERO, price: Price::ZERO }.check().is_err());
        let most = Pricing::PerUnit { unit: "999999999999.999999999999".parse().unwrap() };
        assert_eq!(most.money("999999999999".parse().unwrap(), "EUR".parse().unwrap()), Err(Refusal::Overflow));
    }

    proptest! {
        /// One more costs no more than the dearest tier's price, and never less than nothing: no step at a boundary.
        #[test]
        fn graduated_tiers_are_continuous(
            widths in prop::collection::vec(1_u64..1_000, 1..8),
            units in prop::collection::vec(0_u32..1_000_000, 8),
            many in 0_u64..8_000,
        ) {
            let mut end = 0;
            let mut tiers: Vec<Tier> = widths.iter().zip(&units).map(|(width, unit)| {
                end += width;
                let unit = format!("{}.{:06}", unit / 100_000, unit % 100_000).parse().unwrap();
                Tier { up_to: Some(Quantity::whole(end).unwrap()), unit, flat: Price::ZERO }
            }).collect();
            tiers.last_mut().unwrap().up_to = None;
            let dearest = tiers.iter().map(|tier| tier.unit).max().unwrap();
            let pricing = Pricing::Graduated { tiers };
            pricing.check().unwrap();
            let cost = |many: u64| pricing.cost(Quantity::whole(many).unwrap()).unwrap().exact;
            let step = cost(many + 1).minus(cost(many)).unwrap();
            prop_assert!(step >= Exact::ZERO && step <= dearest.of(Quantity::whole(1).unwrap()).unwrap());
        }
    }
}
