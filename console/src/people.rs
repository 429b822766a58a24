//! The people of a tenant.

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use bytes::Bytes;
use http::Request;
use kernel::{Caller, Cx, Problem};
use serde_json::{Map, Value, json};

use crate::{
    Console,
    answers::{
        Answer, Sent, flag, form, get, holds, html, instant, is_told, items, next_page, query, redirect, text, texts,
    },
    frame::Frame,
    home::Happened,
};

/// How many are on a page: roles are read for each.
const PAGE: u32 = 20;

/// A person, as a row.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) deactivated: bool,
    pub(crate) roles: Vec<String>,
}

#[derive(Template)]
#[template(path = "people.html")]
struct All {
    frame: Frame,
    seats: String,
    invites: bool,
    makes_admins: bool,
    search: String,
    status: String,
    people: Vec<Row>,
    next: String,
    /// Who was invited and has not come: id, name, address, until when.
    invited: Vec<[String; 4]>,
    activity: Option<Vec<Happened>>,
}

impl Console {
    /// A person with their roles, where the caller may see those.
    pub(crate) async fn row(&self, it: &Value, cx: &Cx) -> Result<Row, Problem> {
        let roles = self.see("identity.roles.read", json!({ "user": text(it, "id") }), cx).await?;
        Ok(Row {
            id: text(it, "id"),
            name: text(it, "name"),
            email: text(it, "email"),
            deactivated: flag(it, "deactivated"),
            roles: roles.map(|it| texts(&it, "roles")).unwrap_or_default(),
        })
    }

    pub(crate) async fn people(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        if !matches!(cx.caller(), Caller::User { .. }) {
            return redirect("/sign-in?return_to=/people");
        }
        self.people_page(&query(&request), None, &cx).await
    }

    async fn people_page(&self, sent: &Sent, refused: Option<&Problem>, cx: &Cx) -> Answer {
        let mut asked = Map::from_iter([("limit".to_owned(), json!(PAGE)), ("order".to_owned(), json!("newest"))]);
        for name in ["search", "status", "after"] {
            if !get(sent, name).is_empty() {
                asked.insert(name.to_owned(), json!(get(sent, name)));
            }
        }
        let listed = self.calls.ask("users.list", Value::Object(asked), cx).await?;
        let people = futures::future::try_join_all(items(&listed).iter().map(|it| self.row(it, cx))).await?;
        let zone = self.zone(cx).await?;
        let activity = if holds(cx, "users.activity.read") {
            self.see("users.activity.list", json!({ "limit": 15 }), cx).await?
        } else {
            None
        };
        let invited = self.see("identity.invitations.list", json!({}), cx).await?;
        let waits =
            |it: &Value| [text(it, "user"), text(it, "name"), text(it, "email"), instant(&text(it, "ends"), &zone)];
        let names: HashMap<&str, &str> = people.iter().map(|it| (it.id.as_str(), it.name.as_str())).collect();
        let happened = |it: &Value| {
            let mut it = Happened::of(it, &zone);
            it.who = (*names.get(it.person.as_str()).unwrap_or(&"A colleague")).to_owned();
            it
        };
        let activity = activity.map(|it| items(&it).iter().map(happened).collect());
        let (search, status) = (get(sent, "search").to_owned(), get(sent, "status").to_owned());
        let page = All {
            frame: self.frame("/people", sent, refused, cx).await?,
            seats: self.seats(cx).await?,
            invites: holds(cx, "identity.user.invite"),
            makes_admins: holds(cx, "identity.role.update"),
            next: next_page("/people", &listed, &[("search", &search), ("status", &status)]),
            search,
            status,
            people,
            invited: invited.iter().flat_map(items).map(waits).collect(),
            activity,
        };
        html(&page, refused)
    }

    pub(crate) async fn invite(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let sent = form(&request);
        let input = json!({ "email": get(&sent, "email"), "name": get(&sent, "name"), "role": get(&sent, "role") });
        match self.calls.ask("identity.invite", input, &cx).await {
            Ok(_) => redirect("/people?said=invited"),
            Err(problem) if is_told(&problem) => self.people_page(&Sent::new(), Some(&problem), &cx).await,
            Err(problem) => Err(problem),
        }
    }
}
