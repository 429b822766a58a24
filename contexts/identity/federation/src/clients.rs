//! Registering programs, and looking after them.

use std::time::Duration;

use access::granting::may_give;
use accounts::{Done, permissions as may};
use kernel::{ClientId, Cx, Granted, Handle, List, Problem, Resource, Timestamp, text::DisplayName, use_case};
use proofs::secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signing::jose::{Algorithm, Jwk};
use store::Page;

use crate::{
    Federation,
    client::{Authentication, Client, Party, Registration},
    scope::{MOST, Scopes},
};

/// The beginning of every secret, by which leaked ones are recognised.
const PREFIX: &str = "fhs_";
/// The longest that a secret of before is good beside the new one.
const OVERLAP_HOURS: u32 = 30 * 24;

/// Registers a program: one that people sign in to by OpenID Connect, one that acts for itself, or both.
/// Takes a proof of the last 10 minutes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterClient {
    /// What people see it called.
    name: DisplayName,
    /// Where it may be called back, exactly; on 127.0.0.1 and [::1] at any port.
    #[serde(default)]
    #[schemars(length(max = 10))]
    redirect_uris: Vec<String>,
    /// Where people may go on after they signed out.
    #[serde(default)]
    #[schemars(length(max = 10))]
    post_logout_redirect_uris: Vec<String>,
    /// What it may ask people for: `openid`, `profile`, `email`, `offline_access`, and names of permissions.
    #[serde(default = "Scopes::usual")]
    scopes: Scopes,
    /// The permissions that it has for itself, each of which the caller holds without a condition.
    #[serde(default)]
    #[schemars(length(max = 50))]
    permissions: Vec<String>,
    /// How it shows that it is itself.
    #[serde(default)]
    token_endpoint_auth_method: Authentication,
    /// Its public keys, where it signs (`private_key_jwt`).
    #[serde(default)]
    #[schemars(length(max = 5))]
    jwks: Vec<Jwk>,
    /// How its ID tokens are signed.
    #[serde(default)]
    id_token_signed_response_alg: Algorithm,
    /// Whether it is the tenant's own: people are not asked whether they trust it.
    #[serde(default)]
    first_party: bool,
}

/// A registered program.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ClientView {
    /// Its id.
    client_id: ClientId,
    /// Its name.
    name: DisplayName,
    /// Where it may be called back.
    redirect_uris: Vec<String>,
    /// Where people may go on after they signed out.
    post_logout_redirect_uris: Vec<String>,
    /// What it may ask people for.
    scopes: Scopes,
    /// The permissions that it has for itself.
    permissions: Vec<String>,
    /// How it shows that it is itself.
    token_endpoint_auth_method: Authentication,
    /// Its public keys.
    jwks: Vec<Jwk>,
    /// How its ID tokens are signed.
    id_token_signed_response_alg: Algorithm,
    /// Whether it is the tenant's own.
    first_party: bool,
    /// Whether it is let in.
    enabled: bool,
    /// When it was registered.
    #[schemars(with = "String")]
    made: Timestamp,
    /// The secrets that are good now, without themselves.
    secrets: Vec<SecretView>,
    /// The secret, in the answer that makes it: keep it now, it cannot be shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
}

/// That there is a secret.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SecretView {
    /// Its number within the program.
    number: u32,
    /// When it was made.
    #[schemars(with = "String")]
    made: Timestamp,
    /// When it ends, if another has taken its place.
    #[schemars(with = "Option<String>")]
    ends: Option<Timestamp>,
}

impl From<Client> for ClientView {
    fn from(it: Client) -> Self {
        let about = it.registration;
        Self {
            client_id: it.id,
            name: about.name,
            redirect_uris: about.redirect_uris,
            post_logout_redirect_uris: about.post_logout_redirect_uris,
            scopes: about.scopes,
            permissions: about.permissions,
            token_endpoint_auth_method: it.authentication,
            jwks: about.keys,
            id_token_signed_response_alg: about.algorithm,
            first_party: about.party == Party::First,
            enabled: it.enabled,
            made: it.made,
            secrets: it
                .secrets
                .iter()
                .map(|secret| SecretView { number: secret.number, made: secret.made, ends: secret.ends })
                .collect(),
            client_secret: None,
        }
    }
}

impl Federation {
    /// A program is given no scope that there is not, and for itself nothing that the caller could not hand on.
    async fn check_rights(&self, scopes: &Scopes, permissions: &[String], cx: &Cx) -> Result<(), Problem> {
        if scopes.len() > MOST {
            return Err(Problem::invalid_field("/scopes", "expected at most 50 scopes"));
        }
        if let Some(unknown) = self.unknown_scope(scopes).await? {
            let unknown: String = unknown.chars().take(64).collect();
            return Err(Problem::invalid_field("/scopes", format!("{unknown} is no scope that a program can have")));
        }
        if permissions.len() > MOST {
            return Err(Problem::invalid_field("/permissions", "expected at most 50 names"));
        }
        match permissions.iter().position(|name| !may_give(cx, name)) {
            Some(place) => {
                Err(Problem::invalid_field(format!("/permissions/{place}"), "not a permission that you can hand on"))
            }
            None => Ok(()),
        }
    }
}

use_case!(RegisterClient => ClientView, "identity.clients.register", Tenant, may::CLIENT_UPDATE, Reveal);

impl Handle<RegisterClient> for Federation {
    async fn handle(&self, it: RegisterClient, cx: Granted<RegisterClient>) -> Result<ClientView, Problem> {
        self.accounts.freshly_proven(&cx).await?;
        self.check_rights(&it.scopes, &it.permissions, &cx).await?;
        let registration = Registration {
            name: it.name,
            redirect_uris: it.redirect_uris,
            post_logout_redirect_uris: it.post_logout_redirect_uris,
            scopes: it.scopes,
            permissions: it.permissions,
            party: it.first_party.into(),
            algorithm: it.id_token_signed_response_alg,
            keys: it.jwks,
        };
        let now = cx.real_now();
        let authentication = it.token_endpoint_auth_method;
        let (mut client, registered) = Client::register(cx.new_id(), registration, authentication, now)?;
        let secret = authentication.by_secret().then(|| format!("{PREFIX}{}", secret::fresh(&cx)));
        if let Some(secret) = &secret {
            client.add_secret(secret, Duration::ZERO, now)?;
        }
        self.signing.ready_to_sign(client.algorithm, &cx).await?;
        let client = self.store.at(&cx).create(client, registered).await?.into_inner();
        Ok(ClientView { client_secret: secret, ..client.into() })
    }
}

/// The programs of the tenant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListClients {
    /// Go on after this cursor.
    after: Option<String>,
}

use_case!(ListClients => List<ClientView>, "identity.clients.list", Tenant, may::CLIENT_UPDATE, Tell);

impl Handle<ListClients> for Federation {
    async fn handle(&self, it: ListClients, cx: Granted<ListClients>) -> Result<List<ClientView>, Problem> {
        let page = Page { after: it.after, ..Page::default() };
        let listed = self.store.at(&cx).list::<Client>("all", "", &page).await?;
        Ok(List { items: listed.items.into_iter().map(|it| it.into_inner().into()).collect(), next: listed.next })
    }
}

/// One program.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetClient {
    /// Which.
    client: ClientId,
}

use_case!(
    GetClient => ClientView, "identity.clients.get", Tenant, may::CLIENT_UPDATE, Tell,
    |it| Resource::one("client", it.client)
; version of Client);

impl Handle<GetClient> for Federation {
    async fn handle(&self, it: GetClient, cx: Granted<GetClient>) -> Result<ClientView, Problem> {
        Ok(self.store.at(&cx).load::<Client>(&it.client).await?.into_inner().into())
    }
}

/// Changes what is named of a program; all else stays. Within a second its tokens carry only what it may have now.
/// Takes a proof of the last 10 minutes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateClient {
    /// Which.
    client: ClientId,
    /// What people see it called.
    name: Option<DisplayName>,
    /// Where it may be called back, exactly; on 127.0.0.1 and [::1] at any port.
    #[schemars(length(max = 10))]
    redirect_uris: Option<Vec<String>>,
    /// Where people may go on after they signed out.
    #[schemars(length(max = 10))]
    post_logout_redirect_uris: Option<Vec<String>>,
    /// What it may ask people for.
    scopes: Option<Scopes>,
    /// The permissions that it has for itself, each of which the caller holds without a condition.
    #[schemars(length(max = 50))]
    permissions: Option<Vec<String>>,
    /// Its public keys, where it signs (`private_key_jwt`).
    #[schemars(length(max = 5))]
    jwks: Option<Vec<Jwk>>,
    /// How its ID tokens are signed.
    id_token_signed_response_alg: Option<Algorithm>,
    /// Whether it is the tenant's own: people are not asked whether they trust it.
    first_party: Option<bool>,
    /// Whether it is let in. While it is not, all that it holds is void.
    enabled: Option<bool>,
}

impl UpdateClient {
    fn onto(&self, of: &Registration) -> Registration {
        let of = of.clone();
        Registration {
            name: self.name.clone().unwrap_or(of.name),
            redirect_uris: self.redirect_uris.clone().unwrap_or(of.redirect_uris),
            post_logout_redirect_uris: self.post_logout_redirect_uris.clone().unwrap_or(of.post_logout_redirect_uris),
            scopes: self.scopes.clone().unwrap_or(of.scopes),
            permissions: self.permissions.clone().unwrap_or(of.permissions),
            party: self.first_party.map_or(of.party, Party::from),
            algorithm: self.id_token_signed_response_alg.unwrap_or(of.algorithm),
            keys: self.jwks.clone().unwrap_or(of.keys),
        }
    }
}

use_case!(
    UpdateClient => ClientView, "identity.clients.update", Tenant, may::CLIENT_UPDATE,
    |it| Resource::one("client", it.client)
; version of Client);

impl Handle<UpdateClient> for Federation {
    async fn handle(&self, it: UpdateClient, cx: Granted<UpdateClient>) -> Result<ClientView, Problem> {
        self.accounts.freshly_proven(&cx).await?;
        let scopes = it.scopes.clone().unwrap_or_default();
        self.check_rights(&scopes, it.permissions.as_deref().unwrap_or_default(), &cx).await?;
        if let Some(algorithm) = it.id_token_signed_response_alg {
            self.signing.ready_to_sign(algorithm, &cx).await?;
        }
        let update =
            |client: &mut Client| client.update(it.onto(&client.registration), it.enabled.unwrap_or(client.enabled));
        Ok(self.store.at(&cx).change(&it.client, update).await?.into_inner().into())
    }
}

/// Removes a program: within a second all that it holds is void, and people's consents to it are forgotten.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteClient {
    /// Which.
    client: ClientId,
}

use_case!(
    DeleteClient => Done, "identity.clients.delete", Tenant, may::CLIENT_UPDATE,
    |it| Resource::one("client", it.client)
; version of Client);

impl Handle<DeleteClient> for Federation {
    async fn handle(&self, it: DeleteClient, cx: Granted<DeleteClient>) -> Result<Done, Problem> {
        let client = self.store.at(&cx).load::<Client>(&it.client).await?;
        let deleted = client.delete();
        self.store.at(&cx).delete(client, deleted).await?;
        Ok(Done {})
    }
}

/// Gives a program a new secret, which is shown in this answer only. Takes a proof of the last
/// 10 minutes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateClientSecret {
    /// Which program.
    client: ClientId,
    /// For how many hours the secret of before is good beside it. 0 ends it at once.
    #[serde(default = "a_day")]
    #[schemars(range(max = 720))]
    overlap_hours: u32,
}

const fn a_day() -> u32 {
    24
}

use_case!(
    RotateClientSecret => ClientView, "identity.clients.rotate_secret", Tenant, may::CLIENT_UPDATE, Reveal,
    |it| Resource::one("client", it.client)
);

impl Handle<RotateClientSecret> for Federation {
    async fn handle(&self, it: RotateClientSecret, cx: Granted<RotateClientSecret>) -> Result<ClientView, Problem> {
        self.accounts.freshly_proven(&cx).await?;
        if it.overlap_hours > OVERLAP_HOURS {
            return Err(Problem::invalid_field("/overlap_hours", "expected 0 to 720"));
        }
        let (secret, now) = (format!("{PREFIX}{}", secret::fresh(&cx)), cx.real_now());
        let overlap = Duration::from_hours(u64::from(it.overlap_hours));
        let add = |client: &mut Client| client.add_secret(&secret, overlap, now);
        let client = self.store.at(&cx).change(&it.client, add).await?.into_inner();
        Ok(ClientView { client_secret: Some(secret), ..client.into() })
    }
}

/// Ends a secret at once: within a second what it gave out is void too.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeClientSecret {
    /// Which program.
    client: ClientId,
    /// The secret's number.
    number: u32,
}

use_case!(
    RevokeClientSecret => ClientView, "identity.clients.revoke_secret", Tenant, may::CLIENT_UPDATE,
    |it| Resource::one("client", it.client)
);

impl Handle<RevokeClientSecret> for Federation {
    async fn handle(&self, it: RevokeClientSecret, cx: Granted<RevokeClientSecret>) -> Result<ClientView, Problem> {
        let revoke = |client: &mut Client| client.revoke_secret(it.number);
        Ok(self.store.at(&cx).change(&it.client, revoke).await?.into_inner().into())
    }
}
