//! The fields of profiles that a tenant defines for itself, as a JSON Schema (draft 2020-12) of an object. Each property is
//! judged by itself, so that a refusal names one field, and a profile of before stays readable whatever changes.

use std::collections::{BTreeMap, BTreeSet};

use contracts::users::ProfileFieldsDefined;
use kernel::{Aggregate, Problem, ProblemKind, ScopeKind, text::Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::schema::{annotation, check, compiled, plain};

/// The most bytes of a schema, and of the values of one profile.
pub(crate) const MOST_BYTES: usize = 16 * 1024;

/// Values of fields by name.
pub(crate) type Values = BTreeMap<Key, Value>;

/// Who sees a field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Visibility {
    /// All members of the tenant.
    Members,
    /// The person, and those who administer.
    #[default]
    Private,
}

/// Who fills a field in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Editor {
    /// The person, and those who administer.
    #[default]
    #[serde(rename = "self")]
    Oneself,
    /// Only those who administer.
    Admins,
}

/// The fields of this tenant's profiles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProfileFields {
    pub(crate) version: u32,
    pub(crate) schema: Value,
}

impl ProfileFields {
    /// There is one of it in a tenant.
    pub(crate) const ID: &'static str = "fields";

    /// None yet.
    pub(crate) fn none() -> Self {
        Self { version: 0, schema: json!({ "type": "object", "properties": {} }) }
    }

    /// Defines them anew. What profiles hold stays; it is judged again where it is next changed.
    pub(crate) fn define(&mut self, schema: Value) -> Result<Vec<kernel::AnyEvent>, Problem> {
        check(&schema)?;
        if schema == self.schema {
            return Ok(Vec::new());
        }
        (self.version, self.schema) = (self.version.saturating_add(1), schema);
        Ok(vec![ProfileFieldsDefined { version: self.version }.into()])
    }

    fn field(&self, name: &Key) -> Option<&Value> {
        self.schema.get("properties")?.get(name.as_str())
    }

    fn required(&self) -> BTreeSet<&str> {
        self.schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Whether members see a field. What is declared no more is nobody's but the person's.
    pub(crate) fn visible(&self, name: &Key) -> bool {
        self.field(name)
            .is_some_and(|field| annotation::<Visibility>(field, "x-visibility") == Some(Visibility::Members))
    }

    /// Judges what is to change; `null` empties a field. Every field that is refused is named.
    pub(crate) fn admit(&self, changes: &Values, editor: Editor) -> Result<(), Problem> {
        let required = self.required();
        let mut found = Vec::new();
        for (name, value) in changes {
            let pointer = format!("/fields/{name}");
            match self.field(name) {
                // What was declared once can still be emptied.
                None if value.is_null() => {}
                None => found.push((pointer, "there is no such field".to_owned())),
                Some(field) if annotation::<Editor>(field, "x-editable").unwrap_or_default() > editor => {
                    found.push((pointer, "only those who administer this tenant change this field".to_owned()));
                }
                Some(_) if value.is_null() && required.contains(name.as_str()) => {
                    found.push((pointer, "this field cannot be empty".to_owned()));
                }
                Some(_) if value.is_null() => {}
                Some(field) => {
                    let validator = compiled(field).map_err(Problem::internal)?;
                    let wrong = validator.iter_errors(value).take(5);
                    found.extend(wrong.map(|error| (format!("{pointer}{}", error.instance_path()), plain(&error))));
                }
            }
        }
        let Some(((pointer, detail), rest)) = found.split_first() else { return Ok(()) };
        let problem = Problem::invalid_field(pointer.as_str(), detail.as_str());
        Err(rest.iter().fold(problem, |problem, (pointer, detail)| problem.field(pointer.as_str(), detail.as_str())))
    }
}

/// Applies changes to what a profile holds, and names what differs.
pub(crate) fn apply(held: &mut Values, changes: Values) -> Result<Vec<String>, Problem> {
    let mut changed = Vec::new();
    for (name, value) in changes {
        let differs = if value.is_null() {
            held.remove(&name).is_some()
        } else {
            held.get(&name) != Some(&value) && {
                held.insert(name.clone(), value);
                true
            }
        };
        if differs {
            changed.push(format!("fields.{name}"));
        }
    }
    let size: usize = held.iter().map(|(name, value)| name.as_str().len() + value.to_string().len()).sum();
    if size > MOST_BYTES {
        return Err(Problem::new(ProblemKind::Refused, "users.profile_full", "a profile has at most 16 KiB of fields")
            .hint("empty a field, or keep less in one")
            .field("/fields", "too much together"));
    }
    Ok(changed)
}

impl Aggregate for ProfileFields {
    type Id = String;
    const KIND: &'static str = "users.profile_fields";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defined() -> ProfileFields {
        let mut it = ProfileFields::none();
        let schema = json!({
            "type": "object",
            "required": ["phone"],
            "properties": {
                "phone": { "type": "string", "pattern": "^[+][0-9]{5,15}$", "x-visibility": "members" },
                "size": { "enum": ["s", "m", "l"] },
                "cost-centre": { "type": "integer", "minimum": 1, "x-editable": "admins" },
                "site": { "type": "object", "properties": { "url": { "type": "string", "format": "uri" } } },
            },
        });
        assert_eq!(it.define(schema.clone()).unwrap().len(), 1);
        assert!(it.define(schema).unwrap().is_empty(), "the same again is nothing new");
        it
    }

    fn values(values: Value) -> Values {
        serde_json::from_value(values).unwrap()
    }

    fn pointers(refused: &Problem) -> Vec<String> {
        refused.document(None).errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn each_field_that_is_wrong_is_named() {
        let it = defined();
        let wrong = values(json!({
            "phone": "none", "size": "xxl", "cost-centre": 4, "site": { "url": "no address" }, "shoe": 43,
        }));
        let refused = it.admit(&wrong, Editor::Oneself).unwrap_err();
        let expected = ["/fields/cost-centre", "/fields/phone", "/fields/shoe", "/fields/site/url", "/fields/size"];
        assert_eq!(pointers(&refused), expected);
        let secret = it.admit(&values(json!({ "phone": "my secret" })), Editor::Oneself).unwrap_err();
        assert!(!serde_json::to_string(&secret.document(None)).unwrap().contains("my secret"));
        it.admit(&values(json!({ "cost-centre": 4, "phone": "+4312345", "size": null })), Editor::Admins).unwrap();
        assert_eq!(
            pointers(&it.admit(&values(json!({ "phone": null })), Editor::Admins).unwrap_err()),
            ["/fields/phone"]
        );
    }

    #[test]
    fn a_field_is_private_unless_it_says_otherwise() {
        let it = defined();
        let seen = |name: &str| it.visible(&name.parse().unwrap());
        assert!(seen("phone") && !seen("size") && !seen("never-declared"));
    }

    #[test]
    fn what_a_profile_holds_is_bounded_and_tells_what_differs() {
        let mut held = Values::new();
        let changes = values(json!({ "a": 1, "b": { "c": [true] }, "never": null }));
        assert_eq!(apply(&mut held, changes.clone()).unwrap(), ["fields.a", "fields.b"]);
        assert_eq!(apply(&mut held, changes).unwrap(), Vec::<String>::new());
        assert_eq!(apply(&mut held, values(json!({ "a": null }))).unwrap(), ["fields.a"]);
        assert!(apply(&mut held, values(json!({ "a": "x".repeat(MOST_BYTES) }))).is_err());
    }
}
