//! The audit log: emitted by the context `audit`.

use kernel::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A witness was named, whose cosignatures of the audit log's checkpoints count from then on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WitnessAdded {
    /// Its name.
    pub name: String,
    /// Its public key.
    pub key: String,
}

impl Event for WitnessAdded {
    const TYPE: &'static str = "audit.WitnessAdded.v1";
}

/// A witness is one no more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WitnessRemoved {
    /// Its name.
    pub name: String,
    /// The public key that it had.
    pub key: String,
}

impl Event for WitnessRemoved {
    const TYPE: &'static str = "audit.WitnessRemoved.v1";
}
