//! What wins over what, and that shares are kept.

use kernel::Id;
use proptest::prelude::*;

use super::*;
use crate::{
    entitlements::{Grant, Override},
    rule::Rule,
};

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn on(percentage: u8) -> Definition {
    Definition { enabled: true, form: Form::Choice(Choice::switch(percentage)) }
}

fn amount(limit: u64) -> Definition {
    Definition { enabled: true, form: Form::Amount(Allowance { limit, soft: false, per: None }) }
}

fn given(over: &[(&str, Value)], grants: &[(&str, &str, Value)]) -> Entitlements {
    let mut it = Entitlements::default();
    let later = Timestamp::UNIX_EPOCH + std::time::Duration::from_mins(1);
    for (feature, value) in over {
        let over = Override { value: value.clone(), until: Some(later), reason: "they asked".parse().unwrap() };
        it.set(&key(feature), Some(over), Timestamp::UNIX_EPOCH).unwrap();
    }
    for (slot, feature, value) in grants {
        let features = BTreeMap::from([(key(feature), value.clone())]);
        it.grant(key(slot), Grant { source: format!("{slot} v3").parse().unwrap(), features }).unwrap();
    }
    it
}

fn build(own: &[(&str, Definition)], common: &[(&str, Definition)], given: &Entitlements, second: i64) -> FlagSet {
    let keyed =
        |all: &[(&str, Definition)]| all.iter().map(|(name, it)| (key(name), it.clone())).collect::<BTreeMap<_, _>>();
    let now = Timestamp::from_second(second).unwrap();
    FlagSet::build(Id::from_uuid(uuid::Uuid::from_u128(1)), keyed(own), &keyed(common), given, now)
}

fn ask(set: &FlagSet, feature: &str, attributes: &Value) -> (Value, String, String) {
    let empty = Map::new();
    let attributes = attributes.as_object().unwrap_or(&empty);
    let served = set.evaluate(feature, Some("ada"), attributes).unwrap().unwrap();
    (served.value.clone(), served.reason.to_owned(), served.why.to_string())
}

fn answer(value: impl Into<Value>, reason: &str, why: &str) -> (Value, String, String) {
    (value.into(), reason.to_owned(), why.to_owned())
}

#[test]
fn off_beats_the_operator_who_beats_the_plan_which_beats_rules() {
    let mut rules = Choice::switch(0);
    rules.rules.push(Rule { when: Vec::new(), variant: key("on"), percentage: 100 });
    let ruled = Definition { enabled: true, form: Form::Choice(rules.clone()) };
    let off = Definition { enabled: false, form: Form::Choice(rules) };
    let nothing = Value::Null;

    let plan = given(&[], &[("plan", "sso", json!(false))]);
    let both = given(&[("sso", json!("on"))], &[("plan", "sso", json!(false))]);
    assert_eq!(
        ask(&build(&[], &[("sso", ruled.clone())], &given(&[], &[]), 0), "sso", &nothing),
        answer(true, "TARGETING_MATCH", "rule 1")
    );
    assert_eq!(
        ask(&build(&[], &[("sso", ruled.clone())], &plan, 0), "sso", &nothing),
        answer(false, "STATIC", "plan v3")
    );
    let until = "override until 1970-01-01T00:01:00Z: they asked";
    assert_eq!(ask(&build(&[], &[("sso", ruled.clone())], &both, 0), "sso", &nothing), answer(true, "STATIC", until));
    assert_eq!(
        ask(&build(&[], &[("sso", ruled)], &both, 60), "sso", &nothing),
        answer(false, "STATIC", "plan v3"),
        "over"
    );
    assert_eq!(ask(&build(&[], &[("sso", off)], &both, 0), "sso", &nothing), answer(false, "DISABLED", "off"));
}

#[test]
fn a_tenant_gives_itself_nothing_that_the_operator_defines() {
    let set = build(
        &[("sso", on(100)), ("seats", on(100)), ("projects", on(100)), ("mine", on(100))],
        &[("sso", on(0))],
        &given(&[], &[("plan", "projects", json!(3))]),
        0,
    );
    assert_eq!(ask(&set, "sso", &Value::Null).0, json!(false));
    assert_eq!(ask(&set, "seats", &Value::Null), answer(5, "STATIC", "default"));
    assert_eq!(ask(&set, "projects", &Value::Null), answer(3, "STATIC", "plan v3"));
    assert_eq!(ask(&set, "mine", &Value::Null), answer(true, "STATIC", "default"));
    assert!(set.evaluate("unknown", None, &Map::new()).is_none());
}

#[test]
fn amounts_have_one_limit() {
    let resource = key("projects");
    let limit = |given: &Entitlements, second| {
        build(&[], &[("projects", amount(1))], given, second).allowance(&resource).map(|it| it.limit)
    };
    assert_eq!(limit(&given(&[], &[]), 0), Some(1));
    assert_eq!(limit(&given(&[], &[("plan", "projects", json!(10)), ("addon", "projects", json!(30))]), 0), Some(30));
    let over = given(&[("projects", json!(7))], &[("plan", "projects", json!(10))]);
    assert_eq!((limit(&over, 0), limit(&over, 60)), (Some(7), Some(10)));
    let off = Definition { enabled: false, ..amount(1) };
    assert_eq!(build(&[], &[("projects", off)], &over, 0).allowance(&resource).map(|it| it.limit), Some(0));
    assert_eq!(build(&[("mine", on(100))], &[], &over, 0).allowance(&key("mine")), None);
}

#[test]
fn rules_are_asked_in_order_and_know_the_plan() {
    let text = json!({ "enabled": true, "choice": {
        "variants": { "blue": "#00f", "green": "#0f0", "red": "#f00" }, "default": "blue", "off": "red", "percentage": 100,
        "rules": [
            { "when": [{ "attribute": "role", "op": "in", "value": ["admin", "owner"] }, { "attribute": "version", "op": "ge", "value": "2.1.0" }], "variant": "green" },
            { "when": [{ "attribute": "plan", "op": "prefix", "value": "plan" }], "variant": "red" },
        ] } });
    let definition: Definition = serde_json::from_value(text).unwrap();
    definition.check().unwrap();
    let paid = given(&[], &[("plan", "other", json!(true))]);
    let set = build(&[("colour", definition.clone())], &[], &paid, 0);
    let admin = json!({ "role": "admin", "version": "2.2.0" });
    assert_eq!(ask(&set, "colour", &admin), answer("#0f0", "TARGETING_MATCH", "rule 1"));
    assert_eq!(
        ask(&set, "colour", &json!({ "role": "admin", "version": "2.0.9" })),
        answer("#f00", "TARGETING_MATCH", "rule 2")
    );
    let free = build(&[("colour", definition)], &[], &given(&[], &[]), 0);
    assert_eq!(
        ask(&free, "colour", &json!({ "plan": "plan v3" })),
        answer("#00f", "DEFAULT", "default"),
        "no plan by saying so"
    );
    assert_ne!(set.digest, free.digest);
}

#[test]
fn a_share_needs_someone() {
    let set = build(&[("search", on(50)), ("all", on(100))], &[], &given(&[], &[]), 0);
    assert!(matches!(set.evaluate("search", None, &Map::new()), Some(Err(NoTarget))));
    assert!(matches!(set.evaluate("all", None, &Map::new()), Some(Ok(_))));
    assert_eq!(set.evaluate_all(None, &Map::new()).filter(|(_, it)| it.is_err()).count(), 1);
}

proptest! {
    /// Whoever is served by a rule keeps it while its share grows, wherever the rules before it stand.
    #[test]
    fn growing_shares_take_from_nobody(target in "[a-z0-9]{1,8}", first in 0_u8..=100, second in 0_u8..=100, grown in 0_u8..=100) {
        let set = |second: u8| {
            let mut choice = Choice::switch(0);
            let rule = |variant: &str, percentage| Rule { when: Vec::new(), variant: key(variant), percentage };
            choice.rules = vec![rule("off", first), rule("on", second)];
            build(&[("search", Definition { enabled: true, form: Form::Choice(choice) })], &[], &given(&[], &[]), 0)
        };
        let value = |set: &FlagSet| set.evaluate("search", Some(&target), &Map::new()).unwrap().unwrap().value.clone();
        let (before, after) = (value(&set(second)), value(&set(second.max(grown))));
        prop_assert!(before == json!(false) || after == json!(true));
    }
}
