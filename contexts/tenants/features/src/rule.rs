//! Rules of a feature: whom they are about, and the stable share of a rollout.

use std::cmp::Ordering;

use kernel::{Problem, text::Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The most tests of one rule.
const MOST_TESTS: usize = 10;

/// Serves a variant to those who pass all its tests, or to a share of them. Who does not, goes on to the next rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// What must all hold; nothing holds for everyone.
    #[serde(default)]
    #[schemars(length(max = 10))]
    pub when: Vec<Test>,
    /// The variant that is served.
    pub(crate) variant: Key,
    /// To how many of a hundred. Who has it at a smaller share keeps it at a larger.
    #[serde(default = "everyone")]
    #[schemars(range(max = 100))]
    pub(crate) percentage: u8,
}

pub(crate) fn everyone() -> u8 {
    100
}

/// One comparison with what is known of whoever asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Test {
    /// What is compared: `targetingKey`, `plan`, `tenant`, or what the caller tells (`role`, `country`, …).
    #[schemars(length(min = 1, max = 64))]
    attribute: String,
    /// How.
    op: Op,
    /// With what: a list for `in`, a text for `prefix`, a number or a version such as `2.1.0` for the orders.
    value: Value,
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Op {
    /// The same.
    Eq,
    /// Another, or nothing.
    Ne,
    /// One of a list.
    In,
    /// A text that begins so.
    Prefix,
    /// A smaller number, or an older version (Semantic Versioning 2.0, section 11).
    Lt,
    /// Or the same.
    Le,
    /// A larger number, or a newer version.
    Gt,
    /// Or the same.
    Ge,
}

/// What is known of whoever asks.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// Whom rollouts go by.
    pub(crate) target: Option<&'a str>,
    /// What the caller tells.
    pub(crate) attributes: &'a Map<String, Value>,
    /// What the platform knows, whatever the caller tells.
    pub known: &'a Map<String, Value>,
}

impl Subject<'_> {
    fn holds(&self, test: &Test) -> bool {
        if test.attribute == "targetingKey" {
            return self.target.is_some_and(|target| test.holds(&Value::from(target)));
        }
        let found = self.known.get(&test.attribute).or_else(|| self.attributes.get(&test.attribute));
        found.map_or(test.op == Op::Ne, |found| test.holds(found))
    }
}

/// The order of two numbers or of two versions; nothing else has one.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64()?.partial_cmp(&right.as_f64()?),
        (Value::String(left), Value::String(right)) => {
            let (left, right) = (semver::Version::parse(left).ok()?, semver::Version::parse(right).ok()?);
            Some(left.cmp_precedence(&right))
        }
        _ => None,
    }
}

fn same(left: &Value, right: &Value) -> bool {
    left == right
        || matches!((left, right), (Value::Number(_), Value::Number(_))) && order(left, right) == Some(Ordering::Equal)
}

impl Test {
    fn holds(&self, found: &Value) -> bool {
        let ordered = || order(found, &self.value);
        match self.op {
            Op::Eq => same(found, &self.value),
            Op::Ne => !same(found, &self.value),
            Op::In => self.value.as_array().is_some_and(|list| list.iter().any(|one| same(found, one))),
            Op::Prefix => {
                matches!((found, &self.value), (Value::String(found), Value::String(begin)) if found.starts_with(begin))
            }
            Op::Lt => ordered() == Some(Ordering::Less),
            Op::Le => ordered().is_some_and(Ordering::is_le),
            Op::Gt => ordered() == Some(Ordering::Greater),
            Op::Ge => ordered().is_some_and(Ordering::is_ge),
        }
    }

    fn check(&self, at: &str) -> Result<(), Problem> {
        if !(1..=64).contains(&self.attribute.len()) {
            return Err(Problem::invalid_field(format!("{at}/attribute"), "expected 1 to 64 characters"));
        }
        let (fits, expected) = match self.op {
            Op::Eq | Op::Ne => (!self.value.is_array() && !self.value.is_object(), "expected a single value"),
            Op::In => {
                (self.value.as_array().is_some_and(|it| (1..=100).contains(&it.len())), "expected a list of 1 to 100")
            }
            Op::Prefix => (self.value.as_str().is_some_and(|it| !it.is_empty()), "expected a text"),
            Op::Lt | Op::Le | Op::Gt | Op::Ge => {
                (order(&self.value, &self.value).is_some(), "expected a number, or a version such as 2.1.0")
            }
        };
        if fits { Ok(()) } else { Err(Problem::invalid_field(format!("{at}/value"), expected)) }
    }
}

impl Rule {
    pub(crate) fn holds(&self, subject: &Subject<'_>) -> bool {
        self.when.iter().all(|test| subject.holds(test))
    }

    pub(crate) fn check(&self, at: &str) -> Result<(), Problem> {
        if self.percentage > 100 {
            return Err(Problem::invalid_field(format!("{at}/percentage"), "expected at most 100"));
        }
        if self.when.len() > MOST_TESTS {
            return Err(Problem::invalid_field(format!("{at}/when"), "expected at most 10"));
        }
        self.when.iter().enumerate().try_for_each(|(place, test)| test.check(&format!("{at}/when/{place}")))
    }
}

/// Whether a target is in the first so many of a hundred: the same for ever for the same feature and target, so that a
/// share grows and never changes its mind.
pub(crate) fn in_share(key: &Key, target: &str, percentage: u8) -> bool {
    percentage >= 100 || bucket(key.as_str(), target) < u32::from(percentage) * 100
}

/// One of 10,000.
fn bucket(key: &str, target: &str) -> u32 {
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    for part in [key, "\n", target] {
        digest.update(part.as_bytes());
    }
    let digest = digest.finish();
    let number = digest.as_ref().iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    u32::try_from(number % 10_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[expect(clippy::needless_pass_by_value, reason = "values are written where they are asked about")]
    fn holds(attribute: &str, op: &str, value: Value, found: Value) -> bool {
        let test: Test = serde_json::from_value(json!({ "attribute": attribute, "op": op, "value": value })).unwrap();
        test.check("").unwrap();
        let attributes = json!({ "a": found }).as_object().cloned().unwrap();
        Subject { target: None, attributes: &attributes, known: &Map::new() }.holds(&test)
    }

    #[test]
    fn operators() {
        for (op, value, found, expected) in [
            ("eq", json!("admin"), json!("admin"), true),
            ("eq", json!(3), json!(3.0), true),
            ("eq", json!("3"), json!(3), false),
            ("ne", json!("admin"), json!("member"), true),
            ("in", json!(["de", "at"]), json!("at"), true),
            ("in", json!(["de", "at"]), json!("ch"), false),
            ("prefix", json!("team"), json!("team plan v3"), true),
            ("prefix", json!("team"), json!(7), false),
            ("ge", json!(18), json!(18), true),
            ("lt", json!(18), json!(18), false),
            ("gt", json!("2.9.0"), json!("2.10.0"), true),
            ("lt", json!("2.0.0"), json!("2.0.0-rc.1"), true),
            ("le", json!("2.0.0"), json!("not a version"), false),
            ("ge", json!(1), json!("1"), false),
        ] {
            assert_eq!(holds("a", op, value.clone(), found.clone()), expected, "{found} {op} {value}");
        }
        assert!(!holds("missing", "eq", json!(1), json!(1)) && holds("missing", "ne", json!(1), json!(1)));
    }

    #[test]
    fn what_the_platform_knows_cannot_be_told_otherwise() {
        let test: Test = serde_json::from_value(json!({ "attribute": "plan", "op": "eq", "value": "team" })).unwrap();
        let (told, known) = (json!({ "plan": "team" }), json!({ "plan": "free" }));
        let (attributes, known) = (told.as_object().unwrap(), known.as_object().unwrap());
        assert!(!Subject { target: None, attributes, known }.holds(&test));
    }

    proptest! {
        #[test]
        fn a_share_grows_and_never_changes_its_mind(key in "[a-z]{1,12}", target in ".{0,20}", small in 0_u8..=100, more in 0_u8..=100) {
            let key: Key = key.parse().unwrap();
            let large = small.saturating_add(more).min(100);
            prop_assert!(!in_share(&key, &target, 0) && in_share(&key, &target, 100));
            prop_assert!(!in_share(&key, &target, small) || in_share(&key, &target, large));
            prop_assert_eq!(in_share(&key, &target, small), in_share(&key, &target, small));
        }
    }

    #[test]
    fn buckets_stay_where_they_were_and_are_even() {
        // Whoever has a feature keeps it over a new release: these figures never change.
        assert_eq!([bucket("search", "a"), bucket("search", "b"), bucket("sso", "a")], [9_063, 5_505, 9_573]);
        let key: Key = "search".parse().unwrap();
        let count = (0..10_000).filter(|it| in_share(&key, &it.to_string(), 30)).count();
        assert!((2_800..3_200).contains(&count), "about thirty of a hundred: {count}");
    }
}
