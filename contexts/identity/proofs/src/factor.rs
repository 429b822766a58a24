//! The second factor: codes by time (RFC 6238) of an app, and recovery codes for when the app is lost.

use kernel::{Cx, Problem, ProblemKind, Timestamp};
use serde::{Deserialize, Serialize};

use crate::secret;

/// How many recovery codes there are.
pub(crate) const RECOVERY_CODES: usize = 10;

/// An app whose secret was given out.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Totp {
    /// The shared secret, in base32.
    secret: String,
    /// Asked for only once it was shown to work.
    confirmed: bool,
    /// The time step of the code that was used last: each is good once.
    last_step: u64,
    /// The hashes of the recovery codes that were not used yet.
    #[serde(default)]
    recovery: Vec<String>,
}

/// The second factor of someone who signs in, if there is one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Factor(Option<Totp>);

/// What a code was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Used {
    /// It showed that the app works: the factor is asked for from now on.
    First,
    /// A code of the app.
    App,
    /// A recovery code, which is good no more.
    Recovery,
}

/// What whoever enters a code that is not good is told.
pub fn code_refused() -> Problem {
    Problem::new(ProblemKind::Refused, "identity.code_refused", "this code is not right, or was used before")
        .hint("enter the code that the app shows now")
        .field("/code", "not right, or used before")
}

/// Recovery codes as they are shown, each of 80 random bits in four groups.
pub fn recovery_codes(cx: &Cx) -> Vec<String> {
    let shown = |text: &str| {
        let letters: Vec<char> = text.to_ascii_lowercase().chars().collect();
        letters.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join("-")
    };
    let fresh = || data_encoding::BASE32_NOPAD.encode(&cx.random::<10>());
    (0..RECOVERY_CODES).map(|_| shown(&fresh())).collect()
}

/// The hash of a recovery code, however it was typed.
fn recovery_hash(code: &str) -> String {
    let bare: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    secret::hash(&bare.to_ascii_lowercase())
}

impl Factor {
    /// Whether it is asked for at sign-in.
    pub fn needed(&self) -> bool {
        self.0.as_ref().is_some_and(|totp| totp.confirmed)
    }

    /// The secret of an app that was not yet shown to work.
    pub fn pending(&self) -> Option<&str> {
        self.0.as_ref().filter(|totp| !totp.confirmed).map(|totp| totp.secret.as_str())
    }

    /// How many recovery codes are left.
    pub fn left(&self) -> usize {
        self.0.as_ref().map_or(0, |totp| totp.recovery.len())
    }

    /// Gives out a secret for an app.
    pub fn begin(&mut self, secret: String) -> Result<(), Problem> {
        if self.needed() {
            return Err(Problem::new(
                ProblemKind::Conflict,
                "identity.totp_enabled",
                "a second factor is in use already",
            )
            .hint("use the codes of the app that you have, or switch it off first"));
        }
        self.0 = Some(Totp { secret, confirmed: false, last_step: 0, recovery: Vec::new() });
        Ok(())
    }

    /// Takes a code of the app, or a recovery code; each is good once. The first code of the app confirms the factor.
    pub fn use_code(&mut self, code: &str, now: Timestamp) -> Result<Used, Problem> {
        let totp = self.0.as_mut().ok_or_else(code_refused)?;
        let digits = code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit());
        if !digits {
            let hash = recovery_hash(code);
            let same = |stored: &String| subtle::ConstantTimeEq::ct_eq(stored.as_bytes(), hash.as_bytes()).into();
            let place = totp.recovery.iter().position(same).ok_or_else(code_refused)?;
            totp.recovery.remove(place);
            return Ok(Used::Recovery);
        }
        let step = matching_step(&totp.secret, code, now).filter(|step| *step > totp.last_step);
        totp.last_step = step.ok_or_else(code_refused)?;
        let first = !std::mem::replace(&mut totp.confirmed, true);
        Ok(if first { Used::First } else { Used::App })
    }

    /// Puts new recovery codes in place of all before.
    pub fn renew(&mut self, codes: &[String]) -> Result<(), Problem> {
        let totp = self.0.as_mut().filter(|totp| totp.confirmed).ok_or_else(|| {
            Problem::new(ProblemKind::Conflict, "identity.totp_missing", "no second factor is in use")
                .hint("set one up first")
        })?;
        totp.recovery = codes.iter().map(|code| recovery_hash(code)).collect();
        Ok(())
    }

    /// Switches it off. Whether it was asked for before.
    pub fn drop_it(&mut self) -> bool {
        self.0.take().is_some_and(|totp| totp.confirmed)
    }
}

/// The step of 30 seconds whose code it is: the present one, or one before or after.
fn matching_step(secret: &str, code: &str, now: Timestamp) -> Option<u64> {
    let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).ok()?;
    let present = u64::try_from(now.as_second()).ok()? / 30;
    [present, present.saturating_sub(1), present + 1].into_iter().find(|step| {
        let shown = hotp(&secret, *step);
        bool::from(subtle::ConstantTimeEq::ct_eq(shown.as_bytes(), code.as_bytes()))
    })
}

/// A code of six digits (RFC 4226, section 5.3).
fn hotp(secret: &[u8], counter: u64) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = ring::hmac::sign(&key, &counter.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 15);
    let four = tag.iter().skip(offset).take(4).fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
    format!("{:06}", (four & 0x7fff_ffff) % 1_000_000)
}

/// What an authenticator app scans (the otpauth form that apps agree on).
pub fn otpauth(issuer: &str, account: &str, secret: &str) -> String {
    // A space is %20 here: apps take the plus sign of forms for itself.
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    let (issuer, account) = (encode(issuer), encode(account));
    format!("otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{Scope, cx::Ambient};

    const SECRET: &[u8] = b"12345678901234567890";

    fn confirmed(now: Timestamp) -> Factor {
        let mut it = Factor::default();
        it.begin(data_encoding::BASE32_NOPAD.encode(SECRET)).unwrap();
        let step = u64::try_from(now.as_second()).unwrap() / 30;
        assert_eq!(it.use_code(&hotp(SECRET, step), now).unwrap(), Used::First);
        it
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 4226, appendix D.
        let expected = ["755224", "287082", "359152", "969429", "338314"];
        for (counter, code) in (0..).zip(expected) {
            assert_eq!(hotp(SECRET, counter), code);
        }
    }

    #[test]
    fn a_code_is_good_once() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut it = Factor::default();
        assert!(it.use_code("000000", now).is_err());
        it.begin(data_encoding::BASE32_NOPAD.encode(SECRET)).unwrap();
        assert!(!it.needed() && it.pending().is_some(), "not before it was shown to work");
        let code = hotp(SECRET, 1_800_000_000 / 30);
        assert_eq!(it.use_code(&code, now).unwrap(), Used::First);
        assert!(it.needed() && it.use_code(&code, now).is_err(), "the same code again");
        assert!(it.begin("another".to_owned()).is_err(), "one that is in use is not replaced unseen");
        let next = hotp(SECRET, 1_800_000_000 / 30 + 1);
        assert_eq!(it.use_code(&next, now).unwrap(), Used::App);
    }

    #[test]
    fn a_recovery_code_is_good_once_however_it_is_typed_and_new_ones_replace_the_old() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let cx = Cx::verified(Scope::Platform, kernel::Caller::Visitor, kernel::Grants::default(), &Ambient::system());
        let codes = recovery_codes(&cx);
        let [first, second, third] = [&codes[0], &codes[1], &codes[2]];
        let mut it = Factor::default();
        assert!(it.renew(&codes).is_err(), "only beside an app");
        it = confirmed(now);
        it.renew(&codes).unwrap();
        assert_eq!((codes.len(), it.left()), (RECOVERY_CODES, RECOVERY_CODES));
        assert!(!serde_json::to_string(&it).unwrap().contains(first.as_str()), "kept as hashes only");
        assert_eq!(it.use_code(&first.to_uppercase().replace('-', " "), now).unwrap(), Used::Recovery);
        assert!(it.use_code(first, now).is_err() && it.use_code("", now).is_err());
        assert_eq!(it.use_code(second, now).unwrap(), Used::Recovery);
        it.renew(&recovery_codes(&cx)).unwrap();
        assert!(it.use_code(third, now).is_err());
        assert!(it.drop_it() && !it.needed() && it.left() == 0);
    }
}
