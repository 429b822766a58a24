//! One person, for those who administer.

use std::sync::Arc;

use askama::Template;
use bytes::Bytes;
use http::Request;
use jiff::tz::TimeZone;
use kernel::{Caller, Cx, Problem};
use serde_json::{Value, json};

use crate::{
    Console,
    answers::{Answer, Sent, form, get, holds, html, instant, is_told, items, query, redirect, segment, text, texts},
    frame::Frame,
    home::Happened,
    people::Row,
};

/// What the caller may do here.
struct May {
    roles: bool,
    deactivate: bool,
    erase: bool,
}

#[derive(Template)]
#[template(path = "person.html")]
struct Person {
    frame: Frame,
    it: Row,
    facts: Vec<(String, String)>,
    may: May,
    choices: Vec<(String, bool)>,
    activity: Option<Vec<Happened>>,
    erasure: String,
}

/// What is known of a person beside name and address.
fn facts(profile: &Value) -> Vec<(String, String)> {
    let common = [("What they do here", "title"), ("Language", "locale"), ("Time zone", "time_zone")];
    let common = common.into_iter().map(|(label, field)| (label.to_owned(), text(profile, field)));
    let own = profile.get("fields").and_then(Value::as_object).into_iter().flatten();
    let own = own.map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    common.chain(own).filter(|(_, value)| !value.is_empty()).collect()
}

fn progress(erasure: &Value, zone: &TimeZone) -> String {
    let waiting = texts(erasure, "waiting").join(", ");
    match text(erasure, "stage").as_str() {
        "scheduled" => format!("Erased for good from {}.", instant(&text(erasure, "begins"), zone)),
        "running" => format!("Being erased. Still to confirm: {waiting}."),
        "confirmed" => "Being erased. The key is destroyed now.".to_owned(),
        _ => String::new(),
    }
}

impl Console {
    pub(crate) async fn person(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        if !matches!(cx.caller(), Caller::User { .. }) {
            return redirect("/sign-in?return_to=/people");
        }
        self.person_page(&segment(&request, 1), &query(&request), None, &cx).await
    }

    async fn person_page(&self, user: &str, sent: &Sent, refused: Option<&Problem>, cx: &Cx) -> Answer {
        let profile = self.calls.ask("users.get", json!({ "user": user }), cx).await?;
        let (zone, it) = (self.zone(cx).await?, self.row(&profile, cx).await?);
        let (activity, erasure, roles) = futures::try_join!(
            self.see("users.activity.of", json!({ "user": user, "limit": 15 }), cx),
            self.see("users.erasures.get", json!({ "user": user }), cx),
            self.see("identity.roles.list", json!({}), cx),
        )?;
        let known = roles.map(|it| items(&it).iter().map(|role| text(role, "role")).collect::<Vec<_>>());
        let known = known.unwrap_or_else(|| ["member", "admin", "owner"].map(str::to_owned).to_vec());
        // One's own account has a page of its own.
        let other = cx.user()?.to_string() != user;
        let may = May {
            roles: other && holds(cx, "identity.role.update"),
            deactivate: other && holds(cx, "users.person.deactivate"),
            erase: other && holds(cx, "users.person.erase"),
        };
        let page = Person {
            frame: self.frame("/people", sent, refused, cx).await?,
            facts: facts(&profile),
            may,
            choices: known.into_iter().map(|role| (role.clone(), it.roles.contains(&role))).collect(),
            activity: activity.map(|told| items(&told).iter().map(|it| Happened::of(it, &zone)).collect()),
            erasure: erasure.map(|it| progress(&it, &zone)).unwrap_or_default(),
            it,
        };
        html(&page, refused)
    }

    pub(crate) async fn person_act(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let (user, sent) = (segment(&request, 1), form(&request));
        self.calls.ask("users.get", json!({ "user": user }), &cx).await?;
        let of = json!({ "user": user });
        let done = match segment(&request, 2).as_str() {
            "deactivate" => self.calls.ask("users.deactivate", of, &cx).await.map(|_| "deactivated"),
            "reactivate" => self.calls.ask("users.reactivate", of, &cx).await.map(|_| "reactivated"),
            "resend" => self.calls.ask("identity.invitations.resend", of, &cx).await.map(|_| "resent"),
            "take-back" => self.calls.ask("identity.invitations.revoke", of, &cx).await.map(|_| "taken-back"),
            "roles" => {
                let mut roles: Vec<_> = sent.iter().filter(|(_, given)| *given == "on").map(|(role, _)| role).collect();
                roles.sort();
                let input = json!({ "user": user, "roles": roles });
                self.calls.ask("identity.roles.assign", input, &cx).await.map(|_| "roles")
            }
            "erase" => {
                let input = json!({ "user": user, "confirm": get(&sent, "confirm") });
                self.calls.ask("users.erase", input, &cx).await.map(|_| "erasing")
            }
            _ => Err(Problem::not_found("page")),
        };
        match done {
            // Whoever is erased or not expected any more has no page.
            Ok(said @ ("erasing" | "resent" | "taken-back")) => redirect(&format!("/people?said={said}")),
            Ok(said) => redirect(&format!("/people/{user}?said={said}")),
            Err(problem) if is_told(&problem) => self.person_page(&user, &Sent::new(), Some(&problem), &cx).await,
            Err(problem) => Err(problem),
        }
    }
}
