//! Signatures of webhooks, by the specification of Standard Webhooks (standardwebhooks.com, version 1): the id, the
//! instant and the body under HMAC-SHA256, once for each secret that is valid now.

use data_encoding::BASE64;
use ring::hmac;

/// What a symmetric secret begins with.
const PREFIX: &str = "whsec_";

/// A secret of 32 random bytes, as text.
pub fn secret(random: [u8; 32]) -> String {
    format!("{PREFIX}{}", BASE64.encode(&random))
}

/// The value of `webhook-signature`; empty without a secret that can sign.
pub fn sign<'a>(secrets: impl IntoIterator<Item = &'a str>, id: &str, seconds: i64, body: &[u8]) -> String {
    let sign = |secret: &str| {
        let bytes = BASE64.decode(secret.strip_prefix(PREFIX)?.as_bytes()).ok()?;
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &bytes));
        context.update(format!("{id}.{seconds}.").as_bytes());
        context.update(body);
        Some(format!("v1,{}", BASE64.encode(context.sign().as_ref())))
    };
    secrets.into_iter().filter_map(sign).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the reference libraries.
    #[test]
    fn it_signs_as_the_reference_does() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signed = sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let both = sign([secret, secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(both, format!("{signed} {signed}"));
        assert_eq!(sign(["MfKQ9r8G"], "id", 0, b""), "");
    }
}
