//! Who did what, and the proof that it stands in the log: for those who may see a tenant's log, and for operators, who see
//! any.

use std::sync::Arc;

use askama::Template;
use bytes::Bytes;
use http::Request;
use jiff::tz::TimeZone;
use kernel::{Caller, Cx, Problem};
use serde_json::{Map, Value, json};

use crate::{
    Console,
    answers::{Answer, Sent, get, html, instant, is_told, items, next_page, query, redirect, segment, text, texts},
    frame::Frame,
};

/// What is looked for, by the names of the fields.
const FIELDS: [(&str, &str); 3] = [("actor", "Who"), ("action", "Did what"), ("resource", "To what")];

struct Entry {
    id: String,
    time: String,
    actor: String,
    action: String,
    resource: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditLog {
    frame: Frame,
    /// Whose log; nothing for the tenant's own.
    log: String,
    /// Name, label and what was entered.
    fields: Vec<(&'static str, &'static str, String)>,
    entries: Vec<Entry>,
    /// Where an entry's proof is, before its id.
    proofs: String,
    here: &'static str,
    next: String,
}

#[derive(Template)]
#[template(path = "proof.html")]
struct Proved {
    frame: Frame,
    it: Entry,
    data: String,
    record: String,
    salt: String,
    leaf: String,
    proof: Vec<String>,
    checkpoint: String,
    key: String,
    back: String,
}

fn entry(it: &Value, zone: &TimeZone) -> Entry {
    Entry {
        id: text(it, "id"),
        time: instant(&text(it, "time"), zone),
        actor: text(it, "actor"),
        action: text(it, "action"),
        resource: text(it, "resource"),
    }
}

/// What is asked for, without what was left empty.
fn asked(sent: &Sent) -> Map<String, Value> {
    let names = FIELDS.iter().map(|(name, _)| *name).chain(["after"]);
    let given = names.filter(|name| !get(sent, name).is_empty());
    given.map(|name| (name.to_owned(), json!(get(sent, name)))).collect()
}

struct Place {
    /// The log that is asked for by operators.
    log: Option<String>,
    here: &'static str,
    zone: TimeZone,
}

impl Console {
    pub(crate) async fn audit(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        if !matches!(cx.caller(), Caller::User { .. }) {
            return redirect("/sign-in?return_to=/audit");
        }
        let (sent, zone) = (query(&request), self.zone(&cx).await?);
        let place = Place { log: None, here: "/audit", zone };
        self.log_page(&place, &sent, &cx).await
    }

    pub(crate) async fn audit_of(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        if !matches!(cx.caller(), Caller::Operator { .. }) {
            return redirect("/operator/sign-in");
        }
        let sent = query(&request);
        let log = Some(get(&sent, "log")).filter(|log| !log.is_empty()).unwrap_or("platform").to_owned();
        let place = Place { log: Some(log), here: "/operator/audit", zone: TimeZone::UTC };
        self.log_page(&place, &sent, &cx).await
    }

    async fn framed(&self, place: &Place, sent: &Sent, refused: Option<&Problem>, cx: &Cx) -> Result<Frame, Problem> {
        match place.log {
            Some(_) => Ok(Frame::of_operator_at(place.here, sent, refused)),
            None => self.frame(place.here, sent, refused, cx).await,
        }
    }

    async fn log_page(&self, place: &Place, sent: &Sent, cx: &Cx) -> Answer {
        let mut input = asked(sent);
        let name = if place.log.is_some() { "audit.logs.entries" } else { "audit.entries.list" };
        input.extend(place.log.iter().map(|log| ("log".to_owned(), json!(log))));
        let (listed, refused) = match self.calls.ask(name, Value::Object(input), cx).await {
            Ok(listed) => (listed, None),
            Err(problem) if is_told(&problem) => (Value::Null, Some(problem)),
            Err(problem) => return Err(problem),
        };
        let kept: Vec<(&str, &str)> =
            FIELDS.iter().map(|(name, _)| *name).chain(["log"]).map(|name| (name, get(sent, name))).collect();
        let proofs = match &place.log {
            Some(log) => format!("{}/{log}", place.here),
            None => place.here.to_owned(),
        };
        let page = AuditLog {
            frame: self.framed(place, sent, refused.as_ref(), cx).await?,
            log: place.log.clone().unwrap_or_default(),
            fields: FIELDS.iter().map(|(name, label)| (*name, *label, get(sent, name).to_owned())).collect(),
            entries: items(&listed).iter().map(|it| entry(it, &place.zone)).collect(),
            next: next_page(place.here, &listed, &kept),
            here: place.here,
            proofs,
        };
        html(&page, refused.as_ref())
    }

    pub(crate) async fn proof(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        if !matches!(cx.caller(), Caller::User { .. }) {
            return redirect("/sign-in?return_to=/audit");
        }
        let place = Place { log: None, here: "/audit", zone: self.zone(&cx).await? };
        let input = json!({ "entry": segment(&request, 1) });
        let told = self.calls.ask("audit.entries.prove", input, &cx).await?;
        self.proof_page(&place, &told, &cx).await
    }

    pub(crate) async fn proof_of(self: Arc<Self>, request: Request<Bytes>, cx: Cx) -> Answer {
        if !matches!(cx.caller(), Caller::Operator { .. }) {
            return redirect("/operator/sign-in");
        }
        let log = segment(&request, 2);
        let input = json!({ "log": log, "entry": segment(&request, 3) });
        let told = self.calls.ask("audit.logs.prove", input, &cx).await?;
        let place = Place { log: Some(log), here: "/operator/audit", zone: TimeZone::UTC };
        self.proof_page(&place, &told, &cx).await
    }

    async fn proof_page(&self, place: &Place, told: &Value, cx: &Cx) -> Answer {
        let of = told.get("entry").cloned().unwrap_or_default();
        let back = place.log.as_ref().map_or_else(|| place.here.to_owned(), |log| format!("{}?log={log}", place.here));
        let page = Proved {
            frame: self.framed(place, &Sent::new(), None, cx).await?,
            it: entry(&of, &place.zone),
            data: of.get("data").map(|data| format!("{data:#}")).unwrap_or_default(),
            record: text(told, "record"),
            salt: text(told, "salt"),
            leaf: text(told, "leaf"),
            proof: texts(told, "proof"),
            checkpoint: text(told, "checkpoint"),
            key: text(told, "key"),
            back,
        };
        html(&page, None)
    }
}
