//! Who a credential belongs to, and what it is good for. What is answered is used for up to a second.

use access::PREFIX;
use accounts::{
    operator::Operator,
    session::{OperatorSession, OperatorSessionId, Session},
    user::User,
};
use contracts::identity::{Authenticate, AuthenticateOperator, Principal};
use kernel::{Caller, DefaultRole, Granted, Handle, Problem, SessionId};
use proofs::secret::{parts, refused};

use crate::Identity;

impl Handle<Authenticate> for Identity {
    async fn handle(&self, it: Authenticate, cx: Granted<Authenticate>) -> Result<Principal, Problem> {
        if it.credential.starts_with(PREFIX) {
            return self.access.by_api_key(&it.credential, &cx).await;
        }
        if let Some(principal) = self.federation.by_token(&it.credential, &cx).await? {
            return Ok(principal);
        }
        let store = self.store.at(&cx);
        let (id, secret) = parts::<SessionId>(&it.credential, "").ok_or_else(refused)?;
        let session = store.try_load::<Session>(&id).await?.filter(|session| session.matches(secret));
        let session = session.ok_or_else(refused)?;
        let user = store.try_load::<User>(&session.user).await?.filter(|user| user.honours(session.epoch));
        let user = user.ok_or_else(refused)?;
        let caller = Caller::User { id: user.id, session: Some(session.id) };
        Ok(Principal { caller, grants: self.access.grants_of(&user, &cx).await?, expires: session.ends })
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
        if !self.accounts.installation(&cx).await?.has(operator.id) {
            return Err(refused());
        }
        let caller = Caller::Operator { id: operator.id };
        Ok(Principal { caller, grants: self.catalogue.grants(DefaultRole::Operator), expires: session.ends })
    }
}
