//! Analytics: emitted by the context `analytics`.

use kernel::{Event, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A person did something in the product, as the product told; who, only as a pseudonym.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserActivityRecorded {
    /// What, such as `report.opened`.
    pub name: String,
    /// Who, as a pseudonym of this tenant.
    pub person: String,
    /// When it happened.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

impl Event for UserActivityRecorded {
    const TYPE: &'static str = "analytics.UserActivityRecorded.v1";
}
