//! Identity: who people are, and how they show it.
//!
//! A **user** is a person of one tenant. A **link** that is mailed shows that the address is theirs and lets them choose a
//! password. A **session** is a browser that is signed in; a **grant** is what a program holds of a person. A **realm** is what
//! signing in needs to know of the tenant: its origin, which never changes. An **operator** runs the installation.

mod access;
mod api_key;
mod attempts;
mod authenticate;
mod client;
mod clients;
mod commands;
mod consent;
mod device;
mod factor;
mod grant;
mod http_forms;
mod invitations;
mod jose;
mod link;
mod me;
mod operator;
mod operator_commands;
mod pace;
mod pages;
mod password;
mod people;
mod permission;
mod permission_commands;
mod permissions;
mod person;
mod proofs;
mod protocol;
mod realm;
mod role;
mod role_commands;
mod roster;
mod rotation;
mod scope;
mod secret;
mod session;
mod sign_in;
mod signing;
mod token;
mod turns;
mod user;

#[cfg(test)]
mod tests;

use std::{future::Future, sync::Arc};

use api_key::{CreateApiKey, ListApiKeys, RevokeApiKey};
use bytes::Bytes;
use clients::{
    DeleteClient, GetClient, ListClients, RegisterClient, RevokeClientSecret, RotateClientSecret, UpdateClient,
};
use consent::{ListConsents, WithdrawConsent};
use contracts::{
    identity::{Authenticate, AuthenticateOperator, LinkPurpose},
    oauth::ClientDeleted,
    tenants::{ConfirmProvisioned, ReserveSeat, TenantProvisioned},
};
use http::{Method, Request, Response};
use kernel::{
    Aggregate, AnyEvent, Calls, Catalogue, Context, Cx, Endpoint, Permission, PermissionDecl, Problem, ScopeKind,
    TimeDomain, context::Body,
};
use store::Store;

use password::Passwords;

pub use password::Hashing;
use protocol::Recent;
use realm::Realm;
use roster::{Owners, Roster};
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
    /// How passwords are hashed.
    pub hashing: Hashing,
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

    /// The origin of the installation itself.
    fn platform_origin(&self) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}", self.scheme, self.host)
    }
}

/// The context.
pub(crate) struct Identity {
    store: Store,
    calls: Calls,
    catalogue: Arc<Catalogue>,
    passwords: Passwords,
    recent: Recent,
    settings: Settings,
    /// This context in the platform's scope, for what is the same in all tenants.
    platform: Box<dyn Fn() -> Cx + Send + Sync>,
    declared: access::Declared,
}

/// The token of the link by which a new installation is claimed.
pub fn claim_token(store: &Store) -> String {
    data_encoding::HEXLOWER.encode(&store.keys().derived("identity/claim"))
}

/// Whether the installation has an operator.
pub async fn is_claimed(store: &Store, cx: &Cx) -> Result<bool, Problem> {
    Ok(store.at(cx).try_load::<roster::Claimed>(&roster::Claimed::ID.to_owned()).await?.is_some())
}

impl Identity {
    fn claim_token(&self) -> String {
        claim_token(&self.store)
    }

    /// A tenant is to be set up: its realm, and its owner with a link to come in by.
    async fn provisioned(&self, event: TenantProvisioned, cx: Cx) -> Result<(), Problem> {
        let tenant = event.tenant;
        self.set_up(event, &cx.within(tenant)?).await?;
        self.calls.call(ConfirmProvisioned { tenant, context: "identity".to_owned() }, &cx).await
    }

    async fn set_up(&self, event: TenantProvisioned, cx: &Cx) -> Result<(), Problem> {
        let (Some(email), Some(owner_name)) = (event.owner_email.known(), event.owner_name.known()) else {
            return Ok(());
        };
        let (Some(slug), Some(company)) = (event.slug.known(), event.name.known()) else { return Ok(()) };
        let store = self.store.at(cx);
        if store.try_load::<Realm>(&Realm::ID.to_owned()).await?.is_none() {
            let origin = self.settings.origin(slug.as_str());
            store.create(Realm { tenant: event.tenant, name: company, origin }, ()).await?;
        }
        self.signing_keys(cx).await?;
        if store.try_load::<Owners>(&Owners::ID.to_owned()).await?.is_none() {
            store.create(Owners(Roster::awaiting(event.owner)), ()).await?;
        }
        if store.try_load::<User>(&event.owner).await?.is_some() {
            return Ok(());
        }
        let until = cx.real_now() + link::LASTS;
        self.calls.call(ReserveSeat { user: event.owner, until: Some(until) }, cx).await?;
        let realm = self.realm(cx).await?;
        // Whoever signs up names any mailbox: it gets only so many mails. The link can be asked for later.
        let mails = self.keeps_pace(pace::Paced::Mailbox, email.as_str()).await?;
        let (user, registered) = User::invite(event.owner, (email, owner_name), Vec::new(), secret::fresh(cx), until);
        let link = link::make(&self.store, cx, &realm, &user, LinkPurpose::Verify).await?;
        let asked = mails.then(|| user.link(LinkPurpose::Verify, link).into());
        store.create(user, [registered.into()].into_iter().chain(asked).collect::<Vec<AnyEvent>>()).await.map(drop)
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
        let pages = ["/oauth/authorize", "/oauth/logout"];
        let html = pages.contains(&path) || (!path.starts_with("/oauth") && !path.starts_with("/.well-known"));
        let (it, serve) = (Arc::clone(&self.1), Arc::new(serve));
        let endpoint = Endpoint::new(name, summary, of.0, of.1, move |request: Request<Bytes>, cx: Cx| {
            let (it, serve) = (Arc::clone(&it), Arc::clone(&serve));
            let to_person = html && look::wants_pages(&request);
            async move {
                let answer = serve(Arc::clone(&it), request, cx.clone()).await;
                look::shown(answer, to_person, &it.calls, &cx).await
            }
        });
        let endpoint = if html { endpoint.produces("text/html") } else { endpoint };
        let form = method == Method::POST;
        let endpoint = if form { endpoint.accepts("application/x-www-form-urlencoded") } else { endpoint };
        Self(self.0.endpoint(method, path, endpoint), self.1)
    }
}

/// The context, with its table.
pub fn context(
    store: Store,
    calls: Calls,
    catalogue: Arc<Catalogue>,
    settings: Settings,
    platform: impl Fn() -> Cx + Send + Sync + 'static,
) -> Context {
    let (passwords, platform) = (Passwords::new(settings.hashing), Box::new(platform));
    let declared = access::declared();
    let recent = Recent::default();
    let it = Arc::new(Identity { store, calls, catalogue, passwords, recent, settings, platform, declared });
    let (forgotten, rotated) = (Arc::clone(&it), Arc::clone(&it));
    let provisioned = Arc::clone(&it);
    let context = Context::new("identity", PERMISSIONS)
        .about("Who people are, and how they show it: sign-in, sessions, roles, OpenID Connect, API keys.")
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
            async move { it.withdraw_all("client", &event.client.to_string(), &cx).await }
        })
        .timer_in(TimeDomain::Real, SigningKeys::KIND, move |fired, cx| {
            let it = Arc::clone(&rotated);
            async move { it.rotation_due(fired, cx).await }
        });
    protocol::mount(people::pages(Table(people::table(context, &it), it))).0
}
