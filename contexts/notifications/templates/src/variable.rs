//! What a template is told: variables with their types, declared beside the texts.

use std::collections::BTreeMap;

use kernel::Problem;
use minijinja::value::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most variables of a template, and the most items of a list.
pub const MOST: usize = 100;
/// The longest text, in bytes.
const LONGEST: usize = 10_000;
/// What the platform tells every template; nobody declares these.
pub const OWN: [&str; 7] = ["company", "recipient", "unsubscribe", "logo", "accent", "on_accent", "support"];

/// What a variable can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// A text of at most 10,000 bytes.
    Text,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// An `https` or `http` address.
    Link,
    /// At most 100 texts.
    List,
}

/// A value of a variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Given {
    /// True or false.
    Flag(bool),
    /// A number.
    Number(serde_json::Number),
    /// A text or a link.
    Text(String),
    /// Texts.
    List(Vec<String>),
}

/// A variable, as a template declares it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// What it is.
    pub(crate) r#type: Type,
    /// A value to try the template with.
    pub example: Given,
    /// Whether it may be left out: it is then empty, or false.
    #[serde(default)]
    pub optional: bool,
}

/// The variables that a template declares, by their names.
pub(crate) type Declared = BTreeMap<String, Variable>;
/// What is told to a template, by the names of its variables.
pub type Values = BTreeMap<String, Given>;

/// Whether a link leads to the web, and nowhere else: an address in a mail is clicked.
fn is_link(text: &str) -> bool {
    let web = ["https://", "http://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    web && text.len() <= 2_000 && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

impl Given {
    /// Why it is not of this type.
    fn refused(&self, is: Type) -> Option<&'static str> {
        let fits = |text: &String| text.len() <= LONGEST && !text.contains('\0');
        match (is, self) {
            (Type::Text, Self::Text(text)) => (!fits(text)).then_some("expected at most 10,000 bytes of text"),
            (Type::Link, Self::Text(text)) if is_link(text) => None,
            (Type::Number, Self::Number(_)) | (Type::Flag, Self::Flag(_)) => None,
            (Type::List, Self::List(items)) if items.len() <= MOST && items.iter().all(fits) => None,
            (Type::Text, _) => Some("expected a text"),
            (Type::Link, _) => Some("expected an address that begins with https:// or http://"),
            (Type::Number, _) => Some("expected a number"),
            (Type::Flag, _) => Some("expected true or false"),
            (Type::List, _) => Some("expected a list of at most 100 texts"),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Flag(flag) => Value::from(*flag),
            Self::Number(number) => match number.as_i64() {
                Some(whole) => Value::from(whole),
                None => Value::from(number.as_f64().unwrap_or_default()),
            },
            Self::Text(text) => Value::from(text.as_str()),
            Self::List(items) => items.iter().map(String::as_str).collect(),
        }
    }
}

impl Variable {
    /// What it is when it is left out.
    fn nothing(&self) -> Value {
        match self.r#type {
            Type::Flag => Value::from(false),
            Type::List => Value::from_iter(Vec::<Value>::new()),
            Type::Text | Type::Link | Type::Number => Value::from(""),
        }
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Why declarations are refused, by pointer.
pub(crate) fn faults(declared: &Declared) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    if declared.len() > MOST {
        faults.push(("/variables".to_owned(), format!("a template has at most {MOST} variables")));
    }
    for (name, variable) in declared {
        if !is_name(name) || OWN.contains(&name.as_str()) {
            let detail = format!("expected lower-case letters, digits and _, and none of {}", OWN.join(", "));
            faults.push((format!("/variables/{name}"), detail));
        }
        if let Some(why) = variable.example.refused(variable.r#type) {
            faults.push((format!("/variables/{name}/example"), why.to_owned()));
        }
    }
    faults
}

/// The examples of all variables.
pub fn examples(declared: &Declared) -> Values {
    declared.iter().map(|(name, variable)| (name.clone(), variable.example.clone())).collect()
}

/// What a template is told, if it is all and only what it declares.
pub fn checked(declared: &Declared, given: &Values) -> Result<Vec<(String, Value)>, Problem> {
    let mut faults = Vec::new();
    for name in given.keys().filter(|name| !declared.contains_key(*name)) {
        faults.push((name, "the template declares no such variable"));
    }
    let mut values = Vec::with_capacity(declared.len());
    for (name, variable) in declared {
        match given.get(name) {
            None if !variable.optional => faults.push((name, "the template needs this variable")),
            None => values.push((name.clone(), variable.nothing())),
            Some(it) => match it.refused(variable.r#type) {
                Some(why) => faults.push((name, why)),
                None => values.push((name.clone(), it.value())),
            },
        }
    }
    let mut faults = faults.into_iter();
    let Some((name, why)) = faults.next() else { return Ok(values) };
    let first = Problem::invalid_field(format!("/variables/{name}"), why);
    Err(faults.fold(first, |problem, (name, why)| problem.field(format!("/variables/{name}"), why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Declared {
        serde_json::from_value(serde_json::json!({
            "name": { "type": "text", "example": "Ada" },
            "link": { "type": "link", "example": "https://example.com", "optional": true },
        }))
        .unwrap()
    }

    fn values(json: serde_json::Value) -> Values {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn all_and_only_what_is_declared_is_told() {
        assert_eq!(checked(&declared(), &values(serde_json::json!({ "name": "Ada" }))).unwrap().len(), 2);
        for refused in [
            serde_json::json!({}),
            serde_json::json!({ "name": 7 }),
            serde_json::json!({ "name": "Ada", "other": "x" }),
            serde_json::json!({ "name": "Ada", "link": "javascript:alert(1)" }),
            serde_json::json!({ "name": "Ada", "link": "https://a\r\nb" }),
            serde_json::json!({ "name": "x".repeat(10_001) }),
        ] {
            assert!(checked(&declared(), &values(refused.clone())).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_declaration_names_its_faults() {
        let wrong = serde_json::json!({
            "Name": { "type": "text", "example": "Ada" },
            "company": { "type": "text", "example": "Acme" },
            "count": { "type": "number", "example": "three" },
        });
        let faults = faults(&serde_json::from_value(wrong).unwrap());
        let pointers: Vec<_> = faults.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/variables/Name", "/variables/company", "/variables/count/example"]);
    }
}
