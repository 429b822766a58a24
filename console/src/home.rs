//! A person's own page.

use std::sync::Arc;

use askama::Template;
use bytes::Bytes;
use http::Request;
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use kernel::{Caller, Cx, Problem, UserId};
use serde_json::{Value, json};

use crate::{
    Console,
    answers::{
        Answer, Sent, flag, form, get, html, instant, is_told, items, number, query, redirect, segment, text, texts,
    },
    frame::Frame,
};

const DAYS: i64 = 30;

struct Day {
    date: String,
    people: u64,
    height: u64,
}

struct Chart {
    days: Vec<Day>,
    most: u64,
    last: u64,
    first_day: String,
    last_day: String,
}

struct Colleague {
    id: String,
    name: String,
    email: String,
}

/// Something that happened, and when.
pub(crate) struct Happened {
    pub(crate) person: String,
    pub(crate) who: String,
    pub(crate) what: String,
    pub(crate) at: String,
    pub(crate) shown: String,
}

impl Happened {
    pub(crate) fn of(it: &Value, zone: &TimeZone) -> Self {
        let at = text(it, "at");
        Self { person: text(it, "person"), who: String::new(), what: text(it, "what"), shown: instant(&at, zone), at }
    }
}

struct Session {
    id: String,
    at: String,
    shown: String,
    current: bool,
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    frame: Frame,
    name: String,
    email: String,
    job: String,
    zone: String,
    roles: Vec<String>,
    seats: String,
    people: Option<Vec<Colleague>>,
    activity: Vec<Happened>,
    sessions: Vec<Session>,
    chart: Option<Chart>,
    erasure: Option<String>,
}

/// The last days up to today, those on which nobody did anything too.
fn chart(told: &Value, today: Date) -> Chart {
    let told: Vec<(String, u64)> =
        told.as_array().into_iter().flatten().map(|day| (text(day, "day"), number(day, "people"))).collect();
    let most = told.iter().map(|day| day.1).max().unwrap_or(0);
    let days: Vec<Day> = (0..DAYS)
        .rev()
        .map(|before| {
            let day = today.saturating_sub(before.days()).to_string();
            let people = told.iter().find(|told| told.0 == day).map_or(0, |told| told.1);
            Day { date: day, people, height: people * 94 / most.max(1) }
        })
        .collect();
    let label = |day: Option<&Day>| day.map(|day| day.date.clone()).unwrap_or_default();
    let (first_day, last_day) = (label(days.first()), label(days.last()));
    Chart { most, last: days.last().map_or(0, |day| day.people), first_day, last_day, days }
}

fn today(now: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(now).date()
}

impl Console {
    pub(crate) async fn home(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let Caller::User { id, .. } = cx.caller() else { return redirect("/sign-in?return_to=/home") };
        self.home_page(id, &query(&request), None, &cx).await
    }

    async fn home_page(&self, id: UserId, sent: &Sent, refused: Option<&Problem>, cx: &Cx) -> Answer {
        let see = |name: &'static str, input: Value| self.see(name, input, cx);
        let (me, roles, people, sessions, active, activity, erasure) = futures::try_join!(
            see("users.me", json!({})),
            see("identity.roles.read", json!({ "user": id })),
            see("users.list", json!({ "limit": 6, "order": "newest" })),
            see("identity.sessions.list", json!({})),
            see("analytics.active_people", json!({})),
            see("users.activity.mine", json!({ "limit": 8 })),
            see("users.erasures.get", json!({ "user": id })),
        )?;
        let (me, roles) = (me.unwrap_or_default(), roles.unwrap_or_default());
        let zone = TimeZone::get(&text(&me, "time_zone")).unwrap_or(TimeZone::UTC);
        let colleague = |it: &Value| Colleague { id: text(it, "id"), name: text(it, "name"), email: text(it, "email") };
        let session = |it: &Value| {
            let at = text(it, "began");
            Session { id: text(it, "id"), shown: instant(&at, &zone), current: flag(it, "current"), at }
        };
        let frame = self.frame("/home", sent, refused, cx).await?;
        let erasure = erasure.filter(|it| text(it, "stage") == "scheduled");
        let page = Home {
            name: text(&me, "name"),
            email: text(&me, "email"),
            job: text(&me, "title"),
            zone: text(&me, "time_zone"),
            roles: texts(&roles, "roles"),
            seats: self.seats(cx).await?,
            people: people.filter(|_| frame.links.len() > 1).map(|it| items(&it).iter().map(colleague).collect()),
            activity: activity.iter().flat_map(items).map(|it| Happened::of(it, &zone)).collect(),
            sessions: sessions.iter().flat_map(items).map(session).collect(),
            chart: active.as_ref().map(|it| chart(it, today(cx.now()))),
            erasure: erasure.map(|it| instant(&text(&it, "begins"), &zone)),
            frame,
        };
        html(&page, refused)
    }

    pub(crate) async fn home_act(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        let (user, sent) = (cx.user()?, form(&request));
        let done = match segment(&request, 1).as_str() {
            "profile" => self.save_profile(&sent, &cx).await.map(|()| "saved"),
            "end-session" => {
                let input = json!({ "session": get(&sent, "session") });
                self.calls.ask("identity.sessions.revoke", input, &cx).await.map(|_| "ended")
            }
            "erase" => {
                let input = json!({ "user": user, "confirm": get(&sent, "confirm") });
                self.calls.ask("users.erase", input, &cx).await.map(|_| "scheduled")
            }
            "keep" => self.calls.ask("users.erasures.cancel", json!({ "user": user }), &cx).await.map(|_| "kept"),
            _ => Err(Problem::not_found("page")),
        };
        match done {
            Ok(said) => redirect(&format!("/home?said={said}")),
            Err(problem) if is_told(&problem) => self.home_page(user, &Sent::new(), Some(&problem), &cx).await,
            Err(problem) => Err(problem),
        }
    }

    async fn save_profile(&self, sent: &Sent, cx: &Cx) -> Result<(), Problem> {
        let emptied = |name: &str| Some(get(sent, name)).filter(|text| !text.is_empty());
        let profile =
            json!({ "name": get(sent, "name"), "title": emptied("title"), "time_zone": emptied("time_zone") });
        self.calls.ask("users.update_me", profile, cx).await?;
        if let Some(theme) = emptied("theme") {
            self.calls.ask("users.set_preference", json!({ "key": "theme", "value": theme }), cx).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_shows_thirty_days_and_the_highest_fills_it() {
        let told = json!([{ "day": "2026-11-01", "people": 4 }, { "day": "2026-11-24", "people": 2 }]);
        let it = chart(&told, "2026-11-24".parse().unwrap());
        assert_eq!((it.days.len(), it.most, it.last), (30, 4, 2));
        assert_eq!((it.first_day.as_str(), it.last_day.as_str()), ("2026-10-26", "2026-11-24"));
        let heights: Vec<_> = it.days.iter().map(|day| day.height).filter(|height| *height > 0).collect();
        assert_eq!(heights, [94, 47]);
        assert_eq!(chart(&json!([]), "2026-11-24".parse().unwrap()).most, 0);
    }
}
