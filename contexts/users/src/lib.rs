//! Users: what is known of a tenant's people apart from how they sign in, and what they prefer.
//!
//! A **profile** comes to be once identity has registered the person, and follows that by an event: for a moment there is
//! none. A **preference** is a value that the product keeps for a person under a key of its own. Both are sealed under the
//! person's key, and erased with it.

mod commands;
mod permissions;
mod preference;
mod profile;
mod queries;

use std::sync::Arc;

use commands::{SetPreference, UpdateMe};
use contracts::identity::UserRegistered;
use http::Method;
use kernel::{Context, Cx, Problem};
use profile::UserProfile;
use queries::{GetMe, GetUser, ListPreferences, ListUsers};
use store::Store;

/// What this context declares.
pub const PERMISSIONS: &[kernel::PermissionDecl] = permissions::ALL;

/// The context.
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
        let (profile, created) = UserProfile::create(event.user, email, name);
        store.create(profile, created).await.map(drop)
    }
}

/// The context, with its table.
pub fn context(store: Store) -> Context {
    let it = Arc::new(Users { store });
    let users = Arc::clone(&it);
    Context::new("users", PERMISSIONS)
        .about("What is known of a tenant's people apart from how they sign in, and what they prefer.")
        .route::<GetMe, _>(Method::GET, "/v1/me", &it)
        .route::<UpdateMe, _>(Method::PATCH, "/v1/me", &it)
        .route::<ListPreferences, _>(Method::GET, "/v1/me/preferences", &it)
        .route::<SetPreference, _>(Method::PUT, "/v1/me/preferences/{key}", &it)
        .route::<ListUsers, _>(Method::GET, "/v1/users", &it)
        .route::<GetUser, _>(Method::GET, "/v1/users/{user}", &it)
        .on("create_profile", move |event: UserRegistered, cx| {
            let it = Arc::clone(&users);
            async move { it.registered(event, cx).await }
        })
}

#[cfg(test)]
mod tests;
