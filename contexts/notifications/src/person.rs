//! Where the tenant's people are reached, as identity told; what is told of them and erased with them.

use contracts::{
    identity::{EmailChanged, InvitationRevoked, UserRegistered},
    notifications::ExportPerson,
    tenants::TenantProvisioned,
    users::{ConfirmErasure, PersonData, UserErasureRequested},
};
use kernel::{
    Aggregate, Cx, Granted, Handle, Problem, ScopeKind, UserId,
    text::{DisplayName, EmailAddress},
};
use serde::{Deserialize, Serialize};
use store::{Loaded, Page};

use crate::{
    Notifications,
    notification::{Notification, queries::NotificationView},
    preference::Preference,
    settings::Settings,
};

/// A person of the tenant, as far as it takes to tell them something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Person {
    user: UserId,
    pub(crate) email: EmailAddress,
    pub(crate) name: DisplayName,
    pub(crate) deactivated: bool,
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

impl Notifications {
    pub(crate) async fn person(&self, cx: &Cx, user: UserId) -> Result<Option<Person>, Problem> {
        Ok(self.store.at(cx).try_load::<Person>(&user).await?.map(Loaded::into_inner))
    }

    pub(crate) async fn registered(&self, event: UserRegistered, cx: Cx) -> Result<(), Problem> {
        let (Some(email), Some(name)) = (event.email.known(), event.name.known()) else { return Ok(()) };
        let (store, user) = (self.store.at(&cx), event.user);
        if store.try_load::<Person>(&user).await?.is_some() {
            return Ok(());
        }
        store.create(Person { user, email, name, deactivated: false }, ()).await.map(drop)
    }

    /// The person is reached at another address from now on.
    pub(crate) async fn moved(&self, event: EmailChanged, cx: Cx) -> Result<(), Problem> {
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
    pub(crate) async fn revoked(&self, event: InvitationRevoked, cx: Cx) -> Result<(), Problem> {
        let store = self.store.at(&cx);
        match store.try_load::<Person>(&event.user).await? {
            Some(person) => store.delete(person, ()).await,
            None => Ok(()),
        }
    }

    /// The person works here no more, or works here again.
    pub(crate) async fn standing(&self, user: UserId, deactivated: bool, cx: Cx) -> Result<(), Problem> {
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
    pub(crate) async fn provisioned(&self, event: TenantProvisioned, cx: Cx) -> Result<(), Problem> {
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
        self.known.forget_settings(cx.scope());
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

    /// A person is to be erased: what they were told, what they chose, where they are reached. Repeatable.
    pub(crate) async fn erase(&self, event: UserErasureRequested, cx: Cx) -> Result<(), Problem> {
        let (store, user) = (self.store.at(&cx), event.user);
        loop {
            let page = Page { limit: 200, ..Page::default() };
            let listed = store.list::<Notification>("of", &user.to_string(), &page).await?;
            if listed.items.is_empty() {
                break;
            }
            for it in listed.items {
                store.delete(it, ()).await?;
            }
        }
        if let Some(held) = store.try_load::<Preference>(&user).await? {
            store.delete(held, ()).await?;
        }
        if let Some(person) = store.try_load::<Person>(&user).await? {
            self.forget_address(&person.email, &cx).await?;
            store.delete(person, ()).await?;
        }
        self.calls.call(ConfirmErasure { user, context: "notifications".to_owned() }, &cx).await
    }
}

impl Handle<ExportPerson> for Notifications {
    async fn handle(&self, it: ExportPerson, cx: Granted<ExportPerson>) -> Result<PersonData, Problem> {
        cx.permit_owner(Some(it.user))?;
        let store = self.store.at(&cx);
        let (mut notifications, mut after) = (Vec::new(), None);
        loop {
            let page = Page { after, limit: 200, newest_first: false };
            let listed = store.list::<Notification>("of", &it.user.to_string(), &page).await?;
            for it in &listed.items {
                let mut told = serde_json::to_value(NotificationView::from(&**it)).map_err(Problem::internal)?;
                if let Some(fields) = told.as_object_mut().filter(|_| !it.draft.content.secret) {
                    fields.insert("text".to_owned(), it.draft.content.text.clone().into());
                }
                notifications.push(told);
            }
            after = listed.next;
            if after.is_none() {
                break;
            }
        }
        let preference = store.try_load::<Preference>(&it.user).await?.map(Loaded::into_inner);
        let person = store.try_load::<Person>(&it.user).await?.map(Loaded::into_inner);
        let json = |it: Result<serde_json::Value, serde_json::Error>| it.map_err(Problem::internal);
        Ok(PersonData::from([
            ("notifications".to_owned(), notifications.into()),
            ("preferences".to_owned(), json(serde_json::to_value(preference))?),
            ("reached_at".to_owned(), json(serde_json::to_value(person))?),
        ]))
    }
}
