//! What a tenant was given: by its plan and its add-ons, and by an operator.

use std::collections::BTreeMap;

use contracts::entitlements::{EntitlementsGranted, FeatureOverridden, ResourceQuotaUpdated};
use kernel::{
    Aggregate, AnyEvent, Happened, Problem, ProblemKind, ScopeKind, Timestamp,
    text::{DisplayName, Key, Note},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const MOST_OVERRIDES: usize = 200;
const MOST_SLOTS: usize = 20;
const MOST_GRANTED: usize = 200;
const LARGEST_VALUE: usize = 2_000;

/// What an operator said about one feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Override {
    pub value: Value,
    pub until: Option<Timestamp>,
    pub reason: Note,
}

/// What a plan or an add-on contains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) source: DisplayName,
    pub features: BTreeMap<Key, Value>,
}

/// All that one tenant was given.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Entitlements {
    pub(crate) overrides: BTreeMap<Key, Override>,
    pub grants: BTreeMap<Key, Grant>,
}

fn too_many(what: &'static str) -> Problem {
    Problem::new(ProblemKind::Refused, "tenants.too_many_entitlements", what)
        .hint("take back what is not needed any more")
}

/// A value that can be granted: not nothing, no list, and not larger than it need be.
pub(crate) fn granted_value(at: &str, value: &Value) -> Result<(), Problem> {
    if value.is_null() || value.is_array() || value.to_string().len() > LARGEST_VALUE {
        let expected = "expected true, false, an amount, or the name or value of a variant";
        return Err(Problem::invalid_field(at, expected));
    }
    Ok(())
}

impl Entitlements {
    pub(crate) const ID: &'static str = "entitlements";

    /// What the operator says about a feature from now on; `None` takes it back.
    pub(crate) fn set(
        &mut self,
        feature: &Key,
        to: Option<Override>,
        now: Timestamp,
    ) -> Result<Vec<AnyEvent>, Problem> {
        let from = self.overrides.get(feature).cloned();
        if from == to {
            return Ok(Vec::new());
        }
        self.overrides.retain(|_, it| it.until.is_none_or(|until| until > now));
        let json = |it: &Option<Override>| it.as_ref().and_then(|it| serde_json::to_value(it).ok()).unwrap_or_default();
        let mut events = FeatureOverridden { feature: feature.to_string(), from: json(&from), to: json(&to) }.events();
        match to {
            None => drop(self.overrides.remove(feature)),
            Some(to) => {
                if let Some(limit) = to.value.as_u64() {
                    events.extend(ResourceQuotaUpdated { resource: feature.to_string(), limit }.events());
                }
                self.overrides.insert(feature.clone(), to);
            }
        }
        if self.overrides.len() > MOST_OVERRIDES {
            return Err(too_many("one tenant can have 200 overrides"));
        }
        Ok(events)
    }

    /// Puts a grant in its slot; one of nothing empties the slot.
    pub(crate) fn grant(&mut self, slot: Key, grant: Grant) -> Result<Vec<AnyEvent>, Problem> {
        if grant.features.len() > MOST_GRANTED {
            return Err(too_many("one grant can contain 200 features"));
        }
        for (feature, value) in &grant.features {
            granted_value(&format!("/features/{feature}"), value)?;
        }
        if self.grants.get(&slot) == Some(&grant) || grant.features.is_empty() && !self.grants.contains_key(&slot) {
            return Ok(Vec::new());
        }
        let features = grant.features.iter().map(|(feature, value)| (feature.to_string(), value.clone())).collect();
        let told = EntitlementsGranted { slot: slot.to_string(), source: grant.source.to_string(), features };
        if grant.features.is_empty() {
            self.grants.remove(&slot);
        } else {
            self.grants.insert(slot, grant);
        }
        if self.grants.len() > MOST_SLOTS {
            return Err(too_many("one tenant can have 20 grants"));
        }
        Ok(told.events())
    }

    /// What is granted of a feature: of amounts the largest, of true and false true, else the first slot by its name.
    pub(crate) fn granted(&self, feature: &Key) -> Option<(&Value, &DisplayName)> {
        let rank = |value: &Value| (value.as_u64().unwrap_or(0), value.as_bool().unwrap_or(false));
        let all = self.grants.values().filter_map(|it| it.features.get(feature).map(|value| (value, &it.source)));
        all.reduce(|best, next| if rank(next.0) > rank(best.0) { next } else { best })
    }
}

impl Aggregate for Entitlements {
    type Id = String;
    const KIND: &'static str = "tenants.entitlements";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(text: &str) -> Key {
        text.parse().unwrap()
    }

    fn grant(source: &str, features: &[(&str, Value)]) -> Grant {
        let features = features.iter().map(|(name, value)| (key(name), value.clone())).collect();
        Grant { source: source.parse().unwrap(), features }
    }

    #[test]
    fn a_new_version_of_a_plan_leaves_nothing_of_the_old() {
        let mut it = Entitlements::default();
        assert_eq!(
            it.grant(key("plan"), grant("team v2", &[("sso", json!(true)), ("seats", json!(10))])).unwrap().len(),
            1
        );
        let again = grant("team v2", &[("sso", json!(true)), ("seats", json!(10))]);
        assert!(it.grant(key("plan"), again).unwrap().is_empty(), "granted twice is granted once");
        it.grant(key("plan"), grant("team v3", &[("seats", json!(20))])).unwrap();
        it.grant(key("addon"), grant("more seats", &[("seats", json!(15))])).unwrap();
        assert_eq!(it.granted(&key("sso")), None);
        assert_eq!(it.granted(&key("seats")).unwrap().0, &json!(20), "the largest amount counts");
        it.grant(key("plan"), grant("none", &[])).unwrap();
        assert_eq!(it.granted(&key("seats")).unwrap().1.as_str(), "more seats");
    }

    #[test]
    fn overrides_are_bounded_and_those_that_ended_go() {
        let mut it = Entitlements::default();
        let start = Timestamp::UNIX_EPOCH;
        let later = start + std::time::Duration::from_mins(1);
        let over = |until| Some(Override { value: json!(true), until, reason: "trying".parse().unwrap() });
        for number in 0..MOST_OVERRIDES {
            it.set(&key(&format!("f{number}")), over(Some(later)), start).unwrap();
        }
        assert!(it.clone().set(&key("more"), over(None), start).is_err());
        assert_eq!(it.set(&key("more"), over(None), later).unwrap().len(), 1);
        assert_eq!(it.overrides.len(), 1);
        assert!(it.grant(key("plan"), grant("bad", &[("x", json!([1]))])).is_err());
    }
}
