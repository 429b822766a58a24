//! Events: what happened, in the envelope of CloudEvents 1.0, with personal data set apart so that it can be sealed.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::Value;

use crate::{id::UserId, problem::Problem, scope::Scope, time::Timestamp};

/// A public event of a context. Its name is fixed for ever; a change of its fields is backward-compatible or a new version.
pub trait Event: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// `context.Name.vN`.
    const TYPE: &'static str;

    /// The person under whose key [`Personal`] fields are sealed.
    fn person(&self) -> Option<UserId> {
        None
    }
}

/// What is known of a type of event without one: what schemas and documents are made from.
#[derive(Debug, Clone, Copy)]
pub struct EventDecl {
    /// [`Event::TYPE`].
    pub r#type: &'static str,
    /// The schema of its fields; the description is the event's own documentation.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

impl EventDecl {
    /// The declaration of `E`.
    pub const fn of<E: Event>() -> Self {
        Self { r#type: E::TYPE, schema: E::json_schema }
    }
}

/// An event as the store takes it: its type, its data, and whose the personal parts are.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyEvent {
    /// `context.Name.vN`.
    pub r#type: &'static str,
    /// The fields.
    pub data: Value,
    /// Under whose key personal fields are sealed.
    pub person: Option<UserId>,
}

impl<E: Event> From<E> for AnyEvent {
    fn from(event: E) -> Self {
        let data = serde_json::to_value(&event).expect("events are plain data with string keys");
        Self { r#type: E::TYPE, data, person: event.person() }
    }
}

/// What a rule says happened: nothing, one event, or several.
pub trait Happened {
    /// The events, in order.
    fn events(self) -> Vec<AnyEvent>;
}

impl Happened for () {
    fn events(self) -> Vec<AnyEvent> {
        Vec::new()
    }
}

impl Happened for Vec<AnyEvent> {
    fn events(self) -> Vec<AnyEvent> {
        self
    }
}

impl<E: Event> Happened for E {
    fn events(self) -> Vec<AnyEvent> {
        vec![self.into()]
    }
}

/// An event in the log (CloudEvents 1.0, JSON format, with the extension attributes of this platform).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope {
    /// Always `1.0`.
    pub specversion: String,
    /// Unique; the same event keeps its id however often it is delivered.
    pub id: String,
    /// `freehold/` and the context.
    pub source: String,
    /// `context.Name.vN`.
    pub r#type: String,
    /// The aggregate it happened to.
    pub subject: String,
    /// When.
    #[schemars(with = "String")]
    pub time: Timestamp,
    /// The scope it happened in: the tenant's id, or `platform`.
    #[schemars(with = "String")]
    #[serde(rename = "tenantid", with = "scope_text")]
    pub scope: Scope,
    /// The version of the aggregate after it.
    pub sequence: u64,
    /// W3C trace context.
    pub traceparent: String,
    /// Common to all that followed from one request.
    pub correlationid: String,
    /// The event that caused it, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causationid: Option<String>,
    /// Who did it.
    pub actor: String,
    /// The use case or endpoint by which they did it; missing where a reaction or a timer acted by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// When it was recorded, in real time, where a test clock showed another `time`.
    #[schemars(with = "Option<String>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recordedtime: Option<Timestamp>,
    /// Under whose key the personal fields are sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<UserId>,
    /// The fields.
    pub data: Value,
}

/// The type of the envelope that the store writes for a use case's change of which no event tells. It is for the audit log
/// alone: no reaction follows it, and it is no public event.
pub const CHANGED: &str = "audit.Changed.v1";

impl Envelope {
    /// The data as `E`, if the envelope holds one.
    pub fn event<E: Event>(&self) -> Option<Result<E, Problem>> {
        (self.r#type == E::TYPE).then(|| E::deserialize(&self.data).map_err(Problem::internal))
    }
}

mod scope_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::scope::Scope;

    pub(super) fn serialize<S: Serializer>(scope: &Scope, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(scope)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scope, D::Error> {
        match std::borrow::Cow::<'de, str>::deserialize(deserializer)?.as_ref() {
            "platform" => Ok(Scope::Platform),
            tenant => tenant.parse().map(Scope::Tenant).map_err(de::Error::custom),
        }
    }
}

/// Marks a value of personal data inside an event: sealed under the person's key on its way into the log,
/// opened on its way out, and gone once that key is destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Personal<T> {
    /// Known.
    Known(T),
    /// The person was erased.
    Erased,
}

/// The key of the object that stands for a personal value in JSON before it is sealed.
pub const PERSONAL: &str = "$personal";
/// The key of the object that stands for it when sealed.
pub const SEALED: &str = "$sealed";

impl<T> Personal<T> {
    /// The value, unless the person was erased.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Erased => None,
        }
    }
}

impl<T: Serialize> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(value) => serializer.collect_map([(PERSONAL, value)]),
            Self::Erased => serializer.serialize_none(),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match value.get(PERSONAL) {
            Some(known) => T::deserialize(known).map(Self::Known).map_err(serde::de::Error::custom),
            None => Ok(Self::Erased),
        }
    }
}

impl<T: JsonSchema> JsonSchema for Personal<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Personal{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let inner = generator.subschema_for::<T>();
        schemars::json_schema!({
            "description": "Personal data: an object with the value, or null once the person was erased.",
            "x-personal": true,
            "oneOf": [{ "type": "null" }, { "type": "object", "properties": { PERSONAL: inner } }],
        })
    }
}
