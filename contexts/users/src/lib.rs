//! Users: what is known of a tenant's people apart from how they sign in, and what they prefer.
//!
//! A **profile** comes to be once identity has registered the person, and follows that by an event: for a moment there is
//! none. Which **fields** it has, beside those that all have, the tenant defines. **Deactivated**, a person can sign in no
//! more and all that is theirs stays. A **preference** is a value that the product keeps for a person; where it is
//! **declared**, it has a type and a default. **Activity** is what a person did, told in words. All of it is sealed under
//! the person's key, and erased with it. An **erasure** sees to it that every context destroys what it holds of a person,
//! and then destroys that key.

mod activities;
mod activity;
mod commands;
mod declaration;
mod erase;
mod erasure;
mod export;
mod fields;
mod permissions;
mod preference;
mod preferences;
mod profile;
mod queries;
mod schema;
mod standing;

use std::{sync::Arc, time::Duration};

use activities::{ListActivity, ListMyActivity, ListUserActivity};
use commands::{DefineFields, UpdateMe, UpdateUser};
use contracts::{
    identity::{EmailChanged, InvitationRevoked, UserRegistered},
    users::{ConfirmErasure, UserErasureRequested},
};
use erase::{CancelErasure, EraseAgain, EraseUser, GetErasure, ListErasures};
use erasure::Erasure;
use export::{ExportMe, ExportPerson, ExportUser};
use http::Method;
use kernel::{Aggregate, Calls, Context, Cx, Problem, TimeDomain};
use preferences::{
    DeclarePreference, ListDeclarations, ListPreferences, ResetPreference, SetPreference, WithdrawPreference,
};
use profile::UserProfile;
use queries::{GetMe, GetUser, ListUsers, ReadFields};
use standing::{DeactivateUser, ReactivateUser};
use store::Store;

/// What this context declares.
pub const PERMISSIONS: &[kernel::PermissionDecl] = permissions::ALL;

/// How the context behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For how long a person can call off the erasure that they ordered for themselves.
    pub own_grace: Duration,
}

/// The context.
pub(crate) struct Users {
    pub(crate) store: Store,
    pub(crate) calls: Calls,
    pub(crate) settings: Settings,
}

impl Users {
    async fn registered(&self, event: UserRegistered, cx: Cx) -> Result<(), Problem> {
        let (Some(email), Some(name)) = (event.email.known(), event.name.known()) else { return Ok(()) };
        let store = self.store.at(&cx);
        if store.try_load::<UserProfile>(&event.user).await?.is_some() {
            return Ok(());
        }
        // An old event that comes again does not bring back someone whose erasure goes on.
        if store.try_load::<Erasure>(&event.user).await?.is_some_and(|erasure| erasure.has_begun()) {
            return Ok(());
        }
        let (profile, created) = UserProfile::create(event.user, email, name);
        store.create(profile, created).await.map(drop)
    }

    async fn email_changed(&self, event: EmailChanged, cx: Cx) -> Result<(), Problem> {
        let Some(email) = event.email.known() else { return Ok(()) };
        let store = self.store.at(&cx);
        if store.try_load::<UserProfile>(&event.user).await?.is_none() {
            return Ok(());
        }
        let change = |profile: &mut UserProfile| Ok(profile.reached_at(email.clone()));
        store.change(&event.user, change).await.map(drop)
    }

    /// Nobody came: what was kept of them goes.
    async fn invitation_revoked(&self, event: InvitationRevoked, cx: Cx) -> Result<(), Problem> {
        self.remove_all(event.user, &cx).await
    }
}

fn routes(context: Context, it: &Arc<Users>) -> Context {
    context
        .route::<GetMe, _>(Method::GET, "/v1/me", it)
        .route::<UpdateMe, _>(Method::PATCH, "/v1/me", it)
        .route::<ExportMe, _>(Method::GET, "/v1/me/export", it)
        .route::<ListMyActivity, _>(Method::GET, "/v1/me/activity", it)
        .route::<ListPreferences, _>(Method::GET, "/v1/me/preferences", it)
        .route::<SetPreference, _>(Method::PUT, "/v1/me/preferences/{key}", it)
        .route::<ResetPreference, _>(Method::DELETE, "/v1/me/preferences/{key}", it)
        .route::<ListDeclarations, _>(Method::GET, "/v1/preferences", it)
        .route::<DeclarePreference, _>(Method::PUT, "/v1/preferences/{key}", it)
        .route::<WithdrawPreference, _>(Method::DELETE, "/v1/preferences/{key}", it)
        .route::<ReadFields, _>(Method::GET, "/v1/profile-fields", it)
        .route::<DefineFields, _>(Method::PUT, "/v1/profile-fields", it)
        .route::<ListUsers, _>(Method::GET, "/v1/users", it)
        .route::<GetUser, _>(Method::GET, "/v1/users/{user}", it)
        .route::<UpdateUser, _>(Method::PATCH, "/v1/users/{user}", it)
        .route::<DeactivateUser, _>(Method::POST, "/v1/users/{user}/deactivate", it)
        .route::<ReactivateUser, _>(Method::POST, "/v1/users/{user}/reactivate", it)
        .route::<ListUserActivity, _>(Method::GET, "/v1/users/{user}/activity", it)
        .route::<ExportUser, _>(Method::GET, "/v1/users/{user}/export", it)
        .route::<EraseUser, _>(Method::POST, "/v1/users/{user}/erase", it)
        .route::<ListActivity, _>(Method::GET, "/v1/activity", it)
        .route::<ListErasures, _>(Method::GET, "/v1/erasures", it)
        .route::<GetErasure, _>(Method::GET, "/v1/erasures/{user}", it)
        .route::<CancelErasure, _>(Method::DELETE, "/v1/erasures/{user}", it)
        .internal::<ExportPerson, _>(it)
        .internal::<ConfirmErasure, _>(it)
        .internal::<EraseAgain, _>(it)
}

/// The context, with its table.
pub fn context(store: Store, calls: Calls, settings: Settings) -> Context {
    let it = Arc::new(Users { store, calls, settings });
    let context = routes(
        Context::new("users", PERMISSIONS)
            .about("What is known of a tenant's people apart from how they sign in, and what they prefer."),
        &it,
    );
    let (registered, changed, revoked) = (Arc::clone(&it), Arc::clone(&it), Arc::clone(&it));
    let (noting, forgetting, due) = (Arc::clone(&it), Arc::clone(&it), Arc::clone(&it));
    context
        .on("create_profile", move |event: UserRegistered, cx| {
            let it = Arc::clone(&registered);
            async move { it.registered(event, cx).await }
        })
        .on("change_address", move |event: EmailChanged, cx| {
            let it = Arc::clone(&changed);
            async move { it.email_changed(event, cx).await }
        })
        // Before what forgets: the entry that tells of an erasure goes with it.
        .on_any("note", "*", move |event, cx| {
            let it = Arc::clone(&noting);
            async move { it.note(event, cx).await }
        })
        .on("forget_invitation", move |event: InvitationRevoked, cx| {
            let it = Arc::clone(&revoked);
            async move { it.invitation_revoked(event, cx).await }
        })
        .on("erase_person", move |event: UserErasureRequested, cx| {
            let it = Arc::clone(&forgetting);
            async move { it.forget(event, cx).await }
        })
        .timer_in(TimeDomain::Real, Erasure::KIND, move |fired, cx| {
            let it = Arc::clone(&due);
            async move { it.erasure_due(fired, cx).await }
        })
}

#[cfg(test)]
mod tests;
