//! Analytics: how a tenant's people use the product, as figures.
//!
//! A **fact** is something that a person did: told by the product (`track`), or a domain event, each of which is a fact
//! of its type. Who did it stands there as a **pseudonym**: the same for a person throughout a tenant, another in each,
//! and traced back by nobody once the tenant's key is destroyed. A person is **active** on a day on which they did
//! anything; whose day it is, the time zone of the question says.

mod permissions;
mod report;
mod track;

use std::sync::Arc;

use facts::{Fact, Facts};
use http::Method;
use kernel::{Context, Cx, Endpoint, Envelope, Problem, Scope, ScopeKind, UserId};
use store::Store;

use report::{ActivePeople, RunReport};
use track::TrackEvents;

/// All permissions that this context declares.
pub const PERMISSIONS: &[kernel::PermissionDecl] = permissions::ALL;

/// The context.
pub(crate) struct Analytics {
    store: Store,
    facts: Arc<dyn Facts>,
}

impl Analytics {
    /// How facts name a person of the scope of `cx`.
    async fn pseudonym(&self, cx: &Cx, person: UserId) -> Result<String, Problem> {
        let key = self.store.keys().scope(cx.scope()).await?;
        Ok(key.blind("pseudonym", &person.to_string()))
    }

    /// Every event of a tenant is a fact of whoever did it, else of whom it is about.
    async fn follow(&self, event: Envelope, cx: Cx) -> Result<(), Problem> {
        if event.scope == Scope::Platform {
            return Ok(());
        }
        let person = match event.actor.parse().ok().or(event.person) {
            Some(person) => Some(self.pseudonym(&cx, person).await?),
            None => None,
        };
        let (id, name, at, labels) = (event.id, event.r#type, event.time, std::collections::BTreeMap::new());
        let fact = Fact { id, scope: event.scope, name, at, person, value: 1.0, labels };
        Ok(self.facts.append(vec![fact]).await?)
    }
}

/// The context, with its table.
pub fn context(store: Store, facts: Arc<dyn Facts>) -> Context {
    let it = Arc::new(Analytics { store, facts });
    let (sheet, follower) = (Arc::clone(&it), Arc::clone(&it));
    let csv = Endpoint::new(
        "analytics.active_people.csv",
        "People who did anything, per day, as comma-separated values",
        ScopeKind::Tenant,
        permissions::READ,
        move |request, cx| {
            let it = Arc::clone(&sheet);
            async move { it.active_people_csv(&request, &cx).await }
        },
    );
    Context::new("analytics", PERMISSIONS)
        .about("How a tenant's people use the product, as figures.")
        .route::<TrackEvents, _>(Method::POST, "/v1/events", &it)
        .route::<ActivePeople, _>(Method::GET, "/v1/analytics/active-people", &it)
        .endpoint(Method::GET, "/v1/analytics/active-people.csv", csv.produces("text/csv"))
        .route::<RunReport, _>(Method::POST, "/v1/analytics/reports/query", &it)
        .on_any("facts", "*", move |event, cx| {
            let it = Arc::clone(&follower);
            async move { it.follow(event, cx).await }
        })
}
