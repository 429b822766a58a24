//! What is known of one act, as it is committed to: JSON that is never written again. Personal values stand in it sealed
//! under the person's key, as in the event, so that erasing the person leaves the text, and with it every proof, as it is.

use std::borrow::Cow;

use kernel::{Cx, Scope, Timestamp, event::CHANGED};
use ring::{digest, hmac};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tlog::Hash;

/// Of a record whose data is longer than this, the digest of the data stands in its place.
const LONGEST_DATA: usize = 128 << 10;

/// One act.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record<'a> {
    /// Unique: the id of the event, where one tells of it.
    pub(crate) id: Cow<'a, str>,
    /// When it was recorded, in real time.
    pub(crate) time: Timestamp,
    /// The scope.
    pub(crate) scope: Cow<'a, str>,
    /// Who.
    pub(crate) actor: Cow<'a, str>,
    /// Did what: a use case or endpoint, else the type of the event.
    pub(crate) action: Cow<'a, str>,
    /// To what.
    pub(crate) resource: Cow<'a, str>,
    /// The version of it from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u64>,
    /// The type of the event that tells of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<Cow<'a, str>>,
    /// The trace of the request, and the first one of all that it follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) correlation: Option<Cow<'a, str>>,
    /// The event that it was a reaction to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) causation: Option<Cow<'a, str>>,
    /// The person whose key seals what is personal in the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) person: Option<Cow<'a, str>>,
    /// What the event says.
    pub(crate) data: Cow<'a, RawValue>,
}

/// An envelope as it stands in the log: [`Envelope`] without a copy, its data as it was written.
#[derive(Deserialize)]
struct Logged<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    subject: Cow<'a, str>,
    time: Timestamp,
    recordedtime: Option<Timestamp>,
    #[serde(borrow)]
    tenantid: Cow<'a, str>,
    sequence: u64,
    #[serde(borrow)]
    traceparent: Cow<'a, str>,
    #[serde(borrow)]
    correlationid: Cow<'a, str>,
    #[serde(borrow)]
    causationid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    actor: Cow<'a, str>,
    #[serde(borrow)]
    action: Option<Cow<'a, str>>,
    #[serde(borrow)]
    person: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: &'a RawValue,
}

fn scope_of(text: &str) -> Option<Scope> {
    match text {
        "platform" => Some(Scope::Platform),
        tenant => tenant.parse().ok().map(Scope::Tenant),
    }
}

impl<'a> Record<'a> {
    /// What an event of the log tells, and its scope; `None` for what is no event.
    pub(crate) fn of(envelope: &'a [u8]) -> Option<(Scope, Self)> {
        let it: Logged<'a> = serde_json::from_slice(envelope).ok()?;
        let trace = it.traceparent.split('-').nth(1).map(|trace| Cow::Owned(trace.to_owned()));
        let event = (it.r#type != CHANGED).then(|| it.r#type.clone());
        let record = Self {
            id: it.id,
            time: it.recordedtime.unwrap_or(it.time),
            scope: it.tenantid.clone(),
            actor: it.actor,
            action: it.action.unwrap_or(it.r#type),
            resource: it.subject,
            version: Some(it.sequence),
            event,
            correlation: Some(it.correlationid).filter(|first| trace.as_ref() != Some(first)),
            trace,
            causation: it.causationid,
            person: it.person,
            data: bounded(it.data),
        };
        Some((scope_of(&it.tenantid)?, record))
    }

    /// An act that no event tells of, as seen in the scope of `cx`.
    pub(crate) fn seen(cx: &Cx, actor: String, (action, resource): (String, String), data: &serde_json::Value) -> Self {
        let id = data_encoding::HEXLOWER.encode(&cx.random::<16>());
        Self {
            id: id.into(),
            time: cx.real_now(),
            scope: cx.scope().to_string().into(),
            actor: actor.into(),
            action: action.into(),
            resource: resource.into(),
            version: None,
            event: None,
            trace: None,
            correlation: None,
            causation: None,
            person: None,
            data: Cow::Owned(to_raw_value(data).expect("a JSON value is JSON")),
        }
    }
}

fn bounded(data: &RawValue) -> Cow<'_, RawValue> {
    if data.get().len() <= LONGEST_DATA {
        return Cow::Borrowed(data);
    }
    let digest = digest::digest(&digest::SHA256, data.get().as_bytes());
    let instead = serde_json::json!({ "sha256": data_encoding::HEXLOWER.encode(digest.as_ref()) });
    Cow::Owned(to_raw_value(&instead).expect("a JSON value is JSON"))
}

/// What hides an entry from whoever sees its leaf: without it nobody can tell whether a guess at the entry is right.
pub(crate) type Salt = [u8; 16];

/// What stands in the tree for a record: it commits to the text, and tells nothing of it.
pub(crate) fn commitment(salt: &Salt, record: &str) -> Hash {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), record.as_bytes());
    let mut commitment = Hash::default();
    commitment.copy_from_slice(tag.as_ref());
    commitment
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Envelope;

    #[test]
    fn an_event_is_taken_as_it_was_written() {
        let data = r#"{"b":{"$sealed":"AAAA"},"a":1.50}"#;
        let envelope = format!(
            r#"{{"specversion":"1.0","id":"e1","source":"freehold/x","type":"x.Y.v1","subject":"x.y/1",
            "time":"2026-11-24T12:00:00Z","tenantid":"platform","sequence":3,"traceparent":"00-aa-bb-01",
            "correlationid":"aa","actor":"visitor","action":"x.do","recordedtime":"2026-11-25T12:00:00Z","data":{data}}}"#
        );
        let (scope, record) = Record::of(envelope.as_bytes()).unwrap();
        assert_eq!(scope, Scope::Platform);
        let text = serde_json::to_string(&record).unwrap();
        let expected = r#"{"id":"e1","time":"2026-11-25T12:00:00Z","scope":"platform","actor":"visitor","action":"x.do","resource":"x.y/1","version":3,"event":"x.Y.v1","trace":"aa","data":{"b":{"$sealed":"AAAA"},"a":1.50}}"#;
        assert_eq!(text, expected);
        assert_ne!(commitment(&[0; 16], &text), commitment(&[1; 16], &text));
        let long = RawValue::from_string(format!("\"{}\"", "x".repeat(LONGEST_DATA))).unwrap();
        assert!(bounded(&long).get().len() < 100);
    }

    #[test]
    fn what_is_read_here_is_what_envelopes_have() {
        let fields = schemars::schema_for!(Envelope);
        let known = fields.as_value()["properties"].as_object().unwrap().clone();
        for read in ["id", "type", "subject", "time", "recordedtime", "tenantid", "sequence", "traceparent"] {
            assert!(known.contains_key(read), "{read}");
        }
        for read in ["correlationid", "causationid", "actor", "action", "person", "data"] {
            assert!(known.contains_key(read), "{read}");
        }
    }
}
