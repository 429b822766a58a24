//! Who a credential belongs to, and what it is good for. What is answered is used for up to a second.

use contracts::identity::{Authenticate, AuthenticateOperator, Principal};
use kernel::{Caller, Cx, DefaultRole, Granted, Handle, Problem, ProblemKind, SessionId, Timestamp};
use serde::Deserialize;

use crate::{
    Identity,
    api_key::PREFIX,
    client::{Client, Party},
    consent::{Consent, ConsentId},
    grant::Grant,
    jose::Unverified,
    operator::Operator,
    protocol::{ACCESS_TYPE, Claims},
    scope::{OFFLINE, Scopes},
    secret::parts,
    session::{OperatorSession, OperatorSessionId, Session},
    token::is_access,
    user::User,
};

pub(crate) fn refused() -> Problem {
    Problem::new(ProblemKind::Unauthenticated, "credential_refused", "this credential is not valid, or not any more")
        .hint("sign in again, or use another key")
}

/// What a grant is good for at this moment.
pub(crate) struct Live {
    pub(crate) user: User,
    pub(crate) client: Client,
    pub(crate) scopes: Scopes,
    /// The session that it ends with, unless it goes on without.
    pub(crate) session: Option<SessionId>,
}

impl Identity {
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
        let grants = self.grants_of(&live.user, cx).await?.narrowed(|permission| live.scopes.permit(permission));
        Ok(Principal { caller: Caller::User { id: live.user.id, session: live.session }, grants, expires })
    }

    /// What a program's own token says, if it is good now, and whose it is.
    pub(crate) async fn program_token(&self, text: &str, cx: &Cx) -> Result<Option<(Claims, Client)>, Problem> {
        let Some(claims) = self.own_claims(text, ACCESS_TYPE, cx).await? else { return Ok(None) };
        let claims = Claims::deserialize(claims.as_ref()).map_err(Problem::internal)?;
        let now = cx.real_now();
        if claims.aud != claims.iss || claims.exp <= now.as_second() {
            return Ok(None);
        }
        let client = self.store.at(cx).try_load::<Client>(&claims.client_id).await?;
        let client = client.filter(|client| client.accepts(&claims.via, now));
        Ok(client.map(|client| (claims, client.into_inner())))
    }

    async fn by_program_token(&self, text: &str, cx: &Cx) -> Result<Principal, Problem> {
        let (claims, client) = self.program_token(text, cx).await?.ok_or_else(refused)?;
        let scopes = Scopes::parse(&claims.scope);
        let given = |name: &str| scopes.has(name) && client.permissions.iter().any(|held| held == name);
        let grants = self.owner_grants().await?.narrowed(given);
        let expires = Timestamp::from_second(claims.exp).map_err(Problem::internal)?;
        Ok(Principal { caller: Caller::Client { id: claims.client_id }, grants, expires })
    }
}

impl Handle<Authenticate> for Identity {
    async fn handle(&self, it: Authenticate, cx: Granted<Authenticate>) -> Result<Principal, Problem> {
        if it.credential.starts_with(PREFIX) {
            return self.by_api_key(&it.credential, &cx).await;
        }
        if is_access(&it.credential) {
            return self.by_access_token(&it.credential, &cx).await;
        }
        if Unverified::is_one(&it.credential) {
            return self.by_program_token(&it.credential, &cx).await;
        }
        let store = self.store.at(&cx);
        let (id, secret) = parts::<SessionId>(&it.credential, "").ok_or_else(refused)?;
        let session = store.try_load::<Session>(&id).await?.filter(|session| session.matches(secret));
        let session = session.ok_or_else(refused)?;
        let user = store.try_load::<User>(&session.user).await?.filter(|user| user.honours(session.epoch));
        let user = user.ok_or_else(refused)?;
        let caller = Caller::User { id: user.id, session: Some(session.id) };
        Ok(Principal { caller, grants: self.grants_of(&user, &cx).await?, expires: session.ends })
    }
}

impl Handle<AuthenticateOperator> for Identity {
    async fn handle(&self, it: AuthenticateOperator, cx: Granted<AuthenticateOperator>) -> Result<Principal, Problem> {
        let store = self.store.at(&cx);
        let (id, secret) = parts::<OperatorSessionId>(&it.credential, "").ok_or_else(refused)?;
        let session = store.try_load::<OperatorSession>(&id).await?.filter(|session| session.matches(secret));
        let session = session.ok_or_else(refused)?;
        let operator = store.try_load::<Operator>(&session.operator).await?;
        let operator = operator.filter(|it| it.proofs.epoch == session.epoch).ok_or_else(refused)?;
        if !self.installation(&cx).await?.has(operator.id) {
            return Err(refused());
        }
        let caller = Caller::Operator { id: operator.id };
        Ok(Principal { caller, grants: self.catalogue.grants(DefaultRole::Operator), expires: session.ends })
    }
}
