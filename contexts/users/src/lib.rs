//! Users: who people are to each other, and what they prefer.
//!
//! A **profile** follows from a person being registered. A **preference** is a named value of one person. Both are sealed
//! under the person's own key.

mod preference;
mod profile;
mod use_cases;

use std::sync::Arc;

use contracts::{identity::UserRegistered, users::ProfileCreated};
use http::Method;
use kernel::{Condition, Context, Cx, DefaultRole, Permission, PermissionDecl, Problem};
use profile::UserProfile;
use store::Store;
use use_cases::{ListUsers, ReadMe, ReadPreferences, ReadUser, SetPreference, UpdateMe};

pub(crate) const READ: PermissionDecl = PermissionDecl {
    permission: Permission::new("users.profile.read"),
    meaning: "see the people of the tenant",
    held_by: &[(DefaultRole::Member, Condition::Always)],
};
pub(crate) const OWN: PermissionDecl = PermissionDecl {
    permission: Permission::new("users.self.update"),
    meaning: "see and change one's own profile and preferences",
    held_by: &[(DefaultRole::Person, Condition::Own)],
};

/// What this context declares.
pub const PERMISSIONS: &[PermissionDecl] = &[READ, OWN];

pub(crate) struct Users {
    pub(crate) store: Store,
}

impl Users {
    async fn registered(&self, event: UserRegistered, cx: Cx) -> Result<(), Problem> {
        let (Some(email), Some(name)) = (event.email.known(), event.name.known()) else { return Ok(()) };
        let store = self.store.at(&cx);
        if store.try_load::<UserProfile>(&event.user).await?.is_some() {
            return Ok(());
        }
        let profile = UserProfile::new(event.user, email, name);
        store.create(profile, ProfileCreated { user: event.user }).await.map(drop)
    }
}

/// The context, with its table.
pub fn context(store: Store) -> Context {
    let it = Arc::new(Users { store });
    let registered = Arc::clone(&it);
    Context::new("users", PERMISSIONS)
        .route::<ReadMe, _>(Method::GET, "/v1/me", &it)
        .route::<UpdateMe, _>(Method::PATCH, "/v1/me", &it)
        .route::<ReadPreferences, _>(Method::GET, "/v1/me/preferences", &it)
        .route::<SetPreference, _>(Method::PUT, "/v1/me/preferences/{key}", &it)
        .route::<ListUsers, _>(Method::GET, "/v1/users", &it)
        .route::<ReadUser, _>(Method::GET, "/v1/users/{user}", &it)
        .on("profile", move |event: UserRegistered, cx| {
            let it = Arc::clone(&registered);
            async move { it.registered(event, cx).await }
        })
}
