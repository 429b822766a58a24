//! Telling what a person does.

use std::{collections::BTreeMap, time::Duration};

use facts::Fact;
use kernel::{Granted, Handle, Permission, Problem, ProblemKind, ScopeKind, Timestamp, UseCase, text::Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Analytics, permissions};

/// The most events of one batch.
const MOST: usize = 500;
/// How far the clock of a device may be ahead.
const AHEAD: Duration = Duration::from_hours(24);

/// Records what the caller did in the product. The same event sent again counts once.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrackEvents {
    /// What the caller did: 1 to 500 events. All are recorded, or none.
    #[schemars(length(min = 1, max = 500))]
    events: Vec<Tracked>,
}

/// One thing that the caller did.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tracked {
    /// Names this event among all of this person, so that it counts once however often it is sent: 1 to 64 bytes,
    /// such as a UUID.
    #[schemars(length(min = 1, max = 64))]
    id: String,
    /// What, such as `report.opened`.
    name: Key,
    /// When, at most 24 hours from now; now unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    at: Option<Timestamp>,
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

impl UseCase for TrackEvents {
    type Output = Accepted;
    const NAME: &'static str = "analytics.track";
    const SCOPE: ScopeKind = ScopeKind::Tenant;
    const NEEDS: Permission = permissions::RECORD;
}

impl Handle<TrackEvents> for Analytics {
    async fn handle(&self, it: TrackEvents, cx: Granted<TrackEvents>) -> Result<Accepted, Problem> {
        let accepted = it.events.len();
        if !(1..=MOST).contains(&accepted) {
            return Err(Problem::invalid_field("/events", format!("expected 1 to {MOST} events")));
        }
        let person = self.pseudonym(&cx, cx.user()?).await?;
        let now = cx.now();
        let latest = now.saturating_add(AHEAD).unwrap_or(Timestamp::MAX);
        let mut facts = Vec::with_capacity(accepted);
        for (place, tracked) in it.events.into_iter().enumerate() {
            let refused =
                |field: &str, detail: String| Problem::invalid_field(format!("/events/{place}{field}"), detail);
            if !(1..=64).contains(&tracked.id.len()) {
                return Err(refused("/id", "expected 1 to 64 bytes".to_owned()));
            }
            let at = tracked.at.unwrap_or(now);
            if at > latest {
                return Err(Problem::new(
                    ProblemKind::Refused,
                    "analytics.event_in_the_future",
                    "an event lies more than 24 hours in the future",
                )
                .hint("set the clock of the device, or leave `at` out")
                .field(format!("/events/{place}/at"), "more than 24 hours from now"));
            }
            // Ids of one person cannot hide the events of another, nor those of the platform.
            let id = format!("tracked/{person}/{}", tracked.id);
            let (scope, name, labels) = (cx.scope(), tracked.name.to_string(), tracked.labels);
            let fact = Fact { id, scope, name, at, person: Some(person.clone()), value: 1.0, labels };
            match fact.check() {
                Err(facts::FactsError::Invalid { field, detail }) => return Err(refused(field, detail)),
                checked => checked?,
            }
            facts.push(fact);
        }
        self.facts.append(facts).await?;
        Ok(Accepted { accepted })
    }
}
