//! Events on their way into the log and out of it: personal values are sealed under the key of the person.

use kernel::{
    AnyEvent, Cx, Envelope, Problem,
    event::{CHANGED, PERSONAL, SEALED},
};
use keys::{DataKey, KeyError, Keys};
use serde_json::{Value, json};

use crate::port::CoreKey;

/// What the audit log is told of a use case's change of which no event tells.
pub(crate) fn silent(change: &'static str) -> AnyEvent {
    AnyEvent { r#type: CHANGED, data: json!({ "change": change }), person: None }
}

pub(crate) async fn seal(
    keys: &Keys,
    cx: &Cx,
    key: &CoreKey,
    version: u64,
    place: usize,
    event: AnyEvent,
) -> Result<Envelope, Problem> {
    let scope = cx.scope();
    // The same for the same event, however often it is sent, and telling nothing.
    let id = keys.scope(scope).await?.blind("event", &format!("{key}/{version}/{place}")).to_lowercase();
    let mut data = event.data;
    if personal(&data) {
        let person = event.person.ok_or_else(|| Problem::internal("an event with personal data names no person"))?;
        let data_key = keys.person(scope, person).await?;
        seal_values(&mut data, &data_key, &id, keys)?;
    }
    let context = event.r#type.split('.').next().unwrap_or_default();
    let real = cx.real_now();
    let shown = scope.tenant().and_then(|tenant| cx.ambient().test_clocks.of(tenant));
    Ok(Envelope {
        specversion: "1.0".to_owned(),
        id,
        source: format!("freehold/{context}"),
        r#type: event.r#type.to_owned(),
        subject: format!("{}/{}", key.kind, key.id),
        time: shown.unwrap_or(real),
        scope,
        sequence: version,
        traceparent: format!("00-{}-{}-01", cx.trace(), data_encoding::HEXLOWER.encode(&cx.random::<8>())),
        correlationid: cx.correlation(),
        causationid: cx.causation().map(str::to_owned),
        actor: cx.caller().to_string(),
        action: cx.act().map(|act| act.name.to_owned()),
        recordedtime: shown.map(|_| real),
        person: event.person,
        data,
    })
}

fn personal(data: &Value) -> bool {
    match data {
        Value::Object(fields) => fields.contains_key(PERSONAL) || fields.values().any(personal),
        Value::Array(items) => items.iter().any(personal),
        _ => false,
    }
}

fn seal_values(data: &mut Value, key: &DataKey, event: &str, keys: &Keys) -> Result<(), KeyError> {
    match data {
        Value::Object(fields) => {
            if let Some(known) = fields.get(PERSONAL) {
                let sealed = key.seal(&format!("event/{event}"), "", known.to_string().as_bytes(), keys.entropy())?;
                *data = json!({ SEALED: data_encoding::BASE64_NOPAD.encode(&sealed) });
                return Ok(());
            }
            fields.values_mut().try_for_each(|value| seal_values(value, key, event, keys))
        }
        Value::Array(items) => items.iter_mut().try_for_each(|value| seal_values(value, key, event, keys)),
        _ => Ok(()),
    }
}

fn open_values(data: &mut Value, key: Option<&DataKey>, event: &str) -> Result<(), KeyError> {
    match data {
        Value::Object(fields) => {
            if let Some(Value::String(sealed)) = fields.get(SEALED) {
                let Some(key) = key else {
                    *data = Value::Null;
                    return Ok(());
                };
                let sealed = data_encoding::BASE64_NOPAD.decode(sealed.as_bytes()).map_err(|_| KeyError::Forged)?;
                let plain = key.open(&format!("event/{event}"), "", &sealed)?;
                let known: Value = serde_json::from_slice(&plain).map_err(|_| KeyError::Forged)?;
                *data = json!({ PERSONAL: known });
                return Ok(());
            }
            fields.values_mut().try_for_each(|value| open_values(value, key, event))
        }
        Value::Array(items) => items.iter_mut().try_for_each(|value| open_values(value, key, event)),
        _ => Ok(()),
    }
}

/// Opens the personal values of an event from the log; those of an erased person become null.
pub async fn open(keys: &Keys, mut envelope: Envelope) -> Result<Envelope, Problem> {
    let Some(person) = envelope.person else { return Ok(envelope) };
    let key = match keys.person(envelope.scope, person).await {
        Ok(key) => Some(key),
        Err(KeyError::Destroyed) => None,
        Err(other) => return Err(other.into()),
    };
    open_values(&mut envelope.data, key.as_deref(), &envelope.id)?;
    Ok(envelope)
}
