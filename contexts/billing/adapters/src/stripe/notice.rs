//! Stripe's notices. <https://docs.stripe.com/webhooks#verify-manually>

use ::http::HeaderMap;
use kernel::Timestamp;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::read;
use billing_gateways::{Dispute, Notice, NoticeError};

/// How old a signature may be, in seconds: what Stripe's own libraries allow.
const TOLERANCE: i64 = 300;

/// `Stripe-Signature: t=SECONDS,v1=HEX[,v1=HEX]`: HMAC-SHA256 over `SECONDS.BODY`.
pub(crate) fn verify(
    secrets: &[SecretString],
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), NoticeError> {
    let header = headers.get("stripe-signature").and_then(|it| it.to_str().ok()).ok_or(NoticeError::Signature)?;
    let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
    let time = parts().find_map(|(name, value)| if name == "t" { Some(value) } else { None });
    let time = time.ok_or(NoticeError::Signature)?;
    let signed = [time.as_bytes(), b".", body].concat();
    let given: Vec<Vec<u8>> = parts()
        .filter(|(name, _)| *name == "v1")
        .filter_map(|(_, value)| data_encoding::HEXLOWER.decode(value.as_bytes()).ok())
        .take(10)
        .collect();
    let by = |secret: &SecretString| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        // In constant time.
        given.iter().any(|tag| hmac::verify(&key, &signed, tag).is_ok())
    };
    if !secrets.iter().any(by) {
        return Err(NoticeError::Signature);
    }
    let time: i64 = time.parse().map_err(|_| NoticeError::Form)?;
    if (now.as_second() - time).abs() > TOLERANCE { Err(NoticeError::Time) } else { Ok(()) }
}

/// What it is about. <https://docs.stripe.com/api/events/types>
pub(crate) fn read(body: &[u8]) -> Result<Notice, NoticeError> {
    let event: Value = serde_json::from_slice(body).map_err(|_| NoticeError::Form)?;
    let kind = event.get("type").and_then(Value::as_str).ok_or(NoticeError::Form)?;
    let object = event.pointer("/data/object").ok_or(NoticeError::Form)?;
    let named = |name: &str| object.get(name).and_then(Value::as_str);
    if kind.starts_with("payment_intent.") {
        return named("id").map(|id| Notice::Payment(id.to_owned())).ok_or(NoticeError::Form);
    }
    if kind.starts_with("charge.dispute.") {
        let (Some(of), Some(id)) = (named("payment_intent"), named("id")) else { return Ok(Notice::Other) };
        let amount = read::amount_of(object).map_err(|_| NoticeError::Form)?;
        // Of a warning, no money was taken.
        let won = match named("status") {
            Some("won") => Some(true),
            Some("lost") => Some(false),
            Some("needs_response" | "under_review") => None,
            _ => return Ok(Notice::Other),
        };
        let reason = named("reason").unwrap_or("general").to_owned();
        return Ok(Notice::Dispute(of.to_owned(), Dispute { id: id.to_owned(), amount, reason, won }));
    }
    if kind == "checkout.session.completed" && named("mode") == Some("setup") {
        let tenant = read::metadata(object, "tenant").and_then(|it| it.parse().ok());
        return Ok(match named("id").zip(tenant) {
            Some((id, tenant)) => Notice::Setup { reference: id.to_owned(), tenant },
            None => Notice::Other,
        });
    }
    Ok(Notice::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(secret: &str, time: i64, body: &str) -> HeaderMap {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, format!("{time}.{body}").as_bytes());
        let mut headers = HeaderMap::new();
        let value = format!("t={time},v1=00,v1={}", data_encoding::HEXLOWER.encode(tag.as_ref()));
        headers.insert("stripe-signature", value.parse().unwrap());
        headers
    }

    #[test]
    fn a_notice_is_believed_by_its_signature_and_its_time() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let secrets = ["whsec_old".to_owned().into(), "whsec_new".to_owned().into()];
        let body = r#"{"type":"payment_intent.succeeded","data":{"object":{"id":"pi_1"}}}"#;
        for secret in ["whsec_old", "whsec_new"] {
            assert_eq!(verify(&secrets, &signed(secret, now.as_second() - 299, body), body.as_bytes(), now), Ok(()));
        }
        let told = |headers: &HeaderMap, body: &str| verify(&secrets, headers, body.as_bytes(), now);
        let good = signed("whsec_new", now.as_second(), body);
        assert_eq!(told(&good, &body.replace("pi_1", "pi_2")), Err(NoticeError::Signature));
        assert_eq!(told(&signed("whsec_other", now.as_second(), body), body), Err(NoticeError::Signature));
        assert_eq!(told(&signed("whsec_new", now.as_second() - 301, body), body), Err(NoticeError::Time));
        assert_eq!(told(&HeaderMap::new(), body), Err(NoticeError::Signature));
        assert_eq!(read(body.as_bytes()), Ok(Notice::Payment("pi_1".to_owned())));
    }

    #[test]
    fn a_warning_is_no_dispute() {
        let told = |status: &str| {
            let body = serde_json::json!({ "type": "charge.dispute.created", "data": { "object": {
                "id": "dp_1", "payment_intent": "pi_1", "amount": 1200, "currency": "eur", "status": status, "reason": "fraudulent" } } });
            read(body.to_string().as_bytes()).unwrap()
        };
        assert_eq!(told("warning_needs_response"), Notice::Other);
        assert!(matches!(told("lost"), Notice::Dispute(of, Dispute { won: Some(false), .. }) if of == "pi_1"));
    }
}
