//! What can be asked of the gateway itself.

use std::sync::Arc;

use http::{Method, Response, header};
use kernel::{
    Condition::Always, Context, DefaultRole, Endpoint, Granted, Handle, Permission, PermissionDecl, Problem, ScopeKind,
    use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Store;

use crate::{Metrics, origins::AllowedOrigins};

const METRICS: Permission = Permission::new("gateway.metrics.read");
const ORIGINS: Permission = Permission::new("gateway.origin.update");
const ORIGINS_READ: Permission = Permission::new("gateway.origin.read");

/// What this context declares.
pub const PERMISSIONS: &[PermissionDecl] = &[
    PermissionDecl {
        permission: METRICS,
        meaning: "read what the edge counts",
        held_by: &[(DefaultRole::Operator, Always)],
    },
    PermissionDecl {
        permission: ORIGINS,
        meaning: "say which other sites' pages may ask",
        held_by: &[(DefaultRole::Admin, Always)],
    },
    PermissionDecl {
        permission: ORIGINS_READ,
        meaning: "see which other sites' pages may ask",
        held_by: &[(DefaultRole::Admin, Always), (DefaultRole::Gateway, Always)],
    },
];

pub(crate) struct Settings {
    store: Store,
}

/// The origins of other sites whose pages may ask, with a token of their own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadOrigins {}

/// Says which other sites' pages may ask. They act with tokens; cookies are never taken from them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetOrigins {
    /// All of them from now on, such as `https://app.example.com`.
    #[schemars(length(max = 50))]
    origins: Vec<String>,
}

/// The origins as they stand.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct OriginsView {
    /// In the order in which they were named.
    pub(crate) origins: Vec<String>,
}

use_case!(ReadOrigins => OriginsView, "gateway.origins.read", Tenant, ORIGINS_READ, Tell);
use_case!(SetOrigins => OriginsView, "gateway.origins.set", Tenant, ORIGINS);

impl Handle<ReadOrigins> for Settings {
    async fn handle(&self, _: ReadOrigins, cx: Granted<ReadOrigins>) -> Result<OriginsView, Problem> {
        let found = self.store.at(&cx).try_load::<AllowedOrigins>(&AllowedOrigins::ID.to_owned()).await?;
        Ok(OriginsView { origins: found.map(|it| it.into_inner().origins).unwrap_or_default() })
    }
}

impl Handle<SetOrigins> for Settings {
    async fn handle(&self, it: SetOrigins, cx: Granted<SetOrigins>) -> Result<OriginsView, Problem> {
        let wanted = AllowedOrigins::parse(it.origins)?;
        let (store, id) = (self.store.at(&cx), AllowedOrigins::ID.to_owned());
        let stored = if store.try_load::<AllowedOrigins>(&id).await?.is_none() {
            store.create(wanted, ()).await?
        } else {
            let rule = |known: &mut AllowedOrigins| {
                known.clone_from(&wanted);
                Ok(())
            };
            store.change(&id, rule).await?
        };
        Ok(OriginsView { origins: stored.into_inner().origins })
    }
}

/// The context, with its table.
pub fn context(store: Store, metrics: Arc<Metrics>) -> Context {
    let it = Arc::new(Settings { store });
    let counted = Endpoint::new(
        "gateway.metrics.read",
        "What the edge counts, for Prometheus",
        ScopeKind::Platform,
        METRICS,
        move |_, _| {
            let text = metrics.text();
            async move {
                let response = Response::builder().header(header::CONTENT_TYPE, "text/plain; version=0.0.4");
                response.body(text.into()).map_err(Problem::internal)
            }
        },
    );
    Context::new("gateway", PERMISSIONS)
        .route::<ReadOrigins, _>(Method::GET, "/v1/allowed-origins", &it)
        .route::<SetOrigins, _>(Method::PUT, "/v1/allowed-origins", &it)
        .endpoint(Method::GET, "/metrics", counted.produces("text/plain"))
}
