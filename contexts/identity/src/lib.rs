//! Identity: who people are, and how they show it.
//!
//! A **user** is a person of one tenant. A **link** that is mailed shows that the address is theirs and lets them choose a
//! password. A **session** is a browser that is signed in; a **grant** is what a program holds of a person. A **realm** is what
//! signing in needs to know of the tenant: its origin, which never changes, and its key. An **operator** runs the installation.

mod access;
mod api_key;
mod attempts;
mod authenticate;
mod client;
mod commands;
mod factor;
mod http_forms;
mod invitations;
mod link;
mod me;
mod oidc;
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
mod realm;
mod role;
mod role_commands;
mod roster;
mod secret;
mod session;
mod sign_in;
mod user;

use std::{future::Future, sync::Arc};

use api_key::{CreateApiKey, ListApiKeys, RevokeApiKey};
use bytes::Bytes;
use commands::RegisterClient;
use contracts::{
    identity::{Authenticate, AuthenticateOperator, LinkPurpose},
    tenants::{ConfirmProvisioned, ReserveSeat, TenantProvisioned},
};
use http::{Method, Request, Response};
use kernel::{
    AnyEvent, Calls, Catalogue, Context, Cx, Endpoint, Permission, PermissionDecl, Problem, ScopeKind, context::Body,
};
use store::Store;

use password::Passwords;
use realm::Realm;
use roster::{Owners, Roster};
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
            let realm = Realm::new(event.tenant, company, self.settings.origin(slug.as_str()))?;
            store.create(realm, ()).await?;
        }
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

struct Table(Context, Arc<Identity>);

impl Table {
    fn at<F, R>(
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
        let html = !path.starts_with("/oauth") && !path.starts_with("/.well-known");
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
    let declared = access::Declared::default();
    let it = Arc::new(Identity { store, calls, catalogue, passwords, settings, platform, declared });
    let provisioned = Arc::clone(&it);
    let context = Context::new("identity", PERMISSIONS)
        .about("Who people are, and how they show it: sign-in, sessions, roles, OpenID Connect, API keys.")
        .route::<RegisterClient, _>(Method::POST, "/v1/clients", &it)
        .route::<CreateApiKey, _>(Method::POST, "/v1/api-keys", &it)
        .route::<ListApiKeys, _>(Method::GET, "/v1/api-keys", &it)
        .route::<RevokeApiKey, _>(Method::DELETE, "/v1/api-keys/{key}", &it)
        .internal::<Authenticate, _>(&it)
        .internal::<AuthenticateOperator, _>(&it)
        .on("provision", move |event: TenantProvisioned, cx| {
            let it = Arc::clone(&provisioned);
            async move { it.provisioned(event, cx).await }
        });
    let context = people::table(context, &it);
    let tenant = (ScopeKind::Tenant, permissions::SIGN_IN);
    let own = (ScopeKind::Tenant, permissions::OWN);
    let get = |path| (Method::GET, path);
    let post = |path| (Method::POST, path);
    people::pages(Table(context, it))
        .at(
            get("/.well-known/openid-configuration"),
            "identity.oidc.discovery",
            "Describes the OpenID provider",
            tenant,
            Identity::discovery,
        )
        .at(get("/oauth/jwks"), "identity.oidc.jwks", "The keys that sign", tenant, Identity::jwks)
        .at(
            get("/oauth/authorize"),
            "identity.oidc.authorize",
            "Begins a sign-in for a program",
            tenant,
            Identity::authorize,
        )
        .at(
            post("/oauth/token"),
            "identity.oidc.token",
            "Gives tokens for a code or a refresh token",
            tenant,
            Identity::token,
        )
        .at(
            get("/oauth/userinfo"),
            "identity.oidc.userinfo",
            "Tells who the token's person is",
            own,
            Identity::userinfo,
        )
        .at(post("/oauth/revoke"), "identity.oidc.revoke", "Ends what came of a grant", tenant, Identity::revoke)
        .0
}
