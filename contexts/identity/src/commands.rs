//! What people change about programs, through use cases; and what all of this context needs.

use kernel::{Granted, Handle, Problem, text::DisplayName, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Identity,
    client::{Client, redirect_uri},
    permissions as may,
    realm::Realm,
};

/// Nothing but that it was done.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Done {}

impl Identity {
    pub(crate) async fn realm(&self, cx: &kernel::Cx) -> Result<store::Loaded<Realm>, Problem> {
        self.store.at(cx).load::<Realm>(&Realm::ID.to_owned()).await
    }
}

/// Registers a program that people sign in to by OpenID Connect (public, with PKCE).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterClient {
    /// What people see it called.
    name: DisplayName,
    /// Where it may be called back, exactly.
    #[schemars(length(min = 1, max = 10))]
    redirect_uris: Vec<String>,
}

/// A registered program.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ClientView {
    /// Its id.
    client_id: kernel::ClientId,
    /// Its name.
    name: DisplayName,
    /// Where it may be called back.
    redirect_uris: Vec<String>,
}

use_case!(RegisterClient => ClientView, "identity.clients.register", Tenant, may::CLIENT_UPDATE);

impl Handle<RegisterClient> for Identity {
    async fn handle(&self, it: RegisterClient, cx: Granted<RegisterClient>) -> Result<ClientView, Problem> {
        if !(1..=10).contains(&it.redirect_uris.len()) {
            return Err(Problem::invalid_field("/redirect_uris", "expected 1 to 10 addresses"));
        }
        it.redirect_uris.iter().try_for_each(|uri| redirect_uri(uri))?;
        let client = Client { id: cx.new_id(), name: it.name, redirect_uris: it.redirect_uris };
        let it = self.store.at(&cx).create(client, ()).await?.into_inner();
        Ok(ClientView { client_id: it.id, name: it.name, redirect_uris: it.redirect_uris })
    }
}
