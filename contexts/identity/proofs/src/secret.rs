//! Secrets that are given out once and stored only as hashes: `prefix_id.secret`.

use kernel::{Cx, Problem, ProblemKind};
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

/// 32 random bytes as text.
pub fn fresh(cx: &Cx) -> String {
    data_encoding::BASE64URL_NOPAD.encode(&cx.random::<32>())
}

/// What is stored of a secret. A plain hash is enough for 256 random bits.
pub fn hash(secret: &str) -> String {
    data_encoding::BASE64URL_NOPAD.encode(digest(&SHA256, secret.as_bytes()).as_ref())
}

/// Whether a secret is the one of a hash, in constant time.
pub fn matches(secret: &str, stored: &str) -> bool {
    hash(secret).as_bytes().ct_eq(stored.as_bytes()).into()
}

/// Splits what a caller sent: `prefix_id.secret`.
pub fn parts<'a, Id: std::str::FromStr>(sent: &'a str, prefix: &str) -> Option<(Id, &'a str)> {
    let (id, secret) = sent.strip_prefix(prefix)?.split_once('.')?;
    Some((id.parse().ok()?, secret))
}

/// The answer to a credential that is not good, whatever is wrong with it.
pub fn refused() -> Problem {
    Problem::new(ProblemKind::Unauthenticated, "credential_refused", "this credential is not valid, or not any more")
        .hint("sign in again, or use another key")
}
