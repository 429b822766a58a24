//! Identity: who people are, and how they show it.
//!
//! A **user** is a person of one tenant. A **link** that is mailed shows that the address is theirs and lets them choose a
//! password. A **session** is a browser that is signed in; a **grant** is what a program holds of a person. A **realm** is what
//! signing in needs to know of the tenant: its origin, which never changes. An **operator** runs the installation.

mod api_key;
mod authenticate;
mod client;
mod clients;
mod commands;
mod consent;
mod grant;
mod http_forms;
mod jose;
mod link;
mod operator;
mod pages;
mod password;
mod permissions;
mod protocol;
mod realm;
mod rotation;
mod scope;
mod secret;
mod session;
mod signing;
mod token;
mod user;

use std::{future::Future, sync::Arc};

use api_key::{CreateApiKey, ListApiKeys, RevokeApiKey};
use bytes::Bytes;
use clients::{
    DeleteClient, GetClient, ListClients, RegisterClient, RevokeClientSecret, RotateClientSecret, UpdateClient,
};
use commands::{AssignRoles, BeginTotp, ConfirmTotp, EndAllSessions, Invite, ListSessions, ReadRoles, RevokeSession};
use consent::{ListConsents, WithdrawConsent};
use contracts::{
    identity::{Authenticate, AuthenticateOperator, LinkPurpose},
    oauth::ClientDeleted,
    tenants::{ReserveSeat, TenantProvisioned},
};
use http::{Method, Request, Response};
use kernel::{
    Aggregate, Calls, Catalogue, Context, Cx, DefaultRole, Endpoint, Grants, Permission, PermissionDecl, Problem,
    ScopeKind, TimeDomain, context::Body,
};
use store::Store;

use password::Passwords;
use protocol::Recent;
use realm::Realm;
use rotation::{ListSigningKeys, RotateSigningKeys, RotateTenantKeys};
use signing::SigningKeys;
use user::User;

/// What this context declares.
pub const PERMISSIONS: &[PermissionDecl] = permissions::ALL;

/// How the installation is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `http` or `https`.
    pub scheme: String,
    /// The host name; tenants are its subdomains.
    pub host: String,
    /// The port in addresses, where it is not the scheme's own.
    pub port: Option<u16>,
    /// How many passwords are hashed at once.
    pub hashing: usize,
}

impl Settings {
    fn secure(&self) -> bool {
        self.scheme == "https"
    }

    /// The origin of a tenant.
    fn origin(&self, slug: &str) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{slug}.{}{port}", self.scheme, self.host)
    }
}

/// The context.
pub(crate) struct Identity {
    store: Store,
    calls: Calls,
    catalogue: Arc<Catalogue>,
    /// All that people of a tenant can hold, and so all that programs can be given.
    holdable: Grants,
    passwords: Passwords,
    recent: Recent,
    settings: Settings,
}

/// The token of the link by which a new installation is claimed.
pub fn claim_token(store: &Store) -> String {
    data_encoding::HEXLOWER.encode(&store.keys().derived("identity/claim"))
}

/// Whether the installation has an operator.
pub async fn is_claimed(store: &Store, cx: &Cx) -> Result<bool, Problem> {
    Ok(store.at(cx).try_load::<operator::Claimed>(&operator::Claimed::ID.to_owned()).await?.is_some())
}

impl Identity {
    fn claim_token(&self) -> String {
        claim_token(&self.store)
    }

    /// A tenant exists: its realm, and its owner with a link to come in by.
    async fn provisioned(&self, event: TenantProvisioned, cx: Cx) -> Result<(), Problem> {
        let cx = cx.within(event.tenant)?;
        let (Some(email), Some(name)) = (event.owner_email.known(), event.owner_name.known()) else { return Ok(()) };
        let store = self.store.at(&cx);
        if store.try_load::<Realm>(&Realm::ID.to_owned()).await?.is_none() {
            let origin = self.settings.origin(event.slug.as_str());
            store.create(Realm { tenant: event.tenant, name: event.name, origin }, ()).await?;
        }
        self.signing_keys(&cx).await?;
        if store.try_load::<User>(&event.owner).await?.is_some() {
            return Ok(());
        }
        self.calls.call(ReserveSeat { user: event.owner }, &cx).await?;
        let realm = self.realm(&cx).await?;
        let stamp = secret::fresh(&cx);
        let (user, registered) = User::invite(event.owner, (email, name), vec![DefaultRole::Owner], stamp);
        let link = link::make(&self.store, &cx, &realm, &user, LinkPurpose::Verify).await?;
        let asked = user.link(LinkPurpose::Verify, link);
        store.create(user, vec![registered.into(), asked.into()]).await.map(drop)
    }
}

pub(crate) struct Table(Context, Arc<Identity>);

impl Table {
    pub(crate) fn at<F, R>(
        self,
        (method, path): (Method, &'static str),
        name: &'static str,
        summary: &'static str,
        of: (ScopeKind, Permission),
        serve: F,
    ) -> Self
    where
        F: Fn(Arc<Identity>, Request<Bytes>, Cx) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
    {
        let it = Arc::clone(&self.1);
        let endpoint = Endpoint::new(name, summary, of.0, of.1, move |request, cx| serve(Arc::clone(&it), request, cx));
        let pages = ["/oauth/authorize", "/oauth/logout"];
        let html = pages.contains(&path) || (!path.starts_with("/oauth") && !path.starts_with("/.well-known"));
        let endpoint = if html { endpoint.produces("text/html") } else { endpoint };
        Self(self.0.endpoint(method, path, endpoint), self.1)
    }
}

/// The context, with its table.
pub fn context(store: Store, calls: Calls, catalogue: Arc<Catalogue>, settings: Settings) -> Context {
    let passwords = Passwords::new(settings.hashing);
    let holdable = catalogue.grants(&[DefaultRole::Person, DefaultRole::Owner]);
    let recent = Recent::default();
    let it = Arc::new(Identity { store, calls, catalogue, holdable, passwords, recent, settings });
    let (forgotten, rotated) = (Arc::clone(&it), Arc::clone(&it));
    let provisioned = Arc::clone(&it);
    let context = Context::new("identity", PERMISSIONS)
        .route::<Invite, _>(Method::POST, "/v1/invitations", &it)
        .route::<ReadRoles, _>(Method::GET, "/v1/users/{user}/roles", &it)
        .route::<AssignRoles, _>(Method::PUT, "/v1/users/{user}/roles", &it)
        .route::<ListSessions, _>(Method::GET, "/v1/me/sessions", &it)
        .route::<RevokeSession, _>(Method::DELETE, "/v1/me/sessions/{session}", &it)
        .route::<EndAllSessions, _>(Method::POST, "/v1/me/sessions/end-all", &it)
        .route::<BeginTotp, _>(Method::POST, "/v1/me/totp", &it)
        .route::<ConfirmTotp, _>(Method::POST, "/v1/me/totp/confirm", &it)
        .route::<RegisterClient, _>(Method::POST, "/v1/clients", &it)
        .route::<ListClients, _>(Method::GET, "/v1/clients", &it)
        .route::<GetClient, _>(Method::GET, "/v1/clients/{client}", &it)
        .route::<UpdateClient, _>(Method::PATCH, "/v1/clients/{client}", &it)
        .route::<DeleteClient, _>(Method::DELETE, "/v1/clients/{client}", &it)
        .route::<RotateClientSecret, _>(Method::POST, "/v1/clients/{client}/secrets", &it)
        .route::<RevokeClientSecret, _>(Method::DELETE, "/v1/clients/{client}/secrets/{number}", &it)
        .route::<ListConsents, _>(Method::GET, "/v1/me/consents", &it)
        .route::<WithdrawConsent, _>(Method::DELETE, "/v1/me/consents/{client}", &it)
        .route::<ListSigningKeys, _>(Method::GET, "/v1/signing-keys", &it)
        .route::<RotateSigningKeys, _>(Method::POST, "/v1/signing-keys/rotate", &it)
        .route::<RotateTenantKeys, _>(Method::POST, "/v1/tenants/{tenant}/signing-keys/rotate", &it)
        .route::<CreateApiKey, _>(Method::POST, "/v1/api-keys", &it)
        .route::<ListApiKeys, _>(Method::GET, "/v1/api-keys", &it)
        .route::<RevokeApiKey, _>(Method::DELETE, "/v1/api-keys/{key}", &it)
        .internal::<Authenticate, _>(&it)
        .internal::<AuthenticateOperator, _>(&it)
        .on("provision", move |event: TenantProvisioned, cx| {
            let it = Arc::clone(&provisioned);
            async move { it.provisioned(event, cx).await }
        })
        .on("forget_consents", move |event: ClientDeleted, cx| {
            let it = Arc::clone(&forgotten);
            async move { it.forget_consents(event.client, &cx).await }
        })
        .timer_in(TimeDomain::Real, SigningKeys::KIND, move |fired, cx| {
            let it = Arc::clone(&rotated);
            async move { it.rotation_due(fired, cx).await }
        });
    let tenant = (ScopeKind::Tenant, permissions::SIGN_IN);
    let platform = (ScopeKind::Platform, permissions::SIGN_IN);
    let claim = (ScopeKind::Platform, permissions::CLAIM);
    let get = |path| (Method::GET, path);
    let post = |path| (Method::POST, path);
    protocol::mount(Table(context, it))
        .at(get("/sign-in"), "identity.pages.sign_in", "The sign-in page", tenant, Identity::sign_in_form)
        .at(post("/sign-in"), "identity.pages.signed_in", "Signs in", tenant, Identity::sign_in)
        .at(post("/sign-out"), "identity.pages.sign_out", "Signs out", tenant, Identity::sign_out)
        .at(get("/welcome"), "identity.pages.welcome", "The page of a mailed link", tenant, Identity::welcome_form)
        .at(post("/welcome"), "identity.pages.welcomed", "Chooses a password", tenant, Identity::welcome)
        .at(get("/recover"), "identity.pages.recover", "Asks for a new password", tenant, Identity::recover_form)
        .at(post("/recover"), "identity.pages.recovered", "Mails a link", tenant, Identity::recover)
        .at(get("/claim"), "identity.pages.claim", "The page of the claim link", claim, Identity::claim_form)
        .at(post("/claim"), "identity.pages.claimed", "Makes the first operator", claim, Identity::claim)
        .at(
            get("/operator/sign-in"),
            "identity.pages.operator",
            "The operators' sign-in page",
            platform,
            Identity::operator_form,
        )
        .at(
            post("/operator/sign-in"),
            "identity.pages.operator_signed_in",
            "Signs an operator in",
            platform,
            Identity::operator_sign_in,
        )
        .0
}
