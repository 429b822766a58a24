//! Where the tenant's people are reached, as identity told.

use contracts::{
    identity::{EmailChanged, InvitationRevoked, UserRegistered},
    tenants::TenantProvisioned,
};
use kernel::{
    Aggregate, Cx, Problem, ScopeKind, UserId,
    text::{DisplayName, EmailAddress},
};
use serde::{Deserialize, Serialize};
use store::Loaded;

use crate::{Recipients, settings::Settings};

/// A person of the tenant, as far as it takes to tell them something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    user: UserId,
    /// Where they are reached.
    pub email: EmailAddress,
    /// What they are called.
    pub name: DisplayName,
    /// Whether they work here no more.
    pub deactivated: bool,
}

impl Aggregate for Person {
    type Id = UserId;
    const KIND: &'static str = "notifications.person";
    const SCOPE: ScopeKind = ScopeKind::Tenant;

    fn id(&self) -> UserId {
        self.user
    }

    fn subject(&self) -> Option<UserId> {
        Some(self.user)
    }
}

impl Recipients {
    /// What is known of a person.
    pub async fn person(&self, cx: &Cx, user: UserId) -> Result<Option<Person>, Problem> {
        Ok(self.store.at(cx).try_load::<Person>(&user).await?.map(Loaded::into_inner))
    }

    /// Somebody new is known.
    pub async fn registered(&self, event: UserRegistered, cx: Cx) -> Result<(), Problem> {
        let (Some(email), Some(name)) = (event.email.known(), event.name.known()) else { return Ok(()) };
        let (store, user) = (self.store.at(&cx), event.user);
        if store.try_load::<Person>(&user).await?.is_some() {
            return Ok(());
        }
        store.create(Person { user, email, name, deactivated: false }, ()).await.map(drop)
    }

    /// The person is reached at another address from now on.
    pub async fn moved(&self, event: EmailChanged, cx: Cx) -> Result<(), Problem> {
        let (Some(email), store) = (event.email.known(), self.store.at(&cx)) else { return Ok(()) };
        if store.try_load::<Person>(&event.user).await?.is_none() {
            return Ok(());
        }
        let rule = |it: &mut Person| {
            it.email.clone_from(&email);
            Ok(())
        };
        store.change(&event.user, rule).await.map(drop)
    }

    /// There never was such a person.
    pub async fn revoked(&self, event: InvitationRevoked, cx: Cx) -> Result<(), Problem> {
        let store = self.store.at(&cx);
        match store.try_load::<Person>(&event.user).await? {
            Some(person) => store.delete(person, ()).await,
            None => Ok(()),
        }
    }

    /// The person works here no more, or works here again.
    pub async fn standing(&self, user: UserId, deactivated: bool, cx: Cx) -> Result<(), Problem> {
        let store = self.store.at(&cx);
        if store.try_load::<Person>(&user).await?.is_none() {
            return Ok(());
        }
        let rule = |it: &mut Person| {
            it.deactivated = deactivated;
            Ok(())
        };
        store.change(&user, rule).await.map(drop)
    }

    /// A tenant exists: what it is called, and where its links lead.
    pub async fn provisioned(&self, event: TenantProvisioned, cx: Cx) -> Result<(), Problem> {
        let cx = cx.within(event.tenant)?;
        let (store, id) = (self.store.at(&cx), Settings::ID.to_owned());
        let tenant = event.name.known().zip(event.slug.known());
        if store.try_load::<Settings>(&id).await?.is_none() {
            store.create(Settings::new(tenant), ()).await?;
        } else {
            let rule = |it: &mut Settings| {
                it.tenant.clone_from(&tenant);
                Ok(())
            };
            store.change(&id, rule).await?;
        }
        self.known.forget(&cx.scope());
        Ok(())
    }

    pub(crate) async fn ensure_settings(&self, cx: &Cx) -> Result<(), Problem> {
        let store = self.store.at(cx);
        if store.try_load::<Settings>(&Settings::ID.to_owned()).await?.is_some() {
            return Ok(());
        }
        match store.create(Settings::new(None), ()).await {
            Err(problem) if problem.kind() == kernel::ProblemKind::Conflict => Ok(()),
            made => made.map(drop),
        }
    }
}
