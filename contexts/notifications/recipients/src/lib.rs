//! Who is told, and what they and their tenant chose.
//!
//! A **person** is reached at the address that identity told of. A **category** has channels by which it goes out unless
//! its recipient chose otherwise (**preference**); nobody opts out of security. An address that sent mail back is
//! **suppressed**. The **plan** says by what somebody is told, and why.

pub mod brand;
pub mod means;
pub mod person;
pub mod plan;
pub mod preference;
pub mod settings;
pub mod suppression;

use std::sync::Arc;

use cache::{Cache, IN_FORCE, Known};
use http::Method;
use kernel::{Calls, Context, Cx, Problem, Scope};
use store::{Loaded, Store};

use preference::{ChoosePreferences, GetPreferences};
use settings::{GetSettings, Settings, UpdateSettings};
use suppression::{LiftSuppression, ListSuppressions, SuppressAddress};

/// Tenants whose settings are remembered at a time.
const TENANTS: u64 = 10_000;

/// Those who are told.
pub struct Recipients {
    store: Store,
    calls: Calls,
    /// What each delivery needs to know and seldom changes.
    known: Cache<Scope, Settings>,
}

impl Recipients {
    /// Of a store.
    pub fn new(store: Store, calls: Calls) -> Self {
        Self { store, calls, known: Cache::new(TENANTS, IN_FORCE) }
    }

    /// The settings of a tenant, or what is so where it has none.
    pub async fn settings(&self, cx: &Cx) -> Result<Arc<Known<Settings>>, Problem> {
        let read = async {
            let held = self.store.at(cx).try_load::<Settings>(&Settings::ID.to_owned()).await?;
            Ok(held.map_or_else(|| Settings::new(None), Loaded::into_inner))
        };
        self.known.get_or(cx.scope(), read).await
    }
}

/// The lines of the table about a person's own choices.
pub fn mount_choices(context: Context, it: &Arc<Recipients>) -> Context {
    context
        .route::<GetPreferences, _>(Method::GET, "/v1/me/notification-preferences", it)
        .route::<ChoosePreferences, _>(Method::PATCH, "/v1/me/notification-preferences", it)
}

/// The lines of the table about a tenant's settings.
pub fn mount_settings(context: Context, it: &Arc<Recipients>) -> Context {
    context
        .route::<GetSettings, _>(Method::GET, "/v1/notification-settings", it)
        .route::<UpdateSettings, _>(Method::PUT, "/v1/notification-settings", it)
        .route::<ListSuppressions, _>(Method::GET, "/v1/notification-suppressions", it)
        .route::<SuppressAddress, _>(Method::POST, "/v1/notification-suppressions", it)
        .route::<LiftSuppression, _>(Method::POST, "/v1/notification-suppressions/lift", it)
}
