//! What is told of a person to themselves, and erased with them.

use contracts::{
    notifications::ExportPerson,
    users::{ConfirmErasure, PersonData, UserErasureRequested},
};
use kernel::{Cx, Granted, Handle, Problem};
use recipients::{person::Person, preference::Preference};
use store::{Loaded, Page};

use crate::{
    Notifications,
    notification::{Notification, queries::NotificationView},
};

impl Notifications {
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
            self.recipients.forget_address(&person.email, &cx).await?;
            store.delete(person, ()).await?;
        }
        self.calls.call(ConfirmErasure { user, context: "notifications".to_owned() }, &cx).await
    }
}

impl Handle<ExportPerson> for Notifications {
    async fn handle(&self, it: ExportPerson, cx: Granted<ExportPerson>) -> Result<PersonData, Problem> {
        cx.permit_owner(Some(it.user))?;
        let store = self.store.at(&cx);
        let mut notifications = Vec::new();
        let tell = |it: Loaded<Notification>| {
            let mut told = serde_json::to_value(NotificationView::from(&*it)).map_err(Problem::internal)?;
            if let Some(fields) = told.as_object_mut().filter(|_| !it.draft.content.secret) {
                fields.insert("text".to_owned(), it.draft.content.text.clone().into());
            }
            notifications.push(told);
            Ok(())
        };
        store.each(("of", &it.user.to_string()), 200, tell).await?;
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
