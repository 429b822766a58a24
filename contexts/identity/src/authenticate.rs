//! Who a credential belongs to. What is answered is used for up to a second.

use contracts::identity::{Authenticate, AuthenticateOperator, Principal};
use kernel::{Caller, DefaultRole, Granted, Handle, Problem, ProblemKind, SessionId};

use crate::{
    Identity,
    api_key::PREFIX,
    client::{Grant, GrantId, parts},
    operator::Operator,
    session::{OperatorSession, OperatorSessionId, Session},
    user::User,
};

pub(crate) fn refused() -> Problem {
    Problem::new(ProblemKind::Unauthenticated, "credential_refused", "this credential is not valid, or not any more")
        .hint("sign in again, or use another key")
}

impl Handle<Authenticate> for Identity {
    async fn handle(&self, it: Authenticate, cx: Granted<Authenticate>) -> Result<Principal, Problem> {
        if it.credential.starts_with(PREFIX) {
            return self.by_api_key(&it.credential, &cx).await;
        }
        let store = self.store.at(&cx);
        let (user, epoch, session, expires) = if let Some((id, secret)) = parts::<GrantId>(&it.credential, "fha_") {
            let grant = store.try_load::<Grant>(&id).await?.ok_or_else(refused)?;
            let expires = grant.accepts(secret, cx.now()).ok_or_else(refused)?;
            (grant.user, grant.epoch, grant.session, expires)
        } else {
            let (id, secret) = parts::<SessionId>(&it.credential, "").ok_or_else(refused)?;
            let session = store.try_load::<Session>(&id).await?.filter(|session| session.matches(secret));
            let session = session.ok_or_else(refused)?;
            (session.user, session.epoch, id, session.ends)
        };
        let user = store.try_load::<User>(&user).await?.filter(|user| user.honours(epoch));
        let user = user.ok_or_else(refused)?;
        let roles = [&[DefaultRole::Person], user.roles.as_slice()].concat();
        let caller = Caller::User { id: user.id, session: Some(session) };
        Ok(Principal { caller, grants: self.catalogue.grants(&roles), expires })
    }
}

impl Handle<AuthenticateOperator> for Identity {
    async fn handle(&self, it: AuthenticateOperator, cx: Granted<AuthenticateOperator>) -> Result<Principal, Problem> {
        let store = self.store.at(&cx);
        let (id, secret) = parts::<OperatorSessionId>(&it.credential, "").ok_or_else(refused)?;
        let session = store.try_load::<OperatorSession>(&id).await?.filter(|session| session.matches(secret));
        let session = session.ok_or_else(refused)?;
        let operator = store.try_load::<Operator>(&session.operator).await?.ok_or_else(refused)?;
        let caller = Caller::Operator { id: operator.id };
        Ok(Principal { caller, grants: self.catalogue.grants(&[DefaultRole::Operator]), expires: session.ends })
    }
}
