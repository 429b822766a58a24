//! Users: emitted by the context `users`.

use kernel::{Event, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A person has a profile.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProfileCreated {
    /// Whose.
    pub user: UserId,
}

impl Event for ProfileCreated {
    const TYPE: &'static str = "users.ProfileCreated.v1";
}

/// A profile changed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProfileUpdated {
    /// Whose.
    pub user: UserId,
    /// Which fields.
    pub fields: Vec<String>,
}

impl Event for ProfileUpdated {
    const TYPE: &'static str = "users.ProfileUpdated.v1";
}

/// A preference changed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PreferenceChanged {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub key: String,
}

impl Event for PreferenceChanged {
    const TYPE: &'static str = "users.PreferenceChanged.v1";
}
