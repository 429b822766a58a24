//! Keeps the entries of activity, and tells them.

use kernel::{Cx, Envelope, Granted, Handle, List, Problem, ProblemKind, Timestamp, UserId, use_case};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Page;

use crate::{
    Users,
    activity::{ActivityEntry, KEPT, LASTS},
    permissions as may,
    profile::UserProfile,
};

/// Something that a person did, or that happened to them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ActivityView {
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: Timestamp,
    /// Whose activity it is.
    person: UserId,
    /// What it was, in words that follow the person's name.
    what: String,
    /// Who did it: the id of a person or key, `visitor` before anyone signed in, or a service.
    by: String,
}

impl From<&ActivityEntry> for ActivityView {
    fn from(it: &ActivityEntry) -> Self {
        Self { at: it.at, person: it.person, what: it.words(), by: it.by.clone() }
    }
}

/// What the caller did and what happened to them, the newest first: at least the last 500 things of the last 400 days.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListMyActivity {
    /// Go on after this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// At most so many, up to 200; 50 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListMyActivity => List<ActivityView>, "users.activity.mine", Tenant, may::ACTIVITY_READ, Tell);

impl Handle<ListMyActivity> for Users {
    async fn handle(&self, it: ListMyActivity, cx: Granted<ListMyActivity>) -> Result<List<ActivityView>, Problem> {
        let user = cx.user()?.to_string();
        self.activity(("person", &user), page(it.after, it.limit), &cx).await
    }
}

/// What a person did and what happened to them, the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListUserActivity {
    /// Who.
    user: UserId,
    /// Go on after this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// At most so many, up to 200; 50 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(
    ListUserActivity => List<ActivityView>, "users.activity.of", Tenant, may::ACTIVITY_READ, Tell, |it| it.user.into()
);

impl Handle<ListUserActivity> for Users {
    async fn handle(&self, it: ListUserActivity, cx: Granted<ListUserActivity>) -> Result<List<ActivityView>, Problem> {
        cx.permit_owner(Some(it.user))?;
        self.store.at(&cx).load::<UserProfile>(&it.user).await?;
        self.activity(("person", &it.user.to_string()), page(it.after, it.limit), &cx).await
    }
}

/// What the people of the tenant did, the newest first; for whoever sees only themselves, their own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListActivity {
    /// Go on after this cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// At most so many, up to 200; 50 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

use_case!(ListActivity => List<ActivityView>, "users.activity.list", Tenant, may::ACTIVITY_READ, Tell);

impl Handle<ListActivity> for Users {
    async fn handle(&self, it: ListActivity, cx: Granted<ListActivity>) -> Result<List<ActivityView>, Problem> {
        let page = page(it.after, it.limit);
        match cx.only_of()? {
            Some(only) => self.activity(("person", &only.to_string()), page, &cx).await,
            None => self.activity(("all", ""), page, &cx).await,
        }
    }
}

fn page(after: Option<String>, limit: Option<u32>) -> Page {
    Page { after, limit: limit.map_or(0, |limit| limit as usize), newest_first: true }
}

impl Users {
    async fn activity(&self, term: (&str, &str), page: Page, cx: &Cx) -> Result<List<ActivityView>, Problem> {
        let now = cx.now();
        let listed = self.store.at(cx).list::<ActivityEntry>(term.0, term.1, &page).await?;
        let fresh = listed.items.iter().filter(|entry| entry.at + LASTS > now);
        Ok(List { items: fresh.map(|entry| (&**entry).into()).collect(), next: listed.next })
    }

    /// Keeps what is told of an event. An event that comes again finds its entries there.
    pub(crate) async fn note(&self, event: Envelope, cx: Cx) -> Result<(), Problem> {
        if event.time + LASTS <= cx.now() {
            return Ok(());
        }
        let store = self.store.at(&cx);
        for entry in ActivityEntry::of(&event) {
            let (person, trims) = (entry.person, entry.trims());
            match store.create(entry, ()).await {
                // Told already, or the person was erased.
                Err(known) if matches!(known.kind(), ProblemKind::Conflict | ProblemKind::Gone) => {}
                outcome => drop(outcome?),
            }
            if trims {
                self.trim(person, &cx).await?;
            }
        }
        Ok(())
    }

    /// Removes the oldest entries of a person, beyond those that are kept.
    async fn trim(&self, person: UserId, cx: &Cx) -> Result<(), Problem> {
        let (store, person) = (self.store.at(cx), person.to_string());
        let mut page = Page { limit: 200, newest_first: true, ..Page::default() };
        let mut seen = 0;
        loop {
            let listed = store.list::<ActivityEntry>("person", &person, &page).await?;
            for entry in listed.items {
                seen += 1;
                if seen > KEPT {
                    match store.delete(entry, ()).await {
                        Err(gone) if gone.kind() == ProblemKind::Conflict => {}
                        outcome => outcome?,
                    }
                }
            }
            let Some(next) = listed.next else { return Ok(()) };
            page.after = Some(next);
        }
    }
}
