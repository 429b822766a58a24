//! How an operator names a log, and comes to it.

use std::{fmt, str::FromStr};

use contracts::tenants::ResolveTenant;
use kernel::{Cx, Granted, Problem, Resource, TenantId, UseCase};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::Audit;

/// Whose log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogName {
    Platform,
    Of(TenantId),
}

impl LogName {
    pub(crate) fn resource(self) -> Resource {
        Resource::one("log", self)
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform => f.write_str("platform"),
            Self::Of(tenant) => tenant.fmt(f),
        }
    }
}

impl FromStr for LogName {
    type Err = kernel::id::IdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "platform" { Ok(Self::Platform) } else { text.parse().map(Self::Of) }
    }
}

impl Serialize for LogName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LogName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for LogName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LogName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(platform|ten_[0-7][0-9a-hjkmnp-tv-z]{25})$",
            "description": "A tenant's id, or `platform` for what concerns no tenant.",
            "examples": ["platform"],
        })
    }
}

impl Audit {
    /// The scope of a log, for an operator; a problem where there is no such tenant.
    pub(crate) async fn inside<U: UseCase>(&self, cx: &Granted<U>, log: LogName) -> Result<Cx, Problem> {
        match log {
            LogName::Platform => Ok(cx.cx().clone()),
            LogName::Of(tenant) => {
                self.calls.call(ResolveTenant { name: tenant.to_string() }, cx).await?;
                cx.within(tenant)
            }
        }
    }
}
