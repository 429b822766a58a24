//! Users: emitted by the context `users`.

use std::collections::BTreeMap;

use kernel::{Condition, DefaultRole, Event, Permission, PermissionDecl, UserId, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

/// The tenant declared a preference: what it means, which values it takes, and which it has by default.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PreferenceDeclared {
    /// Which.
    pub key: String,
}

impl Event for PreferenceDeclared {
    const TYPE: &'static str = "users.PreferenceDeclared.v1";
}

/// The tenant declares a preference no more; what people chose stays theirs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PreferenceWithdrawn {
    /// Which.
    pub key: String,
}

impl Event for PreferenceWithdrawn {
    const TYPE: &'static str = "users.PreferenceWithdrawn.v1";
}

/// The tenant defined which fields its people's profiles have.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProfileFieldsDefined {
    /// The version of the definition.
    pub version: u32,
}

impl Event for ProfileFieldsDefined {
    const TYPE: &'static str = "users.ProfileFieldsDefined.v1";
}

/// A person can sign in no more: sessions, keys and grants end. What is theirs stays.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserDeactivated {
    /// Who.
    pub user: UserId,
}

impl Event for UserDeactivated {
    const TYPE: &'static str = "users.UserDeactivated.v1";
}

/// All is as before the deactivation; whoever was signed in signs in anew.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserReactivated {
    /// Who.
    pub user: UserId,
}

impl Event for UserReactivated {
    const TYPE: &'static str = "users.UserReactivated.v1";
}

/// A person is to be erased. Each context in [`HOLDERS`] destroys what it holds of them, then says so by
/// [`ConfirmErasure`]; once all have, the person's key is destroyed. It is said again, as a new event, for as long as one
/// has not.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserErasureRequested {
    /// Who.
    pub user: UserId,
}

impl Event for UserErasureRequested {
    const TYPE: &'static str = "users.UserErasureRequested.v1";
}

/// A person's erasure waits for contexts that were reminded several times: someone who runs the installation must look.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserErasureDelayed {
    /// Who.
    pub user: UserId,
    /// Which contexts have not confirmed.
    pub waiting: Vec<String>,
}

impl Event for UserErasureDelayed {
    const TYPE: &'static str = "users.UserErasureDelayed.v1";
}

/// The erasure of a person was called off before it began.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserErasureCancelled {
    /// Who.
    pub user: UserId,
}

impl Event for UserErasureCancelled {
    const TYPE: &'static str = "users.UserErasureCancelled.v1";
}

/// Nothing of the person is left that anyone can read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserErased {
    /// Who it was: an id that leads nowhere any more.
    pub user: UserId,
}

impl Event for UserErased {
    const TYPE: &'static str = "users.UserErased.v1";
}

/// The contexts that hold something of a person. Each serves a use case `<context>.person.export` of its own to other
/// contexts (`{ "user": … }` in, [`PersonData`] out, under [`EXPORT`]), and follows [`UserErasureRequested`].
pub const HOLDERS: [&str; 4] = ["identity", "users", "notifications", "analytics"];

/// What a context holds of a person, by what it is: credentials, keys and hashes left out.
pub type PersonData = BTreeMap<String, Value>;

/// See [`HOLDERS`].
pub const EXPORT: PermissionDecl = PermissionDecl {
    permission: Permission::new("users.person.export"),
    meaning: "take away all that is held of a person",
    held_by: &[(DefaultRole::Person, Condition::Own), (DefaultRole::Owner, Condition::Always)],
};

/// Says that a context holds nothing of a person any more. Repeatable.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmErasure {
    /// Who.
    pub user: UserId,
    /// Which context: one of [`HOLDERS`].
    pub context: String,
}

use_case!(ConfirmErasure => (), "users.erasure.confirm", Tenant, ERASED.permission);

/// See [`ConfirmErasure`].
pub const ERASED: PermissionDecl = PermissionDecl {
    permission: Permission::new("users.erasure.confirm"),
    meaning: "say that a context holds nothing of a person any more",
    held_by: &[(DefaultRole::Service, Condition::Always)],
};
