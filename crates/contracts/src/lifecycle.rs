//! What happens to tenants in the course of their life: emitted by the context `tenants`.

use kernel::{Event, TenantId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All that a tenant needs is set up.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProvisioningCompleted {
    /// Which.
    pub tenant: TenantId,
}

impl Event for ProvisioningCompleted {
    const TYPE: &'static str = "tenants.ProvisioningCompleted.v1";
}

/// A tenant could not be set up in time; what there is of it is taken back.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProvisioningFailed {
    /// Which.
    pub tenant: TenantId,
    /// Who had not answered.
    pub waiting: Vec<String>,
}

impl Event for ProvisioningFailed {
    const TYPE: &'static str = "tenants.ProvisioningFailed.v1";
}

/// A tenant can be used: on trial, or for good.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TenantActivated {
    /// Which.
    pub tenant: TenantId,
    /// When its trial ends, if it is on trial.
    #[schemars(with = "Option<String>")]
    pub trial_ends: Option<Timestamp>,
}

impl Event for TenantActivated {
    const TYPE: &'static str = "tenants.TenantActivated.v1";
}

/// A trial ends in a few days.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TrialEnding {
    /// Which.
    pub tenant: TenantId,
    /// When.
    #[schemars(with = "String")]
    pub ends: Timestamp,
}

impl Event for TrialEnding {
    const TYPE: &'static str = "tenants.TrialEnding.v1";
}

/// A trial is over.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TrialEnded {
    /// Which.
    pub tenant: TenantId,
}

impl Event for TrialEnded {
    const TYPE: &'static str = "tenants.TrialEnded.v1";
}

/// A tenant's people can sign in no more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TenantSuspended {
    /// Which.
    pub tenant: TenantId,
    /// Why.
    pub reason: String,
}

impl Event for TenantSuspended {
    const TYPE: &'static str = "tenants.TenantSuspended.v1";
}

/// All is as before the suspension.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TenantResumed {
    /// Which.
    pub tenant: TenantId,
}

impl Event for TenantResumed {
    const TYPE: &'static str = "tenants.TenantResumed.v1";
}

/// A tenant was put away.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TenantArchived {
    /// Which.
    pub tenant: TenantId,
    /// Why.
    pub reason: String,
}

impl Event for TenantArchived {
    const TYPE: &'static str = "tenants.TenantArchived.v1";
}

/// All is as before the tenant was put away.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TenantRestored {
    /// Which.
    pub tenant: TenantId,
}

impl Event for TenantRestored {
    const TYPE: &'static str = "tenants.TenantRestored.v1";
}

/// A tenant is to be destroyed. Nobody gets in any more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TenantErasureRequested {
    /// Which.
    pub tenant: TenantId,
}

impl Event for TenantErasureRequested {
    const TYPE: &'static str = "tenants.TenantErasureRequested.v1";
}

/// The tenant's keys were destroyed, and what they had sealed was removed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TenantErased {
    /// Which.
    pub tenant: TenantId,
}

impl Event for TenantErased {
    const TYPE: &'static str = "tenants.TenantErased.v1";
}

/// The tenant presents itself in another way.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BrandingUpdated {
    /// Which.
    pub tenant: TenantId,
}

impl Event for BrandingUpdated {
    const TYPE: &'static str = "tenants.BrandingUpdated.v1";
}
