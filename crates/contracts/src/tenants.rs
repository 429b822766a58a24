//! Tenants: emitted and served by the context `tenants`. What it tells of a tenant's use is in [`crate::entitlements`].

use kernel::{
    Condition, DefaultRole, Event, Permission, PermissionDecl, Personal, TenantId, Timestamp, UserId,
    text::{DisplayName, EmailAddress, Note, Slug},
    use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::lifecycle::*;

/// Where a tenant is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    /// Other contexts are setting it up; its owner can already follow the link that was mailed.
    Provisioning,
    /// Its people can use it, until the trial ends.
    Trial,
    /// Its people can use it.
    Active,
    /// Nobody can sign in; its data stays.
    Suspended,
    /// Put away: nobody can sign in, its data stays, and it can be restored.
    Archived,
    /// Its data is being destroyed, or is destroyed.
    Erased,
}

impl TenantStatus {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Provisioning, Self::Trial, Self::Active, Self::Suspended, Self::Archived, Self::Erased];

    /// The name as shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Trial => "trial",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Archived => "archived",
            Self::Erased => "erased",
        }
    }
}

/// How a tenant's data is kept apart from that of the others. Keys are its own either way. Fixed when it is provisioned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// In a store with others, apart by the first part of each key.
    #[default]
    Pooled,
    /// In a file of its own.
    Dedicated,
}

/// A tenant as other contexts and operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantView {
    /// Its id.
    pub id: TenantId,
    /// Its subdomain.
    pub slug: Slug,
    /// The company's name.
    pub name: DisplayName,
    /// Where it is in its life.
    pub status: TenantStatus,
    /// Why it is suspended or archived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When its trial ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub trial_ends: Option<Timestamp>,
    /// How its data is kept apart from that of the others.
    pub isolation: Isolation,
    /// Its canonical origin, fixed when it was provisioned: sign-in always happens there.
    pub origin: String,
    /// Whether it was found by a custom domain, which is an alias: sign-in leads to the canonical origin.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alias: bool,
}

/// Finds a tenant by its id, its slug, or a domain of its own that was verified.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveTenant {
    /// An id (`ten_…`), a slug, or a host name with a dot in it.
    pub name: String,
}

use_case!(ResolveTenant => TenantView, "tenants.resolve", Platform, RESOLVE.permission, Tell);

/// See [`ResolveTenant`].
pub const RESOLVE: PermissionDecl = PermissionDecl {
    permission: Permission::new("tenants.tenant.resolve"),
    meaning: "find a tenant by its subdomain, domain or id",
    held_by: &[
        (DefaultRole::Gateway, Condition::Always),
        (DefaultRole::Service, Condition::Always),
        (DefaultRole::Operator, Condition::Always),
    ],
};

/// The contexts that set something up before a tenant can be used. Each follows [`TenantProvisioned`], which comes again
/// until it has answered, and then says so by [`ConfirmProvisioned`].
pub const PROVISIONERS: [&str; 1] = ["identity"];

/// Says that a context has set up what it must for a new tenant. Repeatable.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmProvisioned {
    /// Which tenant.
    pub tenant: TenantId,
    /// Which context: one of [`PROVISIONERS`].
    pub context: String,
}

use_case!(ConfirmProvisioned => (), "tenants.provisioning.confirm", Platform, PROVISIONED.permission, |it| it.tenant.into());

/// See [`ConfirmProvisioned`].
pub const PROVISIONED: PermissionDecl = PermissionDecl {
    permission: Permission::new("tenants.provisioning.confirm"),
    meaning: "say that a context has set up a new tenant",
    held_by: &[(DefaultRole::Service, Condition::Always)],
};

/// Ends a tenant's trial well: it is active from now on, also where the end of the trial had suspended it. Repeatable.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivateTenant {
    /// Which tenant.
    pub tenant: TenantId,
}

use_case!(ActivateTenant => TenantView, "tenants.activate", Platform, ACTIVATE.permission, |it| it.tenant.into());

/// See [`ActivateTenant`].
pub const ACTIVATE: PermissionDecl = PermissionDecl {
    permission: Permission::new("tenants.tenant.activate"),
    meaning: "make a tenant active for good",
    held_by: &[(DefaultRole::Operator, Condition::Always), (DefaultRole::Service, Condition::Always)],
};

/// Suspends a tenant until its bills are settled. One that is suspended or put away already stays as it is. Repeatable.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldTenant {
    /// Which tenant.
    pub tenant: TenantId,
    /// Why; its people are told.
    pub reason: Note,
}

use_case!(HoldTenant => (), "tenants.hold", Platform, HOLD.permission, |it| it.tenant.into());

/// Lets a tenant in again that bills had suspended, and nothing else. Repeatable.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseTenant {
    /// Which tenant.
    pub tenant: TenantId,
}

use_case!(ReleaseTenant => (), "tenants.release", Platform, HOLD.permission, |it| it.tenant.into());

/// See [`HoldTenant`].
pub const HOLD: PermissionDecl = PermissionDecl {
    permission: Permission::new("tenants.tenant.hold"),
    meaning: "suspend a tenant for bills that are not paid, and let it in again",
    held_by: &[(DefaultRole::Service, Condition::Always)],
};

/// Reserves a seat for a person; refused when all are taken. What is not confirmed in time is released by itself, so
/// that a crash leaks none.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReserveSeat {
    /// Whose seat; reserving twice takes one.
    pub user: UserId,
    /// Until when; a quarter of an hour where nothing is said.
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
}

use_case!(ReserveSeat => SeatsView, "tenants.seats.reserve", Tenant, SEATS.permission);

/// Frees a person's seat. Repeatable.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseSeat {
    /// Whose seat.
    pub user: UserId,
}

use_case!(ReleaseSeat => SeatsView, "tenants.seats.release", Tenant, SEATS.permission);

/// How many seats there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeatsView {
    /// Granted.
    pub limit: u64,
    /// Taken, reservations included.
    pub used: u64,
}

/// See [`ReserveSeat`].
pub const SEATS: PermissionDecl = PermissionDecl {
    permission: Permission::new("tenants.seats.reserve"),
    meaning: "take a seat for a person who is invited, and free it",
    held_by: &[(DefaultRole::Admin, Condition::Always), (DefaultRole::Service, Condition::Always)],
};

/// How a tenant presents itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BrandingView {
    /// What it calls itself to its people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<DisplayName>,
    /// What is shown: that name, or the company's where it has chosen none.
    pub shown: DisplayName,
    /// The colour of buttons and links, `#rrggbb`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accent: Option<String>,
    /// The colour of text upon it; their contrast is 4.5 to 1 at least (WCAG 2.2, 1.4.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_accent: Option<String>,
    /// Where its people find help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support: Option<EmailAddress>,
    /// The path of its logo, which changes with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo: Option<String>,
    /// The path of the stylesheet with its colours, which changes with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<String>,
}

/// Tells how the tenant presents itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadBranding {}

use_case!(ReadBranding => BrandingView, "tenants.branding.read", Tenant, BRANDING.permission, Tell);

/// See [`ReadBranding`].
pub const BRANDING: PermissionDecl = PermissionDecl {
    permission: Permission::new("tenants.branding.read"),
    meaning: "see how the tenant presents itself",
    held_by: &[
        (DefaultRole::Visitor, Condition::Always),
        (DefaultRole::Person, Condition::Always),
        (DefaultRole::Gateway, Condition::Always),
        (DefaultRole::Service, Condition::Always),
    ],
};

/// What is the same for all people of a tenant, unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettingsView {
    /// The time zone (IANA), such as `Europe/Vienna`.
    pub time_zone: String,
    /// The language (BCP 47), such as `de-AT`.
    pub locale: String,
}

/// Tells the tenant's time zone and language.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadSettings {}

use_case!(ReadSettings => SettingsView, "tenants.settings.read", Tenant, SETTINGS.permission, Tell);

/// See [`ReadSettings`].
pub const SETTINGS: PermissionDecl = PermissionDecl {
    permission: Permission::new("tenants.settings.read"),
    meaning: "see the tenant's time zone and language",
    held_by: &[(DefaultRole::Person, Condition::Always), (DefaultRole::Service, Condition::Always)],
};

/// A tenant is to be set up: who is in [`PROVISIONERS`] does its part. Comes again while someone has not answered. In the
/// platform's log, so the names are sealed, under a key that goes with the tenant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TenantProvisioned {
    /// Which.
    pub tenant: TenantId,
    /// Its subdomain.
    pub slug: Personal<Slug>,
    /// The company.
    pub name: Personal<DisplayName>,
    /// The id that its owner will have.
    pub owner: UserId,
    /// Where the owner is reached.
    pub owner_email: Personal<EmailAddress>,
    /// What the owner is called.
    pub owner_name: Personal<DisplayName>,
}

impl Event for TenantProvisioned {
    const TYPE: &'static str = "tenants.TenantProvisioned.v1";
    fn person(&self) -> Option<UserId> {
        Some(self.owner)
    }
}
