//! Who an access token belongs to, and what it is good for.

use accounts::{session::Session, user::User};
use contracts::identity::Principal;
use kernel::{Caller, Cx, Problem, SessionId, Timestamp};
use proofs::secret::refused;
use serde::Deserialize;
use signing::jose::Unverified;

use crate::{
    Federation,
    client::{Client, Party},
    consent::{Consent, ConsentId},
    grant::Grant,
    protocol::{ACCESS_TYPE, Claims},
    scope::{OFFLINE, Scopes},
    token::is_access,
};

/// What a grant is good for at this moment.
pub(crate) struct Live {
    pub(crate) user: User,
    pub(crate) client: Client,
    pub(crate) scopes: Scopes,
    /// The session that it ends with, unless it goes on without.
    pub(crate) session: Option<SessionId>,
}

impl Federation {
    /// What a grant is good for, if all that it came from is still there: the person as of then, the program, the session
    /// (unless it was to go on without), and the person's consent.
    pub(crate) async fn live(&self, grant: &Grant, cx: &Cx) -> Result<Option<Live>, Problem> {
        let store = self.store.at(cx);
        let user = store.try_load::<User>(&grant.user).await?.filter(|user| user.honours(grant.epoch));
        let Some(user) = user else { return Ok(None) };
        let client = store.try_load::<Client>(&grant.asked.client).await?.filter(|client| client.enabled);
        let Some(client) = client else { return Ok(None) };
        let mut scopes = grant.asked.scopes.within(&client.scopes);
        if client.party == Party::Third {
            let of = ConsentId { user: user.id, client: client.id };
            let Some(consent) = store.try_load::<Consent>(&of).await? else { return Ok(None) };
            scopes = scopes.within(&consent.scopes);
        }
        let session = Some(grant.session).filter(|_| !scopes.has(OFFLINE));
        if let Some(session) = &session
            && store.try_load::<Session>(session).await?.is_none()
        {
            return Ok(None);
        }
        let (user, client) = (user.into_inner(), client.into_inner());
        Ok(Some(Live { user, client, scopes, session }).filter(|live| !live.scopes.is_empty()))
    }

    async fn by_access_token(&self, text: &str, cx: &Cx) -> Result<Principal, Problem> {
        let token = self.mint(cx).await?.read(text).ok_or_else(refused)?;
        let grant = self.store.at(cx).try_load::<Grant>(&token.grant).await?.ok_or_else(refused)?;
        let expires = grant.honours(token, cx.real_now()).ok_or_else(refused)?;
        let live = self.live(&grant, cx).await?.ok_or_else(refused)?;
        let grants = self.access.grants_of(&live.user, cx).await?.narrowed(|permission| live.scopes.permit(permission));
        Ok(Principal { caller: Caller::User { id: live.user.id, session: live.session }, grants, expires })
    }

    /// What a program's own token says, if it is ours and not over. Whether the program still has what it was given for is
    /// for the asker to see.
    pub(crate) async fn program_token(&self, text: &str, cx: &Cx) -> Result<Option<Claims>, Problem> {
        let Some(claims) = self.signing.own_claims(text, ACCESS_TYPE, cx).await? else { return Ok(None) };
        let claims = Claims::deserialize(claims.as_ref()).map_err(Problem::internal)?;
        let now = cx.real_now().as_second();
        Ok(Some(claims).filter(|claims| claims.aud == claims.iss && claims.exp > now))
    }

    async fn by_program_token(&self, text: &str, cx: &Cx) -> Result<Principal, Problem> {
        let claims = self.program_token(text, cx).await?.ok_or_else(refused)?;
        // From the store: what this answers is used again for most of the second within which a change is in force.
        let client = self.store.at(cx).try_load::<Client>(&claims.client_id).await?;
        let client = client.filter(|client| client.accepts(&claims.via, cx.real_now())).ok_or_else(refused)?;
        let scopes = Scopes::parse(&claims.scope);
        let given = |name: &str| scopes.has(name) && client.permissions.iter().any(|held| held == name);
        let grants = self.access.owner_grants().await?.narrowed(given);
        let expires = Timestamp::from_second(claims.exp).map_err(Problem::internal)?;
        Ok(Principal { caller: Caller::Client { id: claims.client_id }, grants, expires })
    }

    /// Whose an access token is; nothing where a credential has not the form of one.
    pub async fn by_token(&self, credential: &str, cx: &Cx) -> Result<Option<Principal>, Problem> {
        if is_access(credential) {
            return self.by_access_token(credential, cx).await.map(Some);
        }
        if Unverified::is_one(credential) {
            return self.by_program_token(credential, cx).await.map(Some);
        }
        Ok(None)
    }
}
