//! What becomes of a person: deactivated, brought back, exported, erased.

use access::ApiKey;
use accounts::{
    permissions as may,
    roster::{Owners, last_owner},
    session::Session,
    user::{Standing, User},
};
use contracts::{
    identity::CloseAccess,
    users::{ConfirmErasure, EXPORT, PersonData, UserDeactivated, UserErasureRequested, UserReactivated},
};
use federation::{consent::Consent, grant::Grant};
use kernel::{Aggregate, Caller, Cx, Granted, Handle, Problem, UserId, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Loaded, Page};

use crate::Identity;

impl Handle<CloseAccess> for Identity {
    async fn handle(&self, it: CloseAccess, cx: Granted<CloseAccess>) -> Result<(), Problem> {
        cx.permit_owner(Some(it.user))?;
        let itself = cx.caller().user() == Some(it.user) || matches!(cx.caller(), Caller::Service { .. });
        let owns = self.accounts.owners(&cx).await?.is_some_and(|owners| owners.0.has(it.user));
        // Otherwise an admin could be rid of the owners one by one.
        if owns && !itself && cx.grants().of(may::ROLES_UPDATE).is_none() {
            return Err(cx.refusal(may::ROLES_UPDATE.name()));
        }
        self.close(it.user, &cx).await
    }
}

impl Identity {
    /// The set of owners decides first, in one commit: of two who would both be the last, one stays.
    async fn close(&self, user: UserId, cx: &Cx) -> Result<(), Problem> {
        let store = self.store.at(cx);
        if self.accounts.owners(cx).await?.is_some_and(|owners| owners.0.has(user)) {
            let rest = |it: &mut Owners| it.0.rest(user).map_err(last_owner);
            store.change(&Owners::ID.to_owned(), rest).await?;
        }
        if store.try_load::<User>(&user).await?.is_some() {
            let close = |it: &mut User| {
                it.close();
                Ok(())
            };
            store.change(&user, close).await?;
        }
        self.end_all_of(user, cx).await
    }

    /// Clears away all credentials that a person has or made.
    async fn end_all_of(&self, user: UserId, cx: &Cx) -> Result<(), Problem> {
        self.accounts.end_all_sessions(user, cx).await?;
        self.delete_all::<Grant>("user", user, cx).await?;
        self.delete_all::<ApiKey>("maker", user, cx).await
    }

    async fn delete_all<A: Aggregate>(&self, index: &str, user: UserId, cx: &Cx) -> Result<(), Problem> {
        let store = self.store.at(cx);
        loop {
            let found = store.list::<A>(index, &user.to_string(), &Page::default()).await?.items;
            if found.is_empty() {
                return Ok(());
            }
            for one in found {
                store.delete(one, ()).await?;
            }
        }
    }

    pub(crate) async fn deactivated(&self, event: UserDeactivated, cx: Cx) -> Result<(), Problem> {
        self.close(event.user, &cx).await
    }

    pub(crate) async fn reactivated(&self, event: UserReactivated, cx: Cx) -> Result<(), Problem> {
        let store = self.store.at(&cx);
        if store.try_load::<User>(&event.user).await?.is_none() {
            return Ok(());
        }
        let reopen = |it: &mut User| {
            it.reopen();
            Ok(())
        };
        store.change(&event.user, reopen).await?;
        self.owner_came_in(event.user, &cx).await
    }

    /// Whoever owns the tenant and can act now is counted so.
    pub(crate) async fn owner_came_in(&self, user: UserId, cx: &Cx) -> Result<(), Problem> {
        if !self.accounts.owners(cx).await?.is_some_and(|owners| owners.0.has(user)) {
            return Ok(());
        }
        let active = |user: &User| user.standing == Standing::Active;
        if !self.store.at(cx).try_load::<User>(&user).await?.is_some_and(|user| active(&user)) {
            return Ok(());
        }
        let wake = |it: &mut Owners| {
            it.0.wake(user);
            Ok(())
        };
        self.store.at(cx).change(&Owners::ID.to_owned(), wake).await.map(drop)
    }

    pub(crate) async fn erased(&self, event: UserErasureRequested, cx: Cx) -> Result<(), Problem> {
        let (store, user) = (self.store.at(&cx), event.user);
        if self.accounts.owners(&cx).await?.is_some_and(|owners| owners.0.has(user)) {
            let remove = |it: &mut Owners| it.0.remove(user).map_err(last_owner);
            store.change(&Owners::ID.to_owned(), remove).await?;
        }
        self.end_all_of(user, &cx).await?;
        self.federation.withdraw_all("user", &user.to_string(), &cx).await?;
        if let Some(person) = store.try_load::<User>(&user).await? {
            store.delete(person, ()).await?;
        }
        self.calls.call(ConfirmErasure { user, context: "identity".to_owned() }, &cx).await
    }
}

/// All that is held of a person here; hashes and keys left out.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportPerson {
    /// Who.
    user: UserId,
}

use_case!(ExportPerson => PersonData, "identity.person.export", Tenant, EXPORT.permission, Tell, |it| it.user.into());

impl Handle<ExportPerson> for Identity {
    async fn handle(&self, it: ExportPerson, cx: Granted<ExportPerson>) -> Result<PersonData, Problem> {
        cx.permit_owner(Some(it.user))?;
        let user = self.store.at(&cx).load::<User>(&it.user).await?;
        let about = json!({
            "id": user.id,
            "email": user.email,
            "name": user.name,
            "standing": user.standing,
            "roles": self.access.roles_of(&user, &cx).await?,
            "second_factor": user.proofs.totp.needed(),
            "changing_to": user.moving.as_ref().map(|moving| &moving.to),
        });
        let session = |it: &Session| json!({ "id": it.id, "began": it.began, "ends": it.ends, "methods": it.methods });
        Ok(PersonData::from([
            ("account".to_owned(), about),
            ("sessions".to_owned(), self.told("user", it.user, session, &cx).await?),
            ("programs".to_owned(), self.told("user", it.user, Grant::told, &cx).await?),
            ("consents".to_owned(), self.told("user", it.user, Consent::told, &cx).await?),
            ("api_keys".to_owned(), self.told("maker", it.user, ApiKey::told, &cx).await?),
        ]))
    }
}

impl Identity {
    /// What all aggregates that carry the person in an index tell of themselves.
    async fn told<A: Aggregate>(
        &self,
        index: &str,
        user: UserId,
        tell: impl Fn(&A) -> Value + Send + Sync,
        cx: &Cx,
    ) -> Result<Value, Problem> {
        let mut all = Vec::new();
        let add = |it: Loaded<A>| {
            all.push(tell(&it));
            Ok(())
        };
        self.store.at(cx).each((index, &user.to_string()), 200, add).await?;
        Ok(all.into())
    }
}
