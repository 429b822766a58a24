//! Telling what people do: they themselves, a server for them, and visitors.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use bytes::Bytes;
use facts::Fact;
use futures::{StreamExt, TryStreamExt};
use http::{Request, Response, header};
use kernel::{
    Aggregate, Caller, Cx, Granted, Handle, Life, Problem, ProblemKind, ScopeKind, Timestamp, UserId, context::Body,
    text::Key, use_case,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Analytics, permissions as may, sheet};

/// The most events of one batch.
const MOST: usize = 1_000;
/// The most events of one batch of a visitor.
const MOST_OF_VISITORS: usize = 50;
/// How many persons of a batch are looked at side by side.
const SIDE_BY_SIDE: usize = 16;
/// How far the clock of a device may be ahead.
const AHEAD: Duration = Duration::from_hours(24);
/// The label that visitors' facts carry.
pub(crate) const VISITOR: &str = "visitor";
/// The label of a session.
const SESSION: &str = "session";
/// For how long a day's salt is kept: events of a day are late by so much at most.
const SALT: Duration = Duration::from_hours(48);

/// Records what was done in the product. The same event sent again counts once. People tell what they did themselves;
/// a program with an API key says who did it, or nobody.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrackEvents {
    /// What was done: 1 to 1,000 events. All are recorded, or none: a wrong one is named by its place.
    #[schemars(length(min = 1, max = 1000))]
    events: Vec<Tracked>,
    /// The session of the product that all of them belong to, kept as the label `session`: 1 to 64 bytes, such as a
    /// UUID of the visit. Never a credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    session: Option<String>,
}

/// One thing that was done.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tracked {
    /// Names this event among all of this person (or program), so that it counts once however often it is sent: 1 to 64
    /// bytes, such as a UUID.
    #[schemars(length(min = 1, max = 64))]
    id: String,
    /// What, such as `report.opened`.
    name: Key,
    /// Who did it, where a program tells; a person may only name themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    /// When, at most 24 hours from now; now unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    at: Option<Timestamp>,
    /// How much, for sums and percentiles; 1 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// What reports can be filtered and grouped by: at most 16 labels, names of 1 to 64 bytes, values of at most 256.
    /// Never anything that tells who a person is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    labels: BTreeMap<String, String>,
}

/// See [`TrackEvents`].
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Accepted {
    /// How many events are recorded, those that were known among them.
    accepted: usize,
}

use_case!(TrackEvents => Accepted, "analytics.track", Tenant, may::RECORD);

/// What makes visitors of a day the same to one another and to nobody else: gone two days later, with all that could
/// tell who they were.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Salt {
    day: String,
    bytes: [u8; 32],
    ends: Timestamp,
}

impl Aggregate for Salt {
    type Id = String;
    const KIND: &'static str = "analytics.salt";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const LIFE: Life = Life::Ephemeral;

    fn id(&self) -> String {
        self.day.clone()
    }
    fn expires(&self) -> Option<Timestamp> {
        Some(self.ends)
    }
}

/// Whose events they are, within the scope.
enum Whose {
    /// A person's: their pseudonym, if it can still be told.
    Person(UserId, Option<String>),
    /// A visitor's, by the pseudonym of the day.
    Visitor(String),
    /// A program's own.
    Program(String),
}

impl Whose {
    /// Ids of one cannot hide the events of another, nor those of the platform.
    fn id(&self, id: &str) -> String {
        match self {
            Self::Person(_, Some(pseudonym)) => format!("tracked/{pseudonym}/{id}"),
            Self::Person(user, None) => format!("tracked/{user}/{id}"),
            Self::Visitor(pseudonym) => format!("visit/{pseudonym}/{id}"),
            Self::Program(caller) => format!("told/{caller}/{id}"),
        }
    }

    fn pseudonym(&self) -> Option<String> {
        match self {
            Self::Person(_, pseudonym) => pseudonym.clone(),
            Self::Visitor(pseudonym) => Some(pseudonym.clone()),
            Self::Program(_) => None,
        }
    }
}

/// The refusal of one event.
fn refused(place: usize, field: &str, detail: impl Into<String>) -> Problem {
    Problem::invalid_field(format!("/events/{place}{field}"), detail)
}

/// The fact of an event.
fn fact(place: usize, it: Tracked, session: Option<&str>, whose: &Whose, cx: &Cx) -> Result<Fact, Problem> {
    if !(1..=64).contains(&it.id.len()) {
        return Err(refused(place, "/id", "expected 1 to 64 bytes"));
    }
    if it.labels.contains_key(VISITOR) {
        return Err(refused(place, "/labels", "the label `visitor` is kept for visitors"));
    }
    let now = cx.now();
    let at = it.at.unwrap_or(now);
    if at > now.saturating_add(AHEAD).unwrap_or(Timestamp::MAX) {
        let detail = "an event lies more than 24 hours in the future";
        return Err(Problem::new(ProblemKind::Refused, "analytics.event_in_the_future", detail)
            .hint("set the clock of the device, or leave `at` out")
            .field(format!("/events/{place}/at"), "more than 24 hours from now"));
    }
    let mut labels = it.labels;
    if let Some(session) = session {
        labels.insert(SESSION.to_owned(), session.to_owned());
    }
    if matches!(whose, Whose::Visitor(_)) {
        labels.insert(VISITOR.to_owned(), "yes".to_owned());
    }
    let (id, name, person) = (whose.id(&it.id), it.name.to_string(), whose.pseudonym());
    let fact = Fact { id, scope: cx.scope(), name, at, person, value: it.value.unwrap_or(1.0), labels };
    match fact.check() {
        Err(facts::FactsError::Invalid { field, detail }) => Err(refused(place, field, detail)),
        checked => Ok(checked.map(|()| fact)?),
    }
}

fn sized(it: &TrackEvents, most: usize) -> Result<(), Problem> {
    if !(1..=most).contains(&it.events.len()) {
        return Err(Problem::invalid_field("/events", format!("expected 1 to {most} events")));
    }
    if it.session.as_ref().is_some_and(|session| !(1..=64).contains(&session.len())) {
        return Err(Problem::invalid_field("/session", "expected 1 to 64 bytes"));
    }
    Ok(())
}

impl Handle<TrackEvents> for Analytics {
    async fn handle(&self, it: TrackEvents, cx: Granted<TrackEvents>) -> Result<Accepted, Problem> {
        sized(&it, MOST)?;
        let accepted = it.events.len();
        let mut known: BTreeMap<Option<UserId>, Whose> = BTreeMap::new();
        let mut facts = Vec::with_capacity(accepted);
        for (place, event) in it.events.into_iter().enumerate() {
            let user = match (cx.caller(), event.user) {
                (Caller::User { id, .. }, None) => Some(id),
                (Caller::User { id, .. }, Some(user)) if user != id => {
                    return Err(refused(place, "/user", "a person tells what they did themselves"));
                }
                (Caller::Visitor, _) => return Err(cx.refusal(may::RECORD.name())),
                (_, user) => user,
            };
            if let std::collections::btree_map::Entry::Vacant(e) = known.entry(user) {
                let whose = match user {
                    Some(user) => Whose::Person(user, self.pseudonym(&cx, user).await?),
                    None => Whose::Program(cx.caller().to_string()),
                };
                e.insert(whose);
            }
            if let Some(whose) = known.get(&user) {
                facts.push(fact(place, event, it.session.as_deref(), whose, &cx)?);
            }
        }
        self.facts.append(facts).await?;
        let today = self.settings(&cx).await?.zone().to_datetime(cx.now()).date().to_string();
        let active = known.into_values().filter_map(|whose| match whose {
            Whose::Person(user, Some(_)) => Some(user),
            _ => None,
        });
        // Side by side, so that the commits of a batch share their flushes.
        let (today, cx) = (today.as_str(), cx.cx());
        let told = futures::stream::iter(active)
            .map(|user| async move { self.attend(user, cx, |it| it.act(today)).await })
            .buffer_unordered(SIDE_BY_SIDE);
        told.try_collect::<()>().await?;
        Ok(Accepted { accepted })
    }
}

impl Analytics {
    /// Records what someone did who has not signed in, where the tenant wants that.
    pub(crate) async fn visit(&self, request: &Request<Bytes>, cx: &Cx) -> Result<Response<Body>, Problem> {
        let settings = self.settings(cx).await?;
        if !settings.visitors {
            let off = "this tenant does not count visitors";
            return Err(Problem::new(ProblemKind::Denied, "analytics.visitors_not_counted", off)
                .hint("its owner can decide otherwise in the settings of analytics"));
        }
        let it: TrackEvents = sheet::body(request)?;
        sized(&it, MOST_OF_VISITORS)?;
        let accepted = it.events.len();
        let day = settings.zone().to_datetime(cx.now()).date().to_string();
        let salt = self.salt(day, cx).await?;
        let peer = request.extensions().get::<SocketAddr>().map(|peer| peer.ip().to_string()).unwrap_or_default();
        let agent = request.headers().get(header::USER_AGENT).map_or(&[][..], http::HeaderValue::as_bytes);
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &salt.bytes);
        let tag = ring::hmac::sign(&key, &[peer.as_bytes(), &[0], agent].concat());
        let short = tag.as_ref().get(..16).unwrap_or_default();
        let whose = Whose::Visitor(format!("visitor-{}", data_encoding::BASE32HEX_NOPAD.encode(short)));
        let mut facts = Vec::with_capacity(accepted);
        for (place, event) in it.events.into_iter().enumerate() {
            if event.user.is_some() {
                return Err(refused(place, "/user", "visitors are nobody"));
            }
            facts.push(fact(place, event, it.session.as_deref(), &whose, cx)?);
        }
        self.facts.append(facts).await?;
        let told = serde_json::to_vec(&Accepted { accepted }).map_err(Problem::internal)?;
        Response::builder()
            .header(header::CONTENT_TYPE, "application/json")
            .body(told.into())
            .map_err(Problem::internal)
    }

    async fn salt(&self, day: String, cx: &Cx) -> Result<Salt, Problem> {
        let store = self.store.at(cx);
        if let Some(salt) = store.try_load::<Salt>(&day).await? {
            return Ok(salt.into_inner());
        }
        let ends = cx.real_now().saturating_add(SALT).unwrap_or(Timestamp::MAX);
        match store.create(Salt { day: day.clone(), bytes: cx.random(), ends }, ()).await {
            // Somebody else was faster: there is one salt a day.
            Err(problem) if problem.kind() == ProblemKind::Conflict => Ok(store.load::<Salt>(&day).await?.into_inner()),
            outcome => Ok(outcome?.into_inner()),
        }
    }
}
