//! A feature: what it can be worth, and to whom. Defined by the operator for all tenants, or by a tenant for its people.

use std::{collections::BTreeMap, marker::PhantomData, mem::discriminant};

use contracts::entitlements::{FeatureEnabled, Period};
use kernel::{Aggregate, AnyEvent, Happened, Problem, ScopeKind, Term, text::Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::rule::Rule;

/// The largest definition, in bytes of JSON.
const LARGEST: usize = 8 * 1024;
const MOST_VARIANTS: usize = 20;
const MOST_RULES: usize = 30;

/// How much of a resource there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    /// How much, where no plan and no operator says otherwise.
    #[schemars(range(max = 1_000_000_000_000_i64))]
    pub limit: u64,
    /// Whether more can be used; warnings are told then, and nothing is refused.
    #[serde(default)]
    pub soft: bool,
    /// The period after which counting begins anew; nothing for what is held until it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Period>,
}

/// Named values, and rules that choose among them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Choice {
    pub(crate) variants: BTreeMap<Key, Value>,
    /// Served where no rule says otherwise, to `percentage` of a hundred.
    pub default: Key,
    /// Served to all others, and to all while it is off.
    pub(crate) off: Key,
    pub(crate) percentage: u8,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    Choice(Choice),
    Amount(Allowance),
}

/// What a feature is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Definition {
    /// Off, it is worth its off variant, or nothing, whatever else says otherwise.
    pub enabled: bool,
    #[serde(flatten)]
    pub form: Form,
}

fn word(text: &'static str) -> Key {
    text.parse().expect("a word of small letters")
}

impl Choice {
    /// On or off.
    pub(crate) fn switch(percentage: u8) -> Self {
        let variants = BTreeMap::from([(word("on"), json!(true)), (word("off"), json!(false))]);
        Self { variants, default: word("on"), off: word("off"), percentage, rules: Vec::new() }
    }

    /// The variant that a grant or an override means: by its value, or by its name.
    pub(crate) fn variant(&self, meant: &Value) -> Option<(&Key, &Value)> {
        let by_value = self.variants.iter().find(|(_, value)| *value == meant);
        by_value.or_else(|| self.variants.iter().find(|(name, _)| meant.as_str() == Some(name.as_str())))
    }

    fn check(&self) -> Result<(), Problem> {
        let mut values = self.variants.values();
        let Some(first) = values.next().filter(|_| self.variants.len() <= MOST_VARIANTS) else {
            return Err(Problem::invalid_field("/variants", "expected 1 to 20"));
        };
        if first.is_null() || first.is_array() || values.any(|it| discriminant(it) != discriminant(first)) {
            let expected = "expected values of one type: all true or false, texts, numbers, or objects";
            return Err(Problem::invalid_field("/variants", expected));
        }
        let named = |at: &str, name: &Key| {
            let known = self.variants.contains_key(name).then_some(());
            known.ok_or_else(|| Problem::invalid_field(at, "expected the name of one of the variants"))
        };
        named("/default", &self.default)?;
        named("/off", &self.off)?;
        if self.percentage > 100 {
            return Err(Problem::invalid_field("/percentage", "expected at most 100"));
        }
        if self.rules.len() > MOST_RULES {
            return Err(Problem::invalid_field("/rules", "expected at most 30"));
        }
        self.rules.iter().enumerate().try_for_each(|(place, rule)| {
            rule.check(&format!("/rules/{place}"))?;
            named(&format!("/rules/{place}/variant"), &rule.variant)
        })
    }
}

impl Definition {
    /// Refuses what cannot be evaluated, or is too large.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        if let Form::Choice(choice) = &self.form {
            choice.check()?;
        }
        let size = serde_json::to_vec(self).map_err(Problem::internal)?.len();
        if size > LARGEST {
            return Err(Problem::invalid_field("", "the definition is larger than 8 KiB"));
        }
        Ok(())
    }

    pub(crate) fn choice(&self) -> Option<&Choice> {
        match &self.form {
            Form::Choice(choice) => Some(choice),
            Form::Amount(_) => None,
        }
    }

    pub(crate) fn allowance(&self) -> Option<Allowance> {
        match &self.form {
            Form::Choice(_) => None,
            Form::Amount(allowance) => Some(*allowance),
        }
    }
}

/// Where a feature is defined.
pub(crate) trait Place: Clone + Send + Sync + 'static {
    const SCOPE: ScopeKind;
}

/// By a tenant, for its people.
#[derive(Debug, Clone)]
pub(crate) enum Own {}

impl Place for Own {
    const SCOPE: ScopeKind = ScopeKind::Tenant;
}

/// By the operator, for all tenants.
#[derive(Debug, Clone)]
pub(crate) enum Common {}

impl Place for Common {
    const SCOPE: ScopeKind = ScopeKind::Platform;
}

/// A feature that was defined somewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Feature<P: Place> {
    pub key: Key,
    pub definition: Definition,
    #[serde(skip)]
    place: PhantomData<fn() -> P>,
}

impl<P: Place> Feature<P> {
    pub(crate) fn new(key: Key, definition: Definition) -> (Self, Vec<AnyEvent>) {
        let events = told(&key, Value::Null, &definition);
        (Self { key, definition, place: PhantomData }, events)
    }

    /// Says what it is from now on.
    pub(crate) fn define(&mut self, definition: Definition) -> Vec<AnyEvent> {
        if self.definition == definition {
            return Vec::new();
        }
        let from = serde_json::to_value(&self.definition).unwrap_or_default();
        self.definition = definition;
        told(&self.key, from, &self.definition)
    }

    /// Switches it on or off for all, leaving the rest as it is.
    pub(crate) fn switch(&mut self, enabled: bool) -> Vec<AnyEvent> {
        self.define(Definition { enabled, ..self.definition.clone() })
    }
}

fn told(key: &Key, from: Value, to: &Definition) -> Vec<AnyEvent> {
    let percentage = to.choice().map_or(100, |choice| choice.percentage);
    let (feature, to_value) = (key.to_string(), serde_json::to_value(to).unwrap_or_default());
    FeatureEnabled { feature, enabled: to.enabled, percentage, from, to: to_value }.events()
}

impl<P: Place> Aggregate for Feature<P> {
    type Id = Key;
    const KIND: &'static str = "tenants.feature";
    const SCOPE: ScopeKind = P::SCOPE;
    const VERSION: u16 = 2;

    fn id(&self) -> Key {
        self.key.clone()
    }

    fn terms(&self) -> Vec<Term> {
        vec![Term::new("all", "")]
    }

    /// The first version was on or off, for a share.
    fn upcast(version: u16, body: Value) -> Value {
        if version != 1 {
            return body;
        }
        let share = body.get("percentage").and_then(Value::as_u64).and_then(|it| u8::try_from(it).ok());
        let enabled = body.get("enabled").and_then(Value::as_bool).unwrap_or(false);
        let definition = Definition { enabled, form: Form::Choice(Choice::switch(share.unwrap_or(100))) };
        json!({ "key": body.get("key"), "definition": definition })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_that_cannot_be_evaluated_is_refused() {
        let good = Choice::switch(50);
        assert!(good.check().is_ok());
        let with = |change: fn(&mut Choice)| {
            let mut choice = good.clone();
            change(&mut choice);
            Definition { enabled: true, form: Form::Choice(choice) }.check()
        };
        assert!(with(|it| it.default = word("missing")).is_err());
        assert!(with(|it| it.percentage = 101).is_err());
        assert!(with(|it| drop(it.variants.insert(word("text"), json!("on")))).is_err(), "values of two types");
        assert!(with(|it| drop(it.variants.insert(word("large"), json!("x".repeat(9_000))))).is_err());
        assert!(
            with(|it| it.rules.push(Rule { when: Vec::new(), variant: word("missing"), percentage: 100 })).is_err()
        );
    }

    #[test]
    fn the_first_version_is_still_read() {
        let body = Feature::<Own>::upcast(1, json!({ "key": "search", "enabled": true, "percentage": 30 }));
        let it: Feature<Own> = serde_json::from_value(body).unwrap();
        assert!(it.definition.enabled && it.definition.choice().is_some_and(|choice| choice.percentage == 30));
    }

    #[test]
    fn defining_the_same_again_tells_nothing() {
        let definition = Definition { enabled: true, form: Form::Choice(Choice::switch(50)) };
        let (mut it, told) = Feature::<Own>::new(word("search"), definition.clone());
        assert_eq!(told.len(), 1);
        assert!(it.define(definition).is_empty() && it.switch(true).is_empty());
        assert_eq!(it.switch(false).len(), 1);
    }
}
