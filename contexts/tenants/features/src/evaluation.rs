//! The one evaluation: from what is defined and granted to a value, with its reason. Pure, so that whoever asks reads the
//! same answer.

use std::{collections::BTreeMap, fmt};

use contracts::entitlements::EntitlementView;
use kernel::{TenantId, Timestamp, text::Key};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::{
    entitlements::Entitlements,
    feature::{Allowance, Choice, Definition, Form},
    rule::{Subject, in_share},
};

/// The seats of people: there from the start.
pub const SEATS: &str = "seats";
const FREE_SEATS: u64 = 5;

/// A feature of one tenant: all that does not hang on who asks is decided.
struct Compiled {
    key: Key,
    worth: Worth,
    definition: Definition,
}

enum Worth {
    Fixed { value: Value, variant: Option<Key>, reason: &'static str, why: String },
    Ruled(Choice),
}

/// All features of one tenant, in the order of their keys.
pub(crate) struct FlagSet {
    flags: Vec<Compiled>,
    /// What the platform knows of whoever asks.
    known: Map<String, Value>,
    /// Another for any other set.
    pub digest: Vec<u8>,
}

/// A rollout needs someone to go by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoTarget;

/// A value with its reason.
#[derive(Debug)]
pub(crate) struct Served<'a> {
    pub value: &'a Value,
    pub(crate) variant: Option<&'a str>,
    /// In the words of OpenFeature.
    pub reason: &'static str,
    pub(crate) why: Why<'a>,
}

/// Why, as people read it.
#[derive(Debug)]
pub(crate) enum Why<'a> {
    Said(&'a str),
    Rule { number: usize, percentage: u8 },
    Share(u8),
    Default,
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(text) => f.write_str(text),
            Self::Rule { number, percentage: 100 } => write!(f, "rule {number}"),
            Self::Rule { number, percentage } => write!(f, "rule {number}: {percentage}% rollout"),
            Self::Share(percentage) => write!(f, "{percentage}% rollout"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Serialize for Why<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Choice {
    /// The first rule that holds, else the default.
    fn serve<'a>(&'a self, key: &Key, subject: &Subject<'_>) -> Result<Served<'a>, NoTarget> {
        let served = |variant: &'a Key, reason, why| {
            let value = self.variants.get(variant).unwrap_or(&Value::Null);
            Ok(Served { value, variant: Some(variant.as_str()), reason, why })
        };
        let within = |percentage: u8| match (percentage, subject.target) {
            (100.., _) => Ok(true),
            (_, None) => Err(NoTarget),
            (_, Some(target)) => Ok(in_share(key, target, percentage)),
        };
        for (rule, number) in self.rules.iter().zip(1..) {
            if rule.holds(subject) && within(rule.percentage)? {
                let reason = if rule.percentage < 100 { "SPLIT" } else { "TARGETING_MATCH" };
                return served(&rule.variant, reason, Why::Rule { number, percentage: rule.percentage });
            }
        }
        let chosen = if within(self.percentage)? { &self.default } else { &self.off };
        match self.percentage {
            ..100 => served(chosen, "SPLIT", Why::Share(self.percentage)),
            _ if self.rules.is_empty() => served(chosen, "STATIC", Why::Default),
            _ => served(chosen, "DEFAULT", Why::Default),
        }
    }
}

impl Compiled {
    fn serve<'a>(&'a self, subject: &Subject<'_>) -> Result<Served<'a>, NoTarget> {
        match &self.worth {
            Worth::Fixed { value, variant, reason, why } => {
                let variant = variant.as_ref().map(Key::as_str);
                Ok(Served { value, variant, reason, why: Why::Said(why) })
            }
            Worth::Ruled(choice) => choice.serve(&self.key, subject),
        }
    }

    /// Off beats all; then what the operator says, what is granted, and last what is defined.
    fn of(key: Key, definition: Definition, given: &Entitlements, now: Timestamp) -> Self {
        let over = given.overrides.get(&key).filter(|it| it.until.is_none_or(|until| until > now));
        let over = over.map(|it| {
            let until = it.until.map(|until| format!(" until {until}")).unwrap_or_default();
            (&it.value, format!("override{until}: {}", it.reason))
        });
        let granted = given.granted(&key).map(|(value, source)| (value, source.to_string()));
        let said = over.into_iter().chain(granted);
        let fixed = |value, variant, reason, why| Worth::Fixed { value, variant, reason, why };
        let worth = match definition.form.clone() {
            Form::Amount(_) if !definition.enabled => fixed(json!(0), None, "DISABLED", "off".to_owned()),
            Form::Amount(allowance) => {
                let mut amounts = said.filter(|(value, _)| value.is_u64());
                let (value, why) =
                    amounts.next().map_or((json!(allowance.limit), "default".to_owned()), |it| (it.0.clone(), it.1));
                fixed(value, None, "STATIC", why)
            }
            Form::Choice(choice) if !definition.enabled => {
                let value = choice.variants.get(&choice.off).cloned().unwrap_or_default();
                fixed(value, Some(choice.off), "DISABLED", "off".to_owned())
            }
            Form::Choice(choice) => {
                let mut variants = said.filter_map(|(meant, why)| choice.variant(meant).map(|it| (it, why)));
                match variants.next() {
                    Some(((name, value), why)) => fixed(value.clone(), Some(name.clone()), "STATIC", why),
                    None => Worth::Ruled(choice),
                }
            }
        };
        Self { key, worth, definition }
    }
}

/// What is granted and nowhere defined is what its value is.
fn implied(value: &Value) -> Option<Definition> {
    let form = match value {
        Value::Number(amount) if amount.is_u64() => Form::Amount(Allowance { limit: 0, soft: false, per: None }),
        Value::Bool(_) => {
            let mut choice = Choice::switch(100);
            choice.default = choice.off.clone();
            Form::Choice(choice)
        }
        _ => return None,
    };
    Some(Definition { enabled: true, form })
}

impl FlagSet {
    /// What the operator defines for all stands above what the tenant defines for itself.
    pub(crate) fn build(
        tenant: TenantId,
        own: impl IntoIterator<Item = (Key, Definition)>,
        common: &BTreeMap<Key, Definition>,
        given: &Entitlements,
        now: Timestamp,
    ) -> Self {
        let said = given.overrides.iter().map(|(key, it)| (key, &it.value));
        let said = said.chain(given.grants.values().flat_map(|it| &it.features));
        let mut all: BTreeMap<Key, Definition> =
            said.filter_map(|(key, value)| Some((key.clone(), implied(value)?))).collect();
        if let Ok(seats) = SEATS.parse() {
            let form = Form::Amount(Allowance { limit: FREE_SEATS, soft: false, per: None });
            all.insert(seats, Definition { enabled: true, form });
        }
        for (key, definition) in own {
            // An amount that someone could give themselves would be none.
            if all.get(&key).is_none_or(|it| it.allowance().is_none()) {
                all.insert(key, definition);
            }
        }
        all.extend(common.iter().map(|(key, definition)| (key.clone(), definition.clone())));
        let plan = given.grants.iter().find(|(slot, _)| slot.as_str() == "plan").map(|(_, it)| it.source.to_string());
        let mut known = Map::from_iter([("tenant".to_owned(), json!(tenant))]);
        known.insert("plan".to_owned(), json!(plan));
        let live: Vec<_> = given.overrides.iter().filter(|(_, it)| it.until.is_none_or(|until| until > now)).collect();
        let described = json!([tenant, all, live, given.grants]).to_string();
        let digest = ring::digest::digest(&ring::digest::SHA256, described.as_bytes()).as_ref().to_vec();
        let flags = all.into_iter().map(|(key, definition)| Compiled::of(key, definition, given, now)).collect();
        Self { flags, known, digest }
    }

    fn find(&self, key: &str) -> Option<&Compiled> {
        let place = self.flags.binary_search_by(|it| it.key.as_str().cmp(key)).ok()?;
        self.flags.get(place)
    }

    fn subject<'a>(&'a self, target: Option<&'a str>, attributes: &'a Map<String, Value>) -> Subject<'a> {
        Subject { target, attributes, known: &self.known }
    }

    /// The value of one feature; `None` where there is none of that key.
    pub(crate) fn evaluate(
        &self,
        key: &str,
        target: Option<&str>,
        attributes: &Map<String, Value>,
    ) -> Option<Result<Served<'_>, NoTarget>> {
        let flag = self.find(key)?;
        Some(flag.serve(&self.subject(target, attributes)))
    }

    /// The values of all.
    pub(crate) fn evaluate_all<'a>(
        &'a self,
        target: Option<&'a str>,
        attributes: &'a Map<String, Value>,
    ) -> impl Iterator<Item = (&'a Key, Result<Served<'a>, NoTarget>)> {
        let subject = self.subject(target, attributes);
        self.flags.iter().map(move |flag| (&flag.key, flag.serve(&subject)))
    }

    /// How much there is of a resource, and how it is counted; `None` where the feature is no amount.
    pub(crate) fn allowance(&self, key: &Key) -> Option<Allowance> {
        let flag = self.find(key.as_str())?;
        let counted = flag.definition.allowance()?;
        match &flag.worth {
            Worth::Fixed { value, .. } => Some(Allowance { limit: value.as_u64().unwrap_or(0), ..counted }),
            Worth::Ruled(_) => None,
        }
    }
}

impl FlagSet {
    /// Whether an override with this value would have an effect.
    pub(crate) fn understands(&self, key: &Key, value: &Value) -> bool {
        match self.find(key.as_str()).map(|flag| &flag.definition.form) {
            Some(Form::Choice(choice)) => choice.variant(value).is_some(),
            Some(Form::Amount(_)) => value.is_u64(),
            None => implied(value).is_some(),
        }
    }
}

impl Served<'_> {
    pub(crate) fn view(&self, feature: Key) -> EntitlementView {
        EntitlementView {
            feature,
            value: self.value.clone(),
            variant: self.variant.map(str::to_owned),
            reason: self.reason.to_owned(),
            explanation: self.why.to_string(),
        }
    }
}

#[cfg(test)]
#[path = "evaluation_tests.rs"]
mod tests;
