//! Programs and what people let them do: emitted by the context `identity`.

use kernel::{ClientId, Event, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A program was registered that people sign in to, or that acts for itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClientRegistered {
    /// Which.
    pub client: ClientId,
    /// The permissions that it has for itself.
    pub permissions: Vec<String>,
}

impl Event for ClientRegistered {
    const TYPE: &'static str = "identity.ClientRegistered.v1";
}

/// A program's registration changed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClientUpdated {
    /// Which.
    pub client: ClientId,
    /// The permissions that it has for itself from now on.
    pub permissions: Vec<String>,
    /// Whether it is let in.
    pub enabled: bool,
}

impl Event for ClientUpdated {
    const TYPE: &'static str = "identity.ClientUpdated.v1";
}

/// A program got a new secret, or lost one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClientSecretsChanged {
    /// Which program.
    pub client: ClientId,
    /// The numbers of the secrets that are good now, or for a while yet.
    pub secrets: Vec<u32>,
}

impl Event for ClientSecretsChanged {
    const TYPE: &'static str = "identity.ClientSecretsChanged.v1";
}

/// A program is registered no more: all that it held is void.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClientDeleted {
    /// Which.
    pub client: ClientId,
}

impl Event for ClientDeleted {
    const TYPE: &'static str = "identity.ClientDeleted.v1";
}

/// A person lets a program do something for them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ConsentGiven {
    /// Who.
    pub user: UserId,
    /// The program.
    pub client: ClientId,
    /// All that it may do from now on.
    pub scopes: Vec<String>,
}

impl Event for ConsentGiven {
    const TYPE: &'static str = "identity.ConsentGiven.v1";
}

/// A person took back what they let a program do.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ConsentWithdrawn {
    /// Who.
    pub user: UserId,
    /// The program.
    pub client: ClientId,
}

impl Event for ConsentWithdrawn {
    const TYPE: &'static str = "identity.ConsentWithdrawn.v1";
}

/// New keys sign for the tenant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SigningKeysRotated {
    /// The key ids that sign from now on.
    pub active: Vec<String>,
    /// Whether what the keys of before signed is believed until it ends.
    pub trusted: bool,
}

impl Event for SigningKeysRotated {
    const TYPE: &'static str = "identity.SigningKeysRotated.v1";
}
