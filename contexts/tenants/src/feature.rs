//! A feature that a tenant's people have or have not.

use contracts::tenants::FeatureEnabled;
use kernel::{Aggregate, ScopeKind, Term, text::Key};
use serde::{Deserialize, Serialize};

/// A feature with a percentage rollout. Who has it at ten per cent keeps it at twenty.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Feature {
    key: Key,
    pub(crate) enabled: bool,
    pub(crate) percentage: u8,
}

impl Feature {
    pub(crate) fn new(key: Key) -> Self {
        Self { key, enabled: false, percentage: 100 }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn switch(&mut self, enabled: bool, percentage: u8) -> FeatureEnabled {
        (self.enabled, self.percentage) = (enabled, percentage.min(100));
        FeatureEnabled { feature: self.key.to_string(), enabled, percentage: self.percentage }
    }

    /// Whether it is on for this key of targeting, and why (OpenFeature's reasons).
    pub(crate) fn evaluate(&self, target: &str) -> (bool, &'static str) {
        if !self.enabled {
            return (false, "DISABLED");
        }
        if self.percentage >= 100 {
            return (true, "STATIC");
        }
        (bucket(self.key.as_str(), target) < u32::from(self.percentage) * 100, "SPLIT")
    }
}

/// One of 10,000, the same for ever for the same feature and target.
fn bucket(key: &str, target: &str) -> u32 {
    let digest = ring::digest::digest(&ring::digest::SHA256, format!("{key}\n{target}").as_bytes());
    let number = digest.as_ref().iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    u32::try_from(number % 10_000).unwrap_or(0)
}

impl Aggregate for Feature {
    type Id = Key;
    const KIND: &'static str = "tenants.feature";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> Key {
        self.key.clone()
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_grows_and_never_changes_its_mind() {
        let mut feature = Feature::new("search".parse().unwrap());
        assert_eq!(feature.evaluate("anyone"), (false, "DISABLED"));
        let on = |feature: &Feature| (0..2_000).filter(|it| feature.evaluate(&it.to_string()).0).collect::<Vec<_>>();
        feature.switch(true, 10);
        let ten = on(&feature);
        assert!((120..=280).contains(&ten.len()), "about a tenth: {}", ten.len());
        feature.switch(true, 50);
        let fifty = on(&feature);
        assert!(ten.iter().all(|it| fifty.contains(it)), "who has it keeps it");
        feature.switch(true, 100);
        assert_eq!(on(&feature).len(), 2_000);
    }
}
