//! What one may do with people, their profiles and their preferences.

use kernel::{
    Condition::{self, Always, Own},
    DefaultRole::{self, Admin, Member, Owner, Person, Service},
    Permission, PermissionDecl,
};

macro_rules! permissions {
    ($($const:ident $name:literal $meaning:literal $held_by:expr;)*) => {
        $(pub(crate) const $const: Permission = Permission::new($name);)*
        /// All that this context declares, with those of its contracts.
        pub(crate) const ALL: &[PermissionDecl] = &[
            contracts::users::EXPORT,
            contracts::users::ERASED,
            $(PermissionDecl { permission: $const, meaning: $meaning, held_by: $held_by },)*
        ];
    };
}

const OWN: &[(DefaultRole, Condition)] = &[(Person, Own)];
const OWN_AND_MEMBERS: &[(DefaultRole, Condition)] = &[(Person, Own), (Member, Always)];
const OWN_AND_ADMINS: &[(DefaultRole, Condition)] = &[(Person, Own), (Admin, Always)];
const OWN_AND_OWNERS: &[(DefaultRole, Condition)] = &[(Person, Own), (Owner, Always)];
const PEOPLE: &[(DefaultRole, Condition)] = &[(Person, Always)];
const SERVICES: &[(DefaultRole, Condition)] = &[(Service, Always)];
const ADMINS: &[(DefaultRole, Condition)] = &[(Admin, Always)];

permissions! {
    READ "users.profile.read" "see the profiles of the tenant's people" OWN_AND_MEMBERS;
    UPDATE "users.profile.update" "change one's profile" OWN;
    ADMINISTER "users.profile.administer" "see all of a person's profile, and change what the tenant says of them" ADMINS;
    FIELDS_READ "users.fields.read" "see which fields profiles have" PEOPLE;
    FIELDS_UPDATE "users.fields.update" "define which fields profiles have" ADMINS;
    PREFERENCE_READ "users.preference.read" "see one's preferences" OWN;
    PREFERENCE_SET "users.preference.set" "change one's preferences" OWN;
    DECLARATION_READ "users.declaration.read" "see which preferences there are" PEOPLE;
    DECLARATION_UPDATE "users.declaration.update" "declare preferences with their defaults" ADMINS;
    ACTIVITY_READ "users.activity.read" "see what people did" OWN_AND_ADMINS;
    DEACTIVATE "users.person.deactivate" "deactivate people, and reactivate them" ADMINS;
    ERASE "users.person.erase" "erase a person for good" OWN_AND_OWNERS;
    ERASE_AGAIN "users.erasure.repeat" "erase again whom a restored backup brought back" SERVICES;
    ERASURE_READ "users.erasure.read" "see how far an erasure is" OWN_AND_OWNERS;
}
